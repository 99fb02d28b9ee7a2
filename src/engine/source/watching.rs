//! The task of a source set: from what the watcher tells to what each target is owed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep_until};

use super::refresh::Refreshed;
use super::set::SourceSet;
use crate::coalesce::{Admission, Batch, Coalescer, Dirty, Scope};
use crate::config::Transport;
use crate::engine::{process_start, stopped};
use crate::fs::{Root, look};
use crate::model::{Base, Entry, Kind, RelPath};
use crate::observe::Counter;
use crate::watch::{Event, RootGone};

/// Drives one set until `stop` turns true; `ready` is rung once everything is watched and known.
#[derive(Debug)]
pub struct Watching {
    set: Arc<SourceSet>,
    coalescer: Coalescer,
    admission: Admission,
    /// The index came from the store: what differs from it happened while syncd was not running.
    resumed: bool,
    ready: Option<tokio::sync::oneshot::Sender<()>>,
    root_gone: bool,
}

impl Watching {
    /// A task for `set`, whose index was loaded from the store when `resumed`.
    #[must_use]
    pub(crate) fn new(set: Arc<SourceSet>, resumed: bool, ready: tokio::sync::oneshot::Sender<()>) -> Self {
        let coalescer = Coalescer::new(set.config.coalesce);
        let admission = Admission::new(set.config.events);
        Self { set, coalescer, admission, resumed, ready: Some(ready), root_gone: false }
    }

