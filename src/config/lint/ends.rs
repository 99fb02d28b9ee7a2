//! What a source and the replica that it names have to agree in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use syncd_compat::{Finding, Findings, Severity, nearest};

use super::facts::{Facts, Hidden};
use super::finding;
use super::given::Given;
use super::view::{Receiving, SendTarget};
use crate::config::{ReplicaAuth, SourceAuth};
use crate::engine::host_allowed;

/// The code of a module that is not there.
const NO_MODULE: &str = "ends-module";

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    for set in &given.receiving {
        findings.extend(readable(set, facts));
    }
    let (senders, replicas) = (senders(given), replicas(given));
    let mut meetings = Vec::new();
    for (sender, targets) in &senders {
        // A node does not send to itself.
        for (replica, sets) in replicas.iter().filter(|(file, _)| **file != sender.file) {
            meetings.push(Meeting::of((*sender, targets), (replica, sets), facts));
        }
    }
    for meeting in faulty(&meetings) {
        meeting.compare(facts, findings);
    }
}

/// Of all meetings those that are meant and do not fit. No file says on which host it is: whoever fits anybody is
/// where it should be, and of whoever fits nobody the nearest is meant.
fn faulty<'m>(meetings: &'m [Meeting<'_>]) -> Vec<&'m Meeting<'m>> {
    let fitting = || meetings.iter().filter(|one| one.found == 0);
    let served: BTreeSet<Sender<'_>> = fitting().map(|one| one.sender).collect();
    let sources: BTreeSet<&Path> = served.iter().map(|sender| sender.file).collect();
    let written: BTreeSet<&Path> = fitting().map(|one| one.replica).collect();
    // Where every replica that is given has its source, the other hosts of that source are not among the given.
    let all_written = meetings.iter().all(|one| written.contains(one.replica));
    let mut nearest = BTreeMap::new();
    let mut note = |of: Of<'m>, one: &'m Meeting<'_>| {
        let best = nearest.entry(of).or_insert(one);
        if one.distance() < best.distance() {
            *best = one;
        }
    };
    for one in meetings {
        let elsewhere = all_written && sources.contains(one.sender.file);
        if !served.contains(&one.sender) && !elsewhere {
            note(Of::Sender(one.sender), one);
        }
        if !written.contains(one.replica) {
            note(Of::Replica(one.replica), one);
        }
    }
    let mut said = BTreeSet::new();
    nearest.into_values().filter(|one| said.insert((one.sender, one.replica))).collect()
}

/// All that one file sends to one host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Sender<'a> {
    file: &'a Path,
    host: &'a str,
}

/// Whom the nearest of all others is looked for.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Of<'a> {
    Sender(Sender<'a>),
    Replica(&'a Path),
}

/// What one file sends to one host, beside what another file receives.
struct Meeting<'a> {
    sender: Sender<'a>,
    replica: &'a Path,
    targets: &'a [&'a SendTarget],
    sets: &'a [&'a Receiving],
    /// How many modules are not there.
    missing: usize,
    /// How much is found.
    found: usize,
}

