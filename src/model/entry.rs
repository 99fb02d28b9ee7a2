//! One path of a set: its type, metadata and content hash, and how the local file system knows it.

use serde::{Deserialize, Serialize};

use super::{Attrs, Digest, RelPath};

/// A point in time as the file system keeps it; before 1970 `secs` is negative.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Timestamp {
    /// Seconds since the epoch.
    pub secs: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A block or character device.
    Device,
    /// A named pipe.
    Fifo,
    /// A regular file.
    File,
    /// A Unix domain socket.
    Socket,
    /// A symbolic link.
    Symlink,
}

/// The type of an entry together with what only that type has.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Node {
    /// A directory.
    Dir,
    /// A device; replicated only where the set allows it.
    Device {
        /// A block device, else a character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// BLAKE3 of the content; none while nobody has read it.
        hash: Option<Digest>,
    },
    /// A Unix domain socket.
    Socket,
    /// A symbolic link; the target is data and never followed.
    Symlink {
        /// The target, as bytes, 1 to 4,095 of them.
        target: Box<[u8]>,
    },
}

/// Permission bits, owner and modification time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Meta {
    /// The low twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner, as a number of the source.
    pub uid: u32,
    /// Group, as a number of the source.
    pub gid: u32,
    /// Modification time.
    pub mtime: Timestamp,
}

/// One extended attribute.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Xattr {
    /// The full name, such as `user.comment`.
    pub name: Box<[u8]>,
    /// The value.
    pub value: Box<[u8]>,
}

/// One path of a set as it should be everywhere.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Entry {
    /// Type and content.
    pub node: Node,
    /// Permissions, owner, time.
    pub meta: Meta,
    /// Extended attributes sorted by name; empty unless the set replicates them.
    pub xattrs: Vec<Xattr>,
    /// With hard links replicated: the smallest other path that is the same inode, on every
    /// name of the group but that smallest one.
    pub link: Option<RelPath>,
}

impl Entry {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.node {
            Node::Device { .. } => Kind::Device,
            Node::Dir => Kind::Dir,
            Node::Fifo => Kind::Fifo,
            Node::File { .. } => Kind::File,
            Node::Socket => Kind::Socket,
            Node::Symlink { .. } => Kind::Symlink,
        }
    }

    /// Whether this is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        matches!(self.node, Node::Dir)
    }

    /// The content hash of a regular file, where it is known.
    #[must_use]
    pub fn hash(&self) -> Option<Digest> {
        match self.node {
            Node::File { hash, .. } => hash,
            _ => None,
        }
    }

    /// Whether nothing needs to be read to know this entry whole.
    #[must_use]
    pub fn is_hashed(&self) -> bool {
        !matches!(self.node, Node::File { hash: None, .. })
    }

    /// Whether `self` and `other` are the same for a set that replicates `attrs`.
    ///
    /// A file whose hash is unknown on either side never equals another.
    #[must_use]
    pub fn same(&self, other: &Self, attrs: Attrs) -> bool {
        self.is_hashed() && other.is_hashed() && self.node == other.node && self.same_meta(other, attrs)
    }

    /// Whether the metadata that `attrs` chooses is the same; a symlink's mode does not count.
    #[must_use]
    pub fn same_meta(&self, other: &Self, attrs: Attrs) -> bool {
        let (a, b) = (&self.meta, &other.meta);
        (!attrs.has(Attrs::MODE) || a.mode == b.mode || self.kind() == Kind::Symlink)
            && (!attrs.has(Attrs::OWNER) || a.uid == b.uid)
            && (!attrs.has(Attrs::GROUP) || a.gid == b.gid)
            && (!attrs.has_times_of(self.kind()) || a.mtime == b.mtime)
            && (!attrs.has(Attrs::XATTRS) || self.xattrs == other.xattrs)
            && (!attrs.has(Attrs::HARD_LINKS) || self.link == other.link)
    }

    /// Feeds everything that [`Entry::same`] looks at into `hasher`, unambiguously.
    pub(super) fn feed(&self, attrs: Attrs, hasher: &mut blake3::Hasher) {
        match &self.node {
            Node::Dir => hasher.update(b"d"),
            Node::Device { block, major, minor } => {
                hasher.update(if *block { b"b" } else { b"c" });
                hasher.update(&major.to_le_bytes()).update(&minor.to_le_bytes())
            }
            Node::Fifo => hasher.update(b"p"),
            Node::File { size, hash } => {
                hasher.update(b"f").update(&size.to_le_bytes());
                hasher.update(&hash.map_or([0; 32], |h| h.0))
            }
            Node::Socket => hasher.update(b"s"),
            Node::Symlink { target } => hasher.update(b"l").update(&(target.len() as u64).to_le_bytes()).update(target),
        };
        if attrs.has(Attrs::MODE) && self.kind() != Kind::Symlink {
            hasher.update(&self.meta.mode.to_le_bytes());
        }
        if attrs.has(Attrs::OWNER) {
            hasher.update(&self.meta.uid.to_le_bytes());
        }
        if attrs.has(Attrs::GROUP) {
            hasher.update(&self.meta.gid.to_le_bytes());
        }
        if attrs.has_times_of(self.kind()) {
            hasher.update(&self.meta.mtime.secs.to_le_bytes()).update(&self.meta.mtime.nanos.to_le_bytes());
        }
        if attrs.has(Attrs::XATTRS) {
            hasher.update(&(self.xattrs.len() as u64).to_le_bytes());
            for x in &self.xattrs {
                hasher.update(&(x.name.len() as u64).to_le_bytes()).update(&x.name);
                hasher.update(&(x.value.len() as u64).to_le_bytes()).update(&x.value);
            }
        }
        if attrs.has(Attrs::HARD_LINKS) {
            let link = self.link.as_ref().map_or(&b""[..], RelPath::as_bytes);
            hasher.update(&(link.len() as u64).to_le_bytes()).update(link);
        }
    }
}

/// How the local file system knows an entry: any difference means that it may have changed.
///
/// Size and mtime stand in the [`Entry`]; `ctime` catches what resets mtime (stat(2)).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Stamp {
    /// Device of the file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Last status change.
    pub ctime: Timestamp,
    /// Number of names of the inode.
    pub nlink: u32,
}

/// An entry as a node keeps it in a manifest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// What the entry should be everywhere.
    pub entry: Entry,
    /// How the local file system knew it when that was true; none when it must be looked at again.
    pub stamp: Option<Stamp>,
}

impl Record {
    /// Whether a fresh look (`now`) shows the object this record was made of, unchanged.
    ///
    /// True only when type, size, mtime, device, inode and ctime all agree. A changed link count
    /// alone moves ctime as well.
    #[must_use]
    pub fn is_current(&self, now: &Self) -> bool {
        self.stamp.is_some()
            && self.stamp == now.stamp
            && self.entry.meta.mtime == now.entry.meta.mtime
            && match (&self.entry.node, &now.entry.node) {
                (Node::File { size: a, .. }, Node::File { size: b, .. }) => a == b,
                (a, b) => a == b,
            }
    }
}
