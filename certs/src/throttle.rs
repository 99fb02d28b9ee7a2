//! How often somebody may guess a password. Pure: the time comes in.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long to wait before the next attempt counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many wrong passwords: the next attempt is possible in {} s", .0.as_secs() + 1)]
pub struct RetryAfter(pub Duration);

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many attempts may fail in a row before there is a wait.
    pub free: u32,
    /// How long to wait between attempts after that.
    pub wait: Duration,
    /// After how long without an attempt the failures are forgotten.
    pub forget: Duration,
    /// How many keys are remembered; beyond that the one that was quiet for longest is forgotten.
    pub capacity: usize,
}

/// Five attempts, then one every ten seconds: less than 9,000 a day, however many connections
/// they come from.
impl Default for Limits {
    fn default() -> Self {
        Self { free: 5, wait: Duration::from_secs(10), forget: Duration::from_secs(3600), capacity: 4096 }
    }
}

/// Counts failures for each key, such as (network of the host, set).
///
/// An attempt counts as failed from its beginning until [`Throttle::succeeded`], so that many at
/// once gain nothing.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    hasher: RandomState,
    failures: HashMap<u64, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, hasher: RandomState::new(), failures: HashMap::new() }
    }

    /// Counts an attempt by `key` at `now`, or refuses it without counting.
    ///
    /// # Errors
    /// [`RetryAfter`]: nothing may be told about the password before that time is over.
    pub fn attempt(&mut self, now: Instant, key: impl Hash) -> Result<(), RetryAfter> {
        let key = self.hasher.hash_one(key);
        let Some(failures) = self.failures.get_mut(&key) else {
            self.make_room(now);
            self.failures.insert(key, Failures { count: 1, last: now });
            return Ok(());
        };
        let quiet = now.saturating_duration_since(failures.last);
        if quiet >= self.limits.forget {
            failures.count = 0;
        } else if failures.count >= self.limits.free && quiet < self.limits.wait {
            return Err(RetryAfter(self.limits.wait.saturating_sub(quiet)));
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        Ok(())
    }

    /// The last attempt by `key` was right: its failures are forgotten.
    pub fn succeeded(&mut self, key: impl Hash) {
        self.failures.remove(&self.hasher.hash_one(key));
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.failures.len()
    }

    fn make_room(&mut self, now: Instant) {
        if self.failures.len() < self.limits.capacity {
            return;
        }
        self.failures.retain(|_, f| now.saturating_duration_since(f.last) < self.limits.forget);
        if self.failures.len() >= self.limits.capacity {
            let oldest = self.failures.iter().min_by_key(|(_, f)| f.last).map(|(key, _)| *key);
            oldest.and_then(|key| self.failures.remove(&key));
        }
    }
}

/// What one attacker commands: the address itself, or the /64 of an IPv6 address.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_guesses_then_one_every_ten_seconds() {
        let (start, mut throttle) = (Instant::now(), Throttle::new(Limits::default()));
        for _ in 0..5 {
            assert_eq!(throttle.attempt(start, "host"), Ok(()));
        }
        assert_eq!(throttle.attempt(start + 3 * SECOND, "host"), Err(RetryAfter(7 * SECOND)));
        assert_eq!(throttle.attempt(start, "other host"), Ok(()));
        assert_eq!(throttle.attempt(start + 10 * SECOND, "host"), Ok(()));
        assert_eq!(throttle.attempt(start + 19 * SECOND, "host"), Err(RetryAfter(SECOND)));
        throttle.succeeded("host");
        assert_eq!(throttle.attempt(start + 19 * SECOND, "host"), Ok(()));
    }

    #[test]
    fn a_quiet_hour_forgives() {
        let (start, mut throttle) = (Instant::now(), Throttle::new(Limits::default()));
        for _ in 0..5 {
            throttle.attempt(start, "host").expect("free");
        }
        let later = start + 3600 * SECOND;
        for _ in 0..5 {
            assert_eq!(throttle.attempt(later, "host"), Ok(()));
        }
        assert!(throttle.attempt(later, "host").is_err());
    }

    #[test]
    fn a_network_counts_once() {
        let network = |a: &str| network_of(a.parse().expect("address"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }

    proptest! {
        /// Whatever the timing: in any span, no key makes more than the free attempts plus one for
        /// each wait, and the memory stays bounded.
        #[test]
        fn nobody_guesses_faster(steps in prop::collection::vec((0u8..3, 0u64..4000), 1..300)) {
            let limits = Limits { capacity: 8, ..Limits::default() };
            let (start, mut throttle) = (Instant::now(), Throttle::new(limits));
            let mut now = start;
            let mut allowed: HashMap<u8, Vec<Instant>> = HashMap::new();
            for (key, pause) in steps {
                now += Duration::from_millis(pause);
                if throttle.attempt(now, key).is_ok() {
                    allowed.entry(key).or_default().push(now);
                }
                prop_assert!(throttle.remembered() <= limits.capacity);
            }
            for times in allowed.values() {
                for (i, pair) in times.windows(2).enumerate().skip(limits.free as usize - 1) {
                    prop_assert!(pair[1] - pair[0] >= limits.wait, "attempt {} came early", i + 2);
                }
            }
        }

        #[test]
        fn memory_is_bounded(keys in prop::collection::vec(any::<u64>(), 0..200)) {
            let mut throttle = Throttle::new(Limits { capacity: 16, ..Limits::default() });
            let start = Instant::now();
            for (i, key) in keys.iter().enumerate() {
                let _ = throttle.attempt(start + Duration::from_millis(i as u64), key);
                prop_assert!(throttle.remembered() <= 16);
            }
        }
    }
}
