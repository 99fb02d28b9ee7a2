//! When dirty names are due: temporary names vanish, saves stay one change, bursts one batch.
//!
//! Pure: time comes in with [`Coalescer::handle_event`] and goes out with
//! [`Coalescer::poll_timeout`]. The rules are those of [`crate::config::Coalesce`]:
//!
//! | what | waits for |
//! |---|---|
//! | known file closed, moved over, attributes changed | nothing |
//! | new name | `settle`; removed meanwhile, it never was |
//! | removal of a known name | `gone` without another removal; made anew meanwhile, it is one change |
//! | both halves of a rename | `gone`, of a directory `settle` |
//! | file that is being written | its close, or `open_quiet` without a write |
//! | link, special file, found by a scan | twice `settle` |
//! | the batch after a batch | `linger` without an event |
//! | everything, where there is a `quiet` | `quiet` without an event |
//!
//! and nothing longer than `bound` from its first event.

mod admission;
mod dirty;
mod pending;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Instant;

pub use admission::Admission;
pub use dirty::{Batch, Dirty, Scope, What};
use pending::Pending;

use crate::config::Coalesce;
use crate::model::RelPath;

/// With more names than this waiting, the set is scanned instead.
pub const MAX_PENDING: usize = 65_536;

/// How often `linger` is waited for while events keep coming: a burst becomes few batches, but
/// sending it overlaps with the rest of it.
const MAX_LINGERS: u32 = 8;

/// Collects dirty names until they are due.
#[derive(Debug)]
pub struct Coalescer {
    rules: Coalesce,
    pending: BTreeMap<RelPath, Pending>,
    /// All but removals.
    by_due: BTreeSet<(Instant, RelPath)>,
    /// Removals, by their first event: they are due together.
    removals: BTreeSet<(Instant, RelPath)>,
    by_first: BTreeSet<(Instant, RelPath)>,
    /// Names that were renamed away and still wait, by the number of the rename.
    moves: HashMap<u32, RelPath>,
    last_event: Option<Instant>,
    last_removal: Option<Instant>,
    linger: Option<Linger>,
    /// What the caller may be looking at: its index does not tell yet whether these are known.
    in_flight: Batch,
}

/// The pause after a batch.
#[derive(Clone, Copy, Debug)]
struct Linger {
    until: Instant,
    at_most: Instant,
}

impl Coalescer {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(rules: Coalesce) -> Self {
        Self {
            rules,
            pending: BTreeMap::new(),
            by_due: BTreeSet::new(),
            removals: BTreeSet::new(),
            by_first: BTreeSet::new(),
            moves: HashMap::new(),
            last_event: None,
            last_removal: None,
            linger: None,
            in_flight: Batch::default(),
        }
    }

