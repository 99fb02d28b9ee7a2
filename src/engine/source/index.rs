//! What is on disk at the source, as far as it was looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use super::content::Unlike;
use super::left_out::LeftOut;
use super::refresh::is_fresh;
use crate::model::{Attrs, Digest, Entry, Manifest, Record, RelPath, Stamp, Timestamp};

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
    /// What is there and no part of the set by its size, or mounted.
    pub left_out: LeftOut,
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
        Self { manifest, number, names, unsaved: BTreeSet::new(), ..Self::default() }
    }

    /// A copy to compare with, of which nothing is saved.
    #[must_use]
    pub fn to_compare(&self) -> Self {
        Self { left_out: self.left_out.clone(), ..Self::new(self.manifest.clone(), self.number) }
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

    /// Notes the content hash of `path`, provided that `read` is what the index shows; says whether
    /// it is.
    pub fn fill(&mut self, path: &RelPath, read: &Record) -> bool {
        let Some(known) = self.manifest.get(path).filter(|known| known.is_current(read)) else { return false };
        let mut record = known.clone();
        record.entry.node = read.entry.node.clone();
        self.manifest.insert(path, record);
        self.owe(path);
        true
    }

    /// Takes what was read at a path where the index showed something else by the time of the plan,
    /// and still does: it changed before it was read.
    ///
    /// Returns what the index showed, a change that the other targets need to know. What a later
    /// look found stands: it is newer than what was read. Where reading does not show the whole,
    /// attributes and links may have changed as well, and the path has to be looked at again.
    pub(crate) fn take_read(&mut self, unlike: &Unlike) -> Option<Entry> {
        let Unlike { path, planned, read, whole } = unlike;
        let known = self.manifest.get(path)?;
        // Equal entries are not enough: size and mtime may be as they were, and a content that nobody
        // has read equals any other.
        let seen_later = known.stamp.zip(read.stamp).is_some_and(|(known, read)| read.ctime <= known.ctime);
        if known.entry != *planned || seen_later {
            return None;
        }
        let entry = Entry { xattrs: planned.xattrs.clone(), link: planned.link.clone(), ..read.entry.clone() };
        let read = Record { entry, stamp: read.stamp };
        self.insert(path, if *whole { read } else { unproven(read) }).map(|old| old.entry)
    }

    /// What the store does not have: paths with their records, none where there is none any more.
    ///
    /// What changed so lately that another change may hide behind the same stamp is known by its inode
    /// alone there: whoever reads it back has to look at it again.
    pub fn take_unsaved(&mut self) -> Vec<(RelPath, Option<Record>)> {
        let paths = std::mem::take(&mut self.unsaved);
        let record = |path: &RelPath| {
            let record = self.manifest.get(path)?.clone();
            Some(if is_fresh(&record) { unproven(record) } else { record })
        };
        paths.into_iter().map(|path| (path.clone(), record(&path))).collect()
    }

    /// Brings what is said of names of one file in line with whether `attrs` ask for it: a store may
    /// hold what was looked at when they did not.
    pub fn link_as(&mut self, attrs: Attrs) {
        let wanted = attrs.has(Attrs::HARD_LINKS);
        let shared = self.names.values().flatten().filter_map(|path| Some((path, self.manifest.get(path)?)));
        let unlike: Vec<(RelPath, Record)> = shared
            .filter_map(|(path, record)| {
                let link = if wanted { self.leader(path, record) } else { None };
                let entry = Entry { link, ..record.entry.clone() };
                (entry != record.entry).then(|| (path.clone(), Record { entry, ..record.clone() }))
            })
            .collect();
        for (path, record) in unlike {
            self.insert(&path, record);
        }
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

/// `record` without its ctime: no longer current, and still known by its inode.
fn unproven(record: Record) -> Record {
    let stamp = record.stamp.map(|s| Stamp { ctime: Timestamp::default(), ..s });
    Record { stamp, ..record }
}

/// Device and inode of a file with several names.
fn shared_inode(record: &Record) -> Option<(u64, u64)> {
    let stamp = record.stamp.filter(|s| s.nlink > 1 && !record.entry.is_dir())?;
    Some((stamp.dev, stamp.ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Meta, Node, Xattr};

    fn record(size: u64, ctime: i64, xattr: &[u8]) -> Record {
        let node = Node::File { size, hash: Some(Digest::of(&size.to_le_bytes())) };
        let xattrs = vec![Xattr { name: b"user.a"[..].into(), value: xattr.into() }];
        let stamp = Stamp { dev: 1, ino: 1, ctime: Timestamp { secs: ctime, nanos: 0 }, nlink: 1 };
        Record { entry: Entry { node, meta: Meta::default(), xattrs, link: None }, stamp: Some(stamp) }
    }

    /// A second write within the same size and mtime was looked at while the first was read.
    #[test]
    fn what_was_read_before_the_last_look_never_replaces_it() {
        let path = RelPath::parse(b"a").expect("valid");
        let unread = |ctime| {
            let mut record = record(1, ctime, b"");
            record.entry.node = Node::File { size: 1, hash: None };
            record
        };
        let mut index = Index::default();
        index.insert(&path, unread(1));
        let planned = index.manifest().entry(&path).expect("there").clone();
        index.insert(&path, unread(3));
        let unlike = Unlike { path: path.clone(), planned, read: record(1, 2, b""), whole: true };
        assert_eq!(index.take_read(&unlike), None);
        assert_eq!(index.manifest().get(&path), Some(&unread(3)));
    }

    /// Where it went to is told by its inode: without that a renamed directory is a mass deletion.
    #[test]
    fn what_is_unproven_is_looked_at_again_and_known_by_its_inode() {
        let record = record(1, 1, b"");
        let stored = unproven(record.clone());
        assert!(!stored.is_current(&record));
        assert_eq!(stored.stamp.map(|s| (s.dev, s.ino)), record.stamp.map(|s| (s.dev, s.ino)));
    }

    /// setfattr(1) while the file was under way: reading shows its ctime, not what it did.
    #[test]
    fn what_reading_does_not_show_is_looked_at_again() {
        let path = RelPath::parse(b"a").expect("valid");
        let (before, now) = (record(1, 1, b"old"), record(2, 2, b"new"));
        for whole in [false, true] {
            let mut index = Index::default();
            index.insert(&path, before.clone());
            let read = Record { entry: Entry { xattrs: Vec::new(), ..now.entry.clone() }, ..now.clone() };
            let unlike = Unlike { path: path.clone(), planned: before.entry.clone(), read, whole };
            assert_eq!(index.take_read(&unlike), Some(before.entry.clone()));
            assert_eq!(index.manifest().get(&path).is_some_and(|known| known.is_current(&now)), whole);
        }
    }
}
