//! When neighbours are told whose an address is: bursts, and the pace that a switch can bear.

use std::collections::{BTreeMap, HashMap};
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
    /// Each has a pace of its own.
    lanes: BTreeMap<(String, Family), Lane>,
    count: u64,
    garp_interval: Duration,
    gna_interval: Duration,
}

/// What waits to leave by one interface, of one family: each address once, however often it is to be said.
#[derive(Debug, Default)]
struct Lane {
    /// Those that were not said yet before those that were, and those of one kind as they came.
    queue: BTreeMap<(Said, u64), (Id, IpAddr)>,
    /// The place of each, and how often it is still to be said.
    waiting: HashMap<(Id, IpAddr), ((Said, u64), u32)>,
    /// From when on something waits.
    since: Option<Instant>,
    /// When the last one left.
    last: Option<Instant>,
}

/// Whether an address was said since it was to be announced.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Said {
    NotYet,
    Before,
}

impl Lane {
    /// `address` is to be said `times` from now on. One that was said before is new again; what waits loses no place.
    fn add(&mut self, address: (Id, IpAddr), times: u32, number: u64) {
        let place = (Said::NotYet, number);
        let (known, left) = self.waiting.entry(address).or_insert((place, 0));
        *left = times.max(*left);
        if known.0 == Said::Before {
            self.queue.remove(known);
            *known = place;
        }
        self.queue.insert(*known, address);
    }

    /// The first in the queue, which waits at its end where it is to be said once more.
    fn take(&mut self, number: u64) -> Option<(Id, IpAddr)> {
        let (_, address) = self.queue.pop_first()?;
        if let Some((place, left)) = self.waiting.get_mut(&address).filter(|(_, left)| *left > 1) {
            (*place, *left) = ((Said::Before, number), *left - 1);
            self.queue.insert(*place, address);
        } else {
            self.waiting.remove(&address);
        }
        Some(address)
    }

    /// When the next one may leave, where one waits.
    fn due(&self, interval: Duration) -> Option<Instant> {
        self.queue.first_key_value()?;
        self.last.map(|last| last + interval).or(self.since)
    }
}

impl Announcer {
    /// From now on at least `garp` lies between two gratuitous ARPs of an interface, and `gna` between two
    /// neighbour advertisements.
    pub fn set_intervals(&mut self, garp: Duration, gna: Duration) {
        (self.garp_interval, self.gna_interval) = (garp, gna);
    }

    /// Each of `addresses` is to be announced `times`, all of them once before any of them again. One that waits
    /// already is announced as often as the greater of the two says: whoever asks faster than the pace makes no queue.
    pub fn burst(&mut self, now: Instant, instance: Id, addresses: &[(String, IpAddr)], times: u32) {
        for (interface, ip) in addresses.iter().filter(|_| times > 0) {
            let lane = self.lanes.entry((interface.clone(), Family::of(*ip))).or_default();
            lane.since.get_or_insert(now);
            self.count += 1;
            lane.add((instance, *ip), times, self.count);
        }
    }

    fn interval(&self, family: Family) -> Duration {
        if family == Family::V4 { self.garp_interval } else { self.gna_interval }
    }

    /// Nothing more is said for `instance`, or for one of its addresses alone.
    pub fn cancel(&mut self, instance: Id, ip: Option<IpAddr>) {
        let stays = |address: &(Id, IpAddr)| address.0 != instance || ip.is_some_and(|ip| ip != address.1);
        for lane in self.lanes.values_mut() {
            lane.queue.retain(|_, address| stays(address));
            lane.waiting.retain(|address, _| stays(address));
        }
    }

    /// What is due.
    pub fn poll(&mut self, now: Instant) -> Option<Announcement> {
        let due = |(_, family): &(String, Family), lane: &Lane| lane.due(self.interval(*family));
        let found = self.lanes.iter().find(|(key, lane)| due(key, lane).is_some_and(|at| at <= now));
        let key = found.map(|(key, _)| key.clone())?;
        let lane = self.lanes.get_mut(&key)?;
        self.count += 1;
        lane.last = Some(now);
        let (instance, ip) = lane.take(self.count)?;
        Some(Announcement { instance, interface: key.0, ip })
    }

