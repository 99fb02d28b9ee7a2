//! A node from start to stop.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use syncd_certs::{Identity, IdentityError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use super::differences::Found;
use super::memory;
use super::pool::{Pool, PoolError};
use super::receiver::{Receiver, ReplicaSet, ServeError};
use super::source::{After, Halts, Index, Peer, Saved, Shared, SourceSet, Target, Watching, target_id};
use crate::config::{self, Config, Reach, Transport};
use crate::filter::Filter;
use crate::fs::Root;
use crate::link::{Endpoint, Limits, LinkError, Server};
use crate::model::{Epoch, NodeKey, RelPath};
use crate::observe::{Counter, FailLog, Monitor};
use crate::plugin::Outlet;
use crate::session::{self, Channel};
use crate::store::{Store, StoreError, Writer};
use crate::watch::{self as watcher, Pace, Watcher};

/// How long the store collects before it commits.
const COMMIT_WINDOW: Duration = Duration::from_millis(50);

/// How long a port may take to become free once its connections have ended, and how often to look.
const PORT_PATIENCE: Duration = Duration::from_secs(3);
const PORT_RETRY: Duration = Duration::from_millis(20);

/// How long tasks may take to end once they are asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// What it was started with.
    pub config: Config,
    /// Its key.
    pub key: NodeKey,
    /// Sets that it is primary of.
    pub sources: Vec<Arc<SourceSet>>,
    /// The receiving side, where there is one.
    pub receiver: Option<Arc<Receiver>>,
    /// Its peers, by host and port.
    pub peers: Vec<Arc<Peer>>,
    /// Its durable state.
    pub store: Arc<Store>,
    /// Where the receiving side listens.
    pub listening: Option<SocketAddr>,
    /// Since when it runs.
    pub started: Instant,
    /// Progress, counters, problems.
    pub monitor: Monitor,
    writer: Arc<Writer>,
    stop: watch::Sender<bool>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    /// Threads that end when they are dropped.
    _watchers: Vec<Watcher>,
}

/// Why a node cannot start: always its own fault, and nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A pattern of the filter.
    #[error("set {set}: {cause}")]
    Filter {
        /// The set.
        set: String,
        /// Why.
        cause: String,
    },
    /// The node's key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The port.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Threads.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The root of a set that this node is primary of.
    #[error("set {set}: cannot open {path}: {cause}")]
    Root {
        /// The set.
        set: String,
        /// The directory.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// A set that this node receives.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread of the store.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// The watcher.
    #[error("set {set}: {cause}")]
    Watch {
        /// The set.
        set: String,
        /// Why.
        cause: watcher::StartError,
    },
}

/// When this process started a node first.
pub(super) fn process_start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Starts a node: its state and its key in `dir`. Returns once every source set is
/// watched and known, and the receiving side listens.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, dir: &Path) -> Result<Arc<Node>, StartError> {
    memory::bound();
    process_start();
    let identity = Identity::load_or_create(dir)?;
    let store = Arc::new(Store::open(dir)?);
    let writer = Arc::new(Writer::start(store.clone(), COMMIT_WINDOW)?);
    start_on(config, identity, store, writer).await
}

/// Starts a node on a store that is open.
async fn start_on(
    config: Config,
    identity: Identity,
    store: Arc<Store>,
    writer: Arc<Writer>,
) -> Result<Arc<Node>, StartError> {
    store.doubt_what_is_lost()?;
    let key = NodeKey(identity.node_key());
    let mut node = Starting {
        key,
        identity,
        store,
        writer,
        monitor: Monitor::new(),
        stop: watch::channel(false).0,
        tasks: JoinSet::new(),
        watchers: Vec::new(),
        config,
    };
    let (receiver, listening) = node.start_receiver()?;
    let mut wakes = Wakes::new();
    let sources = node.start_sources(&mut wakes).await?;
    let peers = node.start_peers(&sources, wakes)?;
    Ok(Arc::new(Node {
        config: node.config,
        key: node.key,
        sources,
        receiver,
        peers,
        store: node.store,
        listening,
        started: Instant::now(),
        monitor: node.monitor,
        writer: node.writer,
        stop: node.stop,
        tasks: tokio::sync::Mutex::new(node.tasks),
        _watchers: node.watchers,
    }))
}

/// What wakes the task of each peer.
type Wakes = BTreeMap<Way, Arc<Notify>>;

/// Host, port and carrier: targets that share them share a task.
type Way = (String, u16, Transport, Reach);

fn way(target: &config::Target) -> Way {
    (target.host.clone(), target.port, target.transport, target.reach.clone())
}

/// A node while it starts.
struct Starting {
    config: Config,
    key: NodeKey,
    identity: Identity,
    store: Arc<Store>,
    writer: Arc<Writer>,
    monitor: Monitor,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    watchers: Vec<Watcher>,
}

