//! One name space for the tree and for `.syncd`, both held by descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::fs::{Root, look_at};
use crate::model::{Record, RelPath};

/// The directory in the root of a replica set that is syncd's own.
pub const OWN_DIR: &[u8] = b".syncd";

/// How many directories are kept open; change sets come sorted, so that few are in use at a time.
const OPEN: usize = 8;

/// Whether `path` is `.syncd` or lies below it: never replicated, never listed, never written by a peer.
#[must_use]
pub fn is_own(path: &RelPath) -> bool {
    path.components().next() == Some(OWN_DIR)
}

/// The tree and `.syncd`. The latter is resolved beneath its own descriptor, so that whoever may
/// rename names in the root cannot put another directory in its place.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) tree: Arc<Root>,
    pub(super) own: Root,
}

impl Area {
    /// Opens the directory `path`.
    pub(super) fn dir(&self, path: &RelPath) -> io::Result<OwnedFd> {
        if !is_own(path) {
            return self.tree.dir(path);
        }
        match path.as_bytes().get(OWN_DIR.len() + 1..) {
            None => self.own.dir(&RelPath::root()),
            Some(below) => self.own.dir(&RelPath::parse(below).map_err(io::Error::other)?),
        }
    }
}

/// Directories of an [`Area`], the last few of them kept open.
pub(super) struct Dirs<'a> {
    area: &'a Area,
    open: Vec<(RelPath, Arc<OwnedFd>)>,
}

impl<'a> Dirs<'a> {
    pub(super) fn new(area: &'a Area) -> Self {
        Self { area, open: Vec::with_capacity(OPEN) }
    }

    /// The open directory `path`.
    pub(super) fn dir(&mut self, path: &RelPath) -> io::Result<Arc<OwnedFd>> {
        if let Some(at) = self.open.iter().position(|(p, _)| p == path) {
            return Ok(Arc::clone(&self.open[at].1));
        }
        let fd = Arc::new(self.area.dir(path)?);
        if self.open.len() == OPEN {
            self.open.remove(0);
        }
        self.open.push((path.clone(), Arc::clone(&fd)));
        Ok(fd)
    }

    /// The open directory that holds `path`.
    pub(super) fn parent(&mut self, path: &RelPath) -> io::Result<Arc<OwnedFd>> {
        self.dir(&path.parent().unwrap_or_else(RelPath::root))
    }

    /// What `path` is now; none where it or a directory on the way is missing or is no directory.
    pub(super) fn look(&mut self, path: &RelPath) -> io::Result<Option<Record>> {
        match self.parent(path) {
            Ok(parent) => look_at(parent.as_fd(), path.name()),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Forgets directories at and below `path`, which now names something else.
    pub(super) fn forget(&mut self, path: &RelPath) {
        self.open.retain(|(p, _)| !p.is_within(path));
    }
}

/// Whether a path leads nowhere: it is missing, or something on the way is no directory.
pub(super) fn is_absent(e: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
