//! Remotes that make no sense: the node itself, an address that moves, two nodes that push into each other.

use std::net::IpAddr;

use syncd_compat::{Finding, Findings, Severity};

use super::facts::{Facts, is_itself};
use super::finding;
use super::given::Given;
use super::router::Router;
use super::view::{SendTarget, Sending};
use crate::config::DEFAULT_PORT;

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    for target in given.sending.iter().flat_map(|set| &set.targets) {
        findings.extend(itself(target, given, facts));
        findings.extend(moving(target, given));
    }
    for (at, set) in given.sending.iter().enumerate() {
        let earlier = given.sending.iter().take(at).filter(|other| other.file != set.file);
        findings.extend(earlier.filter_map(|other| ring(other, set)));
    }
}

fn itself(target: &SendTarget, given: &Given, facts: &Facts) -> Option<Finding> {
    // With the replica's file beside it the check may well be done on the replica.
    let replica = given.receiving.iter().any(|set| set.file != target.file);
    (is_itself(&target.host) || (!replica && facts.is_here(&target.host))).then(|| {
        // A port of its own is likely another instance's.
        let (severity, effect) = match target.port {
            DEFAULT_PORT => (Severity::Warning, "it would mirror into itself"),
            _ => (Severity::Note, "it mirrors into itself, unless another instance has the port"),
        };
        let message = format!("the remote `{}` is this machine: {effect}", target.host);
        let help = "name the other node; each node's file leaves out the node itself";
        finding(severity, "remote-is-this-node", target.host_said.at(), message, help)
    })
}

fn moving(target: &SendTarget, given: &Given) -> Option<Finding> {
    let ip: IpAddr = target.host.parse().ok()?;
    let vrrp = given.nodes.iter().find_map(|node| {
        let mut addresses = node.routers.iter().flat_map(Router::moving);
        addresses.find(|address| address.value == ip).map(|address| node.line_of(address.at))
    })?;
    let message =
        format!("the remote `{ip}` is a virtual address ({vrrp}): whoever holds it would be sent to, also this node");
    let help = "name the other node's own address";
    Some(finding(Severity::Error, "remote-is-virtual", target.host_said.at(), message, help))
}

/// Two files send one tree to each other's node: what is written on both sides at once, and what is
/// removed on one, goes round.
fn ring(one: &Sending, other: &Sending) -> Option<Finding> {
    let to = one.targets.iter().find(|to| other.targets.iter().any(|back| back.module == to.module))?;
    let back = other.targets.iter().find(|back| back.module == to.module)?;
    let apart = !one.targets.iter().any(|to| other.targets.iter().any(|back| back.host == to.host));
    (apart && one.path == other.path).then(|| {
        let message = format!(
            "`{}` goes from here to {} and by {} to {}: two nodes push into each other",
            other.path.display(),
            back.host,
            one.file.display(),
            to.host
        );
        let help = "let one node be primary; what both write at once is lost on one of them";
        finding(Severity::Warning, "push-ring", back.host_said.at(), message, help)
    })
}
