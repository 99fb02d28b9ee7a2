//! The names that one peer has not acknowledged and that are not under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::fault::Fault;
use crate::model::{Base, Entry, RelPath};

/// What is known of one such name.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// What the peer holds there.
    pub(super) base: Base,
    /// Since when it is unacknowledged.
    pub(super) since: Instant,
    /// When it was last seen to differ, in the channel's count of events.
    pub(super) touched: u64,
    /// How often it failed in a row.
    pub(super) failures: u32,
    /// Why it failed last.
    pub(super) fault: Option<Fault>,
    /// Nothing but a compare told that it differs: the next one that looks as closely tells it again.
    pub(super) found: Option<Depth>,
}

/// What a compare looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Depth {
    /// Sizes, times and attributes.
    Glance,
    /// The content of every file, by its hash.
    Content,
}

/// A name that a peer has not acknowledged, for `replay --list` and the retry log.
#[derive(Clone, Copy, Debug)]
pub struct Unacknowledged<'a> {
    /// The path.
    pub path: &'a RelPath,
    /// Since when.
    pub since: Instant,
    /// Why it failed last; none when it did not.
    pub fault: Option<&'a Fault>,
    /// Whether it is a deletion that a guard holds back.
    pub held: bool,
    /// Whether nothing but a compare told of it: where every connection begins with one, nothing is
    /// lost when it is forgotten.
    pub found: bool,
    /// Whether it is in the change set that is under way.
    pub in_flight: bool,
}

impl Name {
    pub(super) fn new(now: Instant, touched: u64, base: Base) -> Self {
        Self { base, since: now, touched, failures: 0, fault: None, found: None }
    }

    pub(super) fn shown<'a>(&'a self, path: &'a RelPath, held: bool) -> Unacknowledged<'a> {
        Unacknowledged {
            path,
            since: self.since,
            fault: self.fault.as_ref(),
            held,
            found: self.found.is_some(),
            in_flight: false,
        }
    }
}

