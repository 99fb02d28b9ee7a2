//! The pure half of VRRP: packets and the state machine.
//!
//! | question | file |
//! |---|---|
//! | which bytes travel? | [`packet`] |
//! | who is master, and when is that decided? | [`router`] |
//!
//! Whoever receives a packet rejects it here or hands it to a router; what is rejected touches no timer.

pub mod packet;
pub mod router;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
