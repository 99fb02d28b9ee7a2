//! All instances of a node: what happens goes in by `handle_*`, what is to be done comes out by `poll_*`.
//!
//! | question | file |
//! |---|---|
//! | what follows from a router's decision? | `act.rs` |
//! | what do trackers, links and addresses come to? | `verdicts.rs` |
//! | what does a reload change? | `reload.rs` |
//! | what becomes of routes and rules? | `ways.rs` |
//! | how do things stand, for people? | `status.rs` |

mod act;
mod reload;
#[cfg(test)]
mod simulation;
mod status;
#[cfg(test)]
mod tests;
mod verdicts;
mod ways;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::announcer::{Announcement, Announcer};
use super::clock::Clock;
use super::counters;
use super::group::Group;
use super::holding::{Gone, Put};
use super::inbound::{self, Packet};
use super::instance::Running;
use super::interfaces::{Interfaces, Link};
use super::message::{FromVrrp, Held, Life, Observed, Report};
use super::router::State;
use super::setup::{Family, Instance, Setup, Transport};
use super::tracker::Trackers;
pub use ways::Ways;

/// An instance for as long as the process runs, whatever reloads change of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(pub u32);

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send an advertisement.
    Send {
        /// Whose.
        instance: Id,
        /// From where.
        from: IpAddr,
        /// Where to.
        to: IpAddr,
        /// TTL or hop limit; none leaves it to the kernel.
        ttl: Option<u8>,
        /// What stands behind the IP header.
        bytes: Vec<u8>,
    },
    /// Put addresses on interfaces unless they are there, and say of each to [`Machine::handle_puts`].
    Put {
        /// Whose.
        instance: Id,
        /// The addresses.
        held: Vec<Held>,
    },
    /// Let the kernel keep addresses for another while.
    Refresh {
        /// Whose.
        instance: Id,
        /// The addresses.
        held: Vec<Held>,
    },
    /// Take addresses away.
    Take {
        /// Whose.
        instance: Id,
        /// The addresses.
        held: Vec<Held>,
    },
    /// Make the routes and rules of an instance, or take them away, and say to [`Machine::handle_ways`].
    Routes {
        /// Whose.
        instance: Id,
        /// What is configured of it: after a reload, what was.
        setup: Box<Instance>,
        /// Which of both.
        ways: Ways,
    },
    /// Tell neighbours whose an address is.
    Announce(Announcement),
    /// An instance needs a socket and perhaps an interface of its own.
    Open {
        /// Which.
        instance: Id,
        /// What is configured of it.
        setup: Box<Instance>,
    },
    /// It needs them no longer.
    Close {
        /// Which.
        instance: Id,
        /// What was configured of it.
        setup: Box<Instance>,
    },
    /// Say something to the supervisor.
    Tell(FromVrrp),
}

/// All instances, groups and trackers of a node.
#[derive(Debug)]
pub struct Machine {
    clock: Clock,
    setup: Setup,
    interfaces: Interfaces,
    trackers: Trackers,
    announcer: Announcer,
    instances: BTreeMap<Id, Running>,
    groups: Vec<Group>,
    /// Whose each virtual address is: thousands of them come and go at a time.
    owners: HashMap<IpAddr, Vec<Id>>,
    next: u32,
    /// When instances may begin.
    begin: Instant,
    /// When addresses are to be refreshed.
    refresh: Option<Instant>,
    /// The process before this one crashed for the second time.
    give_up: bool,
    /// The lives are those of an earlier supervisor.
    earlier: bool,
    actions: VecDeque<Action>,
}

/// Where the process before this one was.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Each of its instances.
    pub lives: Vec<Life>,
    /// It crashed for the second time in a minute.
    pub give_up: bool,
    /// It belonged to an earlier supervisor.
    pub earlier: bool,
}

impl Machine {
    /// One that is to do `setup`, on a host with these `interfaces`. Nothing begins before the first
    /// [`Self::handle_timeout`].
    #[must_use]
    pub fn new(clock: Clock, setup: Setup, before: Before, interfaces: Interfaces) -> Self {
        let now = clock.at;
        // Whoever goes on where another was killed has waited before.
        let delay = if before.lives.is_empty() { setup.startup_delay } else { Duration::ZERO };
        let mut machine = Self {
            clock,
            setup: Setup::default(),
            interfaces,
            trackers: Trackers::default(),
            announcer: Announcer::default(),
            instances: BTreeMap::new(),
            groups: Vec::new(),
            owners: HashMap::new(),
            next: 0,
            begin: now + delay,
            refresh: None,
            give_up: before.give_up,
            earlier: before.earlier,
            actions: VecDeque::new(),
        };
        machine.apply(now, setup, before.lives);
        machine
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let instances = self.instances.values().filter_map(Running::poll_timeout);
        let begin = (!self.begun()).then_some(self.begin);
        instances.chain(begin).chain(self.refresh).chain(self.announcer.poll_timeout()).min()
    }

