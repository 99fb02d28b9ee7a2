//! One remote node as the source sees it: dialled, greeted, up, and dialled again for ever.

use std::time::{Duration, Instant};

use super::fault::Fault;
use super::retry::Backoff;
use crate::model::NodeKey;
use crate::wire::{Hello, VERSION};

/// How long a connection may take to come up.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// How long the peer's hello may take.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// A connection that lived this long was a good one: the next is tried at once.
const PROVEN: Duration = Duration::from_secs(10);

/// What the driver has to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerAction {
    /// Connect; [`Peer::handle_dialled`] or [`Peer::handle_closed`] follows.
    Dial,
    /// Send this node's hello on the control stream.
    SendHello,
    /// Close the connection, or give up connecting. No [`Peer::handle_closed`] need follow.
    Close(CloseReason),
}

/// Why this node closes a connection.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CloseReason {
    /// The remote presented this node's own key.
    #[error("the remote is this node itself; it is left alone until the configuration changes")]
    Myself,
    /// It speaks another major version.
    #[error("the remote speaks protocol version {theirs}, this node {ours}")]
    Version {
        /// The version of this node.
        ours: u16,
        /// The version of the remote.
        theirs: u16,
    },
    /// The connection did not come up in time.
    #[error("no answer within {} s; is UDP to this port open?", DIAL_LIMIT.as_secs())]
    NoAnswer,
    /// The connection came up and no hello followed.
    #[error("connected, but no hello within {} s", HELLO_LIMIT.as_secs())]
    NoHello,
}

/// Where a [`Peer`] stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerState {
    /// Not connected; waits for its next attempt.
    Down,
    /// Connecting.
    Dialling,
    /// Connected; the hellos are under way.
    Greeting,
    /// Connected and greeted.
    Up,
    /// It is this node itself: left alone for good.
    Myself,
}

/// Checks a peer's hello; `key` is what it proved in TLS. Both ends use this.
///
/// # Errors
/// [`CloseReason::Version`] and [`CloseReason::Myself`].
pub fn greet(own: NodeKey, key: NodeKey, hello: &Hello) -> Result<(), CloseReason> {
    if key == own {
        return Err(CloseReason::Myself);
    }
    if hello.version != VERSION {
        return Err(CloseReason::Version { ours: VERSION, theirs: hello.version });
    }
    Ok(())
}

/// One remote node.
///
/// It never gives up: every failure is followed by another attempt after a [`Backoff`], unless the
/// remote turns out to be this node itself.
#[derive(Clone, Debug)]
pub struct Peer {
    own: NodeKey,
    state: State,
    backoff: Backoff,
    close: Option<CloseReason>,
    hello: Option<Hello>,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Down,
    Dialling { limit: Instant },
    Greeting { limit: Instant, sent: bool },
    Up { since: Instant },
    Myself,
}

impl Peer {
    /// A peer of the node `own`, to be dialled at once. `ceiling` bounds its backoff.
    #[must_use]
    pub fn new(own: NodeKey, ceiling: Duration, seed: u64) -> Self {
        let backoff = Backoff::new(ceiling, seed);
        Self { own, state: State::Down, backoff, close: None, hello: None, fault: None }
    }

    /// The connection is up; TLS is done.
    pub fn handle_dialled(&mut self, now: Instant) {
        if matches!(self.state, State::Dialling { .. }) {
            self.state = State::Greeting { limit: now + HELLO_LIMIT, sent: false };
        }
    }

    /// The peer's hello came; `key` is the one that it proved in TLS.
    pub fn handle_hello(&mut self, now: Instant, key: NodeKey, hello: Hello) {
        if !matches!(self.state, State::Greeting { .. }) {
            return;
        }
        match greet(self.own, key, &hello) {
            Ok(()) => {
                self.state = State::Up { since: now };
                self.hello = Some(hello);
            }
            Err(reason) => self.close(now, reason),
        }
    }

    /// The connection is gone, or could not be made.
    pub fn handle_closed(&mut self, now: Instant, cause: &str) {
        match self.state {
            State::Down | State::Myself => return,
            State::Up { since } if now.saturating_duration_since(since) >= PROVEN => self.backoff.reset(),
            State::Up { .. } | State::Dialling { .. } | State::Greeting { .. } => {}
        }
        self.fail(now, cause.to_owned());
    }

