//! Looks at names that may have changed and says what did.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::index::Index;
use super::set::SharedIndex;
use crate::coalesce::{Batch, Scope};
use crate::config::SetOptions;
use crate::filter::Filter;
use crate::fs::{Root, Scan, look, scan_device, xattrs};
use crate::model::{Attrs, Entry, Kind, Node, Record, RelPath};

/// How old a change must be before equal timestamps prove that there was no other.
const FRESH: Duration = Duration::from_millis(100);

/// How often names of one file that do not agree are looked at again at once. Whoever goes on
/// changing it makes events, which come later.
const ROUNDS: u32 = 4;

/// What a look at the disk showed to be unlike the index.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Every path that changed, with the entry that the index had there: the base of a peer to
    /// which nothing else is owed for the path.
    pub changed: BTreeMap<RelPath, Option<Entry>>,
    /// Of those, what was left out until now: what a peer holds there the index does not tell.
    pub doubted: BTreeSet<RelPath>,
    /// Old and new path of inodes that moved; of a moved directory only the top.
    pub moves: Vec<(RelPath, RelPath)>,
    /// What could not be looked at, and why.
    pub problems: Vec<(RelPath, std::io::Error)>,
    /// How many entries went and did not turn up elsewhere, for the delete guard.
    pub removed: usize,
}

/// What the looks of one refresh have yielded so far.
#[derive(Debug, Default)]
struct Seen {
    /// Names that were looked at.
    looked: BTreeSet<RelPath>,
    /// Trees that were scanned.
    trees: Vec<RelPath>,
    /// What is there and unlike the index; parents before what is in them.
    came: Vec<(RelPath, Record)>,
    /// What was in the index and is not there.
    went: Vec<(RelPath, Record)>,
    /// Other names of files that came, went or changed: no event tells of them.
    others: BTreeSet<RelPath>,
}

impl Seen {
    /// Notes the other names that the index knows of the file that `record` shows at `path`.
    fn link(&mut self, index: &Index, path: &RelPath, record: &Record) {
        self.others.extend(index.other_names(path, record));
    }

    /// Takes `path` and all below it out of the index.
    fn gone(&mut self, index: &mut Index, path: &RelPath) {
        let went = index.remove(path);
        for (path, record) in &went {
            self.link(index, path, record);
        }
        self.went.extend(went);
    }

    fn in_tree(&self, path: &RelPath) -> bool {
        self.trees.iter().any(|tree| path.is_within(tree))
    }
}

/// Whether a name is still being written, and comes in a batch of its own.
type Held<'a> = &'a (dyn Fn(&RelPath) -> bool + Sync);

/// What a refresh needs to know of its set.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The root.
    pub root: &'a Root,
    /// What never travels.
    pub filter: &'a Filter,
    /// Which types and attributes count.
    pub options: &'a SetOptions,
}