    /// How many names wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Since when the oldest event waits.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.by_first.first().map(|(first, _)| *first)
    }

    /// Whether `path` itself waits: a scan of a directory leaves it out, since it may be half
    /// written or about to vanish; it comes in a batch of its own.
    #[must_use]
    pub fn holds(&self, path: &RelPath) -> bool {
        self.pending.contains_key(path)
    }

    /// The names that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &RelPath> {
        self.pending.keys()
    }

    /// Takes note of `event`; `known`: the caller's index holds the name, for an event that is no
    /// removal as the same kind.
    pub fn handle_event(&mut self, now: Instant, event: &Dirty, known: bool) {
        self.note(now);
        if self.is_collapsed() {
            return self.handle_overflow(now);
        }
        let swallowed = if event.is_dir && event.what.is_removal() { self.swallow(&event.path) } else { Vec::new() };
        let known = known || self.in_flight.covers(&event.path) || swallowed.iter().any(|p| p.known);
        let pair = self.pair(event);
        let old = self.take(&event.path);
        if let Some(mut next) = Pending::next(old.as_ref(), event, known, pair, now, &self.rules) {
            next.first = swallowed.iter().map(|p| p.first).fold(next.first, Instant::min);
            next.due = next.due.min(next.first + self.rules.bound);
            if next.is_removed() && event.what.is_removal() {
                self.last_removal = Some(now);
            }
            self.put(event.path.clone(), next);
        } else if let Some(dir) = event.path.parent().filter(|dir| !self.pending.contains_key(dir)) {
            // The name came and went without a trace, but for the mtime of its directory.
            self.put(dir, Pending::touched(now, &self.rules));
        }
        if self.pending.len() > MAX_PENDING {
            self.handle_overflow(now);
        }
    }

    /// Events were lost: all that waits becomes one scan of the set.
    pub fn handle_overflow(&mut self, now: Instant) {
        self.note(now);
        let first = self.oldest().unwrap_or(now);
        self.pending.clear();
        self.by_due.clear();
        self.removals.clear();
        self.by_first.clear();
        self.moves.clear();
        self.put(RelPath::root(), Pending::rescan(first, now, &self.rules));
    }

    /// When [`Self::poll_batch`] has something, unless an event comes before; none while nothing
    /// waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.by_due.first().map(|(due, _)| *due);
        let due = due.into_iter().chain(self.removals.first().map(|(first, _)| self.removal_due(*first))).min()?;
        let bound = self.oldest()? + self.rules.bound;
        let linger = self.linger.map(|l| l.until);
        let quiet = self.last_event.filter(|_| !self.rules.quiet.is_zero()).map(|last| last + self.rules.quiet);
        Some([linger, quiet].into_iter().flatten().fold(due, Instant::max).min(bound))
    }

    /// What is due at `now`. To be called only when what came out before is in the caller's index.
    pub fn poll_batch(&mut self, now: Instant) -> Option<Batch> {
        self.in_flight = Batch::default();
        if self.poll_timeout()? > now {
            return None;
        }
        let mut batch = Batch::default();
        while let Some((due, path)) = self.by_due.first().cloned()
            && due <= now
        {
            if let Some(pending) = self.take(&path) {
                batch.add(path, pending.scope);
            }
        }
        while let Some((first, path)) = self.removals.first().cloned()
            && self.removal_due(first) <= now
        {
            if let Some(pending) = self.take(&path) {
                batch.add(path, pending.scope);
            }
        }
        batch.normalise();
        self.linger = Some(Linger { until: now + self.rules.linger, at_most: now + self.rules.linger * MAX_LINGERS });
        self.in_flight = batch.clone();
        Some(batch)
    }

    fn note(&mut self, now: Instant) {
        self.last_event = Some(now);
        if let Some(linger) = &mut self.linger
            && now < linger.until
        {
            linger.until = (now + self.rules.linger).min(linger.at_most);
        }
    }

    /// When a removal goes, seen `first` then: not while others follow it, so that `rm -r` of a whole
    /// tree is one step, in which the delete guard sees all of it.
    fn removal_due(&self, first: Instant) -> Instant {
        (self.last_removal.unwrap_or(first) + self.rules.gone).min(first + self.rules.bound)
    }

    fn is_collapsed(&self) -> bool {
        self.pending.get(&RelPath::root()).is_some_and(|p| p.scope == Scope::Tree)
    }

    /// When the name that `event` renamed away is due, if it still waits.
    fn pair(&self, event: &Dirty) -> Option<Instant> {
        let from = self.moves.get(&event.cookie).filter(|_| event.what == What::MovedTo)?;
        self.pending.get(from).filter(|p| p.is_gone() && *from != event.path).map(|p| p.due)
    }

    /// Takes what waits below `dir`.
    fn swallow(&mut self, dir: &RelPath) -> Vec<Pending> {
        let below: Vec<RelPath> = self
            .pending
            .range::<RelPath, _>((Bound::Excluded(dir), Bound::Unbounded))
            .map(|(path, _)| path)
            .take_while(|path| path.as_bytes().starts_with(dir.as_bytes()))
            .filter(|path| path.is_below(dir))
            .cloned()
            .collect();
        below.iter().filter_map(|path| self.take(path)).collect()
    }

    fn put(&mut self, path: RelPath, pending: Pending) {
        if pending.is_removed() {
            self.removals.insert((pending.first, path.clone()));
        } else {
            self.by_due.insert((pending.due, path.clone()));
        }
        self.by_first.insert((pending.first, path.clone()));
        if pending.cookie != 0 {
            self.moves.insert(pending.cookie, path.clone());
        }
        self.pending.insert(path, pending);
    }

    fn take(&mut self, path: &RelPath) -> Option<Pending> {
        let pending = self.pending.remove(path)?;
        self.by_due.remove(&(pending.due, path.clone()));
        self.removals.remove(&(pending.first, path.clone()));
        self.by_first.remove(&(pending.first, path.clone()));
        self.moves.remove(&pending.cookie);
        Some(pending)
    }
}

#[cfg(test)]
mod tests;
