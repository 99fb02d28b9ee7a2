//! Serves the sets of a peer by rsync: where the configuration says so, or as long as no syncd
//! answers there and it says that this will do.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::compare::CompareError;
use super::peer::Task;
use super::rsync::{self, Failure, Route};
use super::set::{SourceSet, Target};
use super::up::{Event, Told};
use crate::config::{Reach, Transport};
use crate::engine::Found;
use crate::model::{Base, Epoch};
use crate::session::{PeerState, Sending};

/// The rsync side of a peer's task.
#[derive(Debug, Default)]
pub(super) struct Fallback {
    serving: bool,
    /// Counts the times that it began or ended: what comes late from an earlier one counts for nothing.
    session: u64,
    /// Whether the last run reached the host.
    reached: bool,
    /// Runs of rsync; dropped, they are killed.
    runs: JoinSet<()>,
}

impl Fallback {
    /// Whether rsync carries the changes now.
    pub(super) fn serves(&self) -> bool {
        self.serving
    }

    /// How the host stands, as rsync sees it.
    pub(super) fn state(&self) -> PeerState {
        if self.reached { PeerState::Up } else { PeerState::Down }
    }

    fn spawn(&mut self, run: impl Future<Output = ()> + Send + 'static) {
        while self.runs.try_join_next().is_some() {}
        self.runs.spawn(run);
    }
}

/// What a session by rsync rests on, for people.
fn proof(target: &Target) -> &'static str {
    match target.config.reach {
        Reach::Daemon => "rsync, not encrypted",
        Reach::Ssh { .. } => "rsync over ssh",
    }
}

// When rsync serves.
impl Task {
    /// Begins at once where nothing else is wanted.
    pub(super) fn begin_where_rsync_is_configured(&mut self) {
        if self.peer.transport == Transport::Rsync {
            self.begin_rsync();
        }
    }

    /// No syncd answers there, because of `cause`.
    pub(super) fn unanswered(&mut self, cause: &str) {
        if self.peer.transport != Transport::Auto || self.fallback.serving {
            return;
        }
        for (set, target) in &self.peer.channels {
            let by = proof(target);
            tracing::warn!(set = set.config.name, peer = %target, "no syncd answers there ({cause}): served by {by}, until one does");
        }
        self.begin_rsync();
    }

    fn begin_rsync(&mut self) {
        self.fallback.session += 1;
        self.fallback.serving = true;
        for (_, target) in &self.peer.channels {
            let mut channel = target.channel();
            channel.handle_link_up();
            if self.peer.transport == Transport::Auto {
                // What another carrier left there, nobody knows.
                channel.request_compare();
            }
        }
    }

    /// A syncd answers there: rsync ends, whatever it was doing.
    pub(super) fn taken_over(&mut self, now: Instant) {
        if !self.fallback.serving {
            return;
        }
        self.end_rsync(now);
        for (set, target) in &self.peer.channels {
            tracing::info!(set = set.config.name, peer = %target, "a syncd answers there: it is served by QUIC, encrypted, from now on");
        }
    }

    pub(super) fn end_rsync(&mut self, now: Instant) {
        if !std::mem::take(&mut self.fallback.serving) {
            return;
        }
        self.fallback.session += 1;
        self.fallback.runs = JoinSet::new();
        for (_, target) in &self.peer.channels {
            target.set_proof(None);
            target.channel().handle_carrier(now);
        }
    }
}

// What a channel asks for.
impl Task {
    pub(super) fn rsync_probe(&mut self, number: usize) {
        self.rsync(number, async |way| Told::Probed(rsync::probe(&way.route()).await));
    }

    pub(super) fn rsync_compare(&mut self, number: usize) {
        self.rsync(number, async |way| {
            way.set.look_before_compare().await;
            Told::Compared(rsync::compare(&way.route()).await)
        });
    }

    pub(super) fn rsync_send(&mut self, number: usize, sending: Sending) {
        let writer = self.peer.shared.writer.clone();
        self.rsync(number, async move |way| Told::Sent(rsync::send(&way.set, &way.route(), &writer, sending).await));
    }

