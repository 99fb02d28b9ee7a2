//! The pure half of VRRP: packets and the state machine.
//!
//! | question | file |
//! |---|---|
//! | which bytes travel? | [`packet`] |
//! | who is master, and when is that decided? | [`router`] |
//! | what is a node to do? | [`setup`] |
//! | what do the supervisor and the VRRP process tell each other? | [`message`], [`frames`] |
//!
//! Whoever receives a packet rejects it here or hands it to a router; what is rejected touches no timer.

pub mod frames;
pub mod message;
pub mod packet;
pub mod router;
pub mod setup;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
