//! The virtual routers of a node.

use std::fmt::{self, Write};

use crate::cli::render;
use crate::control::Status;
use crate::vrrp::message::{InstanceStatus, RejectedStatus};

/// All of them, or why nothing is known of them.
pub(super) fn all(status: &Status, text: &mut String) -> fmt::Result {
    if let Some(fault) = &status.vrrp_fault {
        writeln!(text, "VRRP: {}", render::plain(fault))?;
    }
    status.vrrp.iter().try_for_each(|router| one(router, text))
}

fn one(router: &InstanceStatus, text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\n{}: {} for {}, VRID {} on {}, VRRPv{}",
        render::plain(&router.name),
        router.state.to_uppercase(),
        render::age(router.since_seconds),
        router.vrid,
        render::plain(&router.interface),
        router.version
    )?;
    writeln!(text, "  because {}", render::plain(&router.cause))?;
    router.faults.iter().try_for_each(|fault| writeln!(text, "  FAULT: {}", render::plain(fault)))?;
    writeln!(text, "  priority {}", priority(router))?;
    if let Some(master) = router.master {
        let rank = router.master_priority.map_or(String::new(), |priority| format!(" with priority {priority}"));
        writeln!(text, "  the master is {master}{rank}")?;
    }
    addresses(router, text)?;
    writeln!(
        text,
        "  {}, {} sent, {} received",
        render::counted(router.transitions, "transition", "transitions"),
        render::counted(router.adverts_sent, "advert", "adverts"),
        render::count(router.adverts_received)
    )?;
    router.rejected.iter().try_for_each(|rejected| reject(rejected, text))?;
    router.warnings.iter().try_for_each(|warning| writeln!(text, "  ! {}", render::plain(warning)))
}

/// `90 (150, script check_nginx -60)`, where something makes it another one.
fn priority(router: &InstanceStatus) -> String {
    let own = router.priority.to_string();
    if router.priority_why.is_empty() || router.priority_why == own {
        own
    } else {
        format!("{own} ({})", render::plain(&router.priority_why))
    }
}

/// Which addresses are held here, and which of them are missing where all should be.
fn addresses(router: &InstanceStatus, text: &mut String) -> fmt::Result {
    if router.held.is_empty() {
        return writeln!(text, "  holds none of {}", list(&router.addresses));
    }
    writeln!(text, "  holds {}", list(&router.held))?;
    let missing: Vec<_> = router.addresses.iter().filter(|address| !router.held.contains(address)).cloned().collect();
    if missing.is_empty() { Ok(()) } else { writeln!(text, "  MISSING: {}", list(&missing)) }
}

fn list(addresses: &[String]) -> String {
    addresses.iter().map(|address| render::plain(address)).collect::<Vec<_>>().join(", ")
}

fn reject(rejected: &RejectedStatus, text: &mut String) -> fmt::Result {
    let from = rejected.from.map_or("others".to_owned(), |from| from.to_string());
    writeln!(
        text,
        "  rejected {} from {from}: {}, the last one {} ago",
        render::counted(rejected.count, "packet", "packets"),
        render::plain(&rejected.reason),
        render::age(rejected.last_seconds)
    )
}
