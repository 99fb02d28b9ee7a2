//! A source set as its tasks share it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc, oneshot};

use super::after::After;
use super::content::Unlike;
use super::failed::{FailedPaths, News};
use super::halts::Halts;
use super::index::Index;
use super::merge::Difference;
use super::refresh::Look;
use super::rsync::Lacks;
use crate::config::{self, Compression, DeletePolicy};
use crate::delta::Cache;
use crate::engine::lock;
use crate::engine::pool::Pool;
use crate::filter::Filter;
use crate::fs::Root;
use crate::model::{Attrs, Base, Digest, Entry, Epoch, Generation, RelPath};
use crate::observe::Monitor;
use crate::plan::Halt;
use crate::session::{Channel, Fault, Unacknowledged};
use crate::store::{Pending, Store, StoreError, Write};
use crate::watch::Gauge;
use crate::wire::Failed;

/// An index that the tasks of a set share.
#[derive(Debug, Default)]
pub struct SharedIndex(Mutex<Index>);

impl SharedIndex {
    /// An index to share.
    #[must_use]
    pub fn new(index: Index) -> Self {
        Self(Mutex::new(index))
    }

    /// Locks it. Whoever holds the lock neither waits nor does IO but for looking at names.
    pub fn lock(&self) -> MutexGuard<'_, Index> {
        lock(&self.0)
    }
}

/// One tree that this node is primary of.
#[derive(Debug)]
pub struct SourceSet {
    /// Its configuration.
    pub config: config::SourceSet,
    /// What is on disk.
    pub index: SharedIndex,
    /// What never travels.
    pub filter: Arc<Filter>,
    /// Threads for its file work.
    pub pool: Arc<Pool>,
    /// Its receivers.
    pub targets: Vec<Arc<Target>>,
    guard: Halts,
    epoch: Mutex<Epoch>,
    /// Held from a look at the disk until the targets have been told what it showed: what the index
    /// knows and no target owes must not be saved.
    pub turn: tokio::sync::Mutex<()>,
    /// Problems and counters.
    pub monitor: Monitor,
    watch: Mutex<WatchState>,
    gauge: OnceLock<Gauge>,
    looks: OnceLock<mpsc::UnboundedSender<oneshot::Sender<()>>>,
    /// What compares leave alone.
    uncompared: Filter,
    /// What is done once its targets have a change.
    pub(crate) after: After,
    root: RwLock<Arc<Root>>,
}

/// How the watcher of a set fares, for status.
#[derive(Clone, Debug, Default)]
pub struct WatchState {
    /// Directories under watch.
    pub watches: u64,
    /// Directories that are polled since they cannot be watched.
    pub polled: u64,
    /// How often the kernel's queue overflowed.
    pub overflows: u64,
    /// The limit of watches is reached: what to do about it.
    pub limited: Option<String>,
    /// The root directory is gone: how.
    pub root_gone: Option<String>,
}

/// A receiver of a set.
#[derive(Debug)]
pub struct Target {
    /// Its configuration.
    pub config: config::Target,
    channel: Mutex<Channel>,
    /// Rung when `channel` may have something to do.
    pub wake: Arc<Notify>,
    /// Block signatures of the large files that were sent last.
    pub warm: Arc<Mutex<Cache>>,
    proof: Mutex<Option<String>>,
    /// How its change sets are compressed.
    pub compression: Compression,
    /// What the store knows that it is owed, and why.
    recorded: Mutex<BTreeMap<RelPath, String>>,
    /// Whether the store knows that deletions are held back for it.
    holds: AtomicBool,
    /// The acknowledged generation that the store knows.
    saved: Mutex<Generation>,
    failed: Mutex<FailedPaths>,
    /// What its own rules leave out, each path with its cause, since it connected.
    left_out: Mutex<BTreeMap<RelPath, String>>,
    /// Nothing was ever known of what it holds: size and time alone prove nothing.
    unread: AtomicBool,
    /// What an rsyncd there refuses to be asked for.
    lacks: Mutex<Lacks>,
}

