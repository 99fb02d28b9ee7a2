//! From what was staged to the journal of its commit: guard, order, drift, metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use super::applier::own_path;
use super::drift::{Drift, kept_name};
use super::error::is_fatal;
use super::ground::{Ground, content};
use super::guard;
use super::journal::{Journal, Made};
use super::order::{Gone, InPlace, Ordered, Wanted, order};
use super::stage::{Inner, Item, Source, State};
use super::step::Step;
use super::view::View;
use super::{ApplyError, Deletions};
use crate::fs::meta::{Fix, Object};
use crate::fs::xattr_fd as xattr;
use crate::model::{Attrs, Digest, Entry, Kind, Manifest, Record, RelPath, Stamp, Timestamp};

/// A commit, ready to be written down.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) journal: Journal,
    /// For each put of the journal how it is known already; none when it has to be looked at.
    pub(super) known: Vec<Option<(Stamp, Timestamp)>>,
    pub(super) failed: BTreeMap<RelPath, String>,
    pub(super) drift: BTreeSet<RelPath>,
    pub(super) deletions_held: u64,
    /// Directories in the stage with the metadata they need before anything moves.
    pub(super) stage_dirs: Vec<(RelPath, Fix)>,
    /// Files in the stage that take over the mode of what they replace.
    pub(super) adopt: Vec<(RelPath, u32)>,
}

/// Plans the commit of `state`, whose files and links are all in the stage.
///
/// # Errors
/// [`ApplyError::ContentNeeded`] for paths that rest on what is not there, [`ApplyError::Local`],
/// [`ApplyError::Protocol`] for operations that contradict each other.
pub(super) fn plan(
    staging: &Inner,
    state: &State,
    held: &Manifest,
    ground: &mut Ground<'_>,
    approved: bool,
) -> Result<Plan, ApplyError> {
    let mut planner = Planner {
        staging,
        state,
        held,
        ground,
        drift: Drift { policy: &staging.policy, shared: &staging.shared, held, ids: &staging.ids },
        needed: BTreeSet::new(),
        kept: 0,
        plan: Plan { failed: state.failed.clone(), ..Plan::default() },
    };
    let (wanted, removes) = planner.guarded(approved)?;
    let ordered = order(planner.ground, &state.renames, &wanted, &removes).map_err(local)?;
    planner.finish(ordered, &wanted, removes)
}

struct Planner<'a, 'g> {
    staging: &'a Inner,
    state: &'a State,
    held: &'a Manifest,
    ground: &'a mut Ground<'g>,
    drift: Drift<'a>,
    needed: BTreeSet<RelPath>,
    kept: usize,
    plan: Plan,
}

impl Planner<'_, '_> {
    /// What is wanted and what goes, less what must not be.
    fn guarded(&mut self, approved: bool) -> Result<(Vec<Wanted>, Vec<RelPath>), ApplyError> {
        let policy = self.staging.policy.deletions;
        if policy == Deletions::Never && !self.state.renames.is_empty() {
            // A rename takes a name away.
            return Err(ApplyError::ContentNeeded(self.state.renames.iter().map(|(_, to)| to.clone()).collect()));
        }
        let mut wanted = self.wanted();
        let mut removes = self.removes()?;
        let replaced = self.replaced_dirs(&wanted);
        let view = &self.state.view;
        let going = removes.iter().chain(&replaced);
        let mut gone = guard::count_gone(self.held, view, going, &self.state.renames);
        gone += self.renamed_over();
        let new = wanted.iter().filter(|w| self.held.get(&w.path).is_none()).count();
        let too_much = policy == Deletions::Guarded && !approved && guard::is_too_much(gone, self.held.len() + new);
        if too_much {
            self.plan.deletions_held = gone as u64;
        }
        if too_much || policy == Deletions::Never {
            removes.clear();
            wanted.retain(|w| !replaced.contains(&w.path));
            for path in replaced {
                self.plan.failed.insert(path, "the directory that is in the way may not be deleted".to_owned());
            }
        }
        Ok((wanted, removes))
    }

    /// All that is to be, but for what lies in a directory that cannot be made.
    fn wanted(&mut self) -> Vec<Wanted> {
        let mut wanted = Vec::with_capacity(self.state.items.len());
        for (path, item) in &self.state.items {
            let broken = path.parent().is_some_and(|p| self.plan.failed.contains_key(&p));
            if broken && !path.is_root() {
                self.plan.failed.insert(path.clone(), "its directory could not be made".to_owned());
                continue;
            }
            wanted.push(Wanted { path: path.clone(), dir: item.entry.is_dir(), staged: item.place.clone() });
        }
        wanted
    }

