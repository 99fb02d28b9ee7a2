//! The nouns of syncd, without IO: paths, entries, manifests, epochs, change sets.

mod attrs;
mod change;
mod digest;
mod entry;
mod epoch;
mod manifest;
mod name;
mod path;

pub use attrs::Attrs;
pub use change::{Base, Change, Content, Op, Put};
pub use digest::Digest;
pub use entry::{Entry, Kind, Meta, Node, Record, Stamp, Timestamp, Xattr};
pub use epoch::{Epoch, Generation, NodeKey};
pub use manifest::Manifest;
pub use path::{MAX_NAME, MAX_PATH, PathError, RelPath};
