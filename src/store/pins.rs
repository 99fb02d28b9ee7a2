//! Pinned keys: which node proved a user's password first.

use redb::ReadableTable;

use super::Store;
use super::error::StoreError;
use super::tables::{PINS, existing};
use crate::model::NodeKey;

/// A key that is pinned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// The set (rsyncd's module), or what else the key was trusted for.
    pub set: String,
    /// The user that it proved; empty where a key alone is the proof.
    pub user: String,
    /// The node that did.
    pub key: NodeKey,
}

impl Store {
    /// The key that is pinned for `user` of `set`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read; then nobody may be let in.
    pub fn pin(&self, set: &str, user: &str) -> Result<Option<NodeKey>, StoreError> {
        self.read(|txn| {
            let Some(table) = existing(txn.open_table(PINS))? else {
                return Ok(None);
            };
            Ok(table.get((set, user))?.map(|v| NodeKey(v.value())))
        })
    }

    /// Pins `key` for `user` of `set` unless a key is pinned already, durably; returns the one that
    /// is pinned now. Of two that come first at once, one wins.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable; then nobody may be let in.
    pub fn set_pin(&self, set: &str, user: &str, key: NodeKey) -> Result<NodeKey, StoreError> {
        self.write(|txn| {
            let mut table = txn.open_table(PINS)?;
            let held = table.get((set, user))?.map(|v| NodeKey(v.value()));
            if held.is_none() {
                table.insert((set, user), key.0)?;
            }
            Ok(held.unwrap_or(key))
        })
    }

    /// Forgets the key that is pinned for `user` of `set`, so that the next one is; whether there
    /// was one.
    ///
    /// # Errors
    /// [`StoreError`] when that is not durable.
    pub fn forget_pin(&self, set: &str, user: &str) -> Result<bool, StoreError> {
        self.write(|txn| Ok(txn.open_table(PINS)?.remove((set, user))?.is_some()))
    }

    /// All pinned keys, by set and user.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        self.read(|txn| {
            let Some(table) = existing(txn.open_table(PINS))? else {
                return Ok(Vec::new());
            };
            let mut pins = Vec::new();
            for row in table.iter()? {
                let (at, key) = row?;
                let (set, user) = at.value();
                pins.push(Pin { set: set.to_owned(), user: user.to_owned(), key: NodeKey(key.value()) });
            }
            Ok(pins)
        })
    }
}
