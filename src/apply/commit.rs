//! The commit of a change set: durable in the stage, then live, then told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{MutexGuard, PoisonError};

use rustix::fs::{AtFlags, fsync, linkat, syncfs};

use super::ApplyError;
use super::area::{Dirs, is_absent};
use super::drift::Drift;
use super::error::is_fatal;
use super::ground::Ground;
use super::journal::{self, Journal};
use super::ledger::Ledger;
use super::order::There;
use super::plan::{Plan, plan};
use super::run::{Halt, Run};
use super::stage::{FEW, Inner, Item, Source, Staging, State};
use super::step::Step;
use crate::fs::meta::Object;
use crate::fs::{look_at, write};
use crate::model::{Digest, Kind, Manifest, RelPath};

/// What a change set that is live did not do, or found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// What could not be made while all else was, each with its cause.
    pub failed: Vec<(RelPath, String)>,
    /// What somebody else had changed here. It is repaired, and what was there is kept in `.syncd/drift`.
    pub drift: Vec<RelPath>,
    /// How many entries the guard against mass deletion keeps here.
    pub deletions_held: u64,
}

impl Staging {
    /// Makes the change set live and durable, and `manifest` what the tree is then.
    ///
    /// `approved`: an operator let deletions beyond the guard's limit pass. Everything staged must
    /// have come. A path that alone cannot be made is left out, and named in the outcome.
    ///
    /// # Errors
    /// Tree and manifest are as they were, but for [`ApplyError::Durability`]: then nothing is known.
    pub fn commit(&self, manifest: &mut Manifest, approved: bool) -> Result<Outcome, ApplyError> {
        let mut number = self.inner.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.inner.state();
        if std::mem::replace(&mut state.closed, true) {
            return Err(ApplyError::protocol(&RelPath::root(), "the change set is complete already"));
        }
        let (mut plan, dirs) = self.inner.prepare(&mut state, manifest, approved)?;
        *number += 1;
        plan.journal.number = *number;
        self.inner.go_live(state, &plan, Run::new(dirs), manifest)
    }

    /// Removes what the commit left in the stage; best done after the peer was told. Dropping the
    /// last handle does the same.
    ///
    /// # Errors
    /// [`ApplyError::Local`]; the next start tries again.
    pub fn cleanup(&self) -> Result<(), ApplyError> {
        self.inner.clean().map_err(|e| ApplyError::local(&self.inner.path, "clean up", e))
    }
}

impl Inner {
    fn prepare(&self, state: &mut State, held: &Manifest, approved: bool) -> Result<(Plan, Dirs<'_>), ApplyError> {
        if let Some(path) = state.items.iter().find(|(_, i)| i.source == Source::Awaited).map(|(p, _)| p) {
            return Err(ApplyError::protocol(path, "its content did not come"));
        }
        let mut ground = Ground::new(self);
        self.settle(state, &mut ground)?;
        self.link(state, held, &mut ground)?;
        for item in state.items.values() {
            if let Some(place) = &item.place {
                ground.staged.insert(place.clone(), There { ino: item.ino, dir: item.entry.is_dir() });
            }
        }
        let plan = plan(self, state, held, &mut ground, approved)?;
        let local = |e| ApplyError::local(&self.path, "finish the stage", e);
        for (place, fix) in &plan.stage_dirs {
            let object = Object::from_fd(self.shared.area.dir(place).map_err(local)?);
            match object.look().and_then(|now| object.fix(fix, &now)) {
                Err(e) if is_fatal(&e) => return Err(local(e)),
                // It stays as it is, and the next compare says so.
                _ => {}
            }
        }
        for (place, mode) in &plan.adopt {
            let fix = crate::fs::meta::Fix { mode: Some(*mode), ..Default::default() };
            let dir = ground.dirs.parent(place).map_err(local)?;
            let object = Object::open(&*dir, place.name(), Kind::File).map_err(local)?;
            object.look().and_then(|now| object.fix(&fix, &now)).map_err(local)?;
        }
        Ok((plan, ground.into_dirs()))
    }

