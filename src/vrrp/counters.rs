//! What an instance sent, took and rejected, for status; and how often the log hears of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::inbound::Rejected;
use super::message::RejectedStatus;

/// How many pairs of sender and reason are remembered, of those that use the same identifier and of all others; whoever
/// sends from more addresses is one.
const SENDERS: usize = 64;

/// How long the log hears nothing more of the same sender and reason.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Rejections {
    count: u64,
    last: Instant,
    /// When the log heard of it last.
    told: Option<Instant>,
}

/// The counters of an instance.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Advertisements that were sent, to each peer or group.
    pub sent: u64,
    /// Advertisements that counted.
    pub received: u64,
    rejected: BTreeMap<(Option<IpAddr>, Rejected), Rejections>,
    /// When the log heard last of an address that could not be put on its interface.
    failure: Option<Instant>,
    /// The same of a route or a rule that could not be made.
    failure_of_ways: Option<Instant>,
    /// Who ever named other addresses.
    others: BTreeMap<IpAddr, Other>,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    /// It did so in its last advertisement.
    differs: bool,
    told: Instant,
}

/// Whether one more sender can be remembered.
#[derive(Clone, Copy, Debug)]
enum Full {
    /// It can.
    Not,
    /// In the place of this one, of which nothing was heard for long.
    For((Option<IpAddr>, Rejected)),
    /// No: all were heard of lately.
    OfOthers,
}

impl Counters {
    /// A packet was rejected. Returns how many were, where the log is to hear of it.
    pub fn reject(&mut self, now: Instant, from: IpAddr, why: Rejected) -> Option<u64> {
        let (known, instead) = (self.rejected.contains_key(&(Some(from), why)), self.full(now, why));
        let key = match instead {
            Full::Not => (Some(from), why),
            _ if known => (Some(from), why),
            Full::For(silent) => {
                self.forget(silent);
                // Who comes once with each of many addresses is no line for each.
                self.rejected.insert((Some(from), why), Rejections { count: 1, last: now, told: None });
                return None;
            }
            Full::OfOthers => (None, why),
        };
        let entry = self.rejected.entry(key).or_insert(Rejections { count: 0, last: now, told: None });
        (entry.count, entry.last) = (entry.count + 1, now);
        if entry.told.is_some_and(|told| now.saturating_duration_since(told) < SILENCE) {
            return None;
        }
        entry.told = Some(now);
        Some(entry.count)
    }

    /// Whether there is room for one more sender of that kind.
    fn full(&self, now: Instant, why: Rejected) -> Full {
        let alike = |one: &&(Option<IpAddr>, Rejected)| one.0.is_some() && one.1.is_foreign() == why.is_foreign();
        if self.rejected.keys().filter(alike).count() < SENDERS {
            return Full::Not;
        }
        let oldest = self.rejected.iter().filter(|(key, _)| alike(key)).min_by_key(|(_, entry)| entry.last);
        match oldest {
            Some((key, entry)) if now.saturating_duration_since(entry.last) >= SILENCE => Full::For(*key),
            _ => Full::OfOthers,
        }
    }

    /// Counts a sender among the others from now on.
    fn forget(&mut self, key: (Option<IpAddr>, Rejected)) {
        let Some(gone) = self.rejected.remove(&key) else { return };
        let others = self.rejected.entry((None, key.1)).or_insert(Rejections { count: 0, ..gone });
        others.count += gone.count;
    }

    /// An address could not be put on its interface. Returns whether the log is to hear of it.
    pub fn tells_failure(&mut self, now: Instant) -> bool {
        tells(&mut self.failure, now)
    }

    /// A route or a rule could not be made. Returns whether the log is to hear of it.
    pub fn tells_failure_of_ways(&mut self, now: Instant) -> bool {
        tells(&mut self.failure_of_ways, now)
    }

    /// A packet that counts names other addresses, or the same. Returns whether the log is to hear of it.
    pub fn compare(&mut self, now: Instant, from: IpAddr, other_addresses: bool) -> bool {
        let full = self.others.len() >= SENDERS;
        match self.others.get_mut(&from) {
            Some(entry) => {
                entry.differs = other_addresses;
                let due = other_addresses && now.saturating_duration_since(entry.told) >= SILENCE;
                if due {
                    entry.told = now;
                }
                due
            }
            None if !other_addresses || full => false,
            None => {
                self.others.insert(from, Other { differs: true, told: now });
                true
            }
        }
    }

