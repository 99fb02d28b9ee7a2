//! The local file system, always through directory descriptors beneath the root of a set.

mod look;
pub mod meta;
mod read;
#[cfg(test)]
pub(crate) mod rerun;
mod root;
mod scan;
pub mod write;
mod writeback;
mod xattr;
pub mod xattr_fd;

pub use look::{look, look_at};
pub use read::{Chunk, Hashed, Opening, Read, Reader, hash_file, read_record, read_small};
pub use root::Root;
pub use scan::{Excluded, OWN_DIR, Scan, scan, scan_device};
pub(crate) use scan::{for_each_name, is_absence, is_own};
pub use writeback::begin_writeback;
pub use xattr::{xattrs, xattrs_at};