impl Look<'_> {
    /// Looks at what `batch` names and brings `index` up to what is there.
    ///
    /// A tree is scanned whole; so is a name that has become a directory. A name that was a
    /// directory and is gone takes everything below with it. The parents of names that came or
    /// went are looked at too, since their mtime moved. `held` names that are still being written
    /// are left out of scans: they come in a batch of their own.
    pub fn refresh(&self, index: &SharedIndex, batch: &Batch, held: Held<'_>) -> Refreshed {
        let mut out = Refreshed::default();
        let trees = batch.names.iter().filter(|(_, scope)| **scope == Scope::Tree);
        let scans: Vec<(RelPath, Scan)> = trees.map(|(path, _)| (path.clone(), self.scan(path, held))).collect();
        let mut index = index.lock();
        let mut seen = Seen::default();
        for (path, scan) in scans {
            self.take_tree(&mut index, &path, scan, held, &mut seen, &mut out);
        }
        let mut todo: BTreeSet<RelPath> = batch.names.keys().cloned().collect();
        for _ in 0..ROUNDS {
            self.take_names(&mut index, todo, &mut seen, &mut out);
            todo = self.settle(&mut index, std::mem::take(&mut seen), &mut out);
            if todo.is_empty() {
                break;
            }
        }
        out
    }

    /// Compares the names of `todo`, and all that depend on them, with the index.
    fn take_names(&self, index: &mut Index, mut todo: BTreeSet<RelPath>, seen: &mut Seen, out: &mut Refreshed) {
        let mut searched = 0;
        loop {
            while let Some(path) = todo.pop_first() {
                if seen.looked.insert(path.clone()) && !seen.in_tree(&path) {
                    self.take_name(index, &path, seen, out);
                }
                if let Some(parent) = path.parent().filter(|p| !seen.looked.contains(p)) {
                    todo.insert(parent);
                }
            }
            let others = std::mem::take(&mut seen.others);
            let others = others.into_iter().filter(|path| !seen.looked.contains(path) && !seen.in_tree(path));
            todo.extend(others);
            todo.extend(first_names(index, seen, &mut searched));
            if todo.is_empty() {
                break;
            }
        }
    }

    fn scan(&self, below: &RelPath, held: Held<'_>) -> Scan {
        let excluded = |path: &RelPath, is_dir: bool| self.filter.excludes(path, is_dir) || (!is_dir && held(path));
        let device = if self.options.one_file_system { self.device() } else { None };
        let mut found = scan_device(self.root, below, &excluded, self.options.attrs.has(Attrs::XATTRS), device);
        if !self.options.rewrite.is_empty() {
            found.records.iter_mut().for_each(|(_, record)| self.options.rewrite.apply(&mut record.entry));
        }
        found
    }

    /// Compares one name with the index.
    fn take_name(&self, index: &mut Index, path: &RelPath, seen: &mut Seen, out: &mut Refreshed) {
        let now = match self.look(path) {
            Ok(now) => now,
            Err(e) => return out.problems.push((path.clone(), e)),
        };
        let is_dir = now
            .as_ref()
            .map_or_else(|| index.manifest().entry(path).is_some_and(Entry::is_dir), |now| now.entry.is_dir());
        let was_left_out = index.left_out.has(path);
        if now.as_ref().is_some_and(|now| now.entry.is_dir()) {
            index.left_out.forget_file(path);
        } else {
            index.left_out.forget(path);
        }
        if index.left_out.has(path) || self.filter.excludes(path, is_dir) {
            drop(index.remove(path));
            return;
        }
        let now = now.filter(|n| self.travels(n));
        if let Some(now) = now.as_ref().filter(|now| self.is_left_out(now)) {
            tracing::debug!(%path, size = ?now.entry.node, "left out by its size");
            index.left_out.add_file(path);
            drop(index.remove(path));
            return;
        }
        if let Some(now) = now.as_ref().filter(|now| now.entry.is_dir() && self.options.one_file_system) {
            index.left_out.set_mounted(path, is_mounted(now, self.device()));
        }
        let known = index.manifest().get(path);
        // Also where this name was looked at after the change: the others may not have been.
        for record in now.iter().chain(known) {
            seen.link(index, path, record);
        }
        match (&now, known) {
            (None, None) => return,
            (Some(now), Some(known)) if is_as_known(known, now) && !is_fresh(now) => return,
            _ => {}
        }
        let was_dir = known.is_some_and(|k| k.entry.is_dir());
        if was_left_out {
            out.doubted.insert(path.clone());
        }
        match now {
            None => seen.gone(index, path),
            Some(now) if now.entry.is_dir() && !was_dir => {
                let scan = self.scan(path, &|_| false);
                self.take_tree(index, path, scan, &|_| false, seen, out);
            }
            Some(now) => {
                if was_dir && !now.entry.is_dir() {
                    seen.gone(index, path);
                }
                seen.came.push((path.clone(), now));
            }
        }
    }

    /// Compares everything at and below `top` with the index.
    fn take_tree(
        &self,
        index: &mut Index,
        top: &RelPath,
        scan: Scan,
        held: Held<'_>,
        seen: &mut Seen,
        out: &mut Refreshed,
    ) {
        let mut found = BTreeSet::new();
        let unknown: Vec<RelPath> = scan.problems.iter().map(|(p, _)| p.clone()).collect();
        out.problems.extend(scan.problems);
        let before = index.left_out.clone();
        self.take_left_out(index, top, &scan.records, &unknown);
        for (path, now) in scan.records {
            if !self.travels(&now) || index.left_out.has(&path) {
                continue;
            }
            found.insert(path.clone());
            let known = index.manifest().get(&path);
            if known.is_some_and(|k| is_as_known(k, &now)) {
                continue;
            }
            for record in std::iter::once(&now).chain(known) {
                seen.link(index, &path, record);
            }
            if known.is_some_and(|k| k.entry.is_dir()) && !now.entry.is_dir() {
                seen.gone(index, &path);
            }
            if before.has(&path) {
                out.doubted.insert(path.clone());
            }
            seen.came.push((path, now));
        }
        let gone: Vec<(RelPath, bool)> = index
            .manifest()
            .within(top)
            .map(|(path, record)| (path, record.entry.is_dir()))
            // One that is being written was not looked at: that says nothing of whether it is there.
            .filter(|(path, is_dir)| *is_dir || !held(path))
            .filter(|(path, _)| !found.contains(path) && !unknown.iter().any(|u| path.is_within(u)))
            .collect();
        for (path, is_dir) in gone {
            if index.left_out.has(&path) || self.filter.excludes(&path, is_dir) {
                // It is no longer part of the set: what a replica has of it stays.
                drop(index.remove(&path));
            } else {
                seen.gone(index, &path);
            }
        }
        seen.trees.push(top.clone());
    }

    /// Notes what of a scanned tree is left out, but for what could not be looked at.
    fn take_left_out(&self, index: &mut Index, top: &RelPath, records: &[(RelPath, Record)], unknown: &[RelPath]) {
        if unknown.is_empty() {
            index.left_out.forget(top);
        } else {
            records.iter().for_each(|(path, _)| index.left_out.forget_file(path));
        }
        if self.options.one_file_system {
            let device = self.device();
            for (path, now) in records.iter().filter(|(_, now)| now.entry.is_dir()) {
                index.left_out.set_mounted(path, is_mounted(now, device));
            }
        }
        for (path, _) in records.iter().filter(|(_, now)| self.is_left_out(now)) {
            index.left_out.add_file(path);
        }
    }

    fn look(&self, path: &RelPath) -> std::io::Result<Option<Record>> {
        let mut now = look(self.root, path)?;
        if let Some(now) = &mut now {
            if self.options.attrs.has(Attrs::XATTRS) {
                now.entry.xattrs = xattrs(self.root, path)?;
            }
            self.options.rewrite.apply(&mut now.entry);
        }
        Ok(now)
    }

    /// The file system that the root is on; none where it cannot be told.
    fn device(&self) -> Option<u64> {
        look(self.root, &RelPath::root()).ok().flatten()?.stamp.map(|stamp| stamp.dev)
    }

    /// Whether the size of a file keeps it from travelling.
    fn is_left_out(&self, now: &Record) -> bool {
        let Node::File { size, .. } = now.entry.node else { return false };
        self.options.max_size.is_some_and(|max| size > max) || self.options.min_size.is_some_and(|min| size < min)
    }

    /// Puts what came into the index and works out what changed and what merely moved. Returns names
    /// of files that were not seen alike under all of them: one was looked at before a change of
    /// which the event is spent.
    fn settle(&self, index: &mut Index, seen: Seen, out: &mut Refreshed) -> BTreeSet<RelPath> {
        let mut inodes: HashMap<(u64, u64), (RelPath, Record)> = HashMap::new();
        let removed = seen.went.len();
        for (path, record) in seen.went {
            out.changed.entry(path.clone()).or_insert_with(|| Some(record.entry.clone()));
            if let Some(stamp) = record.stamp {
                inodes.insert((stamp.dev, stamp.ino), (path, record));
            }
        }
        let mut links = Vec::new();
        let mut moved_dirs: HashMap<RelPath, RelPath> = HashMap::new();
        let mut moved = 0;
        for (path, mut now) in seen.came {
            let from = now.stamp.and_then(|s| inodes.get(&(s.dev, s.ino)));
            if let Some((from, old)) = from.filter(|(_, old)| old.entry.kind() == now.entry.kind()) {
                moved += 1;
                if old.is_current(&now) {
                    // Moved along with its directory: not even its ctime changed.
                    now.entry.node = old.entry.node.clone();
                }
                let with_parent = from.name() == path.name()
                    && from.parent().and_then(|p| moved_dirs.get(&p).cloned()) == path.parent();
                if !with_parent {
                    out.moves.push((from.clone(), path.clone()));
                }
                if now.entry.is_dir() {
                    moved_dirs.insert(from.clone(), path.clone());
                }
            }
            if now.entry.kind() == Kind::File && now.stamp.is_some_and(|s| s.nlink > 1) {
                links.push(path.clone());
            }
            let old = index.insert(&path, now);
            out.changed.entry(path).or_insert_with(|| old.map(|o| o.entry));
        }
        out.removed += removed.saturating_sub(moved);
        if !out.changed.is_empty() {
            index.advance();
        }
        let apart = links.iter().flat_map(|path| apart(index, path)).collect();
        if self.options.attrs.has(Attrs::HARD_LINKS) {
            relink(index, links, out);
        }
        apart
    }

    /// Whether entries like `record` are replicated by this set at all.
    fn travels(&self, record: &Record) -> bool {
        match record.entry.kind() {
            Kind::Dir | Kind::File => true,
            Kind::Device => self.options.devices,
            Kind::Fifo | Kind::Socket => self.options.specials,
            Kind::Symlink => self.options.symlinks,
        }
    }
}

