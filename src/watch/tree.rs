//! Which watch is which directory. Pure.
//!
//! A tree of names: the path of a watch is found by walking up, so that renaming a directory costs
//! one step however much lies below it.

use std::collections::{BTreeMap, HashMap};

use super::inotify::Wd;
use crate::model::RelPath;

/// The watched directories of a set.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Option<Wd>,
    nodes: HashMap<Wd, Node>,
    /// Tops of subtrees that were renamed away and whose new name has not been told yet.
    moving: HashMap<u32, Wd>,
}

#[derive(Debug)]
struct Node {
    /// None for the root and for the top of a subtree that is moving.
    parent: Option<Wd>,
    name: Box<[u8]>,
    children: BTreeMap<Box<[u8]>, Wd>,
}

impl Tree {
    /// The watch of the root directory.
    pub(super) fn root(&self) -> Option<Wd> {
        self.root
    }

    /// Whether some subtree waits for its new name.
    pub(super) fn is_moving(&self) -> bool {
        !self.moving.is_empty()
    }

    /// `wd` is the root.
    pub(super) fn set_root(&mut self, wd: Wd) {
        self.root = Some(wd);
        self.nodes.entry(wd).or_insert_with(|| Node { parent: None, name: Box::default(), children: BTreeMap::new() });
    }