    /// What was rejected, for people.
    #[must_use]
    pub fn rejected(&self, now: Instant) -> Vec<RejectedStatus> {
        let entries = self.rejected.iter().map(|((from, why), entry)| RejectedStatus {
            from: *from,
            reason: why.to_string(),
            count: entry.count,
            last_seconds: now.saturating_duration_since(entry.last).as_secs(),
        });
        entries.collect()
    }

    /// What somebody should look after: who else uses the identifier `vrid`, and who names other addresses.
    #[must_use]
    pub fn warnings(&self, vrid: u8) -> Vec<String> {
        let foreign = self.rejected.keys().filter(|(_, why)| why.is_foreign());
        let foreign = foreign.filter_map(|(from, why)| Some(also_used(vrid, (*from)?, *why)));
        let others = self.others.iter().filter(|(_, other)| other.differs);
        foreign.chain(others.map(|(from, _)| other_addresses(vrid, *from))).collect()
    }
}

/// Another virtual router has the same identifier, as it seems.
#[must_use]
pub fn also_used(vrid: u8, by: IpAddr, why: Rejected) -> String {
    format!(
        "VRID {vrid} is also used by {by} ({why}): where that is no peer, give one of the two another \
         virtual_router_id; where it is, make both files the same"
    )
}

/// The other side has other addresses.
#[must_use]
pub fn other_addresses(vrid: u8, by: IpAddr) -> String {
    format!("{by} advertises other addresses for VRID {vrid} than are configured here: make both lists the same")
}

/// Whether the log is to hear of what it heard of at `told`, and then has.
fn tells(told: &mut Option<Instant>, now: Instant) -> bool {
    let tells = told.is_none_or(|told| now.saturating_duration_since(told) >= SILENCE);
    if tells {
        *told = Some(now);
    }
    tells
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: Rejected = Rejected::Password;

    fn sender(n: u16) -> IpAddr {
        let [high, low] = n.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    #[test]
    fn the_log_hears_of_a_sender_once_a_minute_and_of_thousands_as_of_one() {
        let now = Instant::now();
        let mut counters = Counters::default();
        assert_eq!(counters.reject(now, sender(7), WHY), Some(1));
        assert_eq!(counters.reject(now, sender(7), WHY), None);
        assert_eq!(counters.reject(now + SILENCE, sender(7), WHY), Some(3));
        let told = (100..5000).filter(|n| counters.reject(now, sender(*n), WHY).is_some()).count();
        assert_eq!(told, SENDERS);
        let rejected = counters.rejected(now);
        assert_eq!(rejected.iter().map(|one| one.count).sum::<u64>(), 3 + 4900);
        assert!(rejected.len() <= SENDERS + 1);
        assert!(counters.warnings(51)[0].starts_with("VRID 51 is also used by 10.0.0.7 "));
    }

    #[test]
    fn who_uses_the_same_identifier_is_named_also_after_rubbish_from_thousands() {
        let now = Instant::now();
        let mut counters = Counters::default();
        assert!(!Rejected::Ttl.is_foreign() && WHY.is_foreign());
        for n in 100..5000 {
            counters.reject(now, sender(n), Rejected::Ttl);
        }
        assert_eq!(counters.reject(now, sender(7), WHY), Some(1), "rubbish takes nobody's place");
        assert_eq!(counters.warnings(51).len(), 1);
        for n in 100..5000 {
            counters.reject(now, sender(n), WHY);
        }
        assert_eq!(counters.reject(now, sender(8), WHY), None, "all were heard of lately");
        let later = now + SILENCE;
        assert_eq!(counters.reject(later, sender(8), WHY), None, "it may be another that comes once");
        assert_eq!(counters.reject(later, sender(8), WHY), Some(2));
        assert!(counters.warnings(51).iter().any(|line| line.contains("by 10.0.0.8 ")));
        assert_eq!(counters.rejected(later).iter().map(|one| one.count).sum::<u64>(), 4900 + 1 + 4900 + 3);
        assert!(counters.rejected(later).len() <= 2 * (SENDERS + 1));
    }

    #[test]
    fn another_list_of_addresses_is_told_until_it_is_the_same() {
        let now = Instant::now();
        let mut counters = Counters::default();
        assert!(!counters.compare(now, sender(7), false));
        assert!(counters.compare(now, sender(7), true));
        assert!(!counters.compare(now, sender(7), true));
        assert_eq!(counters.warnings(51).len(), 1);
        assert!(!counters.compare(now, sender(7), false));
        assert_eq!(counters.warnings(51).len(), 0);
        assert!(!counters.compare(now, sender(7), true), "whoever alternates is not told of each time");
        assert!(counters.compare(now + SILENCE, sender(7), true));
    }
}
