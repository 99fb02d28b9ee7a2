//! Two nodes with a group on two links, and the leases of their kernels, through loss, partitions, crashes, pauses and
//! people: once it is quiet one node is master of the whole group, and its kernel alone has the addresses.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::vrrp::packet::{Auth, Version};
use crate::vrrp::setup::{Address, SyncGroup};
use crate::vrrp::simulation::Random;

/// How many schedules are tried; each has its number for a seed.
const SCHEDULES: u64 = 3_000;

const MS: Duration = Duration::from_millis(1);

/// How long an address stays that nobody refreshes.
const LEASE: Duration = Duration::from_secs(3);

/// The interfaces, each on a link of its own, with the identifier of the instance there.
const LINKS: [(&str, u8); 2] = [("eth0", 51), ("eth1", 52)];

/// What is under way to a node.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Packet { link: usize, from: usize, bytes: Vec<u8> },
    AddressCame { link: usize, ip: IpAddr },
    AddressGone { link: usize, ip: IpAddr },
}

/// An event, when it comes, its number, and to whom.
type Coming = (Instant, u64, usize, Event);

struct Node {
    setup: Setup,
    /// None while nothing runs there.
    machine: Option<Machine>,
    /// What the supervisor knows of its instances.
    lives: BTreeMap<String, Life>,
    /// Whether the interfaces have a carrier.
    up: [bool; 2],
    /// What the kernel has, and until when.
    addresses: Vec<(Held, Instant)>,
    paused_until: Instant,
}

struct World {
    seed: u64,
    random: Random,
    begun: Instant,
    now: Instant,
    nodes: Vec<Node>,
    coming: BinaryHeap<Reverse<Coming>>,
    number: u64,
    chaos: bool,
    /// Which links carry nothing from one node to the other.
    cut: [bool; 2],
    transitions: u64,
}

fn own_address(link: usize, node: usize) -> IpAddr {
    IpAddr::from([10, 0, u8::try_from(link).expect("small"), u8::try_from(11 + node).expect("small")])
}