    /// Moves what was made beside a directory in the stage, because it came on another thread
    /// before its directory, into it.
    fn settle(&self, state: &mut State, ground: &mut Ground<'_>) -> Result<(), ApplyError> {
        let paths: Vec<_> = state.items.iter().filter(|(_, i)| i.place.is_some()).map(|(p, _)| p.clone()).collect();
        let mut moved: BTreeMap<RelPath, RelPath> = BTreeMap::new();
        for path in paths {
            let parent = path.parent().and_then(|p| state.items.get(&p)?.place.clone());
            let Some(place) = state.items.get(&path).and_then(|i| i.place.clone()) else { continue };
            // Its directory went somewhere else, with all that was in it.
            let carried = place.parent().and_then(|p| moved.get(&p).map(|to| place.moved(&p, to)));
            let at = carried.unwrap_or_else(|| place.clone());
            let should = parent.and_then(|p| p.join(path.name()).ok()).unwrap_or_else(|| at.clone());
            if at != should {
                match self.shift(ground, &at, &should) {
                    Ok(()) => {}
                    Err(e) if is_fatal(&e) => return Err(ApplyError::local(&path, "stage", e)),
                    Err(e) => {
                        state.items.remove(&path);
                        state.failed.insert(path, e.to_string());
                        continue;
                    }
                }
            }
            if let Some(item) = state.items.get_mut(&path)
                && should != place
            {
                if item.entry.is_dir() {
                    moved.insert(place, should.clone());
                }
                item.place = Some(should);
                item.known = None;
            }
        }
        Ok(())
    }

    fn shift(&self, ground: &mut Ground<'_>, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let (a, b) = (ground.dirs.parent(from)?, ground.dirs.parent(to)?);
        write::move_new((a.as_fd(), from.name()), (b.as_fd(), to.name()))?;
        ground.dirs.forget(from);
        Ok(())
    }

