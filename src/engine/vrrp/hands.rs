//! Does what the machine decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::keeper::Keeper;
use super::outlets::Outlets;
use super::surroundings;
use crate::net::NetError;
use crate::net::address::{Placed, Put as Placement};
use crate::net::announce::{Announcer, is_router};
use crate::net::link::Link;
use crate::net::netlink::Netlink;
use crate::net::route::{Routed, route_text, rule_text};
use crate::vrrp::announcer::Announcement;
use crate::vrrp::holding::Put;
use crate::vrrp::machine::{Action, Id, Machine, Ways};
use crate::vrrp::message::{FromVrrp, Held, Report};
use crate::vrrp::setup::{Instance, Route, RouteKind, Rule, Vmac};

/// How long the log hears nothing more of an instance that cannot send.
const SILENCE: Duration = Duration::from_secs(60);

/// All that the process acts with.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) netlink: Netlink,
    pub(super) outlets: Outlets,
    pub(super) channel: Channel,
    keeper: Keeper,
    announcer: Announcer,
    /// How long addresses last that nobody refreshes.
    pub(super) lease: Option<Duration>,
    /// Who could not send, and when the log heard of it.
    mute: BTreeMap<Id, Instant>,
}

impl Hands {
    /// # Errors
    /// There is no packet socket to be had.
    pub(super) fn new(
        netlink: Netlink,
        keeper: Keeper,
        channel: Channel,
        lease: Option<Duration>,
    ) -> Result<Self, NetError> {
        let announcer = Announcer::open()?;
        Ok(Self { netlink, outlets: Outlets::default(), channel, keeper, announcer, lease, mute: BTreeMap::new() })
    }

    /// Does all that there is to do.
    pub(super) fn act(&mut self, machine: &mut Machine) {
        while let Some(action) = machine.poll_action() {
            match action {
                Action::Put { instance, held } => self.put(machine, instance, &held),
                Action::Refresh { held, .. } => self.refresh(machine, &held),
                Action::Take { instance, held } => self.take(machine, instance, &held),
                Action::Send { instance, from, to, ttl, bytes } => {
                    match self.outlets.send(instance, (from, to), ttl, &bytes) {
                        Ok(()) => drop(self.mute.remove(&instance)),
                        Err(e) => {
                            let message = format!("advertisements cannot be sent to {to}: {e}");
                            self.cannot_send(machine, instance, &message);
                        }
                    }
                }
                Action::Routes { instance, setup, ways } => self.routes(machine, instance, &setup, ways),
                Action::Announce(announcement) => self.announce(machine, &announcement),
                Action::Open { instance, setup } => self.open(machine, instance, setup),
                Action::Close { instance, setup } => self.close(machine, instance, &setup),
                Action::Tell(message) => self.channel.say(&message),
            }
        }
    }

    fn put(&mut self, machine: &mut Machine, id: Id, held: &[Held]) {
        let now = Instant::now();
        let placed = place(machine, held);
        let there: Vec<Placed<'_>> = placed.iter().flatten().copied().collect();
        let mut answers = self.netlink.put_addresses(&there, self.lease).into_iter();
        let mut done = Vec::with_capacity(held.len());
        for (held, placed) in held.iter().zip(placed) {
            let (put, why) = match placed.and_then(|_| answers.next()) {
                Some(Ok(Placement::New)) => (Put::New, None),
                Some(Ok(Placement::AlreadyThere)) => (Put::There, None),
                Some(Err(e)) => (Put::Failed, Some(e.to_string())),
                None => {
                    let (ip, interface) = (held.address.ip, &held.interface);
                    (Put::Failed, Some(format!("{ip} cannot be put on {interface}: there is no such interface")))
                }
            };
            done.push((held, put, why));
        }
        machine.handle_puts(now, id, done);
    }

    /// Takes off what is on an interface that is gone by its name, and is there by its number still.
    pub(super) fn take_by_number(&mut self, machine: &Machine, index: u32, name: &str) {
        let held = machine.held_on(name);
        let there: Vec<Placed<'_>> =
            held.iter().map(|held| Placed { interface: index, name, address: &held.address }).collect();
        let _forgotten = self.keeper.forget(&held);
        // One that is gone with its interface is as well.
        drop(self.netlink.remove_addresses(&there));
    }

    fn refresh(&mut self, machine: &Machine, held: &[Held]) {
        let kept = |held: &Held| Some((machine.interfaces().by_name(&held.interface)?.index, held.clone()));
        self.keeper.refresh(held.iter().filter_map(kept).collect(), self.lease);
    }

    fn take(&mut self, machine: &Machine, id: Id, held: &[Held]) {
        let there: Vec<Placed<'_>> = place(machine, held).into_iter().flatten().collect();
        let forgotten = self.keeper.forget(held);
        let removed = self.netlink.remove_addresses(&there);
        drop(forgotten);
        for failed in removed.into_iter().filter_map(Result::err) {
            self.warn(machine, Some(id), failed.to_string());
        }
    }

