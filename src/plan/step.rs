//! What a plan consists of.

use crate::model::{Attrs, Digest, Entry, Kind, RelPath};

/// An ordered list of steps, and what was left out on purpose.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// Renames in their sequence, then puts and removes in the order of paths, so that a directory
    /// comes before its content.
    pub steps: Vec<Step>,
    /// What is gone here and stays at the peer because deletion is off; every name, not only the
    /// topmost.
    pub withheld: Vec<RelPath>,
}

/// One thing that the peer has to do.
#[expect(clippy::large_enum_variant, reason = "nearly all steps are puts: a box for each would only cost")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Move `from`, a file or a whole directory, to `to`. The directory that holds `to` is there.
    Rename {
        /// The old path.
        from: RelPath,
        /// The new path; a file that stands there is replaced.
        to: RelPath,
    },
    /// Make a path so.
    Put(Put),
    /// Remove a path and all that is below it.
    Remove {
        /// The path.
        path: RelPath,
        /// What the peer holds there; none when that is not known.
        kind: Option<Kind>,
    },
}

/// A path that should be in a state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Put {
    /// The path.
    pub path: RelPath,
    /// The state; the hash of a file may be unread.
    pub entry: Entry,
    /// Where its content comes from.
    pub need: Need,
    /// What the peer holds there once the renames are done; none when it holds nothing or when
    /// that is not known.
    pub base: Option<Entry>,
}

/// Where the content of a [`Put`] comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Need {
    /// The peer has it at this path, or the type has none.
    Keep,
    /// From this file, which has to be read: see [`Put::settle`].
    Read,
    /// From this other path of the set, of which it is a hard link.
    Link(RelPath),
}

/// What reading a file showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled {
    /// The peer holds all of it, content and metadata: send nothing.
    Nothing,
    /// The peer holds the content: send the metadata.
    Keep,
    /// The content has to travel.
    Content,
}

impl Put {
    /// The hash of the content that the peer holds at the path, where that is known.
    #[must_use]
    pub fn base_hash(&self) -> Option<Digest> {
        self.base.as_ref().and_then(Entry::hash)
    }

    /// What has to travel now that the file was read and found to be `read`, with its hash.
    #[must_use]
    pub fn settle(&self, read: &Entry, attrs: Attrs) -> Settled {
        match &self.base {
            Some(base) if base.same(read, attrs) => Settled::Nothing,
            Some(base) if read.hash().is_some() && base.hash() == read.hash() => Settled::Keep,
            _ => Settled::Content,
        }
    }
}

impl Step {
    /// The path that it makes, moves away or removes.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Rename { from: path, .. } | Self::Remove { path, .. } => path,
            Self::Put(put) => &put.path,
        }
    }
}
