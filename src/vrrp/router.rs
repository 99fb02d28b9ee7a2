//! The state machine of one virtual router (RFC 3768 and RFC 5798, section 6), as keepalived runs it.
//!
//! Pure: time is a parameter, what is to be done is polled. Whoever drives it has checked each
//! advertisement before; one that was rejected never gets here, so that it moves no timer.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::packet::Version;

/// The priority of the owner of the addresses: nobody is above it, and no tracker moves it.
pub const OWNER: u8 = 255;

/// What a virtual router is told once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The version, which decides the skew.
    pub version: Version,
    /// The interval between advertisements, from 10 ms.
    pub interval: Duration,
    /// The priority before any tracker, 1 to 255.
    pub priority: u8,
    /// Whether it takes over from a master of lower priority.
    pub preempt: bool,
    /// How long it lets such a master be at first.
    pub preempt_delay: Duration,
    /// After how many intervals without an advertisement the master is gone; 3.
    pub down_adverts: u32,
    /// How long after a takeover the addresses are announced once more; 5 s, zero for not at all.
    pub announce_again: Duration,
    /// What advertisements come from: of two masters of one priority the higher address stays.
    pub source: IpAddr,
}

/// Where a virtual router stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum State {
    /// It has not begun, or it has ended.
    Initialize,
    /// Another is master, or nobody yet.
    Backup,
    /// It holds the addresses.
    Master,
    /// It could not be master: an interface is down, or a check fails.
    Fault,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send an advertisement of this priority.
    Send(u8),
    /// Put the addresses on the interface.
    Hold,
    /// Take the addresses away.
    Release,
    /// Tell the neighbours whose the addresses are (gratuitous ARP, unsolicited NA).
    Announce,
    /// Tell the operator's scripts.
    Notify(State),
}

/// Why it is in its state, for people.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Cause {
    /// It has begun.
    Started,
    /// It goes on where the process before it was killed.
    Adopted,
    /// It owns the addresses.
    Owner,
    /// The master was silent for too long.
    MasterSilent,
    /// The master gave the addresses up.
    MasterLeft,
    /// A master of lower priority.
    Preempted {
        /// Its priority.
        priority: u8,
    },
    /// A master of higher priority, or of the same and with a higher address.
    Outranked {
        /// Its address.
        by: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// What keeps it from being master came.
    Failed,
    /// What kept it from being master is gone.
    Recovered,
    /// It was told to end.
    Stopped,
}

/// One virtual router on one interface.
#[derive(Clone, Debug)]
pub struct Router {
    settings: Settings,
    state: State,
    cause: Cause,
    /// The priority with what the trackers add and take.
    priority: u8,
    failed: bool,
    /// The interval that the master announces; version 3 backups go by it.
    master_interval: Duration,
    /// In Backup: when the master is gone. In Master: when the next advertisement is due.
    timer: Option<Instant>,
    /// When a master of lower priority is let be no longer.
    preempt_at: Option<Instant>,
    /// The last master of lower priority, whose advertisements are ignored.
    lower: Option<u8>,
    /// The master gave the addresses up, and no other was heard since.
    left: bool,
    announce_at: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Router {
    /// One that has not begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::Initialize,
            cause: Cause::Stopped,
            priority: settings.priority,
            failed: false,
            master_interval: settings.interval,
            timer: None,
            preempt_at: None,
            lower: None,
            left: false,
            announce_at: None,
            actions: VecDeque::new(),
            settings,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The priority that it has now.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer.into_iter().chain(self.announce_at).min()
    }

    /// It begins; every tracker has had its first say.
    pub fn handle_start(&mut self, now: Instant) {
        if self.state != State::Initialize {
            return;
        }
        if self.failed {
            self.enter(State::Fault, Cause::Failed);
        } else if self.priority == OWNER {
            self.become_master(now, Cause::Owner);
        } else {
            // Whatever an earlier life left there.
            self.actions.push_back(Action::Release);
            self.become_backup(now, Cause::Started);
        }
    }

    /// It begins where a master was killed a moment ago whose addresses are still there.
    pub fn handle_adopt(&mut self, now: Instant) {
        if self.state == State::Initialize && !self.failed {
            self.become_master(now, Cause::Adopted);
        }
    }

    /// It ends: politely, so that the next master waits for its skew alone.
    pub fn handle_stop(&mut self) {
        if self.state == State::Master {
            self.actions.extend([Action::Send(0), Action::Release]);
        }
        if self.state != State::Initialize {
            self.enter(State::Initialize, Cause::Stopped);
        }
    }

    /// The trackers come to `priority`, 1 to 254; the owner's stays.
    pub fn handle_priority(&mut self, priority: u8) {
        if self.settings.priority == OWNER || priority == self.priority {
            return;
        }
        let before = self.skew();
        self.priority = priority.clamp(1, OWNER - 1);
        let after = self.skew();
        if let (State::Backup, Some(timer)) = (self.state, self.timer) {
            self.timer =
                if after > before { Some(timer + (after - before)) } else { timer.checked_sub(before - after) };
        }
    }

