//! What follows a crash: pure.

use std::time::{Duration, Instant};

/// Crashes that are closer together than this belong together.
const TOGETHER: Duration = Duration::from_secs(60);

/// What the wait begins with where it is no good to start again at once.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How often a process crashed of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Crashes {
    together: u32,
    last: Option<Instant>,
    total: u64,
}

/// What to do about a crash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Again {
    /// Start it again after this.
    pub(super) after: Duration,
    /// It was not the first one within a minute: who comes next must not go on as if nothing had happened.
    pub(super) give_up: bool,
}

impl Crashes {
    /// It crashed. The first two starts come at once, those after them with a wait that doubles up to ten seconds.
    pub(super) fn crashed(&mut self, now: Instant) -> Again {
        let apart = self.last.is_none_or(|last| now.saturating_duration_since(last) >= TOGETHER);
        self.together = if apart { 1 } else { self.together.saturating_add(1) };
        self.last = Some(now);
        self.total += 1;
        let after = match self.together {
            0..=2 => Duration::ZERO,
            n => FIRST_WAIT.saturating_mul(1 << (n - 3).min(8)).min(LONGEST_WAIT),
        };
        Again { after, give_up: self.together > 1 }
    }

    /// How often it crashed altogether.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits in milliseconds and whether to give up, for crashes at these seconds.
    fn told(at: &[u64]) -> Vec<(u128, bool)> {
        let (start, mut crashes) = (Instant::now(), Crashes::default());
        let mut tell = |at: &u64| {
            let again = crashes.crashed(start + Duration::from_secs(*at));
            (again.after.as_millis(), again.give_up)
        };
        at.iter().map(&mut tell).collect()
    }

    #[test]
    fn the_first_crash_goes_on_the_second_within_a_minute_gives_up_and_more_wait() {
        assert_eq!(told(&[0, 59]), [(0, false), (0, true)]);
        assert_eq!(told(&[0, 60]), [(0, false), (0, false)]);
        let many = told(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let waits: Vec<u128> = many.iter().map(|(wait, _)| *wait).collect();
        assert_eq!(waits, [0, 0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert!(many.iter().skip(1).all(|(_, give_up)| *give_up));
    }

    #[test]
    fn a_quiet_minute_is_a_new_beginning() {
        assert_eq!(told(&[0, 1, 2, 70]), [(0, false), (0, true), (500, true), (0, false)]);
    }
}