/// The names, each in exactly one of three places.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// To be sent as soon as the channel is free.
    ready: BTreeMap<RelPath, Name>,
    /// Failed; to be sent again at a time.
    waiting: BTreeMap<RelPath, (Instant, Name)>,
    /// Deletions that a guard holds back.
    held: BTreeMap<RelPath, Name>,
    /// No later than the first time in `waiting`.
    wake: Option<Instant>,
    /// Owed to nobody, though the peer differs there: compares leave them alone.
    left_alone: BTreeSet<RelPath>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.waiting.len() + self.held.len()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn contains(&self, path: &RelPath) -> bool {
        self.ready.contains_key(path) || self.waiting.contains_key(path) || self.held.contains_key(path)
    }

    /// Whether `path` is to be sent and has not failed.
    pub(super) fn is_untried(&self, path: &RelPath) -> bool {
        self.ready.get(path).is_some_and(|name| name.failures == 0)
    }

    /// When a name that failed is due; possibly too early, never too late.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.wake
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Unacknowledged<'_>> {
        let waiting = self.waiting.iter().map(|(path, (_, name))| name.shown(path, false));
        let held = self.held.iter().map(|(path, name)| name.shown(path, true));
        self.ready.iter().map(|(path, name)| name.shown(path, false)).chain(waiting).chain(held)
    }

    /// `path` differs, to be sent at once. The base of a name that is here already stays, unless
    /// it has come into doubt.
    ///
    /// What was left alone at or above `path` is owed from now on: what the peer holds there is not
    /// what the index held.
    pub(super) fn touch(&mut self, path: RelPath, name: Name) {
        if !self.left_alone.is_empty() {
            for dir in path.ancestors().filter(|dir| self.left_alone.remove(dir)).collect::<Vec<_>>() {
                self.put_touched(dir, Name { base: Base::Unknown, ..name.clone() });
            }
        }
        self.put_touched(path, name);
    }

    /// Nothing is owed at these paths.
    pub(super) fn leave_alone(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.left_alone.extend(paths);
    }

    fn put_touched(&mut self, path: RelPath, name: Name) {
        if let Some(old) = self.ready.get_mut(&path) {
            old.touch(name);
        } else if let Some(mut old) = self.remove(&path) {
            old.touch(name);
            self.ready.insert(path, old);
        } else {
            self.ready.insert(path, name);
        }
    }

    /// Puts a name that was under way back. One that was touched meanwhile stays ready, with the
    /// base and the age of the one that comes back.
    pub(super) fn put_back(&mut self, path: RelPath, mut name: Name, due: Option<Instant>) {
        if let Some(newer) = self.remove(&path) {
            name.touched = newer.touched;
            name.found = told_by_compares(name.found, newer.found);
            self.ready.insert(path, name);
        } else if let Some(due) = due {
            self.wake = Some(self.wake.map_or(due, |wake| wake.min(due)));
            self.waiting.insert(path, (due, name));
        } else {
            self.ready.insert(path, name);
        }
    }

    /// A guard holds this deletion back. One that was touched meanwhile is sent.
    pub(super) fn hold(&mut self, path: RelPath, name: Name) {
        if self.contains(&path) {
            self.put_back(path, name, None);
        } else {
            self.held.insert(path, name);
        }
    }

    /// The peer holds `base` at `path`, if the name is here.
    pub(super) fn rebase(&mut self, path: &RelPath, base: Base) {
        if let Some(name) = self.get_mut(path) {
            name.base = base;
        }
    }

    /// Makes ready what is due.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.wake.is_none_or(|wake| wake > now) {
            return;
        }
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|(_, (due, _))| *due <= now);
        self.waiting = later;
        self.ready.extend(BTreeMap::into_iter(due).map(|(path, (_, name))| (path, name)));
        self.wake = self.waiting.values().map(|(due, _)| *due).min();
    }

    /// Makes ready whatever waits, due or not.
    pub(super) fn wake_all(&mut self) {
        self.wake = None;
        self.ready.extend(std::mem::take(&mut self.waiting).into_iter().map(|(path, (_, name))| (path, name)));
    }

    /// Makes ready what a guard held back.
    pub(super) fn release(&mut self) {
        self.ready.append(&mut self.held);
    }

    /// Names are in doubt where `gone` says that the peer lost them with what stood above: also those that were
    /// touched while the change set that took them was under way, with what the index held then for their base.
    pub(super) fn doubt(&mut self, gone: impl Fn(&RelPath) -> bool) {
        let waiting = self.waiting.iter_mut().map(|(path, (_, name))| (path, name));
        for (_, name) in waiting.chain(&mut self.held).chain(&mut self.ready).filter(|(path, _)| gone(path)) {
            name.base = Base::Unknown;
        }
    }

    /// Makes ready what waits or is held within one of `dirs`.
    pub(super) fn rouse(&mut self, dirs: &BTreeSet<&RelPath>) {
        let below = |path: &RelPath| path.ancestors().any(|dir| dirs.contains(&dir));
        let waiting: Vec<_> = self.waiting.keys().chain(self.held.keys()).filter(|path| below(path)).cloned().collect();
        for path in waiting {
            if let Some(name) = self.remove(&path) {
                self.ready.insert(path, name);
            }
        }
    }

    /// Forgets what a guard held back.
    pub(super) fn forget_held(&mut self) {
        self.held.clear();
    }

    /// Takes all that is ready.
    pub(super) fn take(&mut self) -> BTreeMap<RelPath, Name> {
        std::mem::take(&mut self.ready)
    }

    /// A compare that began at `started` found these `differences`, each with what the peer holds:
    /// other names are equal. Those touched since may be so only by what the index was or became
    /// meanwhile: they stay, in doubt.
    pub(super) fn compared(
        &mut self,
        now: Instant,
        started: u64,
        differences: BTreeMap<RelPath, Option<Entry>>,
        depth: Depth,
    ) {
        let stays = |path: &RelPath, name: &mut Name| {
            // Of what an event told, or a compare of content, sizes and times prove nothing.
            let doubted = depth == Depth::Glance && name.found != Some(Depth::Glance);
            match differences.get(path).filter(|_| !doubted) {
                Some(entry) => {
                    name.base = Base::Known(entry.clone());
                    name.found = told_by_compares(name.found, Some(depth));
                }
                None => name.base = Base::Unknown,
            }
            doubted || name.touched > started || differences.contains_key(path)
        };
        self.ready.retain(stays);
        self.waiting.retain(|path, (_, name)| stays(path, name));
        self.held.retain(stays);
        self.left_alone.clear();
        for (path, entry) in differences {
            if !self.contains(&path) {
                self.ready.insert(path, Name { found: Some(depth), ..Name::new(now, started, Base::Known(entry)) });
            }
        }
    }

    fn get_mut(&mut self, path: &RelPath) -> Option<&mut Name> {
        let waiting = self.waiting.get_mut(path).map(|(_, name)| name);
        self.ready.get_mut(path).or(waiting).or_else(|| self.held.get_mut(path))
    }

    fn remove(&mut self, path: &RelPath) -> Option<Name> {
        let waiting = self.waiting.remove(path).map(|(_, name)| name);
        waiting.or_else(|| self.ready.remove(path)).or_else(|| self.held.remove(path))
    }
}

impl Name {
    fn touch(&mut self, newer: Self) {
        self.touched = newer.touched;
        self.found = told_by_compares(self.found, newer.found);
        self.since = self.since.min(newer.since);
        self.fault = newer.fault.or(self.fault.take());
        if newer.base == Base::Unknown {
            self.base = Base::Unknown;
        }
    }
}

/// What two compares told, the closer of them; none where an event told of one.
fn told_by_compares(one: Option<Depth>, other: Option<Depth>) -> Option<Depth> {
    Some(one?.max(other?))
}