fn instance(link: usize, node: usize, version: Version, preempt: bool) -> Instance {
    let (interface, vrid) = LINKS[link];
    let virtual_address = Address::new(IpAddr::from([10, 0, u8::try_from(link).expect("small"), 50]), 24);
    Instance {
        version,
        interval: if version == Version::V2 { 1000 * MS } else { 100 * MS },
        priority: if node == 0 { 150 } else { 100 },
        preempt,
        auth: if version == Version::V2 { Auth::Pass(*b"1111\0\0\0\0") } else { Auth::None },
        ..Instance::new(&format!("VI_{vrid}"), interface, vrid, vec![virtual_address])
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let version = if random.chance(50) { Version::V2 } else { Version::V3 };
        let (preempt, grouped) = (random.chance(70), random.chance(80));
        let now = Instant::now();
        let node = |node| {
            let instances: Vec<_> = (0..2).map(|link| instance(link, node, version, preempt)).collect();
            let members = instances.iter().map(|instance| instance.name.clone()).collect();
            let group = SyncGroup { name: "G".to_owned(), members, ..SyncGroup::default() };
            let groups = if grouped { vec![group] } else { Vec::new() };
            let setup = Setup { instances, groups, lease: Some(LEASE), ..Setup::default() };
            let (machine, lives, addresses) = (None, BTreeMap::new(), Vec::new());
            Node { setup, machine, lives, up: [true; 2], addresses, paused_until: now }
        };
        Self {
            seed,
            random,
            begun: now,
            now,
            nodes: (0..2).map(node).collect(),
            coming: BinaryHeap::new(),
            number: 0,
            chaos: true,
            cut: [false; 2],
            transitions: 0,
        }
    }

    fn clock(&self) -> Clock {
        let passed = self.now - self.begun;
        let nanoseconds = u64::try_from(passed.as_nanos()).expect("small");
        let unix_ms = 1_700_000_000_000 + nanoseconds / 1_000_000;
        Clock { at: self.now, monotonic: 1_000_000_000_000 + nanoseconds, unix_ms }
    }

    /// A process begins, where another ended politely or with its host, or goes on where it was killed.
    fn start(&mut self, n: usize, lives: Vec<Life>) {
        let clock = self.clock();
        let node = &mut self.nodes[n];
        let mut interfaces = Interfaces::default();
        for (link, index) in [(0, 1), (1, 2)] {
            interfaces.set_link(known(link, n, node.up[link]));
            interfaces.add_address(index, own_address(link, n), 24);
            let there = node.addresses.iter().filter(|(held, _)| held.interface == LINKS[link].0);
            there.for_each(|(held, _)| {
                interfaces.add_address(index, held.address.ip, held.address.prefix);
            });
        }
        let before = Before { lives, ..Before::default() };
        node.machine = Some(Machine::new(clock, node.setup.clone(), before, interfaces));
        self.with(n, Machine::handle_timeout);
    }

    /// Has something happen to the process of a node that runs.
    fn with(&mut self, n: usize, happen: impl FnOnce(&mut Machine, Instant)) {
        if let Some(machine) = &mut self.nodes[n].machine {
            happen(machine, self.now);
            self.act(n);
            self.check_group(n);
        }
    }

    /// A group is master as a whole or not at all, whatever happens.
    fn check_group(&self, n: usize) {
        let Some(machine) = self.nodes[n].machine.as_ref().filter(|_| !self.nodes[n].setup.groups.is_empty()) else {
            return;
        };
        let masters = machine.instances.values().filter(|running| running.router.state() == State::Master).count();
        assert!([0, 2].contains(&masters), "seed {}: node {n} is master of one of two", self.seed);
    }

    fn act(&mut self, n: usize) {
        while let Some(action) = self.nodes[n].machine.as_mut().and_then(Machine::poll_action) {
            match action {
                Action::Send { instance, bytes, .. } => self.send(n, instance, &bytes),
                Action::Put { instance, held } => held.iter().for_each(|held| self.put(n, instance, held)),
                Action::Refresh { held, .. } => held.iter().for_each(|held| self.lend(n, held)),
                Action::Take { held, .. } => held.iter().for_each(|held| self.lose(n, held)),
                Action::Tell(FromVrrp::Life(life)) => {
                    self.nodes[n].lives.insert(life.instance.clone(), life);
                }
                Action::Tell(FromVrrp::Report(Report::Transition { .. })) => self.transitions += 1,
                _ => {}
            }
        }
    }

    fn send(&mut self, from: usize, id: Id, bytes: &[u8]) {
        let machine = self.nodes[from].machine.as_ref().expect("it sends");
        let (_, setup) = machine.instances().find(|(known, _)| *known == id).expect("its own");
        let link = usize::from(setup.interface == LINKS[1].0);
        let to = 1 - from;
        if !self.nodes[from].up[link] || self.cut[link] || self.chaos && self.random.chance(20) {
            return;
        }
        let longest = if self.chaos { 300 } else { 2 };
        let after = MS * u32::try_from(self.random.below(longest)).expect("small");
        self.come(after, to, Event::Packet { link, from, bytes: bytes.to_vec() });
    }

    fn come(&mut self, after: Duration, to: usize, event: Event) {
        self.number += 1;
        self.coming.push(Reverse((self.now + after, self.number, to, event)));
    }

    fn put(&mut self, n: usize, id: Id, held: &Held) {
        let there = self.nodes[n].addresses.iter().any(|(there, _)| there == held);
        let put = if there { Put::There } else { Put::New };
        if put == Put::New {
            self.lend(n, held);
        }
        let now = self.now;
        if let Some(machine) = &mut self.nodes[n].machine {
            machine.handle_puts(now, id, vec![(held, put, None)]);
        }
    }

    /// The kernel has an address for another while.
    fn lend(&mut self, n: usize, held: &Held) {
        let until = self.now + LEASE;
        let addresses = &mut self.nodes[n].addresses;
        if let Some((_, end)) = addresses.iter_mut().find(|(there, _)| there == held) {
            *end = until;
            return;
        }
        addresses.push((held.clone(), until));
        let link = usize::from(held.interface == LINKS[1].0);
        self.come(Duration::ZERO, n, Event::AddressCame { link, ip: held.address.ip });
    }

    /// The kernel has it no more.
    fn lose(&mut self, n: usize, held: &Held) {
        self.nodes[n].addresses.retain(|(there, _)| there != held);
        let link = usize::from(held.interface == LINKS[1].0);
        self.come(Duration::ZERO, n, Event::AddressGone { link, ip: held.address.ip });
    }

    /// Something happens.
    fn upset(&mut self) {
        let n = usize::try_from(self.random.below(2)).expect("small");
        let link = usize::try_from(self.random.below(2)).expect("small");
        match self.random.below(9) {
            0 => self.nodes[n].machine = None,
            1 if self.nodes[n].machine.is_none() => self.start(n, Vec::new()),
            1 | 2 => self.stop(n),
            // Killed, and another goes on where it was.
            3 if self.nodes[n].machine.take().is_some() => {
                let lives = self.nodes[n].lives.values().cloned().collect();
                self.start(n, lives);
            }
            4 => self.nodes[n].paused_until = self.now + MS * u32::try_from(self.random.below(6000)).expect("small"),
            5 => self.cut[link] = !self.cut[link],
            6 => {
                let up = !self.nodes[n].up[link];
                self.carrier(n, link, up);
            }
            // Somebody deletes an address by hand.
            7 => {
                if let Some((held, _)) = self.nodes[n].addresses.first().cloned() {
                    self.lose(n, &held);
                }
            }
            _ => self.reload(n),
        }
    }

    fn stop(&mut self, n: usize) {
        self.with(n, Machine::handle_stop);
        self.nodes[n].machine = None;
    }

    fn carrier(&mut self, n: usize, link: usize, up: bool) {
        self.nodes[n].up[link] = up;
        self.with(n, |machine, now| machine.handle_link(now, known(link, n, up)));
    }

    /// Another priority for one of the instances, or all as it was.
    fn reload(&mut self, n: usize) {
        let mut setup = self.nodes[n].setup.clone();
        if self.random.chance(50) {
            setup.instances[0].priority = u8::try_from(1 + self.random.below(254)).expect("small");
        }
        self.with(n, |machine, now| machine.handle_reload(now, setup));
    }

    /// Runs until `end`.
    fn run(&mut self, end: Instant) {
        while let Some((next, what)) = self.next().filter(|(next, _)| *next <= end) {
            self.now = self.now.max(next);
            match what {
                Next::Coming => {
                    if let Some(Reverse((_, number, to, event))) = self.coming.pop() {
                        self.deliver(number, to, event);
                    }
                }
                Next::LeaseEnds(n) => {
                    let (held, _) = self.nodes[n].addresses.iter().min_by_key(|(_, end)| *end).cloned().expect("one");
                    self.lose(n, &held);
                }
                Next::Timer(n) => self.with(n, Machine::handle_timeout),
            }
        }
        self.now = end;
    }

    /// What happens next. What came is looked at before timers.
    fn next(&self) -> Option<(Instant, Next)> {
        let coming = self.coming.peek().map(|Reverse((at, ..))| (*at, Next::Coming));
        let leases =
            self.nodes.iter().enumerate().flat_map(|(n, node)| node.addresses.iter().map(move |(_, end)| (*end, n)));
        let lease = leases.min().map(|(at, n)| (at, Next::LeaseEnds(n)));
        let timers = self.nodes.iter().enumerate().filter_map(|(n, node)| {
            let at = node.machine.as_ref()?.poll_timeout()?;
            Some((at.max(node.paused_until), Next::Timer(n)))
        });
        coming.into_iter().chain(lease).chain(timers).min_by_key(|(at, _)| *at)
    }

    fn deliver(&mut self, number: u64, to: usize, event: Event) {
        let node = &self.nodes[to];
        if node.paused_until > self.now {
            // It lies in the socket until the node goes on.
            self.coming.push(Reverse((node.paused_until, number, to, event)));
            return;
        }
        match event {
            Event::Packet { link, .. } if !node.up[link] => {}
            Event::Packet { link, from, bytes } => {
                let (from, to_group) = (own_address(link, from), IpAddr::from([224, 0, 0, 18]));
                let packet = Packet { interface: index(link), from, to: to_group, ttl: 255, payload: &bytes };
                self.with(to, |machine, now| machine.handle_packet(now, &packet));
            }
            Event::AddressCame { link, ip } => {
                self.with(to, |machine, now| machine.handle_address(now, index(link), ip, 24));
            }
            Event::AddressGone { link, ip } => {
                self.with(to, |machine, now| machine.handle_address_gone(now, index(link), ip, 24));
            }
        }
    }

    /// Nothing is lost from now on, and everybody is well and as configured.
    fn be_quiet(&mut self) {
        self.chaos = false;
        self.cut = [false; 2];
        for n in 0..2 {
            self.nodes[n].paused_until = self.now;
            for link in 0..2 {
                self.carrier(n, link, true);
            }
            let setup = self.nodes[n].setup.clone();
            if self.nodes[n].machine.is_none() {
                self.start(n, Vec::new());
            } else {
                self.with(n, |machine, now| machine.handle_reload(now, setup));
            }
        }
    }

    /// Who is master, and whose kernel has the address, for each instance.
    fn masters(&self) -> [(Vec<usize>, Vec<usize>); 2] {
        [0, 1].map(|link| {
            let (interface, vrid) = LINKS[link];
            let is_master = |n: &usize| {
                let status =
                    self.nodes[*n].machine.as_ref().map(|machine| machine.status(self.now)).unwrap_or_default();
                status.iter().any(|status| status.vrid == vrid && status.state == "master")
            };
            let has = |n: &usize| self.nodes[*n].addresses.iter().any(|(held, _)| held.interface == interface);
            ((0..2).filter(is_master).collect(), (0..2).filter(has).collect())
        })
    }

    /// The longest that anybody waits for a master: three intervals and the skew, and one for a lease or a group.
    fn down(&self) -> Duration {
        self.nodes[0].setup.instances[0].interval * 4 + LEASE
    }
}

