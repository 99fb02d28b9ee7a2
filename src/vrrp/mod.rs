//! The pure half of VRRP: packets, the state machine, and all that decides what a node does.
//!
//! | question | file |
//! |---|---|
//! | what is a node to do? | [`setup`] |
//! | which bytes travel? | [`packet`] |
//! | does a packet that came count? | [`inbound`] |
//! | who is master, and when is that decided? | [`router`] |
//! | what moves a priority, or is a fault? | [`tracker`], [`interfaces`] |
//! | which instances are master together? | [`group`] |
//! | which addresses does an instance hold? | [`holding`] |
//! | when are neighbours told? | [`announcer`] |
//! | all of that for one instance, and for the node? | [`instance`], [`machine`] |
//! | what is counted? | [`counters`] |
//! | what do the supervisor and the VRRP process tell each other? | [`message`], [`frames`], [`clock`], `words.rs` |
//!
//! Whoever receives a packet rejects it here or hands it to a router; what is rejected touches no timer.

pub mod announcer;
pub mod backoff;
pub mod clock;
pub mod counters;
pub mod frames;
pub mod group;
pub mod holding;
pub mod inbound;
pub mod instance;
pub mod interfaces;
pub mod machine;
pub mod message;
pub mod packet;
pub mod router;
pub mod setup;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
pub mod tracker;
mod words;