    /// When something is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|((_, family), lane)| lane.due(self.interval(*family))).min()
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
        // Lateness is not made up for: what came too late does not come in a heap.
        let later = now + Duration::from_secs(1);
        let mut said = |at| std::iter::from_fn(|| announcer.poll(at)).map(|one| one.instance).collect::<Vec<_>>();
        assert_eq!([said(later), said(later + Duration::from_millis(100))], [[Id(2)], [Id(2)]]);
        assert_eq!(announcer.poll_timeout(), None);
    }

    /// What is said, and when, in milliseconds.
    fn paced(announcer: &mut Announcer, now: Instant) -> Vec<(u128, Announcement)> {
        let mut said = Vec::new();
        while let Some(at) = announcer.poll_timeout() {
            said.extend(std::iter::from_fn(|| announcer.poll(at)).map(|one| ((at - now).as_millis(), one)));
        }
        said
    }

    #[test]
    fn what_was_never_said_does_not_wait_for_what_is_said_again() {
        let mut announcer = Announcer::default();
        announcer.set_intervals(Duration::from_millis(100), Duration::ZERO);
        let now = Instant::now();
        let many: Vec<_> = (1..=20).map(|n| ("eth0".to_owned(), IpAddr::from([10, 0, 1, n]))).collect();
        announcer.burst(now, Id(1), &many, 5);
        assert!(announcer.poll(now).is_some());
        announcer.burst(now, Id(2), &addresses(), 5);
        let said = paced(&mut announcer, now);
        let first = said.iter().find(|(_, one)| one.instance == Id(2)).map(|(at, _)| *at);
        assert_eq!((said.len(), first), (22 * 5 - 1, Some(2000)));
        assert_eq!(said.last().map(|(at, _)| *at), Some((22 * 5 - 1) * 100));
    }

    #[test]
    fn who_asks_faster_than_the_pace_makes_no_queue_and_keeps_nobody_from_his_turn() {
        let mut announcer = Announcer::default();
        announcer.set_intervals(Duration::from_millis(100), Duration::ZERO);
        let now = Instant::now();
        let many: Vec<_> = (1..=20).map(|n| ("eth0".to_owned(), IpAddr::from([10, 0, 1, n]))).collect();
        let mut said = Vec::new();
        for second in 0..100 {
            let begin = now + Duration::from_secs(second);
            announcer.burst(begin, Id(1), &many, 100);
            if second == 50 {
                announcer.burst(begin, Id(2), &addresses(), 1);
            }
            for tenth in 0..10 {
                said.extend(announcer.poll(begin + Duration::from_millis(tenth * 100)));
            }
        }
        assert_eq!(said.len(), 1000);
        for (_, ip) in &many {
            assert!((45..=55).contains(&said.iter().filter(|one| one.ip == *ip).count()), "{ip}");
        }
        let other = said.iter().rposition(|one| one.instance == Id(2)).expect("it is said");
        assert!(other <= 500 + 22, "{other}");
        assert!(paced(&mut announcer, now).len() <= 20 * 100);
    }

    #[test]
    fn an_interface_and_a_family_wait_for_no_other() {
        let mut announcer = Announcer::default();
        announcer.set_intervals(Duration::from_millis(100), Duration::from_millis(10));
        let now = Instant::now();
        let six = ("eth0".to_owned(), IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]));
        let all = [&addresses()[..], &[("eth1".to_owned(), addresses()[0].1), six]].concat();
        announcer.burst(now, Id(1), &all, 2);
        let said: Vec<u128> = paced(&mut announcer, now).into_iter().map(|(at, _)| at).collect();
        assert_eq!(said, [0, 0, 0, 10, 100, 100, 200, 300]);
    }
}
