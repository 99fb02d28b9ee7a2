//! Two `keepalived.conf` of one pair: what they have to agree in, and what has to differ.

use std::collections::BTreeSet;
use std::net::IpAddr;

use syncd_compat::keepalived::weight::{Kind, Names, priority, priority_without};
use syncd_compat::keepalived::{At, Instance, State};
use syncd_compat::{Findings, Severity};

use super::given::{Given, Vrrp};

pub(super) fn check(given: &Given, findings: &mut Findings) {
    for (at, second) in given.vrrp.iter().enumerate() {
        for first in given.vrrp.iter().take(at).filter(|first| first.file != second.file) {
            files(first, second, findings);
        }
    }
}

fn files(first: &Vrrp, second: &Vrrp, findings: &mut Findings) {
    for ours in &second.conf.instances {
        match partner(&first.conf.instances, ours) {
            Some(theirs) => {
                let mut pair = Pair { first, second, theirs, ours, findings };
                pair.identity();
                pair.addresses();
                pair.roles();
                pair.paths();
                pair.weights();
            }
            None => alone(second, first, ours, findings),
        }
    }
    for theirs in &first.conf.instances {
        if partner(&second.conf.instances, theirs).is_none() {
            alone(first, second, theirs, findings);
        }
    }
}

/// The instance that is meant to be the same: by its number, else by a shared address, else by its name.
fn partner<'a>(instances: &'a [Instance], of: &Instance) -> Option<&'a Instance> {
    let same_family = || instances.iter().filter(|other| other.is_v6() == of.is_v6());
    let vips: BTreeSet<IpAddr> = of.addresses.iter().map(|address| address.ip.value).collect();
    let vrid = |one: &Instance| one.vrid.as_ref().map(|vrid| vrid.value);
    let shares = |other: &&Instance| other.addresses.iter().any(|address| vips.contains(&address.ip.value));
    same_family()
        .find(|other| vrid(other).is_some() && vrid(other) == vrid(of))
        .or_else(|| same_family().find(shares))
        .or_else(|| same_family().find(|other| other.name.value == of.name.value))
}

fn alone(vrrp: &Vrrp, other: &Vrrp, instance: &Instance, findings: &mut Findings) {
    let message =
        format!("{} has no instance for `{}`: nobody takes it over", other.file.display(), instance.name.value);
    let finding = vrrp.conf.sources.warning("pair-alone", instance.name.at, message);
    findings.push(finding.help("write one with the same virtual_router_id there"));
}

