//! How a channel stands, for status: what is pending, and why.

use std::time::Instant;

use super::channel::{Channel, State};
use super::{Fault, Phase, Unacknowledged};
use crate::model::{Epoch, Generation, RelPath};

impl Channel {
    /// Why `name` waits, for people: what is wrong with itself, or how its link stands now. A failure
    /// of the link that is healed is nobody's cause any more.
    #[must_use]
    pub fn cause(&self, name: &Unacknowledged<'_>) -> String {
        if name.held {
            return "a deletion that a guard holds back: `syncd status` says which".to_owned();
        }
        if let Some(fault) = name.fault {
            return fault.cause.clone();
        }
        let blamed = || self.fault().map(|fault| fault.cause.clone());
        match self.phase() {
            Phase::Closed => blamed().unwrap_or_else(|| "not connected yet".to_owned()),
            Phase::Opening => "connected; the set is being opened".to_owned(),
            Phase::Comparing => "both trees are being compared".to_owned(),
            Phase::Fenced { newest } => format!("the peer has seen epoch {newest}: another node is primary"),
            // A change set, or a compare, has failed and none has gone well since.
            Phase::Live if self.failing => blamed().unwrap_or_else(|| "the last attempt failed".to_owned()),
            Phase::Live if name.in_flight => "in flight".to_owned(),
            Phase::Live if self.compare => "a compare is due".to_owned(),
            Phase::Live if self.in_flight().is_some() => "waits for the change set that is in flight".to_owned(),
            Phase::Live => "is sent next".to_owned(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Opening { .. } => Phase::Opening,
            State::Comparing { .. } => Phase::Comparing,
            State::Live => Phase::Live,
            State::Fenced { newest } => Phase::Fenced { newest },
        }
    }

    /// Whether the peer holds all that is known here, both trees compared where that is wanted.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Live) && !self.compare && self.pending() == 0
    }

    /// How many names are unacknowledged, those under way and those held back included.
    #[must_use]
    pub fn pending(&self) -> usize {
        // A name that was touched while it is under way counts once.
        let flying = self.flight.iter().flat_map(|flight| flight.names.keys());
        self.names.len() + flying.filter(|path| !self.names.contains(path)).count()
    }

    /// How many deletions a guard holds back until `approve` or `resume`.
    #[must_use]
    pub fn held(&self) -> usize {
        self.names.held()
    }

    /// How many names are under way; none when no change set is.
    #[must_use]
    pub fn in_flight(&self) -> Option<usize> {
        self.flight.as_ref().map(|flight| flight.names.len())
    }

    /// Every unacknowledged name, in no particular order; one that was touched while it is under
    /// way comes twice, the elder first.
    pub fn unacknowledged<'a>(&'a self) -> impl Iterator<Item = Unacknowledged<'a>> {
        let flying = self.flight.iter().flat_map(|flight| &flight.names);
        let shown = |name: Unacknowledged<'a>| Unacknowledged { in_flight: true, ..name };
        flying.map(move |(path, flown)| shown(flown.name.shown(path, false))).chain(self.names.iter())
    }

    /// Whether `name` must survive a restart in the retry log: not where the next connection begins
    /// with a compare that finds it again, and nothing else is known of it.
    #[must_use]
    pub fn must_record(&self, name: &Unacknowledged<'_>) -> bool {
        !(self.full_compare && name.found && name.fault.is_none())
    }

    /// Whether the peer is still expected to take `path`: neither has it acknowledged or refused it,
    /// nor is it out of reach.
    #[must_use]
    pub fn awaits(&self, path: &RelPath) -> bool {
        let reachable = match self.state {
            State::Closed => !self.failed_to_open(),
            State::Opening { .. } | State::Comparing { .. } | State::Live => true,
            State::Fenced { .. } => false,
        };
        let flying = self.flight.as_ref().is_some_and(|flight| flight.names.contains_key(path));
        reachable && (flying || self.names.is_untried(path))
    }

    /// Since when the oldest name is unacknowledged.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.unacknowledged().map(|name| name.since).min()
    }

    /// The generation that a new start may rest on: of what the peer holds, no more than what it is
    /// owed is unlike the index. While a compare is due or under way that is not known.
    #[must_use]
    pub fn agreed(&self) -> Generation {
        let compares = self.compare || matches!(self.state, State::Comparing { .. });
        if compares { self.acked.doubted() } else { self.acked }
    }

    /// The last generation that the peer acknowledged or reported.
    #[must_use]
    pub fn acked(&self) -> Generation {
        self.acked
    }

    /// The source's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last failure.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}
