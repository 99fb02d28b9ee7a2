//! The receiving side: who may write which set, and what becomes of what they send.
//!
//! | question | file |
//! |---|---|
//! | who connects, and what do they open? | `connection` |
//! | may they? | `authorise` |
//! | what is a set here? | `set` |
//! | how is a change set received? | `incoming`, `signature` |
//! | how is a compare answered? | `compare` |

mod authorise;
mod compare;
mod connection;
mod incoming;
mod set;
mod signature;
mod verify;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncd_certs::throttle::{Limits, Throttle};
use tokio::sync::watch;

pub use set::{ReplicaSet, ServeError};

use crate::engine::stopped;
use crate::link::{Link, Server};
use crate::model::NodeKey;
use crate::observe::Monitor;
use crate::session::SessionId;
use crate::store::Store;

/// How often what is not in the store yet goes there.
const SAVE_EVERY: Duration = Duration::from_secs(1);

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
    sessions: AtomicU64,
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
            sessions: AtomicU64::new(0),
        }
    }

    /// The set called `name`.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Arc<ReplicaSet>> {
        self.sets.iter().find(|s| s.config.name == name)
    }

    /// Serves whoever comes until `stop` turns true.
    pub async fn run(self: Arc<Self>, mut server: Server, mut stop: watch::Receiver<bool>) {
        let mut save = tokio::time::interval(SAVE_EVERY);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                link = server.accept() => match link {
                    Some(link) => self.clone().serve(link),
                    None => break,
                },
                _ = save.tick() => self.save(),
                () = stopped(&mut stop) => break,
            }
        }
        self.save();
    }

    /// The number of a new session.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    fn serve(self: Arc<Self>, link: Link) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move { connection::serve(self, link, number).await });
    }

    fn save(&self) {
        for set in &self.sets {
            set.save();
        }
    }
}
