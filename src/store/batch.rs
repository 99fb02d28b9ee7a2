//! What the hot path wants written, coalesced: a path that changed a thousand times is written once.

use std::collections::{BTreeMap, HashMap};

use redb::WriteTransaction;

use super::error::Trouble;
use super::{Incident, Pending, generations, halts, incidents, index, pending};
use crate::model::{Generation, Manifest, Record, RelPath};
use crate::plan::Halt;

/// Something for the [`super::Writer`] to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// `target` has acknowledged these names.
    Acknowledged {
        /// The target.
        target: String,
        /// The names.
        names: Vec<RelPath>,
    },
    /// The newest generation of a set.
    Generation {
        /// The set.
        set: String,
        /// The generation.
        generation: Generation,
    },
    /// Why deletions of a set are halted.
    Halt {
        /// The set.
        set: String,
        /// Why; none when they are not, or no longer.
        halt: Option<Halt>,
    },
    /// Whether deletions are held back for `target`.
    Holds {
        /// The target.
        target: String,
        /// Whether.
        holds: bool,
    },
    /// A conflict or drift.
    Incident(Incident),
    /// What changed in the index of a set; none removes the path, and that path alone.
    Index {
        /// The set.
        set: String,
        /// The changes.
        changes: Vec<(RelPath, Option<Record>)>,
    },
    /// `target` has not acknowledged these names.
    Pending {
        /// The target.
        target: String,
        /// The names.
        names: Vec<(RelPath, Pending)>,
    },
    /// The whole index of a set.
    ReplaceIndex {
        /// The set.
        set: String,
        /// The index.
        manifest: Manifest,
    },
}

/// Writes that become one transaction. Its memory is bounded by the number of paths.
#[derive(Debug, Default)]
pub(super) struct Batch {
    indexes: HashMap<String, IndexBatch>,
    pending: HashMap<String, BTreeMap<RelPath, Option<Pending>>>,
    generations: HashMap<String, Generation>,
    halts: HashMap<String, Option<Halt>>,
    holds: HashMap<String, bool>,
    incidents: Vec<Incident>,
    must_last: bool,
}

#[derive(Debug, Default)]
struct IndexBatch {
    replaces: bool,
    changes: BTreeMap<RelPath, Option<Record>>,
}

impl Batch {
    /// Adds a write after those that are here.
    pub(super) fn add(&mut self, write: Write) {
        match write {
            Write::Acknowledged { target, names } => {
                self.pending.entry(target).or_default().extend(names.into_iter().map(|path| (path, None)));
            }
            Write::Generation { set, generation } => drop(self.generations.insert(set, generation)),
            Write::Halt { set, halt } => {
                self.halts.insert(set, halt);
                self.must_last = true;
            }
            Write::Holds { target, holds } => {
                self.holds.insert(target, holds);
                self.must_last = true;
            }
            Write::Incident(incident) => {
                self.incidents.push(incident);
                self.must_last = true;
            }
            Write::Index { set, changes } => self.indexes.entry(set).or_default().changes.extend(changes),
            Write::Pending { target, names } => {
                let names = names.into_iter().map(|(path, pending)| (path, Some(pending)));
                self.pending.entry(target).or_default().extend(names);
                self.must_last = true;
            }
            Write::ReplaceIndex { set, manifest } => {
                let changes = manifest.iter().map(|(path, record)| (path, Some(record.clone()))).collect();
                self.indexes.insert(set, IndexBatch { replaces: true, changes });
            }
        }
    }

    /// Whether it holds what nothing else would bring back after a power loss. An index that lags
    /// costs a hash, a name that stays in the retry log is sent once more.
    pub(super) fn must_last(&self) -> bool {
        self.must_last
    }

    /// Writes all of it.
    pub(super) fn apply(&self, txn: &WriteTransaction) -> Result<(), Trouble> {
        for (set, batch) in &self.indexes {
            if batch.replaces {
                index::clear(txn, set)?;
            }
            index::put(txn, set, batch.changes.iter().map(|(path, record)| (path, record.as_ref())))?;
        }
        for (target, names) in &self.pending {
            pending::put(txn, target, names.iter().map(|(path, pending)| (path, pending.as_ref())))?;
        }
        for (set, generation) in &self.generations {
            generations::put_generation(txn, set, generation)?;
        }
        for (set, halt) in &self.halts {
            halts::put(txn, set, halt.as_ref())?;
        }
        for (target, holds) in &self.holds {
            halts::put_hold(txn, target, *holds)?;
        }
        if !self.incidents.is_empty() {
            incidents::add(txn, &self.incidents)?;
        }
        Ok(())
    }
}
