//! One instance at work: its router, its addresses, its counters.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::counters::Counters;
use super::holding::Holding;
use super::interfaces::Interfaces;
use super::message::{Held, Life};
use super::packet::{Advert, Auth, Path, Version};
use super::router::{Cause, Occasion, Router, Settings, State};
use super::setup::{Family, Instance, Transport};
use super::tracker::Verdict;

/// An instance.
#[derive(Clone, Debug)]
pub struct Running {
    /// What is configured.
    pub setup: Instance,
    /// Who is master.
    pub router: Router,
    /// Its addresses.
    pub holding: Holding,
    /// What it sent and took.
    pub counters: Counters,
    /// What it sends from.
    pub source: Option<IpAddr>,
    /// What its trackers come to, those of its group and of other members included.
    pub verdict: Verdict,
    /// Where the process before this one was, until it has begun.
    pub life: Option<Life>,
    /// Since when it is in its state.
    pub since: Instant,
    /// How often it has changed state.
    pub transitions: u64,
    /// Why it can neither send nor hear, where it cannot.
    pub unable: Option<String>,
    /// What its programs were told last.
    pub told: Option<State>,
    /// A reload brought it, and it has not been anything but backup since.
    pub new: bool,
    /// How often its routes and rules were taken away.
    pub ways_missed: Backoff,
    /// When they are to be made again.
    pub ways_at: Option<Instant>,
    /// When its neighbours are told once more, and how often.
    again: Option<(Instant, u32)>,
    /// When they are told for good measure.
    refresh: Option<Instant>,
}

impl Running {
    /// One that has not begun.
    #[must_use]
    pub fn new(now: Instant, setup: Instance, life: Option<Life>, grouped: bool) -> Self {
        let held = life.as_ref().map_or(&[][..], |life| &life.held[..]);
        Self {
            router: Router::new(settings(&setup, None, grouped)),
            holding: Holding::new(addresses(&setup), held),
            counters: Counters::default(),
            source: None,
            verdict: Verdict::default(),
            since: now,
            transitions: life.as_ref().map_or(0, |life| life.transitions),
            unable: None,
            told: life.as_ref().map(|life| life.state),
            life,
            new: false,
            ways_missed: Backoff::default(),
            ways_at: None,
            again: None,
            refresh: None,
            setup,
        }
    }

    /// The interface that its addresses are on where nothing else is said.
    #[must_use]
    pub fn base(&self) -> &str {
        base(&self.setup)
    }

    /// Finds what it sends from. Returns whether that is another address than before.
    pub fn find_source(&mut self, interfaces: &Interfaces, virtual_ones: &dyn Fn(IpAddr) -> bool) -> bool {
        let found = self.setup.source.or_else(|| {
            let first = interfaces.source(&self.setup.interface, self.setup.family, virtual_ones);
            // Until another is there, the one of before may be as good.
            first.or(self.source.filter(|before| interfaces.has(*before)))
        });
        std::mem::replace(&mut self.source, found) != found
    }

    /// What makes it unable to be master by itself, in a few words each.
    #[must_use]
    pub fn own_faults(&self, interfaces: &Interfaces) -> Vec<String> {
        let setup = &self.setup;
        let mut faults = Vec::new();
        let down = |name: &str| match interfaces.by_name(name) {
            None => Some(format!("interface {name} is not there")),
            Some(link) if !link.running => Some(format!("interface {name} is down")),
            Some(_) => None,
        };
        if !setup.interface.is_empty() && !setup.ignore_interface {
            faults.extend(down(&setup.interface));
        }
        let others = setup.addresses.iter().chain(&setup.excluded).filter(|address| !address.ignore_interface);
        let mut others: Vec<&str> = others.filter_map(|address| address.device.as_deref()).collect();
        others.sort_unstable();
        others.dedup();
        let own = |name: &&str| *name == setup.interface || *name == self.base();
        faults.extend(others.into_iter().filter(|name| !own(name)).filter_map(down));
        faults.extend(self.unable.clone());
        match self.source {
            None => {
                let kind = if setup.family == Family::V4 { "IPv4" } else { "link-local IPv6" };
                faults.push(format!("interface {} has no {kind} address to send from", setup.interface));
            }
            Some(source) if setup.track_source && !interfaces.has(source) => {
                faults.push(format!("the address {source} to send from is not there"));
            }
            Some(_) => {}
        }
        faults
    }

