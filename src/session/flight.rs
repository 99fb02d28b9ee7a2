//! A change set that is under way.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Name;
use crate::model::{Entry, Epoch, RelPath};
use crate::wire::Failed;

/// What was sent and is not acknowledged yet.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) epoch: Epoch,
    pub(super) number: u64,
    pub(super) names: BTreeMap<RelPath, Flown>,
    pub(super) moves: Vec<(RelPath, RelPath)>,
    /// What it removes, under the names that the renames leave.
    pub(super) removed: BTreeSet<RelPath>,
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
    /// It was sent, but what the peer holds there once the change set is live cannot be told.
    Doubtful,
    /// Nothing was sent, and nothing is owed: the peer holds what it held.
    Kept,
    /// It is left out: it could not be read.
    Unsendable(String),
    /// It is left out: deletions are halted.
    Withheld,
}

impl Flight {
    /// Notes what became of a name; whether it is one of this change set.
    pub(super) fn report(&mut self, path: &RelPath, fate: Fate) -> bool {
        let Some(flown) = self.names.get_mut(path) else { return false };
        if !matches!(flown.fate, Fate::Withheld) {
            flown.fate = fate;
        }
        true
    }

    /// Whether it removes `path`, by itself or with a directory.
    pub(super) fn removes(&self, path: &RelPath) -> bool {
        path.ancestors().any(|above| self.removed.contains(&above))
    }

    /// What it removes that none of its names stands for: what came along with a rename.
    pub(super) fn removed_besides(&self) -> Vec<RelPath> {
        self.removed.iter().filter(|path| !self.names.contains_key(*path)).cloned().collect()
    }

    /// Whether `path`, which is not of this change set, goes with a directory that is removed,
    /// moved or replaced by it.
    pub(super) fn takes(&self, path: &RelPath) -> bool {
        let no_dir = |fate: &Fate| matches!(fate, Fate::Sent(entry) if !entry.as_ref().is_some_and(Entry::is_dir));
        path.ancestors().skip(1).any(|above| {
            self.removed.contains(&above) || self.names.get(&above).is_some_and(|flown| no_dir(&flown.fate))
        })
    }
}

/// What did not come about, at the peer or before it was sent, each with its cause.
pub(super) struct LeftOut(BTreeMap<RelPath, String>);

impl LeftOut {
    pub(super) fn new(failed: &[Failed], flight: &Flight) -> Self {
        let unsent = flight.names.iter().filter_map(|(path, flown)| match &flown.fate {
            Fate::Unsendable(cause) => Some((path.clone(), cause.clone())),
            _ => None,
        });
        Self(unsent.chain(failed.iter().map(|f| (f.path.clone(), f.cause.clone()))).collect())
    }

    /// Why `path` did not come about: because of itself, or of what stands above it. A file that
    /// was to replace a directory and could not leaves all that is below where it was.
    pub(super) fn cause(&self, path: &RelPath, fate: &Fate) -> Option<&str> {
        let above = if self.0.is_empty() { None } else { path.ancestors().find_map(|above| self.0.get(&above)) };
        let unreported = matches!(fate, Fate::Unreported).then_some("was not sent");
        above.map(String::as_str).or(unreported)
    }
}
