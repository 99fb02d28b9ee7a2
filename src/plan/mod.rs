//! From what differs to the operations that make it equal. Data in, data out; no IO, no clock.
//!
//! | question | file |
//! |---|---|
//! | what may be sent? | `step` |
//! | which paths are put, linked or removed? | `diff` |
//! | which renames save content, and in which order? | `renames`, `hints` |
//! | did the tree lose too much at once? | `guard` |

mod diff;
mod guard;
mod hints;
mod renames;
mod slots;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use guard::{Guard, Halt};
pub use step::{Need, Plan, Put, Settled, Step};

use crate::model::{Attrs, Change, RelPath};

/// What a peer has to do so that it holds at every path of `changes` what is there now.
///
/// `moves` are hints in the order in which they were seen: the object at the second path was seen
/// at the first before. A wrong hint costs bytes, never correctness. Without `delete` nothing is
/// removed and nothing renamed; [`Plan::withheld`] names what stays for that reason. What has
/// another type now is replaced in any case.
///
/// Whoever calls this names every path that differs: all that was below a directory that is gone,
/// all that is below a new one, and with [`Attrs::HARD_LINKS`] every name of an inode that changed.
#[must_use]
pub fn plan(changes: &BTreeMap<RelPath, Change>, moves: &[(RelPath, RelPath)], attrs: Attrs, delete: bool) -> Plan {
    let mut slots = slots::of(changes);
    // Where not all that is unlike travels, the peer may not hold what a rename would take along.
    let all = !attrs.has_some(Attrs::EXISTING_ONLY.with(Attrs::NEW_ONLY));
    let renames = if delete && all { renames::find(&mut slots, moves, attrs) } else { Vec::new() };
    let mut plan = diff::diff(&slots, attrs, delete);
    plan.steps.splice(0..0, renames.into_iter().map(|(from, to)| Step::Rename { from, to }));
    plan
}