    pub(super) fn rsync_verify(&mut self, number: usize, reply: oneshot::Sender<Result<Vec<Found>, String>>) {
        let Some(way) = self.way(number) else { return };
        self.fallback.spawn(async move {
            let found = rsync::verify(&way.route()).await;
            // Whoever asked may have gone.
            let _ = reply.send(found.map_err(|failure| failure.to_string()));
        });
    }

    fn rsync<F>(&mut self, number: usize, run: impl FnOnce(Way) -> F)
    where
        F: Future<Output = Told> + Send + 'static,
    {
        let Some(way) = self.way(number) else { return };
        let (tx, session) = (self.tx.clone(), self.fallback.session);
        let running = run(way);
        self.fallback.spawn(async move {
            // Whoever asked has ended.
            let _ = tx.send(Event::Rsync(session, number, running.await));
        });
    }

    fn way(&self, number: usize) -> Option<Way> {
        let (set, target) = self.peer.channels.get(number)?.clone();
        Some(Way { set, target, peer: self.peer.clone() })
    }
}

// What became of it.
impl Task {
    pub(super) fn rsync_told(&mut self, now: Instant, session: u64, number: usize, told: Told) {
        if session != self.fallback.session {
            return;
        }
        match told {
            Told::Probed(result) => self.rsync_probed(now, number, result),
            Told::Compared(result) => self.rsync_compared(now, number, result),
            Told::Sent(result) => self.sent(now, number, result),
        }
    }

    fn rsync_probed(&mut self, now: Instant, number: usize, result: Result<(), Failure>) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        if let Err(failure) = result {
            return self.rsync_failed(now, number, &failure);
        }
        self.fallback.reached = true;
        target.set_proof(Some(proof(target).to_owned()));
        tracing::info!(set = set.config.name, peer = %target, "connected; {}", proof(target));
        target.forget_left_out();
        let mut channel = target.channel();
        // rsync knows no epochs and no generations: what the store says was live last is believed.
        let acked = channel.acked();
        channel.handle_opened(Epoch::NONE, acked);
    }

    /// What only the content shows is owed as if an event had told of it: by size and time the next
    /// compare would call it equal, and so would rsync as it sends.
    fn rsync_compared(&mut self, now: Instant, number: usize, result: Result<rsync::Compared, Failure>) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        let compared = match result {
            Ok(compared) => compared,
            Err(failure) => return self.compared(now, number, Err(CompareError::Rsync(failure))),
        };
        let differences = compared.differences.iter().filter(|(path, _)| compared.content_alone.contains(path));
        let owed: Vec<_> = differences.filter(|(path, theirs)| !set.compare_leaves(path, theirs.as_ref())).collect();
        for (path, _) in owed {
            target.channel().handle_dirty(now, path.clone(), Base::Unknown);
        }
        target.set_unread(compared.unread);
        self.compared(now, number, Ok(compared.differences));
    }

    pub(super) fn rsync_failed(&mut self, now: Instant, number: usize, failure: &Failure) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        self.fallback.reached = failure.reached;
        let quic = self.machine.fault().filter(|_| peer.transport == Transport::Auto);
        let cause = match quic {
            Some(quic) => format!("by rsync: {failure}; by QUIC: {}", quic.cause),
            None => failure.to_string(),
        };
        target.set_proof(None);
        let mut channel = target.channel();
        let before = channel.fault().map(|fault| fault.cause.clone());
        channel.handle_failed(now, &cause);
        drop(channel);
        if before.as_ref() != Some(&cause) {
            tracing::warn!(set = set.config.name, peer = %target, "{cause}; trying again");
        }
        peer.complain(target, &cause);
        set.tell_plugins();
    }
}

/// What a run of rsync is about.
struct Way {
    set: Arc<SourceSet>,
    target: Arc<Target>,
    peer: Arc<super::Peer>,
}

impl Way {
    fn route(&self) -> Route<'_> {
        Route { set: &self.set, target: &self.target, traffic: &self.peer.traffic }
    }
}
