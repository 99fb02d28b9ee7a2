//! What another configuration changes, and nothing else.

use std::time::Instant;

use super::ways::Ways;
use super::{Action, Id, Machine};
use crate::vrrp::group::Group;
use crate::vrrp::instance::{Running, addresses};
use crate::vrrp::message::{FromVrrp, Happening, Held, Life, Notice, Subject};
use crate::vrrp::router::State;
use crate::vrrp::setup::{Instance, Setup, Transport};

impl Machine {
    /// From now on `setup` is to be done. Instances that it keeps keep their state and their addresses.
    pub fn handle_reload(&mut self, now: Instant, setup: Setup) {
        self.begin = self.begin.min(now);
        self.apply(now, setup, Vec::new());
        if self.setup.fifo_states_on_reload {
            self.tell_all();
        }
    }

    pub(super) fn apply(&mut self, now: Instant, setup: Setup, mut lives: Vec<Life>) {
        self.trackers.set(&setup);
        self.announcer.set_intervals(setup.garp_interval, setup.gna_interval);
        // Of a start, all members of a group begin together.
        let reload = !self.instances.is_empty();
        let stays = |running: &Running| setup.instances.iter().find(|new| new.name == running.setup.name);
        let leaving: Vec<(Id, bool)> = self
            .instances
            .iter()
            .filter_map(|(id, running)| match stays(running) {
                Some(new) if is_same_router(&running.setup, new) => None,
                kept => Some((*id, kept.is_none())),
            })
            .collect();
        for (id, deleted) in leaving {
            self.remove(now, id, deleted);
        }
        let mut puts = Vec::new();
        for new in &setup.instances {
            let known = self.instances.iter().find(|(_, running)| running.setup.name == new.name).map(|(id, _)| *id);
            if let Some(id) = known {
                puts.push((id, self.change(now, id, new.clone())));
            } else {
                let at = lives.iter().position(|life| life.instance == new.name);
                self.create(now, new.clone(), at.map(|at| lives.swap_remove(at)), reload);
            }
        }
        let taken: Vec<(Id, Vec<Held>)> = self.actions.iter().filter_map(taken).collect();
        for (id, (held, routes)) in puts {
            if let Some(running) = self.instances.get_mut(&id) {
                let by_others = taken.iter().filter(|(other, _)| *other != id);
                by_others.for_each(|(_, taken)| running.holding.take_over(taken));
            }
            self.put_new(now, id, held);
            if routes {
                self.routes(id, Ways::Make);
            }
            if self.instances.get_mut(&id).is_some_and(|running| running.holding.take_changed()) {
                self.tell_life(id);
            }
        }
        self.find_owners();
        self.regroup(now, &setup);
        if setup.lease != self.setup.lease {
            self.refresh = Some(now);
        }
        self.setup = setup;
        self.drop_lives(lives);
        self.judge(now);
    }

    fn find_owners(&mut self) {
        self.owners.clear();
        for (id, running) in &self.instances {
            for held in running.holding.all() {
                let owners = self.owners.entry(held.address.ip).or_default();
                if owners.last() != Some(id) {
                    owners.push(*id);
                }
            }
        }
    }

    fn create(&mut self, now: Instant, setup: Instance, life: Option<Life>, joins: bool) {
        let id = Id(self.next);
        self.next += 1;
        self.actions.push_back(Action::Open { instance: id, setup: Box::new(setup.clone()) });
        let mut running = Running::new(now, setup, life, false);
        running.new = joins;
        self.instances.insert(id, running);
    }

    /// What instances held that are configured no longer.
    fn drop_lives(&mut self, lives: Vec<Life>) {
        for life in lives {
            let instance = Id(self.next);
            self.next += 1;
            self.take_away(instance, life.held.clone());
            let over = Life { state: State::Initialize, held: Vec::new(), due: None, ..life };
            self.actions.push_back(Action::Tell(FromVrrp::Life(over)));
        }
    }

    fn remove(&mut self, now: Instant, id: Id, deleted: bool) {
        if let Some(running) = self.instances.get_mut(&id) {
            running.told = Some(State::Initialize);
            running.router.handle_stop();
        }
        self.carry_out(now, id);
        if deleted {
            self.notice(id, Happening::Deleted);
        }
        if let Some(running) = self.instances.remove(&id) {
            self.actions.push_back(Action::Close { instance: id, setup: Box::new(running.setup) });
        }
    }

    /// Returns the addresses that are to be put on interfaces, once all others have been taken away, and whether
    /// routes and rules are to be made after that.
    fn change(&mut self, now: Instant, id: Id, new: Instance) -> (Vec<Held>, bool) {
        let Some(running) = self.instances.get_mut(&id) else { return (Vec::new(), false) };
        let old = running.reconfigure(now, new);
        let (take, put) = running.holding.change(addresses(&running.setup));
        let master = running.router.state() == State::Master;
        let routes = (&old.routes, &old.rules) != (&running.setup.routes, &running.setup.rules);
        if master && routes {
            self.actions.push_back(Action::Routes { instance: id, setup: Box::new(old), ways: Ways::Remove });
        }
        for held in &take {
            self.announcer.cancel(id, Some(held.address.ip));
        }
        self.take_away(id, take);
        (put, master && routes)
    }

    fn put_new(&mut self, now: Instant, id: Id, held: Vec<Held>) {
        let Some(running) = self.instances.get(&id) else { return };
        let said: Vec<_> = held.iter().map(|held| (held.interface.clone(), held.address.ip)).collect();
        let times = running.setup.garp.repeat;
        self.put(id, held);
        self.announcer.burst(now, id, &said, times);
    }

    fn regroup(&mut self, now: Instant, setup: &Setup) {
        let before = std::mem::take(&mut self.groups);
        for group in &setup.groups {
            let of = |name: &String| self.instances.iter().find(|(_, i)| i.setup.name == *name).map(|(id, _)| *id);
            let members = group.members.iter().filter_map(of).collect();
            let mut new = Group::new(group.clone(), members);
            if let Some(old) = before.iter().find(|old| old.setup.name == group.name) {
                new.follow(old);
            }
            self.groups.push(new);
        }
        for id in self.ids() {
            let grouped = self.is_grouped(id);
            if let Some(running) = self.instances.get_mut(&id) {
                let settings = running.settings(grouped);
                running.router.handle_settings(now, settings);
            }
            self.carry_out(now, id);
        }
    }

    /// Pipes are told of every state once more.
    fn tell_all(&mut self) {
        for running in self.instances.values() {
            let of = Subject::Instance(running.setup.name.clone());
            let what = Happening::Still(running.router.state());
            let notice = Notice { of, what, priority: running.router.priority() };
            self.actions.push_back(Action::Tell(FromVrrp::Notice(notice)));
        }
    }
}

/// Whose addresses an action takes away, and which.
fn taken(action: &Action) -> Option<(Id, Vec<Held>)> {
    match action {
        Action::Take { instance, held } => Some((*instance, held.clone())),
        _ => None,
    }
}

/// Whether one can become the other while it runs: the same virtual router, reached in the same way.
fn is_same_router(old: &Instance, new: &Instance) -> bool {
    let transport = match (&old.transport, &new.transport) {
        (Transport::Multicast { group: old }, Transport::Multicast { group: new }) => old == new,
        (Transport::Unicast { .. }, Transport::Unicast { .. }) => true,
        _ => false,
    };
    let key = |i: &Instance| (i.interface.clone(), i.vrid, i.version, i.family, i.vmac.clone());
    transport && key(old) == key(new)
}
