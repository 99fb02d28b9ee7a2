//! The comparer sees every kind of difference, and the random operations follow from their seed.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod support;

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use support::ops::{Allow, Ops};
use support::tree::{Compare, differences};

/// A tree that is the same whenever it is made.
fn fill(root: &Path) {
    fs::create_dir(root.join("dir")).expect("mkdir");
    fs::write(root.join("dir/file"), "content").expect("write");
    fs::write(root.join("other"), "content").expect("write");
    symlink("dir/file", root.join("link")).expect("symlink");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for path in ["dir/file", "other", "dir", ""] {
        let times = FileTimes::new().set_modified(long_ago);
        File::open(root.join(path)).and_then(|file| file.set_times(times)).expect("times");
    }
    let time = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, root.join("link"), &times, flags).expect("times of a symlink");
}

/// The differences after `change` was done to one of two equal trees.
fn after(how: Compare, change: impl Fn(&Path)) -> Vec<String> {
    let (left, right) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    fill(left.path());
    fill(right.path());
    assert_eq!(differences(left.path(), right.path(), how), Vec::<String>::new());
    change(right.path());
    differences(left.path(), right.path(), how)
}

/// Whether `change` is seen, as `word`, when mtimes do not give it away.
fn sees(word: &str, change: impl Fn(&Path)) {
    let how = Compare { mtime: false, ..Compare::everything() };
    let found = after(how, change);
    assert!(found.iter().any(|line| line.contains(word)), "{word:?} not in {found:?}");
}

#[test]
fn every_kind_of_difference_is_seen() {
    sees("only at the right", |root| fs::write(root.join("new"), "").expect("write"));
    sees("only at the left", |root| fs::remove_file(root.join("other")).expect("remove"));
    sees("content", |root| fs::write(root.join("other"), "Content").expect("write"));
    sees("file ≠ dir", |root| {
        fs::remove_file(root.join("other")).expect("remove");
        fs::create_dir(root.join("other")).expect("mkdir");
    });
    sees("content Target", |root| {
        fs::remove_file(root.join("link")).expect("remove");
        symlink("dir/other", root.join("link")).expect("symlink");
    });
    sees("mode", |root| fs::set_permissions(root.join("dir"), PermissionsExt::from_mode(0o700)).expect("chmod"));
    sees("links", |root| {
        fs::remove_file(root.join("other")).expect("remove");
        fs::hard_link(root.join("dir/file"), root.join("other")).expect("link");
    });
    sees("xattrs", |root| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(root.join("other"), "user.a", b"b", flags).expect("setxattr");
    });
    if support::skip::am_root("every_kind_of_difference_is_seen/owner") {
        sees("owner", |root| std::os::unix::fs::lchown(root.join("link"), Some(7), None).expect("chown"));
    }
}

#[test]
fn one_nanosecond_is_a_difference() {
    let found = after(Compare::archive(), |root| {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_790);
        File::open(root.join("dir")).and_then(|f| f.set_times(FileTimes::new().set_modified(time))).expect("times");
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("dir: mtime"), "{found:?}");
}

#[test]
fn the_stage_at_the_root_is_not_compared_but_one_below_is() {
    let found = after(Compare::content(), |root| {
        fs::create_dir(root.join(".syncd")).expect("mkdir");
        fs::create_dir(root.join("dir/.syncd")).expect("mkdir");
    });
    assert_eq!(found, ["dir/.syncd: only at the right (dir)"]);
}

#[test]
fn the_same_seed_does_the_same_work() {
    let run = |seed| {
        let dir = tempfile::tempdir().expect("tempdir");
        let allow = Allow { hard_links: true, xattrs: true, ..Allow::default() };
        let mut ops = Ops::new(dir.path(), seed, allow);
        ops.run(600);
        ops.finish();
        (ops.log(), dir)
    };
    let ((first, left), (second, right)) = (run(11), run(11));
    assert_eq!(first, second);
    let how = Compare { mtime: false, ..Compare::everything() };
    assert_eq!(differences(left.path(), right.path(), how), Vec::<String>::new());
    assert_ne!(first, run(12).0);
    // Work that is mostly refused would test nothing.
    let refused = first.lines().filter(|line| line.contains("refused")).count();
    assert!(refused < 60, "{refused} of 600 refused:\n{first}");
}
