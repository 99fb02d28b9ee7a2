//! When neighbours are told whose an address is: bursts, and the pace that a switch can bear.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::Id;
use super::setup::Family;

/// One gratuitous ARP or unsolicited neighbour advertisement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// Whose address it is.
    pub instance: Id,
    /// The interface that it leaves by.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
}

/// What is to be sent, in order.
#[derive(Debug, Default)]
pub struct Announcer {
    /// By time, and those of one time as they came.
    queue: BTreeMap<(Instant, u64), Announcement>,
    count: u64,
    /// When an interface may have the next one of a family.
    free: BTreeMap<(String, Family), Instant>,
    garp_interval: Duration,
    gna_interval: Duration,
}

impl Announcer {
    /// From now on at least `garp` lies between two gratuitous ARPs of an interface, and `gna` between two
    /// neighbour advertisements.
    pub fn set_intervals(&mut self, garp: Duration, gna: Duration) {
        (self.garp_interval, self.gna_interval) = (garp, gna);
    }

    /// Each of `addresses` is to be announced `times`, all of them once before any of them again.
    pub fn burst(&mut self, now: Instant, instance: Id, addresses: &[(String, IpAddr)], times: u32) {
        for (interface, ip) in (0..times).flat_map(|_| addresses) {
            let at = self.place(now, interface, Family::of(*ip));
            let announcement = Announcement { instance, interface: interface.clone(), ip: *ip };
            self.queue.insert((at, self.count), announcement);
            self.count += 1;
        }
    }

    /// When the next one may leave by `interface`.
    fn place(&mut self, now: Instant, interface: &str, family: Family) -> Instant {
        let interval = if family == Family::V4 { self.garp_interval } else { self.gna_interval };
        if interval.is_zero() {
            return now;
        }
        let free = self.free.entry((interface.to_owned(), family)).or_insert(now);
        let at = now.max(*free);
        *free = at + interval;
        at
    }

    /// Nothing more is said for `instance`, or for one of its addresses alone.
    pub fn cancel(&mut self, instance: Id, ip: Option<IpAddr>) {
        self.queue.retain(|_, pending| pending.instance != instance || ip.is_some_and(|ip| ip != pending.ip));
        if self.queue.is_empty() {
            self.free.clear();
        }
    }

    /// What is due.
    pub fn poll(&mut self, now: Instant) -> Option<Announcement> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// When something is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<(String, IpAddr)> {
        (1..=2).map(|n| ("eth0".to_owned(), IpAddr::from([10, 0, 0, n]))).collect()
    }

    #[test]
    fn every_address_is_said_once_before_any_is_said_again() {
        let mut announcer = Announcer::default();
        let now = Instant::now();
        announcer.burst(now, Id(1), &addresses(), 2);
        let said: Vec<IpAddr> = std::iter::from_fn(|| announcer.poll(now)).map(|one| one.ip).collect();
        let [(_, one), (_, two)] = &addresses()[..] else { panic!("two") };
        assert_eq!(said, [*one, *two, *one, *two]);
        assert_eq!(announcer.poll_timeout(), None);
    }

    #[test]
    fn a_switch_that_throttles_has_its_pace() {
        let mut announcer = Announcer::default();
        announcer.set_intervals(Duration::from_millis(100), Duration::ZERO);
        let now = Instant::now();
        announcer.burst(now, Id(1), &addresses(), 1);
        announcer.burst(now, Id(2), &addresses(), 1);
        assert!(announcer.poll(now).is_some() && announcer.poll(now).is_none());
        assert_eq!(announcer.poll_timeout(), Some(now + Duration::from_millis(100)));
        announcer.cancel(Id(1), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(
            std::iter::from_fn(|| announcer.poll(later)).map(|one| one.instance).collect::<Vec<_>>(),
            [Id(2); 2]
        );
    }
}
