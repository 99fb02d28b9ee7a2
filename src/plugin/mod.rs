//! What is done after a change was mirrored: sersync2's plugins.
//!
//! | question | file |
//! |---|---|
//! | which bytes go out for a change, which words are run? | `request.rs` |
//! | which paths does an expression mean, and what does it make of them? | `pattern.rs` |
//! | which change is next, and how many may wait? | `queue.rs` |
//! | how is one told? | `act.rs` |
//! | who tells them all? | `outlet.rs` |
//!
//! A plugin never holds up the mirror: its queue is bounded, and so are its time and its number.
//! No shell is run, and a file's name is one argument.

mod act;
mod outlet;
mod pattern;
mod queue;
mod request;

pub use outlet::Outlet;
pub use pattern::Pattern;
pub use queue::Changed;