    /// Whether something keeps it from being master.
    pub fn handle_failed(&mut self, now: Instant, failed: bool) {
        self.failed = failed;
        match (self.state, failed) {
            (State::Initialize | State::Fault, true) | (State::Initialize | State::Backup | State::Master, false) => {}
            (State::Master, true) => {
                // Twice, as keepalived: the one packet that says it may be lost.
                self.actions.extend([Action::Send(0), Action::Send(0), Action::Release]);
                self.enter(State::Fault, Cause::Failed);
            }
            (State::Backup, true) => self.enter(State::Fault, Cause::Failed),
            (State::Fault, false) if self.priority == OWNER => self.become_master(now, Cause::Owner),
            (State::Fault, false) => self.become_backup(now, Cause::Recovered),
        }
    }

    /// Another's advertisement, which was found to be right.
    pub fn handle_advert(&mut self, now: Instant, from: IpAddr, priority: u8, interval: Duration) {
        match self.state {
            State::Initialize | State::Fault => {}
            State::Backup => self.backup_advert(now, priority, interval),
            State::Master => self.master_advert(now, from, priority, interval),
        }
    }

    fn backup_advert(&mut self, now: Instant, priority: u8, interval: Duration) {
        if priority == 0 {
            (self.lower, self.left, self.preempt_at) = (None, true, None);
            self.timer = Some(now + self.skew());
            return;
        }
        let lower = priority < self.priority && self.settings.preempt;
        if lower && !self.lets_be(now) {
            // The timer runs on: when it ends, that master is told by an advertisement.
            self.lower = Some(priority);
            return;
        }
        if !lower {
            self.preempt_at = None;
        }
        (self.lower, self.left) = (None, false);
        if self.settings.version == Version::V3 {
            self.master_interval = interval;
        }
        self.timer = Some(now + self.master_down());
    }

    /// Whether a master of lower priority is still let be.
    fn lets_be(&mut self, now: Instant) -> bool {
        if self.settings.preempt_delay.is_zero() {
            return false;
        }
        now < *self.preempt_at.get_or_insert(now + self.settings.preempt_delay)
    }

    fn master_advert(&mut self, now: Instant, from: IpAddr, priority: u8, interval: Duration) {
        if priority == 0 {
            self.advertise(now);
            return;
        }
        let outranked = priority > self.priority || (priority == self.priority && from > self.settings.source);
        if !outranked {
            // Both were master: whoever asked the other one meanwhile has to learn better.
            self.advertise(now);
            self.actions.push_back(Action::Announce);
            self.announce_at = self.announce_later(now);
            return;
        }
        // One more, so that the other hears of this master and announces the addresses: without it,
        // neighbours that asked here go on sending here.
        self.actions.extend([Action::Send(self.priority), Action::Release]);
        if self.settings.version == Version::V3 {
            self.master_interval = interval;
        }
        self.become_backup(now, Cause::Outranked { by: from, priority });
    }

    /// What [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.announce_at.is_some_and(|at| at <= now) {
            self.announce_at = None;
            self.actions.push_back(Action::Announce);
        }
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        match self.state {
            State::Master => self.advertise_on_time(now),
            State::Backup => {
                let cause = match (self.lower, self.left) {
                    (Some(priority), _) => Cause::Preempted { priority },
                    (None, true) => Cause::MasterLeft,
                    (None, false) => Cause::MasterSilent,
                };
                self.become_master(now, cause);
            }
            State::Initialize | State::Fault => self.timer = None,
        }
    }

    fn become_master(&mut self, now: Instant, cause: Cause) {
        self.master_interval = self.settings.interval;
        self.actions.extend([Action::Send(self.priority), Action::Hold, Action::Announce]);
        self.enter(State::Master, cause);
        self.timer = Some(now + self.settings.interval);
        self.announce_at = self.announce_later(now);
    }

    fn become_backup(&mut self, now: Instant, cause: Cause) {
        self.enter(State::Backup, cause);
        self.timer = Some(now + self.master_down());
    }

    fn enter(&mut self, state: State, cause: Cause) {
        (self.state, self.cause) = (state, cause);
        (self.timer, self.announce_at, self.preempt_at) = (None, None, None);
        (self.lower, self.left) = (None, false);
        self.actions.push_back(Action::Notify(state));
    }

    fn advertise(&mut self, now: Instant) {
        self.actions.push_back(Action::Send(self.priority));
        self.timer = Some(now + self.settings.interval);
    }

    /// The next one is due an interval after this one was, not after it was sent: lateness does not add up.
    fn advertise_on_time(&mut self, now: Instant) {
        let due = self.timer.unwrap_or(now) + self.settings.interval;
        self.advertise(now);
        if due > now {
            self.timer = Some(due);
        }
    }

    fn announce_later(&self, now: Instant) -> Option<Instant> {
        (!self.settings.announce_again.is_zero()).then(|| now + self.settings.announce_again)
    }

    /// How much later than others a router of low priority takes over: of a second in version 2, of the
    /// master's interval in version 3.
    fn skew(&self) -> Duration {
        let whole = match self.settings.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.master_interval,
        };
        whole * (256 - u32::from(self.priority)) / 256
    }

    /// How long a master may be silent (`Master_Down_Interval`).
    fn master_down(&self) -> Duration {
        self.master_interval * self.settings.down_adverts + self.skew()
    }
}
