//! How the instances stand, for people and programs.

use std::time::Instant;

use super::Machine;
use crate::vrrp::instance::Running;
use crate::vrrp::message::InstanceStatus;
use crate::vrrp::packet::Version;
use crate::vrrp::router::{OWNER, State};

impl Machine {
    /// Every instance, in the order of the configuration.
    #[must_use]
    pub fn status(&self, now: Instant) -> Vec<InstanceStatus> {
        let by_name = |name: &str| self.instances.values().find(|running| running.setup.name == name);
        self.setup.instances.iter().filter_map(|i| by_name(&i.name)).map(|running| status(running, now)).collect()
    }
}

fn status(running: &Running, now: Instant) -> InstanceStatus {
    let setup = &running.setup;
    let state = running.router.state();
    let heard = running.router.heard();
    let with_prefix = |address: &crate::vrrp::setup::Address| format!("{}/{}", address.ip, address.prefix);
    let (master, master_priority) = match state {
        State::Master => (running.source, Some(running.router.priority())),
        _ => (heard.map(|heard| heard.from), heard.map(|heard| heard.priority)),
    };
    let cause = match state {
        State::Fault => running.verdict.faults.join(", "),
        State::Initialize if running.verdict.unknown => "it waits for the first result of what is tracked".to_owned(),
        _ => running.router.cause().to_string(),
    };
    InstanceStatus {
        name: setup.name.clone(),
        interface: setup.interface.clone(),
        vrid: setup.vrid,
        version: if setup.version == Version::V2 { 2 } else { 3 },
        state: state.to_string().to_lowercase(),
        since_seconds: now.saturating_duration_since(running.since).as_secs(),
        cause,
        priority: running.router.priority(),
        priority_why: why(running),
        faults: running.verdict.faults.clone(),
        master,
        master_priority,
        addresses: setup.addresses.iter().chain(&setup.excluded).map(with_prefix).collect(),
        held: running.holding.there().map(|held| with_prefix(&held.address)).collect(),
        transitions: running.transitions,
        adverts_sent: running.counters.sent,
        adverts_received: running.counters.received,
        rejected: running.counters.rejected(now),
        warnings: running.counters.warnings(setup.vrid),
    }
}

/// `100, script web -20`.
fn why(running: &Running) -> String {
    let base = running.setup.priority;
    if base == OWNER {
        return format!("{base}, owner of the addresses");
    }
    let mut words = vec![base.to_string()];
    words.extend(running.verdict.parts.iter().cloned());
    words.join(", ")
}
