//! What the watcher tells.

use std::io;
use std::sync::Arc;

use crate::coalesce::Dirty;
use crate::fs::Root;
use crate::model::RelPath;

/// One thing that the watcher tells. Events come in the order in which the kernel queued them.
#[derive(Debug)]
pub enum Event {
    /// Every directory is watched, or known to be polled: a scan from now on misses nothing.
    Ready,
    /// A name may differ from what it was. A directory that was created, moved here or found is
    /// watched already; one that was moved here is to be scanned by the receiver of this event.
    Dirty(Dirty),
    /// The kernel dropped events (`IN_Q_OVERFLOW`): everything has to be scanned. Directories that
    /// are new by then are watched.
    Overflow,
    /// Directories cannot be watched because the user's limit of watches is reached; they are
    /// polled, and watched as soon as that is possible. Told once until [`Event::LimitLifted`].
    Limited {
        /// How many watches the set needs.
        needed: u64,
        /// The limit (`fs.inotify.max_user_watches`), which all programs of the user share.
        limit: u64,
    },
    /// Every directory is watched again.
    LimitLifted,
    /// This directory cannot be watched: nothing below it is known. It is tried again.
    Unwatched {
        /// The directory.
        path: RelPath,
        /// Why.
        error: io::Error,
    },
    /// The path of the root does not lead to the directory that is watched any more: what is
    /// missing now was not deleted by anybody.
    RootGone(RootGone),
    /// The path of the root leads to a directory again, which is watched and to be scanned. It may
    /// be another directory, or on another file system.
    RootBack(Arc<Root>),
    /// All that happened before [`super::Watcher::drain`] returned this number has been told.
    Drained(u64),
}

/// What became of the root.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RootGone {
    /// It was removed.
    #[error("the directory was removed")]
    Deleted,
    /// It was renamed, or a directory above it was.
    #[error("the directory was moved away")]
    Moved,
    /// Its path leads to another directory of the same file system.
    #[error("another directory took its place")]
    Replaced,
    /// Its path leads to another file system: something was mounted over it, or it was unmounted.
    #[error("another file system took its place")]
    Covered,
    /// Its file system was unmounted (`IN_UNMOUNT`).
    #[error("its file system was unmounted")]
    Unmounted,
    /// Its path cannot be looked at.
    #[error("it cannot be reached: {0}")]
    Unreachable(io::ErrorKind),
}

/// Why a set cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Every program of a user together may have so many inotify instances.
    #[error(
        "no inotify instance is free (EMFILE): raise fs.inotify.max_user_instances (now {limit}) or the limit of open files"
    )]
    NoInstance {
        /// The limit, 0 where it cannot be read.
        limit: u64,
    },
    /// Another failure.
    #[error("cannot start the watcher: {0}")]
    Io(#[from] io::Error),
}
