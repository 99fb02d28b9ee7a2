//! The retry log: what a target has not acknowledged.

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::error::{StoreError, Trouble};
use super::index::stored_path;
use super::tables::{self, PENDING, existing};
use super::{Store, halts};
use crate::model::{Entry, RelPath};

/// A name that a target has not acknowledged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pending {
    /// When it first differed, in milliseconds since 1970: for people, nothing is ordered by it.
    pub since_unix_ms: u64,
    /// Why it is still here, for people; empty while it is merely on its way.
    pub cause: String,
    /// What the target holds under the name; none when it holds nothing, or nobody knows.
    pub base: Option<Entry>,
}

impl Store {
    /// Records names that `target` has not acknowledged, in place of what stood there for them.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn record_pending(&self, target: &str, names: &[(RelPath, Pending)]) -> Result<(), StoreError> {
        self.write(|txn| put(txn, target, names.iter().map(|(path, pending)| (path, Some(pending)))))
    }

    /// Lets go of names that `target` has acknowledged.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable: those names are sent once more after a restart.
    pub fn clear_pending(&self, target: &str, names: &[RelPath]) -> Result<(), StoreError> {
        self.write(|txn| put(txn, target, names.iter().map(|path| (path, None))))
    }

    /// Forgets everything about `target`, which the configuration no longer names.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn forget_target(&self, target: &str) -> Result<(), StoreError> {
        let end = after(target);
        self.write(|txn| {
            txn.open_table(PENDING)?.retain_in((target, &b""[..])..(end.as_str(), &b""[..]), |_, _| false)?;
            halts::put_hold(txn, target, false)
        })
    }

    /// What `target` has not acknowledged, by path.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn pending(&self, target: &str) -> Result<Vec<(RelPath, Pending)>, StoreError> {
        let end = after(target);
        self.read(|txn| {
            let Some(table) = existing(txn.open_table(PENDING))? else {
                return Ok(Vec::new());
            };
            let mut names = Vec::new();
            for row in table.range((target, &b""[..])..(end.as_str(), &b""[..]))? {
                let (at, pending) = row?;
                names.push((stored_path(at.value().1)?, tables::decode(pending.value())?));
            }
            Ok(names)
        })
    }

    /// The targets that have not acknowledged something.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn targets(&self) -> Result<Vec<String>, StoreError> {
        self.read(|txn| {
            let Some(table) = existing(txn.open_table(PENDING))? else {
                return Ok(Vec::new());
            };
            let mut targets = Vec::<String>::new();
            let mut from = String::new();
            while let Some(row) = table.range((from.as_str(), &b""[..])..)?.next() {
                let target = row?.0.value().0.to_owned();
                from = after(&target);
                targets.push(target);
            }
            Ok(targets)
        })
    }
}

/// The smallest string above `target`.
fn after(target: &str) -> String {
    format!("{target}\0")
}

/// Puts names of `target` into the retry log, and takes those out that have nothing.
pub(super) fn put<'a>(
    txn: &WriteTransaction,
    target: &str,
    names: impl Iterator<Item = (&'a RelPath, Option<&'a Pending>)>,
) -> Result<(), Trouble> {
    let mut table = txn.open_table(PENDING)?;
    for (path, pending) in names {
        let at = (target, path.as_bytes());
        match pending {
            Some(pending) => drop(table.insert(at, &*tables::encode(pending)?)?),
            None => drop(table.remove(at)?),
        }
    }
    Ok(())
}
