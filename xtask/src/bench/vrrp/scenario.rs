//! What is measured, one for each row of the tables.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::subject::{Interval, Subject};
use super::{idle, jitter, outage};
use crate::bench::measure::{Measure, Unit};

/// Something that is measured.
pub(super) struct Scenario {
    /// For the command line.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) table: Table,
    /// It makes sense at this interval alone.
    pub(super) only: Option<Interval>,
    pub(super) run: fn(&Trial) -> Result<Vec<Measure>>,
}

/// Which table it goes to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Table {
    /// How long a client is without an answer.
    Outage,
    /// How late advertisements are.
    Jitter,
    /// What it takes to do nothing.
    Idle,
}

/// One run.
pub(super) struct Trial {
    pub(super) subject: Subject,
    pub(super) interval: Interval,
    /// Where in an interval that happens which depends on it: from 0.0 to 1.0, spread over the runs.
    pub(super) phase: f64,
}

/// All of them, in the order of the tables.
pub(super) const SCENARIOS: &[Scenario] = &[
    outage("steady", "nothing happens for 5 s: the noise", outage::steady),
    outage("crash", "host cut off: port down and all processes killed", outage::crash),
    outage("stop", "graceful stop by SIGTERM", outage::stop),
    outage("kill-vrrp", "kill -9 of the VRRP process", outage::kill_vrrp),
    outage("script", "a script of weight 0 fails", outage::script),
    outage("interface", "the interface of the master goes down", outage::interface),
    outage("failback", "the better one comes back and preempts", outage::failback),
    outage("partition", "partition until both are master, and heal", outage::partition),
    outage("delete", "the address is deleted by hand", outage::delete),
    Scenario {
        name: "jitter-busy",
        title: "advertisements under a busy loop on each core",
        table: Table::Jitter,
        only: Some(Interval::SHORTEST),
        run: jitter::busy,
    },
    Scenario {
        name: "jitter-engine",
        title: "advertisements while syncd replicates as fast as it can",
        table: Table::Jitter,
        only: Some(Interval::SHORTEST),
        run: jitter::engine,
    },
    Scenario {
        name: "idle-1",
        title: "a pair with 1 instance",
        table: Table::Idle,
        only: Some(Interval::SECOND),
        run: |trial| idle::idle(trial, 1),
    },
    Scenario {
        name: "idle-50",
        title: "a pair with 50 instances",
        table: Table::Idle,
        only: Some(Interval::SECOND),
        run: |trial| idle::idle(trial, 50),
    },
];

const fn outage(name: &'static str, title: &'static str, run: fn(&Trial) -> Result<Vec<Measure>>) -> Scenario {
    Scenario { name, title, table: Table::Outage, only: None, run }
}

/// A time in the milliseconds of the tables.
pub(super) fn milliseconds(name: &'static str, time: Duration) -> Measure {
    Measure { name, unit: Unit::Milliseconds, value: time.as_secs_f64() * 1e3 }
}
