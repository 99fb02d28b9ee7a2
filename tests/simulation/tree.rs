//! Trees of a set as maps, edited as file systems are, and the applying of a change set to one.

use std::collections::{BTreeMap, BTreeSet};

use syncd::model::{Attrs, Content, Digest, Entry, Meta, Node, Op, Put, RelPath, Timestamp};
use syncd::wire::Failed;

pub(crate) type Tree = BTreeMap<RelPath, Entry>;

pub(crate) const ATTRS: Attrs = Attrs::ARCHIVE;

/// splitmix64: the same run for the same seed, everywhere.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// Few paths, so that they collide: three names, up to three levels.
pub(crate) fn any_path(rng: &mut Rng) -> RelPath {
    let mut path = RelPath::root();
    for _ in 0..=rng.below(3) {
        let name: &[u8] = [&b"a"[..], b"a-b", b"c"][rng.below(3) as usize];
        path = path.join(name).expect("valid");
    }
    path
}

/// The bytes of a file; few contents, so that they recur.
fn content(which: u8) -> Vec<u8> {
    vec![which; usize::from(which)]
}

/// The content that has this hash.
pub(crate) fn read(entry: &Entry) -> Vec<u8> {
    (0..5).map(content).find(|bytes| Some(Digest::of(bytes)) == entry.hash()).expect("a content of these trees")
}

fn any_entry(rng: &mut Rng) -> Entry {
    let node = match rng.below(8) {
        0..=4 => {
            let bytes = content(rng.below(5) as u8);
            Node::File { size: bytes.len() as u64, hash: Some(Digest::of(&bytes)) }
        }
        5 | 6 => Node::Dir,
        _ => Node::Symlink { target: [b't', rng.below(2) as u8 + b'0'].into() },
    };
    let mtime = Timestamp { secs: rng.below(2) as i64, nanos: 0 };
    Entry { node, meta: Meta { mode: 0o644, uid: 0, gid: 0, mtime }, xattrs: Vec::new(), link: None }
}

fn is_dir(tree: &Tree, path: &RelPath) -> bool {
    path.is_root() || tree.get(path).is_some_and(Entry::is_dir)
}

fn parent_is_dir(tree: &Tree, path: &RelPath) -> bool {
    path.parent().is_some_and(|parent| is_dir(tree, &parent))
}

fn rename(tree: &mut Tree, from: &RelPath, to: &RelPath) {
    tree.retain(|p, _| !p.is_within(to));
    *tree = std::mem::take(tree).into_iter().map(|(p, e)| (p.moved(from, to), e)).collect();
}

fn put(tree: &mut Tree, path: &RelPath, entry: Entry) {
    if !entry.is_dir() {
        tree.retain(|p, _| !p.is_below(path));
    }
    tree.insert(path.clone(), entry);
}

/// What an edit touched, and what it moved.
pub(crate) struct Edit {
    pub(crate) touched: Vec<RelPath>,
    pub(crate) moved: Option<(RelPath, RelPath)>,
}

/// One random edit, of those that are possible.
pub(crate) fn edit(tree: &mut Tree, rng: &mut Rng) -> Edit {
    let path = any_path(rng);
    let within = |tree: &Tree, p: &RelPath| tree.keys().filter(|q| q.is_within(p)).cloned().collect::<Vec<_>>();
    let mut touched = within(tree, &path);
    match rng.below(10) {
        0..=5 if parent_is_dir(tree, &path) => put(tree, &path, any_entry(rng)),
        6 => tree.retain(|p, _| !p.is_within(&path)),
        7.. => {
            let to = any_path(rng);
            let nested = path.is_within(&to) || to.is_within(&path);
            if !nested && tree.contains_key(&path) && parent_is_dir(tree, &to) {
                touched.extend(within(tree, &to));
                rename(tree, &path, &to);
                touched.extend(within(tree, &to));
                return Edit { touched, moved: Some((path, to)) };
            }
        }
        _ => {}
    }
    touched.extend(within(tree, &path));
    Edit { touched, moved: None }
}

/// A tree with a change set in it.
pub(crate) struct Applied {
    pub(crate) tree: Tree,
    pub(crate) failed: Vec<Failed>,
    pub(crate) held: u64,
}

/// Applies `ops` as a receiver would; nothing can be made at the paths in `broken`.
///
/// The error names the paths whose content is needed.
pub(crate) fn apply(tree: &Tree, ops: &[Op], broken: &BTreeSet<RelPath>, hold: bool) -> Result<Applied, Vec<RelPath>> {
    let mut applied = Applied { tree: tree.clone(), failed: Vec::new(), held: 0 };
    for op in ops {
        match op {
            Op::Rename { from, to } => applied.rename(from, to, broken)?,
            Op::Put(put) => applied.put(put, broken)?,
            Op::Remove { .. } if hold => applied.held += 1,
            Op::Remove { path, .. } if broken.contains(path) => applied.fail(path),
            Op::Remove { path, .. } => applied.tree.retain(|p, _| !p.is_within(path)),
        }
    }
    Ok(applied)
}

impl Applied {
    fn fail(&mut self, path: &RelPath) {
        self.failed.push(Failed { path: path.clone(), cause: "simulated".to_owned(), left_out: false });
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath, broken: &BTreeSet<RelPath>) -> Result<(), Vec<RelPath>> {
        if !self.tree.contains_key(from) || !parent_is_dir(&self.tree, to) {
            return Err(vec![from.clone(), to.clone()]);
        }
        if broken.contains(from) || broken.contains(to) {
            self.fail(from);
            self.fail(to);
        } else {
            rename(&mut self.tree, from, to);
        }
        Ok(())
    }

    fn put(&mut self, op: &Put, broken: &BTreeSet<RelPath>) -> Result<(), Vec<RelPath>> {
        if broken.contains(&op.path) || !parent_is_dir(&self.tree, &op.path) {
            self.fail(&op.path);
            return Ok(());
        }
        match &op.content {
            Content::Inline(bytes) => assert_eq!(Some(Digest::of(bytes)), op.entry.hash(), "{}", op.path),
            // A rename that failed leaves what it was to bring elsewhere: that is the same fault.
            Content::Keep if self.failed.iter().any(|f| op.path.is_within(&f.path)) => {
                self.fail(&op.path);
                return Ok(());
            }
            Content::Keep
                if op.entry.hash().is_some() && op.entry.hash() != self.tree.get(&op.path).and_then(Entry::hash) =>
            {
                return Err(vec![op.path.clone()]);
            }
            _ => {}
        }
        put(&mut self.tree, &op.path, op.entry.clone());
        Ok(())
    }
}