    /// The topmost paths that go by themselves.
    fn removes(&self) -> Result<Vec<RelPath>, ApplyError> {
        let items = &self.state.items;
        let mut removes: Vec<RelPath> = Vec::new();
        for path in self.state.removes.iter().filter(|p| !items.contains_key(*p)) {
            let above = |p: &RelPath| removes.binary_search(p).is_ok();
            let mut ancestors = std::iter::successors(path.parent(), RelPath::parent);
            let goes_along = ancestors.any(|a| above(&a) || items.get(&a).is_some_and(|item| !item.entry.is_dir()));
            if goes_along {
                continue;
            }
            let first_below = path.join(b"\x01").unwrap_or_else(|_| path.clone());
            if items.range(first_below..).next().is_some_and(|(p, _)| p.is_below(path)) {
                return Err(ApplyError::protocol(path, "it is removed, and something in it is put"));
            }
            removes.push(path.clone());
        }
        Ok(removes)
    }

    /// Wanted paths that are no directories, where a directory with something in it stands.
    fn replaced_dirs(&self, wanted: &[Wanted]) -> BTreeSet<RelPath> {
        let holds_some = |path: &RelPath| {
            let origin = self.state.view.find(path);
            origin.is_some_and(|o| self.held.children(&o).next().is_some())
        };
        wanted.iter().filter(|w| !w.dir && holds_some(&w.path)).map(|w| w.path.clone()).collect()
    }

    /// How many entries go because something is renamed onto them.
    fn renamed_over(&self) -> usize {
        let mut view = View::new();
        let mut gone = 0;
        for (from, to) in &self.state.renames {
            gone += view.find(to).map_or(0, |origin| self.held.within(&origin).count());
            let node = view.take(from);
            view.put(to, node);
        }
        gone
    }

    fn finish(mut self, ordered: Ordered, wanted: &[Wanted], removes: Vec<RelPath>) -> Result<Plan, ApplyError> {
        self.needed.extend(ordered.missing.iter().cloned());
        let mut steps = ordered.steps.clone();
        self.check_renamed(&ordered).map_err(local)?;
        self.find_drift(&ordered, &mut steps).map_err(local)?;
        self.stage_dirs(&ordered);
        self.adopt_modes(&steps).map_err(local)?;
        self.metadata(&ordered, &mut steps).map_err(local)?;
        for (path, cause) in std::mem::take(&mut self.ground.blocked) {
            self.needed.remove(&path);
            self.plan.failed.insert(path, cause);
        }
        if !self.needed.is_empty() {
            return Err(ApplyError::ContentNeeded(self.needed.into_iter().collect()));
        }
        self.plan.journal.steps = steps;
        self.plan.journal.renames = ordered.renamed.iter().map(|(f, t, o)| (f.clone(), t.clone(), o.ino)).collect();
        self.plan.journal.removes = removes;
        self.plan.journal.restamp = self.restamp(&ordered);
        self.puts(&ordered, wanted);
        Ok(self.plan)
    }

    /// What moves must be what the sender believes to move.
    fn check_renamed(&mut self, ordered: &Ordered) -> io::Result<()> {
        for (_, to, object) in &ordered.renamed {
            let Some(now) = self.ground.look(&object.origin)? else { continue };
            if self.drift.is_drift(self.ground, &object.origin, &now)? {
                self.needed.insert(to.clone());
            }
        }
        Ok(())
    }

    /// Notes what somebody else made or changed and what now goes, and steps that keep it.
    fn find_drift(&mut self, ordered: &Ordered, steps: &mut Vec<Step>) -> io::Result<()> {
        let elsewhere: HashSet<_> = ordered.renamed.iter().map(|(_, _, o)| o.origin.clone()).collect();
        let believed: HashMap<RelPath, Digest> = self
            .state
            .items
            .iter()
            .filter_map(|(path, item)| Some((self.state.view.find(path)?, item.base?)))
            .collect();
        for gone in &ordered.gone {
            let Some(now) = self.ground.look(&gone.origin)? else { continue };
            let recorded = self.held.get(&gone.origin).and_then(|r| r.entry.hash());
            let unexpected = recorded.is_some_and(|hash| believed.get(&gone.origin).is_some_and(|base| *base != hash));
            if unexpected || self.drift.is_drift(self.ground, &gone.origin, &now)? {
                self.keep(&gone.origin, gone.place.clone(), gone.ino, steps);
            } else if gone.dir {
                self.keep_below(gone, &elsewhere, steps)?;
            }
        }
        // What was taken away by somebody else and is made again.
        for (path, item) in &self.state.items {
            if item.place.is_some()
                && ordered.placed.contains(path)
                && self.state.renames.is_empty()
                && self.held.get(path).is_some()
                && self.ground.look(path)?.is_none()
            {
                self.plan.drift.insert(path.clone());
            }
        }
        Ok(())
    }

