//! The addresses of an instance: which it holds, which had been there before, and which somebody took away.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::message::Held;

/// When what could not be put on an interface is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What became of putting an address on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It was not there.
    New,
    /// It was there.
    There,
    /// It is not there.
    Failed,
}

/// How an address stands on its interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Absent,
    Ours,
    /// It had been there before, and stays when the instance goes.
    Found,
}

#[derive(Clone, Debug)]
struct Kept {
    held: Held,
    standing: Standing,
    /// When it is to be put there again.
    retry: Option<Instant>,
    /// How often it was taken away.
    removals: Backoff,
    /// It was missed once since it was to be there: neighbours are told anew when it is back.
    missed: bool,
    /// A reload took it off to put it there as it is configured now: that it is gone will be told once.
    replaced: bool,
}

/// All of an instance.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    wanted: bool,
    kept: Vec<Kept>,
    /// What an earlier life put there and is configured no longer.
    former: Vec<Held>,
    /// [`Self::ours`] is another than when that was asked last.
    changed: bool,
}

/// An address that is no longer on its interface and has to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gone {
    /// The address.
    pub held: Held,
    /// When it is to be put there again.
    pub at: Instant,
    /// Somebody else took it away.
    pub by_others: bool,
}

impl Holding {
    /// Those that are to be held as master; `ours` are there from an earlier life.
    #[must_use]
    pub fn new(all: Vec<Held>, ours: &[Held]) -> Self {
        let kept = all.into_iter().map(Kept::absent).collect();
        let mut holding = Self { wanted: false, kept, former: Vec::new(), changed: false };
        for old in ours {
            let known = holding.kept.iter_mut().find(|kept| kept.held.is_same(old));
            match known {
                Some(kept) => kept.standing = Standing::Ours,
                None => holding.former.push(old.clone()),
            }
        }
        holding
    }

    /// From now on they are held. Returns those that are to be put on interfaces.
    pub fn hold(&mut self) -> Vec<Held> {
        self.wanted = true;
        self.kept.iter().map(|kept| kept.held.clone()).collect()
    }

    /// Those that an earlier life put there and are configured no longer: to be taken away whatever comes.
    pub fn take_former(&mut self) -> Vec<Held> {
        self.changed |= !self.former.is_empty();
        std::mem::take(&mut self.former)
    }

    /// From now on they are not. Returns those that are to be taken away.
    pub fn release(&mut self) -> Vec<Held> {
        self.wanted = false;
        let ours = self.ours();
        self.changed |= !ours.is_empty();
        self.former.clear();
        for kept in &mut self.kept {
            (kept.standing, kept.retry) = (Standing::Absent, None);
            kept.removals.forget();
            (kept.missed, kept.replaced) = (false, false);
        }
        ours
    }

    /// Another list. Returns those that are to be taken away, and those that are to be put on interfaces.
    pub fn change(&mut self, all: Vec<Held>) -> (Vec<Held>, Vec<Held>) {
        let before = std::mem::take(&mut self.kept);
        let (mut take, mut put) = (Vec::new(), Vec::new());
        for held in all {
            match before.iter().find(|kept| kept.held == held) {
                Some(kept) => self.kept.push(kept.clone()),
                None => {
                    put.push(held.clone());
                    let same = |kept: &Kept| kept.held.is_at(&held.interface, held.address.ip, held.address.prefix);
                    let replaced = before.iter().any(|kept| kept.standing == Standing::Ours && same(kept));
                    self.kept.push(Kept { replaced, ..Kept::absent(held) });
                }
            }
        }
        for kept in before.into_iter().filter(|kept| kept.standing == Standing::Ours) {
            if !self.kept.iter().any(|new| new.held == kept.held) {
                take.push(kept.held);
            }
        }
        self.changed |= !take.is_empty();
        if !self.wanted {
            put.clear();
        }
        (take, put)
    }

    /// A reload took these off for another instance, and has put them there for this one: that they are gone will be told
    /// once.
    pub fn take_over(&mut self, taken: &[Held]) {
        for kept in self.kept.iter_mut().filter(|_| self.wanted) {
            let same = |old: &Held| kept.held.is_at(&old.interface, old.address.ip, old.address.prefix);
            kept.replaced |= taken.iter().any(same);
        }
    }

    /// What became of putting `held` there. Returns whether it is back after it was missed.
    pub fn handle_put(&mut self, now: Instant, held: &Held, put: Put) -> bool {
        let wanted = self.wanted;
        let Some(kept) = self.kept.iter_mut().find(|kept| kept.held.is_same(held)).filter(|_| wanted) else {
            return false;
        };
        kept.retry = (put == Put::Failed).then(|| now + RETRY);
        let before = kept.standing;
        if put == Put::There {
            // What was said to be gone was not, or not for long enough to be seen.
            kept.removals.forgive();
        }
        kept.standing = match (put, before) {
            (Put::New, _) | (Put::There, Standing::Ours) => Standing::Ours,
            // What seemed to fail before came about after all.
            (Put::There, _) if kept.missed => Standing::Ours,
            (Put::There, _) => Standing::Found,
            (Put::Failed, _) => Standing::Absent,
        };
        self.changed |= before != kept.standing;
        kept.missed |= put == Put::Failed;
        put == Put::New && std::mem::take(&mut kept.missed)
    }