    /// Time went on: what took too long is closed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Dialling { limit } if limit <= now => self.close(now, CloseReason::NoAnswer),
            State::Greeting { limit, .. } if limit <= now => self.close(now, CloseReason::NoHello),
            _ => {}
        }
    }

    /// An operator asks for an attempt now (`syncd replay`).
    pub fn replay_now(&mut self) {
        if matches!(self.state, State::Down) {
            self.backoff.reset();
        }
    }

    /// What to do next; to be called until it returns none.
    pub fn poll_action(&mut self, now: Instant) -> Option<PeerAction> {
        if let Some(reason) = self.close.take() {
            return Some(PeerAction::Close(reason));
        }
        match &mut self.state {
            State::Down if self.backoff.is_due(now) => {
                self.state = State::Dialling { limit: now + DIAL_LIMIT };
                Some(PeerAction::Dial)
            }
            State::Greeting { sent, .. } if !*sent => {
                *sent = true;
                Some(PeerAction::SendHello)
            }
            _ => None,
        }
    }

    /// When to call [`Peer::handle_timeout`] and [`Peer::poll_action`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Down => self.backoff.due(),
            State::Dialling { limit } | State::Greeting { limit, .. } => Some(limit),
            State::Up { .. } | State::Myself => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> PeerState {
        match self.state {
            State::Down => PeerState::Down,
            State::Dialling { .. } => PeerState::Dialling,
            State::Greeting { .. } => PeerState::Greeting,
            State::Up { .. } => PeerState::Up,
            State::Myself => PeerState::Myself,
        }
    }

    /// Whether sets can be opened.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// The hello of the last connection that came up: features, name and program of the peer.
    #[must_use]
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The last failure.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn close(&mut self, now: Instant, reason: CloseReason) {
        self.fail(now, reason.to_string());
        if reason == CloseReason::Myself {
            self.state = State::Myself;
        }
        self.close = Some(reason);
    }

    fn fail(&mut self, now: Instant, cause: String) {
        self.backoff.fail(now);
        self.state = State::Down;
        self.fault = Some(Fault { at: now, cause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeKey = NodeKey([1; 32]);
    const OTHER: NodeKey = NodeKey([2; 32]);

    fn hello(version: u16) -> Hello {
        Hello { version, features: Vec::new(), name: "b".into(), agent: "syncd".into() }
    }

    fn greeting(now: Instant) -> Peer {
        let mut peer = Peer::new(OWN, Duration::from_secs(10), 1);
        assert_eq!(peer.poll_action(now), Some(PeerAction::Dial));
        assert_eq!(peer.poll_action(now), None);
        peer.handle_dialled(now);
        assert_eq!(peer.poll_action(now), Some(PeerAction::SendHello));
        assert_eq!(peer.poll_action(now), None);
        peer
    }

    #[test]
    fn a_peer_comes_up_and_is_dialled_again_when_it_goes() {
        let now = Instant::now();
        let mut peer = greeting(now);
        peer.handle_hello(now, OTHER, hello(VERSION));
        assert!(peer.is_up());
        peer.handle_closed(now, "reset");
        assert_eq!((peer.state(), peer.poll_action(now)), (PeerState::Down, None));
        let due = peer.poll_timeout().expect("an attempt");
        assert_eq!(peer.poll_action(due), Some(PeerAction::Dial));
        assert_eq!(peer.fault().map(|f| &*f.cause), Some("reset"));
    }

    #[test]
    fn itself_is_left_alone_for_good() {
        let now = Instant::now();
        let mut peer = greeting(now);
        peer.handle_hello(now, OWN, hello(VERSION));
        assert_eq!(peer.poll_action(now), Some(PeerAction::Close(CloseReason::Myself)));
        peer.handle_closed(now, "closed");
        peer.replay_now();
        let later = now + Duration::from_secs(86_400);
        peer.handle_timeout(later);
        assert_eq!((peer.poll_action(later), peer.poll_timeout()), (None, None));
    }

    #[test]
    fn another_version_is_named_and_tried_again() {
        let now = Instant::now();
        let mut peer = greeting(now);
        peer.handle_hello(now, OTHER, hello(VERSION + 1));
        let reason = CloseReason::Version { ours: VERSION, theirs: VERSION + 1 };
        assert_eq!(peer.poll_action(now), Some(PeerAction::Close(reason)));
        let due = peer.poll_timeout().expect("an attempt");
        assert_eq!(peer.poll_action(due), Some(PeerAction::Dial));
    }

    #[test]
    fn silence_is_closed_and_a_late_event_of_it_changes_nothing() {
        let now = Instant::now();
        let mut peer = greeting(now);
        let limit = peer.poll_timeout().expect("a limit");
        peer.handle_timeout(limit);
        assert_eq!(peer.poll_action(limit), Some(PeerAction::Close(CloseReason::NoHello)));
        let due = peer.poll_timeout();
        peer.handle_closed(limit, "closed here");
        peer.handle_hello(limit, OTHER, hello(VERSION));
        assert_eq!((peer.poll_timeout(), peer.state()), (due, PeerState::Down));
        peer.replay_now();
        assert_eq!(peer.poll_action(limit), Some(PeerAction::Dial));
    }

    /// Counts the dials of an hour against a peer that does what `answer` says.
    fn dials(answer: impl Fn(&mut Peer, Instant)) -> u32 {
        let start = Instant::now();
        let (mut peer, mut now, mut dials) = (Peer::new(OWN, Duration::from_secs(10), 7), start, 0);
        while now < start + Duration::from_secs(3600) {
            while let Some(action) = peer.poll_action(now) {
                if action == PeerAction::Dial {
                    dials += 1;
                    answer(&mut peer, now);
                }
            }
            now = peer.poll_timeout().expect("it never gives up").max(now);
            peer.handle_timeout(now);
        }
        dials
    }

    #[test]
    fn a_dead_or_flapping_peer_is_tried_for_ever_and_not_too_often() {
        let unreachable = dials(|peer, now| peer.handle_closed(now, "unreachable"));
        let flapping = dials(|peer, now| {
            peer.handle_dialled(now);
            peer.handle_hello(now, OTHER, hello(VERSION));
            peer.handle_closed(now, "killed");
        });
        for dials in [unreachable, flapping] {
            assert!((360..=3600 / 5 + 10).contains(&dials), "{dials}");
        }
    }
}
