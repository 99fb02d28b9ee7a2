//! The virtual routers of two nodes of one pair: what they have to agree in, and what has to differ.

use std::collections::BTreeSet;
use std::net::IpAddr;

use syncd_compat::keepalived::At;
use syncd_compat::keepalived::weight::{Kind, priority, priority_without};
use syncd_compat::{Findings, Severity};

use super::facts::Facts;
use super::given::Given;
use super::router::{Node, Proof, Router, partner};

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    for (at, second) in given.nodes.iter().enumerate() {
        for first in given.nodes.iter().take(at).filter(|first| first.file != second.file) {
            files(first, second, facts, findings);
        }
    }
}

fn files(first: &Node, second: &Node, facts: &Facts, findings: &mut Findings) {
    for ours in &second.routers {
        match partner(&first.routers, ours) {
            Some(theirs) => {
                let mut pair = Pair { first, second, theirs, ours, findings };
                pair.identity(facts);
                pair.addresses();
                pair.roles();
                pair.paths();
                pair.weights();
            }
            None => alone(second, first, ours, findings),
        }
    }
    for theirs in &first.routers {
        if partner(&second.routers, theirs).is_none() {
            alone(first, second, theirs, findings);
        }
    }
}

fn alone(node: &Node, other: &Node, router: &Router, findings: &mut Findings) {
    let message = format!("{} has no instance for `{}`: nobody takes it over", other.file.display(), router.name.value);
    let finding = node.finding(Severity::Warning, "pair-alone", router.name.at, message);
    findings.push(finding.help(format!("write one with the same {} there", other.words.vrid)));
}

/// Whether one drops the adverts of the other for their passwords, as far as those are known here.
fn differ(ours: &Proof, theirs: &Proof, facts: &Facts) -> bool {
    let known = |proof: &Proof| match proof {
        Proof::File(file) => facts.passwords.get(file).map(|password| Proof::Pass(password.wire())),
        other => Some(other.clone()),
    };
    match (ours, theirs) {
        // Two files of one name are on two nodes.
        (Proof::File(own), Proof::File(other)) if own == other => false,
        (Proof::File(_) | Proof::Pass(_), Proof::File(_) | Proof::Pass(_)) => {
            known(ours).zip(known(theirs)).is_some_and(|(own, other)| own != other)
        }
        _ => ours != theirs,
    }
}

