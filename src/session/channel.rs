//! One set on its way to one peer: what the peer does not hold yet, and what is sent next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::action::{Action, Options, Sending};
use super::fault::{self, Fault};
use super::flight::{Fate, Flight, Flown, LeftOut};
use super::names::{Depth, Name, Names};
use super::retry::Backoff;
use crate::model::{Base, Entry, Epoch, Generation, RelPath};
use crate::plan::{Plan, Step};
use crate::wire::{Ack, Failed, Nack, NackCode, Refusal};

/// How many hints of moves are kept; one that is dropped costs bytes, nothing else.
const MAX_MOVES: usize = 100_000;

/// How long a peer may say nothing when it is asked for the set.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Closed,
    /// `limit` is when the peer has to have said something.
    Opening {
        limit: Instant,
    },
    /// `started` is the count of events when the compare began.
    Comparing {
        started: u64,
    },
    Live,
    Fenced {
        newest: Epoch,
    },
}

/// One set on its way to one peer.
///
/// A name is pending from the first event that it may differ until the peer has acknowledged what
/// was sent for it; neither a cut connection nor a refusal nor a failure of either side drops it.
/// With every name goes what the peer is known to hold there. Where that is in doubt (a change set
/// was cut, or the peer missed content) it is [`Base::Unknown`], and the name travels whole.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(super) full_compare: bool,
    pub(super) epoch: Epoch,
    /// The generation that the index has reached.
    number: u64,
    link_up: bool,
    pub(super) state: State,
    pub(super) names: Names,
    moves: Vec<(RelPath, RelPath)>,
    pub(super) flight: Option<Flight>,
    /// Counts the events that touch names.
    events: u64,
    /// A compare is due.
    pub(super) compare: bool,
    /// After refusals and after change sets that the peer could not take.
    pub(super) retry: Backoff,
    /// After compares that failed or that change nothing for the better.
    pub(super) compare_retry: Backoff,
    close: Option<String>,
    /// A newer epoch may be answered by taking another: once for each start and each `resume`.
    pub(super) may_take_epoch: bool,
    pub(super) approved: bool,
    /// Deletions were held back when syncd ended: no change set, behind a compare if one is due, has found out which.
    pub(super) withholds: bool,
    pub(super) acked: Generation,
    /// What a cut change set would have reached: nobody knows whether it did.
    cut: Option<(Epoch, u64)>,
    pub(super) fault: Option<Fault>,
    /// The last attempt failed while the connection stayed.
    pub(super) failing: bool,
}

