//! All entries of a set, by directory, with a Merkle root.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::name::Name;
use super::{Attrs, Digest, Entry, Record, RelPath};

/// All entries of a set: what a scan yields and what a receiver holds.
///
/// Kept as a Merkle tree two levels high: the root hashes all directories, a directory hashes its
/// entries. One changed file costs the hash of its directory plus 32 bytes for every directory.
/// The set's root directory is itself an entry, at the path `.`.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    root: Option<Record>,
    dirs: BTreeMap<RelPath, Directory>,
    len: usize,
}

#[derive(Clone, Debug, Default)]
struct Directory {
    entries: BTreeMap<Name, Record>,
    digest: Option<(Attrs, Digest)>,
}

impl Manifest {
    /// A manifest without any entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are, the root directory not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing below the root directory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record at `path`.
    #[must_use]
    pub fn get(&self, path: &RelPath) -> Option<&Record> {
        match path.parent() {
            None => self.root.as_ref(),
            Some(dir) => self.dirs.get(&dir)?.entries.get(path.name()),
        }
    }

    /// The entry at `path`.
    #[must_use]
    pub fn entry(&self, path: &RelPath) -> Option<&Entry> {
        self.get(path).map(|r| &r.entry)
    }

    /// Puts `record` at `path` and returns what stood there; what lies below stays.
    pub fn insert(&mut self, path: &RelPath, record: Record) -> Option<Record> {
        let Some(parent) = path.parent() else {
            self.dirs.entry(RelPath::root()).or_default().digest = None;
            return self.root.replace(record);
        };
        let dir = self.dirs.entry(parent).or_default();
        dir.digest = None;
        let old = dir.entries.insert(path.name().into(), record);
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes `path` and everything below it; returns all that went, parents first.
    pub fn remove(&mut self, path: &RelPath) -> Vec<(RelPath, Record)> {
        let mut gone = Vec::new();
        let Some(parent) = path.parent() else {
            return gone;
        };
        let keep = parent.is_root() && self.root.is_some();
        if let Some(dir) = self.dirs.get_mut(&parent)
            && let Some(record) = dir.entries.remove(path.name())
        {
            dir.digest = None;
            let empty = dir.entries.is_empty() && !keep;
            gone.push((path.clone(), record));
            if empty {
                self.dirs.remove(&parent);
            }
        }
        for at in self.dirs_within(path) {
            if let Some(dir) = self.dirs.remove(&at) {
                for (name, record) in dir.entries {
                    if let Ok(below) = at.join(name.as_bytes()) {
                        gone.push((below, record));
                    }
                }
            }
        }
        self.len -= gone.len();
        gone
    }

    /// Moves `from` and everything below it to `to`, replacing what was there.
    ///
    /// Returns what was replaced. Nothing happens when there is no `from`, or when one path lies
    /// within the other.
    pub fn rename(&mut self, from: &RelPath, to: &RelPath) -> Vec<(RelPath, Record)> {
        if from.is_within(to) || to.is_within(from) || self.get(from).is_none() {
            return Vec::new();
        }
        let replaced = self.remove(to);
        for (path, record) in self.remove(from) {
            self.insert(&path.moved(from, to), record);
        }
        replaced
    }

    /// The children of the directory `dir`, by name.
    pub fn children(&self, dir: &RelPath) -> impl Iterator<Item = (&[u8], &Record)> {
        self.dirs.get(dir).into_iter().flat_map(|d| d.entries.iter().map(|(n, r)| (n.as_bytes(), r)))
    }

    /// All records, the root directory first, then directory by directory in the order of paths.
    pub fn iter(&self) -> impl Iterator<Item = (RelPath, &Record)> {
        self.root.iter().map(|r| (RelPath::root(), r)).chain(
            self.dirs.iter().flat_map(|(at, dir)| {
                dir.entries.iter().filter_map(|(name, r)| Some((at.join(name.as_bytes()).ok()?, r)))
            }),
        )
    }

    /// `path` itself and everything below it.
    pub fn within<'a>(&'a self, path: &RelPath) -> impl Iterator<Item = (RelPath, &'a Record)> {
        let own = self.get(path).map(|r| (path.clone(), r));
        own.into_iter().chain(self.dirs_within(path).into_iter().flat_map(move |at| {
            let dir = self.dirs.get(&at);
            dir.into_iter().flat_map(move |dir| {
                let at = at.clone();
                dir.entries.iter().filter_map(move |(name, r)| Some((at.join(name.as_bytes()).ok()?, r)))
            })
        }))
    }

    /// The directories that hold entries, and the root, in the order of paths.
    pub fn dirs(&self) -> impl Iterator<Item = &RelPath> {
        self.dirs.keys()
    }

    /// Gives the records of `dir` no more memory than they need; they were put in one by one.
    pub fn compact(&mut self, dir: &RelPath) {
        if let Some(dir) = self.dirs.get_mut(dir) {
            // A tree that is made of sorted entries has full nodes.
            dir.entries = std::mem::take(&mut dir.entries).into_iter().collect();
        }
    }

