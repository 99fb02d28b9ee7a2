//! Why a change set did not go live.

use std::io;

use rustix::io::Errno;

use crate::model::RelPath;

/// Why a change set did not go live. But for [`ApplyError::Durability`] the tree is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Content that was to be kept, copied from or moved is not there, or did not verify: these
    /// paths must be sent whole.
    #[error("content is needed whole for {}", list(.0))]
    ContentNeeded(Vec<RelPath>),
    /// The host's own fault: no room, a read-only file system, no descriptors.
    #[error("{path}: {doing}: {source}")]
    Local {
        /// The path it happened at.
        path: RelPath,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// What was written may not be on disk, or the tree may be between two generations: nothing is
    /// known any more. The set stops, and compares in full.
    #[error("{doing}: {source}; the set must be compared in full")]
    Durability {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The change set breaks a rule of the protocol.
    #[error("{path}: {rule}")]
    Protocol {
        /// The path it is about.
        path: RelPath,
        /// The rule.
        rule: &'static str,
    },
    /// `.syncd` in the root cannot be trusted.
    #[error("{}: {why}", .path.display())]
    OwnDir {
        /// Where it is.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl ApplyError {
    pub(super) fn local(path: &RelPath, doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Local { path: path.clone(), doing, source: source.into() }
    }

    pub(super) fn protocol(path: &RelPath, rule: &'static str) -> Self {
        Self::Protocol { path: path.clone(), rule }
    }
}

/// Whether `e` is the fault of the host, so that every other path would fail as well.
pub(super) fn is_fatal(e: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(e),
        Some(
            Errno::NOSPC
                | Errno::DQUOT
                | Errno::ROFS
                | Errno::IO
                | Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::SHUTDOWN
        )
    )
}

fn list(paths: &[RelPath]) -> String {
    let shown: Vec<_> = paths.iter().take(3).map(ToString::to_string).collect();
    let more = paths.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
