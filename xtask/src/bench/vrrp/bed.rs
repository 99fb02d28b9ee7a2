//! A pair of nodes on a switch, a client that asks their address every millisecond, and ears at their ports.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use super::scenario::{Trial, milliseconds};
use super::subject::Place;
use crate::bench::measure::Measure;
use crate::stop;
use crate::support::namespace::Namespace;
use crate::support::vrrp::{Ear, Frame, Lab, PATIENCE, Probe, Router, VIP};

/// How many answers in a row show that an address is where it is to be.
const SETTLED: usize = 50;

/// How often something is looked at that is waited for.
const POLL: Duration = Duration::from_micros(500);

/// A pair at work.
pub(super) struct Bed {
    pub(super) probe: Probe,
    ears: [Ear; 2],
    pub(super) lab: Lab,
    interval: Duration,
}

impl Bed {
    /// Both run what the trial says, and the first holds the address.
    pub(super) fn pair(trial: &Trial, globals: &str, more: &str) -> Result<Self> {
        let mut bed = Self::hosts(trial);
        for place in [Place::First, Place::Second] {
            bed.start(trial, place, globals, more);
        }
        bed.wait_answers(Instant::now(), Some(Place::First))?;
        Ok(bed)
    }

    /// Hosts on which nothing runs.
    pub(super) fn hosts(trial: &Trial) -> Self {
        let lab = Lab::new(2);
        let ears = [Ear::new(&lab, 0), Ear::new(&lab, 1)];
        Self { probe: Probe::new(&lab, VIP), ears, lab, interval: trial.interval.duration() }
    }

    /// Starts one node.
    pub(super) fn start(&mut self, trial: &Trial, place: Place, globals: &str, more: &str) {
        let config = trial.interval.config(place, globals, more);
        self.node(place).start(trial.subject.kind(), &config);
    }

    /// The nodes without the client.
    pub(super) fn into_lab(self) -> Lab {
        self.lab
    }

    pub(super) fn node(&mut self, place: Place) -> &mut Router {
        &mut self.lab.routers[place.index()]
    }

    /// Waits until the client is answered steadily by `place`, or by whomever, after `from`.
    pub(super) fn wait_answers(&self, from: Instant, place: Option<Place>) -> Result<()> {
        let address = place.map(|place| self.lab.routers[place.index()].address);
        let what = format!("steady answers by {}", place.map_or("anybody".into(), |place| format!("{place:?}")));
        self.wait(&what, || self.probe.is_answered(from, SETTLED, address))
    }

    /// What the client missed since `from`, once it is answered by `place`, and at least for `time`.
    pub(super) fn outage(&self, from: Instant, time: Duration, place: Option<Place>) -> Result<Measure> {
        stop::sleep((from + time).saturating_duration_since(Instant::now()))?;
        self.wait_answers(from + time, place)?;
        Ok(milliseconds("without an answer", self.probe.outage(from)))
    }

    /// Waits until `place` has sent another advertisement, and then for a part of the interval.
    pub(super) fn wait_phase(&self, place: Place, part: f64) -> Result<()> {
        let now = SystemTime::now();
        let advert = self.wait_advert(place, |_, came| came > now)?;
        let passed = SystemTime::now().duration_since(advert).unwrap_or_default();
        std::thread::sleep(self.interval.mul_f64(part).saturating_sub(passed));
        Ok(())
    }

    /// Waits for the first advertisement of `place` that is right by its priority and when it came; returns the latter.
    pub(super) fn wait_advert(&self, place: Place, is: impl Fn(u8, SystemTime) -> bool) -> Result<SystemTime> {
        let from = self.lab.routers[place.index()].address;
        let mut found = None;
        self.wait(&format!("an advertisement of {place:?}"), || {
            let fits = |frame: &Frame| {
                frame.vrrp().is_some_and(|(source, bytes)| {
                    source == from && bytes.get(2).is_some_and(|priority| is(*priority, frame.came))
                })
            };
            found = self.ears[place.index()].find(fits);
            found.is_some()
        })?;
        Ok(found.context("it was found")?.came)
    }

    /// When the nodes advertised themselves as master, in order.
    pub(super) fn adverts(&self) -> Vec<SystemTime> {
        let mut all = Vec::new();
        for (ear, router) in self.ears.iter().zip(&self.lab.routers) {
            let is = |frame: &Frame| {
                frame.vrrp().is_some_and(|(from, bytes)| from == router.address && bytes.get(2) != Some(&0))
            };
            all.extend(ear.frames().iter().filter(|frame| is(frame)).map(|frame| frame.came));
        }
        all.sort();
        all
    }

    /// Waits until `holds`.
    pub(super) fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            stop::check()?;
            ensure!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// An ip(8) in a namespace that does at once what it is told.
pub(super) struct Ip {
    child: Child,
    words: ChildStdin,
}

impl Ip {
    pub(super) fn new(host: &Namespace) -> Result<Self> {
        let mut child = host.command("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("run ip")?;
        let words = child.stdin.take().context("its standard input is piped")?;
        Ok(Self { child, words })
    }

    /// Tells it what stands behind `ip`; it is done a moment later.
    pub(super) fn say(&mut self, words: &str) -> Result<()> {
        writeln!(self.words, "{words}").context("ip has ended")
    }
}

impl Drop for Ip {
    fn drop(&mut self) {
        // Whoever has ended need not be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
