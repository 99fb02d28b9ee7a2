//! The one place that the engine reports to: tasks, counters, and paths with problems.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{info, warn};

use super::Problem;
use super::problems::Problems;
use super::progress::{Progress, Task, Tasks, Unit};
use crate::model::RelPath;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Something that is counted from the start of the process.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in status and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Bytes handed to the network.
    BytesSent => "bytes_sent",
    /// Bytes that came from the network.
    BytesReceived => "bytes_received",
    /// Change sets that a target acknowledged.
    ChangeSetsSent => "change_sets_sent",
    /// Change sets that went live here.
    ChangeSetsApplied => "change_sets_applied",
    /// Connections that did not come about or broke.
    ConnectFailures => "connect_failures",
    /// Paths that somebody else changed on a replica.
    Drift => "drift",
    /// Names in acknowledged change sets.
    EntriesSent => "entries_sent",
    /// Names in change sets that went live here.
    EntriesApplied => "entries_applied",
    /// Events that inotify(7) delivered.
    Events => "events",
    /// Times that the queue of inotify(7) overflowed.
    Overflows => "overflows",
    /// Changes that a plugin was told of, or was to be.
    PluginRuns => "plugin_runs",
    /// Those of them that failed, and those that found its queue full.
    PluginFailures => "plugin_failures",
    /// What peers sent against the protocol or a limit, or beyond a set's root.
    Refused => "refused",
    /// Trees or parts of them that were scanned.
    Scans => "scans",
    /// Transfers that were given up since the other side went silent in the middle of them.
    Stalls => "stalls",
}

/// Where the engine reports to. Cloning is cheap, counting is one atomic addition.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tasks: Tasks,
    counters: [AtomicU64; Counter::ALL.len()],
    problems: Problems,
}

impl Monitor {
    /// A monitor that nobody watches yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a piece of long work, which ends when the task is dropped. A name says set and
    /// doing, such as `nginx: scanning`.
    #[must_use = "the task ends when it is dropped"]
    pub fn task(&self, name: impl Into<String>, unit: Unit) -> Arc<Task> {
        self.0.tasks.begin(name.into(), unit)
    }

    /// The work that is under way, the oldest first.
    #[must_use]
    pub fn tasks(&self) -> Vec<Progress> {
        self.0.tasks.live().iter().map(|task| task.progress()).collect()
    }

    /// Counts `more`.
    pub fn count(&self, counter: Counter, more: u64) {
        self.0.counters[counter as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// A counter's value.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.0.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// All counters by name.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        Counter::ALL.iter().map(|c| (c.name().to_owned(), self.counter(*c))).collect()
    }

    /// A path of `set` cannot be kept equal now. Logged when it is news.
    pub fn problem(&self, set: &str, path: &RelPath, cause: &str) {
        if self.0.problems.add(set, path, cause) {
            warn!("{set}: {path}: {cause}; every other path goes on");
        }
    }

    /// A path of `set` is well; cheap where it always was.
    pub fn solved(&self, set: &str, path: &RelPath) {
        if self.0.problems.remove(set, path) {
            info!("{set}: {path}: is kept equal again");
        }
    }

    /// The paths of `set` that cannot be kept equal now, and how many more there were than are
    /// listed of all sets.
    #[must_use]
    pub fn problems(&self, set: &str) -> (Vec<Problem>, u64) {
        (self.0.problems.of(set), self.0.problems.unlisted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_lives_as_long_as_somebody_holds_it() {
        let monitor = Monitor::new();
        let task = monitor.task("nginx: scanning", Unit::Entries);
        task.advance(3);
        assert_eq!((monitor.tasks()[0].done, monitor.tasks()[0].total), (3, None));
        task.set_total(9);
        assert_eq!(monitor.tasks()[0].total, Some(9));
        drop(task);
        assert!(monitor.tasks().is_empty());
    }

    #[test]
    fn counters_do_not_mix() {
        let monitor = Monitor::new();
        for (n, counter) in Counter::ALL.iter().enumerate() {
            monitor.count(*counter, n as u64);
        }
        let all = monitor.counters();
        assert_eq!(all.len(), Counter::ALL.len(), "two counters share a name");
        for (n, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(all.get(counter.name()), Some(&(n as u64)));
        }
    }

    #[test]
    fn problems_are_listed_until_solved_and_bounded() {
        let monitor = Monitor::new();
        let path = |n: u32| RelPath::parse(n.to_string().as_bytes()).expect("valid");
        for n in 0..1005 {
            monitor.problem("s", &path(n), "permission denied");
        }
        monitor.problem("s", &path(0), "is a device");
        let (listed, unlisted) = monitor.problems("s");
        assert_eq!((listed.len(), unlisted, listed[0].cause.as_str()), (1000, 5, "is a device"));
        monitor.solved("s", &path(0));
        assert_eq!(monitor.problems("s").0.len(), 999);
        assert!(monitor.problems("t").0.is_empty());
    }
}
