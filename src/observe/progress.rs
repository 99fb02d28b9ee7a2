//! Long work, as somebody watches it: a name, how much is done, how much there is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// What a task counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files, directories and other entries.
    Entries,
}

/// A piece of long work. It counts with one atomic addition and ends when it is dropped.
#[derive(Debug)]
pub struct Task {
    name: String,
    unit: Unit,
    since: Instant,
    done: AtomicU64,
    /// 0 while nobody knows.
    total: AtomicU64,
}

impl Task {
    /// Says how much there is in all.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Says that `more` has been done.
    pub fn advance(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let total = self.total.load(Ordering::Relaxed);
        Progress {
            name: self.name.clone(),
            unit: self.unit,
            since: self.since,
            done: self.done.load(Ordering::Relaxed),
            total: (total > 0).then_some(total),
        }
    }
}

/// How far a task is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Such as `nginx: scanning`.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// When it began.
    pub since: Instant,
    /// How much is done.
    pub done: u64,
    /// How much there is in all, where that is known.
    pub total: Option<u64>,
}

/// The tasks that are under way.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<Vec<Weak<Task>>>);

impl Tasks {
    pub(super) fn begin(&self, name: String, unit: Unit) -> Arc<Task> {
        let (done, total) = (AtomicU64::new(0), AtomicU64::new(0));
        let task = Arc::new(Task { name, unit, since: Instant::now(), done, total });
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|t| t.strong_count() > 0);
        tasks.push(Arc::downgrade(&task));
        task
    }

    /// Those that live, the oldest first.
    pub(super) fn live(&self) -> Vec<Arc<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}
