//! Paths that cannot be kept equal at the moment, each with its cause.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::RelPath;

/// How many are listed for all sets together; more are counted.
const LISTED: usize = 1000;

/// A path that cannot be kept equal at the moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The set.
    pub set: String,
    /// The path.
    pub path: RelPath,
    /// Why, for people.
    pub cause: String,
}

#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    causes: HashMap<(String, RelPath), String>,
    unlisted: u64,
}

impl Problems {
    /// Notes a problem; whether it is news.
    pub(super) fn add(&self, set: &str, path: &RelPath, cause: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (set.to_owned(), path.clone());
        if let Some(known) = state.causes.get_mut(&at) {
            let news = known != cause;
            cause.clone_into(known);
            return news;
        }
        if state.causes.len() >= LISTED {
            state.unlisted += 1;
            return false;
        }
        state.causes.insert(at, cause.to_owned());
        true
    }

    /// Forgets a problem that is gone; whether there was one.
    pub(super) fn remove(&self, set: &str, path: &RelPath) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nearly always empty, and asked for every path that goes well.
        !state.causes.is_empty() && state.causes.remove(&(set.to_owned(), path.clone())).is_some()
    }

    /// Those of `set`, by path.
    pub(super) fn of(&self, set: &str) -> Vec<Problem> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = state
            .causes
            .iter()
            .filter(|((of, _), _)| of == set)
            .map(|((set, path), cause)| Problem { set: set.clone(), path: path.clone(), cause: cause.clone() })
            .collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// How many were met while the list was full.
    pub(super) fn unlisted(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unlisted
    }
}
