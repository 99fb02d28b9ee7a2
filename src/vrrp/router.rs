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

/// How long a master answers no rival of lower priority once it has answered one.
const LONGEST_SILENCE: Duration = Duration::from_millis(100);

/// What a virtual router is told; a reload may change all of it but the version.
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
    /// A master answers an advertisement of lower priority by one of its own.
    pub answers_lower: bool,
    /// It becomes master only when it is told that its whole sync group may.
    pub grouped: bool,
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
    Announce(Occasion),
    /// It is in another state.
    Enter {
        /// Where it was.
        from: State,
        /// Where it is.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// As master it heard one of lower priority.
    HeardLower,
    /// The master said that it leaves.
    HeardLeaving,
}

/// Why neighbours are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occasion {
    /// It became master.
    Takeover,
    /// Another thought that it was master.
    Rival,
}

/// Why it is in its state, for people.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Cause {
    /// It has begun.
    Started,
    /// It goes on where the process before it ended.
    Adopted,
    /// It owns the addresses.
    Owner,
    /// The master was silent for too long.
    MasterSilent {
        /// Its address; none where there had been none.
        master: Option<IpAddr>,
    },
    /// The master gave the addresses up.
    MasterLeft {
        /// Its address.
        master: Option<IpAddr>,
    },
    /// A master of lower priority.
    Preempted {
        /// Its address.
        master: Option<IpAddr>,
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
    /// Another member of its sync group is no longer master.
    Group,
    /// What keeps it from being master came.
    Failed,
    /// What kept it from being master is gone.
    Recovered,
    /// It crashed twice in a minute, and another is to go on.
    GaveUp,
    /// It was told to end.
    Stopped,
}

