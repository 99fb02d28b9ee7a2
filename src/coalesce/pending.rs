//! One name that waits: what the next event makes of it, and until when it waits.

use std::time::Instant;

use super::dirty::{Dirty, Scope, What};
use crate::config::Coalesce;

/// What the events of a name amount to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// It is there, and nobody is known to write to it.
    Whole,
    /// It is being written.
    Open,
    /// The name is free.
    Gone,
}

/// A name that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    state: State,
    /// The first event that it stands for, its own or that of a name it swallowed.
    pub(super) first: Instant,
    /// When it may go, never later than `first` plus the bound.
    pub(super) due: Instant,
    pub(super) scope: Scope,
    /// The number of the rename that took it away; 0 without one.
    pub(super) cookie: u32,
    /// Others may have seen it: its removal must be told.
    pub(super) known: bool,
    /// The first event brought it: while nobody has seen it, its removal ends it without a trace.
    born: bool,
}

impl Pending {
    /// The set as a whole, to be scanned once it is left alone.
    pub(super) fn rescan(first: Instant, now: Instant, rules: &Coalesce) -> Self {
        let due = (now + rules.open_quiet).min(first + rules.bound);
        Self { state: State::Whole, first, due, scope: Scope::Tree, cookie: 0, known: true, born: false }
    }

    /// A directory whose mtime moved.
    pub(super) fn touched(now: Instant, rules: &Coalesce) -> Self {
        let due = (now + rules.gone).min(now + rules.bound);
        Self { state: State::Whole, first: now, due, scope: Scope::Name, cookie: 0, known: true, born: false }
    }

    /// Whether this is the half of a rename that something left behind.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether the name is free, and nothing says that it only moved.
    pub(super) fn is_removed(&self) -> bool {
        self.is_gone() && self.cookie == 0
    }

    /// What `event` makes of `old`; none when it cancels out.
    ///
    /// `known`: others may have seen the name. `pair`: when the name that this one was renamed from
    /// is due, so that both halves go together.
    pub(super) fn next(
        old: Option<&Self>,
        event: &Dirty,
        known: bool,
        pair: Option<Instant>,
        now: Instant,
        rules: &Coalesce,
    ) -> Option<Self> {
        let known = known || old.is_some_and(|p| p.known);
        let first = old.map_or(now, |p| p.first);
        let born = old.map_or(event.what.is_arrival(), |p| p.born);
        if event.what.is_removal() && born && !known {
            return None;
        }
        let (state, due) = Self::step(old, event, now, rules, if known { now } else { first + rules.settle });
        let due = pair.map_or(due, |pair| due.max(pair)).min(first + rules.bound);
        let reaches_below = event.is_dir && (event.what.is_removal() || event.what.is_arrival());
        let scope = if reaches_below { Scope::Tree } else { old.map_or(Scope::Name, |p| p.scope) };
        let cookie = if event.what == What::MovedFrom { event.cookie } else { 0 };
        Some(Self { state, first, due, scope, cookie, known, born })
    }

    /// The state after `event` and when that is due; `settled` is when a whole file may go.
    fn step(old: Option<&Self>, event: &Dirty, now: Instant, rules: &Coalesce, settled: Instant) -> (State, Instant) {
        let was = old.map(|p| p.state);
        match (event.what, old) {
            // An unlinked file that is still open goes on raising events under its dead name, and
            // chmod(2) does not end a write.
            (What::Modified | What::Closed | What::Attrib, Some(p)) if p.state == State::Gone => (p.state, p.due),
            (What::Attrib | What::Found | What::Linked, Some(p)) if p.state == State::Open => (p.state, p.due),
            (What::Removed, _) => (State::Gone, now + rules.gone),
            (What::MovedFrom, _) => (State::Gone, now + if event.is_dir { rules.settle } else { rules.gone }),
            (What::Modified, _) => (State::Open, now + rules.open_quiet),
            (What::Created, _) if !event.is_dir => (State::Open, now + rules.open_quiet),
            // Made anew: what it held is being put back.
            (What::Created, _) if was == Some(State::Gone) => (State::Whole, now + rules.gone),
            // Were it open, an event of its writing would follow at once.
            (What::Found | What::Linked, _) if !event.is_dir => (State::Whole, settled.max(now + 2 * rules.settle)),
            _ => (State::Whole, settled.max(now)),
        }
    }
}
