//! The world: a virtual clock, a network that delays and cuts, a replica, and faults.

mod faults;
mod replica;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use syncd::model::{Epoch, Generation, NodeKey, Op, RelPath};
use syncd::session::{Action, PeerAction, Receiver};
use syncd::wire::{Ack, Hello, Nack, Refusal, VERSION};

use crate::source::{Source, differences};
use crate::tree::{Rng, Tree, edit};

const MS: u64 = 1000;
const SECOND: u64 = 1000 * MS;

/// How long faults and edits go on.
const FAULTS: u64 = 8 * SECOND;

/// How long everything may take to be equal once they are over.
const PATIENCE: u64 = 120 * SECOND;

/// More than this in one run is a storm of retries.
const MAX_SENDS: u64 = 600;

#[derive(Clone)]
enum Event {
    Wake(usize),
    Edit(usize),
    Refresh(usize),
    Persist(usize),
    Start(usize),
    Dialled(u64),
    DialFailed(u64),
    ToReceiver(u64, Request),
    ToSource(u64, Answer),
    SourceSeesClosed(u64),
    ReceiverSeesClosed(u64),
    Staged(u64),
    Committed(u64),
    Fault,
    Operator,
}

#[derive(Clone)]
enum Request {
    Hello,
    Open,
    Compare(Epoch),
    ChangeSet { epoch: Epoch, number: u64, ops: Vec<Op>, approved: bool },
}

#[derive(Clone)]
enum Answer {
    Hello,
    Opened {
        newest: Epoch,
        live: Generation,
    },
    Refused(Refusal),
    /// The whole tree, and how often it had drifted.
    Tree(Tree, u64),
    Drifted,
    Ack(Ack),
    Nack(Nack),
}

/// One connection. Messages keep their order in each direction.
struct Conn {
    source: usize,
    /// When the last message to the receiver, and to the source, arrives.
    arrives: (u64, u64),
    /// Cut: nothing reaches the receiver after this time.
    dead_at: u64,
    source_open: bool,
    receiver_open: bool,
}

/// What is staged or being committed, by connection.
struct Stage {
    generation: Generation,
    ops: Vec<Op>,
    approved: bool,
}

struct Replica {
    machine: Receiver,
    tree: Tree,
    /// The newest epoch that the store holds.
    durable: Epoch,
    stages: BTreeMap<u64, Stage>,
    broken: BTreeSet<RelPath>,
    drifts: u64,
}

pub(crate) struct World {
    rng: Rng,
    base: Instant,
    now: u64,
    count: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sources: Vec<Source>,
    conns: BTreeMap<u64, Conn>,
    replica: Replica,
    full_compare: bool,
    hold_deletions: bool,
    /// Until then nobody can connect; until then the receiver refuses; until then it has no room.
    unreachable: u64,
    refusing: u64,
    full: u64,
    /// The newest epoch that the replica admitted, by the world's own count.
    admitted: Epoch,
    /// The drift that the primary has seen.
    drift_seen: u64,
}

