//! Remotes that make no sense: the node itself, an address that moves, two nodes that push into each other.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use syncd_compat::{Finding, Findings, Severity};

use super::facts::{Facts, is_itself};
use super::finding;
use super::given::Given;
use super::router::Router;
use super::view::{SendTarget, Sending};
use crate::config::{DEFAULT_PORT, SourceAuth};

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    for target in given.sending.iter().flat_map(|set| &set.targets) {
        findings.extend(itself(target, given, facts));
        findings.extend(moving(target, given));
    }
    for (at, set) in given.sending.iter().enumerate() {
        let earlier = given.sending.iter().take(at).filter(|other| other.file != set.file);
        for other in earlier {
            findings.extend(ring(other, set, given));
            findings.extend(set.targets.iter().filter_map(|target| shared(other, set, target)));
        }
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

/// Two files send to one module of one host: the replica takes one key for each user, and what only one of them
/// has the other removes whenever it compares.
fn shared(one: &Sending, other: &Sending, target: &SendTarget) -> Option<Finding> {
    let there = |to: &&SendTarget| (&to.host, to.port, &to.module) == (&target.host, target.port, &target.module);
    let to = one.targets.iter().find(there)?;
    let user = |target: &SendTarget| match &target.auth {
        SourceAuth::Password { user, .. } => Some(user.clone()),
        SourceAuth::Key => None,
    };
    let mut effects = Vec::new();
    if user(to) == user(target) {
        effects.push("the replica refuses whichever comes second, since it pins one key for each user");
    }
    if one.path != other.path && (one.deletes || other.deletes) {
        effects.push("each compare removes what only the other has");
    }
    if effects.is_empty() {
        return None;
    }
    let (place, module, file) = (&target.host, &target.module, one.file.display());
    let message = format!("`{place}::{module}` is written by {file} too: {}", effects.join("; "));
    let help = "give each file a module of its own there, or run one of them at a time";
    Some(finding(Severity::Warning, "remote-shared", target.module_said.at(), message, help))
}

/// Two files send one tree to each other's node: what is written on both sides at once, and what is
/// removed on one, goes round. Hosts that both send to are neither of the two.
fn ring(one: &Sending, other: &Sending, given: &Given) -> Option<Finding> {
    let hosts = |set: &Sending| set.targets.iter().map(|to| to.host.clone()).collect::<BTreeSet<String>>();
    let (ours, theirs) = (hosts(other), hosts(one));
    let there = || one.targets.iter().filter(|to| !ours.contains(&to.host));
    let mut back = other.targets.iter().filter(|back| !theirs.contains(&back.host));
    let (to, back) = back.find_map(|back| {
        let meets = |to: &&SendTarget| {
            // Where no file says what a module is, the same name leads to the same tree.
            let same = one.path == other.path && to.module == back.module;
            leads(to, &other.path, given).unwrap_or(same) && leads(back, &one.path, given).unwrap_or(same)
        };
        Some((there().find(meets)?, back))
    })?;
    let message = format!(
        "`{}` goes from here to {} and by {} to {}: two nodes push into each other",
        other.path.display(),
        back.host,
        one.file.display(),
        to.host
    );
    let help = "let one node be primary; what both write at once is lost on one of them";
    Some(finding(Severity::Warning, "push-ring", back.host_said.at(), message, help))
}

/// Whether what goes to `target` comes to `tree` there; none where no file says what the module is.
fn leads(target: &SendTarget, tree: &Path, given: &Given) -> Option<bool> {
    let sets = given.receiving.iter().filter(|set| set.file != target.file && set.name == target.module);
    let met = sets.map(|set| set.path.starts_with(tree) || tree.starts_with(&set.path));
    met.reduce(|one, other| one || other)
}