/// Whether a directory is on another device than the root's.
fn is_mounted(now: &Record, root: Option<u64>) -> bool {
    root.zip(now.stamp).is_some_and(|(root, stamp)| stamp.dev != root)
}

/// Whether the file system shows what it showed, and the same is said of it. Extended attributes may
/// not have been asked for before.
fn is_as_known(known: &Record, now: &Record) -> bool {
    known.is_current(now) && known.entry.meta == now.entry.meta && known.entry.xattrs == now.entry.xattrs
}

/// Whether the file changed so lately that a second change may hide behind the same timestamps:
/// before Linux 6.13 they move in steps of up to 10 ms. It is read again then.
pub(super) fn is_fresh(now: &Record) -> bool {
    let Some(ctime) = now.stamp.filter(|_| now.entry.kind() == Kind::File).map(|s| s.ctime) else { return false };
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ctime = Duration::new(u64::try_from(ctime.secs).unwrap_or(0), ctime.nanos);
    wall.abs_diff(ctime) < FRESH
}

/// The names under which the index knows files that came with more names than it knows.
///
/// link(2) changes the count and ctime of a file without an event for the name that it had.
/// `searched` is how much of what came has been dealt with.
fn first_names(index: &Index, seen: &Seen, searched: &mut usize) -> Vec<RelPath> {
    let came = seen.came.get(*searched..).unwrap_or_default();
    *searched = seen.came.len();
    let mut inodes = HashSet::new();
    for (path, now) in came {
        let Some(stamp) = now.stamp.filter(|s| s.nlink > 1 && now.entry.kind() == Kind::File) else { continue };
        if index.other_names(path, now).len() < stamp.nlink as usize - 1 {
            inodes.insert((stamp.dev, stamp.ino));
        }
    }
    if inodes.is_empty() {
        return Vec::new();
    }
    let known = index.manifest().iter().filter(|(_, r)| r.stamp.is_some_and(|s| inodes.contains(&(s.dev, s.ino))));
    known.map(|(path, _)| path).filter(|path| !seen.looked.contains(path) && !seen.in_tree(path)).collect()
}

