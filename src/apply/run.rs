//! Takes the steps of a commit, and takes them back.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, linkat, renameat};
use rustix::io::Errno;

use super::area::{Dirs, is_own};
use super::error::is_fatal;
use super::step::Step;
use crate::fs::meta::{Fix, Object};
use crate::fs::write;
use crate::model::{Kind, RelPath};

/// Why a run ended early. Nothing has been taken back yet.
#[derive(Debug)]
pub(super) enum Halt {
    /// The host's own fault, at this path.
    Fatal(RelPath, io::Error),
    /// A rename could not be made; what comes after it would not mean the same.
    Rename,
}

/// Takes steps, forth and back.
pub(super) struct Run<'a> {
    dirs: Dirs<'a>,
    /// How many steps were tried, from the first.
    done: usize,
    /// Paths that could not be made while all else was, each with its cause.
    pub(super) failed: BTreeMap<RelPath, String>,
    /// Those of them where only metadata could not be set.
    pub(super) meta_failed: BTreeMap<RelPath, String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(dirs: Dirs<'a>) -> Self {
        Self { dirs, done: 0, failed: BTreeMap::new(), meta_failed: BTreeMap::new() }
    }

    /// Takes all `steps`. A step that fails for its path alone is left out and noted.
    pub(super) fn forth(&mut self, steps: &[Step]) -> Result<(), Halt> {
        for step in &steps[self.done.min(steps.len())..] {
            self.done += 1;
            let Err(e) = self.take(step) else { continue };
            let path = step.about().clone();
            if is_fatal(&e) {
                return Err(Halt::Fatal(path, e));
            }
            match step {
                _ if step.is_rename() => return Err(Halt::Rename),
                Step::Keep { .. } => {}
                Step::Meta { .. } => {
                    self.meta_failed.insert(path, e.to_string());
                }
                Step::Move { .. } | Step::Swap { .. } => {
                    self.failed.entry(path).or_insert_with(|| e.to_string());
                }
            }
        }
        Ok(())
    }

    /// Takes back those of `steps` that were taken, the last first, then all metadata, which
    /// moving names in and out has touched.
    pub(super) fn back(&mut self, steps: &[Step]) -> io::Result<()> {
        let tried = &steps[..self.done.min(steps.len())];
        for step in tried.iter().rev() {
            match step {
                Step::Move { from, to, ino } | Step::Keep { from, to, ino } => {
                    if self.ino(to)? == Some(*ino) {
                        self.shift(to, from)?;
                    }
                }
                Step::Swap { a, b, ino_a, ino_b } => {
                    if self.ino(a)? == Some(*ino_b) {
                        self.swap(a, b, *ino_b, *ino_a)?;
                    } else {
                        self.bring_back(a, b, *ino_a)?;
                    }
                }
                Step::Meta { .. } => {}
            }
        }
        // Every one of them: a directory is touched long before its own step comes.
        for step in steps {
            if let Step::Meta { origin, kind, ino, old, .. } = step {
                match self.set_meta(origin, *kind, *ino, old) {
                    Err(e) if is_fatal(&e) => return Err(e),
                    // New with the change set and therefore gone, or it failed before as well.
                    _ => {}
                }
            }
        }
        self.done = 0;
        Ok(())
    }

    /// Finds out how far a run came that was killed. Steps are taken one after the other, so that
    /// the last one that shows its effect ends those that were tried.
    pub(super) fn find_done(&mut self, steps: &[Step]) -> io::Result<()> {
        self.done = 0;
        for (at, step) in steps.iter().enumerate().rev() {
            let shows = match step {
                Step::Move { to, ino, .. } | Step::Keep { to, ino, .. } => self.ino(to)? == Some(*ino),
                Step::Swap { a, b, ino_a, ino_b } => self.ino(a)? == Some(*ino_b) && self.ino(b)? == Some(*ino_a),
                // To say it again does no harm.
                Step::Meta { .. } => false,
            };
            if shows {
                self.done = at + 1;
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Move { from, to, .. } | Step::Keep { from, to, .. } => self.shift(from, to),
            Step::Swap { a, b, ino_a, ino_b } => self.swap(a, b, *ino_a, *ino_b),
            Step::Meta { path, kind, ino, new, .. } => self.set_meta(path, *kind, *ino, new),
        }
    }

    fn ino(&mut self, path: &RelPath) -> io::Result<Option<u64>> {
        Ok(self.dirs.look(path)?.and_then(|r| r.stamp).map(|s| s.ino))
    }

    fn shift(&mut self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let (a, b) = (self.dirs.parent(from)?, self.dirs.parent(to)?);
        write::move_new((a.as_fd(), from.name()), (b.as_fd(), to.name()))?;
        self.dirs.forget(from);
        self.dirs.forget(to);
        Ok(())
    }

    fn swap(&mut self, a: &RelPath, b: &RelPath, ino_a: u64, ino_b: u64) -> io::Result<()> {
        let (at_a, at_b) = (self.dirs.parent(a)?, self.dirs.parent(b)?);
        match write::exchange((at_a.as_fd(), a.name()), (at_b.as_fd(), b.name())) {
            Err(Errno::INVAL | Errno::NOSYS) => self.swap_by_hand((a, &at_a, ino_a), (b, &at_b, ino_b))?,
            // Interrupted in the middle of the same by hand.
            Err(Errno::NOENT) => self.swap_by_hand((a, &at_a, ino_a), (b, &at_b, ino_b))?,
            other => other?,
        }
        self.dirs.forget(a);
        self.dirs.forget(b);
        Ok(())
    }

    /// Exchanges where the file system cannot: `a` goes aside, `b` takes its place, `a` goes to
    /// `b`. A file's name is never missing, because aside is a second link. Takes up where a crash left it.
    fn swap_by_hand(
        &mut self,
        (a, at_a, ino_a): (&RelPath, &Arc<OwnedFd>, u64),
        (b, at_b, ino_b): (&RelPath, &Arc<OwnedFd>, u64),
    ) -> io::Result<()> {
        if !is_own(b) {
            // There is no private place to put the old object: the rename is refused.
            return Err(Errno::INVAL.into());
        }
        let aside = aside(b);
        let aside: (BorrowedFd<'_>, &[u8]) = (at_b.as_fd(), aside.name());
        let (from, to) = ((at_a.as_fd(), a.name()), (at_b.as_fd(), b.name()));
        if self.ino(b)? == Some(ino_b) {
            if self.ino(a)? == Some(ino_a) {
                match linkat(from.0, from.1, aside.0, aside.1, AtFlags::empty()) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    // A directory, or a file system without links.
                    Err(_) => renameat(from.0, from.1, aside.0, aside.1)?,
                }
            }
            if let Err(e) = renameat(to.0, to.1, from.0, from.1) {
                self.bring_back(a, b, ino_a)?;
                return Err(e.into());
            }
        }
        if self.ino(a)? != Some(ino_b) {
            return Err(Errno::NOENT.into());
        }
        match renameat(aside.0, aside.1, to.0, to.1) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) if self.ino(b)? == Some(ino_a) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Ends an exchange by hand that stopped while the old object was aside.
    fn bring_back(&mut self, a: &RelPath, b: &RelPath, ino_a: u64) -> io::Result<()> {
        let aside = aside(b);
        if self.ino(a)?.is_none() && self.ino(&aside)? == Some(ino_a) {
            self.shift(&aside, a)?;
        }
        Ok(())
    }

    fn set_meta(&mut self, path: &RelPath, kind: Kind, ino: u64, fix: &Fix) -> io::Result<()> {
        let object = if path.is_root() || kind == Kind::Dir {
            Object::from_fd(self.dirs.dir(path)?)
        } else {
            Object::open(self.dirs.parent(path)?.as_fd(), path.name(), kind)?
        };
        let now = object.look()?;
        if now.stamp.map(|s| s.ino) != Some(ino) {
            return Err(Errno::STALE.into());
        }
        object.fix(fix, &now)
    }

    /// Opens what stands at `path` for fsync(2).
    pub(super) fn open(&mut self, path: &RelPath, kind: Kind) -> io::Result<Object> {
        if kind == Kind::Dir {
            return Ok(Object::from_fd(self.dirs.dir(path)?));
        }
        Object::open(self.dirs.parent(path)?.as_fd(), path.name(), kind)
    }

    pub(super) fn dirs(&mut self) -> &mut Dirs<'a> {
        &mut self.dirs
    }
}

/// Where the old object waits while an exchange is made by hand. Names in the stage are numbers.
fn aside(place: &RelPath) -> RelPath {
    let name = place.name();
    let name = [&name[..name.len().min(250)], b"~old"].concat();
    place.parent().and_then(|p| p.join(&name).ok()).unwrap_or_else(|| place.clone())
}
