//! The limits of inotify(7) that are in force.

use std::fs::read_to_string;

/// How many directories all programs of this user may watch together.
pub(super) fn max_user_watches() -> Option<u64> {
    // The second is the limit of the user namespace.
    smaller("/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches")
}

/// How many inotify instances all programs of this user may have together.
pub(super) fn max_user_instances() -> Option<u64> {
    smaller("/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances")
}

fn smaller(a: &str, b: &str) -> Option<u64> {
    let read = |path| read_to_string(path).ok()?.trim().parse().ok();
    [read(a), read(b)].into_iter().flatten().min()
}
