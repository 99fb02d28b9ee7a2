//! What trackers, links and addresses come to for each instance, and when an instance begins.

use std::net::IpAddr;
use std::time::Instant;

use super::{Action, Id, Machine};
use crate::vrrp::instance::Running;
use crate::vrrp::message::{FromVrrp, Happening, Report};
use crate::vrrp::router::State;
use crate::vrrp::setup::SyncGroup;
use crate::vrrp::tracker::Verdict;

impl Machine {
    /// Looks at everything again: priorities and faults.
    pub(super) fn judge(&mut self, now: Instant) {
        self.find_sources(now);
        let verdicts: Vec<(Id, Verdict)> = self.ids().into_iter().map(|id| (id, self.verdict(id))).collect();
        for (id, verdict) in &verdicts {
            self.take(now, *id, verdict.clone());
        }
        self.begin_instances(now);
        self.settle_groups(now);
    }

    /// Looks at what instances send from, since `ip` came or went; the rest follows only where that changed, or where an
    /// instance depends on that address.
    pub(super) fn judge_sources(&mut self, now: Instant, ip: IpAddr) {
        let depends = |running: &Running| running.setup.track_source && running.source == Some(ip);
        if self.find_sources(now) || self.instances.values().any(depends) {
            self.judge(now);
        }
    }

    fn find_sources(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for id in self.ids() {
            let grouped = self.is_grouped(id);
            let Some(running) = self.instances.get_mut(&id) else { continue };
            if running.find_source(&self.interfaces, &|ip| self.owners.contains_key(&ip)) {
                changed = true;
                let settings = running.settings(grouped);
                running.router.handle_settings(now, settings);
                self.carry_out(now, id);
            }
        }
        changed
    }

    fn take(&mut self, now: Instant, id: Id, verdict: Verdict) {
        let Some(running) = self.instances.get_mut(&id) else { return };
        let before = running.router.priority();
        running.router.handle_priority(verdict.priority(running.setup.priority));
        let failed = !verdict.faults.is_empty();
        running.verdict = verdict;
        let after = running.router.priority();
        if running.router.state() != State::Initialize {
            running.router.handle_failed(now, failed);
        }
        if before != after && running.router.state() != State::Initialize {
            self.tell_priority(id, before, after);
        }
        self.carry_out(now, id);
    }

    fn tell_priority(&mut self, id: Id, before: u8, after: u8) {
        let Some(running) = self.instances.get(&id) else { return };
        let instance = running.setup.name.clone();
        let (state, told) = (running.router.state(), running.setup.notify_priority);
        let why = running.verdict.parts.join(", ");
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let message = format!("priority {before} -> {after}{why}");
        self.actions.push_back(Action::Tell(FromVrrp::Report(Report::Note { instance: Some(instance), message })));
        if told {
            self.notice(id, Happening::Priority(state));
        }
    }

    /// What `id` comes to, with its group and the faults of the other members.
    fn verdict(&self, id: Id) -> Verdict {
        let Some(running) = self.instances.get(&id) else { return Verdict::default() };
        let group = self.groups.iter().find(|group| group.members.contains(&id));
        let mut verdict = self.own_verdict(id, group.map(|group| &group.setup));
        if let Some(group) = group {
            let joint = self.trackers.verdict(&group.setup.track, &self.interfaces, true);
            verdict.join(joint);
            for other in group.members.iter().filter(|other| **other != id) {
                let theirs = self.own_verdict(*other, Some(&group.setup));
                let name = self.instances.get(other).map_or("", |other| &other.setup.name);
                verdict
                    .faults
                    .extend(theirs.faults.iter().map(|fault| format!("{name} of the same sync group: {fault}")));
                verdict.unknown |= theirs.unknown;
            }
            verdict.faults.dedup();
        }
        // Whoever went on after a crash takes what it does not know yet for well.
        verdict.unknown &= running.life.as_ref().is_none_or(|life| life.state != State::Master);
        verdict
    }

    fn own_verdict(&self, id: Id, group: Option<&SyncGroup>) -> Verdict {
        let Some(running) = self.instances.get(&id) else { return Verdict::default() };
        let weights = group.is_none_or(|group| group.member_weights);
        let mut verdict = self.trackers.verdict(&running.setup.track, &self.interfaces, weights);
        verdict.faults.splice(0..0, running.own_faults(&self.interfaces));
        verdict
    }

    pub(super) fn is_grouped(&self, id: Id) -> bool {
        self.groups.iter().any(|group| group.members.contains(&id))
    }

    /// Whether every instance that can begin has.
    pub(super) fn begun(&self) -> bool {
        !self.instances.values().any(|running| running.router.state() == State::Initialize && !running.verdict.unknown)
    }

    /// An address that is there before it is to be: whoever put it there has to take it away.
    fn warn_of_found(&mut self, id: Id) {
        let Some(running) = self.instances.get(&id).filter(|running| running.router.state() != State::Master) else {
            return;
        };
        let found = running.holding.all().filter(|held| !running.holding.is_ours(held));
        let found = found.filter(|held| self.interfaces.is_on(&held.interface, held.address.ip));
        let found: Vec<String> = found.map(|held| format!("{} on {}", held.address.ip, held.interface)).collect();
        if !found.is_empty() {
            let message = format!(
                "{} was there before and stays, whoever is master: another program put it there. Take it out of the \
                 interface's configuration, or off by `ip address del`",
                found.join(", ")
            );
            self.warn(id, message);
        }
    }

    /// Begins what has not begun, once nothing that could be a fault is unknown.
    pub(super) fn begin_instances(&mut self, now: Instant) {
        if now < self.begin {
            return;
        }
        for id in self.ids() {
            let Some(running) = self.instances.get_mut(&id) else { continue };
            if running.router.state() != State::Initialize || running.verdict.unknown {
                continue;
            }
            let failed = !running.verdict.faults.is_empty();
            running.router.handle_failed(now, failed);
            let goes_on = !self.earlier || running.goes_on(&self.interfaces, self.setup.lease);
            let life = running.life.take();
            let due = life.as_ref().and_then(|life| self.clock.instant(life.due?));
            let state = life.as_ref().map_or(State::Initialize, |life| life.state);
            if !goes_on {
                // Whoever was told by an earlier life is told again.
                running.told = None;
            }
            match state {
                State::Master if self.give_up => running.router.handle_give_up(now),
                State::Master if goes_on && !failed => running.router.handle_adopt_master(now, due),
                State::Backup if goes_on && !failed => running.router.handle_adopt_backup(now, due),
                _ => running.router.handle_start(now),
            }
            self.warn_of_found(id);
            let Some(running) = self.instances.get_mut(&id) else { continue };
            if let Some(life) = life.filter(|life| life.state == running.router.state()) {
                running.since = self.clock.since(now, life.since_unix_ms);
            }
            self.carry_out(now, id);
        }
    }
}
