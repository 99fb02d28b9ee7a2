//! The tables of schema 1. A table whose rows change their form gets a new name, so that the
//! release before and the release after can both read what they know.

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Trouble;

/// The schema that this version writes.
pub const SCHEMA: u64 = 1;

/// Facts about the store itself: `schema`.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// Set → the last epoch that this node took.
pub(super) const EPOCHS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("epochs-1");
/// Set → the newest epoch that was seen from a source.
pub(super) const SEEN_EPOCHS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("seen-epochs-1");
/// Set or target → the newest generation.
pub(super) const GENERATIONS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("generations-1");
/// Set → the digest of the configuration that generations were agreed upon under.
pub(super) const CONFIGURED: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("configured-1");
/// (set, user) → node key.
pub(super) const PINS: TableDefinition<'static, (&str, &str), [u8; 32]> = TableDefinition::new("pins-1");
/// (target, path) → [`super::Pending`].
pub(super) const PENDING: TableDefinition<'static, (&str, &[u8]), &[u8]> = TableDefinition::new("pending-1");
/// Set → [`crate::plan::Halt`]; nothing for a set that is not halted.
pub(super) const HALTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("halts-1");
/// Target → nothing: deletions are held back for it.
pub(super) const HOLDS: TableDefinition<'static, &str, ()> = TableDefinition::new("holds-1");
/// Running number → [`super::Incident`].
pub(super) const INCIDENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("incidents-1");

/// The name of the table of a set's index: path → [`crate::model::Record`].
///
/// A table for each set, so that a whole index is replaced by dropping its table.
pub(super) fn index_name(set: &str) -> String {
    format!("index-1/{set}")
}

/// The definition under a name made by [`index_name`].
pub(super) fn index(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// Writes the schema into a new store and refuses one that is newer.
pub(super) fn check_schema(txn: &WriteTransaction) -> Result<(), Trouble> {
    let mut meta = txn.open_table(META)?;
    let found = meta.get("schema")?.map(|v| v.value());
    match found {
        Some(found) if found > SCHEMA => Err(Trouble::Newer(found)),
        Some(SCHEMA) => Ok(()),
        _ => {
            meta.insert("schema", SCHEMA)?;
            Ok(())
        }
    }
}

/// `value` as it is stored.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Trouble> {
    Ok(postcard::to_stdvec(value)?)
}

/// What [`encode`] made.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Trouble> {
    Ok(postcard::from_bytes(bytes)?)
}

/// The value that `table` holds for `set`; a table that nobody has written yet holds nothing.
pub(super) fn get<T: DeserializeOwned>(
    txn: &ReadTransaction,
    table: TableDefinition<'static, &str, &[u8]>,
    set: &str,
) -> Result<Option<T>, Trouble> {
    let Some(table) = existing(txn.open_table(table))? else {
        return Ok(None);
    };
    table.get(set)?.map(|v| decode(v.value())).transpose()
}

/// None for a table that nobody has written yet.
pub(super) fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, Trouble> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
