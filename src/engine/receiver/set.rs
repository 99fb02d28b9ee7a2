//! A set at its receiver: the tree, what was agreed about it, and who writes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, watch};

use super::ServeError;
use super::compare::{read_content, take_scan};
use super::incoming::{IncomingError, nack};
use super::touched::Touched;
use super::verify::verify;
use super::xfer::Xfer;
use crate::apply::{Applier, ApplyError, Deletions, Outcome, Policy, Recovered, Staging};
use crate::config::{self, DeletePolicy};
use crate::engine::Found;
use crate::engine::lock;
use crate::engine::memory;
use crate::engine::pool::{Panicked, Pool};
use crate::engine::upkeep::{Kept, look_after};
use crate::filter::Filter;
use crate::fs::{Root, Scan, scan};
use crate::link::Link;
use crate::model::{Attrs, Digest, Epoch, Generation, Manifest, NodeKey, Op, Record, RelPath};
use crate::observe::{Counter, Monitor};
use crate::session::{self, Opening, SessionId, Verdict};
use crate::store::{Store, Write, Writer};
use crate::wire::{ChangeSet, Message, Nack};

/// One tree that this node receives.
#[derive(Debug)]
pub struct ReplicaSet {
    /// Its configuration.
    pub config: config::ReplicaSet,
    /// Threads for its file work, with the rights of its user.
    pub pool: Arc<Pool>,
    sources: Mutex<BTreeMap<ChannelId, Session>>,
    /// Rung when a commit has ended.
    idle: Notify,
    /// Held by whoever replaces the manifest: a commit, or a look at everything.
    turn: tokio::sync::Mutex<()>,
    /// Replaced when the root or `.syncd` is another directory than the one that was opened.
    applier: Mutex<Applier>,
    /// It was replaced, and no source has compared since.
    moved: AtomicBool,
    filter: Filter,
    manifest: Mutex<Manifest>,
    fence: Mutex<session::Receiver>,
    touched: Mutex<Touched>,
    /// Rung when something is touched.
    unsaved: Notify,
    approved: Mutex<bool>,
    counts: Mutex<Counts>,
    /// Commands around each change set.
    pub(super) xfer: Arc<Xfer>,
    store: Arc<Store>,
    writer: Arc<Writer>,
    monitor: Monitor,
}

/// A connection, and the channel on it.
pub(crate) type ChannelId = (u64, u32);

/// A source that has the set open.
#[derive(Clone, Debug)]
pub struct Session {
    /// What the fence knows it by.
    pub id: SessionId,
    /// Since when.
    pub since: Instant,
    /// The source's address.
    pub address: std::net::SocketAddr,
    /// Its key.
    pub key: NodeKey,
    /// Its name.
    pub name: String,
    /// The user whose password it proved, if any.
    pub user: Option<String>,
    /// What its authorisation rests on.
    pub proof: String,
    /// What it replicates.
    pub attrs: Attrs,
    /// Its connection.
    pub link: Link,
    /// What is to go out on its control stream.
    pub tell: mpsc::UnboundedSender<Message>,
}

/// What status tells of a set.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Change sets that went live.
    pub change_sets: u64,
    /// Entries that somebody else changed, and that were repaired.
    pub drift: u64,
    /// Deletions that wait for an operator.
    pub deletions_held: u64,
    /// Change sets that were refused.
    pub rejected: u64,
    /// The newest local failure.
    pub error: Option<String>,
}

