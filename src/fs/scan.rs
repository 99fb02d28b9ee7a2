//! Walks a tree, in parallel, and tells what stat(2) says of every name in it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use rayon::Scope;
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::xattr::xattrs_at;
use super::{Root, look_at};
use crate::model::{Record, RelPath};

/// Whether a path, a directory or not, is no part of the set.
pub type Excluded<'a> = &'a (dyn Fn(&RelPath, bool) -> bool + Send + Sync);

/// The directory at the top of a root that is syncd's own: stage and journal. Never replicated.
pub const OWN_DIR: &[u8] = b".syncd";

/// The buffer for getdents64(2): one call for a directory of about a thousand names.
const NAMES: usize = 32 * 1024;

/// What a walk saw.
#[derive(Debug, Default)]
pub struct Scan {
    /// Every path with what it is, content unread (no hash); in no order, but a directory stands
    /// before what is in it.
    pub records: Vec<(RelPath, Record)>,
    /// Paths of which nothing is known, nor of anything below them, beyond what `records` says:
    /// what is missing there must not be taken for deleted.
    pub problems: Vec<(RelPath, io::Error)>,
}

impl Scan {
    /// Whether the absence of `path` from the records means nothing.
    #[must_use]
    pub fn is_unknown(&self, path: &RelPath) -> bool {
        self.problems.iter().any(|(at, _)| path.is_within(at))
    }
}

/// Walks `below` (with `below` itself) without following a link, on the current rayon pool.
///
/// [`OWN_DIR`] and what `excluded` names is left out with all that is below. What vanishes
/// meanwhile is left out too; what cannot be read is a problem and stops nothing else. With
/// `xattrs`, extended attributes are read.
pub fn scan(root: &Root, below: &RelPath, excluded: Excluded<'_>, xattrs: bool) -> Scan {
    scan_device(root, below, excluded, xattrs, None)
}

/// The same; of a directory that is on another device than `device` nothing but itself is seen.
pub fn scan_device(root: &Root, below: &RelPath, excluded: Excluded<'_>, xattrs: bool, device: Option<u64>) -> Scan {
    let walk = Walk { root, excluded, xattrs, device, seen: Mutex::default() };
    match walk.top(below) {
        Ok(Some(record)) => {
            let enter = walk.enters(&record);
            walk.add(Scan { records: vec![(below.clone(), record)], problems: Vec::new() });
            if enter {
                rayon::in_place_scope(|scope| walk.directory(below, scope));
            }
        }
        Ok(None) => {}
        Err(e) => walk.add(Scan { records: Vec::new(), problems: vec![(below.clone(), e)] }),
    }
    walk.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
}

struct Walk<'a> {
    root: &'a Root,
    excluded: Excluded<'a>,
    xattrs: bool,
    device: Option<u64>,
    seen: Mutex<Scan>,
}

