//! Tells which names of a tree may have changed, by inotify(7).
//!
//! An event only says that a name is dirty; truth is what a look at it says later. The thread of a
//! [`Watcher`] sees to it that no change is missed: new directories are watched and then looked
//! into, renamed ones keep their watches, lost events are told, what cannot be watched is polled,
//! and a root that vanished is told as such instead of as the removal of everything in it.
//!
//! Not seen by inotify(7), and left to the periodic scan: writes through a hard link or a
//! descriptor from outside, through mmap(2), behind a network mount, and which of two bind mounts
//! inside the tree was written.

mod control;
mod event;
mod inotify;
mod limits;
mod outbox;
mod polled;
mod presence;
mod task;
mod tree;
mod watched;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use control::Control;
pub use event::{Event, RootGone, StartError};
use task::Task;

pub use crate::coalesce::{Dirty, What};
use crate::fs::Root;
use crate::model::RelPath;

/// Whether a path, a directory or not, is no part of the set.
pub type IsExcluded = Arc<dyn Fn(&RelPath, bool) -> bool + Send + Sync>;

/// Batches that may wait for the receiver.
const CHANNEL: usize = 16;

/// How often is looked at what raises no event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Subtrees that cannot be watched.
    pub poll: Duration,
    /// Whether the path of the root still leads to it.
    pub check: Duration,
    /// Whether a root that is gone is back.
    pub return_check: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { poll: Duration::from_secs(5), check: Duration::from_secs(10), return_check: Duration::from_secs(2) }
    }
}

/// A thread that watches one tree until this is dropped.
#[derive(Debug)]
pub struct Watcher {
    control: Arc<Control>,
}

impl Watcher {
    /// Starts to watch `root`. [`Event::Ready`] comes when every directory is watched; events of
    /// changes may come before it.
    ///
    /// # Errors
    /// [`StartError::NoInstance`] when the user has no inotify instance left; else as pthread_create(3).
    pub fn start(
        root: Arc<Root>,
        excluded: IsExcluded,
        pace: Pace,
    ) -> Result<(Self, mpsc::Receiver<Vec<Event>>), StartError> {
        let control = Arc::new(Control::new()?);
        let (sender, receiver) = mpsc::channel(CHANNEL);
        let task = Task::new(root, excluded, pace, Arc::clone(&control), sender)?;
        thread::Builder::new().name("watch".into()).spawn(move || task.run())?;
        Ok((Self { control }, receiver))
    }

    /// Asks for [`Event::Drained`] with the number that is returned: by then every change that
    /// was made before this call has been told.
    #[must_use]
    pub fn drain(&self) -> u64 {
        self.control.drain()
    }

    /// Tells how many directories are watched, for as long as it is kept.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.control))
    }
}

/// How many directories a watcher watches. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<Control>);

impl Gauge {
    /// How many directories are watched, and how many are polled since they cannot be.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.0.counts()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.control.stop();
    }
}

#[cfg(test)]
mod tests;
