//! Watches directories: first the watch, then the look inside, until no new directory shows.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::IsExcluded;
use super::inotify::{Notifier, Wd};
use super::tree::Tree;
use crate::coalesce::{Dirty, What};
use crate::fs::{Root, for_each_name, is_absence, is_own, look_at};
use crate::model::RelPath;

/// A directory that could not be watched, with all below it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) path: RelPath,
    pub(super) error: io::Error,
}

impl Failure {
    /// Whether the limit of watches is reached (inotify_add_watch(2): `ENOSPC`).
    pub(super) fn is_limit(&self) -> bool {
        is_limit(&self.error)
    }
}

fn is_limit(e: &io::Error) -> bool {
    Errno::from_io_error(e) == Some(Errno::NOSPC)
}

/// The inotify instance together with what it watches.
pub(super) struct Watched {
    pub(super) notifier: Notifier,
    pub(super) tree: Tree,
    pub(super) excluded: IsExcluded,
    /// Names that a directory was renamed away from. When two directories are exchanged
    /// (renameat2(2)), the second is told to leave after the first came under its name, so that
    /// the wrong one is taken for moved: once the queue is empty, these names are armed again.
    pub(super) vacated: BTreeSet<RelPath>,
}

impl Watched {
    pub(super) fn new(notifier: Notifier, excluded: IsExcluded) -> Self {
        Self { notifier, tree: Tree::default(), excluded, vacated: BTreeSet::new() }
    }

    /// Watches `top` and every directory below it that is no part of what is excluded, and calls
    /// `found` with each name below `top` (as of then; what comes later raises events).
    ///
    /// Directories that are watched already stay so under the name that they are found at. What
    /// vanished is no failure.
    pub(super) fn arm(&mut self, root: &Root, top: &RelPath, found: &mut dyn FnMut(Dirty)) -> Vec<Failure> {
        let (mut failed, mut full) = (Vec::new(), false);
        let mut dirs = vec![top.clone()];
        while let Some(dir) = dirs.pop() {
            let armed = if full { Err(Errno::NOSPC.into()) } else { self.arm_one(root, &dir, &mut dirs, found) };
            match armed {
                Ok(()) => {}
                Err(e) if is_absence(&e) => {}
                Err(error) => {
                    full |= is_limit(&error);
                    failed.push(Failure { path: dir, error });
                }
            }
        }
        failed
    }

    fn arm_one(
        &mut self,
        root: &Root,
        dir: &RelPath,
        dirs: &mut Vec<RelPath>,
        found: &mut dyn FnMut(Dirty),
    ) -> io::Result<()> {
        let fd = root.dir(dir)?;
        let wd = self.notifier.add(fd.as_fd())?;
        self.note(dir, wd);
        let mut too_long = None;
        for_each_name(fd.as_fd(), |name, kind| {
            if is_own(dir, name) {
                return;
            }
            let path = match dir.join(name) {
                Ok(path) => path,
                Err(e) => return too_long = Some(e),
            };
            let is_dir = match kind {
                FileType::Unknown => matches!(look_at(&fd, name), Ok(Some(r)) if r.entry.is_dir()),
                kind => kind == FileType::Directory,
            };
            if !(self.excluded)(&path, is_dir) {
                if is_dir {
                    dirs.push(path.clone());
                }
                found(Dirty::new(path, What::Found, is_dir));
            }
        })?;
        too_long.map_or(Ok(()), |e| Err(io::Error::new(io::ErrorKind::InvalidFilename, e)))
    }

    fn note(&mut self, dir: &RelPath, wd: Wd) {
        let Some(parent) = dir.parent() else { return self.tree.set_root(wd) };
        if let Some(parent) = self.tree.find(&parent) {
            let stale = self.tree.insert(parent, dir.name(), wd);
            self.drop_watches(&stale);
        }
        if !self.tree.contains(wd) {
            // The directory above was renamed or removed meanwhile, which an event will tell.
            self.notifier.remove(wd);
        }
    }

    /// Builds the tree of watches anew, as after lost events; watches that are still of use stay.
    pub(super) fn rebuild(&mut self, root: &Root) -> Vec<Failure> {
        self.vacated.clear();
        let before: Vec<Wd> = std::mem::take(&mut self.tree).watches().collect();
        let failed = self.arm(root, &RelPath::root(), &mut |_| {});
        let kept: HashSet<Wd> = self.tree.watches().collect();
        let stale: Vec<Wd> = before.into_iter().filter(|wd| !kept.contains(wd)).collect();
        self.drop_watches(&stale);
        failed
    }

    /// Stops watching everything.
    pub(super) fn clear(&mut self) {
        self.vacated.clear();
        let all: Vec<Wd> = std::mem::take(&mut self.tree).watches().collect();
        self.drop_watches(&all);
    }

    /// Stops watching these, which the tree does not have any more.
    pub(super) fn drop_watches(&mut self, watches: &[Wd]) {
        for wd in watches {
            self.notifier.remove(*wd);
        }
    }
}