// What happens to the connection and to the set on it.
impl Channel {
    /// A channel without a connection and without names.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let backoff = |salt| Backoff::new(options.retry_ceiling, options.seed.wrapping_add(salt));
        Self {
            full_compare: options.full_compare,
            epoch: options.epoch,
            number: 0,
            link_up: false,
            state: State::Closed,
            names: Names::default(),
            moves: Vec::new(),
            flight: None,
            events: 0,
            compare: false,
            retry: backoff(0),
            compare_retry: backoff(1),
            close: None,
            may_take_epoch: true,
            approved: false,
            withholds: false,
            acked: options.acked,
            cut: None,
            fault: None,
            failing: false,
        }
    }

    /// The connection to the peer is up.
    pub fn handle_link_up(&mut self) {
        self.link_up = true;
    }

    /// The connection is gone: what was under way is pending again, and in doubt.
    pub fn handle_link_down(&mut self, now: Instant, cause: &str) {
        if !std::mem::take(&mut self.link_up) {
            return;
        }
        // Where the set was refused, that the link went after it says nothing new.
        if !self.is_refused() {
            self.blame(now, cause.to_owned());
        }
        self.compare_is_due_again();
        self.state = State::Closed;
        self.close = None;
        if let Some(flight) = self.flight.take() {
            self.cut = Some((flight.epoch, flight.number));
            self.lose(now, flight);
        }
    }

    /// The peer could not be reached at all.
    pub fn handle_unreachable(&mut self, now: Instant, cause: &str) {
        if !self.link_up {
            self.blame(now, cause.to_owned());
        }
    }

    /// Whether an attempt to reach the peer, or to open the set there, came to nothing.
    pub(super) fn failed_to_open(&self) -> bool {
        self.fault.is_some() && (!self.link_up || self.retry.due().is_some())
    }

    /// Whether the peer refused the set on the connection that is up, and is to be asked again.
    fn is_refused(&self) -> bool {
        matches!(self.state, State::Closed) && self.retry.due().is_some() && self.fault.is_some()
    }

    /// The peer opened the set: the newest epoch it has seen, and the generation that is live.
    pub fn handle_opened(&mut self, newest: Epoch, generation: Generation) {
        if !matches!(self.state, State::Opening { .. }) {
            return;
        }
        self.state = State::Live;
        self.failing = false;
        let at = |g: Generation| (g.epoch, g.number);
        let expected = at(generation) == at(self.acked) || Some(at(generation)) == self.cut;
        // Else somebody wrote there since, or it lost what it had.
        if self.full_compare || !expected {
            self.compare = true;
        }
        self.cut = None;
        if generation.epoch == self.epoch {
            self.acked = generation;
            self.handle_generation(generation.number);
        }
        if newest > self.epoch {
            self.state = State::Fenced { newest };
        }
    }

    /// The peer says that it is at work: a commit may have to end before it can answer.
    pub fn handle_working(&mut self, now: Instant) {
        if let State::Opening { limit } = &mut self.state {
            *limit = now + OPEN_LIMIT;
        }
    }

    /// The peer refused the set. It is asked again after a backoff, for ever; other sets of the
    /// same connection go on.
    pub fn handle_refused(&mut self, now: Instant, code: Refusal) {
        // After a few wrong passwords the peer says for a while no more than that it is busy.
        let wrong = fault::refusal(Refusal::WrongPassword);
        let throttled = code == Refusal::Busy && self.fault.as_ref().is_some_and(|f| f.cause == wrong);
        let cause = if throttled { wrong } else { fault::refusal(code) };
        self.handle_failed(now, cause);
    }

    /// The set is not open at the peer, or no longer: what was under way is pending again, and in
    /// doubt. The peer is asked again after a backoff, as where it refuses.
    pub fn handle_failed(&mut self, now: Instant, cause: &str) {
        if !self.link_up {
            return;
        }
        if let Some(flight) = self.flight.take() {
            self.lose(now, flight);
        }
        self.compare_is_due_again();
        self.state = State::Closed;
        self.blame(now, cause.to_owned());
        self.retry.fail(now);
    }

    /// Another carrier takes over: the connection ends, and nobody is to blame. What is at the peer
    /// is compared, since neither carrier knows what the other left there.
    pub fn handle_carrier(&mut self, now: Instant) {
        let fault = self.fault.take();
        self.handle_link_down(now, "another carrier takes over");
        self.fault = fault;
        self.retry.reset();
        self.request_compare();
    }

    /// The source has this epoch now, persisted.
    pub fn handle_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        if let State::Fenced { newest } = self.state
            && epoch > newest
        {
            // Another primary wrote there: nothing is known of what the peer holds.
            self.state = State::Live;
            self.compare = true;
        }
    }
}

// What differs.
impl Channel {
    /// The index has reached this generation.
    pub fn handle_generation(&mut self, number: u64) {
        self.number = self.number.max(number);
    }

    /// `path` may differ from what the peer holds. `base` is what the index held before, which
    /// counts only if the peer had acknowledged that: the first base since stays.
    pub fn handle_dirty(&mut self, now: Instant, path: RelPath, base: Base) {
        self.events += 1;
        let flying = self.flight.as_ref().is_some_and(|flight| flight.names.contains_key(&path));
        // What the peer will hold is known once the change set that carries it is acknowledged.
        let base = if flying { Base::Unknown } else { base };
        self.names.touch(path, Name::new(now, self.events, base));
    }

    /// Compares leave these paths alone, at which the peer differs: until an event tells of one, or
    /// of something below it, what the peer holds there is nobody's business.
    pub fn leave_alone(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.names.leave_alone(paths);
    }

    /// Whether the peer is owed `path`.
    #[must_use]
    pub fn owes(&self, path: &RelPath) -> bool {
        self.names.contains(path) || self.flight.as_ref().is_some_and(|flight| flight.names.contains_key(path))
    }

    /// A hint: what was at `from` was seen at `to`.
    pub fn handle_moved(&mut self, from: RelPath, to: RelPath) {
        if self.moves.len() < MAX_MOVES {
            self.moves.push((from, to));
        }
    }

    /// A name of the retry log, pending since `since`; what the peer holds there is unknown.
    pub fn restore(&mut self, path: RelPath, since: Instant, fault: Option<Fault>) {
        self.events += 1;
        let name = Name { fault, ..Name::new(since, self.events, Base::Unknown) };
        self.names.touch(path, name);
    }

