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
    let walk = Walk { root, excluded, xattrs, seen: Mutex::default() };
    match walk.top(below) {
        Ok(Some(record)) => {
            let is_dir = record.entry.is_dir();
            walk.add(Scan { records: vec![(below.clone(), record)], problems: Vec::new() });
            if is_dir {
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

    /// Reads one directory and hands each directory in it to the pool.
    fn directory<'s>(&'s self, dir: &RelPath, scope: &Scope<'s>) {
        let mut here = Scan::default();
        match self.entries(dir, &mut here) {
            Err(e) if !is_absence(&e) => here.problems.push((dir.clone(), e)),
            _ => {}
        }
        let below: Vec<RelPath> =
            here.records.iter().filter(|(_, record)| record.entry.is_dir()).map(|(path, _)| path.clone()).collect();
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
