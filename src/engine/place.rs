//! Which directory of which host a root is: on one host a tree must not be mirrored onto or into itself.

use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, fstat, openat};

use crate::fs::Root;
use crate::model::{Digest, RelPath};

/// Changes with every boot, and is the same in all containers of a host (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How many directories above a root are looked at.
const MOST_ABOVE: usize = 64;

/// What two programs say of a directory exactly when it is one directory of one running host; it
/// tells nothing else. First that of `root`, then those above it, as far as they can be told.
pub(crate) fn places_of(root: &Root) -> Vec<Digest> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    let Some(host) = HOST.get_or_init(|| std::fs::read_to_string(BOOT_ID).ok()) else { return Vec::new() };
    let mut places = Vec::new();
    let mut at = root.dir(&RelPath::root()).ok();
    let mut below = None;
    while let Some(dir) = at.filter(|_| places.len() <= MOST_ABOVE) {
        let Ok(stat) = fstat(&dir) else { break };
        // The directory above `/` is `/`.
        let here = Some((stat.st_dev, stat.st_ino));
        if here == below {
            break;
        }
        places.push(Digest::of(format!("{host} {} {}", stat.st_dev, stat.st_ino).as_bytes()));
        below = here;
        at = openat(&dir, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
    }
    places
}

/// Why a tree at `here` cannot be a replica of one at `there`, both as [`places_of`] tells them:
/// what arrives would be sent again, or replace what is sent.
pub(crate) fn overlap(here: &[Digest], there: &[Digest]) -> Option<&'static str> {
    let (own, theirs) = (here.first()?, there.first()?);
    if own == theirs {
        Some("it is this very directory on this host")
    } else if here.contains(theirs) {
        Some("it lies within the tree that is sent, on this host")
    } else if there.contains(own) {
        Some("the tree that is sent lies within it, on this host")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_overlaps_with_itself_and_with_what_is_above_or_below_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir_all(dir.path().join("a/b/c")).expect("mkdir");
        std::fs::create_dir_all(dir.path().join("a/d")).expect("mkdir");
        let places = |name: &str| places_of(&Root::open(&dir.path().join(name)).expect("open"));
        let (a, c, d) = (places("a"), places("a/b/c"), places("a/d"));
        assert!(overlap(&a, &a).is_some() && overlap(&a, &c).is_some() && overlap(&c, &a).is_some());
        assert_eq!(overlap(&c, &d), None);
        assert_eq!(overlap(&[], &a), None);
    }
}
