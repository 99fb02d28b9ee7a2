//! The planner's table: for each path what the peer holds, as the renames change it, and what is
//! on disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::{Base, Change, Digest, Entry, RelPath};

/// [`Base`], borrowed, so that a rename moves it without a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held<'a> {
    Known(Option<&'a Entry>),
    Unknown,
}

impl<'a> Held<'a> {
    pub(super) fn entry(self) -> Option<&'a Entry> {
        match self {
            Self::Known(entry) => entry,
            Self::Unknown => None,
        }
    }

    pub(super) fn hash(self) -> Option<Digest> {
        self.entry().and_then(Entry::hash)
    }

    /// Whether the peer may hold something there.
    pub(super) fn may_hold(self) -> bool {
        !matches!(self, Self::Known(None))
    }

    /// Whether the peer may hold a directory there.
    pub(super) fn may_be_dir(self) -> bool {
        match self {
            Self::Known(entry) => entry.is_some_and(Entry::is_dir),
            Self::Unknown => true,
        }
    }
}

/// One path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    /// What the peer holds there after the renames so far.
    pub(super) base: Held<'a>,
    /// Where the peer held that before any rename.
    pub(super) origin: Option<&'a RelPath>,
    /// What is on disk.
    pub(super) now: Option<&'a Entry>,
}

impl Slot<'_> {
    /// Nothing here and nothing there.
    pub(super) const EMPTY: Self = Self { base: Held::Known(None), origin: None, now: None };
}

pub(super) type Slots<'a> = BTreeMap<RelPath, Slot<'a>>;

/// The table before any rename.
pub(super) fn of(changes: &BTreeMap<RelPath, Change>) -> Slots<'_> {
    let slots = changes.iter().map(|(path, change)| {
        let base = match &change.base {
            Base::Known(entry) => Held::Known(entry.as_ref()),
            Base::Unknown => Held::Unknown,
        };
        (path.clone(), Slot { base, origin: Some(path), now: change.now.as_ref() })
    });
    slots.collect()
}

/// The keys at and below `dir`.
pub(super) fn within<V>(map: &BTreeMap<RelPath, V>, dir: &RelPath) -> Vec<RelPath> {
    // `a-` sorts between `a` and `a/b`, hence the filter, and the end where prefixes end.
    map.range((Bound::Included(dir), Bound::Unbounded))
        .map(|(path, _)| path)
        .take_while(|path| path.as_bytes().starts_with(dir.as_bytes()))
        .filter(|path| path.is_within(dir))
        .cloned()
        .collect()
}

/// The value of `path` itself or of the nearest directory above it that has one.
pub(super) fn nearest<'m, V>(map: &'m BTreeMap<RelPath, V>, path: &RelPath) -> Option<(RelPath, &'m V)> {
    if map.is_empty() {
        return None;
    }
    path.ancestors().find_map(|at| map.get_key_value(&at)).map(|(at, value)| (at.clone(), value))
}