    /// The hash of the entries directly inside `dir` as a set with `attrs` sees them; for the root
    /// directory also of its own metadata.
    ///
    /// None when `dir` holds none, or while the content of one of them has not been read.
    pub fn dir_digest(&mut self, dir: &RelPath, attrs: Attrs) -> Option<Digest> {
        let own = self.root.as_ref().filter(|_| dir.is_root());
        let dir = self.dirs.get_mut(dir)?;
        if let Some((of, digest)) = dir.digest
            && of == attrs
        {
            return Some(digest);
        }
        let mut hasher = blake3::Hasher::new();
        if let Some(own) = own {
            own.entry.feed(attrs, &mut hasher);
        }
        for (name, record) in &dir.entries {
            let name = name.as_bytes();
            if !record.entry.is_hashed() {
                return None;
            }
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
            record.entry.feed(attrs, &mut hasher);
        }
        let digest = hasher.finalize().into();
        dir.digest = Some((attrs, digest));
        Some(digest)
    }

    /// The Merkle root over all directories.
    ///
    /// None while the content of some entry has not been read.
    pub fn root(&mut self, attrs: Attrs) -> Option<Digest> {
        let mut hasher = blake3::Hasher::new();
        for at in self.dirs.keys().cloned().collect::<Vec<_>>() {
            let digest = self.dir_digest(&at, attrs)?;
            hasher.update(&(at.as_bytes().len() as u64).to_le_bytes()).update(at.as_bytes());
            hasher.update(&digest.0);
        }
        Some(hasher.finalize().into())
    }

    /// The directories at and below `path` that hold entries, parents first.
    fn dirs_within(&self, path: &RelPath) -> Vec<RelPath> {
        let from = (Bound::Included(path), Bound::Unbounded);
        if path.is_root() {
            return self.dirs.keys().cloned().collect();
        }
        // `a-` sorts between `a` and `a/b`, hence the filter, and the end where prefixes end.
        self.dirs
            .range(from)
            .map(|(at, _)| at)
            .take_while(|at| at.as_bytes().starts_with(path.as_bytes()))
            .filter(|at| at.is_within(path))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Meta, Node};

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    fn file(content: &[u8]) -> Record {
        let node = Node::File { size: content.len() as u64, hash: Some(Digest::of(content)) };
        Record { entry: Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None }, stamp: None }
    }

    fn dir() -> Record {
        Record { entry: Entry { node: Node::Dir, meta: Meta::default(), xattrs: Vec::new(), link: None }, stamp: None }
    }

    fn sample() -> Manifest {
        let mut m = Manifest::new();
        m.insert(&RelPath::root(), dir());
        for d in ["a", "a/b", "a-b"] {
            m.insert(&path(d), dir());
        }
        for f in ["a/1", "a/b/2", "a-b/3", "4"] {
            m.insert(&path(f), file(f.as_bytes()));
        }
        m
    }

    #[test]
    fn removing_a_directory_takes_what_is_below_and_nothing_beside() {
        let mut m = sample();
        let gone: Vec<_> = m.remove(&path("a")).into_iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(gone, ["a", "a/1", "a/b", "a/b/2"]);
        assert_eq!(m.len(), 3);
        assert!(m.get(&path("a-b/3")).is_some());
        assert!(m.get(&RelPath::root()).is_some());
    }

    #[test]
    fn a_rename_leaves_the_root_as_if_made_there() {
        let mut moved = sample();
        moved.rename(&path("a"), &path("z"));
        let mut made = Manifest::new();
        made.insert(&RelPath::root(), dir());
        for d in ["z", "z/b", "a-b"] {
            made.insert(&path(d), dir());
        }
        for (f, c) in [("z/1", "a/1"), ("z/b/2", "a/b/2"), ("a-b/3", "a-b/3"), ("4", "4")] {
            made.insert(&path(f), file(c.as_bytes()));
        }
        assert_eq!(moved.root(Attrs::ARCHIVE), made.root(Attrs::ARCHIVE));
        assert_eq!(moved.len(), made.len());
    }

    #[test]
    fn an_unread_file_leaves_the_root_unknown() {
        let mut m = sample();
        let mut unread = file(b"x");
        unread.entry.node = Node::File { size: 1, hash: None };
        m.insert(&path("a/1"), unread);
        assert_eq!(m.root(Attrs::ARCHIVE), None);
        assert!(m.dir_digest(&path("a-b"), Attrs::ARCHIVE).is_some());
    }

    proptest! {
        #[test]
        fn the_root_depends_on_the_entries_and_not_on_their_history(
            steps in prop::collection::vec((0u8..3, 0usize..6, 0u8..4), 0..40)
        ) {
            let names = ["a", "b", "a/x", "a/y", "b/x", "b/x/q"].map(path);
            let mut walked = Manifest::new();
            let mut model: BTreeMap<RelPath, Record> = BTreeMap::new();
            for (what, which, content) in steps {
                let p = &names[which];
                if what == 0 {
                    walked.remove(p);
                    model.retain(|q, _| !q.is_within(p));
                } else {
                    walked.insert(p, file(&[content]));
                    model.insert(p.clone(), file(&[content]));
                }
                // Asking in between must not leave a stale digest behind.
                walked.root(Attrs::ARCHIVE);
            }
            let mut fresh = Manifest::new();
            for (p, r) in &model {
                fresh.insert(p, r.clone());
            }
            prop_assert_eq!(walked.len(), model.len());
            prop_assert_eq!(walked.root(Attrs::ARCHIVE), fresh.root(Attrs::ARCHIVE));
            let mut listed: Vec<_> = walked.iter().map(|(p, _)| p).collect();
            listed.sort();
            prop_assert_eq!(listed, model.keys().cloned().collect::<Vec<_>>());
        }
    }
}