    /// It is no longer on the interface. Returns the address when it is to be there: it is put there again at
    /// once for the first time.
    pub fn handle_gone(&mut self, now: Instant, interface: &str, ip: IpAddr, prefix: u8) -> Option<Gone> {
        let wanted = self.wanted;
        let kept = self.kept.iter_mut().find(|kept| kept.held.is_at(interface, ip, prefix))?;
        if !wanted || kept.standing == Standing::Absent {
            return None;
        }
        if std::mem::take(&mut kept.replaced) {
            // It may be there again: whoever puts it there is told.
            return Some(Gone { held: kept.held.clone(), at: now, by_others: false });
        }
        kept.missed = true;
        // Whoever put it there: it is this node's to keep now.
        self.changed |= kept.standing != Standing::Ours;
        kept.standing = Standing::Ours;
        let at = now + kept.removals.again(now);
        kept.retry = Some(at);
        Some(Gone { held: kept.held.clone(), at, by_others: true })
    }

    /// Those that are due to be put there again.
    pub fn poll_retries(&mut self, now: Instant) -> Vec<Held> {
        let due = self.kept.iter_mut().filter(|kept| kept.retry.is_some_and(|at| at <= now));
        due.map(|kept| {
            kept.retry = None;
            kept.held.clone()
        })
        .collect()
    }

    /// When [`Self::poll_retries`] has something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.kept.iter().filter_map(|kept| kept.retry).min()
    }

    /// Those that the instance put on interfaces itself.
    #[must_use]
    pub fn ours(&self) -> Vec<Held> {
        let ours = self.kept.iter().filter(|kept| kept.standing == Standing::Ours).map(|kept| &kept.held);
        ours.chain(&self.former).cloned().collect()
    }

    /// Whether the instance put `held` there itself.
    #[must_use]
    pub fn is_ours(&self, held: &Held) -> bool {
        let kept = self.kept.iter().find(|kept| kept.held.is_same(held));
        kept.is_some_and(|kept| kept.standing == Standing::Ours) || self.former.iter().any(|old| old.is_same(held))
    }

    /// Whether [`Self::ours`] has become another since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Those of them that are there, as far as is known: not those that somebody took away and that wait.
    #[must_use]
    pub fn leased(&self) -> Vec<Held> {
        let there = self.kept.iter().filter(|kept| kept.standing == Standing::Ours && kept.retry.is_none());
        there.map(|kept| kept.held.clone()).collect()
    }

    /// Those that are there, whoever put them.
    pub fn there(&self) -> impl Iterator<Item = &Held> {
        self.kept.iter().filter(|kept| kept.standing != Standing::Absent).map(|kept| &kept.held)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Held> {
        self.kept.iter().map(|kept| &kept.held)
    }
}

impl Kept {
    fn absent(held: Held) -> Self {
        let standing = Standing::Absent;
        Self { held, standing, retry: None, removals: Backoff::default(), missed: false, replaced: false }
    }
}

impl Held {
    /// Whether the kernel takes it for this address on this interface. Of IPv4 it has one for each prefix; of IPv6 one
    /// alone, whatever its prefix.
    fn is_at(&self, interface: &str, ip: IpAddr, prefix: u8) -> bool {
        self.address.ip == ip && (ip.is_ipv6() || self.address.prefix == prefix) && self.interface == interface
    }

    /// Whether both are the same address on the same interface, whatever else is said of it.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |held: &Self| (held.address.ip, held.address.prefix);
        key(self) == key(other) && self.interface == other.interface
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::backoff::{FIRST, QUIET};
    use crate::vrrp::setup::Address;

    fn held(last: u8) -> Held {
        Held { interface: "eth0".to_owned(), address: Address::new(IpAddr::from([10, 0, 0, last]), 24) }
    }

    fn holding(now: Instant, puts: &[(u8, Put)]) -> Holding {
        let mut holding = Holding::new(puts.iter().map(|(last, _)| held(*last)).collect(), &[]);
        assert_eq!(holding.hold().len(), puts.len());
        for (last, put) in puts {
            holding.handle_put(now, &held(*last), *put);
        }
        holding
    }

    #[test]
    fn what_had_been_there_before_stays() {
        let mut holding = holding(Instant::now(), &[(1, Put::New), (2, Put::There)]);
        assert_eq!(holding.there().count(), 2);
        assert_eq!(holding.release(), [held(1)]);
        assert_eq!(holding.release(), []);
    }

