//! Subtrees that cannot be watched: looked at now and then instead.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::IsExcluded;
use crate::coalesce::{Dirty, What};
use crate::fs::{Root, Scan, scan};
use crate::model::{Record, RelPath};

/// A subtree without watches, and what it looked like last.
#[derive(Debug)]
pub(super) struct Polled {
    pub(super) top: RelPath,
    /// Whether the limit of watches is the reason.
    pub(super) limited: bool,
    seen: BTreeMap<RelPath, Print>,
}

/// What is kept of a record: enough to see that it is another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Print {
    hash: u64,
    is_dir: bool,
}

impl Print {
    fn of(record: &Record) -> Self {
        let mut hasher = DefaultHasher::new();
        (&record.entry, record.stamp).hash(&mut hasher);
        Self { hash: hasher.finish(), is_dir: record.entry.is_dir() }
    }
}

impl Polled {
    /// Nothing has been seen yet: the first [`Self::poll`] finds everything.
    pub(super) fn new(top: RelPath, limited: bool) -> Self {
        Self { top, limited, seen: BTreeMap::new() }
    }

    /// The part of it that lies within `top`.
    pub(super) fn part(&self, top: RelPath, limited: bool) -> Self {
        let seen = self.seen.iter().filter(|(path, _)| path.is_within(&top));
        let seen = seen.map(|(path, print)| (path.clone(), *print)).collect();
        Self { top, limited, seen }
    }

    /// How many directories it has.
    pub(super) fn directories(&self) -> u64 {
        self.seen.values().filter(|print| print.is_dir).count() as u64
    }

    /// Looks at it again and calls `changed` with every name that is not as it was.
    pub(super) fn poll(&mut self, root: &Root, excluded: &IsExcluded, changed: &mut dyn FnMut(Dirty)) {
        let now = scan(root, &self.top, &|path, is_dir| excluded(path, is_dir), false);
        self.compare(&now, changed);
    }

    fn compare(&mut self, now: &Scan, changed: &mut dyn FnMut(Dirty)) {
        let mut before = std::mem::take(&mut self.seen);
        for (path, record) in &now.records {
            let print = Print::of(record);
            if before.remove(path) != Some(print) {
                changed(Dirty::new(path.clone(), What::Found, print.is_dir));
            }
            self.seen.insert(path.clone(), print);
        }
        for (path, print) in before {
            if now.is_unknown(&path) {
                self.seen.insert(path, print);
            } else {
                changed(Dirty::new(path, What::Removed, print.is_dir));
            }
        }
    }
}
