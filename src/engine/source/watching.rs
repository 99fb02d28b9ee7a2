//! The task of a source set: from what the watcher tells to what each target is owed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use super::refresh::Refreshed;
use super::set::SourceSet;
use crate::coalesce::{Batch, Coalescer, Dirty, Scope};
use crate::engine::stopped;
use crate::fs::{Root, look};
use crate::model::{Base, Kind, RelPath};
use crate::observe::Counter;
use crate::watch::{Event, RootGone};

/// Drives one set until `stop` turns true; `ready` is rung once everything is watched and known.
#[derive(Debug)]
pub struct Watching {
    set: Arc<SourceSet>,
    coalescer: Coalescer,
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
        Self { set, coalescer, resumed, ready: Some(ready), root_gone: false }
    }

    /// Runs until `stop` turns true or the watcher ends.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Vec<Event>>, mut stop: watch::Receiver<bool>) {
        let mut scan = every(self.set.config.options.scan_interval);
        loop {
            let due = self.coalescer.poll_timeout();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                told = events.recv() => match told {
                    Some(told) => self.handle(told).await,
                    None => break,
                },
                () = sleep_until(due.unwrap_or_else(far).into()), if due.is_some() => self.refresh_due().await,
                _ = scan.tick() => self.look_at(everything()).await,
            }
        }
    }

    async fn handle(&mut self, told: Vec<Event>) {
        let now = Instant::now();
        for event in told {
            match event {
                Event::Dirty(dirty) => {
                    self.set.monitor.count(Counter::Events, 1);
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
        let known = {
            let index = self.set.index.lock();
            let entry = index.manifest().entry(&dirty.path);
            entry.is_some_and(|e| dirty.what.is_removal() || (e.kind() == Kind::Dir) == dirty.is_dir)
        };
        self.coalescer.handle_event(now, dirty, known);
    }

    async fn refresh_due(&mut self) {
        while let Some(batch) = self.coalescer.poll_batch(Instant::now()) {
            self.look_at(batch).await;
        }
    }

    /// The whole tree, once everything is watched.
    async fn first_look(&mut self) {
        self.look_at(everything()).await;
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
        self.look_at(everything()).await;
    }

    fn name(&self) -> &str {
        &self.set.config.name
    }

    async fn look_at(&mut self, batch: Batch) {
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
            Ok(refreshed) => self.hand_over(of, refreshed),
            Err(e) => tracing::error!("{}: {e}", self.name()),
        }
    }

    /// Tells every target what it is owed.
    fn hand_over(&mut self, of: usize, refreshed: Refreshed) {
        for (path, error) in &refreshed.problems {
            self.set.monitor.problem(self.name(), path, &format!("{error}; what the peers have of it stays"));
        }
        if refreshed.changed.is_empty() {
            return;
        }
        for (path, base) in &refreshed.changed {
            tracing::trace!(set = self.name(), %path, ?base, "changed");
        }
        for (from, to) in &refreshed.moves {
            tracing::trace!(set = self.name(), %from, %to, "moved");
        }
        self.set.guard_step(of, refreshed.removed);
        let first = self.ready.is_some();
        let (now, number) = (Instant::now(), self.set.index.lock().number());
        for target in &self.set.targets {
            let mut channel = target.channel();
            channel.handle_generation(number);
            // Before the first compare nobody knows what the peer holds: the compare will tell.
            if !(first && (self.set.config.options.full_compare || !self.resumed)) {
                for (path, base) in &refreshed.changed {
                    // What happened before the start happened to an index that may be older than
                    // what the peer acknowledged.
                    let base = if first { Base::Unknown } else { Base::Known(base.clone()) };
                    channel.handle_dirty(now, path.clone(), base);
                }
                for (from, to) in &refreshed.moves {
                    channel.handle_moved(from.clone(), to.clone());
                }
            }
            target.wake.notify_one();
        }
    }
}

/// A look at the whole set.
fn everything() -> Batch {
    Batch { names: [(RelPath::root(), Scope::Tree)].into() }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick of an interval is at once.
    interval.reset();
    interval
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
