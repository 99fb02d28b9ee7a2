//! The changes that a plugin has still to be told of.

use std::collections::{BTreeSet, VecDeque};

use crate::model::RelPath;

/// With more waiting, further ones are dropped and counted.
pub(super) const MAX_WAITING: usize = 100_000;

/// A change that a plugin is told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// The path below the root of the set.
    pub path: RelPath,
    /// Whether it is, or was, a directory.
    pub is_dir: bool,
}

/// Changes in the order in which they came. One that came again while it waits comes once; while it
/// is told, it waits.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Changed>,
    paths: BTreeSet<RelPath>,
    running: BTreeSet<RelPath>,
    at_once: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self { waiting: VecDeque::new(), paths: BTreeSet::new(), running: BTreeSet::new(), at_once, dropped: 0 }
    }

    /// Adds a change; false where there are too many.
    pub(super) fn push(&mut self, changed: Changed) -> bool {
        if self.paths.contains(&changed.path) {
            return true;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.dropped += 1;
            return false;
        }
        self.paths.insert(changed.path.clone());
        self.waiting.push_back(changed);
        true
    }

    /// The next one to tell, unless as many are told as may be.
    pub(super) fn next(&mut self) -> Option<Changed> {
        if self.running.len() >= self.at_once {
            return None;
        }
        let at = self.waiting.iter().position(|changed| !self.running.contains(&changed.path))?;
        let changed = self.waiting.remove(at)?;
        self.paths.remove(&changed.path);
        self.running.insert(changed.path.clone());
        Some(changed)
    }

    /// This one was told.
    pub(super) fn done(&mut self, path: &RelPath) {
        self.running.remove(path);
    }

    /// How many wait, and how many were dropped.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.waiting.len(), self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str) -> Changed {
        Changed { path: RelPath::parse(name.as_bytes()).expect("valid"), is_dir: false }
    }

    #[test]
    fn order_is_kept_and_no_path_is_told_twice_at_once() {
        let mut queue = Queue::new(2);
        for name in ["a", "b", "a", "c"] {
            assert!(queue.push(changed(name)));
        }
        assert_eq!(queue.next(), Some(changed("a")));
        assert!(queue.push(changed("a")));
        assert_eq!(queue.next(), Some(changed("b")));
        assert_eq!(queue.next(), None);
        queue.done(&changed("b").path);
        assert_eq!(queue.next(), Some(changed("c")));
        queue.done(&changed("c").path);
        assert_eq!((queue.next(), queue.counts()), (None, (1, 0)));
        queue.done(&changed("a").path);
        assert_eq!(queue.next(), Some(changed("a")));
    }

    #[test]
    fn a_queue_is_bounded() {
        let mut queue = Queue::new(1);
        assert!((0..MAX_WAITING).all(|n| queue.push(changed(&n.to_string()))));
        assert!(!queue.push(changed("one more")) && queue.push(changed("7")));
        assert_eq!(queue.counts(), (MAX_WAITING, 1));
    }
}