impl ReplicaSet {
    /// Opens the set: takes on its user, finishes or drops what a crash left, loads what was agreed.
    ///
    /// # Errors
    /// [`ServeError`]: the node's own fault.
    pub fn open(
        config: config::ReplicaSet,
        threads: usize,
        store: Arc<Store>,
        writer: Arc<Writer>,
        monitor: Monitor,
    ) -> Result<Self, ServeError> {
        let set = config.name.clone();
        let gids: Vec<u32> = config.gid.iter().map(|g| g.id).collect();
        let uid = config.uid.as_ref().map(|u| u.id);
        let pool = Pool::running_as(&format!("set-{set}"), threads, uid, &gids)
            .map_err(|cause| ServeError::Pool { set: set.clone(), cause })?;
        let stored = |cause| ServeError::Store { set: set.clone(), cause };
        let mut manifest = store.load_index(&set).map_err(stored)?;
        store.configure(&format!("replica of {set}"), config.digest(), std::slice::from_ref(&set)).map_err(stored)?;
        let rested_at = store.take_generation(&set).map_err(stored)?;
        let (applier, recovered) = pool.run_blocking(|| open_tree(&config, &mut manifest))?;
        // A directory in which nothing was ever applied is not the one that it was: not mounted yet, say.
        let live = if applier.is_new() { Generation::NONE } else { rested_at };
        let fence = session::Receiver::new(store.seen_epoch(&set).map_err(stored)?, live);
        let changed = recovered.finished || recovered.taken_back;
        tell_recovery(&set, &recovered);
        let filter = Filter::new(&[], &config.filter)
            .map_err(|e| ServeError::Filter { set: set.clone(), cause: e.to_string() })?;
        let opened = Self {
            xfer: Arc::new(Xfer::new(&config)),
            config,
            pool: Arc::new(pool),
            sources: Mutex::default(),
            idle: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            applier: Mutex::new(applier),
            moved: AtomicBool::new(false),
            filter,
            manifest: Mutex::new(manifest),
            fence: Mutex::new(fence),
            touched: Mutex::default(),
            unsaved: Notify::new(),
            approved: Mutex::new(false),
            counts: Mutex::default(),
            store,
            writer,
            monitor,
        };
        opened.owe(Touched { all: changed, ..Touched::default() });
        Ok(opened)
    }

    /// What of the tree no source sees or touches.
    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The root directory.
    pub fn root(&self) -> Arc<Root> {
        lock(&self.applier).root().clone()
    }

    fn applier(&self) -> Applier {
        lock(&self.applier).clone()
    }

    /// Opens the tree anew where the descriptors lead to another than the path: it was removed and
    /// made again, or mounted, or `.syncd` was removed. Else all that comes would fail, or go where
    /// nobody looks, until somebody restarts the node. Whether it did; what was agreed is then not
    /// what is there. No commit is under way meanwhile.
    ///
    /// # Errors
    /// [`ServeError`]: there is nothing at the path, or it cannot be written to.
    fn open_anew(&self) -> Result<bool, ServeError> {
        let (set, path) = (&self.config.name, &self.config.path);
        let lost = |cause| ServeError::Root { set: set.clone(), path: path.display().to_string(), cause };
        if self.applier().is_in_place().map_err(lost)? {
            return Ok(false);
        }
        let (applier, recovered) = open_tree(&self.config, &mut self.manifest())?;
        tracing::warn!(
            set,
            "{} is not the directory that it was, or .syncd was removed: compared anew",
            path.display()
        );
        tell_recovery(set, &recovered);
        *lock(&self.applier) = applier;
        lock(&self.fence).handle_lost();
        self.moved.store(true, Ordering::Relaxed);
        self.owe(Touched { all: true, ..Touched::default() });
        Ok(true)
    }

    /// As [`Self::open_anew`], where what is wrong with the place is for others to say.
    fn open_anew_if_possible(&self) {
        if let Err(e) = self.open_anew() {
            tracing::warn!("{e}");
        }
    }

