//! How soon what somebody takes away again and again is put back.

use std::time::{Duration, Instant};

/// How long it is left alone at most.
const LONGEST: Duration = Duration::from_secs(2);

/// How long the first repetition waits; each further one twice as long.
pub(super) const FIRST: Duration = Duration::from_millis(10);

/// After how much quiet it counts as the first time again.
pub(super) const QUIET: Duration = Duration::from_secs(30);

/// How often something was taken away, and when last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    count: u32,
    last: Option<Instant>,
}

impl Backoff {
    /// It was taken away once more. Returns how long it waits: at first not at all.
    pub fn again(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > QUIET) {
            self.count = 0;
        }
        let wait = match self.count {
            0 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
        };
        (self.count, self.last) = (self.count.saturating_add(1), Some(now));
        wait
    }

    /// One time of those did not count.
    pub fn forgive(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// None of them did.
    pub fn forget(&mut self) {
        self.count = 0;
    }
}
