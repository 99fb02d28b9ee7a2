//! How much later than they were due advertisements come to the wire, while both cores are busy.

use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::load::{Engine, Spinning, idle_share};
use super::scenario::{Trial, milliseconds};
use super::subject::Place;
use crate::bench::measure::{Measure, Unit};
use crate::bench::stats::percentile;
use crate::support::namespace::Namespace;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Frame, Lab, PATIENCE};
use crate::{cargo, stop};

/// How long it is looked at.
const TIME: Duration = Duration::from_secs(30);

/// The real-time priority of everybody.
const PRIORITY: u8 = 50;

/// Where the bare timer's datagrams go to.
const TICKS: u16 = 7008;

/// A busy loop on each core.
pub(super) fn busy(trial: &Trial) -> Result<Vec<Measure>> {
    let mut lab = Lab::new(1);
    lab.routers[0].start(trial.subject.kind(), &config(trial));
    let _load = Spinning::on_each_core()?;
    measure(&lab, trial)
}

/// syncd's own replication: beside syncd's VRRP in one daemon, beside keepalived in one of its own.
pub(super) fn engine(trial: &Trial) -> Result<Vec<Measure>> {
    let mut lab = Lab::new(2);
    let load = Engine::begin(&mut lab, trial.subject.kind(), &config(trial))?;
    let measured = measure(&lab, trial);
    load.check()?;
    measured
}

fn config(trial: &Trial) -> String {
    trial.interval.config(Place::First, &format!("    vrrp_rt_priority {PRIORITY}"), "")
}

fn measure(lab: &Lab, trial: &Trial) -> Result<Vec<Measure>> {
    let interval = trial.interval.duration();
    let daemon = Ear::new(lab, 0);
    let advert = |frame: &Frame| frame.vrrp().is_some_and(|(from, _)| from == lab.routers[0].address);
    let master = wait_until(PATIENCE, || daemon.find(advert).is_some());
    anyhow::ensure!(master, "it does not become master");
    let host = Namespace::new("timer");
    let port = lab.lan.attach(&host, "eth0", &["10.97.1.90/24"]);
    let ear = Ear::at(&lab.lan, &port);
    let timer = Timer::start(&host, interval)?;
    // Whoever becomes master has more to do than to advertise.
    stop::sleep(Duration::from_secs(2))?;
    let (from, busy) = (SystemTime::now(), idle_share()?);
    stop::sleep(TIME)?;
    let idle = idle_share()? - busy;
    drop(timer);
    let late = |ear: &Ear, is: &dyn Fn(&Frame) -> bool| {
        let came: Vec<_> = ear.frames().iter().filter(|f| f.came > from && is(f)).map(|f| f.came).collect();
        lateness(&came, interval)
    };
    let [p50, p99, p999, most] = late(&daemon, &advert)?;
    let [bare50, bare99, bare999, bare_most] = late(&ear, &|frame| is_tick(&frame.bytes))?;
    let share = idle.as_secs_f64() / TIME.as_secs_f64() / std::thread::available_parallelism()?.get() as f64;
    Ok(vec![
        milliseconds_of("gap − interval, p50", p50),
        milliseconds_of("p99", p99),
        milliseconds_of("p99.9", p999),
        milliseconds_of("most", most),
        milliseconds_of("a bare SCHED_FIFO timer meanwhile, p50", bare50),
        milliseconds_of("its p99", bare99),
        milliseconds_of("its p99.9", bare999),
        milliseconds_of("its most", bare_most),
        Measure { name: "processors idle", unit: Unit::Percent, value: share * 100.0 },
    ])
}

fn milliseconds_of(name: &'static str, seconds: f64) -> Measure {
    Measure { value: seconds * 1e3, ..milliseconds(name, Duration::ZERO) }
}

/// Percentiles of how much longer than the interval the gaps are, in seconds: 50, 99, 99.9 and all.
fn lateness(came: &[SystemTime], interval: Duration) -> Result<[f64; 4]> {
    let gap = |pair: &[SystemTime]| pair[1].duration_since(pair[0]).unwrap_or_default().as_secs_f64();
    let late: Vec<f64> = came.windows(2).map(|pair| gap(pair) - interval.as_secs_f64()).collect();
    let of = |share| percentile(&late, share).context("nothing was heard");
    Ok([of(0.5)?, of(0.99)?, of(0.999)?, of(1.0)?])
}

fn is_tick(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&17) && frame.get(36..38) == Some(&TICKS.to_be_bytes())
}

/// The bare timer in a process of its own.
struct Timer(Child);

impl Timer {
    fn start(host: &Namespace, interval: Duration) -> Result<Self> {
        let milliseconds = interval.as_millis().to_string();
        // Should the bench be killed, it ends by itself.
        let count = (TIME * 3).div_duration_f64(interval).ceil().to_string();
        let mut command = host.command("chrt");
        command.args(["--fifo", &PRIORITY.to_string()]).arg(cargo::target_dir()?.join("release/xtask"));
        command.args(["tick", "--interval", &milliseconds, "--count", &count]);
        command.args(["--to", &format!("10.97.1.255:{TICKS}")]).stdin(Stdio::null());
        Ok(Self(command.spawn().context("run chrt")?))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Whoever has ended need not be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_came_late_is_late_and_the_next_one_early() {
        let start = SystemTime::UNIX_EPOCH;
        let came: Vec<_> = [0, 10, 25, 30].map(|ms| start + Duration::from_millis(ms)).into();
        let [p50, p99, p999, most] = lateness(&came, Duration::from_millis(10)).expect("gaps");
        assert!(p50.abs() < 1e-9 && [p99, p999, most].iter().all(|late| (late - 0.005).abs() < 1e-9));
        assert!(lateness(&came[..1], Duration::from_millis(10)).is_err());
    }
}