impl<'a> Walk<'a> {
    fn top(&self, path: &RelPath) -> io::Result<Option<Record>> {
        match self.root.parent(path) {
            Ok(parent) => self.look(parent.as_fd(), path.name()),
            Err(e) if is_absence(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn look(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Record>> {
        let Some(mut record) = look_at(dir, name)? else { return Ok(None) };
        if self.xattrs {
            record.entry.xattrs = match xattrs_at(dir, name) {
                Err(e) if is_absence(&e) => return Ok(None),
                xattrs => xattrs?,
            };
        }
        Ok(Some(record))
    }

    fn enters(&self, record: &Record) -> bool {
        let elsewhere = self.device.is_some_and(|device| record.stamp.is_some_and(|s| s.dev != device));
        record.entry.is_dir() && !elsewhere
    }

    /// Reads one directory and hands each directory in it to the pool.
    fn directory<'s>(&'s self, dir: &RelPath, scope: &Scope<'s>) {
        let mut here = Scan::default();
        match self.entries(dir, &mut here) {
            Err(e) if !is_absence(&e) => here.problems.push((dir.clone(), e)),
            _ => {}
        }
        let below: Vec<RelPath> =
            here.records.iter().filter(|(_, record)| self.enters(record)).map(|(path, _)| path.clone()).collect();
        // Before the directories below can add theirs.
        self.add(here);
        for path in below {
            scope.spawn(move |scope| self.directory(&path, scope));
        }
    }

    fn entries(&self, dir: &RelPath, here: &mut Scan) -> io::Result<()> {
        let fd = self.root.dir(dir)?;
        for_each_name(fd.as_fd(), |name, _| {
            let Some(path) = child(dir, name, here) else { return };
            match self.look(fd.as_fd(), name) {
                Ok(Some(record)) if !(self.excluded)(&path, record.entry.is_dir()) => here.records.push((path, record)),
                Ok(_) => {}
                Err(e) => here.problems.push((path, e)),
            }
        })
    }

    fn add(&self, here: Scan) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.records.extend(here.records);
        seen.problems.extend(here.problems);
    }
}

/// The path of `name` in `dir`; none for what is syncd's own, and where it is too long, which is a
/// problem of the directory.
fn child(dir: &RelPath, name: &[u8], here: &mut Scan) -> Option<RelPath> {
    if is_own(dir, name) {
        return None;
    }
    dir.join(name)
        .map_err(|e| here.problems.push((dir.clone(), io::Error::new(io::ErrorKind::InvalidFilename, e))))
        .ok()
}

/// Whether `name` in `dir` is [`OWN_DIR`].
pub(crate) fn is_own(dir: &RelPath, name: &[u8]) -> bool {
    name == OWN_DIR && dir.is_root()
}

/// Calls `each` with every name in the open directory `dir` but `.` and `..`, and its type as far
/// as the file system tells.
///
/// # Errors
/// As getdents64(2).
pub(crate) fn for_each_name(dir: BorrowedFd<'_>, mut each: impl FnMut(&[u8], FileType)) -> io::Result<()> {
    let mut buf = [MaybeUninit::uninit(); NAMES];
    let mut names = RawDir::new(dir, &mut buf);
    while let Some(entry) = names.next() {
        let entry = entry?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => each(name, entry.file_type()),
        }
    }
    Ok(())
}

/// Whether `e` says that the path is not there, or no longer of the type it was opened as.
pub(crate) fn is_absence(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::fs::rerun::without_privileges;
    use crate::model::Node;

    const ALL: Excluded<'static> = &|_, _| false;

    fn path(name: &[u8]) -> RelPath {
        RelPath::parse(name).expect("valid")
    }

    fn records(root: &Path, below: &RelPath, excluded: Excluded<'_>) -> BTreeMap<RelPath, Record> {
        let root = Root::open(root).expect("open");
        let scan = scan(&root, below, excluded, false);
        assert!(scan.problems.is_empty(), "{:?}", scan.problems);
        let count = scan.records.len();
        let records: BTreeMap<RelPath, Record> = scan.records.into_iter().collect();
        assert_eq!(records.len(), count, "no path twice");
        records
    }

    #[test]
    fn every_kind_is_seen_and_no_link_followed() {
        let outside = tempfile::tempdir().expect("tempdir");
        fs::write(outside.path().join("secret"), "s").expect("write");
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("a/b/c")).expect("mkdir");
        fs::write(dir.path().join("a/b/f"), "12345").expect("write");
        symlink(outside.path(), dir.path().join("a/link")).expect("symlink");
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("p"), 0o600.into()).expect("mkfifo");
        let seen = records(dir.path(), &RelPath::root(), ALL);
        let names: Vec<String> = seen.keys().map(ToString::to_string).collect();
        assert_eq!(names, [".", "a", "a/b", "a/b/c", "a/b/f", "a/link", "p"]);
        assert_eq!(seen[&path(b"a/b/f")].entry.node, Node::File { size: 5, hash: None });
        let target = outside.path().as_os_str().as_bytes().into();
        assert_eq!(seen[&path(b"a/link")].entry.node, Node::Symlink { target });
        assert_eq!(seen[&path(b"p")].entry.node, Node::Fifo);
    }

    #[test]
    fn below_a_directory_or_a_file_or_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("a/b")).expect("mkdir");
        fs::write(dir.path().join("a/b/f"), "").expect("write");
        fs::write(dir.path().join("z"), "").expect("write");
        let names = |below: &[u8]| -> Vec<String> {
            records(dir.path(), &path(below), ALL).keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(b"a/b"), ["a/b", "a/b/f"]);
        assert_eq!(names(b"z"), ["z"]);
        assert_eq!(names(b"z/below"), [""; 0]);
        assert_eq!(names(b"gone/x"), [""; 0]);
    }

    #[test]
    fn own_directory_and_excluded_names_are_left_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        for below in [".syncd/stage", "a/.syncd", "skip/deep"] {
            fs::create_dir_all(dir.path().join(below)).expect("mkdir");
        }
        let seen = records(dir.path(), &RelPath::root(), &|p, is_dir| is_dir && p.as_bytes() == b"skip");
        let names: Vec<String> = seen.keys().map(ToString::to_string).collect();
        assert_eq!(names, [".", "a", "a/.syncd"]);
    }

    #[test]
    fn hostile_names_are_bytes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let names: [&[u8]; 4] = [b"a\nb", b"\xff\xfe", b"-rf", &[b'n'; 255]];
        for name in names {
            fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").expect("write");
        }
        let seen = records(dir.path(), &RelPath::root(), ALL);
        assert!(names.iter().all(|name| seen.contains_key(&path(name))));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_stops_nothing() {
        if !without_privileges("fs::scan::tests::what_cannot_be_read_is_unknown_and_stops_nothing") {
            return;
        }
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("closed/in")).expect("mkdir");
        fs::write(dir.path().join("open"), "x").expect("write");
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o000)).expect("chmod");
        let scan = scan(&Root::open(dir.path()).expect("open"), &RelPath::root(), ALL, false);
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o700)).expect("chmod");
        let seen: BTreeMap<RelPath, Record> = scan.records.iter().cloned().collect();
        assert!(seen.contains_key(&path(b"open")) && seen.contains_key(&path(b"closed")));
        assert!(scan.is_unknown(&path(b"closed/in")) && !scan.is_unknown(&path(b"open")));
        assert_eq!(scan.problems[0].1.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn wide_and_deep_trees_are_complete_on_a_pool_of_any_size() {
        let dir = tempfile::tempdir().expect("tempdir");
        for top in 0..40 {
            let at = dir.path().join(format!("d{top}/x/y"));
            fs::create_dir_all(&at).expect("mkdir");
            for file in 0..25 {
                fs::write(at.join(format!("f{file}")), "x").expect("write");
            }
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            let seen = pool.install(|| records(dir.path(), &RelPath::root(), ALL));
            assert_eq!(seen.len(), 1 + 40 * 3 + 40 * 25);
        }
    }

    #[test]
    fn a_walk_beyond_path_max_goes_on() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = Root::open(dir.path()).expect("open");
        let mut at = RelPath::root();
        for _ in 0..20 {
            let parent = root.dir(&at).expect("parent");
            at = at.join(&[b'd'; 250]).expect("valid");
            rustix::fs::mkdirat(&parent, at.name(), 0o755.into()).expect("mkdir");
        }
        assert!(records(dir.path(), &RelPath::root(), ALL).contains_key(&at));
    }
}
