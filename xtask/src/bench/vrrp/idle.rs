//! What a pair takes while nothing happens: processor time and memory.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Pid;

use super::bed::Bed;
use super::scenario::Trial;
use super::subject::Place;
use crate::bench::measure::{Measure, Unit, cpu_time, proportional, resident};
use crate::stop;

/// How long it is looked at.
const TIME: Duration = Duration::from_secs(20);

/// How long those that have begun may take to come to rest: the second burst of announcements comes after 5 s.
const REST: Duration = Duration::from_secs(6);

pub(super) fn idle(trial: &Trial, instances: u8) -> Result<Vec<Measure>> {
    let mut bed = Bed::hosts(trial);
    for place in [Place::First, Place::Second] {
        let config = trial.interval.config(place, "", "");
        let more = (1..instances).map(|n| another(&config, n)).collect::<String>();
        bed.node(place).start(trial.subject.kind(), &format!("{config}{more}"));
    }
    bed.wait_answers(Instant::now(), Some(Place::First))?;
    // The client would be some of the load.
    let lab = bed.into_lab();
    stop::sleep(REST)?;
    let nodes = [Place::First, Place::Second].map(|place| lab.routers[place.index()].processes());
    let before = [processor(&nodes[0])?, processor(&nodes[1])?];
    let begun = Instant::now();
    stop::sleep(TIME)?;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let mut measures = Vec::new();
    let names = [["CPU, master", "RSS, master", "PSS, master"], ["CPU, backup", "RSS, backup", "PSS, backup"]];
    for ((processes, before), [cpu, rss, pss]) in nodes.iter().zip(before).zip(names) {
        let used = (processor(processes)? - before).as_secs_f64() / minutes;
        measures.push(Measure { name: cpu, unit: Unit::CpuSecondsPerMinute, value: used });
        measures.push(Measure { name: rss, unit: Unit::Mebibytes, value: memory(processes, resident)? });
        measures.push(Measure { name: pss, unit: Unit::Mebibytes, value: memory(processes, proportional)? });
    }
    Ok(measures)
}

/// The `n`th further instance: the only one of `config` with another identifier and another address.
fn another(config: &str, n: u8) -> String {
    let block = config.find("vrrp_instance").map_or(config, |at| &config[at..]);
    let mut text = String::new();
    for line in block.lines() {
        let line = match line.split_whitespace().next() {
            Some("vrrp_instance") => format!("vrrp_instance VI_{}{n} {{", 1),
            Some("virtual_router_id") => format!("    virtual_router_id {}", 100 + n),
            Some(word) if word.starts_with(crate::support::vrrp::VIP) => format!("        10.97.2.{n}/24"),
            _ => line.to_owned(),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn processor(processes: &[Pid]) -> Result<Duration> {
    processes.iter().map(|pid| cpu_time(number(*pid))).sum()
}

fn memory(processes: &[Pid], of: fn(u32) -> Result<f64>) -> Result<f64> {
    processes.iter().map(|pid| of(number(*pid))).sum()
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