    /// The directory `name` in `parent` is watched as `wd`, wherever that was before. Returns the
    /// watches that are of no use any more: another directory had the name.
    pub(super) fn insert(&mut self, parent: Wd, name: &[u8], wd: Wd) -> Vec<Wd> {
        // A directory is in itself only through a mount: its first name stays.
        if Some(wd) == self.root || !self.nodes.contains_key(&parent) || self.is_within(parent, wd) {
            return Vec::new();
        }
        if self.child(parent, name) == Some(wd) {
            return Vec::new();
        }
        self.unlink(wd);
        let stale = self.child(parent, name).map(|old| self.remove(old)).unwrap_or_default();
        let node = self.nodes.entry(wd).or_insert_with(|| Node {
            parent: None,
            name: Box::default(),
            children: BTreeMap::new(),
        });
        node.parent = Some(parent);
        node.name = name.into();
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.insert(name.into(), wd);
        }
        stale
    }

    /// The watch of the directory `name` in `parent`.
    pub(super) fn child(&self, parent: Wd, name: &[u8]) -> Option<Wd> {
        self.nodes.get(&parent)?.children.get(name).copied()
    }

    /// Whether this watch belongs to the tree, be it moving.
    pub(super) fn contains(&self, wd: Wd) -> bool {
        self.nodes.contains_key(&wd)
    }

    /// The path of a watch; none for one that is unknown or is moving.
    pub(super) fn path(&self, wd: Wd) -> Option<RelPath> {
        let mut names = Vec::new();
        let mut at = wd;
        while Some(at) != self.root {
            let node = self.nodes.get(&at)?;
            names.push(&*node.name);
            at = node.parent?;
        }
        if names.is_empty() {
            return Some(RelPath::root());
        }
        names.reverse();
        RelPath::parse(&names.join(&b'/')).ok()
    }

    /// The watch of the directory at `path`.
    pub(super) fn find(&self, path: &RelPath) -> Option<Wd> {
        path.components().try_fold(self.root?, |at, name| self.child(at, name))
    }

    /// The directory `name` in `parent` was renamed away under the number `cookie`. Returns the
    /// watches that are of no use any more: what had the number before.
    pub(super) fn detach(&mut self, parent: Wd, name: &[u8], cookie: u32) -> Vec<Wd> {
        let stale = self.remove_moving(cookie);
        if let Some(wd) = self.child(parent, name) {
            self.unlink(wd);
            self.moving.insert(cookie, wd);
        }
        stale
    }

    /// What was renamed away as `cookie`, if it is known, is `name` in `parent` now. Returns the
    /// watches that are of no use any more.
    pub(super) fn attach(&mut self, parent: Wd, name: &[u8], cookie: u32) -> Vec<Wd> {
        // Inserting ends the move; where that is refused, it goes on and ends as a departure.
        self.moving.get(&cookie).copied().map(|wd| self.insert(parent, name, wd)).unwrap_or_default()
    }

    /// Drops the subtree that was renamed away as `cookie` and returns its watches.
    pub(super) fn remove_moving(&mut self, cookie: u32) -> Vec<Wd> {
        self.moving.remove(&cookie).map(|wd| self.remove(wd)).unwrap_or_default()
    }

    /// The new names of these never came: they left the set. Returns their watches.
    pub(super) fn remove_all_moving(&mut self) -> Vec<Wd> {
        let tops: Vec<Wd> = self.moving.drain().map(|(_, wd)| wd).collect();
        tops.into_iter().flat_map(|wd| self.remove(wd)).collect()
    }

    /// Drops the directory `name` in `parent` with all below it and returns their watches.
    pub(super) fn remove_child(&mut self, parent: Wd, name: &[u8]) -> Vec<Wd> {
        self.child(parent, name).map(|wd| self.remove(wd)).unwrap_or_default()
    }

    /// Drops a watch with all below it and returns their watches.
    pub(super) fn remove(&mut self, wd: Wd) -> Vec<Wd> {
        self.unlink(wd);
        let (mut gone, mut rest) = (Vec::new(), vec![wd]);
        while let Some(wd) = rest.pop() {
            if let Some(node) = self.nodes.remove(&wd) {
                rest.extend(node.children.values());
                gone.push(wd);
            }
        }
        if self.root == Some(wd) {
            self.root = None;
        }
        gone
    }

    /// All watches.
    pub(super) fn watches(&self) -> impl Iterator<Item = Wd> {
        self.nodes.keys().copied()
    }

    fn unlink(&mut self, wd: Wd) {
        self.moving.retain(|_, top| *top != wd);
        let Some(node) = self.nodes.get_mut(&wd) else { return };
        let name = std::mem::take(&mut node.name);
        if let Some(parent) = node.parent.take()
            && let Some(parent) = self.nodes.get_mut(&parent)
            && parent.children.get(&name) == Some(&wd)
        {
            parent.children.remove(&name);
        }
    }

    /// Whether `wd` is `top` or below it.
    fn is_within(&self, mut wd: Wd, top: Wd) -> bool {
        loop {
            if wd == top {
                return true;
            }
            match self.nodes.get(&wd).and_then(|node| node.parent) {
                Some(parent) => wd = parent,
                None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(name: &str) -> RelPath {
        RelPath::parse(name.as_bytes()).expect("valid")
    }

    /// `d/e/f` as 2, 3, 4 in the root 1.
    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.set_root(1);
        assert!(tree.insert(1, b"d", 2).is_empty());
        assert!(tree.insert(2, b"e", 3).is_empty());
        assert!(tree.insert(3, b"f", 4).is_empty());
        tree
    }

    #[test]
    fn a_rename_remaps_all_that_is_below() {
        let mut tree = tree();
        tree.detach(1, b"d", 9);
        assert_eq!(tree.path(4), None);
        assert!(tree.attach(1, b"new", 9).is_empty());
        assert_eq!(tree.path(4), Some(path("new/e/f")));
        assert_eq!(tree.find(&path("new/e/f")), Some(4));
        assert_eq!(tree.find(&path("d")), None);
        assert!(!tree.is_moving());
    }

    #[test]
    fn a_subtree_that_left_drops_its_watches() {
        let mut tree = tree();
        tree.detach(1, b"d", 9);
        let mut gone = tree.remove_all_moving();
        gone.sort_unstable();
        assert_eq!(gone, [2, 3, 4]);
        assert_eq!(tree.watches().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_name_taken_by_another_directory_drops_the_first() {
        let mut tree = tree();
        let mut stale = tree.insert(2, b"e", 7);
        stale.sort_unstable();
        assert_eq!(stale, [3, 4]);
        assert_eq!(tree.path(7), Some(path("d/e")));
    }

    /// A walk found it before the events of its rename were read.
    #[test]
    fn a_directory_found_elsewhere_moves_there() {
        let mut tree = tree();
        assert!(tree.insert(1, b"up", 3).is_empty());
        assert_eq!(tree.path(4), Some(path("up/f")));
        tree.detach(2, b"e", 9);
        assert_eq!(tree.path(4), Some(path("up/f")));
    }

    #[test]
    fn a_directory_is_never_put_into_itself() {
        let mut tree = tree();
        assert!(tree.insert(4, b"loop", 2).is_empty());
        assert!(tree.insert(4, b"loop", 1).is_empty());
        assert_eq!(tree.path(4), Some(path("d/e/f")));
    }

    #[test]
    fn an_unknown_watch_has_no_path() {
        let mut tree = tree();
        assert_eq!(tree.path(99), None);
        assert!(tree.remove(99).is_empty());
        assert!(tree.insert(99, b"x", 5).is_empty());
        assert_eq!(tree.path(5), None);
    }

    proptest! {
        /// Whatever comes, paths and watches name each other and nothing leaks.
        #[test]
        fn paths_and_watches_agree(steps in prop::collection::vec((0..5_u8, 1..9_i32, 1..9_i32, 0..3_u8), 0..80)) {
            let mut tree = Tree::default();
            tree.set_root(1);
            for (step, a, b, name) in steps {
                let name = [b'a' + name];
                match step {
                    0 | 1 => drop(tree.insert(a, &name, b)),
                    2 => drop(tree.detach(a, &name, b.unsigned_abs())),
                    3 => drop(tree.attach(a, &name, b.unsigned_abs())),
                    _ if a != 1 => drop(tree.remove(a)),
                    _ => {}
                }
                let moving: Vec<Wd> = tree.moving.values().copied().collect();
                for wd in tree.watches().collect::<Vec<_>>() {
                    match tree.path(wd) {
                        Some(path) => prop_assert_eq!(tree.find(&path), Some(wd)),
                        None => prop_assert!(moving.iter().any(|top| tree.is_within(wd, *top)), "{} leaks", wd),
                    }
                }
            }
        }
    }
}
