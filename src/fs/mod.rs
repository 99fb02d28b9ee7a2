//! The local file system, always through directory descriptors beneath the root of a set.

mod look;
mod root;

pub use look::{look, look_at};
pub use root::Root;
