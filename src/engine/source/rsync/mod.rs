//! The installed rsync as a carrier: what `compare` and `send` are for a `syncd peer`, for a host
//! that still runs rsyncd, or that ssh reaches.
//!
//! | question | file |
//! |---|---|
//! | what is rsync called with? | `args` |
//! | what does it say of each name? | `itemize` |
//! | what does it complain of? | `complaint` |
//! | which names go in which run? | `batch` |
//! | how does it run? | `process` |
//! | what does the rsyncd there refuse? | `lacks` |
//! | is the set served there, where does it differ? | `look` |
//! | how does a change set travel? | `send` |

mod args;
mod batch;
mod complaint;
#[cfg(fuzzing)]
pub mod fuzzing;
mod itemize;
mod lacks;
mod look;
mod process;
mod send;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::set::{SourceSet, Target};
use args::Run;
use itemize::{Item, Line};
use process::Ended;

pub(super) use complaint::Failure;
pub(super) use lacks::Lacks;
pub(super) use look::{Compared, compare, probe, verify};
pub(super) use send::send;

/// How long a place at an rsyncd is waited for, again and again: the process that served the run before may not have
/// ended there when the next one comes.
const PLACE_AFTER: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1600)];

/// Bytes that rsync sent and received.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes sent and received since the start.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

/// A set on its way to a target, by rsync.
pub(super) struct Route<'a> {
    pub(super) set: &'a SourceSet,
    pub(super) target: &'a Target,
    pub(super) traffic: &'a Traffic,
}

/// What a run said.
struct Said {
    items: Vec<Item>,
    /// Directories that were to go and are not empty.
    not_empty: Vec<crate::model::RelPath>,
    ended: Ended,
}

impl Route<'_> {
    /// Runs rsync once, from the set's root.
    async fn run(&self, run: Run, dry: bool, input: Vec<u8>) -> Result<Said, Failure> {
        self.run_from(&self.set.config.path, run, dry, input).await
    }

    async fn run_from(&self, from: &std::path::Path, run: Run, dry: bool, input: Vec<u8>) -> Result<Said, Failure> {
        let lacks = self.target.lacks();
        let options = lacks.reduced(&self.set.config.options);
        let words = args::args(lacks.without(run), dry, &options, from, &self.target.config);
        let mut pauses = PLACE_AFTER.iter();
        loop {
            let said = self.run_words(&words, dry, input.clone()).await?;
            match pauses.next() {
                Some(pause) if complaint::is_full(&said.ended.stderr) => tokio::time::sleep(*pause).await,
                _ => return Ok(said),
            }
        }
    }

    async fn run_words(&self, words: &[std::ffi::OsString], dry: bool, input: Vec<u8>) -> Result<Said, Failure> {
        tracing::debug!(set = self.set.config.name, peer = %self.target, "rsync {}", args::shown(words));
        let (mut items, mut not_empty) = (Vec::new(), Vec::new());
        let take = |line: &[u8]| match itemize::line(line) {
            Line::Item(item) => {
                tracing::trace!(set = self.set.config.name, peer = %self.target, ?item, dry, "rsync names");
                items.push(item);
            }
            Line::NotEmpty(path) => not_empty.push(path),
            Line::Sent(bytes) => _ = self.traffic.sent.fetch_add(bytes, Ordering::Relaxed),
            Line::Received(bytes) => _ = self.traffic.received.fetch_add(bytes, Ordering::Relaxed),
            Line::Other => {}
        };
        let ended = process::run(words, input, take).await?;
        for line in &ended.stderr {
            let line = String::from_utf8_lossy(line);
            tracing::debug!(set = self.set.config.name, peer = %self.target, code = ?ended.code, "rsync says: {line:?}");
        }
        Ok(Said { items, not_empty, ended })
    }
}
