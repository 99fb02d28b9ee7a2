//! What the watcher says of one name, and what a batch says of it.

use std::collections::BTreeMap;

use crate::model::RelPath;

/// What happened to a name, as inotify(7) tells it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum What {
    /// A directory was made, or a regular file that its maker may still write to.
    Created,
    /// It is there and need not be closed by anybody: it was seen by a scan, or came with its content.
    Found,
    /// A link or a special file was made, which nobody writes.
    Linked,
    /// Content was written or cut.
    Modified,
    /// A file that was open for writing was closed.
    Closed,
    /// Mode, owner, times, extended attributes or the number of links changed.
    Attrib,
    /// It was renamed to this name.
    MovedTo,
    /// It was removed.
    Removed,
    /// It was renamed away from this name.
    MovedFrom,
}

impl What {
    /// Whether the name is free afterwards.
    #[must_use]
    pub fn is_removal(self) -> bool {
        matches!(self, Self::Removed | Self::MovedFrom)
    }

    /// Whether the name may have been free before and is taken afterwards.
    #[must_use]
    pub fn is_arrival(self) -> bool {
        matches!(self, Self::Created | Self::Found | Self::Linked | Self::MovedTo)
    }
}

/// A name that may differ from what it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dirty {
    /// The name.
    pub path: RelPath,
    /// What was seen.
    pub what: What,
    /// Whether it was seen of a directory.
    pub is_dir: bool,
    /// The same number in both halves of a rename; 0 in all else.
    pub cookie: u32,
}

impl Dirty {
    /// Something that is no rename.
    #[must_use]
    pub fn new(path: RelPath, what: What, is_dir: bool) -> Self {
        Self { path, what, is_dir, cookie: 0 }
    }
}

/// How far a name of a batch reaches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// The name alone.
    Name,
    /// The name and, where it is or was a directory, everything below it.
    Tree,
}

/// Names that are due together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch {
    /// Each name with its reach; none lies below a [`Scope::Tree`] of the same batch. The root
    /// with [`Scope::Tree`] asks for a scan of everything.
    pub names: BTreeMap<RelPath, Scope>,
}

impl Batch {
    /// Adds `path`; the wider scope wins.
    pub(super) fn add(&mut self, path: RelPath, scope: Scope) {
        let known = self.names.entry(path).or_insert(scope);
        *known = scope.max(*known);
    }

    /// Drops what lies below a tree that is in the batch anyway.
    pub(super) fn normalise(&mut self) {
        let trees: Vec<RelPath> =
            self.names.iter().filter(|(_, scope)| **scope == Scope::Tree).map(|(path, _)| path.clone()).collect();
        if !trees.is_empty() {
            let names = std::mem::take(&mut self.names);
            let batch = Self { names: trees.into_iter().map(|path| (path, Scope::Tree)).collect() };
            self.names = names.into_iter().filter(|(path, _)| !batch.has_tree_above(path)).collect();
        }
    }

    /// Whether looking at this batch looks at `path`.
    #[must_use]
    pub fn covers(&self, path: &RelPath) -> bool {
        self.names.contains_key(path) || self.has_tree_above(path)
    }

    fn has_tree_above(&self, path: &RelPath) -> bool {
        let mut above = path.parent();
        while let Some(dir) = above {
            if self.names.get(&dir) == Some(&Scope::Tree) {
                return true;
            }
            above = dir.parent();
        }
        false
    }
}
