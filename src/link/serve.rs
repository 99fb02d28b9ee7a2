//! Taking connections, without letting strangers cost much.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::Incoming;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::Admission;
use super::gate::{Decision, Gate, Limits};
use super::{Endpoint, Link, LinkError};

/// What became of those who came, since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServeStats {
    /// Handshakes that were completed.
    pub connected: u64,
    /// Handshakes that failed, or took too long.
    pub failed: u64,
    /// Turned away without a handshake, because too many strangers were in.
    pub refused: u64,
    /// Asked to prove their address first.
    pub retried: u64,
    /// Connections that are in now without being authorised.
    pub strangers: usize,
}

/// Takes the connections of an [`Endpoint::serving`].
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    limits: Limits,
    door: Arc<Door>,
    handshakes: JoinSet<Option<Link>>,
}

impl Server {
    /// Serves `endpoint` within `limits`.
    #[must_use]
    pub fn new(endpoint: Endpoint, limits: Limits) -> Self {
        Self { endpoint, limits, door: Arc::new(Door::new(limits)), handshakes: JoinSet::new() }
    }

    /// The next peer that has shown its key, none once the endpoint is closed. It is a stranger
    /// until [`Link::authorised`], and cut off when that takes longer than [`Limits::grace`].
    ///
    /// Cancel safe. Handshakes only go on while this is waited for.
    pub async fn accept(&mut self) -> Option<Link> {
        loop {
            tokio::select! {
                incoming = self.endpoint.quinn.accept() => self.admit(incoming?),
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(link)) = done {
                        return Some(link);
                    }
                }
            }
        }
    }

    /// What is served.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What became of those who came.
    #[must_use]
    pub fn stats(&self) -> ServeStats {
        self.door.stats()
    }

    fn admit(&mut self, incoming: Incoming) {
        let address = incoming.remote_address();
        match self.door.knock(address.ip(), incoming.remote_address_validated()) {
            Ok(pass) => {
                self.handshakes.spawn(handshake(incoming, pass, self.endpoint.clone(), self.limits));
            }
            Err(Decision::Prove) if incoming.may_retry() => {
                // Fails only for an address that is proven already.
                let _ = incoming.retry();
            }
            Err(_) => {
                tracing::debug!("{address}: refused, too many connections that are not authorised");
                incoming.refuse();
            }
        }
    }
}

async fn handshake(incoming: Incoming, pass: Pass, endpoint: Endpoint, limits: Limits) -> Option<Link> {
    let peer = incoming.remote_address();
    let done = async {
        let connecting = incoming.accept().map_err(|e| LinkError::connection(peer, &e))?;
        connecting.await.map_err(|e| LinkError::connection(peer, &e))
    };
    let connected = match timeout(limits.handshake, done).await {
        Ok(connected) => connected,
        Err(_) => Err(LinkError::NoAnswer { peer, after: limits.handshake }),
    };
    let door = Arc::clone(&pass.door);
    let link = connected
        .and_then(|connection| Link::new(connection, endpoint.own, endpoint.patience, Admission::stranger(pass)));
    match link {
        Ok(link) => {
            door.connected.fetch_add(1, Ordering::Relaxed);
            link.cut_off_after(limits.grace);
            Some(link)
        }
        Err(error) => {
            let failed = door.failed.fetch_add(1, Ordering::Relaxed) + 1;
            if door.may_log(Instant::now()) {
                tracing::info!("{error} ({failed} handshakes failed so far)");
            }
            None
        }
    }
}

/// How often strangers may cause a line in the log.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The gate, and what came through.
#[derive(Debug)]
pub(super) struct Door {
    gate: Mutex<Gate>,
    logged: Mutex<Option<Instant>>,
    connected: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
}

impl Door {
    fn new(limits: Limits) -> Self {
        let (gate, logged, zero) = (Mutex::new(Gate::new(limits)), Mutex::new(None), AtomicU64::default);
        Self { gate, logged, connected: zero(), failed: zero(), refused: zero(), retried: zero() }
    }

    /// Whether a failure at `now` gets a line: else whoever reaches the port fills the disk.
    fn may_log(&self, now: Instant) -> bool {
        let mut last = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knock(self: &Arc<Self>, address: IpAddr, proven: bool) -> Result<Pass, Decision> {
        let decision = self.gate().knock(address, proven);
        let counter = match decision {
            Decision::Enter => return Ok(Pass { door: Arc::clone(self), address }),
            Decision::Prove => &self.retried,
            Decision::Refuse => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Err(decision)
    }

    fn stats(&self) -> ServeStats {
        ServeStats {
            connected: self.connected.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            strangers: self.gate().strangers(),
        }
    }
}

/// A stranger's place, given back when it is authorised or gone.
#[derive(Debug)]
pub(super) struct Pass {
    door: Arc<Door>,
    address: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.door.gate().leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cause_one_line_a_second() {
        let (door, start) = (Door::new(Limits::default()), Instant::now());
        let lines = (0u64..30).filter(|i| door.may_log(start + Duration::from_millis(100 * i))).count();
        assert_eq!(lines, 3);
    }
}