    fn keep_below(&mut self, gone: &Gone, elsewhere: &HashSet<RelPath>, steps: &mut Vec<Step>) -> io::Result<()> {
        for origin in self.drift.below(self.ground, &gone.origin, elsewhere)? {
            let ino = self.ground.look(&origin)?.and_then(|r| r.stamp).map_or(0, |s| s.ino);
            let place = origin.moved(&gone.origin, &gone.place);
            self.keep(&origin, place, ino, steps);
        }
        Ok(())
    }

    fn keep(&mut self, origin: &RelPath, place: RelPath, ino: u64, steps: &mut Vec<Step>) {
        let name = kept_name(self.staging.seq, self.kept, origin);
        self.kept += 1;
        steps.push(Step::Keep { from: place, to: own_path(&[b"drift", &name]), ino });
        self.plan.drift.insert(origin.clone());
    }

    /// Directories that are built in the stage get their metadata there.
    fn stage_dirs(&mut self, ordered: &Ordered) {
        let made: HashMap<_, _> = ordered.made.iter().cloned().collect();
        for (path, item) in self.state.items.iter().filter(|(_, item)| item.entry.is_dir()) {
            let Some(place) = item.place.as_ref().or_else(|| made.get(path)) else { continue };
            let mut fix = self.fix(&item.entry);
            if !self.staging.policy.can_chown && ordered.placed.contains(path) {
                // Who is not root can only move a directory that is writable itself.
                fix.mode = fix.mode.map(|m| m | 0o700);
            }
            self.plan.stage_dirs.push((place.clone(), fix));
        }
    }

    /// Where modes are not replicated a file keeps the mode that it has here, as with rsync.
    fn adopt_modes(&mut self, steps: &[Step]) -> io::Result<()> {
        if self.staging.policy.attrs.has(Attrs::MODE) {
            return Ok(());
        }
        for step in steps {
            if let Step::Swap { a, b, .. } = step
                && let Some(old) = self.ground.look(a)?.filter(|r| r.entry.kind() == Kind::File)
                && self.state.items.get(a).is_some_and(|i| i.entry.kind() == Kind::File)
            {
                self.plan.adopt.push((b.clone(), old.entry.meta.mode));
            }
        }
        Ok(())
    }

    /// Metadata of what stays, then of the directories in which names came and went.
    fn metadata(&mut self, ordered: &Ordered, steps: &mut Vec<Step>) -> io::Result<()> {
        let touched: HashSet<_> = ordered.touched.iter().map(|t| t.path.clone()).collect();
        for here in &ordered.in_place {
            let Some(item) = self.state.items.get(&here.path) else { continue };
            if item.source == Source::InPlace && !item.entry.is_dir() && !self.is_held(here, &item.entry)? {
                self.needed.insert(here.path.clone());
                continue;
            }
            if !touched.contains(&here.path) {
                let fix = self.fix(&item.entry);
                steps.extend(self.meta_step(here, item.entry.kind(), fix, false)?);
            }
        }
        for dir in &ordered.touched {
            let fix = self.dir_fix(dir)?;
            steps.extend(self.meta_step(dir, Kind::Dir, fix, true)?);
        }
        Ok(())
    }

    /// What a directory has after names came and went in it.
    fn dir_fix(&mut self, dir: &InPlace) -> io::Result<Fix> {
        if let Some(item) = self.state.items.get(&dir.path) {
            return Ok(self.fix(&item.entry));
        }
        if !self.staging.policy.attrs.has_times_of(Kind::Dir) {
            return Ok(Fix::default());
        }
        let mtime = match self.held.get(&dir.origin) {
            Some(record) => Some(record.entry.meta.mtime),
            None => self.ground.look(&dir.origin)?.map(|r| r.entry.meta.mtime),
        };
        Ok(Fix { mtime, ..Fix::default() })
    }

