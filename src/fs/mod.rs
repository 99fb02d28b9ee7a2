//! The local file system, always through directory descriptors beneath the root of a set.

mod look;
pub mod meta;
mod root;
pub mod write;
pub mod xattr;

pub use look::{look, look_at};
pub use root::Root;