impl Target {
    /// A receiver that nothing is known of yet.
    #[must_use]
    pub fn new(config: config::Target, channel: Channel, compression: Compression, wake: Arc<Notify>) -> Self {
        let warm = Arc::new(Mutex::new(Cache::default()));
        let saved = Mutex::new(channel.acked());
        Self {
            config,
            channel: Mutex::new(channel),
            wake,
            warm,
            proof: Mutex::new(None),
            compression,
            recorded: Mutex::default(),
            holds: AtomicBool::new(false),
            saved,
            failed: Mutex::default(),
            left_out: Mutex::default(),
            unread: AtomicBool::new(false),
            lacks: Mutex::default(),
        }
    }

    /// What an rsyncd there refuses to be asked for, as far as is known.
    pub(super) fn lacks(&self) -> Lacks {
        *lock(&self.lacks)
    }

    /// Notes what an rsyncd there refuses to be asked for; returns what was known of it before.
    pub(super) fn set_lacks(&self, lacks: Lacks) -> Lacks {
        std::mem::replace(&mut *lock(&self.lacks), lacks)
    }

    /// Whether what it holds has to be compared by content, since nothing was ever known of it.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Notes whether what it holds has to be compared by content.
    pub(crate) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// Notes what it could not make as asked, by what `channel` owes it now; returns what is news.
    pub(crate) fn note_failed(&self, channel: &Channel, failed: &[Failed]) -> News {
        let mut paths = lock(&self.failed);
        if failed.is_empty() && paths.is_empty() {
            return News::default();
        }
        let owed: BTreeSet<&RelPath> = channel.unacknowledged().map(|name| name.path).collect();
        paths.note(failed, |path| owed.contains(path))
    }

    /// What it could not make as asked and does not have yet, and what its own rules leave out, each
    /// path with its cause.
    pub fn failed(&self) -> Vec<(RelPath, String)> {
        let left_out = lock(&self.left_out).clone();
        let failed: BTreeMap<_, _> =
            lock(&self.failed).iter().map(|(path, cause)| (path.clone(), cause.clone())).collect();
        failed.into_iter().chain(left_out).collect()
    }

    /// Notes what its own rules leave out, and tells the log what is news.
    pub(crate) fn note_left_out(&self, set: &str, left_out: Vec<Failed>) {
        let mut known = lock(&self.left_out);
        for Failed { path, cause, .. } in left_out {
            if known.get(&path) != Some(&cause) {
                tracing::warn!(set, peer = %self, %path, "{cause}");
                known.insert(path, cause);
            }
        }
    }

    /// Whether its own rules leave `path` out.
    pub(crate) fn leaves_out(&self, path: &RelPath) -> bool {
        let known = lock(&self.left_out);
        !known.is_empty() && known.contains_key(path)
    }

    /// A new connection: its rules may be others now.
    pub(crate) fn forget_left_out(&self) {
        lock(&self.left_out).clear();
    }