impl Starting {
    fn start_receiver(&mut self) -> Result<(Option<Arc<Receiver>>, Option<SocketAddr>), StartError> {
        let Some(listen) = self.config.node.listen.filter(|_| !self.config.replicas.is_empty()) else {
            return Ok((None, None));
        };
        // First of all the port: while another has it, nothing is touched.
        let endpoint = Endpoint::serving(&self.identity, self.config.tuning.idle_timeout, listen)?;
        let threads = self.config.tuning.threads;
        let open = |set: &config::ReplicaSet| {
            let (store, writer) = (self.store.clone(), self.writer.clone());
            ReplicaSet::open(set.clone(), threads, store, writer, self.monitor.clone()).map(Arc::new)
        };
        let sets = self.config.replicas.iter().map(open).collect::<Result<_, _>>()?;
        let (name, trust) = (self.config.node.name.clone(), self.config.trust_first_use);
        let receiver = Arc::new(Receiver::new(self.key, name, sets, trust, self.store.clone(), self.monitor.clone()));
        let listening = endpoint.local_address()?;
        let server = Server::new(endpoint, Limits::default());
        self.tasks.spawn(receiver.clone().run(server, self.stop.subscribe()));
        Ok((Some(receiver), Some(listening)))
    }

    async fn start_sources(&mut self, wakes: &mut Wakes) -> Result<Vec<Arc<SourceSet>>, StartError> {
        let mut sources = Vec::new();
        let mut readies = Vec::new();
        for source in self.config.sources.clone() {
            let (set, resumed) = self.open_source(&source, wakes)?;
            let set = Arc::new(set);
            // Not the set: the watcher's thread ends after whoever dropped the watcher, and nothing of it
            // may still hold the store then.
            let filter = set.filter.clone();
            let excluded = Arc::new(move |path: &RelPath, is_dir| filter.excludes(path, is_dir));
            let (watcher, events) = Watcher::start(set.root(), excluded, Pace::default())
                .map_err(|cause| StartError::Watch { set: source.name.clone(), cause })?;
            set.set_gauge(watcher.gauge());
            self.watchers.push(watcher);
            let (ready, is_ready) = oneshot::channel();
            readies.push(is_ready);
            let watching = Watching::new(set.clone(), resumed, ready);
            self.tasks.spawn(watching.run(events, self.stop.subscribe()));
            self.tasks.spawn(Saved::new(set.clone(), self.writer.clone()).run(self.stop.subscribe()));
            sources.push(set);
        }
        for ready in readies {
            // A task that ended before it was ready has said why.
            let _ = ready.await;
        }
        Ok(sources)
    }

    fn start_plugins(&mut self, source: &config::SourceSet) -> Result<Vec<Arc<Outlet>>, StartError> {
        let mut outlets = Vec::new();
        for plugin in &source.plugins {
            let outlet = Outlet::new(plugin.clone(), source.path.clone(), self.monitor.clone())
                .map_err(|cause| StartError::Filter { set: source.name.clone(), cause })?;
            let outlet = Arc::new(outlet);
            self.tasks.spawn(outlet.clone().run(self.stop.subscribe()));
            outlets.push(outlet);
        }
        Ok(outlets)
    }

    fn open_source(&mut self, source: &config::SourceSet, wakes: &mut Wakes) -> Result<(SourceSet, bool), StartError> {
        let set = source.name.clone();
        let root = Root::open(&source.path).map_err(|cause| StartError::Root {
            set: set.clone(),
            path: source.path.display().to_string(),
            cause,
        })?;
        let filter = Filter::new(&source.exclude_regex, &source.filter)
            .map_err(|e| StartError::Filter { set: set.clone(), cause: e.to_string() })?;
        let uncompared = Filter::new(&[], &source.compare.exclude)
            .map_err(|e| StartError::Filter { set: set.clone(), cause: e.to_string() })?;
        let pool = Arc::new(Pool::new(&format!("set-{set}"), self.config.tuning.threads)?);
        let known = self.store.load_index(&set)?;
        let resumed = !known.is_empty();
        let epoch = self.start_epoch(&set)?;
        let ids: Vec<String> = source.targets.iter().map(target_id).collect();
        self.store.configure(&format!("primary of {set}"), source.digest(), &ids)?;
        let (guard, approved) = Halts::open(source, &self.store, self.writer.clone())?;
        let mut targets = Vec::new();
        for target in &source.targets {
            let wake = wakes.entry(way(target)).or_default().clone();
            let acked = self.store.generation(&target_id(target))?;
            let mut channel = Channel::new(session::Options {
                full_compare: source.options.full_compare,
                retry_ceiling: self.config.tuning.retry_ceiling,
                epoch,
                acked,
                seed: rand::random(),
            });
            if !resumed || acked.epoch == Epoch::NONE || uncompared.has_excludes() {
                // What it holds was never known, or nobody remembers: no retry log can tell.
                channel.request_compare();
            }
            let target = Target::new(target.clone(), channel, source.options.compression, wake);
            // An index that was saved says nothing of a target to which nothing was ever sent.
            target.set_unread(!resumed || acked.number == 0);
            target.restore(&self.store, approved)?;
            if target.channel().holds() {
                tracing::warn!(set, peer = %target, "deletions were held back when syncd ended, and are again: to release them: syncd approve {set}; to forget them: syncd resume {set}");
            }
            targets.push(Arc::new(target));
        }
        // Generations go on where the peers saw them end.
        let number = targets.iter().map(|t| t.channel().acked().number).max().unwrap_or_default();
        let mut index = Index::new(known, number);
        index.link_as(source.options.attrs);
        let mut opened = SourceSet::new(
            source.clone(),
            root,
            (Arc::new(filter), uncompared),
            pool,
            targets,
            epoch,
            index,
            self.monitor.clone(),
            guard,
        );
        let outlets = self.start_plugins(source)?;
        opened.after = After::new(outlets);
        Ok((opened, resumed))
    }

