//! Whether two trees are equal, to the last nanosecond and link; what is not, as text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The stage of a receiver, at the root of its tree: never compared.
const STAGE: &str = ".syncd";

/// What counts as a difference besides type, content and symlink target.
#[derive(Clone, Copy, Debug)]
pub struct Compare {
    pub mode: bool,
    pub owner: bool,
    /// To the nanosecond; directories and symlinks too.
    pub mtime: bool,
    /// Which names are the same file.
    pub hard_links: bool,
    /// All of the namespace `user`.
    pub xattrs: bool,
    /// The root directory's own metadata.
    pub root: bool,
}

impl Compare {
    /// What `-a` keeps. Owners only where the test is root, as with rsync.
    pub fn archive() -> Self {
        let owner = rustix::process::geteuid().is_root();
        Self { mode: true, owner, mtime: true, hard_links: false, xattrs: false, root: true }
    }

    /// What `-aHX` keeps.
    pub fn everything() -> Self {
        Self { hard_links: true, xattrs: true, ..Self::archive() }
    }

    /// Type, content and symlink targets alone.
    pub fn content() -> Self {
        Self { mode: false, owner: false, mtime: false, hard_links: false, xattrs: false, root: false }
    }
}

/// What one name is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// `file`, `dir`, `symlink`, `fifo`, `socket`, `device`.
    pub kind: &'static str,
    pub content: Content,
    pub mode: Option<u32>,
    pub owner: Option<(u32, u32)>,
    pub mtime: Option<(i64, i64)>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name, in order, of the same file, when it has several.
    pub link: Option<Vec<u8>>,
}

/// What is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    None,
    File { size: u64, hash: blake3::Hash },
    Target(Vec<u8>),
    Device(u64),
}

/// Relative path (empty for the root) and item.
pub type Tree = BTreeMap<Vec<u8>, Item>;

/// What differs between the trees at `left` and `right`, a line each; none when they are equal.
/// A tree that changes or vanishes while it is read is a difference, not an error.
pub fn differences(left: &Path, right: &Path, how: Compare) -> Vec<String> {
    match (read(left, how), read(right, how)) {
        (Ok(left), Ok(right)) => differences_of(&left, &right),
        (left, right) => [left.err(), right.err()].into_iter().flatten().map(|e| format!("unreadable: {e}")).collect(),
    }
}

/// The same for trees that have been read.
pub fn differences_of(left: &Tree, right: &Tree) -> Vec<String> {
    let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    names.into_iter().filter_map(|name| difference(name, left.get(name), right.get(name))).collect()
}

fn difference(name: &[u8], left: Option<&Item>, right: Option<&Item>) -> Option<String> {
    let shown = if name.is_empty() { "(root)".into() } else { name.escape_ascii().to_string() };
    match (left, right) {
        (Some(left), None) => Some(format!("{shown}: only at the left ({})", left.kind)),
        (None, Some(right)) => Some(format!("{shown}: only at the right ({})", right.kind)),
        (Some(left), Some(right)) if left != right => Some(format!("{shown}: {}", unlike(left, right).join(", "))),
        _ => None,
    }
}

fn unlike(left: &Item, right: &Item) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |differ: bool, text: String| {
        if differ {
            found.push(text);
        }
    };
    note(left.kind != right.kind, format!("{} ≠ {}", left.kind, right.kind));
    note(left.content != right.content, format!("content {:?} ≠ {:?}", left.content, right.content));
    note(left.mode != right.mode, format!("mode {:o} ≠ {:o}", left.mode.unwrap_or(0), right.mode.unwrap_or(0)));
    note(left.owner != right.owner, format!("owner {:?} ≠ {:?}", left.owner, right.owner));
    note(left.mtime != right.mtime, format!("mtime {:?} ≠ {:?}", left.mtime, right.mtime));
    note(left.xattrs != right.xattrs, format!("xattrs {:?} ≠ {:?}", left.xattrs, right.xattrs));
    note(left.link != right.link, format!("links {} ≠ {}", shown_link(left), shown_link(right)));
    found
}

fn shown_link(item: &Item) -> String {
    item.link.as_ref().map_or_else(|| "none".into(), |name| name.escape_ascii().to_string())
}

/// Reads the tree at `root`.
///
/// # Errors
/// As lstat(2), readdir(3), read(2): also when something vanishes meanwhile.
pub fn read(root: &Path, how: Compare) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    let mut todo = vec![Vec::new()];
    while let Some(dir) = todo.pop() {
        let at = root.join(OsStr::from_bytes(&dir));
        if !dir.is_empty() || how.root {
            tree.insert(dir.clone(), item(&at, how)?);
        }
        for entry in std::fs::read_dir(&at)? {
            let entry = entry?;
            if dir.is_empty() && entry.file_name() == STAGE {
                continue;
            }
            let name = join(&dir, entry.file_name().as_bytes());
            let meta = entry.path().symlink_metadata()?;
            if meta.is_dir() {
                todo.push(name);
                continue;
            }
            if how.hard_links && meta.nlink() > 1 {
                inodes.entry((meta.dev(), meta.ino())).or_insert_with(Vec::new).push(name.clone());
            }
            tree.insert(name, item(&entry.path(), how)?);
        }
    }
    group_links(&mut tree, inodes);
    Ok(tree)
}

/// Links from outside the tree do not count: a group is what is named at least twice inside.
fn group_links(tree: &mut Tree, inodes: HashMap<(u64, u64), Vec<Vec<u8>>>) {
    for mut names in inodes.into_values().filter(|names| names.len() > 1) {
        names.sort();
        for name in &names {
            if let Some(item) = tree.get_mut(name) {
                item.link = names.first().cloned();
            }
        }
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

fn item(path: &Path, how: Compare) -> io::Result<Item> {
    use std::os::unix::fs::FileTypeExt;
    let meta = path.symlink_metadata()?;
    let kind = meta.file_type();
    let (kind, content) = if kind.is_dir() {
        ("dir", Content::None)
    } else if kind.is_symlink() {
        ("symlink", Content::Target(std::fs::read_link(path)?.as_os_str().as_bytes().to_vec()))
    } else if kind.is_file() {
        ("file", Content::File { size: meta.len(), hash: hash(path)? })
    } else if kind.is_fifo() {
        ("fifo", Content::None)
    } else if kind.is_socket() {
        ("socket", Content::None)
    } else {
        ("device", Content::Device(meta.rdev()))
    };
    Ok(Item {
        kind,
        content,
        mode: (how.mode && kind != "symlink").then(|| meta.mode() & 0o7777),
        owner: how.owner.then(|| (meta.uid(), meta.gid())),
        mtime: how.mtime.then(|| (meta.mtime(), meta.mtime_nsec())),
        xattrs: if how.xattrs && matches!(kind, "file" | "dir") { xattrs(path)? } else { BTreeMap::new() },
        link: None,
    })
}

/// Of a file of any size, in constant memory.
fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize())
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0_u8; 64 << 10];
    let len = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut found = BTreeMap::new();
    for name in names[..len].split(|b| *b == 0).filter(|name| name.starts_with(b"user.")) {
        let mut value = vec![0_u8; 64 << 10];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        found.insert(name.to_vec(), value[..len].to_vec());
    }
    Ok(found)
}
