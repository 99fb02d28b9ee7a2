//! Who is connected, what is pending, what goes next and who may write, as state machines without
//! IO and clock: `handle_*(now, …)` in, `poll_action` and `poll_timeout` out.
//!
//! | question | file |
//! |---|---|
//! | is the peer there, and when is it tried again? | `peer` |
//! | what does one peer not hold yet of one set, and what is sent next? | `channel`, `action` |
//! | what does an operator want? | `operator` |
//! | which names are pending, since when, why? | `names`, `flight`, `standing` |
//! | who may write a set, and up to which epoch? | `receiver` |
//! | how long until the next attempt? | `retry` |
//!
//! After every `handle_*` the driver calls `poll_action` until it returns none, does what it asks
//! for, and calls it again no later than `poll_timeout` says. One connection joins two nodes:
//! events of an older connection or stream are dropped by the driver.

mod action;
mod channel;
mod fault;
mod flight;
mod names;
mod operator;
mod pace;
mod peer;
mod receiver;
mod retry;
mod standing;
#[cfg(test)]
mod tests;

pub use action::{Action, Options, Phase, Sending};
pub use channel::Channel;
pub use fault::Fault;
pub use names::Unacknowledged;
pub use pace::Pace;
pub use peer::{CloseReason, Peer, PeerAction, PeerState, greet};
pub use receiver::{Opening, Receiver, SessionId, Verdict};
pub use retry::Backoff;