    /// The epoch of an earlier start goes on; the first one of all is taken now.
    fn start_epoch(&self, set: &str) -> Result<Epoch, StoreError> {
        match self.store.epoch(set)? {
            Epoch::NONE => self.store.set_epoch(set, Epoch::NONE.next(self.key)),
            epoch => Ok(epoch),
        }
    }

    fn start_peers(&mut self, sources: &[Arc<SourceSet>], wakes: Wakes) -> Result<Vec<Arc<Peer>>, StartError> {
        if wakes.is_empty() {
            return Ok(Vec::new());
        }
        let tuning = &self.config.tuning;
        let fail_log = self.config.fail_log.as_ref().map(|log| Mutex::new(FailLog::new(&log.path)));
        let shared = Arc::new(Shared {
            key: self.key,
            name: self.config.node.name.clone(),
            endpoint: Endpoint::dialling(&self.identity, tuning.idle_timeout, None)?,
            store: self.store.clone(),
            writer: self.writer.clone(),
            record_after: tuning.record_after,
            ceiling: tuning.retry_ceiling,
            fail_log,
        });
        let mut peers = Vec::new();
        for (there, wake) in wakes {
            let goes_there = |target: &Target| way(&target.config) == there;
            let channels = sources
                .iter()
                .flat_map(|set| set.targets.iter().filter(|t| goes_there(t)).map(|t| (set.clone(), t.clone())))
                .collect();
            let (host, port, transport, _) = there;
            let peer = Arc::new(Peer::new(host, port, transport, channels, shared.clone(), wake));
            self.tasks.spawn(peer.clone().run(self.stop.subscribe()));
            peers.push(peer);
        }
        Ok(peers)
    }
}

impl Node {
    /// Ends this node and starts one with another configuration in its place. Whoever still holds
    /// this one holds the store open: the new one takes it over.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub async fn restart(&self, config: Config, key_dir: &Path) -> Result<Arc<Self>, StartError> {
        self.stop().await;
        // What still works on a tree has to end before another opens it, and what it stored last has
        // to be in the store.
        while self.tasks.lock().await.join_next().await.is_some() {}
        self.flush().await;
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            let identity = Identity::load_or_create(key_dir)?;
            match start_on(config.clone(), identity, self.store.clone(), self.writer.clone()).await {
                // The own socket closes behind its last connection.
                Err(StartError::Link(LinkError::Bind { .. })) if Instant::now() < deadline => {
                    tokio::time::sleep(PORT_RETRY).await;
                }
                started => return started,
            }
        }
    }

    /// Ends all tasks, having stored what there is to store.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks.lock().await;
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("some work did not end in time; what it was about is in the retry log");
        }
        drop(tasks);
        self.flush().await;
    }

    async fn flush(&self) {
        let writer = self.writer.clone();
        if let Ok(Err(e)) = tokio::task::spawn_blocking(move || writer.flush()).await {
            tracing::warn!("{e}; the next start compares in full");
        }
    }

    /// Every path of its set at which `target` differs, by content and metadata.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    pub async fn verify(&self, target: &Arc<Target>) -> Result<Vec<Found>, String> {
        self.peer_of(target).ok_or("it has no peer")?.verify(target).await
    }

    /// What drives `target`.
    #[must_use]
    pub fn peer_of(&self, target: &Arc<Target>) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.channels.iter().any(|(_, driven)| Arc::ptr_eq(driven, target)))
    }

    /// What was counted since the start, by name.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = self.monitor.counters();
        let here = self.receiver.as_ref().map_or((0, 0), |receiver| receiver.bytes());
        let (sent, received) =
            self.peers.iter().map(|peer| peer.standing()).fold(here, |(sent, received), standing| {
                (sent + standing.bytes_sent, received + standing.bytes_received)
            });
        counters.insert(Counter::BytesSent.name().to_owned(), sent);
        counters.insert(Counter::BytesReceived.name().to_owned(), received);
        counters
    }

    /// Why the store cannot be written; none while it can.
    #[must_use]
    pub fn store_fault(&self) -> Option<String> {
        self.writer.fault()
    }

    /// The source set called `name`.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Arc<SourceSet>> {
        self.sources.iter().find(|s| s.config.name == name)
    }
}