/// One instance in both files.
struct Pair<'a> {
    first: &'a Node,
    second: &'a Node,
    theirs: &'a Router,
    ours: &'a Router,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    /// A finding in the second file.
    fn say(&mut self, severity: Severity, code: &'static str, at: Option<At>, message: String, help: &str) {
        let at = at.unwrap_or(self.ours.name.at);
        self.findings.push(self.second.finding(severity, code, at, message).help(help));
    }

    fn place(&self, at: Option<At>) -> String {
        self.first.line_of(at.unwrap_or(self.theirs.name.at))
    }

    fn identity(&mut self, facts: &Facts) {
        let (ours, theirs, words) = (self.ours, self.theirs, self.second.words);
        if let (Some(own), Some(other)) = (&ours.vrid, &theirs.vrid)
            && own.value != other.value
        {
            let place = self.place(Some(other.at));
            let message =
                format!("VRID {} here and {} in {place}: both nodes hold the address", own.value, other.value);
            self.say(Severity::Error, "pair-vrid", Some(own.at), message, "write the same number in both");
        }
        if ours.version.value != theirs.version.value {
            let place = self.place(theirs.version.at);
            let message = format!(
                "version {} here and {} in {place}: each drops the other's adverts",
                ours.version.value, theirs.version.value
            );
            let help = format!("write one `{}` in both", words.version);
            self.say(Severity::Error, "pair-version", ours.version.at, message, &help);
        }
        if differ(&ours.proof, &theirs.proof, facts) {
            let place = self.place(theirs.proof_at);
            let message = format!("authentication is not as in {place}: each drops the other's adverts");
            let help = format!("write the same {} in both", words.auth);
            self.say(Severity::Error, "pair-auth", ours.proof_at, message, &help);
        }
        if ours.interval.value != theirs.interval.value {
            let place = self.place(theirs.interval.at);
            let (own, other) = (ours.interval.value.as_secs_f64(), theirs.interval.value.as_secs_f64());
            let v2 = ours.version.value == 2;
            let severity = if v2 { Severity::Error } else { Severity::Warning };
            let effect = if v2 { "each drops the other's adverts" } else { "a takeover waits for the other's" };
            let message = format!("{} {own} here and {other} in {place}: {effect}", words.interval);
            self.say(severity, "pair-advert-int", ours.interval.at, message, "write the same interval in both");
        }
    }

    fn addresses(&mut self) {
        let vips = |router: &Router| router.addresses.iter().map(|a| a.value).collect::<BTreeSet<IpAddr>>();
        let (own, other) = (vips(self.ours), vips(self.theirs));
        if own == other {
            return;
        }
        let shown = |set: Vec<&IpAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let only_here = shown(own.difference(&other).collect());
        let only_there = shown(other.difference(&own).collect());
        let place = self.place(self.theirs.addresses.first().map(|address| address.at));
        let effect = self.second.words.unequal;
        let message = match (only_here.as_str(), only_there.as_str()) {
            (here, "") => format!("{here} is not in {place}: {effect}"),
            ("", there) => format!("{there} of {place} is missing here: {effect}"),
            (here, there) => format!("{here} here, and {there} in {place}: {effect}"),
        };
        let at = self.ours.addresses.first().map(|address| address.at);
        self.say(Severity::Error, "pair-addresses", at, message, "write the same addresses in both");
    }

    fn roles(&mut self) {
        let (ours, theirs) = (self.ours, self.theirs);
        if ours.priority.value == theirs.priority.value {
            let place = self.place(theirs.priority.at);
            let message = format!(
                "priority {} in both files ({place}): who comes first stays, whoever it is",
                ours.priority.value
            );
            self.say(
                Severity::Warning,
                "pair-priority-tie",
                ours.priority.at,
                message,
                "give one node a higher priority",
            );
        }
        if let (Some(own), Some(other)) = (ours.master, theirs.master) {
            let message = format!("`state MASTER` in both files ({})", self.first.line_of(other));
            let help = "write `state BACKUP` in one, or in both";
            self.say(Severity::Warning, "pair-both-master", Some(own), message, help);
        }
    }

    /// How adverts get from one to the other.
    fn paths(&mut self) {
        let (ours, theirs, words) = (self.ours, self.theirs, self.second.words);
        if ours.peers.is_empty() != theirs.peers.is_empty() {
            let place = self.place(theirs.peers.first().map(|peer| peer.at));
            let message =
                format!("one file has `{}` and the other multicast ({place}): they never hear each other", words.peers);
            let help = format!("write `{}` in both, or in none", words.peers);
            self.say(Severity::Error, "pair-unicast", ours.peers.first().map(|peer| peer.at), message, &help);
        }
        self.names_back(true);
        self.names_back(false);
        let (own, other) = (ours.group.value, theirs.group.value);
        if ours.peers.is_empty() && theirs.peers.is_empty() && own != other {
            let message = format!("adverts go to {own} here and to {other} in {}", self.place(theirs.group.at));
            self.say(Severity::Error, "pair-group", ours.group.at, message, "write one group in both");
        }
    }

    /// Whether one side's peers hold the other's source address.
    fn names_back(&mut self, ours: bool) {
        let (node, one, other) = match ours {
            true => (self.second, self.ours, self.theirs),
            false => (self.first, self.theirs, self.ours),
        };
        let Some(source) = other.source else { return };
        let Some(first) = one.peers.first().filter(|_| one.peers.iter().all(|peer| peer.value != source)) else {
            return;
        };
        let message = format!("the other node, {source}, is not among the peers: it is not sent to");
        let finding = node.finding(Severity::Error, "pair-unicast", first.at, message);
        self.findings.push(finding.help(format!("add {source} to `{}`", node.words.peers)));
    }

    /// Weights of the node that is to win, which it also wins without.
    fn weights(&mut self) {
        let sides = [(self.second, self.ours, self.theirs), (self.first, self.theirs, self.ours)];
        for (node, one, other) in sides {
            if one.priority.value == 255 || !one.preempts.value {
                // Said of the file alone.
                continue;
            }
            let weighed = one.weighed();
            let rival = priority(other.priority.value, &other.weighed());
            let well = priority(one.priority.value, &weighed);
            for w in weighed.iter().filter(|w| w.weight.value != 0 && w.kind != Kind::File && well > rival) {
                let failed = priority_without(one.priority.value, &weighed, w);
                if failed >= rival && failed <= well {
                    let name = &w.track.name.value;
                    let message = format!(
                        "when `{name}` fails the priority goes from {well} to {failed}, and the other node has {rival}: nothing moves"
                    );
                    let at = w.weight.at.unwrap_or(w.track.name.at);
                    let help = format!("take a weight of more than {} in size", well - rival);
                    self.findings.push(node.finding(Severity::Warning, "pair-weight", at, message).help(help));
                }
            }
        }
    }
}
