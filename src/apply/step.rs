//! One step of a commit.

use serde::{Deserialize, Serialize};

use super::area::is_own;
use crate::fs::meta::Fix;
use crate::model::{Kind, RelPath};

/// One step of a commit: one call that is atomic, and can be undone.
///
/// Paths name places below the root, those of the stage included, as they are when the step is
/// taken. Every step names the inodes that it moves, so that it can tell whether it was taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Step {
    /// Moves `from` to the free name `to`.
    Move { from: RelPath, to: RelPath, ino: u64 },
    /// Exchanges `a` and `b`: a new object takes the place of an old one.
    Swap { a: RelPath, b: RelPath, ino_a: u64, ino_b: u64 },
    /// Keeps what somebody else made, by moving it from the stage to `to`. Nothing rests on it.
    Keep { from: RelPath, to: RelPath, ino: u64 },
    /// Changes metadata in place; `origin` is the path before the first step.
    Meta { path: RelPath, origin: RelPath, kind: Kind, ino: u64, old: Fix, new: Fix },
}

impl Step {
    /// The path of the set that the step is about.
    pub(super) fn about(&self) -> &RelPath {
        match self {
            Self::Move { from, to, .. } | Self::Keep { from, to, .. } => {
                if is_own(to) {
                    from
                } else {
                    to
                }
            }
            Self::Swap { a, b, .. } => {
                if is_own(a) {
                    b
                } else {
                    a
                }
            }
            Self::Meta { path, .. } => path,
        }
    }

    /// Whether it moves within the tree: part of a rename, whose steps make sense only together.
    pub(super) fn is_rename(&self) -> bool {
        match self {
            Self::Move { from, to, .. } => !is_own(from) && !is_own(to),
            Self::Swap { a, b, .. } => !is_own(a) && !is_own(b),
            Self::Keep { .. } | Self::Meta { .. } => false,
        }
    }
}
