//! The delete guard: a tree that loses too much at once loses nothing at its peers until an
//! operator has looked.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A root that loses all of its entries halts when they are more than this many.
const HANDFUL: usize = 5;

/// A root that loses more than half of its entries halts when they are more than this many.
const MANY: usize = 20;

/// How long a tree may take to shrink and still be seen to: `rm -r` of a large one comes in many
/// steps, each of which is small against what is left.
const WINDOW: Duration = Duration::from_secs(10);

/// Why deletions halted. The store keeps it: another form of it needs another table there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Halt {
    /// There is no root directory any more.
    #[error("the root directory is gone")]
    RootGone,
    /// Another file system is mounted at the root, or none any more.
    #[error("the root is on another file system (device {is}, was {was})")]
    OtherFileSystem {
        /// `st_dev` as it was.
        was: u64,
        /// `st_dev` now.
        is: u64,
    },
    /// Nothing is left below the root.
    #[error("all {of} entries are gone")]
    Emptied {
        /// How many there were.
        of: usize,
    },
    /// More than half is gone in one step, or in many that follow each other.
    #[error("{lost} of {of} entries are gone within {} s", WINDOW.as_secs())]
    MassDeletion {
        /// How many are gone.
        lost: usize,
        /// How many there were.
        of: usize,
    },
}

/// Watches over one set at its source; the receiver has a rule of its own, by change set. While it is halted nothing is deleted;
/// everything else goes on.
///
/// Every step that deletes is shown to it before it is sent or applied, also one that follows from
/// a compare: what the peer has and the source has not counts as lost.
#[derive(Clone, Debug)]
pub struct Guard {
    enabled: bool,
    device: Option<u64>,
    state: State,
    size: Size,
}

/// How large the tree was of late: in the time slice that began at `since`, and in the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    since: Option<Instant>,
    most: usize,
    most_before: usize,
}

impl Size {
    /// Notes that there are `of` entries; returns the most that there were within one to two windows.
    fn note(&mut self, now: Instant, of: usize) -> usize {
        let age = self.since.map_or(2 * WINDOW, |since| now.saturating_duration_since(since));
        if age >= WINDOW {
            let before = if age < 2 * WINDOW { self.most } else { 0 };
            *self = Self { since: Some(now), most: 0, most_before: before };
        }
        self.most = self.most.max(of);
        self.most.max(self.most_before)
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Watching,
    Halted(Halt),
    Approved,
}

impl Guard {
    /// A guard; one that is not `enabled` never halts.
    #[must_use]
    pub fn new(enabled: bool) -> Self {
        Self { enabled, device: None, state: State::Watching, size: Size::default() }
    }

    /// The same, halted from the beginning by what halted it when the program ended.
    #[must_use]
    pub fn restored(enabled: bool, halt: Option<Halt>) -> Self {
        let mut guard = Self::new(enabled);
        if let Some(halt) = halt {
            guard.halt(halt);
        }
        guard
    }

    /// The root was looked at: `device` is its `st_dev`, none when there is no such directory.
    pub fn handle_root(&mut self, device: Option<u64>) {
        match (self.device, device) {
            (_, None) => self.halt(Halt::RootGone),
            (Some(was), Some(is)) if was != is => self.halt(Halt::OtherFileSystem { was, is }),
            (_, Some(is)) => self.device = Some(is),
        }
    }

    /// Of `of` entries below the root `lost` would go in one step; what is renamed is not lost.
    ///
    /// A tree that shrank in steps, within ten seconds, halts as if it had been one; what was
    /// replaced by as much does not count then.
    pub fn handle_step(&mut self, now: Instant, of: usize, lost: usize) {
        let most = self.size.note(now, of);
        let left = of.saturating_sub(lost);
        let (of, lost) = if lost > of / 2 { (of, lost) } else { (most, most.saturating_sub(left)) };
        if lost >= of && of > HANDFUL {
            self.halt(Halt::Emptied { of });
        } else if lost > of / 2 && lost > MANY {
            self.halt(Halt::MassDeletion { lost, of });
        }
    }

    /// Why deletions are halted; none when they are not.
    #[must_use]
    pub fn halted(&self) -> Option<Halt> {
        match self.state {
            State::Halted(halt) => Some(halt),
            State::Watching | State::Approved => None,
        }
    }

    /// Whether an operator approved what would else halt: a receiver's guard is told so.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        matches!(self.state, State::Approved)
    }

    /// An operator releases the halt without its deletions, having mended the tree.
    pub fn resume(&mut self) {
        self.release(State::Watching);
    }

