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
        for (_, _, earlier) in self.out.renamed.iter_mut().filter(|(_, _, earlier)| earlier.path.is_within(from)) {
            earlier.path = earlier.path.moved(from, to);
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::apply::applier::{own_path, stage_path};

    /// A file system in memory, stage included.
    #[derive(Clone, Debug, Default)]
    struct Mem {
        objects: BTreeMap<RelPath, There>,
        next: u64,
        /// Directories in which names came or went.
        touched: BTreeSet<u64>,
    }

    impl Mem {
        fn add(&mut self, path: &RelPath, dir: bool) -> u64 {
            self.next += 1;
            self.objects.insert(path.clone(), There { ino: self.next, dir });
            self.next
        }

        fn is_dir(&self, path: &RelPath) -> bool {
            path.is_root() || *path == stage_path(1) || self.objects.get(path).is_some_and(|o| o.dir)
        }

        fn take(&mut self, path: &RelPath) -> BTreeMap<RelPath, There> {
            let all = std::mem::take(&mut self.objects);
            let (gone, left) = all.into_iter().partition(|(p, _)| p.is_within(path));
            self.objects = left;
            gone
        }

        fn put(&mut self, objects: BTreeMap<RelPath, There>, from: &RelPath, to: &RelPath) {
            assert!(self.is_dir(&to.parent().expect("not the root")), "{to} has no parent");
            assert!(!self.objects.contains_key(to), "{to} is taken");
            self.objects.extend(objects.into_iter().map(|(p, o)| (p.moved(from, to), o)));
        }

        fn rename(&mut self, from: &RelPath, to: &RelPath) {
            let moving = self.take(from);
            assert!(!moving.is_empty(), "{from} is not there");
            self.put(moving, from, to);
        }

        fn touch(&mut self, path: &RelPath) {
            let parent = path.parent().expect("below the root");
            let root = There { ino: 0, dir: true };
            let ino = if parent.is_root() { Some(&root) } else { self.objects.get(&parent) }.map(|o| o.ino);
            self.touched.extend(ino);
        }

        fn do_step(&mut self, step: &Step) {
            match step {
                Step::Move { from: a, to: b, .. } | Step::Swap { a, b, .. } => {
                    self.touch(a);
                    self.touch(b);
                }
                Step::Keep { .. } | Step::Meta { .. } => {}
            }
            match step {
                Step::Move { from, to, ino } => {
                    assert_eq!(self.objects.get(from).map(|o| o.ino), Some(*ino), "{from}");
                    self.rename(from, to);
                }
                Step::Swap { a, b, ino_a, ino_b } => {
                    assert_eq!(self.objects.get(a).map(|o| o.ino), Some(*ino_a), "{a}");
                    assert_eq!(self.objects.get(b).map(|o| o.ino), Some(*ino_b), "{b}");
                    let (at_a, at_b) = (self.take(a), self.take(b));
                    self.put(at_a, a, b);
                    self.put(at_b, b, a);
                }
                Step::Keep { .. } | Step::Meta { .. } => panic!("the order only moves"),
            }
        }

        fn tree(&self) -> BTreeMap<RelPath, There> {
            let own = own_path(&[]);
            self.objects.iter().filter(|(p, _)| !p.is_within(&own)).map(|(p, o)| (p.clone(), *o)).collect()
        }
    }

    impl Disk for Mem {
        fn there(&mut self, place: &RelPath) -> io::Result<Option<There>> {
            if place.is_root() {
                return Ok(Some(There { ino: 0, dir: true }));
            }
            Ok(self.objects.get(place).copied())
        }

        fn make_dir(&mut self, place: &RelPath) -> io::Result<u64> {
            Ok(self.add(place, true))
        }

        fn fresh(&mut self) -> RelPath {
            self.next += 1;
            stage_path(1).join(format!("{}", self.next).as_bytes()).expect("valid")
        }
    }

    /// Few names, so that they meet.
    fn paths() -> impl Strategy<Value = RelPath> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "a-"]), 1..4)
            .prop_map(|names| RelPath::parse(names.join("/").as_bytes()).expect("valid"))
    }

    /// A tree in which every object has a parent: what lacks one, or has a file above it, is left out.
    fn trees() -> impl Strategy<Value = BTreeMap<RelPath, bool>> {
        prop::collection::btree_map(paths(), prop::bool::weighted(0.7), 0..24).prop_map(|all| {
            let mut tree: BTreeMap<RelPath, bool> = BTreeMap::new();
            for (path, dir) in all {
                let parent = path.parent().expect("below the root");
                if parent.is_root() || tree.get(&parent) == Some(&true) {
                    tree.insert(path, dir);
                }
            }
            tree
        })
    }

    /// Renames in `mid` as a sender would find them, each on top of those before.
    fn renamed(mid: &mut Mem, tried: Vec<(RelPath, RelPath)>) -> Vec<(RelPath, RelPath)> {
        let mut renames = Vec::new();
        for (from, to) in tried {
            let parent = to.parent().expect("below the root");
            let possible = mid.objects.contains_key(&from) && !to.is_within(&from) && mid.is_dir(&parent);
            if possible {
                let moving = mid.take(&from);
                mid.take(&to);
                // What was moved out of a directory may have taken its place.
                mid.put(moving, &from, &to);
                renames.push((from, to));
            }
        }
        renames
    }

    /// Builds what is wanted in the stage, as `stage` does: new directories whole.
    fn stage(disk: &mut Mem, mid: &Mem, want: &BTreeMap<RelPath, bool>, again: &[bool]) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for (at, (path, dir)) in want.iter().enumerate() {
            let before = mid.objects.get(path);
            let rewritten = again[at % again.len()] && !dir;
            let stays = before.is_some_and(|o| o.dir == *dir) && !rewritten;
            let parent = path.parent().expect("below the root");
            let within = wanted.iter().find(|w| w.path == parent).and_then(|w| w.staged.clone());
            let staged = if stays {
                None
            } else {
                let place = within.map_or_else(|| disk.fresh(), |p| p.join(path.name()).expect("valid"));
                disk.add(&place, *dir);
                Some(place)
            };
            if staged.is_some() || again[(at + 1) % again.len()] {
                wanted.push(Wanted { path: path.clone(), dir: *dir, staged });
            }
        }
        wanted
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_steps_lead_to_the_tree_that_is_wanted(
            old in trees(),
            tried in prop::collection::vec((paths(), paths()), 0..12),
            want in trees(),
            again in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let mut disk = Mem::default();
            for (path, dir) in &old {
                disk.add(path, *dir);
            }
            let mut mid = disk.clone();
            let renames = renamed(&mut mid, tried);
            let removes: Vec<_> = mid.objects.keys().filter(|p| !want.contains_key(*p)).cloned().collect();
            let wanted = stage(&mut disk, &mid, &want, &again);
            let ordered = order(&mut disk, &renames, &wanted, &removes).expect("memory does not fail");
            prop_assert_eq!(&ordered.missing, &Vec::<RelPath>::new());
            let expected: BTreeMap<RelPath, There> = want
                .iter()
                .map(|(path, dir)| {
                    let place = wanted.iter().find(|w| w.path == *path).and_then(|w| w.staged.clone());
                    let ino = place.map_or_else(|| mid.objects[path].ino, |p| disk.objects[&p].ino);
                    (path.clone(), There { ino, dir: *dir })
                })
                .collect();
            for step in &ordered.steps {
                disk.do_step(step);
            }
            prop_assert_eq!(disk.tree(), expected);
            for gone in &ordered.gone {
                prop_assert_eq!(disk.objects.get(&gone.place).map(|o| o.ino), Some(gone.ino));
            }
            let told: BTreeSet<_> = ordered.touched.iter().map(|t| (t.path.clone(), t.ino)).collect();
            let root = (RelPath::root(), There { ino: 0, dir: true });
            for (path, there) in disk.tree().into_iter().chain([root]) {
                let missed = disk.touched.contains(&there.ino) && !told.contains(&(path.clone(), there.ino));
                prop_assert!(!missed, "names came or went in {}", path);
            }
        }
    }

    #[test]
    fn a_new_directory_is_one_step_whatever_is_in_it() {
        let mut disk = Mem::default();
        let want: BTreeMap<_, _> = [("d", true), ("d/e", true), ("d/e/f", false), ("d/g", false)]
            .map(|(p, dir)| (RelPath::parse(p.as_bytes()).expect("valid"), dir))
            .into();
        let wanted = stage(&mut disk, &Mem::default(), &want, &[true]);
        let ordered = order(&mut disk, &[], &wanted, &[]).expect("memory does not fail");
        assert_eq!(ordered.steps.len(), 1);
    }

    #[test]
    fn a_rename_into_a_new_directory_waits_for_it() {
        let path = |p: &str| RelPath::parse(p.as_bytes()).expect("valid");
        let mut disk = Mem::default();
        let ino = disk.add(&path("a"), false);
        let place = disk.fresh();
        disk.add(&place, true);
        let wanted = [Wanted { path: path("new"), dir: true, staged: Some(place) }];
        let ordered = order(&mut disk, &[(path("a"), path("new/a"))], &wanted, &[]).expect("memory does not fail");
        for step in &ordered.steps {
            disk.do_step(step);
        }
        assert_eq!(disk.objects[&path("new/a")].ino, ino);
        assert!(ordered.missing.is_empty());
    }

    #[test]
    fn the_new_directory_of_a_rename_may_itself_be_renamed() {
        let path = |p: &str| RelPath::parse(p.as_bytes()).expect("valid");
        let mut disk = Mem::default();
        let ino = disk.add(&path("a"), false);
        let place = disk.fresh();
        disk.add(&place, true);
        let wanted = [Wanted { path: path("other"), dir: true, staged: Some(place) }];
        let renames = [(path("a"), path("new/a")), (path("new"), path("other"))];
        let ordered = order(&mut disk, &renames, &wanted, &[]).expect("memory does not fail");
        for step in &ordered.steps {
            disk.do_step(step);
        }
        assert_eq!(disk.objects[&path("other/a")].ino, ino);
        assert!(ordered.missing.is_empty());
    }
}
