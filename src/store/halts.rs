//! Halts of the delete guards, here and at the peers: no restart releases what only an operator may.

use redb::WriteTransaction;

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, HALTS, HOLDS, existing};
use crate::plan::Halt;

impl Store {
    /// Why deletions of `set` were halted when that was recorded last; none when they were not, or
    /// an operator released them since.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn halt(&self, set: &str) -> Result<Option<Halt>, StoreError> {
        self.read(|txn| tables::get(txn, HALTS, set))
    }

    /// Whether deletions were held back for `target` when that was recorded last.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn holds(&self, target: &str) -> Result<bool, StoreError> {
        self.read(|txn| {
            let table = existing(txn.open_table(HOLDS))?;
            Ok(table.map(|table| table.get(target).map(|row| row.is_some())).transpose()?.unwrap_or(false))
        })
    }
}

/// Records as part of a batch why deletions of `set` are halted, or that they are not.
pub(super) fn put(txn: &WriteTransaction, set: &str, halt: Option<&Halt>) -> Result<(), Trouble> {
    let mut table = txn.open_table(HALTS)?;
    match halt {
        Some(halt) => drop(table.insert(set, &*tables::encode(halt)?)?),
        None => drop(table.remove(set)?),
    }
    Ok(())
}

/// Records as part of a batch whether deletions are held back for `target`.
pub(super) fn put_hold(txn: &WriteTransaction, target: &str, holds: bool) -> Result<(), Trouble> {
    let mut table = txn.open_table(HOLDS)?;
    if holds {
        table.insert(target, ())?;
    } else {
        table.remove(target)?;
    }
    Ok(())
}
