//! Which attributes of an entry a set keeps equal.

use serde::{Deserialize, Serialize};

use super::Kind;

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
    /// Directories keep the times that they have on the replica (`-O`).
    pub const OMIT_DIR_TIMES: Self = Self(64);
    /// Symlinks keep the times that they have on the replica (`-J`).
    pub const OMIT_LINK_TIMES: Self = Self(128);
    /// What a replica does not have yet is not made there (`--existing`).
    pub const EXISTING_ONLY: Self = Self(256);
    /// What a replica has stays as it is there, directories apart (`--ignore-existing`).
    pub const NEW_ONLY: Self = Self(512);
    /// What only a receiver that names [`crate::wire::SELECTION`] understands.
    pub const SELECTION: Self = Self(64 | 128 | 256 | 512);
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

    /// Whether some of `other` are in.
    #[must_use]
    pub const fn has_some(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether modification times of entries of this kind are kept.
    #[must_use]
    pub fn has_times_of(self, kind: Kind) -> bool {
        let omitted = match kind {
            Kind::Dir => self.has(Self::OMIT_DIR_TIMES),
            Kind::Symlink => self.has(Self::OMIT_LINK_TIMES),
            _ => false,
        };
        self.has(Self::MTIME) && !omitted
    }

    /// Whether a replica that has `there` at a path is to have `here` there instead: not everything
    /// that is unlike travels. What is gone here always goes.
    #[must_use]
    pub fn wants(self, here: Option<Kind>, there: Option<Kind>) -> bool {
        match (here, there) {
            (Some(_), None) => !self.has(Self::EXISTING_ONLY),
            (Some(here), Some(there)) => !self.has(Self::NEW_ONLY) || (here == Kind::Dir && there == Kind::Dir),
            (None, _) => true,
        }
    }

    /// Whether all of `other` are in.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