    /// A compare that was asked for is due: the peer's tree was changed by somebody else, or an
    /// operator wants it.
    pub fn request_compare(&mut self) {
        self.compare = true;
    }

    /// The peer found its tree changed by somebody else.
    pub fn handle_drifted(&mut self, now: Instant) {
        self.request_compare();
        self.compare_retry.fail(now);
    }

    /// The compare is done: these paths differ, each with what the peer holds there. Names that
    /// are not among them are equal, unless they were touched after it began.
    pub fn handle_compared(&mut self, now: Instant, differences: Vec<(RelPath, Option<Entry>)>) {
        self.end_compare(now, differences, Depth::Content);
    }

    /// The same, of a compare that looked at sizes and times only. What is pending by an event, from
    /// the retry log or by a compare of content may be unlike in content alone: it stays, in doubt.
    pub fn handle_glanced(&mut self, now: Instant, differences: Vec<(RelPath, Option<Entry>)>) {
        self.end_compare(now, differences, Depth::Glance);
    }

    fn end_compare(&mut self, now: Instant, differences: Vec<(RelPath, Option<Entry>)>, depth: Depth) {
        let State::Comparing { started } = self.state else { return };
        self.state = State::Live;
        self.failing = false;
        let equal = differences.is_empty();
        if equal {
            self.compare_retry.reset();
        }
        self.names.compared(now, started, differences.into_iter().collect(), depth);
        // What was held back went another way, or came back.
        self.withholds &= !equal || depth == Depth::Glance || self.names.len() > 0;
    }

    /// The compare failed while the connection stayed: again after a backoff.
    pub fn handle_compare_failed(&mut self, now: Instant, cause: &str) {
        if !matches!(self.state, State::Comparing { .. }) {
            return;
        }
        self.compare_is_due_again();
        self.compare_retry.fail(now);
        self.failing = true;
        self.blame(now, cause.to_owned());
    }

    fn compare_is_due_again(&mut self) {
        if let State::Comparing { .. } = self.state {
            self.state = State::Live;
            self.request_compare();
        }
    }
}

// What became of the change set that is under way.
impl Channel {
    /// The change set that is under way was planned. Removals that the plan withholds are pending
    /// until `approve` or `resume`.
    pub fn handle_planned(&mut self, plan: &Plan) {
        let Some(flight) = &mut self.flight else { return };
        for path in &plan.withheld {
            flight.report(path, Fate::Withheld);
        }
        flight.removed.extend(plan.steps.iter().filter_map(|step| match step {
            Step::Remove { path, .. } => Some(path.clone()),
            Step::Rename { .. } | Step::Put(_) => None,
        }));
    }

    /// The change set that is under way leaves `entry` at `path`; none when the path is gone. Also
    /// to be said of names for which nothing had to be sent.
    pub fn handle_sent(&mut self, path: &RelPath, entry: Option<Entry>) {
        self.report(path, Fate::Sent(entry));
    }

    /// `path` is left out: it could not be read, or changed all the while. It stays pending, with
    /// a backoff of its own.
    pub fn handle_unsendable(&mut self, now: Instant, path: &RelPath, cause: &str) {
        if !self.report(path, Fate::Unsendable(cause.to_owned())) {
            let due = now + self.retry.delay(0);
            let name = Name::new(now, self.events, Base::Unknown);
            self.fail_name(now, path.clone(), name, cause.to_owned(), due);
        }
    }

    /// `path` was sent, and what the peer holds there once the change set is live cannot be told: it is
    /// sent once more.
    pub fn handle_doubtful(&mut self, path: &RelPath) {
        self.report(path, Fate::Doubtful);
    }

    /// Nothing is sent for `path`, and nothing is owed there any more: the peer keeps what it holds.
    pub fn handle_kept(&mut self, path: &RelPath) {
        self.report(path, Fate::Kept);
    }

    /// How often `path`, which is under way, has failed before, one time after the other.
    pub fn failures(&self, path: &RelPath) -> u32 {
        self.flight.as_ref().and_then(|flight| flight.names.get(path)).map_or(0, |flown| flown.name.failures)
    }

    /// The change set came out empty and was not sent.
    pub fn handle_empty(&mut self, now: Instant) {
        if let Some(flight) = self.flight.take() {
            self.retry.reset();
            self.failing = false;
            self.settle(now, flight, &[], false);
        }
    }

