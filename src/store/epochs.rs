//! Epochs: who may write a set.

use redb::{ReadableTable, TableDefinition};

use super::Store;
use super::error::StoreError;
use super::tables::{self, EPOCHS, SEEN_EPOCHS};
use crate::model::Epoch;

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