enum Next {
    Coming,
    LeaseEnds(usize),
    Timer(usize),
}

fn index(link: usize) -> u32 {
    u32::try_from(link).expect("small") + 1
}

fn known(link: usize, node: usize, running: bool) -> Link {
    let mac = [2, 0, 0, 0, u8::try_from(link).expect("small"), u8::try_from(node).expect("small")];
    Link { index: index(link), name: LINKS[link].0.to_owned(), running, mac }
}

fn schedule(seed: u64) {
    let mut world = World::new(seed);
    for n in 0..2 {
        world.start(n, Vec::new());
    }
    for _ in 0..10 {
        let pause = MS * u32::try_from(world.random.below(4000)).expect("small");
        world.run(world.now + pause);
        world.upset();
    }
    world.be_quiet();
    world.run(world.now + 3 * world.down());
    let grouped = !world.nodes[0].setup.groups.is_empty();
    let quiet = world.masters();
    for (masters, holders) in &quiet {
        assert_eq!(masters.len(), 1, "seed {seed}: masters once it is quiet: {quiet:?}");
        assert_eq!(masters, holders, "seed {seed}: who is master, and who has the address");
    }
    assert!(!grouped || quiet[0] == quiet[1], "seed {seed}: a group with two masters: {quiet:?}");
    let preempts = world.nodes[0].setup.instances[0].preempt;
    assert!(!preempts || quiet.iter().all(|(masters, _)| masters == &[0]), "seed {seed}: the better one is not");
    let before = world.transitions;
    world.run(world.now + 3 * world.down());
    assert_eq!((world.masters(), world.transitions), (quiet.clone(), before), "seed {seed}: it does not stay quiet");
    // The host of the master of the first instance dies: the other is master of all, and alone once the lease has ended.
    let dead = quiet[0].0[0];
    world.nodes[dead].machine = None;
    world.run(world.now + world.down());
    let other = vec![1 - dead];
    let alone = [0, 1].map(|_| (other.clone(), other.clone()));
    assert_eq!(world.masters(), alone, "seed {seed}: nobody took over, or the dead one still has its address");
}

#[test]
fn the_whole_group_is_master_on_one_node_that_alone_has_the_addresses() {
    for seed in 0..SCHEDULES {
        schedule(seed);
    }
}
