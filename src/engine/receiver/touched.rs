//! Which records of a manifest the store does not have.

use std::collections::BTreeSet;

use crate::model::{Manifest, Op, Record, RelPath};
use crate::store::Write;

/// Paths whose records the store does not have yet.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) paths: BTreeSet<RelPath>,
    /// Directories that came by a rename: everything below them.
    pub(crate) trees: BTreeSet<RelPath>,
    /// Everything.
    pub(crate) all: bool,
}

impl Touched {
    /// Notes what `ops` are about to touch in `manifest`.
    pub(crate) fn note(&mut self, manifest: &Manifest, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Put(put) => {
                    if !put.entry.is_dir() {
                        self.paths.extend(manifest.within(&put.path).map(|(p, _)| p));
                    }
                    self.paths.insert(put.path.clone());
                }
                Op::Remove { path, .. } => self.paths.extend(manifest.within(path).map(|(p, _)| p)),
                Op::Rename { from, to } => {
                    self.paths.extend(manifest.within(from).chain(manifest.within(to)).map(|(p, _)| p));
                    self.trees.insert(to.clone());
                }
            }
        }
    }

    /// Notes all that `other` names.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.paths.append(&mut other.paths);
        self.trees.append(&mut other.trees);
        self.all |= other.all;
    }

    /// Whether the store has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.trees.is_empty() && !self.all
    }

    /// What `manifest`, that of `set`, shows at these paths, and of how many entries.
    pub(crate) fn write(self, set: String, manifest: &Manifest) -> (usize, Write) {
        if self.all {
            return (manifest.len(), Write::ReplaceIndex { set, manifest: manifest.clone() });
        }
        let mut paths = self.paths;
        for tree in self.trees {
            paths.extend(manifest.within(&tree).map(|(p, _)| p));
        }
        let record = |path: RelPath| {
            let record = manifest.get(&path).cloned();
            (path, record)
        };
        let changes: Vec<(RelPath, Option<Record>)> = paths.into_iter().map(record).collect();
        (changes.len(), Write::Index { set, changes })
    }
}