    /// An operator releases the halt with its deletions. Until [`Guard::settle`] nothing halts.
    pub fn approve(&mut self) {
        self.release(State::Approved);
    }

    /// The approved deletions are done everywhere: the guard watches again.
    pub fn settle(&mut self) {
        if self.is_approved() {
            self.state = State::Watching;
            self.size = Size::default();
        }
    }

    fn release(&mut self, state: State) {
        if self.halted().is_some() {
            self.state = state;
            self.device = None;
            self.size = Size::default();
        }
    }

    /// The first cause stays: what follows is mostly its consequence.
    fn halt(&mut self, halt: Halt) {
        if self.enabled && matches!(self.state, State::Watching) {
            self.state = State::Halted(halt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halt(of: usize, lost: usize) -> Option<Halt> {
        let mut guard = Guard::new(true);
        guard.handle_step(Instant::now(), of, lost);
        guard.halted()
    }

    #[test]
    fn a_step_halts_by_what_is_lost_and_by_its_share() {
        assert_eq!(halt(5, 5), None);
        assert_eq!(halt(6, 6), Some(Halt::Emptied { of: 6 }));
        assert_eq!(halt(6, 5), None);
        assert_eq!(halt(30, 20), None);
        assert_eq!(halt(40, 21), Some(Halt::MassDeletion { lost: 21, of: 40 }));
        assert_eq!(halt(42, 21), None);
        assert_eq!(halt(50_000, 20_000), None);
        assert_eq!(halt(0, 0), None);
    }

    #[test]
    fn a_tree_that_shrinks_step_by_step_halts_at_half() {
        let (mut guard, mut now) = (Guard::new(true), Instant::now());
        let mut left = 10_000;
        while guard.halted().is_none() && left > 0 {
            guard.handle_step(now, left, 300);
            left -= 300;
            now += Duration::from_millis(30);
        }
        assert_eq!(guard.halted(), Some(Halt::MassDeletion { lost: 5100, of: 10_000 }));
    }

    #[test]
    fn turnover_and_slow_shrinking_do_not_halt() {
        let (mut guard, mut now) = (Guard::new(true), Instant::now());
        for _ in 0..100 {
            // A release comes, and the oldest goes.
            guard.handle_step(now, 1500, 0);
            guard.handle_step(now, 2000, 500);
            now += Duration::from_millis(100);
        }
        for left in (100..1500).rev().step_by(100) {
            now += WINDOW / 2;
            guard.handle_step(now, left + 100, 100);
            assert!(left < 600 || guard.halted().is_none(), "{left}");
        }
    }

    #[test]
    fn a_root_that_is_gone_or_elsewhere_halts_with_its_first_cause() {
        let mut guard = Guard::new(true);
        guard.handle_root(Some(7));
        assert_eq!(guard.halted(), None);
        guard.handle_root(Some(8));
        guard.handle_root(None);
        guard.handle_step(Instant::now(), 100, 100);
        assert_eq!(guard.halted(), Some(Halt::OtherFileSystem { was: 7, is: 8 }));
        guard.resume();
        guard.handle_root(Some(8));
        assert_eq!(guard.halted(), None);
        guard.handle_root(None);
        assert_eq!(guard.halted(), Some(Halt::RootGone));
    }

    #[test]
    fn an_approval_holds_until_its_deletions_are_done() {
        let mut guard = Guard::new(true);
        guard.approve();
        assert!(!guard.is_approved(), "there is nothing to approve");
        guard.handle_step(Instant::now(), 100, 90);
        guard.approve();
        guard.handle_step(Instant::now(), 100, 90);
        assert!(guard.is_approved() && guard.halted().is_none());
        guard.settle();
        guard.handle_step(Instant::now(), 100, 90);
        assert_eq!(guard.halted(), Some(Halt::MassDeletion { lost: 90, of: 100 }));
    }

    #[test]
    fn a_halt_that_was_kept_is_released_as_any_other() {
        let kept = Some(Halt::MassDeletion { lost: 30, of: 40 });
        let mut guard = Guard::restored(true, kept);
        guard.handle_root(None);
        assert_eq!(guard.halted(), kept);
        guard.approve();
        assert!(guard.is_approved() && guard.halted().is_none());
        assert_eq!(Guard::restored(true, None).halted(), None);
    }

    #[test]
    fn a_guard_that_is_off_never_halts() {
        let mut guard = Guard::restored(false, Some(Halt::RootGone));
        guard.handle_root(None);
        guard.handle_step(Instant::now(), 100, 100);
        assert_eq!(guard.halted(), None);
    }
}
