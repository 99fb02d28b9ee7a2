//! Deletions by a node that takes the address over before it has caught up.

use syncd_compat::{Findings, Severity};

use super::given::Given;
use super::router::{Node, Router, partner};

/// The priority of a node of which nobody says one.
const USUAL: u8 = 100;

pub(super) fn check(given: &Given, findings: &mut Findings) {
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
