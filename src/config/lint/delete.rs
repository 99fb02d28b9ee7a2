//! Deletions that nobody may expect: by a node that takes the address over before it has caught up, and by the first
//! compare of a set.

use syncd_compat::{Finding, Findings, Severity};

use super::finding;
use super::given::Given;
use super::router::{Node, Router, partner};
use super::view::Sending;

/// The priority of a node of which nobody says one.
const USUAL: u8 = 100;

pub(super) fn check(given: &Given, findings: &mut Findings) {
    findings.extend(given.sending.iter().filter_map(first_compare));
    preempting(given, findings);
}

/// A set that sersync2 never compared as a whole, so that what only the replicas have stayed there.
fn first_compare(set: &Sending) -> Option<Finding> {
    let target = set.targets.first().filter(|_| set.deletes && set.never_pushed)?;
    let message = format!(
        "what `{}` has and `{}` has not is removed there at the first connection; sersync2 made no full push with \
         <filter> on, and left it",
        target.module,
        set.path.display()
    );
    let help = "look at the replica first; `<delete start=\"false\"/>` keeps it";
    Some(finding(Severity::Note, "setting-differs", target.module_said.at(), message, help))
}

fn preempting(given: &Given, findings: &mut Findings) {
    let Some(set) = given.sending.iter().find(|set| set.deletes && !set.targets.is_empty()) else { return };
    for node in &given.nodes {
        for router in node.routers.iter().filter(|router| preempts(router, node, given)) {
            let at = router.preempts.at.or(router.priority.at).unwrap_or(router.name.at);
            let message = format!(
                "`{}` takes over as soon as it is back, and {} deletes on the others what it missed meanwhile",
                router.name.value,
                set.file.display()
            );
            let help = format!("{}, or let the set delete nothing", node.words.patience);
            findings.push(node.finding(Severity::Warning, "delete-and-preempt", at, message).help(help));
        }
    }
}

/// Whether it takes the address from a node that holds it: where no other node is given, only what is surely meant
/// to win.
fn preempts(router: &Router, node: &Node, given: &Given) -> bool {
    if !router.preempts.value {
        return false;
    }
    let others = given.nodes.iter().filter(|other| other.file != node.file);
    let mut rivals = others.filter_map(|other| partner(&other.routers, router)).peekable();
    match rivals.peek() {
        None => router.master.is_some() || router.priority.value > USUAL,
        Some(_) => rivals.any(|rival| rival.priority.value < router.priority.value),
    }
}