    /// Locks what it is owed.
    pub fn channel(&self) -> MutexGuard<'_, Channel> {
        lock(&self.channel)
    }

    /// What its session rests on; none while there is none.
    pub fn proof(&self) -> Option<String> {
        lock(&self.proof).clone()
    }

    /// Notes what its session rests on.
    pub fn set_proof(&self, proof: Option<String>) {
        *lock(&self.proof) = proof;
    }

    /// When what it is owed has to be recorded durably; none when that was done, or it is owed
    /// nothing.
    pub fn record_due(&self, channel: &Channel, after: Duration) -> Option<Instant> {
        let recorded = lock(&self.recorded);
        let new = |name: &Unacknowledged<'_>| channel.must_record(name) && !recorded.contains_key(name.path);
        let newest = channel.unacknowledged().filter(new).map(|n| n.since).min()?;
        Some(newest + after)
    }

    /// What it is owed and the store does not know, for the store.
    pub fn unrecorded(&self) -> Option<Write> {
        let channel = self.channel();
        let mut recorded = lock(&self.recorded);
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut names = Vec::new();
        for name in channel.unacknowledged().filter(|name| channel.must_record(name)) {
            let cause = name.fault.map(|f| f.cause.clone()).unwrap_or_default();
            if recorded.get(name.path) != Some(&cause) {
                let since = wall - now.saturating_duration_since(name.since);
                let since_unix_ms =
                    since.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0));
                names.push((name.path.clone(), Pending { since_unix_ms, cause: cause.clone(), base: None }));
                recorded.insert(name.path.clone(), cause);
            }
        }
        (!names.is_empty()).then(|| Write::Pending { target: self.id(), names })
    }

    /// What the store still has and it is no longer owed, and whether deletions are held back for
    /// it, for the store.
    pub fn acknowledged(&self) -> impl Iterator<Item = Write> + use<> {
        let channel = self.channel();
        let holds = channel.holds();
        let news = self.holds.swap(holds, Ordering::Relaxed) != holds;
        let held = news.then(|| Write::Holds { target: self.id(), holds });
        held.into_iter().chain(self.no_longer_owed(&channel))
    }

    fn no_longer_owed(&self, channel: &Channel) -> Option<Write> {
        let mut recorded = lock(&self.recorded);
        if recorded.is_empty() {
            return None;
        }
        let owed: BTreeSet<RelPath> = channel.unacknowledged().map(|n| n.path.clone()).collect();
        let names: Vec<RelPath> = recorded.keys().filter(|p| !owed.contains(*p)).cloned().collect();
        recorded.retain(|path, _| owed.contains(path));
        (!names.is_empty()).then(|| Write::Acknowledged { target: self.id(), names })
    }

    /// The generation that is agreed upon, for the store, when that does not know it.
    pub(crate) fn unsaved_generation(&self) -> Option<Write> {
        let generation = self.channel().agreed();
        let saved = std::mem::replace(&mut *lock(&self.saved), generation);
        (saved != generation).then(|| Write::Generation { set: self.id(), generation })
    }

    /// That the store knows of no acknowledged generation from now on, for the store: until the
    /// next is saved, nobody could tell after a crash what the target holds.
    pub(crate) fn unsave_generation(&self) -> Option<Write> {
        let generation = self.channel().acked().doubted();
        let saved = std::mem::replace(&mut *lock(&self.saved), generation);
        (saved.epoch != Epoch::NONE).then(|| Write::Generation { set: self.id(), generation })
    }

    /// Takes over what the store says it is owed, and that deletions are held back for it unless they
    /// were `approved`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn restore(&self, store: &Store, approved: bool) -> Result<(), StoreError> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut recorded = lock(&self.recorded);
        let mut channel = self.channel();
        for (path, pending) in store.pending(&self.id())? {
            let then = UNIX_EPOCH + Duration::from_millis(pending.since_unix_ms);
            let age = wall.duration_since(then).unwrap_or_default();
            let since = now.checked_sub(age).unwrap_or(now);
            let fault = (!pending.cause.is_empty()).then(|| Fault { at: since, cause: pending.cause.clone() });
            channel.restore(path.clone(), since, fault);
            recorded.insert(path, pending.cause);
        }
        let holds = store.holds(&self.id())?;
        self.holds.store(holds, Ordering::Relaxed);
        if holds && !approved {
            channel.hold_again();
        }
        Ok(())
    }

    /// What the store knows it by.
    #[must_use]
    pub fn id(&self) -> String {
        target_id(&self.config)
    }
}

/// What the store knows a target by.
#[must_use]
pub fn target_id(target: &config::Target) -> String {
    format!("{}:{}::{}", target.host, target.port, target.set)
}

/// As people know it: `host::set`, as rsync writes it.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.config.host, self.config.set)
    }
}