    /// Runs until `stop` turns true or the watcher ends.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Vec<Event>>, mut stop: watch::Receiver<bool>) {
        let mut scan = self.scans();
        let mut compares = self.set.config.compare.every.map(scheduled);
        let mut looks = self.set.take_looks();
        loop {
            let due = self.coalescer.poll_timeout();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                // Before the events: a tree that always changes must not put them off.
                () = tick(&mut compares) => self.compare_all(),
                Some(done) = looks.recv() => {
                    self.look_at(everything(), Asked::ByCompare).await;
                    // Whoever asked may have ended.
                    let _ = done.send(());
                }
                told = events.recv() => match told {
                    Some(told) => self.handle(told).await,
                    None => break,
                },
                () = sleep_until(due.unwrap_or_else(far).into()), if due.is_some() => self.refresh_due().await,
                () = tick(&mut scan) => self.look_at(everything(), Asked::ByChange).await,
            }
        }
    }

    /// When to look for changes of which there was no event; never where some changes are not to
    /// travel before the next full compare, which looks by itself.
    fn scans(&self) -> Option<Interval> {
        let period = self.set.config.options.scan_interval.max(Duration::from_millis(10));
        (!self.set.config.events.leave_something_out()).then(|| every(Instant::now() + period, period))
    }

    /// The clock asks for a full compare with every target; with one that is out of reach as soon as
    /// it is back.
    fn compare_all(&self) {
        tracing::info!("{}: a full compare is due by the schedule", self.name());
        for target in &self.set.targets {
            target.channel().request_compare();
            target.wake.notify_one();
        }
    }

    async fn handle(&mut self, told: Vec<Event>) {
        let now = Instant::now();
        for event in told {
            match event {
                Event::Dirty(dirty) => {
                    self.set.monitor.count(Counter::Events, 1);
                    tracing::debug!(set = self.name(), path = %dirty.path, what = ?dirty.what, "event");
                    self.dirty(now, &dirty);
                }
                Event::Overflow => {
                    self.set.monitor.count(Counter::Overflows, 1);
                    self.set.note_watch(|w| w.overflows += 1);
                    tracing::warn!("{}: the kernel's event queue overflowed: looking at everything", self.name());
                    self.coalescer.handle_overflow(now);
                }
                Event::Ready => self.first_look().await,
                Event::RootGone(cause) => self.root_is_gone(&cause),
                Event::RootBack(root) => self.root_back(root).await,
                Event::Limited { needed, limit } => self.limited(needed, limit),
                Event::LimitLifted => {
                    self.set.note_watch(|w| w.limited = None);
                    tracing::info!("{}: every directory is watched again", self.name());
                }
                Event::Unwatched { path, error } => {
                    self.set.monitor.problem(self.name(), &path, &format!("cannot be watched: {error}"));
                }
                Event::Drained(_) => {}
            }
        }
        self.refresh_due().await;
    }

    fn dirty(&mut self, now: Instant, dirty: &Dirty) {
        let (known, dir_known) = {
            let index = self.set.index.lock();
            let entry = index.manifest().entry(&dirty.path);
            let known = entry.is_some_and(|e| dirty.what.is_removal() || (e.kind() == Kind::Dir) == dirty.is_dir);
            let dir = dirty.path.parent().filter(|_| self.admission.needs_directory());
            (known, dir.is_none_or(|dir| index.manifest().entry(&dir).is_some_and(Entry::is_dir)))
        };
        if !self.admission.admits(dirty, dir_known) {
            return;
        }
        self.coalescer.handle_event(now, dirty, known);
    }

    async fn refresh_due(&mut self) {
        while let Some(batch) = self.coalescer.poll_batch(Instant::now()) {
            self.look_at(batch, Asked::ByChange).await;
        }
    }

    /// The whole tree, once everything is watched.
    async fn first_look(&mut self) {
        self.look_at(everything(), Asked::ByChange).await;
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(());
        }
    }

    fn limited(&self, needed: u64, limit: u64) {
        let raise = needed.saturating_mul(2).max(65_536);
        let what = format!(
            "{needed} directories need a watch and the limit is {limit}: the rest is polled. \
             To mend it: sysctl -w fs.inotify.max_user_watches={raise}"
        );
        tracing::warn!("{}: {what}", self.name());
        self.set.note_watch(|w| w.limited = Some(what));
    }

    fn root_is_gone(&mut self, cause: &RootGone) {
        self.root_gone = true;
        self.set.guard_root(None);
        let what = format!("the root directory is gone: {cause}");
        tracing::error!("{}: {what}; what the peers have of it stays", self.name());
        self.set.note_watch(|w| w.root_gone = Some(what));
    }

    async fn root_back(&mut self, root: Arc<Root>) {
        let device = look(&root, &RelPath::root()).ok().flatten().and_then(|r| r.stamp).map(|s| s.dev);
        self.set.replace_root(root);
        self.set.guard_root(device);
        self.root_gone = false;
        self.set.note_watch(|w| w.root_gone = None);
        tracing::info!("{}: the root directory is back: looking at everything", self.name());
        self.look_at(everything(), Asked::ByChange).await;
    }

    fn name(&self) -> &str {
        &self.set.config.name
    }

    async fn look_at(&mut self, batch: Batch, asked: Asked) {
        if self.root_gone {
            return;
        }
        let trees = batch.names.values().filter(|scope| **scope == Scope::Tree).count();
        self.set.monitor.count(Counter::Scans, trees as u64);
        let set = self.set.clone();
        let _turn = set.turn.lock().await;
        let held: BTreeSet<RelPath> = self.coalescer.waiting().cloned().collect();
        let of = set.index.lock().manifest().len();
        let looking = set.clone();
        let work = move || {
            let (set, root) = (&looking, looking.root());
            set.look(&root).refresh(&set.index, &batch, &|path| held.contains(path))
        };
        match self.set.pool.run(work).await {
            Ok(refreshed) => self.hand_over(of, refreshed, asked),
            Err(e) => tracing::error!("{}: {e}", self.name()),
        }
    }

    /// Tells every target what it is owed.
    fn hand_over(&mut self, of: usize, refreshed: Refreshed, asked: Asked) {
        for (path, error) in &refreshed.problems {
            self.set.monitor.problem(self.name(), path, &format!("{error}; what the peers have of it stays"));
        }
        if refreshed.changed.is_empty() {
            return;
        }
        for (path, base) in &refreshed.changed {
            tracing::debug!(set = self.name(), %path, was = ?base.as_ref().map(Entry::kind), "changed");
        }
        for (from, to) in &refreshed.moves {
            tracing::debug!(set = self.name(), %from, %to, "moved");
        }
        self.set.guard_step(of, refreshed.removed);
        let first = self.ready.is_some();
        if !first && asked == Asked::ByChange && !self.set.after.is_idle() {
            let now: Vec<Option<Entry>> = {
                let index = self.set.index.lock();
                refreshed.changed.keys().map(|path| index.manifest().entry(path).cloned()).collect()
            };
            let changed = refreshed.changed.iter().zip(now);
            self.set.follow(changed.map(|((path, before), now)| (path, before.as_ref(), now)));
        }
        // What compares leave alone, and only a look for one shows, no event has told of.
        let by_compare = first || asked == Asked::ByCompare;
        let left = |path: &RelPath, base: &Option<Entry>| by_compare && self.set.compare_leaves(path, base.as_ref());
        let (left, changed): (Vec<_>, Vec<_>) = refreshed.changed.iter().partition(|(path, base)| left(path, base));
        let (now, number) = (Instant::now(), self.set.index.lock().number());
        for target in &self.set.targets {
            let mut channel = target.channel();
            channel.handle_generation(number);
            // Before the first compare nobody knows what the peer holds: the compare will tell, unless
            // it is one that may look at sizes and times alone.
            let reads = target.config.transport == Transport::Quic;
            let compare_tells = !self.resumed || (self.set.config.options.full_compare && reads);
            if !(first && compare_tells) {
                for (path, base) in &changed {
                    // What happened before the start happened to an index that may be older than
                    // what the peer acknowledged.
                    let doubted = first || refreshed.doubted.contains(path);
                    let base = if doubted { Base::Unknown } else { Base::Known((*base).clone()) };
                    channel.handle_dirty(now, (*path).clone(), base);
                }
                channel.leave_alone(left.iter().map(|(path, _)| (*path).clone()));
                for (from, to) in &refreshed.moves {
                    channel.handle_moved(from.clone(), to.clone());
                }
            }
            target.wake.notify_one();
        }
        self.set.tell_plugins();
    }
}

/// A look at the whole set.
fn everything() -> Batch {
    Batch { names: [(RelPath::root(), Scope::Tree)].into() }
}

/// What a look at the tree is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// Something changed, or may have.
    ByChange,
    /// A full compare follows.
    ByCompare,
}

/// Compares that are due every `period`, counted from the start of the process: a reload moves none.
fn scheduled(period: Duration) -> Interval {
    let period = period.max(Duration::from_millis(10));
    every(next_of(process_start(), period, Instant::now()), period)
}

/// The first multiple of `period` from `start` on that lies after `now`.
fn next_of(start: Instant, period: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(start).as_nanos() / period.as_nanos().max(1);
    let next = period.saturating_mul(u32::try_from(passed + 1).unwrap_or(u32::MAX));
    start.checked_add(next).unwrap_or(now + period).max(now)
}

fn every(first: Instant, period: Duration) -> Interval {
    let mut interval = interval_at(first.into(), period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The next tick; of nothing, none ever.
async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_counts_from_the_start_of_the_process() {
        let start = Instant::now();
        let at = |now| next_of(start, Duration::from_secs(60), start + Duration::from_secs(now)) - start;
        assert_eq!([at(0), at(59), at(60), at(150)].map(|at| at.as_secs()), [60, 60, 120, 180]);
    }
}
