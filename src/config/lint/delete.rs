//! Deletions by a node that takes the address over before it has caught up.

use syncd_compat::Findings;
use syncd_compat::keepalived::State;

use super::given::Given;

pub(super) fn check(given: &Given, findings: &mut Findings) {
    let Some(set) = given.sending.iter().find(|set| set.deletes && !set.targets.is_empty()) else { return };
    for vrrp in &given.vrrp {
        for instance in vrrp.conf.instances.iter().filter(|i| i.preempt.value && i.state.value == State::Master) {
            let at = instance.state.at.unwrap_or(instance.name.at);
            let message = format!(
                "`{}` takes over as soon as it is back, and {} deletes on the others what it missed meanwhile",
                instance.name.value,
                set.file.display()
            );
            let help = "write `state BACKUP` and `nopreempt` on every node, or `<delete start=\"false\"/>`";
            findings.push(vrrp.conf.sources.warning("delete-and-preempt", at, message).help(help));
        }
    }
}
