//! The receiving side: who may write which set, and what becomes of what they send.
//!
//! | question | file |
//! |---|---|
//! | who connects, and what do they open? | `connection` |
//! | may they? | `authorise` |
//! | what is a set here? | `set` |
//! | how is a change set received? | `incoming`, `signature` |
//! | how is a compare answered? | `compare` |
//! | what runs around a change set? | `xfer` |

mod authorise;
mod compare;
mod connection;
mod error;
mod incoming;
mod screen;
mod set;
mod signature;
mod touched;
mod verify;
mod xfer;

pub(crate) use authorise::host_allowed;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use syncd_certs::throttle::{Limits, Throttle};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use error::ServeError;
pub use set::ReplicaSet;

use crate::engine::{lock, stopped};
use crate::link::{Link, Server};
use crate::model::NodeKey;
use crate::observe::{Counter, Monitor};
use crate::session::SessionId;
use crate::store::Store;

/// How long the end of its connections may take to reach the sources.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the same refusal is not logged again.
const REFUSAL_QUIET: Duration = Duration::from_secs(600);

/// How many refusals are remembered for that.
const REFUSALS: usize = 1000;

/// The receiving side of a node.
#[derive(Debug)]
pub struct Receiver {
    /// This node's key.
    pub key: NodeKey,
    /// This node's name.
    pub name: String,
    /// The sets it receives.
    pub sets: Vec<Arc<ReplicaSet>>,
    /// Pin the first key that comes for a set without a password.
    pub trust_first_use: bool,
    /// Pins.
    pub store: Arc<Store>,
    /// Slows down guessing.
    pub throttle: Mutex<Throttle>,
    /// Counts what is refused.
    pub monitor: Monitor,
    connections: AtomicU64,
    /// Connections that live, by number.
    links: Mutex<BTreeMap<u64, Link>>,
    sessions: AtomicU64,
    /// What was refused lately, and logged.
    refusals: Mutex<HashMap<(IpAddr, String, String), Instant>>,
}

impl Receiver {
    /// A receiver of `sets`.
    #[must_use]
    pub fn new(
        key: NodeKey,
        name: String,
        sets: Vec<Arc<ReplicaSet>>,
        trust_first_use: bool,
        store: Arc<Store>,
        monitor: Monitor,
    ) -> Self {
        Self {
            key,
            name,
            sets,
            trust_first_use,
            store,
            throttle: Mutex::new(Throttle::new(Limits::default())),
            monitor,
            connections: AtomicU64::new(0),
            links: Mutex::default(),
            sessions: AtomicU64::new(0),
            refusals: Mutex::default(),
        }
    }

    /// Whether it is worth a line that `address` is refused `set`: who is refused comes again and
    /// again, every ten seconds, for as long as nobody mends it.
    fn is_news(&self, now: Instant, address: IpAddr, set: &str, cause: &str) -> bool {
        let mut said = lock(&self.refusals);
        let at = (address, set.to_owned(), cause.to_owned());
        if said.get(&at).is_some_and(|then| now.duration_since(*then) < REFUSAL_QUIET) {
            return false;
        }
        if said.len() >= REFUSALS {
            // Strangers choose what is in here: it must not grow, and must not silence the log.
            said.clear();
        }
        said.insert(at, now);
        true
    }

    /// `address` has the `set`: whatever it is refused from now on is news.
    fn forget_refusals(&self, address: IpAddr, set: &str) {
        lock(&self.refusals).retain(|(of, from, _), _| (*of, from.as_str()) != (address, set));
    }

    /// The set called `name`.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Arc<ReplicaSet>> {
        self.sets.iter().find(|s| s.config.name == name)
    }

    /// Serves whoever comes until `stop` turns true.
    pub async fn run(self: Arc<Self>, mut server: Server, mut stop: watch::Receiver<bool>) {
        let (end_upkeep, ending) = watch::channel(false);
        let mut upkeep: JoinSet<()> = self.sets.iter().map(|set| set.clone().keep(ending.clone())).collect();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                link = server.accept() => match link {
                    Some(link) => self.clone().serve(link, &mut connections),
                    None => break,
                },
                Some(_) = connections.join_next() => {}
                () = stopped(&mut stop) => break,
            }
        }
        // The sources learn of it now and not by silence, and the port is free for the next.
        server.endpoint().close("the peer stops");
        while connections.join_next().await.is_some() {}
        let _ = tokio::time::timeout(FAREWELL, server.endpoint().idle()).await;
        // What the last connections brought is saved too.
        end_upkeep.send_replace(true);
        while upkeep.join_next().await.is_some() {}
    }

    /// The number of a new session.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    fn serve(self: Arc<Self>, link: Link, connections: &mut JoinSet<()>) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        lock(&self.links).insert(number, link.clone());
        connections.spawn(async move {
            connection::serve(self.clone(), link.clone(), number).await;
            let mut links = lock(&self.links);
            links.remove(&number);
            let stats = link.stats();
            self.monitor.count(Counter::BytesSent, stats.sent_bytes);
            self.monitor.count(Counter::BytesReceived, stats.received_bytes);
        });
    }

    /// Bytes sent and received since the start, those of connections that live included.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let links = lock(&self.links);
        let before = (self.monitor.counter(Counter::BytesSent), self.monitor.counter(Counter::BytesReceived));
        links
            .values()
            .map(Link::stats)
            .fold(before, |(sent, received), stats| (sent + stats.sent_bytes, received + stats.received_bytes))
    }
}
