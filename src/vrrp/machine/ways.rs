//! Routes and rules: they lead by addresses, and go with them or by somebody's hand.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Action, Id, Machine};
use crate::vrrp::router::State;
use crate::vrrp::setup::{Family, Instance};

/// When what could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is to become of the routes and rules of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ways {
    /// They are made.
    Make,
    /// They were there, and some may not be any more: the log hears of each that has to be made.
    Repair,
    /// They are taken away.
    Remove,
}

impl Machine {
    /// Routes lead by addresses: they come after them and go before them.
    pub(super) fn routes(&mut self, id: Id, ways: Ways) {
        let Some(running) = self.instances.get(&id).filter(|running| has_ways(&running.setup)) else { return };
        let setup = Box::new(running.setup.clone());
        self.actions.push_back(Action::Routes { instance: id, setup, ways });
    }

    /// What leads by an address that has only come is made, unless that is to be done already.
    pub(super) fn make_routes_again(&mut self, id: Id) {
        let known =
            |action: &Action| matches!(action, Action::Routes { instance, ways: Ways::Make, .. } if *instance == id);
        let master = self.instances.get(&id).is_some_and(|running| running.router.state() == State::Master);
        if master && !self.actions.iter().any(known) {
            self.routes(id, Ways::Make);
        }
    }

    /// A route with the mark of keepalived is no more.
    pub fn handle_route_gone(&mut self, now: Instant, family: Family, prefix: u8, table: u32) {
        let is_it = |to: IpAddr, bits: u8| Family::of(to) == family && bits == prefix;
        self.miss_ways(now, |setup| setup.routes.iter().any(|r| is_it(r.to.0, r.to.1) && r.table == table));
    }

    /// A rule is no more.
    pub fn handle_rule_gone(&mut self, now: Instant, family: Family, table: u32) {
        self.miss_ways(now, |setup| setup.rules.iter().any(|rule| rule.family == family && rule.table == table));
    }

    /// Any route or rule may be no more: what was told of them is lost, or an interface came back, whose routes the
    /// kernel drops without a word.
    pub fn handle_ways_lost(&mut self, now: Instant) {
        self.miss_ways(now, has_ways);
    }

    /// Whether routes or rules are to be held at all.
    #[must_use]
    pub fn has_ways(&self) -> bool {
        self.instances.values().any(|running| has_ways(&running.setup))
    }

    /// Whether all routes and rules of an instance are there now, and why not.
    pub fn handle_ways(&mut self, now: Instant, id: Id, why: Option<String>) {
        let Some(why) = why else { return };
        let Some(running) = self.instances.get_mut(&id) else { return };
        if running.router.state() == State::Master {
            running.ways_at = running.ways_at.or(Some(now + RETRY));
        }
        if running.counters.tells_failure_of_ways(now) {
            self.warn(id, why);
        }
    }

    /// By the timer, and not at once: what else came meanwhile, such as the address that a route leads by, is done first.
    fn miss_ways(&mut self, now: Instant, is_its: impl Fn(&Instance) -> bool) {
        for running in self.instances.values_mut() {
            let waits = running.ways_at.is_some();
            if running.router.state() == State::Master && is_its(&running.setup) && !waits {
                running.ways_at = Some(now + running.ways_missed.again(now));
            }
        }
    }
}

fn has_ways(setup: &Instance) -> bool {
    !setup.routes.is_empty() || !setup.rules.is_empty()
}
