//! The VRRP process: drives `vrrp::machine` with sockets, netlink and the clock.
//!
//! One thread, one poll(2) and one timer, so that an advertisement is late only if the kernel is: no runtime, no
//! log, no file. What it has to say goes to the supervisor, and never waits for it. A second thread keeps leases.
//!
//! | question | file |
//! |---|---|
//! | what is waited for, and in which order is it looked at? | `process.rs` |
//! | what does it begin with, and what does it do where nobody is left to say so? | `heir.rs` |
//! | how does it wake up on time? | `alarm.rs` |
//! | how is what the machine decides done? | `hands.rs` |
//! | who has addresses kept while adverts go on? | `keeper.rs` |
//! | which sockets are open for which instance? | `outlets.rs` |
//! | what is there on this host? | `surroundings.rs` |
//! | how does it talk with the supervisor? | `channel.rs` |

mod alarm;
mod channel;
mod hands;
mod heir;
mod keeper;
mod outlets;
mod process;
mod surroundings;

pub use process::{VrrpProcessError, run};
