//! Change sets on a real file system: what a sender would send, and what must be there afterwards.

mod random;
mod refusal;
mod scenarios;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::apply::{Applier, ApplyError, Deletions, OWN_DIR, Outcome, Policy};
use crate::fs::{Root, look_at, write};
use crate::model::{Attrs, Content, Digest, Entry, Kind, Manifest, Meta, Node, Op, Put, RelPath, Timestamp};

const ATTRS: Attrs = Attrs::ARCHIVE.with(Attrs::HARD_LINKS);

fn path(p: &str) -> RelPath {
    if p == "." { RelPath::root() } else { RelPath::parse(p.as_bytes()).expect("valid") }
}

/// All entries of a tree, read from disk, with hashes and hard links; `.syncd` left out.
fn scan(top: &Path) -> Manifest {
    let root = Root::open(top).expect("open the tree");
    let mut found = Manifest::new();
    found.insert(&RelPath::root(), crate::fs::meta::look_fd(&root).expect("look"));
    let mut leaders: BTreeMap<u64, RelPath> = BTreeMap::new();
    let mut pending = vec![RelPath::root()];
    let mut all = BTreeMap::new();
    while let Some(at) = pending.pop() {
        let dir = root.dir(&at).expect("open a directory");
        for (name, _) in write::names(&dir).expect("list") {
            if at.is_root() && name == OWN_DIR {
                continue;
            }
            let path = at.join(&name).expect("valid");
            let mut record = look_at(dir.as_fd(), &name).expect("look").expect("there");
            if let Node::File { hash, .. } = &mut record.entry.node {
                *hash = Some(Digest::of(&fs::read(top.join(path.as_os_str())).expect("read")));
            }
            if record.entry.is_dir() {
                pending.push(path.clone());
            }
            all.insert(path, record);
        }
    }
    for (path, mut record) in all {
        let stamp = record.stamp.expect("just looked");
        if stamp.nlink > 1 && !record.entry.is_dir() {
            let leader = leaders.entry(stamp.ino).or_insert_with(|| path.clone());
            record.entry.link = (*leader != path).then(|| leader.clone());
        }
        found.insert(&path, record);
    }
    found
}

/// The tree in a form that compares: every entry without the mode of symlinks, and without the
/// size of nothing.
fn shape(tree: &Manifest) -> BTreeMap<RelPath, Entry> {
    tree.iter()
        .map(|(path, record)| {
            let mut entry = record.entry.clone();
            if entry.kind() == Kind::Symlink {
                entry.meta.mode = 0;
            }
            (path, entry)
        })
        .collect()
}

/// What a sender sends to turn `held` into the tree at `top`, of which `want` is a scan.
fn diff(held: &Manifest, want: &Manifest, top: &Path) -> Vec<Op> {
    let mut ops = Vec::new();
    for (path, record) in want.iter() {
        let entry = record.entry.clone();
        let old = held.entry(&path);
        if old.is_some_and(|old| old.same(&entry, ATTRS)) {
            continue;
        }
        let content = match (&entry.node, &entry.link) {
            (Node::Dir, _) => Content::Keep,
            (_, Some(leader)) => Content::Link(leader.clone()),
            (Node::File { .. }, None) if old.is_some_and(|o| o.node == entry.node && o.link == entry.link) => {
                Content::Keep
            }
            (Node::File { .. }, None) => Content::Inline(fs::read(top.join(path.as_os_str())).expect("read")),
            _ => Content::Keep,
        };
        let base = old.and_then(Entry::hash);
        ops.push(Op::Put(Put { path, entry, content, base }));
    }
    for (path, record) in held.iter() {
        let goes = |p: &RelPath| want.get(p).is_none();
        if goes(&path) && !path.parent().is_some_and(|p| goes(&p)) {
            ops.push(Op::Remove { path, kind: Some(record.entry.kind()) });
        }
    }
    ops
}

