//! The VRRP process: drives `vrrp::machine` with sockets, netlink and the clock.
//!
//! One thread and one ppoll(2), so that an advertisement is late only if the kernel is: no runtime, no
//! log, no file. What it has to say goes to the supervisor, and never waits for it.
//!
//! | question | file |
//! |---|---|
//! | what is waited for, and in which order is it looked at? | `process.rs` |
//! | how is what the machine decides done? | `hands.rs` |
//! | which sockets are open for which instance? | `outlets.rs` |
//! | what is there on this host? | `surroundings.rs` |
//! | how does it talk with the supervisor? | `channel.rs` |

mod channel;
mod hands;
mod outlets;
mod process;
mod surroundings;

pub use process::{VrrpProcessError, run};
