//! What changed, and what is to be done about it: the content of a change set.

use serde::{Deserialize, Serialize};

use super::{Digest, Entry, Kind, RelPath};

/// What a peer holds at a path, as far as the sender knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Base {
    /// It acknowledged this, or showed it in a compare.
    Known(Option<Entry>),
    /// Nobody knows, as after a restart: what is sent must be right whatever the peer holds.
    Unknown,
}

impl Base {
    /// The entry that the peer is known to hold.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Known(entry) => entry.as_ref(),
            Self::Unknown => None,
        }
    }
}

/// A path whose state may differ from what a peer holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What the peer holds there.
    pub base: Base,
    /// What is on disk now; the hash of a file may be unread.
    pub now: Option<Entry>,
}

/// Where the content of a [`Put`] comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Content {
    /// Nothing travels: the receiver holds this content at this path already, or the type has none.
    Keep,
    /// The whole content, in this message.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A link to another path of the set, which this change set puts or leaves in place.
    Link(RelPath),
    /// The content follows in frames of its own under this number, unique in the change set.
    Stream(u32),
}

/// A path that should be in a state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Put {
    /// The path.
    pub path: RelPath,
    /// The state; with [`Content::Stream`] the hash comes after the content.
    pub entry: Entry,
    /// Its content.
    pub content: Content,
    /// What the sender believes the receiver holds there: another content is drift.
    pub base: Option<Digest>,
}

/// One element of a change set. The receiver orders them; the sender's order means nothing but
/// that renames apply first and in sequence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Op {
    /// Make `path` so.
    Put(Put),
    /// Remove `path` and, where it is a directory, everything below it.
    Remove {
        /// The path.
        path: RelPath,
        /// What the sender believes it to be; none when it does not know.
        kind: Option<Kind>,
    },
    /// Move `from`, a file or a whole directory, to `to`; what follows speaks of the new names.
    Rename {
        /// The old path.
        from: RelPath,
        /// The new path; what stands there is replaced.
        to: RelPath,
    },
}
