//! What is on disk at the source, as far as it was looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::model::{Attrs, Digest, Entry, Manifest, Record, RelPath};

/// The manifest of a source set together with what follows from it.
#[derive(Debug, Default)]
pub struct Index {
    manifest: Manifest,
    /// Counts the refreshes that changed something: the generation's number.
    number: u64,
    /// All known names of inodes that have several: an event names only one of them.
    names: HashMap<(u64, u64), BTreeSet<RelPath>>,
    /// Paths whose records the store does not have.
    unsaved: BTreeSet<RelPath>,
    /// Rung when there is something unsaved.
    changed: Arc<Notify>,
}

impl Index {
    /// An index that begins with `manifest` at generation `number`.
    #[must_use]
    pub fn new(manifest: Manifest, number: u64) -> Self {
        let mut names: HashMap<_, BTreeSet<_>> = HashMap::new();
        for (path, record) in manifest.iter() {
            if let Some(inode) = shared_inode(record) {
                names.entry(inode).or_default().insert(path);
            }
        }
        Self { manifest, number, names, unsaved: BTreeSet::new(), changed: Arc::default() }
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Gives the records of `dir` no more memory than they need.
    pub fn compact(&mut self, dir: &RelPath) {
        self.manifest.compact(dir);
    }

    /// What is rung when the store has to get something.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// The number of the newest generation.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Counts one more generation.
    pub fn advance(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Puts `record` at `path`; returns what stood there.
    pub fn insert(&mut self, path: &RelPath, record: Record) -> Option<Record> {
        let inode = shared_inode(&record);
        self.owe(path);
        let old = self.manifest.insert(path, record);
        if let Some(old) = &old {
            self.forget_name(path, old);
        }
        if let Some(inode) = inode {
            self.names.entry(inode).or_default().insert(path.clone());
        }
        old
    }

    /// Removes `path` and everything below it; returns all that went, parents first.
    pub fn remove(&mut self, path: &RelPath) -> Vec<(RelPath, Record)> {
        let gone = self.manifest.remove(path);
        for (path, record) in &gone {
            self.forget_name(path, record);
            self.owe(path);
        }
        gone
    }

    /// The other known names of the inode that `record` shows.
    pub fn other_names(&self, path: &RelPath, record: &Record) -> Vec<RelPath> {
        let names = shared_inode(record).and_then(|inode| self.names.get(&inode));
        names.into_iter().flatten().filter(|n| *n != path).cloned().collect()
    }

    /// The smallest known name of the inode, when that is not `path` itself: what
    /// [`crate::model::Entry::link`] says.
    #[must_use]
    pub fn leader(&self, path: &RelPath, record: &Record) -> Option<RelPath> {
        let first = self.names.get(&shared_inode(record)?)?.first()?;
        (first != path).then(|| first.clone())
    }

    /// Notes the content hash of `path`, provided that `read` is what the index shows.
    pub fn fill(&mut self, path: &RelPath, read: &Record) {
        if let Some(known) = self.manifest.get(path)
            && known.is_current(read)
        {
            let mut record = known.clone();
            record.entry.node = read.entry.node.clone();
            self.manifest.insert(path, record);
            self.owe(path);
        }
    }

    /// Takes what was read at `path`, for which the index showed `planned`: the hash when the file
    /// is still that one, all of it when it changed before it was read.
    ///
    /// Returns what the index showed in the latter case, a change that the other targets need to
    /// know. What a later look found stands: it is newer than what was read.
    pub fn take_read(&mut self, path: &RelPath, planned: &Entry, read: &Record) -> Option<Entry> {
        let known = self.manifest.get(path)?;
        if known.is_current(read) {
            self.fill(path, read);
            return None;
        }
        if known.entry != *planned {
            return None;
        }
        let entry = Entry { xattrs: planned.xattrs.clone(), link: planned.link.clone(), ..read.entry.clone() };
        self.insert(path, Record { entry, stamp: read.stamp }).map(|old| old.entry)
    }

    /// What the store does not have: paths with their records, none where there is none any more.
    pub fn take_unsaved(&mut self) -> Vec<(RelPath, Option<Record>)> {
        let paths = std::mem::take(&mut self.unsaved);
        paths.into_iter().map(|path| (path.clone(), self.manifest.get(&path).cloned())).collect()
    }

    /// The hash of the entries in `dir`.
    pub fn dir_digest(&mut self, dir: &RelPath, attrs: Attrs) -> Option<Digest> {
        self.manifest.dir_digest(dir, attrs)
    }

    /// The Merkle root.
    pub fn root(&mut self, attrs: Attrs) -> Option<Digest> {
        self.manifest.root(attrs)
    }

    fn owe(&mut self, path: &RelPath) {
        if self.unsaved.is_empty() {
            self.changed.notify_one();
        }
        self.unsaved.insert(path.clone());
    }

    fn forget_name(&mut self, path: &RelPath, record: &Record) {
        if let Some(inode) = shared_inode(record)
            && let Some(names) = self.names.get_mut(&inode)
        {
            names.remove(path);
            if names.is_empty() {
                self.names.remove(&inode);
            }
        }
    }
}

/// Device and inode of a file with several names.
fn shared_inode(record: &Record) -> Option<(u64, u64)> {
    let stamp = record.stamp.filter(|s| s.nlink > 1 && !record.entry.is_dir())?;
    Some((stamp.dev, stamp.ino))
}
