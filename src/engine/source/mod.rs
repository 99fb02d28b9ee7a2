//! The sending side: how a change finds its way to every peer.
//!
//! | question | file |
//! |---|---|
//! | what is on disk, as far as it was looked at? | `index` |
//! | what did an event turn out to be? | `refresh` |
//! | who is told? | `watching` |
//! | when does the store learn of it? | `saved` |
//! | what is a set and a target here? | `set` |
//! | how is a peer reached, for ever? | `peer`, `up`, `open` |
//! | where do two trees differ? | `compare`, `merge` |
//! | how does a change set travel? | `send`, `content` |
//! | what could a peer not make? | `failed` |
//! | what became of what a peer was asked for? | `outcome` |
//! | why does nothing go, and until when? | `halts` |
//! | who serves a peer that runs no syncd yet? | `fallback`, `rsync` |
//! | when are plugins told? | `after` |

mod after;
mod compare;
mod content;
mod failed;
mod fallback;
mod halts;
mod index;
mod left_out;
mod merge;
mod open;
mod outcome;
mod peer;
mod refresh;
mod rsync;
mod saved;
mod send;
mod set;
mod up;
mod watching;

pub(crate) use after::After;
pub(crate) use halts::Halts;
pub use index::Index;
pub use merge::Difference;
pub use peer::{Peer, Shared};
#[cfg(fuzzing)]
pub use rsync::fuzzing;
pub use saved::Saved;
pub use set::{SourceSet, Target, target_id};
pub use watching::Watching;