/// The names of the file at `path`, where the index does not show the same file under all of them.
fn apart(index: &Index, path: &RelPath) -> Vec<RelPath> {
    let Some(record) = index.manifest().get(path) else { return Vec::new() };
    let mut names = index.other_names(path, record);
    let agrees = |name: &RelPath| index.manifest().get(name).is_some_and(|other| other.is_current(record));
    if names.iter().all(agrees) {
        return Vec::new();
    }
    names.push(path.clone());
    names
}

/// Names the leader of each hard-link group anew, since a name of it came, went or changed.
fn relink(index: &mut Index, paths: Vec<RelPath>, out: &mut Refreshed) {
    for path in paths {
        let Some(record) = index.manifest().get(&path).cloned() else { continue };
        let mut group = index.other_names(&path, &record);
        group.push(path);
        for name in group {
            let Some(mut record) = index.manifest().get(&name).cloned() else { continue };
            let leader = index.leader(&name, &record);
            if record.entry.link != leader {
                let old = record.entry.clone();
                record.entry.link = leader;
                index.insert(&name, record);
                out.changed.entry(name).or_insert(Some(old));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::SetOptions;

    /// A tree and the index of it, with hard links.
    struct World {
        dir: tempfile::TempDir,
        root: Root,
        index: SharedIndex,
        filter: Filter,
        options: SetOptions,
    }

    impl World {
        fn new(make: impl FnOnce(&Path)) -> Self {
            let dir = tempfile::tempdir().expect("tempdir");
            make(dir.path());
            let options = SetOptions { attrs: Attrs::ARCHIVE.with(Attrs::HARD_LINKS), ..SetOptions::default() };
            let world = Self {
                root: Root::open(dir.path()).expect("open"),
                index: SharedIndex::default(),
                filter: Filter::new(&[], &[]).expect("filter"),
                options,
                dir,
            };
            world.refresh(&[("", Scope::Tree)]);
            world
        }

        fn refresh(&self, names: &[(&str, Scope)]) -> Refreshed {
            let names = names.iter().map(|(name, scope)| (path(name), *scope)).collect();
            let look = Look { root: &self.root, filter: &self.filter, options: &self.options };
            look.refresh(&self.index, &Batch { names }, &|_| false)
        }

        /// Whether a look at everything finds nothing that the index does not show.
        fn is_true(&self) -> bool {
            self.refresh(&[("", Scope::Tree)]).changed.is_empty()
        }
    }

    #[test]
    fn what_is_being_written_while_everything_is_looked_at_is_not_gone() {
        let world = World::new(|dir| {
            fs::create_dir_all(dir.join("d/old")).expect("made");
            for name in ["log", "d/log", "d/old/log"] {
                fs::write(dir.join(name), "line").expect("written");
            }
        });
        fs::write(world.dir.path().join("log"), "line and line").expect("written");
        fs::remove_dir_all(world.dir.path().join("d/old")).expect("removed");
        let look = Look { root: &world.root, filter: &world.filter, options: &world.options };
        let batch = Batch { names: [(RelPath::root(), Scope::Tree)].into() };
        let seen = look.refresh(&world.index, &batch, &|path| path.as_bytes().ends_with(b"log"));
        let changed: Vec<_> = seen.changed.keys().map(ToString::to_string).collect();
        assert_eq!(changed, ["d", "d/old", "d/old/log"]);
        assert!(world.index.lock().manifest().get(&path("log")).is_some());
    }

    /// The replica has what it had before: the index says that nothing was there.
    #[test]
    fn what_was_left_out_comes_back_in_doubt() {
        let mut world = World::new(|dir| fs::write(dir.join("a"), "small").expect("written"));
        world.options.max_size = Some(10);
        for scope in [Scope::Name, Scope::Tree] {
            let name = if scope == Scope::Tree { "" } else { "a" };
            fs::write(world.dir.path().join("a"), "larger than it may be").expect("written");
            assert!(world.refresh(&[(name, scope)]).changed.is_empty());
            fs::write(world.dir.path().join("a"), "small").expect("written");
            let seen = world.refresh(&[(name, scope)]);
            assert!(seen.changed.contains_key(&path("a")), "{seen:?}");
            assert_eq!(seen.doubted, [path("a")].into());
        }
    }

    fn path(name: &str) -> RelPath {
        RelPath::parse(name.as_bytes()).unwrap_or_else(|_| RelPath::root())
    }

    #[test]
    fn other_names_are_looked_at_when_one_goes_with_its_directory() {
        let world = World::new(|root| {
            fs::create_dir(root.join("dir")).expect("mkdir");
            fs::write(root.join("dir/a"), "a").expect("write");
            fs::hard_link(root.join("dir/a"), root.join("z")).expect("link");
        });
        fs::remove_dir_all(world.dir.path().join("dir")).expect("remove");
        let changed = world.refresh(&[("dir", Scope::Name)]).changed;
        assert!(changed.contains_key(&path("z")), "{changed:?}");
        assert_eq!(world.index.lock().manifest().entry(&path("z")).expect("stays").link, None);
        assert!(world.is_true());
    }

    #[test]
    fn other_names_are_looked_at_when_one_is_found_changed_in_a_tree() {
        let world = World::new(|root| {
            fs::create_dir(root.join("dir")).expect("mkdir");
            fs::write(root.join("dir/a"), "a").expect("write");
            fs::hard_link(root.join("dir/a"), root.join("z")).expect("link");
        });
        fs::rename(world.dir.path().join("dir"), world.dir.path().join("moved")).expect("rename");
        fs::write(world.dir.path().join("moved/a"), "longer").expect("write");
        let changed = world.refresh(&[("dir", Scope::Name), ("moved", Scope::Tree)]).changed;
        assert!(changed.contains_key(&path("z")), "{changed:?}");
        assert!(world.is_true());
    }

    #[test]
    fn other_names_are_looked_at_although_one_was_looked_at_after_the_change() {
        let world = World::new(|root| {
            fs::write(root.join("a"), "a").expect("write");
            fs::hard_link(root.join("a"), root.join("z")).expect("link");
        });
        fs::write(world.dir.path().join("a"), "longer").expect("write");
        let now = look(&world.root, &path("a")).expect("look").expect("there");
        world.index.lock().insert(&path("a"), now.clone());
        while is_fresh(&now) {
            std::thread::sleep(FRESH / 10);
        }
        let changed = world.refresh(&[("a", Scope::Name)]).changed;
        assert!(changed.contains_key(&path("z")), "{changed:?}");
    }

    #[test]
    fn names_of_one_file_that_were_looked_at_before_and_after_a_change_are_looked_at_again() {
        let world = World::new(|root| {
            fs::write(root.join("a"), "a").expect("write");
            fs::hard_link(root.join("a"), root.join("z")).expect("link");
        });
        let scanned = look(&world.root, &path("z")).expect("look").expect("there");
        fs::write(world.dir.path().join("a"), "longer").expect("write");
        let changed = look(&world.root, &path("a")).expect("look").expect("there");
        let look = Look { root: &world.root, filter: &world.filter, options: &world.options };
        let mut index = world.index.lock();
        let came = vec![(path("z"), scanned), (path("a"), changed)];
        let apart = look.settle(&mut index, Seen { came, ..Seen::default() }, &mut Refreshed::default());
        assert_eq!(apart, [path("a"), path("z")].into());
    }

    #[test]
    fn other_names_are_looked_at_when_one_is_replaced_in_a_tree() {
        let world = World::new(|root| {
            fs::create_dir(root.join("dir")).expect("mkdir");
            for name in ["dir/a", "y"] {
                fs::write(root.join(name), name).expect("write");
            }
            fs::hard_link(root.join("dir/a"), root.join("z")).expect("link");
        });
        fs::rename(world.dir.path().join("y"), world.dir.path().join("dir/a")).expect("rename");
        let changed = world.refresh(&[("dir", Scope::Tree)]).changed;
        assert!(changed.contains_key(&path("z")), "{changed:?}");
    }
}
