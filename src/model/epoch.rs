//! The fencing token of a set, and the generations that it numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Digest;

/// The identity of a node: the BLAKE3 hash of its public key (SubjectPublicKeyInfo, DER).
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct NodeKey(pub [u8; 32]);

/// The first eight bytes in hexadecimal, as shown everywhere.
impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The fencing token of a set: a higher counter each time a node becomes primary.
///
/// Totally ordered by counter, then key, so that two isolated nodes can never hold the same one.
/// A receiver refuses anything older than the newest it has seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Epoch {
    /// Starts at 1; 0 is older than every epoch that was ever taken.
    pub counter: u64,
    /// The node that took it.
    pub node: NodeKey,
}

impl Epoch {
    /// Before every epoch that was ever taken.
    pub const NONE: Self = Self { counter: 0, node: NodeKey([0; 32]) };

    /// The epoch that `node` takes after having seen `self`.
    #[must_use]
    pub fn next(self, node: NodeKey) -> Self {
        Self { counter: self.counter.saturating_add(1), node }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.counter, self.node)
    }
}

/// The state that a set has after a change set.
///
/// Every change that the primary counted up to `number` is included; `root`, where it is known,
/// is the Merkle root of the manifest that results.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Generation {
    /// The epoch it was made in.
    pub epoch: Epoch,
    /// Counts up within the epoch.
    pub number: u64,
    /// Merkle root of the manifest after it.
    pub root: Option<Digest>,
}

impl Generation {
    /// Before every generation.
    pub const NONE: Self = Self { epoch: Epoch::NONE, number: 0, root: None };

    /// The same number, of no epoch: nobody knows whether a peer holds it, and no later generation
    /// may have its number.
    #[must_use]
    pub fn doubted(self) -> Self {
        Self { number: self.number, ..Self::NONE }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.counter, self.number)
    }
}