    /// Time has come to [`Self::poll_timeout`], or past it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin_instances(now);
        let due = |running: &Running| running.poll_timeout().is_some_and(|at| at <= now);
        let due: Vec<Id> = self.instances.iter().filter(|(_, running)| due(running)).map(|(id, _)| *id).collect();
        for id in due {
            self.instance_timeout(now, id);
        }
        // Early rather than at a time of its own: whoever wakes up for an advertisement takes it along.
        let early = self.lease_step().unwrap_or_default() / 8;
        if self.refresh.is_some_and(|at| at <= now + early) {
            self.refresh_leases(now);
        }
        while let Some(announcement) = self.announcer.poll(now) {
            self.actions.push_back(Action::Announce(announcement));
        }
    }

    fn instance_timeout(&mut self, now: Instant, id: Id) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        running.router.handle_timeout(now);
        let times = running.poll_announce(now);
        let retries = running.holding.poll_retries(now);
        let ways = running.ways_at.take_if(|at| *at <= now).is_some();
        self.put(id, retries);
        if ways {
            self.routes(id, Ways::Repair);
        }
        self.burst(now, id, times);
        self.drive(now, id);
    }

    /// A packet of protocol 112 came.
    pub fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(vrid) = packet.vrid() else { return };
        let interface = self.interfaces.name(packet.interface);
        let fits = |running: &Running| {
            let here = if running.setup.interface.is_empty() {
                running.source == Some(packet.to)
            } else {
                interface == Some(running.setup.interface.as_str()) || interface == Some(running.base())
            };
            here && running.setup.vrid == vrid && Family::of(packet.from) == running.setup.family
        };
        let Some(id) = self.instances.iter().find(|(_, running)| fits(running)).map(|(id, _)| *id) else { return };
        let Some(running) = self.instances.get_mut(&id) else { return };
        let accepted = match inbound::check(&running.setup, running.source, packet) {
            Ok(accepted) => accepted,
            Err(why) => {
                if let Some(count) = running.counters.reject(now, packet.from, why) {
                    let message = if why.is_foreign() {
                        counters::also_used(vrid, packet.from, why)
                    } else {
                        format!("an advertisement of {} does not count: {why} ({count} so far)", packet.from)
                    };
                    self.warn(id, message);
                }
                return;
            }
        };
        running.counters.received += 1;
        if running.counters.compare(now, packet.from, accepted.other_addresses) {
            self.warn(id, counters::other_addresses(vrid, packet.from));
        }
        if let Some(running) = self.instances.get_mut(&id) {
            running.router.handle_advert(now, packet.from, accepted.advert.priority, accepted.interval());
        }
        self.drive(now, id);
    }

    /// What became of each address of an [`Action::Put`], and why where it failed.
    pub fn handle_puts(&mut self, now: Instant, id: Id, puts: Vec<(&Held, Put, Option<String>)>) {
        let mut again = Vec::new();
        let new = puts.iter().any(|(_, put, _)| *put == Put::New);
        for (held, put, why) in puts {
            self.handle_put(now, id, held, put, why);
            if put == Put::There && self.instances.get(&id).is_some_and(|running| running.holding.is_ours(held)) {
                // An earlier life put it there, and its lease may be about to end.
                again.push(held.clone());
            }
        }
        if !again.is_empty() {
            self.actions.push_back(Action::Refresh { instance: id, held: again });
        }
        if new {
            // The kernel drops what leads by an address with that.
            self.make_routes_again(id);
        }
        // Of thousands that somebody took away each comes back by itself, and its life is as it was.
        if self.instances.get_mut(&id).is_some_and(|running| running.holding.take_changed()) {
            self.tell_life(id);
        }
        self.refresh = self.refresh.or(self.lease_step().map(|step| now + step));
    }

    fn handle_put(&mut self, now: Instant, id: Id, held: &Held, put: Put, why: Option<String>) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        let back = running.holding.handle_put(now, held, put);
        if back && running.router.state() == State::Master {
            self.announcer.burst(
                now,
                id,
                &[(held.interface.clone(), held.address.ip)],
                running.setup.garp.repeat.max(1),
            );
        }
        if let Some(why) = why.filter(|_| self.instances.get_mut(&id).is_some_and(|i| i.counters.tells_failure(now))) {
            self.warn(id, why);
        }
    }

    /// Whether an instance has the sockets and the interface of its own that it needs, or why not.
    pub fn handle_ability(&mut self, now: Instant, id: Id, unable: Option<String>) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        if unable.is_none() && running.router.state() == State::Master {
            // What was on an interface of its own went with it.
            let held = running.holding.hold();
            self.put(id, held);
        }
        if let Some(running) = self.instances.get_mut(&id).filter(|running| running.unable != unable) {
            running.unable = unable;
            self.judge(now);
        }
    }

    /// What the instances put on the interface of this name themselves.
    #[must_use]
    pub fn held_on(&self, interface: &str) -> Vec<Held> {
        let ours = self.instances.values().flat_map(|running| running.holding.ours());
        ours.filter(|held| held.interface == interface).collect()
    }

    /// An interface came, went up or down, or has another hardware address.
    pub fn handle_link(&mut self, now: Instant, link: Link) {
        let back = link.running && !self.interfaces.is_running(&link.name);
        self.interfaces.set_link(link);
        self.judge(now);
        if back {
            self.handle_ways_lost(now);
        }
    }

    /// An interface is no more.
    pub fn handle_link_gone(&mut self, now: Instant, index: u32) {
        self.interfaces.remove_link(index);
        self.judge(now);
    }

    /// An address is on an interface.
    pub fn handle_address(&mut self, now: Instant, index: u32, ip: IpAddr, prefix: u8) {
        if self.interfaces.add_address(index, ip, prefix) && !self.owners.contains_key(&ip) {
            self.judge_sources(now, ip);
        }
    }

    /// An address is on it no longer.
    pub fn handle_address_gone(&mut self, now: Instant, index: u32, ip: IpAddr, prefix: u8) {
        self.interfaces.remove_address(index, ip, prefix);
        let Some(name) = self.interfaces.name(index).map(str::to_owned) else { return };
        let owners = self.owners.get(&ip).cloned().unwrap_or_default();
        for id in &owners {
            let id = *id;
            let Some(running) = self.instances.get_mut(&id) else { continue };
            let gone = running.holding.handle_gone(now, &name, ip, prefix);
            let Some(Gone { held, at, by_others }) = gone else { continue };
            if by_others {
                let message = format!(
                    "{ip} was taken away from {name} by somebody else, or its lease ran out while this host or its VRRP \
                     process stood still: it is put back"
                );
                self.warn(id, message);
            }
            if at <= now {
                // Others may be due by now as well.
                let mut due = self.instances.get_mut(&id).map_or_else(Vec::new, |i| i.holding.poll_retries(now));
                if !due.contains(&held) {
                    due.push(held);
                }
                self.put(id, due);
            }
        }
        // Nobody sends from a virtual address, unless it has only just become one.
        if owners.is_empty() || self.instances.values().any(|running| running.source == Some(ip)) {
            self.judge_sources(now, ip);
        }
    }

    /// Everything about interfaces is known anew: what was told meanwhile is lost.
    pub fn handle_interfaces(&mut self, now: Instant, interfaces: Interfaces) {
        self.interfaces = interfaces;
        for id in self.ids() {
            let Some(running) = self.instances.get_mut(&id) else { continue };
            if running.router.state() == State::Master {
                let held = running.holding.hold();
                self.put(id, held);
            }
        }
        self.judge(now);
        self.handle_ways_lost(now);
    }

    /// Something that is tracked was looked at.
    pub fn handle_observed(&mut self, now: Instant, observed: &Observed) {
        if let Some(message) = self.trackers.handle(observed) {
            self.actions.push_back(Action::Tell(FromVrrp::Report(Report::Note { instance: None, message })));
            self.judge(now);
        }
    }

    /// It ends, politely.
    pub fn handle_stop(&mut self, now: Instant) {
        for id in self.ids() {
            if let Some(running) = self.instances.get_mut(&id) {
                running.router.handle_stop();
            }
            // Members of a group do not follow each other here: each is told by itself.
            self.carry_out(now, id);
        }
        self.tell_groups_stopped();
    }

    /// Where each instance is, for a process that goes on.
    #[must_use]
    pub fn lives(&self) -> Vec<Life> {
        self.ids().into_iter().filter_map(|id| self.life(id)).collect()
    }

    /// The instances, with what is configured of each.
    pub fn instances(&self) -> impl Iterator<Item = (Id, &Instance)> {
        self.instances.iter().map(|(id, running)| (*id, &running.setup))
    }

    /// The interfaces, as far as they are known.
    #[must_use]
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    fn ids(&self) -> Vec<Id> {
        self.instances.keys().copied().collect()
    }

    /// TTL or hop limit of what an instance sends; none leaves it to the kernel.
    fn ttl(setup: &Instance) -> Option<u8> {
        match &setup.transport {
            Transport::Multicast { .. } => Some(255),
            Transport::Unicast { ttl, .. } => *ttl,
        }
    }
}
