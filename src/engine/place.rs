//! Which directory of which host a root is: on one host a tree must not be mirrored onto itself.

use std::sync::OnceLock;

use crate::fs::{Root, look};
use crate::model::{Digest, RelPath};

/// Changes with every boot, and is the same in all containers of a host (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What two programs say of `root` exactly when it is one directory of one running host; it tells
/// nothing else. None when it cannot be told.
pub(crate) fn place_of(root: &Root) -> Option<Digest> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    let host = HOST.get_or_init(|| std::fs::read_to_string(BOOT_ID).ok()).as_ref()?;
    let stamp = look(root, &RelPath::root()).ok().flatten()?.stamp?;
    Some(Digest::of(format!("{host} {} {}", stamp.dev, stamp.ino).as_bytes()))
}