    /// The change set is live at the peer.
    pub fn handle_ack(&mut self, now: Instant, ack: &Ack) {
        let Some(flight) = self.flight.take() else { return };
        let reached = (ack.generation.epoch, ack.generation.number);
        if reached != (flight.epoch, flight.number) {
            self.lose(now, flight);
            return self.break_link(now, format!("the peer acknowledged generation {}, not sent", ack.generation));
        }
        self.acked = ack.generation;
        self.retry.reset();
        self.failing = false;
        if flight.approved {
            self.approved = false;
        }
        let complete = ack.failed.is_empty() && ack.deletions_held == 0;
        match ack.root_matches {
            Some(true) => self.compare_retry.reset(),
            Some(false) if complete => self.handle_drifted(now),
            _ => {}
        }
        self.settle(now, flight, &ack.failed, ack.deletions_held > 0);
    }

    /// Nothing of the change set is live at the peer; or it refused the compare.
    pub fn handle_nack(&mut self, now: Instant, nack: &Nack) {
        if self.flight.is_none() && !matches!(self.state, State::Comparing { .. }) {
            return;
        }
        self.blame(now, format!("the peer refused: {}", nack.cause));
        self.failing = true;
        self.retry.fail(now);
        self.compare_is_due_again();
        if let Some(flight) = self.flight.take() {
            match nack.code {
                NackCode::ContentNeeded => self.doubt(now, flight, &nack.paths),
                NackCode::Local | NackCode::OlderEpoch => self.take_back(flight, |_| false),
                NackCode::Protocol => self.lose(now, flight),
            }
        }
        match nack.code {
            NackCode::ContentNeeded => {}
            NackCode::Local => _ = self.compare_retry.fail(now),
            NackCode::OlderEpoch if nack.newest > self.epoch => self.state = State::Fenced { newest: nack.newest },
            // The epoch was taken while the change set of the one before was under way.
            NackCode::OlderEpoch => {}
            NackCode::Protocol => self.break_link(now, format!("the peer closes: {}", nack.cause)),
        }
    }

    fn report(&mut self, path: &RelPath, fate: Fate) -> bool {
        self.flight.as_mut().is_some_and(|flight| flight.report(path, fate))
    }

    /// Makes what was under way pending again; of which names the base is in doubt, `doubted` says.
    fn take_back(&mut self, flight: Flight, doubted: impl Fn(&RelPath) -> bool) {
        for (path, Flown { mut name, .. }) in flight.names {
            if doubted(&path) {
                name.base = Base::Unknown;
            }
            self.names.put_back(path, name, None);
        }
        let later = std::mem::replace(&mut self.moves, flight.moves);
        self.moves.extend(later);
    }

    /// Nobody knows what became of the change set: whatever it was about is in doubt.
    fn lose(&mut self, now: Instant, flight: Flight) {
        for path in flight.removed_besides() {
            self.names.touch(path, Name::new(now, self.events, Base::Unknown));
        }
        self.names.doubt(|path| flight.takes(path));
        self.take_back(flight, |_| true);
    }

    /// The peer misses content at `paths`, or somewhere: they travel whole.
    fn doubt(&mut self, now: Instant, flight: Flight, paths: &[RelPath]) {
        let paths: BTreeSet<_> = paths.iter().collect();
        for path in paths.iter().filter(|path| !flight.names.contains_key(path)) {
            self.events += 1;
            self.names.touch((*path).clone(), Name::new(now, self.events, Base::Unknown));
        }
        self.take_back(flight, |path| paths.is_empty() || paths.contains(path));
    }

