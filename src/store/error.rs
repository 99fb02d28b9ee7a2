//! Why the store cannot be used, and which of its troubles mean what.

use std::io;
use std::path::PathBuf;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refuses: no room, no right, another process has it open.
    #[error("cannot use the store {path}: {source}", path = path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// What was refused.
        source: Box<redb::Error>,
    },
    /// A later version of syncd wrote it.
    #[error(
        "the store {path} has schema {found} and this syncd knows up to {known}: run the newer syncd again, or move \
         the file away at the cost of one full compare",
        path = path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// [`super::SCHEMA`].
        known: u64,
    },
    /// It is damaged, and could not be moved out of the way.
    #[error("the store {path} is damaged ({cause}) and cannot be replaced: {source}", path = path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
        /// Why it could not be replaced.
        source: io::Error,
    },
    /// A group commit failed; what it held is lost to the store and the next start compares in full.
    #[error("the store could not be written: {0}")]
    NotWritten(String),
}

impl StoreError {
    /// Whether somebody else has the database open.
    pub(super) fn is_open_elsewhere(&self) -> bool {
        matches!(self, Self::Unusable { source, .. } if matches!(**source, redb::Error::DatabaseAlreadyOpen))
    }
}

/// What goes wrong inside one transaction.
#[derive(Debug)]
pub(super) enum Trouble {
    /// As redb tells it.
    Redb(Box<redb::Error>),
    /// A record does not decode, or redb ran into its own data.
    Damage(String),
    /// A later version of syncd wrote the store, under this schema.
    Newer(u64),
}

impl Trouble {
    /// What is damaged, if it is that: the medium answered, and the answer makes no sense.
    pub(super) fn damage(&self) -> Option<String> {
        match self {
            Self::Damage(cause) => Some(cause.clone()),
            Self::Redb(error) => match &**error {
                redb::Error::Io(io)
                    if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
                {
                    Some(io.to_string())
                }
                redb::Error::Corrupted(_)
                | redb::Error::UpgradeRequired(_)
                | redb::Error::RepairAborted
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TypeDefinitionChanged { .. }
                | redb::Error::LockPoisoned(_) => Some(error.to_string()),
                _ => None,
            },
            Self::Newer(_) => None,
        }
    }
}

impl From<postcard::Error> for Trouble {
    fn from(error: postcard::Error) -> Self {
        Self::Damage(format!("a record does not decode: {error}"))
    }
}

impl From<crate::model::PathError> for Trouble {
    fn from(error: crate::model::PathError) -> Self {
        Self::Damage(format!("a key is no path: {error}"))
    }
}

macro_rules! from_redb {
    ($($kind:ident),+) => {$(
        impl From<redb::$kind> for Trouble {
            fn from(error: redb::$kind) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        }
    )+};
}

from_redb!(CommitError, DatabaseError, SetDurabilityError, StorageError, TableError, TransactionError);
