//! Epochs and generations: who may write a set, and how far it has come.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, EPOCHS, GENERATIONS, SEEN_EPOCHS};
use crate::model::{Epoch, Generation};

impl Store {
    /// The last epoch that this node took for `set`; [`Epoch::NONE`] when it took none or the store
    /// was lost, in which case the peers know.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn epoch(&self, set: &str) -> Result<Epoch, StoreError> {
        self.read_epoch(EPOCHS, set)
    }

    /// Takes `epoch` for `set`, durably; an older one than is held changes nothing. Returns the
    /// one that is held now.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable: then nothing may be sent under it.
    pub fn set_epoch(&self, set: &str, epoch: Epoch) -> Result<Epoch, StoreError> {
        self.raise_epoch(EPOCHS, set, epoch)
    }

    /// The newest epoch that a source of `set` has shown; [`Epoch::NONE`] before the first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn seen_epoch(&self, set: &str) -> Result<Epoch, StoreError> {
        self.read_epoch(SEEN_EPOCHS, set)
    }

    /// Notes that a source of `set` has shown `epoch`, durably; an older one changes nothing.
    /// Returns the newest.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable: then nothing may be applied under it.
    pub fn set_seen_epoch(&self, set: &str, epoch: Epoch) -> Result<Epoch, StoreError> {
        self.raise_epoch(SEEN_EPOCHS, set, epoch)
    }

    /// The newest generation of `set` that was recorded; it may lag behind the truth, never lead.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn generation(&self, set: &str) -> Result<Generation, StoreError> {
        Ok(self.read(|txn| tables::get(txn, GENERATIONS, set))?.unwrap_or(Generation::NONE))
    }

    /// The same, which the store does not know any more once this returns, durably: whoever takes it is
    /// about to leave it behind, and may not live to say where that ended.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be taken.
    pub fn take_generation(&self, set: &str) -> Result<Generation, StoreError> {
        let generation = self.generation(set)?;
        if generation != Generation::NONE {
            self.write(|txn| put_generation(txn, set, &Generation::NONE))?;
        }
        Ok(generation)
    }

    fn read_epoch(&self, table: Table, set: &str) -> Result<Epoch, StoreError> {
        Ok(self.read(|txn| tables::get(txn, table, set))?.unwrap_or(Epoch::NONE))
    }

    fn raise_epoch(&self, table: Table, set: &str, epoch: Epoch) -> Result<Epoch, StoreError> {
        let held = self.read_epoch(table, set)?;
        if epoch <= held {
            return Ok(held);
        }
        self.write(|txn| {
            let mut table = txn.open_table(table)?;
            let held = table.get(set)?.map(|v| tables::decode::<Epoch>(v.value())).transpose()?;
            let newest = held.map_or(epoch, |held| held.max(epoch));
            table.insert(set, &*tables::encode(&newest)?)?;
            Ok(newest)
        })
    }
}

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// Records the generation of `set` as part of a batch.
pub(super) fn put_generation(txn: &WriteTransaction, set: &str, generation: &Generation) -> Result<(), Trouble> {
    txn.open_table(GENERATIONS)?.insert(set, &*tables::encode(generation)?)?;
    Ok(())
}
