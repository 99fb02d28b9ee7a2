//! What the tree will be, written as differences to the tree that is on disk.

use std::collections::HashMap;

use crate::model::RelPath;

/// Which object on disk stands at a path after some moves: pure, and small however large the tree.
///
/// Only names that moved are held; everything else is where it was. Whether an object exists is
/// not its matter: it tells where to look.
#[derive(Debug)]
pub(super) struct View {
    root: Node,
}

/// An object, by the path that it has on disk before anything is done; none when nothing is there.
#[derive(Debug)]
pub(super) struct Node {
    at: Option<RelPath>,
    over: HashMap<Box<[u8]>, Self>,
}

impl Node {
    /// The object that is at `place` on disk.
    pub(super) fn at(place: RelPath) -> Self {
        Self { at: Some(place), over: HashMap::new() }
    }

    fn nothing() -> Self {
        Self { at: None, over: HashMap::new() }
    }
}

impl View {
    /// The tree as it is.
    pub(super) fn new() -> Self {
        Self { root: Node::at(RelPath::root()) }
    }

    /// The tree after `renames`, in sequence.
    #[cfg(test)]
    pub(super) fn after(renames: &[(RelPath, RelPath)]) -> Self {
        let mut view = Self::new();
        for (from, to) in renames {
            let node = view.take(from);
            view.put(to, node);
        }
        view
    }

    /// Where on disk the object is that `path` will name.
    pub(super) fn find(&self, path: &RelPath) -> Option<RelPath> {
        let mut node = Some(&self.root);
        let mut base = self.root.at.as_ref();
        let mut below: Vec<&[u8]> = Vec::new();
        for name in path.components() {
            match node.and_then(|n| n.over.get(name)) {
                Some(child) => {
                    base = child.at.as_ref();
                    below.clear();
                    node = Some(child);
                }
                None => {
                    below.push(name);
                    node = None;
                }
            }
        }
        let base = base?;
        if below.is_empty() {
            return Some(base.clone());
        }
        if base.is_root() {
            return RelPath::parse(&below.join(&b'/')).ok();
        }
        RelPath::parse(&[base.as_bytes(), &below.join(&b'/')].join(&b'/')).ok()
    }

    /// Takes the object at `path` out, with all below it.
    pub(super) fn take(&mut self, path: &RelPath) -> Node {
        std::mem::replace(self.node(path), Node::nothing())
    }

    /// Makes `node` stand at `path`, in place of what was there.
    pub(super) fn put(&mut self, path: &RelPath, node: Node) {
        *self.node(path) = node;
    }

    fn node(&mut self, path: &RelPath) -> &mut Node {
        let mut node = &mut self.root;
        for name in path.components() {
            let at = node.at.as_ref().and_then(|at| at.join(name).ok());
            node = node.over.entry(name.into()).or_insert_with(|| Node { at, over: HashMap::new() });
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    fn find(view: &View, p: &str) -> Option<String> {
        view.find(&path(p)).map(|p| p.to_string())
    }

    #[test]
    fn what_lies_below_a_moved_directory_moves_along_and_what_left_it_does_not() {
        let view = View::after(&[(path("d/x"), path("y")), (path("d"), path("e")), (path("f"), path("d"))]);
        assert_eq!(find(&view, "y").as_deref(), Some("d/x"));
        assert_eq!(find(&view, "e/x"), None);
        assert_eq!(find(&view, "e/z/w").as_deref(), Some("d/z/w"));
        assert_eq!(find(&view, "d").as_deref(), Some("f"));
        assert_eq!(find(&view, "f"), None);
        assert_eq!(find(&view, "g").as_deref(), Some("g"));
    }

    #[test]
    fn names_that_change_places_are_told_apart() {
        let view = View::after(&[(path("a"), path("t")), (path("b"), path("a")), (path("t"), path("b"))]);
        assert_eq!(find(&view, "a").as_deref(), Some("b"));
        assert_eq!(find(&view, "b").as_deref(), Some("a"));
        assert_eq!(find(&view, "t"), None);
    }
}
