//! What a work yields, and what the kernel tells about wire, processor and memory.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// A number with a name and a unit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
    /// 1,000,000 bytes.
    Megabytes,
    /// 1,048,576 bytes.
    Mebibytes,
    /// Processor time in a minute.
    CpuSecondsPerMinute,
    Percent,
}

impl Unit {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Megabytes => "MB",
            Self::Mebibytes => "MiB",
            Self::CpuSecondsPerMinute => "CPU-s/min",
            Self::Percent => "%",
        }
    }
}

impl Measure {
    pub(crate) fn seconds(time: Duration) -> Self {
        Self { name: "time", unit: Unit::Seconds, value: time.as_secs_f64() }
    }

    pub(crate) fn wire(bytes: u64) -> Self {
        Self { name: "wire", unit: Unit::Megabytes, value: bytes as f64 / 1e6 }
    }
}

/// Bytes that the loopback device has carried, headers and acknowledgements included. A difference of two is the
/// traffic of a subject, since nothing else of the bench uses the network.
pub(crate) fn loopback_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    let first = line.and_then(|line| line.split_whitespace().next()).context("no lo: in /proc/net/dev")?;
    Ok(first.parse()?)
}

/// Processor time of all threads of a process so far, to the nanosecond where the kernel counts so.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let nanos = text.split_whitespace().next().context("empty schedstat")?;
        total += nanos.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// Resident memory of a process in MiB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    memory(pid, "status", "VmRSS:")
}

/// Resident memory of a process in MiB, where what it shares with others counts for each of them in part.
pub(crate) fn proportional(pid: u32) -> Result<f64> {
    memory(pid, "smaps_rollup", "Pss:")
}

fn memory(pid: u32, file: &str, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {name}"))?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