impl SourceSet {
    /// A set whose root is open.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the set, and it is called once")]
    pub(crate) fn new(
        config: config::SourceSet,
        root: Root,
        (filter, uncompared): (Arc<Filter>, Filter),
        pool: Arc<Pool>,
        targets: Vec<Arc<Target>>,
        epoch: Epoch,
        index: Index,
        monitor: Monitor,
        guard: Halts,
    ) -> Self {
        Self {
            config,
            index: SharedIndex::new(index),
            filter,
            pool,
            targets,
            guard,
            epoch: Mutex::new(epoch),
            monitor,
            watch: Mutex::default(),
            gauge: OnceLock::new(),
            looks: OnceLock::new(),
            uncompared,
            after: After::default(),
            turn: tokio::sync::Mutex::new(()),
            root: RwLock::new(Arc::new(root)),
        }
    }

    /// The root directory as it is now held open.
    pub fn root(&self) -> Arc<Root> {
        self.root.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes `root` for the root directory from now on: it was made anew, or mounted.
    pub fn replace_root(&self, root: Arc<Root>) {
        *self.root.write().unwrap_or_else(PoisonError::into_inner) = root;
    }

    /// What looking at the disk needs.
    pub fn look<'a>(&'a self, root: &'a Root) -> Look<'a> {
        Look { root, filter: &self.filter, options: &self.config.options }
    }

    /// The fencing token that this node holds.
    pub fn epoch(&self) -> Epoch {
        *lock(&self.epoch)
    }

    /// Takes `epoch`, which is persisted, and tells every channel.
    pub fn set_epoch(&self, epoch: Epoch) {
        *lock(&self.epoch) = epoch;
        for target in &self.targets {
            target.channel().handle_epoch(epoch);
            target.wake.notify_one();
        }
    }

    /// How the watcher fares.
    pub fn watch(&self) -> WatchState {
        let (watches, polled) = self.gauge.get().map(Gauge::counts).unwrap_or_default();
        WatchState { watches, polled, ..lock(&self.watch).clone() }
    }

    /// What tells from now on how many directories are watched.
    pub fn set_gauge(&self, gauge: Gauge) {
        // There is one watcher for the life of a set.
        let _ = self.gauge.set(gauge);
    }

    /// Takes questions for a look at the whole tree, as [`Self::look_before_compare`] asks them.
    pub(crate) fn take_looks(&self) -> mpsc::UnboundedReceiver<oneshot::Sender<()>> {
        let (ask, asked) = mpsc::unbounded_channel();
        // There is one task for the life of a set.
        let _ = self.looks.set(ask);
        asked
    }

    /// Brings the index up to what is on disk where it may be behind on purpose: some changes wait
    /// for a compare, or the clock asked for one.
    pub(crate) async fn look_before_compare(&self) {
        if !self.config.events.leave_something_out() && self.config.compare.every.is_none() {
            return;
        }
        let (done, is_done) = oneshot::channel();
        if self.looks.get().is_some_and(|looks| looks.send(done).is_ok()) {
            // A task that has ended looks no more.
            let _ = is_done.await;
        }
    }

    /// Whether a compare leaves `path` alone, which is unlike at a peer.
    pub(crate) fn compare_leaves(&self, path: &RelPath, theirs: Option<&Entry>) -> bool {
        if !self.uncompared.has_excludes() {
            return false;
        }
        let here = self.index.lock().manifest().entry(path).map(Entry::is_dir);
        self.uncompared.excludes(path, here.or(theirs.map(Entry::is_dir)).unwrap_or(false))
    }

    /// Notes how the watcher fares.
    pub fn note_watch(&self, note: impl FnOnce(&mut WatchState)) {
        note(&mut lock(&self.watch));
    }

    /// Why deletions wait for an operator; none when they do not.
    pub fn halted(&self) -> Option<Halt> {
        self.guard.halted()
    }

    /// An operator releases a halt, with or without the deletions that it held back. Waits until the
    /// store has it.
    ///
    /// # Errors
    /// [`StoreError`]: it is released, but the store may still have it for halted.
    pub fn release(&self, with_deletions: bool) -> Result<(), StoreError> {
        self.guard.release(with_deletions, || {
            self.targets
                .iter()
                .flat_map(|target| {
                    let mut channel = target.channel();
                    if with_deletions {
                        channel.approve();
                    } else {
                        channel.resume();
                    }
                    drop(channel);
                    target.wake.notify_one();
                    target.acknowledged()
                })
                .collect()
        })
    }

    /// Tells the store of a halt no later than of what it holds back.
    pub(crate) fn keep_halt(&self) {
        self.guard.repeat();
    }

    /// Shows the guard what a compare would delete.
    pub fn guard_compare(&self, differences: &[Difference]) {
        let index = self.index.lock();
        let lost = differences.iter().filter(|(p, base)| base.is_some() && index.manifest().get(p).is_none()).count();
        let of = index.manifest().len() + lost;
        drop(index);
        self.guard_step(of, lost);
    }

    /// Shows the guard a step in which `lost` of `of` entries went.
    pub fn guard_step(&self, of: usize, lost: usize) {
        self.guard.step(of, lost);
    }

    /// Shows the guard the device of the root, none when there is no root.
    pub fn guard_root(&self, device: Option<u64>) {
        self.guard.root(device);
    }

    /// Tells the guard when everything that an operator approved is done.
    pub fn guard_settle(&self) {
        self.guard.settle(|| self.targets.iter().all(|t| t.channel().pending() == 0));
    }

    /// Whether deletions wait for an operator.
    pub fn deletions_halted(&self) -> bool {
        self.halted().is_some()
    }

    /// Whether what is gone here goes at the peers.
    pub fn deletes(&self) -> bool {
        self.config.options.delete != DeletePolicy::Never
    }

    /// What was read for `target`, and sent, may be newer than the index: that has it from now on,
    /// and the other targets hold what it showed before.
    pub(crate) async fn overtaken(&self, target: &Target, unlike: Vec<Unlike>) {
        if unlike.is_empty() {
            return;
        }
        // A save in between would store an index of which nobody knows what it owes.
        let _turn = self.turn.lock().await;
        let old: Vec<(RelPath, Entry)> = {
            let mut index = self.index.lock();
            unlike.into_iter().filter_map(|u| Some((u.path.clone(), index.take_read(&u)?))).collect()
        };
        if old.is_empty() {
            return;
        }
        let number = self.index.lock().advance();
        let now = Instant::now();
        for other in self.targets.iter().filter(|t| !std::ptr::eq(&***t, target)) {
            let mut channel = other.channel();
            channel.handle_generation(number);
            for (path, entry) in &old {
                channel.handle_dirty(now, path.clone(), Base::Known(Some(entry.clone())));
            }
            other.wake.notify_one();
        }
    }

    /// The Merkle root that a peer must have once it holds all that was `sent`, when that can be
    /// told: nothing came since generation `number`, what was sent is what the index shows, and
    /// the peer may hold nothing else.
    pub fn provable_root(&self, number: u64, sent: &[(RelPath, Option<Entry>)]) -> Option<Digest> {
        let options = &self.config.options;
        let excludes = self.filter.has_excludes() || self.uncompared.has_excludes();
        let everything = options.symlinks
            && options.specials
            && options.max_size.is_none()
            && options.min_size.is_none()
            && !options.one_file_system
            && !options.attrs.has_some(Attrs::EXISTING_ONLY.with(Attrs::NEW_ONLY));
        if !everything || !self.deletes() || excludes {
            return None;
        }
        let mut index = self.index.lock();
        let same = |(path, entry): &(RelPath, Option<Entry>)| index.manifest().entry(path) == entry.as_ref();
        if index.number() != number || !sent.iter().all(same) {
            return None;
        }
        index.root(options.attrs)
    }
}