    /// Locks what was agreed about the tree.
    pub fn manifest(&self) -> MutexGuard<'_, Manifest> {
        lock(&self.manifest)
    }

    /// What was agreed about `path`.
    pub fn record(&self, path: &RelPath) -> Option<Record> {
        self.manifest().get(path).cloned()
    }

    /// The newest epoch and the live generation.
    pub fn position(&self) -> (Epoch, Generation) {
        let fence = lock(&self.fence);
        (fence.newest(), fence.live())
    }

    /// Figures for status.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Lets the deletions that the guard held back pass: the sources that are connected send them
    /// again, with this approval; without any, the next change set that comes has it. Returns how
    /// many are connected.
    pub fn approve(&self) -> usize {
        let sources = lock(&self.sources);
        // Who is about to go is asked in vain: its deletions come with a compare once it is back.
        let told =
            sources.iter().filter(|((_, channel), s)| s.tell.send(Message::Released { channel: *channel }).is_ok());
        let told = told.count();
        *lock(&self.approved) = told == 0;
        told
    }

    /// Brings what was agreed up to what is there now. No commit is under way meanwhile.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn look_at_all(self: &Arc<Self>, attrs: Attrs) -> Result<(), Panicked> {
        let _turn = self.turn.lock().await;
        let set = self.clone();
        let look = move || {
            set.open_anew_if_possible();
            // This is the compare that it waits for.
            set.moved.store(false, Ordering::Relaxed);
            let found = set.scan(attrs);
            let paths = take_scan(&mut set.manifest(), found, attrs);
            set.owe(Touched { paths, ..Touched::default() });
        };
        self.pool.run(look).await
    }

    /// What is there now, all content read; what was agreed stays as it is. No commit is under way
    /// meanwhile.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn read_all(self: &Arc<Self>, attrs: Attrs) -> Result<Manifest, Panicked> {
        let _turn = self.turn.lock().await;
        let set = self.clone();
        let read = move || {
            set.open_anew_if_possible();
            let found = set.scan(attrs);
            let mut manifest = set.manifest().clone();
            take_scan(&mut manifest, found, attrs);
            read_content(&mut manifest, &set.root());
            manifest
        };
        self.pool.run(read).await
    }

    fn scan(&self, attrs: Attrs) -> Scan {
        self.monitor.count(Counter::Scans, 1);
        let excluded = |path: &RelPath, is_dir| self.filter.excludes(path, is_dir);
        scan(&self.root(), &RelPath::root(), &excluded, attrs.has(Attrs::XATTRS))
    }

    /// Every path at which the tree is not what was acknowledged.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    pub async fn verify(self: &Arc<Self>) -> Result<Vec<Found>, String> {
        let attrs = self.sources().first().map_or(Attrs::ARCHIVE, |s| s.attrs);
        {
            let (set, _turn) = (self.clone(), self.turn.lock().await);
            self.pool.run(move || set.open_anew_if_possible()).await.map_err(|e| e.to_string())?;
        }
        let set = self.clone();
        self.pool.run(move || verify(&set, attrs)).await.map_err(|e| e.to_string())
    }

    /// The Merkle root of what was agreed.
    pub async fn root_digest(self: &Arc<Self>, attrs: Attrs) -> Option<Digest> {
        let set = self.clone();
        self.pool.run(move || set.manifest().root(attrs)).await.ok().flatten()
    }

    /// Opens the set for a source; waits while a commit is under way. Returns the newest epoch and
    /// the live generation.
    pub async fn open_for(&self, channel: ChannelId, session: Session) -> (Epoch, Generation) {
        loop {
            let idle = self.idle.notified();
            match lock(&self.fence).handle_open(session.id, session.key) {
                Opening::Opened { newest, live, superseded } => {
                    let mut sources = lock(&self.sources);
                    close_superseded(&mut sources, &superseded, &session);
                    if *lock(&self.approved) {
                        // It may withhold what was held back here before it was started anew.
                        let _ = session.tell.send(Message::Released { channel: channel.1 });
                    }
                    sources.insert(channel, session);
                    return (newest, live);
                }
                Opening::Wait => {}
            }
            idle.await;
        }
    }

    /// A source is gone.
    pub fn close_for(&self, channel: ChannelId) {
        if let Some(session) = lock(&self.sources).remove(&channel) {
            lock(&self.fence).handle_closed(session.id);
            self.idle.notify_waiters();
        }
    }

    /// The sources that have it open.
    pub fn sources(&self) -> Vec<Session> {
        lock(&self.sources).values().cloned().collect()
    }

    /// Lets a change set begin; waits while a commit is under way. A new epoch is durable before
    /// this returns.
    ///
    /// # Errors
    /// The nack for the peer.
    pub async fn admit(&self, session: SessionId, epoch: Epoch) -> Result<(), Nack> {
        let persist = self.admitted(|fence| fence.handle_change_set(session, epoch)).await?;
        self.persist(persist).inspect_err(|_| self.dropped(session))
    }

    /// Lets a compare begin; waits while a commit is under way. A new epoch is durable before this
    /// returns.
    ///
    /// # Errors
    /// The nack for the peer.
    pub async fn admit_compare(&self, session: SessionId, epoch: Epoch) -> Result<(), Nack> {
        let persist = self.admitted(|fence| fence.handle_compare(session, epoch)).await?;
        self.persist(persist)
    }

    /// Asks the fence until it need not wait for a commit any longer. Returns an epoch that has to be
    /// durable before anything else.
    async fn admitted(&self, ask: impl Fn(&mut session::Receiver) -> Verdict) -> Result<Option<Epoch>, Nack> {
        loop {
            let idle = self.idle.notified();
            let verdict = ask(&mut lock(&self.fence));
            match verdict {
                Verdict::Accept { persist } => return Ok(persist),
                Verdict::Refuse(nack) => {
                    lock(&self.counts).rejected += 1;
                    return Err(nack);
                }
                Verdict::Wait => {}
            }
            idle.await;
        }
    }

    fn persist(&self, epoch: Option<Epoch>) -> Result<(), Nack> {
        let Some(epoch) = epoch else { return Ok(()) };
        let stored = self.store.set_seen_epoch(&self.config.name, epoch);
        let durable = stored.map_err(|e| self.refuse(&IncomingError::Store(e)))?;
        lock(&self.fence).handle_persisted(durable);
        Ok(())
    }

    /// Whether the change set of `session`, staged by now, may still go live.
    ///
    /// # Errors
    /// `IncomingError::Over`.
    pub fn may_commit(&self, session: SessionId) -> Result<(), IncomingError> {
        lock(&self.fence).commit(session).map_err(IncomingError::Over)
    }

    /// The change set of `session` will not go live.
    pub fn dropped(&self, session: SessionId) {
        lock(&self.fence).handle_dropped(session);
        self.idle.notify_waiters();
    }

    /// The change set of `session` is live.
    pub fn live(&self, session: SessionId, generation: Generation) {
        lock(&self.fence).handle_live(session, generation);
        self.idle.notify_waiters();
    }

    /// Opens a stage for the change set.
    ///
    /// # Errors
    /// `IncomingError` when there is no room or the stage cannot be made.
    pub async fn begin(self: &Arc<Self>, session: &Session, head: &ChangeSet) -> Result<Arc<Staging>, IncomingError> {
        let (set, attrs) = (self.clone(), session.attrs);
        let (users, groups) = (head.users.clone(), head.groups.clone());
        let begin = move || {
            let applier = set.applier();
            if set.moved.load(Ordering::Relaxed) || !applier.is_in_place().unwrap_or(false) {
                return Ok(None);
            }
            applier.begin(attrs, &users, &groups).map(Some)
        };
        match self.pool.run(begin).await? {
            Ok(Some(staging)) => Ok(Arc::new(staging)),
            Ok(None) => Err(self.moved().await),
            Err(e) => Err(IncomingError::Apply(e)),
        }
    }

    /// Why nothing can be staged where the tree was.
    async fn moved(self: &Arc<Self>) -> IncomingError {
        let _turn = self.turn.lock().await;
        let set = self.clone();
        match self.pool.run(move || set.open_anew()).await {
            Ok(Ok(_)) => {
                // Said once: who is told compares.
                self.moved.store(false, Ordering::Relaxed);
                IncomingError::Moved
            }
            Ok(Err(e)) => e.into(),
            Err(e) => e.into(),
        }
    }

    /// After what was written may not have reached the disk: brings the tree to one generation again.
    pub async fn recover(self: &Arc<Self>) {
        let _turn = self.turn.lock().await;
        let set = self.clone();
        match self.pool.run(move || set.applier().recover(&mut set.manifest())).await {
            Ok(Ok(recovered)) => tell_recovery(&self.config.name, &recovered),
            Ok(Err(e)) => tracing::error!(set = self.config.name, "{e}"),
            Err(e) => tracing::error!(set = self.config.name, "{e}"),
        }
        self.owe(Touched { all: true, ..Touched::default() });
    }

    /// Notes in `touched` what `ops` are about to touch.
    pub(crate) fn note(&self, touched: &mut Touched, ops: &[Op]) {
        touched.note(&self.manifest(), ops);
    }

    /// The store has to get what `touched` names.
    fn owe(&self, touched: Touched) {
        if !touched.is_empty() {
            lock(&self.touched).add(touched);
            self.unsaved.notify_one();
        }
    }

    /// Makes what was staged live, which `ops` operations are.
    ///
    /// # Errors
    /// `IncomingError`: the tree is as it was.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        staging: &Arc<Staging>,
        head: &ChangeSet,
        ops: u64,
        touched: Touched,
    ) -> Result<Outcome, IncomingError> {
        let _turn = self.turn.lock().await;
        let approved = std::mem::take(&mut *lock(&self.approved)) || head.deletions_approved;
        if !lock(&self.applier).began(staging) {
            return Err(IncomingError::Moved);
        }
        let (set, staging) = (self.clone(), staging.clone());
        let committed = self.pool.run(move || staging.commit(&mut set.manifest(), approved)).await;
        if matches!(committed, Err(_) | Ok(Err(ApplyError::Durability { .. }))) {
            // It may be live, be taken back, or be finished by the recovery: its source is not told.
            lock(&self.fence).handle_lost();
        }
        let outcome = committed??;
        // Not before: a save in between would take them for saved.
        self.owe(touched);
        let mut counts = lock(&self.counts);
        counts.change_sets += 1;
        self.monitor.count(Counter::ChangeSetsApplied, 1);
        self.monitor.count(Counter::EntriesApplied, ops.saturating_sub(outcome.failed.len() as u64));
        self.monitor.count(Counter::Drift, outcome.drift.len() as u64);
        counts.drift += outcome.drift.len() as u64;
        counts.deletions_held = outcome.deletions_held;
        counts.error = None;
        for path in &outcome.drift {
            tracing::warn!(set = self.config.name, %path, "somebody else changed it here; a copy is kept in .syncd/drift");
        }
        Ok(outcome)
    }

    /// Drops what is left of a stage.
    pub async fn discard(self: &Arc<Self>, staging: Arc<Staging>) {
        match self.pool.run(move || staging.cleanup()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!(set = self.config.name, "the stage is not cleared: {e}"),
            Err(e) => tracing::error!(set = self.config.name, "{e}"),
        }
    }

    /// What the peer is told about `error`.
    pub fn refuse(&self, error: &IncomingError) -> Nack {
        let mut counts = lock(&self.counts);
        counts.error = Some(error.to_string());
        counts.rejected += 1;
        drop(counts);
        tracing::warn!(set = self.config.name, "a change set did not go live: {error}");
        nack(self.position().0, error)
    }

    /// Saves what changes and tidies up behind it, until `stop` turns true.
    ///
    /// The live generation is known to the store only from then on and until the set is opened again: of
    /// what a replica did before it was killed, some may be in its tree and not in its store. It says
    /// that it does not know, and is compared.
    pub async fn keep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        look_after(&self, &self.unsaved, &mut stop).await;
        let rests_at = lock(&self.fence).rests_at();
        self.writer.send(rests_at.map(|generation| Write::Generation { set: self.config.name.clone(), generation }));
    }
}

