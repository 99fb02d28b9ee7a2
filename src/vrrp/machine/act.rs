//! From what a router decided to what is done about it.

use std::time::{Duration, Instant};

use super::ways::Ways;
use super::{Action, Id, Machine};
use crate::vrrp::group::{Group, Member};
use crate::vrrp::instance::Running;
use crate::vrrp::message::{FromVrrp, Happening, Held, Life, Notice, Report, Subject};
use crate::vrrp::router::{Action as Decision, Cause, State};

impl Machine {
    /// Carries out what `id` decided, and what follows from it for its group.
    pub(super) fn drive(&mut self, now: Instant, id: Id) {
        self.carry_out(now, id);
        self.settle_groups(now);
    }

    /// Carries out what `id` decided.
    pub(super) fn carry_out(&mut self, now: Instant, id: Id) {
        while let Some(decision) = self.instances.get_mut(&id).and_then(|running| running.router.poll_action()) {
            match decision {
                Decision::Send(priority) => self.send(id, priority),
                Decision::Hold => self.hold(id),
                Decision::Release => self.release(id),
                Decision::Announce(occasion) => {
                    let times = self.instances.get_mut(&id).map_or(0, |running| running.announce(now, occasion));
                    self.burst(now, id, times);
                }
                Decision::Enter { from, to, cause } => self.enter(now, id, from, to, cause),
                Decision::HeardLower => self.notice(id, Happening::LowerPriority),
                Decision::HeardLeaving => self.leaving(now, id),
            }
        }
    }

