//! Which attributes of an entry a set keeps equal.

use serde::{Deserialize, Serialize};

/// The attributes that a set replicates, as rsync's `-p -o -g -t -X -H` choose them.
///
/// What is not chosen neither travels into effect nor counts as a difference.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attrs(u16);

impl Attrs {
    /// Nothing but type and content.
    pub const NONE: Self = Self(0);
    /// Permission bits (`-p`).
    pub const MODE: Self = Self(1);
    /// Owner (`-o`), where the receiver may set it.
    pub const OWNER: Self = Self(2);
    /// Group (`-g`).
    pub const GROUP: Self = Self(4);
    /// Modification time in nanoseconds (`-t`), of files, directories and symlinks.
    pub const MTIME: Self = Self(8);
    /// Extended attributes and ACLs (`-X`, `-A`).
    pub const XATTRS: Self = Self(16);
    /// Which names are links to one inode (`-H`).
    pub const HARD_LINKS: Self = Self(32);
    /// What rsync's `-a` keeps: mode, owner, group and mtime.
    pub const ARCHIVE: Self = Self(1 | 2 | 4 | 8);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