/// The master that a backup hears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    /// Its address.
    pub from: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// When.
    pub at: Instant,
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
    /// The last advertisement of another, whether it moved the timer or not.
    heard: Option<Heard>,
    /// The last one was of lower priority, and ignored.
    lower: bool,
    /// The master gave the addresses up, and no other was heard since.
    left: bool,
    /// It would be master by now, and waits for its group.
    wants: Option<Cause>,
    /// Until when a rival of lower priority is not answered once more: whoever floods makes no flood of answers.
    answered: Option<Instant>,
    /// The same for one that leaves: the last one is answered then.
    answered_leaving: Option<Instant>,
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
            heard: None,
            lower: false,
            left: false,
            wants: None,
            answered: None,
            answered_leaving: None,
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

    /// The last advertisement of another that it heard in this state.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        self.heard
    }

    /// Whether it hears a master that it lets be.
    #[must_use]
    pub fn hears_master(&self) -> bool {
        self.heard.is_some() && !self.left && (!self.lower || self.preempt_at.is_some())
    }

    /// Whether it would be master by now and waits for [`Self::handle_granted`].
    #[must_use]
    pub fn wants_master(&self) -> bool {
        self.wants.is_some()
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// It begins; every tracker has had its first say.
    pub fn handle_start(&mut self, now: Instant) {
        if self.state != State::Initialize {
            return;
        }
        // Whatever an earlier life left there.
        self.actions.push_back(Action::Release);
        self.begin(now, Cause::Started);
    }

    /// It begins where a master was killed a moment ago whose addresses are still there; `due` is when
    /// its next advertisement was to go out, at once where that is not known.
    pub fn handle_adopt_master(&mut self, now: Instant, due: Option<Instant>) {
        if self.state != State::Initialize || self.failed {
            return;
        }
        if let Some(due) = due.filter(|due| *due > now && *due <= now + self.settings.interval) {
            self.actions.push_back(Action::Hold);
            self.enter(State::Master, Cause::Adopted);
            self.timer = Some(due);
        } else {
            self.become_master(now, Cause::Adopted);
        }
    }

    /// It begins where a backup ended a moment ago whose patience was to end at `due`.
    pub fn handle_adopt_backup(&mut self, now: Instant, due: Option<Instant>) {
        if self.state != State::Initialize || self.failed {
            return;
        }
        self.become_backup(now, Cause::Adopted);
        if let (Some(due), Some(timer)) = (due, self.timer) {
            self.timer = Some(due.clamp(now, timer));
        }
    }

    /// It begins where a process crashed for the second time: whoever else can is to be master.
    pub fn handle_give_up(&mut self, now: Instant) {
        if self.state == State::Initialize {
            self.actions.extend([Action::Send(0), Action::Release]);
            self.begin(now, Cause::GaveUp);
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

    /// A reload says something else; `settings.priority` is set apart, by [`Self::handle_priority`].
    pub fn handle_settings(&mut self, now: Instant, settings: Settings) {
        let shorter = settings.interval < self.settings.interval;
        if self.state != State::Backup || settings.version == Version::V2 {
            self.master_interval = settings.interval;
        }
        self.settings = settings;
        if self.state == State::Master && shorter {
            self.timer = self.timer.map(|timer| timer.min(now + self.settings.interval));
        }
        if let (false, Some(cause)) = (self.settings.grouped, self.wants) {
            self.become_master(now, cause);
        }
    }

    /// The trackers come to `priority`; what is not the owner's is at most 254 and at least 1.
    pub fn handle_priority(&mut self, priority: u8) {
        let owner = self.settings.priority == OWNER;
        let priority = if owner { OWNER } else { priority.clamp(1, OWNER - 1) };
        if priority == self.priority {
            return;
        }
        let before = self.skew();
        self.priority = priority;
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
            (State::Fault, false) => self.begin(now, Cause::Recovered),
        }
    }

    /// Another's advertisement, which was found to be right.
    pub fn handle_advert(&mut self, now: Instant, from: IpAddr, priority: u8, interval: Duration) {
        match self.state {
            State::Initialize | State::Fault => {}
            State::Backup => self.backup_advert(now, from, priority, interval),
            State::Master => self.master_advert(now, from, priority, interval),
        }
    }

    fn backup_advert(&mut self, now: Instant, from: IpAddr, priority: u8, interval: Duration) {
        self.heard = Some(Heard { from, priority, at: now });
        if priority == 0 {
            (self.lower, self.left, self.preempt_at, self.wants) = (false, true, None, None);
            self.timer = Some(now + self.skew());
            self.actions.push_back(Action::HeardLeaving);
            return;
        }
        self.lower = priority < self.priority && self.settings.preempt;
        if self.lower && !self.lets_be(now) {
            // The timer runs on: when it ends, that master is told by an advertisement.
            return;
        }
        if !self.lower {
            self.preempt_at = None;
        }
        (self.left, self.wants) = (false, None);
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
            return self.answer_leaving(now);
        }
        let outranked = priority > self.priority || (priority == self.priority && from > self.settings.source);
        if !outranked {
            if self.answered.is_some_and(|until| now < until) {
                return;
            }
            self.answered = Some(now + self.settings.interval.min(LONGEST_SILENCE));
            // Both were master: whoever asked the other one meanwhile has to learn better.
            if self.settings.answers_lower {
                self.advertise(now);
            }
            self.actions.extend([Action::Announce(Occasion::Rival), Action::HeardLower]);
            return;
        }
        // One more, so that the other hears of this master and announces the addresses: without it,
        // neighbours that asked here go on sending here.
        self.actions.extend([Action::Send(self.priority), Action::Release]);
        if self.settings.version == Version::V3 {
            self.master_interval = interval;
        }
        self.become_backup(now, Cause::Outranked { by: from, priority });
        self.heard = Some(Heard { from, priority, at: now });
    }

    /// Others that heard it wait for their skew alone, and are to hear before that who is master.
    fn answer_leaving(&mut self, now: Instant) {
        if let Some(until) = self.answered_leaving.filter(|until| now < *until) {
            self.timer = self.timer.map(|timer| timer.min(until));
            return;
        }
        self.answered_leaving = Some(now + self.settings.interval.min(LONGEST_SILENCE));
        self.advertise(now);
    }

    /// What [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        match self.state {
            State::Master => self.advertise_on_time(now),
            State::Backup => {
                let master = self.heard.map(|heard| heard.from);
                let cause = match self.heard {
                    Some(heard) if self.lower => Cause::Preempted { master, priority: heard.priority },
                    Some(_) if self.left => Cause::MasterLeft { master },
                    _ => Cause::MasterSilent { master },
                };
                self.want(now, cause);
            }
            State::Initialize | State::Fault => self.timer = None,
        }
    }

    /// Every member of its sync group may be master.
    pub fn handle_granted(&mut self, now: Instant) {
        if let Some(cause) = self.wants {
            self.become_master(now, cause);
        }
    }

    /// Another member of its sync group is no longer master.
    pub fn handle_group_lost(&mut self, now: Instant) {
        if self.state == State::Master {
            self.actions.extend([Action::Send(0), Action::Release]);
            self.become_backup(now, Cause::Group);
        }
    }

    /// The master of another member of its sync group said that it leaves. Where that one's node was
    /// master here too and has been silent for longer than it may, it is not waited for any longer.
    pub fn handle_group_leaving(&mut self, now: Instant) {
        if self.state != State::Backup || self.wants.is_some() {
            return;
        }
        let silent = self.heard.map_or(now, |heard| heard.at + self.master_interval);
        let at = silent.max(now) + self.skew();
        self.timer = self.timer.map(|timer| timer.min(at));
    }

    /// From where nothing is known: as master at once if it owns the addresses.
    fn begin(&mut self, now: Instant, cause: Cause) {
        if self.failed {
            self.enter(State::Fault, Cause::Failed);
        } else {
            let owner = self.priority == OWNER && cause != Cause::GaveUp;
            if owner && !self.settings.grouped {
                return self.become_master(now, Cause::Owner);
            }
            self.become_backup(now, cause);
            if owner {
                self.want(now, Cause::Owner);
            }
        }
    }

    fn want(&mut self, now: Instant, cause: Cause) {
        if self.settings.grouped {
            (self.wants, self.timer) = (Some(cause), None);
        } else {
            self.become_master(now, cause);
        }
    }

    fn become_master(&mut self, now: Instant, cause: Cause) {
        self.master_interval = self.settings.interval;
        self.actions.extend([Action::Send(self.priority), Action::Hold, Action::Announce(Occasion::Takeover)]);
        self.enter(State::Master, cause);
        self.timer = Some(now + self.settings.interval);
    }

    fn become_backup(&mut self, now: Instant, cause: Cause) {
        self.enter(State::Backup, cause);
        self.timer = Some(now + self.master_down());
    }

    fn enter(&mut self, to: State, cause: Cause) {
        let from = std::mem::replace(&mut self.state, to);
        self.cause = cause;
        (self.timer, self.preempt_at, self.heard, self.wants, self.answered) = (None, None, None, None, None);
        (self.lower, self.left, self.answered_leaving) = (false, false, None);
        self.actions.push_back(Action::Enter { from, to, cause });
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
