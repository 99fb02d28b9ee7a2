//! What the one loop of the supervisor waits for.

use super::engine::FromEngine;
use super::upgrade::Upgrade;
use super::worker::Said;
use crate::vrrp::message::{FromVrrp, Observed};

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The VRRP process of this start said something.
    Vrrp(u64, Said<FromVrrp>),
    /// The engine of this start said something.
    Engine(u64, Said<FromEngine>),
    /// The VRRP process that another program started, and that hands over, said something.
    Earlier(Said<FromVrrp>),
    /// Something that is tracked was looked at.
    Observed(Observed),
    /// It is time to start the VRRP process again.
    StartVrrp,
    /// It is time to start the engine again.
    StartEngine,
    /// The program is to be replaced.
    Upgrade(Upgrade),
}
