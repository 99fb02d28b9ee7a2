//! The messages of protocol version 1.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Attrs, Digest, Entry, Epoch, Generation, Op, RelPath};

/// One message; each frame carries one.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// First on the control stream, from either side.
    Hello(Hello),
    /// Asks for a set.
    Open(Open),
    /// The receiver's half of the password proof, with its confirmation.
    Challenge {
        /// The channel it answers.
        channel: u32,
        /// PAKE message.
        pake: Vec<u8>,
        /// Proof that the receiver derived the same key.
        confirm: Vec<u8>,
    },
    /// The source's confirmation of the password proof.
    Confirm {
        /// The channel it belongs to.
        channel: u32,
        /// Proof that the source derived the same key.
        confirm: Vec<u8>,
    },
    /// The set is open.
    Opened(Opened),
    /// The set, or the whole connection, is refused.
    Refused(Refused),
    /// From the receiver: its operator lets the deletions go that its guard held back. They are to be
    /// sent again.
    Released {
        /// The channel.
        channel: u32,
    },
    /// Begins a compare stream.
    Compare(Compare),
    /// Directories of the receiver with the digests of their entries, in the order of paths; a
    /// directory whose files have not all been read has none.
    DirDigests(Vec<(RelPath, Option<Digest>)>),
    /// Directories whose entries the source wants to see.
    WantDirs(Vec<RelPath>),
    /// Entries of one directory, in the order of names.
    Entries {
        /// The directory.
        dir: RelPath,
        /// Name and entry.
        entries: Vec<(Vec<u8>, Entry)>,
    },
    /// Ends a list on a compare stream or a signature.
    End,
    /// Begins a change-set stream.
    ChangeSet(ChangeSet),
    /// Operations of the change set.
    Ops(Vec<Op>),
    /// Content that follows for a [`crate::model::Content::Stream`].
    FileBegin(FileBegin),
    /// Asks for the block signature of the file that the receiver holds at the path.
    WantSignature {
        /// The path.
        path: RelPath,
        /// The content that it should have there.
        base: Digest,
        /// Block size in bytes, a power of two from 1 KiB to 1 MiB.
        block: u32,
    },
    /// Signatures of consecutive blocks, 20 bytes each: rolling sum (4) and strong hash (16).
    Signature(Bytes),
    /// Literal content at the current offset, at most [`super::MAX_DATA`].
    Data(Bytes),
    /// This many zero bytes that need no room on disk.
    Hole {
        /// Length in bytes.
        len: u64,
    },
    /// Content that the base holds.
    Copy {
        /// Offset in the base.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
    /// The content is complete.
    FileEnd {
        /// BLAKE3 of all of it.
        hash: Digest,
        /// The entry as it was when the content was read.
        entry: Box<Entry>,
    },
    /// The file vanished or went on changing while it was read: leave it out of the change set.
    FileAbort,
    /// The change set is complete.
    ChangeSetEnd {
        /// How many operations it had.
        ops: u64,
        /// The Merkle root after it, where the source knows it.
        root: Option<Digest>,
    },
    /// On any stream, from either side: the sender is still at work on what the other waits for, and
    /// has nothing to tell yet. See [`super::WORKING_EVERY`].
    Working,
    /// The change set is live.
    Ack(Ack),
    /// The change set is not live; nothing of it is.
    Nack(Nack),
    /// A kind of frame that this version does not know and need not understand.
    Unknown(u16),
}

/// Who speaks, and what it can do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// [`super::VERSION`] of the sender.
    pub version: u16,
    /// Names of optional abilities, such as `zstd`.
    pub features: Vec<String>,
    /// The node's name, for people.
    pub name: String,
    /// Program and version, for people.
    pub agent: String,
}

/// How a source proves that it may write a set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Proof {
    /// The key of the connection is enough: pinned, of the private CA, or trusted on first use.
    Key,
    /// A password, by PAKE.
    Password {
        /// The user as `auth users` names it.
        user: String,
        /// PAKE message.
        pake: Vec<u8>,
    },
}