impl Kept for Arc<ReplicaSet> {
    async fn save(&self) -> usize {
        let touched = std::mem::take(&mut *lock(&self.touched));
        if touched.is_empty() {
            return 0;
        }
        let (count, write) = touched.write(self.config.name.clone(), &self.manifest());
        self.writer.send([write]);
        count
    }

    async fn tidy(&self) {
        let set = self.clone();
        let compact = move || {
            set.writer.settle();
            let dirs: Vec<RelPath> = set.manifest().dirs().cloned().collect();
            // One by one: whoever needs the manifest meanwhile does not wait for all.
            dirs.iter().for_each(|dir| set.manifest().compact(dir));
        };
        memory::tidy(compact).await;
    }
}

/// A source that connects anew has given its old connection up, or never had it: what still waits on
/// that one waits for nobody.
fn close_superseded(sources: &mut BTreeMap<ChannelId, Session>, superseded: &[SessionId], by: &Session) {
    sources.retain(|_, old| {
        let over = superseded.contains(&old.id);
        if over && !old.link.is(&by.link) {
            old.link.close("the same source has opened the set on another connection");
        }
        !over
    });
}

fn tell_recovery(set: &str, recovered: &Recovered) {
    if recovered.finished {
        tracing::warn!(set, "a change set that a crash cut short is live now, whole");
    }
    if recovered.taken_back {
        tracing::warn!(set, "a change set that a crash cut short was taken back, whole");
    }
    for (path, cause) in &recovered.failed {
        tracing::warn!(set, %path, "{cause}");
    }
}

fn open_tree(config: &config::ReplicaSet, manifest: &mut Manifest) -> Result<(Applier, Recovered), ServeError> {
    let set = config.name.clone();
    let root = Root::open(&config.path).map_err(|cause| ServeError::Root {
        set: set.clone(),
        path: config.path.display().to_string(),
        cause,
    })?;
    let failed = |cause| ServeError::Apply { set: set.clone(), cause };
    let policy = Policy::of_this_thread(Attrs::ARCHIVE).map_err(|cause| ServeError::Root {
        set: set.clone(),
        path: config.path.display().to_string(),
        cause,
    })?;
    let deletions = match config.delete {
        DeletePolicy::Always => Deletions::Always,
        DeletePolicy::Guarded => Deletions::Guarded,
        DeletePolicy::Never => Deletions::Never,
    };
    let (privileged, numeric_ids, incoming) = (config.privileged, config.numeric_ids, config.incoming_chmod.clone());
    let policy = Policy { privileged, numeric_ids, incoming, deletions, ..policy };
    let applier = Applier::open(root, policy).map_err(failed)?;
    let recovered = applier.recover(manifest).map_err(failed)?;
    Ok((applier, recovered))
}