    #[test]
    fn what_an_earlier_life_put_there_is_this_ones() {
        let mut holding = Holding::new(vec![held(1)], &[held(1), held(9)]);
        holding.hold();
        holding.handle_put(Instant::now(), &held(1), Put::There);
        assert_eq!(holding.release(), [held(1), held(9)]);
    }

    #[test]
    fn what_an_earlier_life_put_there_and_is_configured_no_longer_is_not_held_again() {
        let mut holding = Holding::new(vec![held(1)], &[held(1), held(9)]);
        assert_eq!(holding.ours(), [held(1), held(9)]);
        assert_eq!(holding.hold(), [held(1)]);
        assert_eq!(holding.take_former(), [held(9)]);
        assert_eq!(holding.release(), [held(1)]);
    }

    #[test]
    fn what_a_reload_changes_of_an_address_nobody_took_away() {
        let now = Instant::now();
        let mut holding = holding(now, &[(1, Put::New)]);
        let mut labelled = held(1);
        labelled.address.label = Some("eth0:1".to_owned());
        assert_eq!(holding.change(vec![labelled.clone()]), (vec![held(1)], vec![labelled.clone()]));
        holding.handle_put(now, &labelled, Put::New);
        let mut gone = |prefix| {
            let gone = holding.handle_gone(now, "eth0", held(1).address.ip, prefix);
            gone.map(|gone| (gone.at, gone.by_others))
        };
        assert_eq!([gone(24), gone(24)], [Some((now, false)), Some((now, true))]);
        // One of another prefix is another address.
        let mut wider = held(1);
        wider.address.prefix = 16;
        assert_eq!(holding.change(vec![wider.clone()]), (vec![labelled], vec![wider.clone()]));
        holding.handle_put(now, &wider, Put::New);
        let mut gone = |prefix| {
            let gone = holding.handle_gone(now, "eth0", held(1).address.ip, prefix);
            gone.map(|gone| (gone.at, gone.by_others))
        };
        assert_eq!([gone(24), gone(16)], [None, Some((now, true))]);
    }

    #[test]
    fn one_of_another_prefix_that_came_and_went_was_none_of_these() {
        let now = Instant::now();
        let mut holding = holding(now, &[(1, Put::There), (2, Put::New)]);
        for last in 1..=2 {
            assert_eq!(holding.handle_gone(now, "eth0", held(last).address.ip, 32), None);
        }
        assert_eq!(holding.release(), [held(2)], "what had been there before stays");
        // Of IPv6 the kernel has an address once, with the prefix that it came with.
        let six = Held { address: Address::new("fd00::1".parse().expect("an address"), 128), ..held(1) };
        let mut holding = Holding::new(vec![six.clone()], &[]);
        holding.hold();
        holding.handle_put(now, &six, Put::There);
        assert_eq!(holding.handle_gone(now, "eth0", six.address.ip, 64).map(|gone| gone.held), Some(six));
    }

    #[test]
    fn who_takes_it_away_again_and_again_makes_it_wait() {
        let now = Instant::now();
        let mut holding = holding(now, &[(1, Put::New)]);
        let waits: Vec<u128> = (0..12)
            .map(|_| {
                let gone = holding.handle_gone(now, "eth0", held(1).address.ip, 24).expect("it is to be there");
                holding.handle_put(now, &held(1), Put::New);
                (gone.at - now).as_millis()
            })
            .collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000]);
        let later = now + QUIET + FIRST;
        assert_eq!(holding.handle_gone(later, "eth0", held(1).address.ip, 24).map(|gone| gone.at), Some(later));
    }

    #[test]
    fn what_a_backup_lacks_is_not_missed() {
        let now = Instant::now();
        let mut holding = holding(now, &[(1, Put::New)]);
        holding.release();
        assert_eq!(holding.handle_gone(now, "eth0", held(1).address.ip, 24), None);
    }

    #[test]
    fn a_reload_takes_and_puts_what_changed_and_nothing_else() {
        let mut holding = holding(Instant::now(), &[(1, Put::New), (2, Put::New)]);
        assert_eq!(holding.change(vec![held(2), held(3)]), (vec![held(1)], vec![held(3)]));
        assert_eq!(holding.ours(), [held(2)]);
        holding.release();
        assert_eq!(holding.change(vec![held(4)]), (vec![], vec![]));
    }

    #[test]
    fn what_failed_is_tried_again() {
        let now = Instant::now();
        let mut holding = holding(now, &[(1, Put::Failed)]);
        assert_eq!(holding.poll_timeout(), Some(now + RETRY));
        assert_eq!(holding.poll_retries(now), []);
        assert_eq!(holding.poll_retries(now + RETRY), [held(1)]);
    }
}