    /// The settings of its router, as they are now.
    #[must_use]
    pub fn settings(&self, grouped: bool) -> Settings {
        settings(&self.setup, self.source, grouped)
    }

    /// Where an advertisement of `priority` goes, and its bytes.
    #[must_use]
    pub fn adverts(&self, priority: u8) -> Vec<(IpAddr, Vec<u8>)> {
        let Some(source) = self.source else { return Vec::new() };
        let advert = self.advert(priority);
        let bytes = |to: IpAddr| match (source, to) {
            (IpAddr::V4(_), IpAddr::V4(_)) if self.setup.checksum_without_pseudo_header => {
                Some(advert.encode_without_pseudo_header())
            }
            (IpAddr::V4(from), IpAddr::V4(to)) => Some(advert.encode(Path::V4(from, to))),
            (IpAddr::V6(from), IpAddr::V6(to)) => Some(advert.encode(Path::V6(from, to))),
            _ => None,
        };
        let to = match &self.setup.transport {
            Transport::Multicast { group } => vec![*group],
            Transport::Unicast { peers, .. } => peers.iter().map(|peer| peer.address).collect(),
        };
        to.into_iter().filter_map(|to| Some((to, bytes(to)?))).collect()
    }

    fn advert(&self, priority: u8) -> Advert {
        let setup = &self.setup;
        Advert {
            version: setup.version,
            vrid: setup.vrid,
            priority,
            centiseconds: u16::try_from(setup.interval.as_millis() / 10).unwrap_or(u16::MAX),
            auth: if setup.version == Version::V2 { setup.auth } else { Auth::None },
            addresses: setup.addresses.iter().map(|address| address.ip).collect(),
        }
    }

    /// What its neighbours are told of, with the interface of each.
    #[must_use]
    pub fn announced(&self) -> Vec<(String, IpAddr)> {
        self.holding.all().map(|held| (held.interface.clone(), held.address.ip)).collect()
    }

    /// How often neighbours are told at this occasion; once more later where that is configured.
    pub fn announce(&mut self, now: Instant, occasion: Occasion) -> u32 {
        let garp = self.setup.garp;
        let (times, delay) = match occasion {
            Occasion::Takeover => (garp.repeat, garp.delay),
            Occasion::Rival => (garp.lower_repeat, garp.lower_delay),
        };
        self.again = (!delay.is_zero() && times > 0).then(|| (now + delay, times));
        self.refresh = self.next_refresh(now);
        times
    }

    /// How often they are to be told now; 0 is not at all.
    pub fn poll_announce(&mut self, now: Instant) -> u32 {
        if let Some((_, times)) = self.again.take_if(|(at, _)| *at <= now) {
            return times;
        }
        let garp = self.setup.garp;
        if self.refresh.take_if(|at| *at <= now).is_some() {
            self.refresh = self.next_refresh(now);
            return garp.refresh_repeat;
        }
        0
    }

    /// A reload says something else of it. Returns what was configured.
    pub fn reconfigure(&mut self, now: Instant, setup: Instance) -> Instance {
        let old = std::mem::replace(&mut self.setup, setup);
        if self.router.state() == State::Master && old.garp.refresh != self.setup.garp.refresh {
            self.refresh = self.next_refresh(now);
        }
        old
    }

    /// When neighbours are told for good measure next; never where no time for that is configured.
    fn next_refresh(&self, now: Instant) -> Option<Instant> {
        let refresh = self.setup.garp.refresh;
        (!refresh.is_zero()).then(|| now + refresh.max(Duration::from_millis(10)))
    }

    /// Neighbours are told nothing more.
    pub fn be_silent(&mut self) {
        (self.again, self.refresh) = (None, None);
    }

