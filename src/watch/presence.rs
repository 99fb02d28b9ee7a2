//! Whether the path of a root still leads to the directory that is held open.

use std::io;

use rustix::fs::{fstat, stat};

use super::RootGone;
use crate::fs::Root;

/// What became of `root`; none while its path leads to it.
///
/// inotify(7) cannot tell all of this: a directory that is held open raises no `IN_DELETE_SELF`
/// when it is removed, and mounting something over it raises no event at all.
pub(super) fn check(root: &Root) -> Option<RootGone> {
    let held = match fstat(root) {
        Ok(held) => held,
        Err(e) => return Some(RootGone::Unreachable(io::Error::from(e).kind())),
    };
    match stat(root.path()) {
        Ok(there) if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino) => None,
        Ok(_) if held.st_nlink == 0 => Some(RootGone::Deleted),
        Ok(there) if there.st_dev != held.st_dev => Some(RootGone::Covered),
        Ok(_) => Some(RootGone::Replaced),
        Err(e) => match io::Error::from(e).kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if held.st_nlink == 0 => Some(RootGone::Deleted),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some(RootGone::Moved),
            kind => Some(RootGone::Unreachable(kind)),
        },
    }
}
