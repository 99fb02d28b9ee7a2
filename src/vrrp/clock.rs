//! From the time of the pure half to that of other processes and people, and back.

use std::time::{Duration, Instant};

/// One moment on three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The moment.
    pub at: Instant,
    /// The same as nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
    pub monotonic: u64,
    /// The same as milliseconds since 1970.
    pub unix_ms: u64,
}

impl Clock {
    /// `at` in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn monotonic(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.at) {
            Some(later) => self.monotonic.saturating_add(nanoseconds(later)),
            None => self.monotonic.saturating_sub(nanoseconds(self.at - at)),
        }
    }

    /// The moment of `nanoseconds` of `CLOCK_MONOTONIC`; none where it cannot be said.
    #[must_use]
    pub fn instant(&self, nanoseconds: u64) -> Option<Instant> {
        match nanoseconds.checked_sub(self.monotonic) {
            Some(later) => self.at.checked_add(Duration::from_nanos(later)),
            None => self.at.checked_sub(Duration::from_nanos(self.monotonic - nanoseconds)),
        }
    }

    /// `at` in milliseconds since 1970, by the clock of the start.
    #[must_use]
    pub fn unix_ms(&self, at: Instant) -> u64 {
        let later = at.saturating_duration_since(self.at).as_millis();
        self.unix_ms.saturating_add(u64::try_from(later).unwrap_or(u64::MAX))
    }

    /// The moment `unix_ms` ago from `now` on; `now` itself where it is later or cannot be said.
    #[must_use]
    pub fn since(&self, now: Instant, unix_ms: u64) -> Instant {
        let ago = Duration::from_millis(self.unix_ms(now).saturating_sub(unix_ms));
        now.checked_sub(ago).unwrap_or(now)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_same_moment() {
        let at = Instant::now() + Duration::from_secs(1000);
        let clock = Clock { at, monotonic: 5_000_000_000, unix_ms: 1 };
        for moment in [at, at + Duration::from_millis(7), at - Duration::from_secs(3)] {
            assert_eq!(clock.instant(clock.monotonic(moment)), Some(moment));
        }
        assert_eq!(clock.unix_ms(at + Duration::from_secs(2)), 2001);
    }
}
