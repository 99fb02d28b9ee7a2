//! The index of a set: what its entries were when somebody last looked.

use redb::{ReadableTable, WriteTransaction};

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, existing, index, index_name};
use crate::model::{Manifest, Record, RelPath};

impl Store {
    /// The index of `set` as it was recorded last; empty where there is none.
    ///
    /// It may lag behind the disk: each record says by its stamp whether it still holds.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn load_index(&self, set: &str) -> Result<Manifest, StoreError> {
        let name = index_name(set);
        self.read(|txn| {
            let mut manifest = Manifest::new();
            let Some(table) = existing(txn.open_table(index(&name)))? else {
                return Ok(manifest);
            };
            for row in table.iter()? {
                let (path, record) = row?;
                manifest.insert(&stored_path(path.value())?, tables::decode::<Record>(record.value())?);
            }
            Ok(manifest)
        })
    }

    /// Records what changed in the index of `set`; none removes the path, and that path alone.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn save_index(&self, set: &str, changes: &[(RelPath, Option<Record>)]) -> Result<(), StoreError> {
        self.write(|txn| put(txn, set, changes.iter().map(|(path, record)| (path, record.as_ref()))))
    }

    /// Makes `manifest` the index of `set`.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable; the index is then what it was.
    pub fn replace_index(&self, set: &str, manifest: &Manifest) -> Result<(), StoreError> {
        self.write(|txn| {
            clear(txn, set)?;
            let mut table = txn.open_table(index(&index_name(set)))?;
            for (path, record) in manifest.iter() {
                table.insert(path.as_bytes(), &*tables::encode(record)?)?;
            }
            Ok(())
        })
    }
}

/// Drops the index of `set`.
pub(super) fn clear(txn: &WriteTransaction, set: &str) -> Result<(), Trouble> {
    txn.delete_table(index(&index_name(set)))?;
    Ok(())
}

/// Puts changes into the index of `set`.
pub(super) fn put<'a>(
    txn: &WriteTransaction,
    set: &str,
    changes: impl Iterator<Item = (&'a RelPath, Option<&'a Record>)>,
) -> Result<(), Trouble> {
    let name = index_name(set);
    let mut table = txn.open_table(index(&name))?;
    for (path, record) in changes {
        match record {
            Some(record) => drop(table.insert(path.as_bytes(), &*tables::encode(record)?)?),
            None => drop(table.remove(path.as_bytes())?),
        }
    }
    Ok(())
}

/// A key of a table as the path that it was made of.
pub(super) fn stored_path(bytes: &[u8]) -> Result<RelPath, Trouble> {
    if bytes == b"." { Ok(RelPath::root()) } else { Ok(RelPath::parse(bytes)?) }
}