    fn settle(&mut self, now: Instant, flight: Flight, failed: &[Failed], held: bool) {
        self.withholds &= self.compare;
        // Names that failed together are due together: one change set, not one for each.
        let mut dues = BTreeMap::new();
        let mut due =
            |retry: &mut Backoff, failures| *dues.entry(failures).or_insert_with(|| now + retry.delay(failures));
        for Failed { path, cause, .. } in failed.iter().filter(|failed| !flight.names.contains_key(&failed.path)) {
            let (name, due) = (Name::new(now, self.events, Base::Unknown), due(&mut self.retry, 0));
            self.fail_name(now, path.clone(), name, cause.clone(), due);
        }
        for path in flight.removed_besides().into_iter().filter(|_| held) {
            self.names.hold(path, Name::new(now, self.events, Base::Unknown));
        }
        self.names.doubt(|path| flight.takes(path));
        // What was renamed and then left out is not where its base says.
        let moved = !flight.moves.is_empty();
        let left_out = LeftOut::new(failed, &flight);
        let held: BTreeSet<_> = flight.names.keys().filter(|path| held && flight.removes(path)).cloned().collect();
        for (path, Flown { mut name, fate }) in flight.names {
            let sent = matches!(fate, Fate::Sent(_) | Fate::Doubtful);
            let cause = left_out.cause(&path, &fate);
            if (sent && cause.is_some()) || (!sent && moved) {
                name.base = Base::Unknown;
            }
            match (cause, fate) {
                (Some(cause), _) => {
                    let due = due(&mut self.retry, name.failures);
                    self.fail_name(now, path, name, cause.to_owned(), due);
                }
                (None, Fate::Doubtful) => {
                    name.base = Base::Unknown;
                    self.names.put_back(path, name, None);
                }
                (None, Fate::Sent(entry)) if entry.is_some() || !held.contains(&path) => {
                    self.names.rebase(&path, Base::Known(entry));
                }
                (None, Fate::Kept) => self.names.rebase(&path, name.base),
                (None, _) => self.names.hold(path, name),
            }
        }
    }

    fn fail_name(&mut self, now: Instant, path: RelPath, mut name: Name, cause: String, due: Instant) {
        self.blame(now, format!("{path}: {cause}"));
        name.failures = name.failures.saturating_add(1);
        name.fault = Some(Fault { at: now, cause });
        self.names.put_back(path, name, Some(due));
    }

    fn break_link(&mut self, now: Instant, cause: String) {
        self.blame(now, cause.clone());
        self.close = Some(cause);
    }

    fn blame(&mut self, now: Instant, cause: String) {
        self.fault = Some(Fault { at: now, cause });
    }
}

// What comes next.
impl Channel {
    /// What to do next; to be called until it returns none.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if let Some(cause) = self.close.take() {
            return Some(Action::CloseLink { cause });
        }
        self.names.wake(now);
        match self.state {
            State::Opening { limit } if limit <= now => {
                let cause =
                    format!("the peer did not answer within {} s whether it opens the set", OPEN_LIMIT.as_secs());
                self.blame(now, cause.clone());
                Some(Action::CloseLink { cause })
            }
            State::Closed if self.link_up && self.retry.is_due(now) => {
                self.state = State::Opening { limit: now + OPEN_LIMIT };
                Some(Action::Open)
            }
            State::Fenced { newest } if std::mem::take(&mut self.may_take_epoch) => Some(Action::TakeEpoch { newest }),
            State::Live if self.flight.is_none() => self.next(now),
            _ => None,
        }
    }

    /// When to call [`Channel::poll_action`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed if self.link_up => self.retry.due(),
            State::Opening { limit } => Some(limit),
            State::Live if self.flight.is_none() => {
                let compare = self.compare_retry.due().filter(|_| self.compare);
                let send = if self.names.has_ready() {
                    self.retry.due()
                } else {
                    self.names.wake_at().map(|wake| self.retry.due().map_or(wake, |due| due.max(wake)))
                };
                compare.into_iter().chain(send).min()
            }
            _ => None,
        }
    }

    fn next(&mut self, now: Instant) -> Option<Action> {
        if self.compare && self.compare_retry.is_due(now) {
            self.compare = false;
            self.state = State::Comparing { started: self.events };
            return Some(Action::Compare);
        }
        (self.names.has_ready() && self.retry.is_due(now)).then(|| self.send())
    }

    fn send(&mut self) -> Action {
        let moves = std::mem::take(&mut self.moves);
        // A directory moves with all that the peer holds in it.
        self.names.rouse(&moves.iter().map(|(from, _)| from).collect());
        let names = self.names.take();
        // What is live at the peer has that number: another state needs another one, also when the
        // index began to count anew.
        self.number = self.number.max(self.acked.number + 1);
        let sending = Sending {
            epoch: self.epoch,
            number: self.number,
            names: names.iter().map(|(path, name)| (path.clone(), name.base.clone())).collect(),
            moves: moves.clone(),
            deletions_approved: self.approved,
            withholds: self.withholds,
        };
        let fly = |(path, name)| (path, Flown { name, fate: Fate::Unreported });
        self.flight = Some(Flight {
            epoch: self.epoch,
            number: self.number,
            names: names.into_iter().map(fly).collect(),
            moves,
            removed: BTreeSet::new(),
            approved: self.approved,
        });
        Action::Send(sending)
    }
}
