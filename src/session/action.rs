//! How a channel begins, what it asks its driver for, and where it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Base, Epoch, Generation, RelPath};

/// How a channel begins.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Compare both trees whenever the set was opened.
    pub full_compare: bool,
    /// The ceiling of every backoff, at most 10 s.
    pub retry_ceiling: Duration,
    /// The source's epoch for the set.
    pub epoch: Epoch,
    /// What [`super::Channel::agreed`] said when the retry log was recorded; [`Generation::NONE`]
    /// before the first. A peer that has reached another one holds what the log does not know of:
    /// that costs a compare, whether `full_compare` is set or not.
    pub acked: Generation,
    /// Makes the jitter.
    pub seed: u64,
}

/// What the driver has to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Ask the peer for the set; `handle_opened` or `handle_refused` follows.
    Open,
    /// Compare the index with the peer's tree; `handle_compared` or `handle_compare_failed` follows.
    Compare,
    /// Plan and send a change set; `handle_ack`, `handle_nack` or `handle_empty` follows.
    Send(Sending),
    /// The peer knows a newer epoch: take one above it, persist it, and call `handle_epoch`.
    TakeEpoch {
        /// The newest that the peer has seen.
        newest: Epoch,
    },
    /// The peer broke the protocol: close the connection.
    CloseLink {
        /// How, for people.
        cause: String,
    },
}

/// A change set to be planned and sent.
///
/// The driver hands the plan in, [`super::Channel::handle_planned`], and says of every name that the plan
/// does not withhold what became of it, [`super::Channel::handle_sent`] or [`super::Channel::handle_unsendable`],
/// both before the answer of the peer. A name of which it says nothing is sent again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sending {
    /// The epoch to send in.
    pub epoch: Epoch,
    /// The generation that the peer has reached once it is live.
    pub number: u64,
    /// The names, each with what the peer holds there.
    pub names: BTreeMap<RelPath, Base>,
    /// Hints of moves, in the order in which they were seen.
    pub moves: Vec<(RelPath, RelPath)>,
    /// An operator approved deletions beyond the guards' limits.
    pub deletions_approved: bool,
    /// Its deletions are to be withheld: what was held back before the start is not known from what
    /// is new.
    pub withholds: bool,
}

/// Where a channel stands, for status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The set is not open: no connection, or refused and waiting.
    Closed,
    /// The set was asked for.
    Opening,
    /// Both trees are being compared.
    Comparing,
    /// Changes travel as they come.
    Live,
    /// The peer has seen a newer epoch: another node is primary.
    Fenced {
        /// The newest epoch it has seen.
        newest: Epoch,
    },
}
