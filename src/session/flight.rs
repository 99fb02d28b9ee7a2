//! A change set that is under way.

use std::collections::BTreeMap;

use super::names::Name;
use crate::model::{Entry, Epoch, RelPath};

/// What was sent and is not acknowledged yet.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) epoch: Epoch,
    pub(super) number: u64,
    pub(super) names: BTreeMap<RelPath, Flown>,
    pub(super) moves: Vec<(RelPath, RelPath)>,
    /// It carries deletions that an operator approved.
    pub(super) approved: bool,
}

/// One name of it.
#[derive(Clone, Debug)]
pub(super) struct Flown {
    pub(super) name: Name,
    pub(super) fate: Fate,
}

/// What became of a name when the change set was made.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// The driver has not said yet.
    Unreported,
    /// The peer holds this once the change set is live.
    Sent(Option<Entry>),
    /// It is left out: it could not be read.
    Unsendable(String),
    /// It is left out: deletions are halted.
    Withheld,
}

impl Flight {
    pub(super) fn report(&mut self, path: &RelPath, fate: Fate) -> bool {
        let flown = self.names.get_mut(path);
        flown.map(|flown| flown.fate = fate).is_some()
    }
}
