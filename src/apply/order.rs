//! The order of a commit: from what a change set wants to the steps that bring it about.

use std::collections::{BTreeSet, HashSet};
use std::io;

use super::step::Step;
use super::view::View;
use crate::model::RelPath;

/// An object on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct There {
    pub(super) ino: u64,
    pub(super) dir: bool,
}

/// What the order needs to know of the disk as it is before the first step, stage included.
pub(super) trait Disk {
    /// The object at `place`.
    fn there(&mut self, place: &RelPath) -> io::Result<Option<There>>;

    /// Makes an empty directory at `place` of the stage and tells its inode.
    fn make_dir(&mut self, place: &RelPath) -> io::Result<u64>;

    /// A place of the stage that is free.
    fn fresh(&mut self) -> RelPath;
}

/// A path that is to be in a state.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: RelPath,
    pub(super) dir: bool,
    /// Where in the stage the object is; without one, what stands at the path stays.
    pub(super) staged: Option<RelPath>,
}

/// An old object that makes way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Gone {
    /// Where it is on disk before the first step.
    pub(super) origin: RelPath,
    /// Where in the stage it is after the last.
    pub(super) place: RelPath,
    pub(super) ino: u64,
    pub(super) dir: bool,
}

/// An object that stays, or a directory in which names came and went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct InPlace {
    /// Its path after the last step.
    pub(super) path: RelPath,
    /// Where it is on disk before the first.
    pub(super) origin: RelPath,
    pub(super) ino: u64,
}

/// The steps, and what the commit must know about them.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    /// Renames in their sequence, then what is new or replaced, directories before what is in
    /// them, then what is removed. Only moves: metadata comes after them all.
    pub(super) steps: Vec<Step>,
    /// The renames that happen, each with the place on disk that its object had before the first.
    pub(super) renamed: Vec<(RelPath, RelPath, InPlace)>,
    /// The objects that are staged and moved by themselves; all others come with a directory.
    pub(super) placed: HashSet<RelPath>,
    /// Wanted paths where what is there stays.
    pub(super) in_place: Vec<InPlace>,
    /// Directories in which names came or went, as they are called after the last step.
    pub(super) touched: Vec<InPlace>,
    pub(super) gone: Vec<Gone>,
    /// Directories that had to be made in the stage: path and place.
    pub(super) made: Vec<(RelPath, RelPath)>,
    /// Paths that cannot be made because what they rest on is not there: the topmost missing.
    pub(super) missing: Vec<RelPath>,
}

/// Orders `renames`, in their sequence, then `wanted`, sorted by path, then `removes`.
///
/// # Errors
/// Those of `disk`.
pub(super) fn order(
    disk: &mut impl Disk,
    renames: &[(RelPath, RelPath)],
    wanted: &[Wanted],
    removes: &[RelPath],
) -> io::Result<Ordered> {
    let mut sorter = Sorter { disk, view: View::new(), wanted, touched: BTreeSet::new(), out: Ordered::default() };
    for (at, (from, to)) in renames.iter().enumerate() {
        sorter.rename(from, to, &renames[at + 1..])?;
    }
    for want in wanted {
        sorter.want(want)?;
    }
    for path in removes {
        sorter.remove(path)?;
    }
    sorter.finish()
}

struct Sorter<'a, D> {
    disk: &'a mut D,
    /// The tree after the steps so far.
    view: View,
    wanted: &'a [Wanted],
    /// Directories in which names came or went, as they are called after the steps so far.
    touched: BTreeSet<RelPath>,
    out: Ordered,
}

