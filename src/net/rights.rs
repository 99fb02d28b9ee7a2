//! What this process may do, and no more.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Without these there is no VRRP.
const NEEDED: [(CapabilitySet, &str); 2] =
    [(CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"), (CapabilitySet::NET_RAW, "CAP_NET_RAW")];

/// The process may not do what VRRP needs.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "VRRP needs {}: run it as root, or give it these (systemd: AmbientCapabilities=, Docker: --cap-add)",
    missing.join(" and ")
)]
pub struct MissingRights {
    /// The rights that are missing, by name.
    pub missing: Vec<&'static str>,
}

/// Whether VRRP may do its work.
///
/// # Errors
/// It may not.
pub fn check() -> Result<(), MissingRights> {
    // A kernel that does not say knows no capabilities; what is forbidden shows when it is tried.
    let Ok(have) = capabilities(None) else { return Ok(()) };
    let missing: Vec<_> =
        NEEDED.iter().filter(|(right, _)| !have.effective.contains(*right)).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingRights { missing }) }
}

/// Gives up all rights of the calling thread but those that VRRP needs, and with `scheduling` those that
/// [`realtime`](super::realtime) needs. They do not come back, nor do programs that it starts have them.
///
/// # Errors
/// The kernel refuses.
pub fn drop_others(scheduling: bool) -> io::Result<()> {
    let mut keep = NEEDED.iter().fold(CapabilitySet::empty(), |all, (right, _)| all | *right);
    keep.set(CapabilitySet::SYS_NICE | CapabilitySet::IPC_LOCK, scheduling);
    let have = capabilities(None)?;
    if have.effective.contains(CapabilitySet::SETPCAP) {
        for right in every().filter(|right| !keep.contains(*right)) {
            // Those that this kernel does not know are in no set.
            if capability_is_in_bounding_set(right).unwrap_or(false) {
                remove_capability_from_bounding_set(right)?;
            }
        }
    }
    clear_ambient_capability_set()?;
    let kept = have.permitted & keep;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    Ok(())
}

/// Each right that there can be, known by name or not.
fn every() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let missing = MissingRights { missing: vec!["CAP_NET_ADMIN", "CAP_NET_RAW"] };
        insta::assert_snapshot!(missing, @"VRRP needs CAP_NET_ADMIN and CAP_NET_RAW: run it as root, or give it these (systemd: AmbientCapabilities=, Docker: --cap-add)");
    }
}