    fn routes(&mut self, machine: &mut Machine, id: Id, setup: &Instance, ways: Ways) {
        let by = |route: &Route| {
            let name = route.device.as_deref().unwrap_or(&setup.interface);
            let named = route.device.is_some() || route.gateway.is_none() && route.kind == RouteKind::Unicast;
            machine.interfaces().by_name(name).filter(|_| named).map(|link| link.index)
        };
        let routes: Vec<Routed<'_>> = setup.routes.iter().map(|route| Routed { route, interface: by(route) }).collect();
        let rules: Vec<&Rule> = setup.rules.iter().collect();
        if ways == Ways::Remove {
            let answers = [self.netlink.remove_rules(&rules), self.netlink.remove_routes(&routes)];
            for error in answers.into_iter().flatten().filter_map(Result::err) {
                self.warn(machine, Some(id), error.to_string());
            }
            return;
        }
        let answers = [self.netlink.put_routes(&routes), self.netlink.put_rules(&rules)];
        let texts = setup.routes.iter().map(route_text).chain(setup.rules.iter().map(rule_text));
        let mut failed = Vec::new();
        for (answer, text) in answers.into_iter().flatten().zip(texts) {
            match answer {
                Ok(Placement::New) if ways == Ways::Repair => {
                    self.warn(machine, Some(id), format!("{text} was not there: it is put back"));
                }
                Ok(_) => {}
                Err(e) => failed.push(e.to_string()),
            }
        }
        machine.handle_ways(Instant::now(), id, (!failed.is_empty()).then(|| failed.join("; ")));
    }

    fn announce(&mut self, machine: &Machine, announcement: &Announcement) {
        let Some(link) = machine.interfaces().by_name(&announcement.interface) else { return };
        let router = announcement.ip.is_ipv6() && is_router(&announcement.interface);
        if let Err(e) = self.announcer.announce(link.index, link.mac, announcement.ip, router) {
            let message = format!("{} cannot be announced on {}: {e}", announcement.ip, announcement.interface);
            self.cannot_send(machine, announcement.instance, &message);
        }
    }

    pub(super) fn open(&mut self, machine: &mut Machine, id: Id, setup: Box<Instance>) {
        let made = setup.vmac.as_ref().map_or(Ok(()), |vmac| self.make_vmac(machine, id, &setup, vmac));
        let opened = match made {
            Ok(()) => self.outlets.open(id, setup, machine.interfaces()),
            Err(e) => Err(self.outlets.wait(id, setup, e)),
        };
        match opened {
            Ok(()) if self.outlets.has(id) => machine.handle_ability(Instant::now(), id, None),
            // That its interface is missing is a fault that is known.
            Ok(()) => {}
            Err(e) => {
                machine.handle_ability(Instant::now(), id, Some(e.to_string()));
                self.cannot_send(machine, id, &e.to_string());
            }
        }
    }

    fn make_vmac(&mut self, machine: &mut Machine, id: Id, setup: &Instance, vmac: &Vmac) -> Result<(), NetError> {
        // Where the interface below is not there, it is made when that comes.
        let Some(parent) = machine.interfaces().by_name(&setup.interface) else { return Ok(()) };
        let parent = Link { index: parent.index, name: parent.name.clone(), ..Link::default() };
        let made = self.netlink.make_vmac(vmac, &parent, setup.family)?;
        machine.handle_link(Instant::now(), surroundings::known(&made.link));
        for warning in made.warnings {
            self.warn(machine, Some(id), warning.to_string());
        }
        Ok(())
    }

    /// Takes the interface of its own away from an instance that has one.
    pub(super) fn remove_vmac(&mut self, machine: &Machine, id: Id, setup: &Instance) {
        if let Some(Err(e)) = setup.vmac.as_ref().map(|vmac| self.netlink.remove_vmac(vmac)) {
            self.warn(machine, Some(id), e.to_string());
        }
    }

    fn close(&mut self, machine: &Machine, id: Id, setup: &Instance) {
        self.outlets.close(id);
        self.mute.remove(&id);
        self.remove_vmac(machine, id, setup);
    }

    fn cannot_send(&mut self, machine: &Machine, id: Id, message: &str) {
        let now = Instant::now();
        if self.mute.get(&id).is_none_or(|told| now.duration_since(*told) >= SILENCE) {
            self.mute.insert(id, now);
            self.warn(machine, Some(id), message.to_owned());
        }
    }

    fn warn(&mut self, machine: &Machine, id: Option<Id>, message: String) {
        let name = machine.instances().find(|(known, _)| Some(*known) == id).map(|(_, setup)| setup.name.clone());
        self.channel.say(&FromVrrp::Report(Report::Warning { instance: name.unwrap_or_default(), message }));
    }
}

/// Where each address is to be; none where its interface is not there.
fn place<'a>(machine: &Machine, held: &'a [Held]) -> Vec<Option<Placed<'a>>> {
    let place = |held: &'a Held| {
        let link = machine.interfaces().by_name(&held.interface)?;
        Some(Placed { interface: link.index, name: &held.interface, address: &held.address })
    };
    held.iter().map(place).collect()
}
