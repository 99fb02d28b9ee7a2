//! What a source and the replica that it names have to agree in.

use std::net::IpAddr;

use syncd_compat::{Finding, Findings, Severity, nearest};

use super::facts::{Facts, Hidden};
use super::finding;
use super::given::Given;
use super::view::{Receiving, SendTarget};
use crate::config::{ReplicaAuth, SourceAuth};
use crate::engine::host_allowed;

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    for set in &given.receiving {
        findings.extend(readable(set, facts));
    }
    if given.receiving.is_empty() {
        return;
    }
    for target in given.sending.iter().flat_map(|set| &set.targets) {
        let named = given.receiving.iter().find(|set| set.name == target.module);
        if named.is_none() {
            findings.push(no_module(target, given));
        }
        if let Some(set) = named.or_else(|| meant(target, &given.receiving)) {
            let mut pair = Pair { target, set, facts, findings };
            pair.place();
            pair.rights();
            pair.password();
            pair.hosts();
        } else if let Some(set) = given.receiving.first() {
            // Whatever module is meant, it is served where all are.
            Pair { target, set, facts, findings }.place();
        }
    }
}

/// The set that a target means which names none: the nearest, or the only one.
fn meant<'a>(target: &SendTarget, sets: &'a [Receiving]) -> Option<&'a Receiving> {
    let near = nearest(&target.module, sets.iter().map(|set| set.name.as_str()));
    match sets {
        [only] => Some(only),
        _ => sets.iter().find(|set| Some(set.name.as_str()) == near),
    }
}

fn no_module(target: &SendTarget, given: &Given) -> Finding {
    let names: Vec<&str> = given.receiving.iter().map(|set| set.name.as_str()).collect();
    let files: Vec<String> = given.receiving.iter().map(|set| set.file.display().to_string()).collect();
    let message = format!("`{}` is no module of {}", target.module, files.first().map_or("", String::as_str));
    let help = match nearest(&target.module, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    finding(Severity::Error, "ends-module", target.module_said.at(), message, &help)
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
                format!("the user `{user}` is not among the `auth users` of `{}`: {}", set.name, users.join(", "));
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

    /// Whether the module lets this machine in, where this machine is not the receiver itself.
    fn hosts(&mut self) {
        let (set, facts) = (self.set, self.facts);
        let own: Vec<IpAddr> = facts.outgoing().collect();
        let let_in = own.iter().any(|ip| host_allowed(*ip, &set.hosts_allow, &set.hosts_deny));
        if own.is_empty() || let_in || facts.is_here(&self.target.host) {
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