impl<'a> Meeting<'a> {
    fn of(
        (sender, targets): (Sender<'a>, &'a [&'a SendTarget]),
        (replica, sets): (&'a Path, &'a [&'a Receiving]),
        facts: &Facts,
    ) -> Self {
        let mut meeting = Self { sender, replica, targets, sets, missing: 0, found: 0 };
        let mut findings = Findings::default();
        meeting.compare(facts, &mut findings);
        meeting.missing = findings.iter().filter(|finding| finding.code == NO_MODULE).count();
        meeting.found = findings.len();
        meeting
    }

    fn compare(&self, facts: &Facts, findings: &mut Findings) {
        self.targets.iter().for_each(|target| compare(target, self.sets, facts, findings));
    }

    /// How far both are from each other. A module that is not there is farther than any that is meant; files of one
    /// directory are likely of one node.
    fn distance(&self) -> (usize, usize, bool) {
        (self.missing, self.found, self.sender.file.parent() == self.replica.parent())
    }
}

fn senders(given: &Given) -> BTreeMap<Sender<'_>, Vec<&SendTarget>> {
    let mut senders: BTreeMap<Sender<'_>, Vec<&SendTarget>> = BTreeMap::new();
    for set in &given.sending {
        for target in &set.targets {
            senders.entry(Sender { file: &set.file, host: &target.host }).or_default().push(target);
        }
    }
    senders
}

fn replicas(given: &Given) -> BTreeMap<&Path, Vec<&Receiving>> {
    let mut replicas: BTreeMap<&Path, Vec<&Receiving>> = BTreeMap::new();
    for set in &given.receiving {
        replicas.entry(&set.file).or_default().push(set);
    }
    replicas
}

/// One target beside the sets of one file.
fn compare(target: &SendTarget, sets: &[&Receiving], facts: &Facts, findings: &mut Findings) {
    let named = sets.iter().find(|set| set.name == target.module);
    if named.is_none() {
        findings.push(no_module(target, sets));
    }
    if let Some(set) = named.or_else(|| meant(target, sets)) {
        let mut pair = Pair { target, set, facts, findings };
        pair.place();
        pair.rights();
        pair.password();
        pair.hosts();
    } else if let Some(set) = sets.first() {
        // Whatever module is meant, it is served where all are.
        Pair { target, set, facts, findings }.place();
    }
}

/// The set that a target means which names none: the nearest, or the only one.
fn meant<'a, 'b>(target: &SendTarget, sets: &'b [&'a Receiving]) -> Option<&'b &'a Receiving> {
    let near = nearest(&target.module, sets.iter().map(|set| set.name.as_str()));
    match sets {
        [only] => Some(only),
        _ => sets.iter().find(|set| Some(set.name.as_str()) == near),
    }
}

fn no_module(target: &SendTarget, sets: &[&Receiving]) -> Finding {
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    let file = sets.first().map_or_else(String::new, |set| set.file.display().to_string());
    let message = format!("`{}` is no module of {file}", target.module);
    let help = match nearest(&target.module, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    finding(Severity::Error, NO_MODULE, target.module_said.at(), message, &help)
}

/// A secrets file that others can read, where the module says that this does not matter.
fn readable(set: &Receiving, facts: &Facts) -> Option<Finding> {
    let ReplicaAuth::Password { file, strict: false, .. } = &set.auth else { return None };
    let mode = facts.modes.get(file)?;
    (mode & 0o004 != 0).then(|| {
        let message = format!("others can read the passwords in `{}` (mode {:o})", file.display(), mode & 0o777);
        let help = format!("run: chmod 600 {}", file.display());
        finding(Severity::Warning, "password-readable", set.module_said.at(), message, &help)
    })
}

/// A target and the set that it means.
struct Pair<'a> {
    target: &'a SendTarget,
    set: &'a Receiving,
    facts: &'a Facts,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, message: String, help: &str) {
        let said = match code {
            "ends-user" | "ends-password" | "ends-auth" => &self.target.user_said,
            "ends-port" | "ends-address" => &self.target.host_said,
            _ => &self.set.module_said,
        };
        self.findings.push(finding(severity, code, said.at(), message, help));
    }

    fn other(&self) -> String {
        self.set.file.display().to_string()
    }

    fn place(&mut self) {
        let Some(listen) = self.set.listen else { return };
        if listen.port() != self.target.port {
            let message =
                format!("port {} is sent to, and {} listens on {}", self.target.port, self.other(), listen.port());
            let help = format!("write {} on both sides", listen.port());
            self.say(Severity::Error, "ends-port", message, &help);
        }
        let host = self.target.host.parse::<IpAddr>().ok();
        if let Some(host) = host.filter(|host| !listen.ip().is_unspecified() && *host != listen.ip()) {
            let message = format!("`{host}` is sent to, and {} listens on {} only", self.other(), listen.ip());
            self.say(
                Severity::Warning,
                "ends-address",
                message,
                "write one address on both sides, or remove `address`",
            );
        }
    }

    fn rights(&mut self) {
        if self.set.read_only {
            let message = format!("the module `{}` is read only: nothing can be written into it", self.set.name);
            self.say(Severity::Error, "ends-read-only", message, "write `read only = no` in the module");
        }
    }

    fn password(&mut self) {
        let (target, set, facts) = (self.target, self.set, self.facts);
        let (user, file) = match (&target.auth, &set.auth) {
            (SourceAuth::Key, ReplicaAuth::Key) => return,
            (SourceAuth::Key, ReplicaAuth::Password { users, .. }) => {
                let message =
                    format!("the module `{}` wants a user ({}), and none is named", set.name, users.join(", "));
                let help = "switch <auth> on with users and passwordfile";
                return self.say(Severity::Error, "ends-auth", message, help);
            }
            (SourceAuth::Password { .. }, ReplicaAuth::Key) => {
                let message = format!("the module `{}` has no `auth users`: the password is never asked for", set.name);
                let help = "write `auth users` and `secrets file` in the module";
                return self.say(Severity::Warning, "ends-auth", message, help);
            }
            (SourceAuth::Password { user, file }, ReplicaAuth::Password { .. }) => (user, file),
        };
        let ReplicaAuth::Password { users, file: secrets, .. } = &set.auth else { return };
        if !users.contains(user) {
            let message =
                format!("the user `{user}` is not among those who may write `{}`: {}", set.name, users.join(", "));
            self.say(Severity::Error, "ends-user", message, "write one name on both sides");
        }
        let Some(theirs) = facts.secrets.get(&(secrets.clone(), user.clone())) else { return };
        let Some(theirs) = theirs else {
            let message = format!("the user `{user}` is not in `{}`", secrets.display());
            let help = format!("add a line `{user}:PASSWORD` to it");
            return self.say(Severity::Error, "ends-user", message, &help);
        };
        let Some(ours) = facts.passwords.get(file) else { return };
        if ours != theirs {
            let message = format!("the passwords in `{}` and `{}` differ", file.display(), secrets.display());
            let help = if with_user(ours, user, theirs) {
                "the first file holds `user:password`; write the password alone"
            } else {
                "write the same into both: the password alone here, `user:password` there"
            };
            self.say(Severity::Error, "ends-password", message, help);
        }
    }

    /// Whether the module lets this machine in, where this machine is the source: what is watched is here, and it is
    /// not the receiver itself.
    fn hosts(&mut self) {
        let (set, facts) = (self.set, self.facts);
        let own: Vec<IpAddr> = facts.outgoing().collect();
        let let_in = own.iter().any(|ip| host_allowed(*ip, &set.hosts_allow, &set.hosts_deny));
        let source = facts.directories.contains(&self.target.path);
        if !source || own.is_empty() || let_in || facts.is_here(&self.target.host) {
            return;
        }
        let message = format!("the module `{}` lets none of this machine's addresses in", set.name);
        let shown: Vec<String> = own.iter().map(ToString::to_string).collect();
        let help = format!("add the source to `hosts allow`; this machine has {}", shown.join(", "));
        self.say(Severity::Warning, "ends-hosts-allow", message, &help);
    }
}

/// Whether a file of a source was written like one of a replica.
fn with_user(ours: &Hidden, user: &str, theirs: &Hidden) -> bool {
    ours.0.strip_prefix(user.as_bytes()).and_then(|rest| rest.strip_prefix(b":")) == Some(theirs.0.as_slice())
}
