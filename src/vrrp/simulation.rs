//! Two to five routers on one link, through random loss, delay, crashes, pauses and partitions: once it is
//! quiet there is one master, it stays, and a takeover is within the bound of the RFC.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet::Version;
use super::router::{Action, Router, Settings, State};

/// How many schedules are tried; each has its number for a seed.
const SCHEDULES: u64 = 100_000;

const MS: Duration = Duration::from_millis(1);

/// SplitMix64: the same numbers for the same seed, for ever.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

struct Node {
    router: Router,
    settings: Settings,
    alive: bool,
    paused_until: Instant,
    side: u64,
}

/// An advertisement under way.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Packet {
    at: Instant,
    number: u64,
    to: usize,
    from: usize,
    priority: u8,
}

struct World {
    random: Random,
    now: Instant,
    nodes: Vec<Node>,
    packets: BinaryHeap<Reverse<Packet>>,
    sent: u64,
    chaos: bool,
    partitioned: bool,
    transitions: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 2 + random.below(4);
        let version = if random.chance(50) { Version::V2 } else { Version::V3 };
        let interval = if version == Version::V2 { 1000 * MS } else { 100 * MS };
        let (preempt, equal) = (random.chance(70), random.chance(20));
        let now = Instant::now();
        let nodes = (0..count)
            .map(|n| {
                let priority = if equal { 100 } else { u8::try_from(100 + n * 20 + random.below(10)).expect("small") };
                let settings = Settings {
                    version,
                    interval,
                    priority,
                    preempt,
                    preempt_delay: Duration::ZERO,
                    down_adverts: 3,
                    answers_lower: true,
                    grouped: false,
                    source: IpAddr::from([10, 0, 0, u8::try_from(n).expect("small")]),
                };
                Node { router: Router::new(settings.clone()), settings, alive: false, paused_until: now, side: 0 }
            })
            .collect();
        let (chaos, partitioned) = (true, false);
        Self { random, now, nodes, packets: BinaryHeap::new(), sent: 0, chaos, partitioned, transitions: 0 }
    }

    fn start(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.router = Router::new(node.settings.clone());
        node.alive = true;
        node.router.handle_start(self.now);
        self.act(n);
    }

    fn act(&mut self, n: usize) {
        while let Some(action) = self.nodes[n].router.poll_action() {
            match action {
                Action::Send(priority) => self.send(n, priority),
                Action::Enter { .. } => self.transitions += 1,
                _ => {}
            }
        }
    }

    fn send(&mut self, from: usize, priority: u8) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if self.chaos && self.random.chance(30) {
                continue;
            }
            let longest = if self.chaos { 400 } else { 2 };
            let at = self.now + MS * u32::try_from(self.random.below(longest)).expect("small");
            self.sent += 1;
            self.packets.push(Reverse(Packet { at, number: self.sent, to, from, priority }));
        }
    }

    /// Something happens to a node, or to the link.
    fn upset(&mut self) {
        let n = usize::try_from(self.random.below(self.nodes.len() as u64)).expect("small");
        match self.random.below(6) {
            0 if self.nodes[n].alive => self.nodes[n].alive = false,
            0 | 1 if !self.nodes[n].alive => self.start(n),
            1 => {
                self.nodes[n].router.handle_stop();
                self.act(n);
                self.nodes[n].alive = false;
            }
            2 => {
                let pause = MS * u32::try_from(self.random.below(5000)).expect("small");
                self.nodes[n].paused_until = self.now + pause;
            }
            3 => {
                self.partitioned = !self.partitioned;
                for node in &mut self.nodes {
                    node.side = self.random.next() % 2;
                }
            }
            4 => {
                let priority = u8::try_from(1 + self.random.below(254)).expect("small");
                if self.nodes[n].alive {
                    self.nodes[n].router.handle_priority(priority);
                }
            }
            _ => {
                let failed = self.random.chance(50);
                if self.nodes[n].alive {
                    self.nodes[n].router.handle_failed(self.now, failed);
                    self.act(n);
                }
            }
        }
    }

    /// Runs until `end`.
    fn run(&mut self, end: Instant) {
        loop {
            let packet = self.packets.peek().map(|Reverse(packet)| packet.at);
            let timers = self.nodes.iter().enumerate().filter(|(_, node)| node.alive);
            let timer =
                timers.filter_map(|(n, node)| Some((node.router.poll_timeout()?.max(node.paused_until), n))).min();
            let next = packet.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if packet == Some(next) {
                if let Some(Reverse(packet)) = self.packets.pop() {
                    self.deliver(packet);
                }
            } else if let Some((_, n)) = timer {
                self.nodes[n].router.handle_timeout(self.now);
                self.act(n);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, packet: Packet) {
        let cut = self.partitioned && self.nodes[packet.from].side != self.nodes[packet.to].side;
        let interval = self.nodes[packet.from].settings.interval;
        let source = self.nodes[packet.from].settings.source;
        let node = &mut self.nodes[packet.to];
        if !node.alive || cut {
            return;
        }
        if node.paused_until > self.now {
            // It lies in the socket until the node goes on.
            self.packets.push(Reverse(Packet { at: node.paused_until, ..packet }));
            return;
        }
        node.router.handle_advert(self.now, source, packet.priority, interval);
        self.act(packet.to);
    }

    fn masters(&self) -> Vec<usize> {
        let is_master = |n: &usize| self.nodes[*n].alive && self.nodes[*n].router.state() == State::Master;
        (0..self.nodes.len()).filter(is_master).collect()
    }

    /// The longest that anybody waits for a master.
    fn down(&self) -> Duration {
        let interval = self.nodes[0].settings.interval;
        let skew = if self.nodes[0].settings.version == Version::V2 { 1000 * MS } else { interval };
        interval * 3 + skew
    }
}

fn schedule(seed: u64) {
    let mut world = World::new(seed);
    for n in 0..world.nodes.len() {
        world.start(n);
    }
    for _ in 0..8 {
        let pause = MS * u32::try_from(world.random.below(3000)).expect("small");
        world.run(world.now + pause);
        world.upset();
    }
    // From now on nothing is lost and everybody is well.
    world.chaos = false;
    world.partitioned = false;
    let under_way = std::mem::take(&mut world.packets).into_iter();
    world.packets = under_way.map(|Reverse(packet)| Reverse(Packet { at: world.now, ..packet })).collect();
    for n in 0..world.nodes.len() {
        world.nodes[n].paused_until = world.now;
        if !world.nodes[n].alive {
            world.start(n);
        }
        world.nodes[n].router.handle_failed(world.now, false);
        world.act(n);
        let priority = world.nodes[n].settings.priority;
        world.nodes[n].router.handle_priority(priority);
    }
    world.run(world.now + 3 * world.down() + 500 * MS);
    let masters = world.masters();
    assert_eq!(masters.len(), 1, "seed {seed}: masters {masters:?} once it is quiet");
    let master = masters[0];
    let rank = |n: usize| (world.nodes[n].router.priority(), world.nodes[n].settings.source);
    if world.nodes[0].settings.preempt {
        let best = (0..world.nodes.len()).map(|n| rank(n).0).max();
        assert_eq!(Some(rank(master).0), best, "seed {seed}: one of lower priority stayed master");
    }
    let before = world.transitions;
    world.run(world.now + 10 * world.down());
    assert_eq!((world.masters(), world.transitions), (vec![master], before), "seed {seed}: it does not stay quiet");
    // The master dies: the best of the others is next, within three intervals and its own skew.
    world.nodes[master].alive = false;
    let heirs = (0..world.nodes.len()).filter(|n| *n != master);
    let best = heirs.map(|n| world.nodes[n].router.priority()).max().expect("two nodes");
    let interval = world.nodes[0].settings.interval;
    let whole = if world.nodes[0].settings.version == Version::V2 { 1000 * MS } else { interval };
    world.run(world.now + interval * 3 + whole * (256 - u32::from(best)) / 256 + 5 * MS);
    assert!(!world.masters().is_empty(), "seed {seed}: nobody took over in time");
    world.run(world.now + world.down());
    assert_eq!(world.masters().len(), 1, "seed {seed}: {:?} took over", world.masters());
}

#[test]
fn there_is_one_master_once_it_is_quiet_whatever_happened_before() {
    for seed in 0..SCHEDULES {
        schedule(seed);
    }
}