    fn send(&mut self, id: Id, priority: u8) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        let Some(from) = running.source else { return };
        let ttl = Self::ttl(&running.setup);
        for (to, bytes) in running.adverts(priority) {
            running.counters.sent += 1;
            self.actions.push_back(Action::Send { instance: id, from, to, ttl, bytes });
        }
    }

    fn hold(&mut self, id: Id) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        let former = running.holding.take_former();
        let held = running.holding.hold();
        self.take_away(id, former);
        self.put(id, held);
        self.routes(id, Ways::Make);
    }

    pub(super) fn put(&mut self, instance: Id, held: Vec<Held>) {
        if !held.is_empty() {
            self.actions.push_back(Action::Put { instance, held });
        }
    }

    pub(super) fn take_away(&mut self, instance: Id, held: Vec<Held>) {
        if !held.is_empty() {
            self.actions.push_back(Action::Take { instance, held });
        }
    }

    fn release(&mut self, id: Id) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        running.be_silent();
        let ours = running.holding.release();
        self.announcer.cancel(id, None);
        self.routes(id, Ways::Remove);
        self.take_away(id, ours);
    }

    pub(super) fn burst(&mut self, now: Instant, id: Id, times: u32) {
        let Some(running) = self.instances.get(&id).filter(|_| times > 0) else { return };
        self.announcer.burst(now, id, &running.announced(), times);
        while let Some(announcement) = self.announcer.poll(now) {
            self.actions.push_back(Action::Announce(announcement));
        }
    }

    fn enter(&mut self, now: Instant, id: Id, from: State, to: State, cause: Cause) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        running.entered(now, cause);
        let (instance, priority) = (running.setup.name.clone(), running.router.priority());
        let because = Some(running.verdict.faults.join(", ")).filter(|faults| to == State::Fault && !faults.is_empty());
        let report = Report::Transition { instance, from, to, cause, priority, because };
        self.actions.push_back(Action::Tell(FromVrrp::Report(report)));
        let again = self.instances.get_mut(&id).is_none_or(|running| running.told.replace(to) == Some(to));
        let happening = match to {
            State::Master => Happening::Master,
            State::Backup => Happening::Backup,
            State::Fault => Happening::Fault,
            State::Initialize => Happening::Stop,
        };
        if !again {
            self.notice(id, happening);
        }
        self.tell_life(id);
    }

    pub(super) fn notice(&mut self, id: Id, what: Happening) {
        let Some(running) = self.instances.get(&id) else { return };
        let of = Subject::Instance(running.setup.name.clone());
        let notice = Notice { of, what, priority: running.router.priority() };
        self.actions.push_back(Action::Tell(FromVrrp::Notice(notice)));
    }

    pub(super) fn warn(&mut self, id: Id, message: String) {
        let Some(running) = self.instances.get(&id) else { return };
        let report = Report::Warning { instance: running.setup.name.clone(), message };
        self.actions.push_back(Action::Tell(FromVrrp::Report(report)));
    }

    /// The master of one member leaves: the others need not wait for what is silent.
    fn leaving(&mut self, now: Instant, id: Id) {
        let group = self.groups.iter().find(|group| group.members.contains(&id));
        let others = group.map_or_else(Vec::new, |group| group.members.clone());
        for other in others.into_iter().filter(|other| *other != id) {
            if let Some(running) = self.instances.get_mut(&other) {
                running.router.handle_group_leaving(now);
            }
        }
    }

    /// Members become master together, and stop being it together.
    pub(super) fn settle_groups(&mut self, now: Instant) {
        for n in 0..self.groups.len() {
            let Some(ids) = self.groups.get(n).map(|group| group.members.clone()) else { continue };
            let members = self.members(&ids);
            if Group::may_be_master(&members) {
                for id in &ids {
                    self.decide(now, *id, |router| router.handle_granted(now));
                }
            } else if Group::is_broken(&members) {
                for id in &ids {
                    self.decide(now, *id, |router| router.handle_group_lost(now));
                }
            }
            let members = self.members(&ids);
            let Some(group) = self.groups.get_mut(n) else { continue };
            if let Some(what) = group.news(&members) {
                let of = Subject::Group(group.setup.name.clone());
                self.actions.push_back(Action::Tell(FromVrrp::Notice(Notice { of, what, priority: 0 })));
            }
        }
    }

    fn decide(&mut self, now: Instant, id: Id, decision: impl FnOnce(&mut crate::vrrp::router::Router)) {
        if let Some(running) = self.instances.get_mut(&id) {
            decision(&mut running.router);
        }
        self.carry_out(now, id);
    }

    fn members(&self, ids: &[Id]) -> Vec<Member> {
        let running = ids.iter().filter_map(|id| self.instances.get(id));
        let member = |running: &Running| Member {
            state: running.router.state(),
            wants: running.router.wants_master(),
            joins: running.joins(),
        };
        running.map(member).collect()
    }

    pub(super) fn tell_groups_stopped(&mut self) {
        for group in &self.groups {
            let notice = Notice { of: Subject::Group(group.setup.name.clone()), what: Happening::Stop, priority: 0 };
            self.actions.push_back(Action::Tell(FromVrrp::Notice(notice)));
        }
    }

    /// How often leases are refreshed: three times as often as they run out.
    pub(super) fn lease_step(&self) -> Option<Duration> {
        self.setup.lease.map(|lease| lease / 3)
    }

    pub(super) fn refresh_leases(&mut self, now: Instant) {
        let mut any = false;
        for (id, running) in &self.instances {
            let held = running.holding.leased();
            if !held.is_empty() {
                any = true;
                self.actions.push_back(Action::Refresh { instance: *id, held });
            }
        }
        self.refresh = self.lease_step().filter(|_| any).map(|step| now + step);
    }

    pub(super) fn life(&self, id: Id) -> Option<Life> {
        let running = self.instances.get(&id)?;
        if let Some(life) = &running.life {
            return Some(life.clone());
        }
        Some(Life {
            instance: running.setup.name.clone(),
            state: running.router.state(),
            since_unix_ms: self.clock.unix_ms(running.since),
            due: running.router.poll_timeout().map(|at| self.clock.monotonic(at)),
            held: running.holding.ours(),
            transitions: running.transitions,
        })
    }

    pub(super) fn tell_life(&mut self, id: Id) {
        if let Some(life) = self.life(id) {
            self.actions.push_back(Action::Tell(FromVrrp::Life(life)));
        }
    }
}
