//! The delete guard: a tree that loses too much at once loses nothing at its peers until an
//! operator has looked.

/// A root that loses all of its entries halts when they are more than this many.
const HANDFUL: usize = 5;

/// A root that loses more than half of its entries halts when they are more than this many.
const MANY: usize = 20;

/// Why deletions halted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
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
    /// More than half is gone in one step.
    #[error("{lost} of {of} entries are gone in one step")]
    MassDeletion {
        /// How many are gone.
        lost: usize,
        /// How many there were.
        of: usize,
    },
}

/// Watches over one set, at the source or at the receiver. While it is halted nothing is deleted;
/// everything else goes on.
///
/// Every step that deletes is shown to it before it is sent or applied, also one that follows from
/// a compare: what the peer has and the source has not counts as lost.
#[derive(Clone, Debug)]
pub struct Guard {
    enabled: bool,
    device: Option<u64>,
    state: State,
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
        Self { enabled, device: None, state: State::Watching }
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
    pub fn handle_step(&mut self, of: usize, lost: usize) {
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
        }
    }

    fn release(&mut self, state: State) {
        if self.halted().is_some() {
            self.state = state;
            self.device = None;
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
        guard.handle_step(of, lost);
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
    fn a_root_that_is_gone_or_elsewhere_halts_with_its_first_cause() {
        let mut guard = Guard::new(true);
        guard.handle_root(Some(7));
        assert_eq!(guard.halted(), None);
        guard.handle_root(Some(8));
        guard.handle_root(None);
        guard.handle_step(100, 100);
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
        guard.handle_step(100, 90);
        guard.approve();
        guard.handle_step(100, 90);
        assert!(guard.is_approved() && guard.halted().is_none());
        guard.settle();
        guard.handle_step(100, 90);
        assert_eq!(guard.halted(), Some(Halt::MassDeletion { lost: 90, of: 100 }));
    }

    #[test]
    fn a_guard_that_is_off_never_halts() {
        let mut guard = Guard::new(false);
        guard.handle_root(None);
        guard.handle_step(100, 100);
        assert_eq!(guard.halted(), None);
    }
}