/// Runs one seed; panics with the reason when something that must hold does not.
pub(crate) fn run(seed: u64) {
    let mut world = World::new(seed);
    world.run_until(FAULTS);
    world.calm();
    let end = world.now + PATIENCE;
    while !world.is_done() {
        assert!(world.now < end, "not equal {} s after the last fault: {}", PATIENCE / SECOND, world.describe());
        world.run_until(world.now + SECOND);
    }
    let sent: u64 = world.sources.iter().map(|source| source.sent).sum();
    assert!(sent < MAX_SENDS, "{sent} change sets and dials in one run");
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let two = rng.percent(40);
        let full_compare = two || rng.percent(60);
        let key = |n| NodeKey([n; 32]);
        let mut sources = vec![Source::new(key(1), Epoch::NONE.next(key(1)), full_compare)];
        let mut replica = Replica {
            machine: Receiver::new(Epoch::NONE, Generation::NONE),
            tree: Tree::new(),
            durable: Epoch::NONE,
            stages: BTreeMap::new(),
            broken: BTreeSet::new(),
            drifts: 0,
        };
        if full_compare {
            (0..rng.below(20)).for_each(|_| _ = edit(&mut replica.tree, &mut rng));
        }
        if two {
            let mut second = Source::new(key(2), Epoch { counter: 1 + rng.below(2), node: key(2) }, true);
            second.running = false;
            sources.push(second);
        }
        let hold_deletions = rng.percent(20);
        let mut world = Self {
            rng,
            base: Instant::now(),
            now: 0,
            count: 0,
            queue: BTreeMap::new(),
            sources,
            conns: BTreeMap::new(),
            replica,
            full_compare,
            hold_deletions,
            unreachable: 0,
            refusing: 0,
            full: 0,
            admitted: Epoch::NONE,
            drift_seen: 0,
        };
        for s in 0..world.sources.len() {
            let start = if s == 0 { 0 } else { world.rng.below(FAULTS / 2) };
            world.at(start, Event::Start(s));
            world.at(start, Event::Edit(s));
            world.at(start + 50 * MS, Event::Persist(s));
        }
        world.at(300 * MS, Event::Fault);
        world
    }

    fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.queue.insert((time, self.count), event);
    }

    /// Within `ms` milliseconds.
    fn soon(&mut self, ms: u64, event: Event) {
        let time = self.now + self.rng.below(ms * MS);
        self.at(time, event);
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    fn run_until(&mut self, end: u64) {
        while let Some(first) = self.queue.first_entry()
            && first.key().0 <= end
        {
            let ((time, _), event) = first.remove_entry();
            self.now = time;
            self.handle(event);
            for s in 0..self.sources.len() {
                self.pump(s);
                self.check(s);
            }
        }
        self.now = end;
    }

    fn faulty(&self) -> bool {
        self.now < FAULTS
    }

    fn handle(&mut self, event: Event) {
        let now = self.instant();
        match event {
            Event::Wake(s) => self.sources[s].peer.handle_timeout(now),
            Event::Start(s) => {
                let seed = self.rng.next();
                self.sources[s].restart(now, false, seed);
            }
            Event::Edit(s) if self.faulty() => {
                for _ in 0..=self.rng.below(3) {
                    self.sources[s].edit(&mut self.rng);
                }
                self.soon(20, Event::Refresh(s));
                self.soon(400, Event::Edit(s));
            }
            Event::Refresh(s) => self.sources[s].refresh(now),
            Event::Persist(s) if self.faulty() => {
                self.sources[s].persist();
                self.at(self.now + 100 * MS, Event::Persist(s));
            }
            Event::Fault if self.faulty() => {
                self.fault();
                self.soon(700, Event::Fault);
            }
            Event::Edit(_) | Event::Persist(_) | Event::Fault => {}
            Event::Operator => {
                self.sources.iter_mut().for_each(|source| source.channel.approve());
                self.at(self.now + SECOND, Event::Operator);
            }
            Event::Dialled(conn) => self.with_source(conn, |source| source.peer.handle_dialled(now)),
            Event::DialFailed(conn) => self.with_source(conn, |source| source.peer.handle_closed(now, "unreachable")),
            Event::SourceSeesClosed(conn) => self.source_sees_closed(conn),
            Event::ReceiverSeesClosed(conn) => self.receiver_sees_closed(conn),
            Event::ToReceiver(conn, request) => {
                if self.conns.get(&conn).is_some_and(|c| c.receiver_open && self.now <= c.dead_at) {
                    self.request(conn, request);
                }
            }
            Event::ToSource(conn, answer) => {
                if self.conns.get(&conn).is_some_and(|c| c.source_open && self.now <= c.dead_at) {
                    self.answer(conn, answer);
                }
            }
            Event::Staged(conn) => self.staged(conn),
            Event::Committed(conn) => self.committed(conn),
        }
    }

    /// Calls `f` with the source of `conn` while that is the connection it uses.
    fn with_source(&mut self, conn: u64, f: impl FnOnce(&mut Source)) {
        if let Some(s) = self.conns.get(&conn).map(|c| c.source)
            && self.sources[s].conn == Some(conn)
        {
            f(&mut self.sources[s]);
        }
    }

    // Sources.

    /// Does what the machines of a source ask for.
    fn pump(&mut self, s: usize) {
        let now = self.instant();
        while self.sources[s].running
            && let Some(action) = self.sources[s].peer.poll_action(now)
        {
            match action {
                PeerAction::Dial => self.dial(s),
                PeerAction::SendHello => self.send(s, Request::Hello),
                PeerAction::Close(_) => self.hang_up(s),
            }
        }
        while self.sources[s].running
            && let Some(action) = self.sources[s].channel.poll_action(now)
        {
            self.act(s, action);
        }
        let source = &self.sources[s];
        let due = source.peer.poll_timeout().into_iter().chain(source.channel.poll_timeout()).min();
        if let Some(due) = due.filter(|_| source.running) {
            let micros = due.saturating_duration_since(self.base).as_micros() as u64 + 1;
            let due = micros.max(self.now + 1);
            let known = self.queue.range((self.now, 0)..=(due, u64::MAX));
            if !known.into_iter().any(|(_, event)| matches!(event, Event::Wake(of) if *of == s)) {
                self.at(due, Event::Wake(s));
            }
        }
    }

    fn act(&mut self, s: usize, action: Action) {
        let now = self.instant();
        match action {
            Action::Open => self.send(s, Request::Open),
            Action::Compare => {
                self.sources[s].begin_compare(&mut self.rng);
                let epoch = self.sources[s].channel.epoch();
                self.send(s, Request::Compare(epoch));
            }
            Action::Send(sending) => {
                let source = &mut self.sources[s];
                source.sent += 1;
                let ops = source.change_set(now, &sending, &mut self.rng);
                if ops.is_empty() {
                    return source.channel.handle_empty(now);
                }
                let (epoch, number, approved) = (sending.epoch, sending.number, sending.deletions_approved);
                self.send(s, Request::ChangeSet { epoch, number, ops, approved });
            }
            Action::TakeEpoch { newest } => {
                let source = &mut self.sources[s];
                source.epoch = newest.next(source.key);
                source.channel.handle_epoch(source.epoch);
            }
            Action::CloseLink { cause } => {
                self.hang_up(s);
                self.sources[s].peer.handle_closed(now, &cause);
                self.sources[s].channel.handle_link_down(now, &cause);
            }
        }
    }

    fn dial(&mut self, s: usize) {
        self.count += 1;
        let conn = self.count;
        self.sources[s].conn = Some(conn);
        self.sources[s].sent += 1;
        let reachable = self.now >= self.unreachable;
        let new =
            Conn { source: s, arrives: (0, 0), dead_at: u64::MAX, source_open: reachable, receiver_open: reachable };
        self.conns.insert(conn, new);
        if reachable {
            self.soon(5, Event::Dialled(conn));
        } else if self.rng.percent(50) {
            self.soon(100, Event::DialFailed(conn));
        }
    }

    fn hang_up(&mut self, s: usize) {
        if let Some(conn) = self.sources[s].conn.take() {
            if let Some(conn) = self.conns.get_mut(&conn) {
                conn.source_open = false;
            }
            self.soon(3000, Event::ReceiverSeesClosed(conn));
        }
    }

    fn send(&mut self, s: usize, request: Request) {
        let delay = self.rng.below(20 * MS);
        if let Some(id) = self.sources[s].conn
            && let Some(conn) = self.conns.get_mut(&id)
        {
            conn.arrives.0 = conn.arrives.0.max(self.now + delay);
            let time = conn.arrives.0;
            self.at(time, Event::ToReceiver(id, request));
        }
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        let now = self.instant();
        let s = self.conns[&id].source;
        let source = &mut self.sources[s];
        if source.conn != Some(id) {
            return;
        }
        match answer {
            Answer::Hello => {
                let hello =
                    Hello { version: VERSION, features: Vec::new(), name: "replica".into(), agent: "simulated".into() };
                source.peer.handle_hello(now, NodeKey([9; 32]), hello);
                source.channel.handle_link_up();
            }
            Answer::Opened { newest, live } => source.channel.handle_opened(newest, live),
            Answer::Refused(code) => source.channel.handle_refused(now, code),
            Answer::Tree(tree, drifts) => {
                source.end_compare(now, &tree);
                self.drift_seen = self.drift_seen.max(drifts);
            }
            Answer::Drifted => source.channel.handle_drifted(now),
            Answer::Ack(ack) => source.channel.handle_ack(now, &ack),
            Answer::Nack(nack) => source.channel.handle_nack(now, &nack),
        }
    }

    fn source_sees_closed(&mut self, id: u64) {
        let now = self.instant();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.source_open = false;
        }
        self.with_source(id, |source| {
            source.conn = None;
            source.peer.handle_closed(now, "connection lost");
            source.channel.handle_link_down(now, "connection lost");
        });
    }

    fn calm(&mut self) {
        self.replica.broken.clear();
        self.at(self.now, Event::Operator);
    }

    // What must hold.

    /// Whenever the primary has nothing pending, the replica holds what the primary knows.
    fn check(&self, s: usize) {
        let source = &self.sources[s];
        let primary = source.running && source.epoch == self.admitted && source.channel.is_settled();
        if primary && self.drift_seen == self.replica.drifts && source.is_current() {
            let differences = differences(&source.index, &self.replica.tree);
            assert!(differences.is_empty(), "source {s} has nothing pending, but these differ: {differences:?}");
        }
    }

    fn is_done(&self) -> bool {
        let primary = self.sources.iter().find(|source| source.epoch == self.admitted);
        primary.is_some_and(|p| p.channel.is_settled() && p.is_current() && p.disk == self.replica.tree)
    }

    fn describe(&self) -> String {
        let source = |s: &Source| {
            let (phase, pending, held) = (s.channel.phase(), s.channel.pending(), s.channel.held());
            let differ = differences(&s.index, &self.replica.tree).len();
            format!(
                "[epoch {} {phase:?}, {pending} pending, {held} held, {differ} differ, peer {:?}, fault {:?}]",
                s.epoch,
                s.peer.state(),
                s.channel.fault().map(|fault| &fault.cause)
            )
        };
        format!("newest {}: {}", self.admitted, self.sources.iter().map(source).collect::<String>())
    }
}
