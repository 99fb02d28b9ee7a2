//! Halts of the delete guard: no restart releases what only an operator may.

use redb::WriteTransaction;

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, HALTS};
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
