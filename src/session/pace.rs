//! A bound on what goes to one peer in a second.

use std::time::{Duration, Instant};

/// How much may go at once after a silence, as time.
const BURST: Duration = Duration::from_millis(100);

/// A token bucket that all streams to one peer share.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Bytes in a second.
    rate: u64,
    /// When all that was taken so far has gone at that rate.
    paid: Option<Instant>,
}

impl Pace {
    /// At most `rate` bytes in a second; 0 counts as 1.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid: None }
    }

    /// Takes `bytes`, and says when they may go: at `now` or later.
    pub fn take(&mut self, now: Instant, bytes: usize) -> Instant {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = self.paid.map_or(earliest, |paid| paid.max(earliest));
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.rate);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = Some(start.checked_add(cost).unwrap_or(start));
        start.max(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_taken_at_once_goes_one_after_the_other() {
        let now = Instant::now();
        let mut pace = Pace::new(1000);
        let due: Vec<_> = (0..4).map(|_| pace.take(now, 500).duration_since(now).as_millis()).collect();
        assert_eq!(due, [0, 400, 900, 1400]);
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.take(later, 500), later);
        assert_eq!(pace.take(later, 500).duration_since(later).as_millis(), 400);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_its_share(
            rate in 1u64..100_000, sizes in prop::collection::vec((0usize..50_000, 0u64..2_000), 1..50)
        ) {
            let start = Instant::now();
            let (mut pace, mut now) = (Pace::new(rate), start);
            let mut gone = Vec::new();
            for (bytes, pause) in sizes {
                now += Duration::from_millis(pause);
                gone.push((pace.take(now, bytes), bytes as u64));
            }
            for (from, (begin, _)) in gone.iter().enumerate() {
                // The last is on its way when the time is over.
                for to in from..gone.len() {
                    let before: u64 = gone[from..to].iter().map(|(_, bytes)| bytes).sum();
                    let time = (gone[to].0.duration_since(*begin) + BURST).as_secs_f64();
                    prop_assert!(before as f64 <= time * rate as f64 + 1.0);
                }
            }
        }
    }
}