/// What a rename means for `held`; a directory may take the place of the one that it is in.
fn believe(held: &mut Manifest, from: &RelPath, to: &RelPath) {
    let moving = held.remove(from);
    held.remove(to);
    for (path, record) in moving {
        held.insert(&path.moved(from, to), record);
    }
}

/// A source tree and a replica, in temporary directories.
struct Pair {
    source: TempDir,
    replica: TempDir,
    applier: Applier,
    held: Manifest,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let replica = tempfile::tempdir().expect("tempdir");
        let mut policy = Policy::of_this_thread(ATTRS).expect("policy");
        policy.deletions = Deletions::Always;
        change(&mut policy);
        let root = Root::open(replica.path()).expect("open");
        let applier = Applier::open(root, policy).expect("applier");
        let held = scan(replica.path());
        Self { source: tempfile::tempdir().expect("tempdir"), replica, applier, held }
    }

    /// The path of `name` at the source.
    fn at(&self, name: &str) -> PathBuf {
        self.source.path().join(name)
    }

    /// The path of `name` at the replica.
    fn there(&self, name: &str) -> PathBuf {
        self.replica.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.at(name).parent().expect("parent")).expect("mkdir");
        fs::write(self.at(name), content).expect("write");
    }

    /// The operations that make the replica what the source is.
    fn ops(&self) -> Vec<Op> {
        diff(&self.held, &scan(self.source.path()), self.source.path())
    }

    fn apply(&mut self, ops: Vec<Op>) -> Result<Outcome, ApplyError> {
        let staging = self.applier.begin(self.applier.policy().attrs, &[], &[])?;
        staging.stage_ops(ops)?;
        let outcome = staging.commit(&mut self.held, false)?;
        staging.cleanup()?;
        Ok(outcome)
    }

    /// Sends what changed, and checks that both trees and the manifest are equal afterwards.
    fn sync(&mut self) -> Outcome {
        let outcome = self.apply(self.ops()).expect("apply");
        assert_eq!(outcome.failed, []);
        self.check();
        outcome
    }

    fn check(&self) {
        let wanted = shape(&scan(self.source.path()));
        let now = scan(self.replica.path());
        assert_eq!(shape(&now), wanted, "the tree");
        assert_eq!(shape(&self.held), wanted, "the manifest");
        for (path, record) in self.held.iter() {
            // What happens to one name of an inode moves the ctime of the others.
            if record.stamp.is_some_and(|s| s.nlink > 1 && !record.entry.is_dir()) {
                continue;
            }
            let disk = now.get(&path).expect("as the shapes are equal");
            assert!(record.is_current(disk), "{path} is recorded as {record:?} and is {disk:?}");
        }
        assert_eq!(self.staged(), 0, "the stage is empty");
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.there(".syncd/stage")).expect("list").count()
    }

    /// What is kept as drift: name without the number, and content of files.
    fn kept(&self) -> Vec<(String, String)> {
        let mut kept: Vec<_> = fs::read_dir(self.there(".syncd/drift"))
            .expect("list")
            .map(|e| {
                let e = e.expect("entry");
                let name = e.file_name().into_string().expect("utf-8");
                let name = name.rsplit('-').next().unwrap_or_default().to_owned();
                (name, fs::read_to_string(e.path()).unwrap_or_default())
            })
            .collect();
        kept.sort();
        kept
    }
}

/// A put of a regular file with content.
fn file(p: &str, content: &[u8]) -> Put {
    let node = Node::File { size: content.len() as u64, hash: Some(Digest::of(content)) };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let meta = Meta { mode: 0o644, uid, gid, mtime: Timestamp { secs: 1_000_000_000, nanos: 7 } };
    let entry = Entry { node, meta, xattrs: Vec::new(), link: None };
    Put { path: path(p), entry, content: Content::Inline(content.to_vec()), base: None }
}

/// A put of something without content.
fn special(p: &str, node: Node, mode: u32) -> Put {
    let mut put = file(p, b"");
    put.entry.node = node;
    put.entry.meta.mode = mode;
    put.content = Content::Keep;
    put
}
