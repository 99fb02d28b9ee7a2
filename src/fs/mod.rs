//! The local file system, always through directory descriptors beneath the root of a set.

mod look;
mod read;
#[cfg(test)]
pub(crate) mod rerun;
mod root;
mod scan;
mod xattr;

pub use look::{look, look_at};
pub use read::{Chunk, Hashed, Opening, Read, Reader, hash_file, read_record, read_small};
pub use root::Root;
pub use scan::{Excluded, OWN_DIR, Scan, scan};
pub(crate) use scan::{for_each_name, is_absence, is_own};
pub use xattr::{xattrs, xattrs_at};