/// One instance in both files.
struct Pair<'a> {
    first: &'a Vrrp,
    second: &'a Vrrp,
    theirs: &'a Instance,
    ours: &'a Instance,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    /// A finding in the second file.
    fn say(&mut self, severity: Severity, code: &'static str, at: Option<At>, message: String, help: &str) {
        let at = at.unwrap_or(self.ours.name.at);
        self.findings.push(self.second.conf.sources.finding(severity, code, at, message).help(help));
    }

    fn place(&self, at: Option<At>) -> String {
        self.first.conf.sources.line_of(at.unwrap_or(self.theirs.name.at))
    }

    fn identity(&mut self) {
        let (ours, theirs) = (self.ours, self.theirs);
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
            self.say(Severity::Error, "pair-version", ours.version.at, message, "write one `vrrp_version` in both");
        }
        let wire = |i: &Instance| {
            let auth = i.auth.as_ref().filter(|_| i.version.value == 2);
            auth.map(|auth| (auth.kind.value, auth.password.as_ref().map(|password| password.value.wire())))
        };
        if wire(ours) != wire(theirs) {
            let place = self.place(theirs.auth.as_ref().map(|auth| auth.kind.at));
            let message = format!("authentication is not as in {place}: each drops the other's adverts");
            let at = ours.auth.as_ref().map(|auth| auth.kind.at);
            self.say(Severity::Error, "pair-auth", at, message, "write the same auth_type and auth_pass in both");
        }
        if ours.advert_int.value != theirs.advert_int.value {
            let place = self.place(theirs.advert_int.at);
            let (own, other) = (ours.advert_int.value.as_secs_f64(), theirs.advert_int.value.as_secs_f64());
            let v2 = ours.version.value == 2;
            let severity = if v2 { Severity::Error } else { Severity::Warning };
            let effect = if v2 { "each drops the other's adverts" } else { "a takeover waits for the other's" };
            let message = format!("advert_int {own} here and {other} in {place}: {effect}");
            self.say(severity, "pair-advert-int", ours.advert_int.at, message, "write the same interval in both");
        }
    }

    fn addresses(&mut self) {
        let vips = |i: &Instance| i.addresses.iter().map(|a| a.ip.value).collect::<BTreeSet<IpAddr>>();
        let (own, other) = (vips(self.ours), vips(self.theirs));
        if own == other {
            return;
        }
        let shown = |set: Vec<&IpAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let only_here = shown(own.difference(&other).collect());
        let only_there = shown(other.difference(&own).collect());
        let place = self.place(self.theirs.addresses.first().map(|address| address.at));
        let message = match (only_here.as_str(), only_there.as_str()) {
            (here, "") => format!("{here} is not in {place}: keepalived 2.2 drops the other's adverts"),
            ("", there) => format!("{there} of {place} is missing here: keepalived 2.2 drops the other's adverts"),
            (here, there) => format!("{here} here, and {there} in {place}: keepalived 2.2 drops the other's adverts"),
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
        if ours.state.value == State::Master && theirs.state.value == State::Master {
            let place = self.place(theirs.state.at);
            let message = format!("`state MASTER` in both files ({place})");
            self.say(
                Severity::Warning,
                "pair-both-master",
                ours.state.at,
                message,
                "write `state BACKUP` in one, or in both",
            );
        }
    }

    /// How adverts get from one to the other.
    fn paths(&mut self) {
        let (ours, theirs) = (&self.ours.unicast, &self.theirs.unicast);
        if ours.peers.is_empty() != theirs.peers.is_empty() {
            let place = self.place(theirs.peers.first().map(|peer| peer.address.at));
            let message =
                format!("one file has `unicast_peer` and the other multicast ({place}): they never hear each other");
            let at = ours.peers.first().map(|peer| peer.address.at);
            self.say(Severity::Error, "pair-unicast", at, message, "write `unicast_peer` in both, or in none");
        }
        self.names_back(true);
        self.names_back(false);
        let group = |vrrp: &Vrrp, i: &Instance| match &i.mcast_dst {
            Some(destination) => destination.value,
            None if i.is_v6() => IpAddr::V6(vrrp.conf.globals.group6.value),
            None => IpAddr::V4(vrrp.conf.globals.group4.value),
        };
        let (own, other) = (group(self.second, self.ours), group(self.first, self.theirs));
        if ours.peers.is_empty() && theirs.peers.is_empty() && own != other {
            let message = format!("adverts go to {own} here and to {other} in {}", self.place(None));
            let at = self.ours.mcast_dst.as_ref().map(|d| d.at).or(self.second.conf.globals.group4.at);
            self.say(Severity::Error, "pair-group", at, message, "write one group in both");
        }
    }

    /// Whether one side's peers hold the other's source address.
    fn names_back(&mut self, ours: bool) {
        let (vrrp, one, other) = match ours {
            true => (self.second, self.ours, self.theirs),
            false => (self.first, self.theirs, self.ours),
        };
        let Some(source) = &other.unicast.source else { return };
        let peers = &one.unicast.peers;
        let Some(first) = peers.first().filter(|_| peers.iter().all(|peer| peer.address.value != source.value)) else {
            return;
        };
        let message = format!("the other node, {}, is not among the peers: it is not sent to", source.value);
        let finding = vrrp.conf.sources.error("pair-unicast", first.address.at, message);
        self.findings.push(finding.help(format!("add {} to `unicast_peer`", source.value)));
    }

    /// Weights of the node that is to win, which it also wins without.
    fn weights(&mut self) {
        let sides =
            [(self.second, self.ours, self.first, self.theirs), (self.first, self.theirs, self.second, self.ours)];
        for (vrrp, one, against, other) in sides {
            if one.priority.value == 255 || !one.preempt.value {
                // Said of the file alone.
                continue;
            }
            let weighed = Names::of(&vrrp.conf).weighed(one);
            let rival = priority(other, &Names::of(&against.conf).weighed(other));
            let well = priority(one, &weighed);
            for w in weighed.iter().filter(|w| w.weight.value != 0 && w.kind != Kind::File && well > rival) {
                let failed = priority_without(one, &weighed, w);
                if failed >= rival && failed <= well {
                    let name = &w.track.name.value;
                    let message = format!(
                        "when `{name}` fails the priority goes from {well} to {failed}, and the other node has {rival}: nothing moves"
                    );
                    let at = w.track.weight.and_then(|weight| weight.at).or(w.weight.at).unwrap_or(w.track.name.at);
                    let help = format!("take a weight of more than {} in size", well - rival);
                    self.findings.push(vrrp.conf.sources.warning("pair-weight", at, message).help(help));
                }
            }
        }
    }
}