    /// When something is due next, but for its announcements that wait in a queue.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let again = self.again.map(|(at, _)| at);
        let all = [self.router.poll_timeout(), self.holding.poll_timeout(), self.ways_at, again, self.refresh];
        all.into_iter().flatten().min()
    }

    /// Whether it may go on as the master that it was, although nobody knows for how long nothing was sent: all that it
    /// held is there, and would be no longer after a time in which others take over.
    #[must_use]
    pub fn goes_on(&self, interfaces: &Interfaces, lease: Option<Duration>) -> bool {
        let Some(life) = self.life.as_ref().filter(|life| life.state == State::Master) else { return false };
        let there = |held: &Held| interfaces.is_on(&held.interface, held.address.ip);
        let soon = lease.is_some_and(|lease| lease <= self.setup.interval * self.setup.down_adverts.max(1));
        soon && !life.held.is_empty() && life.held.iter().all(there)
    }

    /// Whether it is only to join the other members of its group: a master of their node goes on until it is known that
    /// somebody else is master of this one.
    #[must_use]
    pub fn joins(&self) -> bool {
        let waits = matches!(self.router.state(), State::Initialize | State::Backup);
        self.new && waits && !self.router.hears_master()
    }

    /// It came into a state.
    pub fn entered(&mut self, now: Instant, cause: Cause) {
        if cause != Cause::Adopted {
            (self.since, self.transitions) = (now, self.transitions + 1);
        }
        self.new &= matches!(self.router.state(), State::Initialize | State::Backup);
        if self.router.state() != State::Master {
            self.be_silent();
            self.ways_missed.forget();
            self.ways_at = None;
        }
    }
}

/// The interface that the addresses of `setup` are on where nothing else is said.
fn base(setup: &Instance) -> &str {
    setup.vmac.as_ref().map_or(&setup.interface, |vmac| &vmac.name)
}

/// All addresses that an instance holds, with their interfaces.
#[must_use]
pub fn addresses(setup: &Instance) -> Vec<Held> {
    let all = setup.addresses.iter().chain(&setup.excluded);
    all.map(|address| {
        let device = address.device.as_deref().filter(|device| *device != setup.interface);
        // A VMAC is of one family: an address of the other is on the interface below, as with keepalived.
        let usual = if Family::of(address.ip) == setup.family { base(setup) } else { &setup.interface };
        Held { interface: device.unwrap_or(usual).to_owned(), address: address.clone() }
    })
    .collect()
}

fn settings(setup: &Instance, source: Option<IpAddr>, grouped: bool) -> Settings {
    Settings {
        version: setup.version,
        interval: setup.interval,
        priority: setup.priority,
        preempt: setup.preempt,
        preempt_delay: setup.preempt_delay,
        down_adverts: setup.down_adverts.max(1),
        answers_lower: !setup.lower_priority_no_advert,
        grouped,
        source: source.unwrap_or(IpAddr::from([0, 0, 0, 0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::setup::{Address, Vmac};

    #[test]
    fn an_address_of_the_other_family_is_on_the_interface_below_a_vmac() {
        let address = |text: &str, device: Option<&str>| Address {
            device: device.map(str::to_owned),
            ..Address::new(text.parse().expect("an address"), 24)
        };
        let (four, six) = (address("10.0.0.50", None), address("fd00::50", Some("eth0")));
        for (first, excluded) in [(&four, &six), (&six, &four)] {
            let mut setup = Instance::new("VI_1", "eth0", 50, vec![first.clone()]);
            setup.excluded = vec![excluded.clone(), address("fd00::51", Some("eth1"))];
            let on = |setup: &Instance| addresses(setup).into_iter().map(|held| held.interface).collect::<Vec<_>>();
            assert_eq!(on(&setup), ["eth0", "eth0", "eth1"]);
            setup.vmac = Some(Vmac { name: "vrrp.50".to_owned(), mac: [0; 6], transmit_base: false });
            assert_eq!(on(&setup), ["vrrp.50", "eth0", "eth1"]);
        }
    }
}