    /// Makes hard links in the stage, to what is there or to what stays in the tree.
    fn link(&self, state: &mut State, held: &Manifest, ground: &mut Ground<'_>) -> Result<(), ApplyError> {
        let mut pending: Vec<(RelPath, RelPath)> = Vec::new();
        for (path, item) in &state.items {
            if let Source::Link(target) = &item.source {
                pending.push((path.clone(), target.clone()));
            }
        }
        let mut needed = BTreeSet::new();
        while !pending.is_empty() {
            let waiting: BTreeSet<_> = pending.iter().map(|(path, _)| path.clone()).collect();
            let (now, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, target)| !waiting.contains(target));
            if now.is_empty() {
                return Err(ApplyError::protocol(&later[0].0, "links point at each other"));
            }
            for (path, target) in now {
                if !self.link_one(state, held, ground, &path, &target)? {
                    // Nothing but its target, sent whole, makes the link possible.
                    needed.extend([path, target]);
                }
            }
            pending = later;
        }
        if needed.is_empty() { Ok(()) } else { Err(ApplyError::ContentNeeded(needed.into_iter().collect())) }
    }

    /// Whether `target` is there to be linked to.
    fn link_one(
        &self,
        state: &mut State,
        held: &Manifest,
        ground: &mut Ground<'_>,
        path: &RelPath,
        target: &RelPath,
    ) -> Result<bool, ApplyError> {
        let wanted = state.items.get(path).map(|i| (i.entry.kind(), i.entry.hash()));
        let from = match state.items.get(target) {
            Some(item) if item.entry.is_dir() => return Ok(false),
            Some(Item { place: Some(place), ino, .. }) => Some((place.clone(), *ino)),
            _ => match state.view.find(target) {
                Some(origin) => self.linkable(held, ground, origin, wanted)?,
                None => None,
            },
        };
        let Some((from, ino)) = from else { return Ok(false) };
        let parent = path.parent().and_then(|p| state.items.get(&p)?.place.clone());
        let place = parent.and_then(|p| p.join(path.name()).ok()).unwrap_or_else(|| self.fresh());
        match self.make_link(ground, &from, &place, ino) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(e) if is_absent(&e) => return Ok(false),
            Err(e) if is_fatal(&e) => return Err(ApplyError::local(path, "link", e)),
            Err(e) => {
                state.items.remove(path);
                state.failed.insert(path.clone(), e.to_string());
                return Ok(true);
            }
        }
        if let Some(item) = state.items.get_mut(target) {
            // Its link count and ctime moved.
            item.known = None;
        }
        if let Some(item) = state.items.get_mut(path) {
            item.place = Some(place);
            item.ino = ino;
        }
        Ok(true)
    }

    /// The object at `origin` of the tree, when it is as recorded and what the link is to be.
    fn linkable(
        &self,
        held: &Manifest,
        ground: &mut Ground<'_>,
        origin: RelPath,
        wanted: Option<(Kind, Option<Digest>)>,
    ) -> Result<Option<(RelPath, u64)>, ApplyError> {
        let local = |e| ApplyError::local(&origin, "look at the target of a link", e);
        let (Some(record), Some(now)) = (held.get(&origin), ground.look(&origin).map_err(local)?) else {
            return Ok(None);
        };
        let same = wanted
            .is_some_and(|(kind, hash)| kind == now.entry.kind() && (hash.is_none() || hash == record.entry.hash()));
        let drift = Drift { policy: &self.policy, shared: &self.shared, held, ids: &self.ids };
        if !same || drift.is_drift(ground, &origin, &now).map_err(local)? {
            return Ok(None);
        }
        Ok(now.stamp.map(|s| (origin.clone(), s.ino)))
    }

    fn make_link(&self, ground: &mut Ground<'_>, from: &RelPath, to: &RelPath, ino: u64) -> io::Result<bool> {
        let (a, b) = (ground.dirs.parent(from)?, ground.dirs.parent(to)?);
        linkat(&*a, from.name(), &*b, to.name(), AtFlags::empty())?;
        // The name may have been exchanged since it was looked at.
        Ok(look_at(b.as_fd(), to.name())?.and_then(|r| r.stamp).is_some_and(|s| s.ino == ino))
    }

    fn go_live(
        &self,
        mut state: MutexGuard<'_, State>,
        plan: &Plan,
        mut run: Run<'_>,
        manifest: &mut Manifest,
    ) -> Result<Outcome, ApplyError> {
        let steps = &plan.journal.steps;
        if !steps.is_empty() {
            self.make_durable(&state, run.dirs(), &plan.journal)?;
            state.keep = true;
            let result = self.take(&mut run, &plan.journal);
            // With a tree between two generations the stage is what recovery starts from.
            state.keep = matches!(result, Err(ApplyError::Durability { .. }));
            result?;
        }
        state.kept_drift = !plan.drift.is_empty();
        drop(state);
        let (failed, meta_failed) = (std::mem::take(&mut run.failed), std::mem::take(&mut run.meta_failed));
        let mut all_failed = plan.failed.clone();
        all_failed.extend(failed);
        let mut ledger =
            Ledger { dirs: run.dirs(), policy: &self.policy, failed: &all_failed, meta_failed: &meta_failed };
        ledger.write(&plan.journal, &plan.known, manifest);
        all_failed.extend(meta_failed);
        Ok(Outcome {
            failed: all_failed.into_iter().collect(),
            drift: plan.drift.iter().cloned().collect(),
            deletions_held: plan.deletions_held,
        })
    }

    /// Makes stage and journal durable, before anything else happens.
    ///
    /// What is one rename is atomic by itself: its journal only serves a crash of the process.
    fn make_durable(&self, state: &State, dirs: &mut Dirs<'_>, journal: &Journal) -> Result<(), ApplyError> {
        let lost = |doing| move |e: rustix::io::Errno| ApplyError::Durability { doing, source: e.into() };
        let one = is_atomic(&journal.steps);
        let few = state.only_few || (one && state.few.is_empty());
        if one || few {
            for file in &state.few {
                fsync(file).map_err(lost("make a staged file durable"))?;
            }
        }
        let local = |e| ApplyError::local(&self.path, "write the journal", e);
        let dir = dirs.dir(&self.path).map_err(local)?;
        let file = write_journal(&*dir, journal).map_err(local)?;
        if one && few {
            return Ok(());
        }
        if few {
            fsync(&file).map_err(lost("make the journal durable"))?;
            fsync(&*dir).map_err(lost("make the stage durable"))?;
            return fsync(&self.shared.stage).map_err(lost("make the stage durable"));
        }
        syncfs(&self.shared.stage).map_err(lost("make the stage durable"))
    }

    /// Takes the steps and makes them durable; takes them back when that cannot be.
    pub(super) fn take(&self, run: &mut Run<'_>, journal: &Journal) -> Result<(), ApplyError> {
        match run.forth(&journal.steps) {
            Ok(()) => make_tree_durable(run, &self.shared.stage, &journal.steps),
            Err(halt) => {
                run.back(&journal.steps).map_err(|source| ApplyError::Durability { doing: "take back", source })?;
                Err(match halt {
                    Halt::Fatal(path, source) => ApplyError::Local { path, doing: "commit", source },
                    Halt::Rename => {
                        ApplyError::ContentNeeded(journal.renames.iter().map(|(_, to, _)| to.clone()).collect())
                    }
                })
            }
        }
    }
}

