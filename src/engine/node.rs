//! A node from start to stop.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncd_certs::identity::{Identity, IdentityError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use super::pool::{Pool, PoolError};
use super::receiver::{Receiver, ReplicaSet, ServeError};
use super::source::{Index, Peer, SourceSet, Target, Watching};
use crate::config::{Config, SourceSet as SourceConfig};
use crate::filter::Filter;
use crate::fs::Root;
use crate::link::{Endpoint, LinkError};
use crate::model::{Epoch, NodeKey};
use crate::session::{Channel, ChannelOptions};
use crate::store::{Store, StoreError, Writer};
use crate::watch::{self as watcher, Watcher};

/// How long the store collects before it commits.
const COMMIT_WINDOW: Duration = Duration::from_millis(50);

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
    pub listening: Option<std::net::SocketAddr>,
    writer: Arc<Writer>,
    stop: watch::Sender<bool>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
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

/// Starts a node: state in `dir`, the node's key in `key_dir`. Returns once every source set is
/// watched and known, and the receiving side listens.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, dir: &Path, key_dir: &Path) -> Result<Arc<Node>, StartError> {
    let identity = Arc::new(Identity::load_or_create(key_dir)?);
    let key = NodeKey(identity.node_key());
    let store = Arc::new(Store::open(dir)?);
    let writer = Arc::new(Writer::start(store.clone(), COMMIT_WINDOW)?);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut listening = None;
    let receiver = match config.node.listen {
        Some(listen) if !config.replicas.is_empty() => {
            let sets = replicas(&config, &store, &writer)?;
            let receiver = Receiver::new(key, config.node.name.clone(), sets, config.trust_first_use, store.clone());
            let receiver = Arc::new(receiver);
            let endpoint = Endpoint::serving(listen, &identity, config.tuning.idle_timeout)?;
            listening = Some(endpoint.local_addr()?);
            tasks.spawn(receiver.clone().run(endpoint.incoming(), stopped.clone()));
            Some(receiver)
        }
        _ => None,
    };
    let mut sources = Vec::new();
    let mut peers = Peers::new();
    let mut readies = Vec::new();
    for source in &config.sources {
        let (set, watcher, resumed) = open_source(&config, source, &store, key, &mut peers)?;
        let set = Arc::new(set);
        let (ready, is_ready) = oneshot::channel();
        readies.push(is_ready);
        let watching = Watching::new(set.clone(), writer.clone(), resumed, ready);
        tasks.spawn(watching.run(watcher, stopped.clone()));
        sources.push(set);
    }
    for ready in readies {
        // A task that ended before it was ready has said why.
        let _ = ready.await;
    }
    let endpoint = if peers.is_empty() { None } else { Some(Endpoint::dialling(&identity, config.tuning.idle_timeout)?) };
    let mut dialled = Vec::new();
    if let Some(endpoint) = endpoint {
        for ((host, port), wake) in peers {
            let peer = Peer::new(&config, key, host, port, &sources, store.clone(), writer.clone(), endpoint.clone(), wake);
            let peer = Arc::new(peer);
            tasks.spawn(peer.clone().run(stopped.clone()));
            dialled.push(peer);
        }
    }
    Ok(Arc::new(Node {
        config,
        key,
        sources,
        receiver,
        peers: dialled,
        store,
        listening,
        writer,
        stop,
        tasks: tokio::sync::Mutex::new(tasks),
    }))
}

impl Node {
    /// Ends all tasks, having stored what there is to store.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks.lock().await;
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("some work did not end in time; what it was about is in the retry log");
        }
        let writer = self.writer.clone();
        if let Ok(Err(e)) = tokio::task::spawn_blocking(move || writer.flush()).await {
            tracing::warn!("{e}; the next start compares in full");
        }
    }

    /// The source set called `name`.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Arc<SourceSet>> {
        self.sources.iter().find(|s| s.config.name == name)
    }
}

/// What wakes the task of each peer, by host and port.
type Peers = BTreeMap<(String, u16), Arc<Notify>>;

fn replicas(config: &Config, store: &Arc<Store>, writer: &Arc<Writer>) -> Result<Vec<Arc<ReplicaSet>>, ServeError> {
    let threads = config.tuning.threads;
    let open = |set: &crate::config::ReplicaSet| ReplicaSet::open(set.clone(), threads, store.clone(), writer.clone());
    config.replicas.iter().map(|set| open(set).map(Arc::new)).collect()
}

type Opened = (SourceSet, tokio::sync::mpsc::Receiver<Vec<watcher::Event>>, bool);

fn open_source(
    config: &Config,
    source: &SourceConfig,
    store: &Arc<Store>,
    key: NodeKey,
    peers: &mut Peers,
) -> Result<Opened, StartError> {
    let set = source.name.clone();
    let root = Root::open(&source.path)
        .map_err(|cause| StartError::Root { set: set.clone(), path: source.path.display().to_string(), cause })?;
    let filter = Filter::new(&source.exclude_regex, &source.exclude_glob)
        .map_err(|e| StartError::Filter { set: set.clone(), cause: e.to_string() })?;
    let filter = Arc::new(filter);
    let pool = Arc::new(Pool::new(&format!("set-{set}"), config.tuning.threads)?);
    let known = store.load_index(&set)?;
    let resumed = !known.is_empty();
    let epoch = start_epoch(store, &set, key)?;
    let mut targets = Vec::new();
    for target in &source.targets {
        let wake = peers.entry((target.host.clone(), target.port)).or_default().clone();
        let options = ChannelOptions {
            full_compare: source.options.full_compare,
            ceiling: config.tuning.retry_ceiling,
        };
        let mut channel = Channel::new(options);
        let target = Target::new(target.clone(), channel_restored(store, &set, target, &mut channel)?, source.options.compression, wake);
        targets.push(Arc::new(target));
    }
    let excluded = filter.clone();
    let watcher = Watcher::start(&root, move |path, is_dir| excluded.excludes(path, is_dir))
        .map_err(|cause| StartError::Watch { set: set.clone(), cause })?;
    let opened = SourceSet::new(source.clone(), root, filter, pool, targets, epoch, Index::new(known, 0));
    Ok((opened, watcher, resumed))
}