    /// The step that brings `fix` about, unless nothing is to do and nothing will move.
    fn meta_step(&mut self, object: &InPlace, kind: Kind, fix: Fix, moves: bool) -> io::Result<Option<Step>> {
        let staged = super::is_own(&object.origin);
        let now = if staged { None } else { self.ground.look(&object.origin)? };
        let mut old = now.as_ref().map_or_else(Fix::default, |r| Fix::back_to(&r.entry.meta));
        if let (Some(wanted), Some(now)) = (&fix.xattrs, &now) {
            let found = self.xattrs(&object.origin, now)?;
            if found == *wanted && !moves && fix.is_met(&now.entry.meta) {
                return Ok(None);
            }
            old.xattrs = Some(found);
        } else if !moves && now.as_ref().is_some_and(|r| fix.is_met(&r.entry.meta)) {
            return Ok(None);
        }
        let (path, origin) = (object.path.clone(), object.origin.clone());
        Ok(Some(Step::Meta { path, origin, kind, ino: object.ino, old, new: fix }))
    }

    fn xattrs(&mut self, origin: &RelPath, now: &Record) -> io::Result<Vec<crate::model::Xattr>> {
        let object = Object::open(&*self.ground.dirs.parent(origin)?, origin.name(), now.entry.kind())?;
        if object.can_sync() { xattr::read(&object) } else { Ok(Vec::new()) }
    }

    /// Whether the content that `entry` names is in the tree, as recorded.
    fn is_held(&mut self, here: &InPlace, entry: &Entry) -> io::Result<bool> {
        let (Some(record), Some(now)) = (self.held.get(&here.origin), self.ground.look(&here.origin)?) else {
            return Ok(false);
        };
        if now.entry.kind() != Kind::File || record.entry.kind() != Kind::File {
            return Ok(false);
        }
        // A name that left its group of links, or joined one, needs another inode.
        if self.staging.policy.attrs.has(Attrs::HARD_LINKS) && record.entry.link != entry.link {
            return Ok(false);
        }
        match (entry.hash(), record.entry.hash()) {
            (Some(wanted), Some(have)) if wanted != have => return Ok(false),
            (_, Some(_)) if record.is_current(&now) => return Ok(true),
            _ => {}
        }
        let found = content(&self.staging.shared.area, &mut self.ground.dirs, &here.origin)?;
        Ok(found.is_some() && found == entry.hash().or_else(|| record.entry.hash()))
    }

    fn fix(&self, entry: &Entry) -> Fix {
        self.staging.policy.fix(entry, &self.staging.ids)
    }

    /// Paths whose entry stays and whose stamp moves: directories, what was renamed, what was linked to.
    fn restamp(&self, ordered: &Ordered) -> Vec<RelPath> {
        let dirs = ordered.touched.iter().map(|t| t.path.clone());
        let renamed = ordered.renamed.iter().map(|(_, _, object)| object.path.clone());
        let linked = self.state.items.values().filter_map(|item| match &item.source {
            Source::Link(target) => Some(target.clone()),
            _ => None,
        });
        let all: BTreeSet<_> = dirs.chain(renamed).chain(linked).collect();
        all.into_iter().filter(|p| !self.state.items.contains_key(p)).collect()
    }

    fn puts(&mut self, ordered: &Ordered, wanted: &[Wanted]) {
        let here: HashMap<_, _> = ordered.in_place.iter().map(|o| (&o.path, o.ino)).collect();
        let touched: HashSet<_> = ordered.touched.iter().map(|o| &o.path).collect();
        for Wanted { path, .. } in wanted {
            let Some(item) = self.state.items.get(path).filter(|_| !self.plan.failed.contains_key(path)) else {
                continue;
            };
            let Item { entry, place, ino, known, .. } = item;
            let ino = here.get(path).copied().unwrap_or(*ino);
            let carried = place.is_some() && !ordered.placed.contains(path) && !here.contains_key(path);
            let mtime = self.staging.policy.attrs.has_times_of(entry.kind());
            let steady = carried && !entry.is_dir() && !touched.contains(path) && mtime;
            self.plan.known.push(known.filter(|_| steady));
            self.plan.journal.puts.push(Made { path: path.clone(), entry: entry.clone(), place: place.clone(), ino });
        }
    }
}

fn local(e: io::Error) -> ApplyError {
    let doing = if is_fatal(&e) { "plan the commit" } else { "look at the tree" };
    ApplyError::local(&RelPath::root(), doing, e)
}