/// Asks for a set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Open {
    /// The number of the set on this connection, chosen by the source.
    pub channel: u32,
    /// The set's name at the receiver (rsyncd's module).
    pub set: String,
    /// How the source proves its right.
    pub proof: Proof,
    /// The attributes that the source replicates.
    pub attrs: Attrs,
    /// Ids are numbers: names are not looked up (`--numeric-ids`).
    pub numeric_ids: bool,
    /// Which directories of which host the source's root and those above it are, as hashes that two
    /// programs share only for the same one: a tree must not be mirrored onto or into itself.
    pub places: Vec<Digest>,
}

/// The set is open.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Opened {
    /// The channel.
    pub channel: u32,
    /// The newest epoch that the receiver has seen for the set.
    pub newest: Epoch,
    /// The newest generation that is live there.
    pub generation: Generation,
    /// What the session rests on, for people: `password and pinned key`, …
    pub proof: String,
}

/// Why a set or a connection is refused.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Refusal {
    /// `max connections` is reached, or too many proofs failed lately.
    Busy,
    /// The password was proven, but with another key than the one that is pinned for it.
    KeyChanged,
    /// Source and receiver are the same directory of the same host.
    Myself,
    /// The set has neither password nor pinned key, and first use is not trusted.
    NoProofConfigured,
    /// The host is not allowed.
    NotAllowed,
    /// The receiver cannot serve the set now: its own fault, named in its log.
    NotServed,
    /// The set is read only.
    ReadOnly,
    /// No such set.
    UnknownSet,
    /// The protocol versions or a needed feature differ.
    Version,
    /// Unknown user or wrong password; which, is not told.
    WrongPassword,
}

/// The set, or the whole connection, is refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refused {
    /// The channel; none when the whole connection is meant.
    pub channel: Option<u32>,
    /// Why.
    pub code: Refusal,
}

/// Begins a compare.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Compare {
    /// The channel.
    pub channel: u32,
    /// The source's epoch.
    pub epoch: Epoch,
    /// Read all content again instead of trusting what stat shows unchanged, and note nothing of it
    /// (`verify`): the source repairs nothing either.
    pub deep: bool,
}

/// Begins a change set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChangeSet {
    /// The channel.
    pub channel: u32,
    /// The source's epoch.
    pub epoch: Epoch,
    /// The generation that the receiver has reached once this is live.
    pub number: u64,
    /// An operator approved deletions beyond the guard's limit.
    pub deletions_approved: bool,
    /// Names of the owners in it, by number, where names are mapped.
    pub users: Vec<(u32, String)>,
    /// Names of the groups in it.
    pub groups: Vec<(u32, String)>,
}

/// Content that follows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileBegin {
    /// The number in [`crate::model::Content::Stream`].
    pub number: u32,
    /// The content that `Copy` refers to: what the receiver holds at the path.
    pub base: Option<Digest>,
}

/// A path that could not be made as asked while all else was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failed {
    /// The path.
    pub path: RelPath,
    /// The cause, for people.
    pub cause: String,
    /// The receiver's own rules leave it out: there is no use in sending it again.
    pub left_out: bool,
}

/// The change set is live.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ack {
    /// The generation that is live now.
    pub generation: Generation,
    /// What could not be made, each with its cause.
    pub failed: Vec<Failed>,
    /// Deletions that the receiver's guard holds back.
    pub deletions_held: u64,
    /// Whether the receiver's manifest has the root that the change set named; none without one.
    pub root_matches: Option<bool>,
}

/// Why a change set did not go live.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum NackCode {
    /// Content that was to be kept or copied from is not there, or did not verify: send those
    /// paths whole.
    ContentNeeded,
    /// No room, read-only file system, or another local failure: try later.
    Local,
    /// An older epoch than the newest that was seen.
    OlderEpoch,
    /// The change set broke a rule of the protocol.
    Protocol,
}

/// The change set is not live.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Nack {
    /// Why.
    pub code: NackCode,
    /// The newest epoch seen.
    pub newest: Epoch,
    /// The paths it is about, where it is about paths.
    pub paths: Vec<RelPath>,
    /// The cause, for people.
    pub cause: String,
}
