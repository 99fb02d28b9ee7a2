//! One of the supervisor's processes over all its starts.

use std::io;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::crashes::{Again, Crashes};
use super::event::Event;
use super::worker::{Ear, Program, Released, Said, Worker};
use crate::control::ProcessStatus;
use crate::observe::Console;

/// A process that is to run all the time.
#[derive(Debug)]
pub(super) struct Process<In, Out> {
    /// How it is started.
    program: Program,
    /// What it is to people.
    what: &'static str,
    as_event: fn(u64, Said<In>) -> Event,
    run: u64,
    worker: Option<Worker<Out>>,
    since: Instant,
    crashes: Crashes,
    last_end: Option<(String, Instant)>,
}

impl<In: DeserializeOwned + Send + 'static, Out: Serialize + Send + 'static> Process<In, Out> {
    /// One that does not run yet.
    pub(super) fn new(program: Program, what: &'static str, as_event: fn(u64, Said<In>) -> Event) -> Self {
        let (crashes, since) = (Crashes::default(), Instant::now());
        Self { program, what, as_event, run: 0, worker: None, since, crashes, last_end: None }
    }

    /// Starts it.
    pub(super) fn start(&mut self, events: &mpsc::Sender<Event>, log: Option<Console>) -> io::Result<()> {
        let ear = self.ear(events);
        self.worker = Some(Worker::start(&self.program, log, ear)?);
        Ok(())
    }

    /// Goes on with one that an earlier program started, or that this one let go of.
    pub(super) fn adopt(&mut self, pid: u32, released: Released, events: &mpsc::Sender<Event>) -> io::Result<()> {
        let ear = self.ear(events);
        self.worker = Some(Worker::adopt(pid, released, ear)?);
        Ok(())
    }

    /// Stops listening to it and lets it run.
    pub(super) async fn release(&mut self) -> (Option<u32>, Option<Released>) {
        match self.worker.take() {
            Some(worker) => (Some(worker.pid), worker.release().await),
            None => (None, None),
        }
    }

    fn ear(&mut self, events: &mpsc::Sender<Event>) -> Ear<In> {
        self.run += 1;
        self.since = Instant::now();
        Ear { events: events.clone(), run: self.run, as_event: self.as_event }
    }

    /// Tells it something; lost where it does not run.
    pub(super) fn tell(&self, message: Out) {
        if let Some(worker) = &self.worker {
            worker.tell(message);
        }
    }

    /// Ends it by force.
    pub(super) fn kill(&self) {
        if let Some(worker) = &self.worker {
            worker.kill();
        }
    }

    /// Whether it runs.
    pub(super) fn runs(&self) -> bool {
        self.worker.is_some()
    }

    /// Whether `run` is its last start: what an earlier one says does not count.
    pub(super) fn is_current(&self, run: u64) -> bool {
        self.run == run
    }

    /// It ended as it was to.
    pub(super) fn left(&mut self) {
        self.worker = None;
    }

    /// It ended, and nobody had asked it to: what to do.
    pub(super) fn crashed(&mut self, how: &str) -> Again {
        self.worker = None;
        let now = Instant::now();
        self.last_end = Some((how.to_owned(), now));
        let again = self.crashes.crashed(now);
        let wait = again.after.as_secs_f64();
        let when = if wait > 0.0 { format!("again in {wait} s") } else { "again at once".to_owned() };
        tracing::error!("the {} process ended ({how}): it is started {when}", self.what);
        again
    }

    /// How it stands.
    pub(super) fn status(&self) -> ProcessStatus {
        ProcessStatus {
            name: self.program.short.to_owned(),
            pid: self.worker.as_ref().map(|worker| worker.pid),
            up_seconds: self.worker.as_ref().map_or(0, |_| self.since.elapsed().as_secs()),
            restarts: self.crashes.total(),
            last_end: self.last_end.as_ref().map(|(how, _)| how.clone()),
            last_end_seconds: self.last_end.as_ref().map(|(_, at)| at.elapsed().as_secs()),
        }
    }
}
