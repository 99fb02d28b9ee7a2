//! How far a set has come, and under which configuration that was agreed upon.

use redb::{ReadableTable, WriteTransaction};

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, CONFIGURED, GENERATIONS};
use crate::model::{Digest, Epoch, Generation};

impl Store {
    /// The newest generation of `id`, a set or a target, that was recorded; it may lag behind the
    /// truth, never lead.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn generation(&self, id: &str) -> Result<Generation, StoreError> {
        Ok(self.read(|txn| tables::get(txn, GENERATIONS, id))?.unwrap_or(Generation::NONE))
    }

    /// The same, [`Generation::NONE`] for one in doubt, which the store does not know any more once
    /// this returns, durably: whoever takes it is about to leave it behind, and may not live to say
    /// where that ended.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be taken.
    pub fn take_generation(&self, id: &str) -> Result<Generation, StoreError> {
        let generation = self.generation(id)?;
        if generation == Generation::NONE {
            return Ok(generation);
        }
        self.write(|txn| put_generation(txn, id, &Generation::NONE))?;
        Ok(if generation.epoch == Epoch::NONE { Generation::NONE } else { generation })
    }

    /// Says that `set` has the `configuration` from now on. What was agreed upon for `ids` under
    /// another one is in doubt from then on, durably: what that let travel, this one may not, and
    /// what was not to travel was told to nobody.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn configure(&self, set: &str, configuration: Digest, ids: &[String]) -> Result<(), StoreError> {
        if self.read(|txn| tables::get(txn, CONFIGURED, set))? == Some(configuration) {
            return Ok(());
        }
        self.write(|txn| {
            ids.iter().try_for_each(|id| doubt(txn, id))?;
            txn.open_table(CONFIGURED)?.insert(set, &*tables::encode(&configuration)?)?;
            Ok(())
        })
    }

    /// After something was lost ([`Store::compare_needed`]) whatever was agreed upon is in doubt,
    /// durably.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn doubt_what_is_lost(&self) -> Result<(), StoreError> {
        if !self.compare_needed() {
            return Ok(());
        }
        self.write(|txn| {
            let ids: Vec<String> = {
                let table = txn.open_table(GENERATIONS)?;
                table.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect::<Result<_, Trouble>>()?
            };
            ids.iter().try_for_each(|id| doubt(txn, id))
        })?;
        self.compared();
        Ok(())
    }
}

/// Records the generation of `id` as part of a batch.
pub(super) fn put_generation(txn: &WriteTransaction, id: &str, generation: &Generation) -> Result<(), Trouble> {
    txn.open_table(GENERATIONS)?.insert(id, &*tables::encode(generation)?)?;
    Ok(())
}

fn doubt(txn: &WriteTransaction, id: &str) -> Result<(), Trouble> {
    let held = txn.open_table(GENERATIONS)?.get(id)?.map(|v| tables::decode::<Generation>(v.value())).transpose()?;
    held.map_or(Ok(()), |held| put_generation(txn, id, &held.doubted()))
}