impl<D: Disk> Sorter<'_, D> {
    /// The object that stands at `path` after the steps so far, and its place on disk before them.
    fn now(&mut self, path: &RelPath) -> io::Result<Option<(RelPath, There)>> {
        let Some(origin) = self.view.find(path) else {
            return Ok(None);
        };
        Ok(self.disk.there(&origin)?.map(|there| (origin, there)))
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath, later: &[(RelPath, RelPath)]) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        let Some((origin, there)) = self.now(from)? else {
            self.out.missing.push(to.clone());
            return Ok(());
        };
        if !self.make_way_to(to, later)? {
            return Ok(());
        }
        let in_place = InPlace { path: to.clone(), origin, ino: there.ino };
        self.out.renamed.push((from.clone(), to.clone(), in_place));
        self.touch(from);
        match self.now(to)? {
            None => self.shift(from, to, there.ino),
            Some((_, old)) if from.is_below(to) => {
                // It leaves the directory whose place it takes.
                let aside = self.disk.fresh();
                self.shift(from, &aside, there.ino);
                self.replace(to, &aside, there, old)?;
            }
            Some((old_origin, old)) => {
                self.out.steps.push(Step::Swap { a: from.clone(), b: to.clone(), ino_a: there.ino, ino_b: old.ino });
                let place = self.disk.fresh();
                self.out.steps.push(Step::Move { from: from.clone(), to: place.clone(), ino: old.ino });
                self.out.gone.push(Gone { origin: old_origin, place, ino: old.ino, dir: old.dir });
                let node = self.view.take(from);
                self.view.put(to, node);
            }
        }
        // Directories below what moved are called otherwise from now on.
        self.touched = self.touched.iter().map(|p| p.moved(from, to)).collect();
        self.touch(to);
        Ok(())
    }

    fn shift(&mut self, from: &RelPath, to: &RelPath, ino: u64) {
        self.out.steps.push(Step::Move { from: from.clone(), to: to.clone(), ino });
        let node = self.view.take(from);
        self.view.put(to, node);
    }

    /// Puts the object at `place` where the object `old` is, which goes to `place`.
    fn replace(&mut self, path: &RelPath, place: &RelPath, new: There, old: There) -> io::Result<()> {
        if let Some(origin) = self.view.find(path) {
            self.out.gone.push(Gone { origin, place: place.clone(), ino: old.ino, dir: old.dir });
        }
        self.out.steps.push(Step::Swap { a: path.clone(), b: place.clone(), ino_a: old.ino, ino_b: new.ino });
        let node = self.view.take(place);
        self.view.put(path, node);
        Ok(())
    }

    /// Makes sure that the directory of `path` is there, from what is wanted if need be.
    fn make_way_to(&mut self, path: &RelPath, later: &[(RelPath, RelPath)]) -> io::Result<bool> {
        let parent = path.parent().unwrap_or_else(RelPath::root);
        if self.now(&parent)?.is_some_and(|(_, there)| there.dir) {
            return Ok(true);
        }
        let called = later.iter().fold(parent.clone(), |p, (from, to)| p.moved(from, to));
        match self.wanted.binary_search_by(|w| w.path.cmp(&called)) {
            Ok(at) if self.wanted[at].dir => {
                let staged = self.wanted[at].staged.clone();
                Ok(self.make_way_to(&parent, later)? && self.place_dir(&parent, &called, staged)?)
            }
            _ => {
                self.out.missing.push(parent);
                Ok(false)
            }
        }
    }

    fn want(&mut self, want: &Wanted) -> io::Result<()> {
        let now = self.now(&want.path)?;
        match (&now, &want.staged) {
            // It came with its directory, or was needed by a rename.
            (Some((origin, _)), Some(staged)) if origin == staged => return Ok(()),
            (Some((origin, there)), _) if want.dir && there.dir => {
                let here = InPlace { path: want.path.clone(), origin: origin.clone(), ino: there.ino };
                self.out.in_place.push(here);
                return Ok(());
            }
            (Some((origin, there)), None) if !want.dir && !there.dir => {
                let here = InPlace { path: want.path.clone(), origin: origin.clone(), ino: there.ino };
                self.out.in_place.push(here);
                return Ok(());
            }
            (_, None) if !want.dir => {
                self.out.missing.push(want.path.clone());
                return Ok(());
            }
            _ => {}
        }
        if !self.make_way_to(&want.path, &[])? {
            return Ok(());
        }
        if want.dir {
            self.place_dir(&want.path, &want.path, want.staged.clone())?;
        } else if let Some(staged) = &want.staged {
            self.place(&want.path, &want.path, staged)?;
        }
        Ok(())
    }

    fn place_dir(&mut self, path: &RelPath, called: &RelPath, staged: Option<RelPath>) -> io::Result<bool> {
        let place = match staged {
            Some(place) => place,
            None => {
                let place = self.disk.fresh();
                self.disk.make_dir(&place)?;
                self.out.made.push((called.clone(), place.clone()));
                place
            }
        };
        self.place(path, called, &place)
    }

    /// Moves the staged object at `place` to `path`, which in the end is `called`.
    fn place(&mut self, path: &RelPath, called: &RelPath, place: &RelPath) -> io::Result<bool> {
        let Some(new) = self.disk.there(place)? else {
            self.out.missing.push(called.clone());
            return Ok(false);
        };
        match self.now(path)? {
            // Another name of an object that has this name already.
            Some((origin, old)) if old.ino == new.ino => {
                self.out.in_place.push(InPlace { path: path.clone(), origin, ino: old.ino });
                return Ok(true);
            }
            Some((_, old)) => self.replace(path, place, new, old)?,
            None => self.shift(place, path, new.ino),
        }
        self.touch(path);
        self.out.placed.insert(called.clone());
        Ok(true)
    }

    fn remove(&mut self, path: &RelPath) -> io::Result<()> {
        if let Some((origin, there)) = self.now(path)? {
            self.touch(path);
            let place = self.disk.fresh();
            self.out.steps.push(Step::Move { from: path.clone(), to: place.clone(), ino: there.ino });
            self.out.gone.push(Gone { origin, place, ino: there.ino, dir: there.dir });
            self.view.take(path);
        }
        Ok(())
    }

    fn touch(&mut self, path: &RelPath) {
        self.touched.insert(path.parent().unwrap_or_else(RelPath::root));
    }

    fn finish(mut self) -> io::Result<Ordered> {
        for path in std::mem::take(&mut self.touched) {
            if let Some((origin, there)) = self.now(&path)?
                && there.dir
            {
                self.out.touched.push(InPlace { path, origin, ino: there.ino });
            }
        }
        Ok(self.out)
    }
}
