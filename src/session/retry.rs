//! When to try again: exponential backoff with jitter.

use std::time::{Duration, Instant};

/// The first delay.
const FIRST: Duration = Duration::from_millis(100);

/// No delay is longer, whatever is configured.
const CEILING: Duration = Duration::from_secs(10);

/// The schedule of one thing that is tried until it works.
///
/// The delay doubles from 100 ms to the ceiling; each is drawn from its upper half, so that peers
/// that failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    ceiling: Duration,
    failures: u32,
    due: Option<Instant>,
    random: u64,
}

impl Backoff {
    /// A schedule with this ceiling, from 100 ms to 10 s; `seed` makes the jitter.
    #[must_use]
    pub fn new(ceiling: Duration, seed: u64) -> Self {
        Self { ceiling: ceiling.clamp(FIRST, CEILING), failures: 0, due: None, random: seed }
    }

    /// An attempt failed. Returns when the next is due.
    pub fn fail(&mut self, now: Instant) -> Instant {
        let due = now + self.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(due);
        due
    }

    /// It works: the next failure starts from the first delay, and nothing is waited for.
    pub fn reset(&mut self) {
        (self.failures, self.due) = (0, None);
    }

    /// Whether an attempt may be made.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// When the next attempt may be made; none when nothing failed lately.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many attempts failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A jittered delay after `failures` earlier ones.
    pub(super) fn delay(&mut self, failures: u32) -> Duration {
        let full = FIRST.saturating_mul(1 << failures.min(16)).min(self.ceiling);
        full / 2 + (full / 2).mul_f64(self.fraction())
    }

    /// From 0 to 1, by splitmix64.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((x >> 32) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_delay_lies_in_the_upper_half_of_its_step(ceiling_ms in 0u64..100_000, seed: u64) {
            let mut backoff = Backoff::new(Duration::from_millis(ceiling_ms), seed);
            let ceiling = Duration::from_millis(ceiling_ms).clamp(FIRST, CEILING);
            let now = Instant::now();
            for failures in 0..80 {
                let delay = backoff.fail(now) - now;
                let full = FIRST.saturating_mul(1 << failures.min(16)).min(ceiling);
                prop_assert!(delay >= full / 2 && delay <= full, "{failures}: {delay:?}");
                prop_assert!(!backoff.is_due(now) && backoff.is_due(now + delay));
            }
        }
    }

    #[test]
    fn peers_with_other_seeds_do_not_come_back_together() {
        let now = Instant::now();
        let due = |seed| {
            let mut backoff = Backoff::new(CEILING, seed);
            (0..10).map(|_| backoff.fail(now)).max()
        };
        assert_ne!(due(1), due(2));
    }

    #[test]
    fn success_starts_over() {
        let now = Instant::now();
        let mut backoff = Backoff::new(CEILING, 3);
        (0..9).for_each(|_| _ = backoff.fail(now));
        backoff.reset();
        assert!(backoff.is_due(now));
        assert!(backoff.fail(now) <= now + FIRST);
    }
}