fn write_journal(dir: impl AsFd, journal: &Journal) -> io::Result<std::fs::File> {
    let bytes = journal.encode().map_err(io::Error::other)?;
    let mut file = std::fs::File::from(write::create_file(dir, journal::NAME, 0o600)?);
    file.write_all(&bytes)?;
    Ok(file)
}

/// Makes the directories in which names moved, and what changed in place, durable.
pub(super) fn make_tree_durable(run: &mut Run<'_>, fs: impl AsFd, steps: &[Step]) -> Result<(), ApplyError> {
    let lost = |source: io::Error| ApplyError::Durability { doing: "make the tree durable", source };
    let mut changed: BTreeMap<RelPath, Kind> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Meta { path, kind, .. } => {
                changed.insert(path.clone(), *kind);
            }
            Step::Move { from, to, .. } | Step::Swap { a: from, b: to, .. } => {
                for path in [from, to] {
                    changed.insert(path.parent().unwrap_or_else(RelPath::root), Kind::Dir);
                }
            }
            Step::Keep { .. } => {}
        }
    }
    changed.retain(|path, _| !super::is_own(path));
    if changed.len() <= FEW {
        let mut all = Vec::new();
        for (path, kind) in &changed {
            match run.open(path, *kind) {
                Ok(object) if object.can_sync() => all.push(object),
                // It is gone, or cannot be opened: only the whole file system can be made durable.
                _ => return syncfs(fs).map_err(|e| lost(e.into())),
            }
        }
        return all.iter().try_for_each(Object::sync).map_err(lost);
    }
    syncfs(fs).map_err(|e| lost(e.into()))
}

/// Whether the steps come to one atomic change, apart from times of directories.
fn is_atomic(steps: &[Step]) -> bool {
    let counts = |step: &&Step| match step {
        Step::Meta { old, new, .. } => {
            let same = |a: Option<u32>, b: Option<u32>| b.is_none() || a == b;
            !(same(old.mode, new.mode)
                && same(old.uid, new.uid)
                && same(old.gid, new.gid)
                && (new.xattrs.is_none() || new.xattrs == old.xattrs))
        }
        _ => true,
    };
    steps.iter().filter(counts).count() <= 1
}
