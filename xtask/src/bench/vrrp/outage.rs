//! How long a client gets no answer, whatever happens to the node that holds the address.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrIn;
use rustix::process::{Signal, kill_process};

use super::bed::{Bed, Ip};
use super::scenario::{Trial, milliseconds};
use super::subject::Place::{First, Second};
use crate::bench::measure::Measure;
use crate::stop;
use crate::support::vrrp::{PATIENCE, VIP};

/// How long nothing happens where nothing is to happen.
const STEADY: Duration = Duration::from_secs(5);

/// What happens to a master happens in the middle between two of its advertisements.
const MIDDLE: f64 = 0.5;

pub(super) fn steady(trial: &Trial) -> Result<Vec<Measure>> {
    let bed = Bed::pair(trial, "", "")?;
    Ok(vec![bed.outage(Instant::now(), STEADY, Some(First))?])
}

pub(super) fn crash(trial: &Trial) -> Result<Vec<Measure>> {
    let mut bed = Bed::pair(trial, "", "")?;
    let mut ip = Ip::new(bed.lab.lan.switch())?;
    let cut = format!("link set {} down", bed.node(First).port);
    bed.wait_phase(First, MIDDLE)?;
    let from = Instant::now();
    ip.say(&cut)?;
    // A host that is cut off says nothing more: whoever still runs when another was killed must not be heard.
    bed.wait("end of the link", || {
        !bed.lab.lan.switch().ip(&format!("link show {}", bed.lab.routers[0].port)).contains("LOWER_UP")
    })?;
    bed.node(First).kill_all();
    Ok(vec![bed.outage(from, Duration::ZERO, Some(Second))?])
}

pub(super) fn stop(trial: &Trial) -> Result<Vec<Measure>> {
    let mut bed = Bed::pair(trial, "", "")?;
    bed.wait_phase(First, MIDDLE)?;
    let (from, wall) = (Instant::now(), SystemTime::now());
    bed.node(First).signal(Signal::TERM);
    let gone = bed.lab.routers[0].host.run(wait_gone)?;
    let mut ended = || bed.lab.routers[0].runs();
    let deadline = Instant::now() + PATIENCE;
    while ended() && Instant::now() < deadline {
        stop::check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = Instant::now();
    let left = bed.wait_advert(First, |priority, came| priority == 0 && came > wall)?;
    Ok(vec![
        bed.outage(from, Duration::ZERO, Some(Second))?,
        milliseconds("priority 0 on the wire after", left.duration_since(wall).unwrap_or_default()),
        milliseconds("the address is gone after", gone - from),
        milliseconds("the process has ended after", ended - from),
    ])
}

/// When the address went from the host that the calling thread is in.
fn wait_gone() -> Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let has = |address: nix::ifaddrs::InterfaceAddress| {
            let ip = address.address.as_ref().and_then(|address| address.as_sockaddr_in().map(SockaddrIn::ip));
            ip.is_some_and(|ip| ip.to_string() == VIP)
        };
        if !getifaddrs().context("list the addresses")?.any(has) {
            return Ok(Instant::now());
        }
        anyhow::ensure!(Instant::now() < deadline, "the address stays");
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub(super) fn kill_vrrp(trial: &Trial) -> Result<Vec<Measure>> {
    let mut bed = Bed::pair(trial, "", "")?;
    let vrrp = *bed.node(First).processes().get(1).context("it has a VRRP process")?;
    bed.wait_phase(First, MIDDLE)?;
    let (from, wall) = (Instant::now(), SystemTime::now());
    kill_process(vrrp, Signal::KILL).context("it runs")?;
    // It may be either that goes on.
    let outage = bed.outage(from, trial.interval.patience() + Duration::from_secs(1), None)?;
    let adverts = bed.adverts();
    let since = adverts.iter().rposition(|came| *came < wall).unwrap_or(0);
    let gaps = adverts.windows(2).skip(since).filter_map(|pair| pair[1].duration_since(pair[0]).ok());
    let longest = gaps.max().context("no advertisements after it")?;
    Ok(vec![outage, milliseconds("longest time without an advertisement", longest)])
}

pub(super) fn script(trial: &Trial) -> Result<Vec<Measure>> {
    let mut bed = Bed::hosts(trial);
    let there = bed.node(First).dir().join("there");
    std::fs::write(&there, "")?;
    let globals = format!(
        "    script_user root\n}}\nvrrp_script check {{\n    script \"/usr/bin/test -e {}\"\n    interval 1\n    fall 1\n    rise 1",
        there.display()
    );
    bed.start(trial, First, &globals, "    track_script {\n        check\n    }");
    bed.start(trial, Second, "", "");
    bed.wait_answers(Instant::now(), Some(First))?;
    let (from, wall) = (Instant::now(), SystemTime::now());
    std::fs::remove_file(&there)?;
    let outage = bed.outage(from, Duration::ZERO, Some(Second))?;
    let left = bed.wait_advert(First, |priority, came| priority == 0 && came > wall)?;
    Ok(vec![outage, milliseconds("priority 0 after the failure", left.duration_since(wall).unwrap_or_default())])
}

pub(super) fn interface(trial: &Trial) -> Result<Vec<Measure>> {
    let bed = Bed::pair(trial, "", "")?;
    let mut ip = Ip::new(&bed.lab.routers[0].host)?;
    bed.wait_phase(First, MIDDLE)?;
    let from = Instant::now();
    ip.say("link set eth0 down")?;
    Ok(vec![bed.outage(from, Duration::ZERO, Some(Second))?])
}

pub(super) fn failback(trial: &Trial) -> Result<Vec<Measure>> {
    let mut bed = Bed::hosts(trial);
    bed.start(trial, Second, "", "");
    bed.wait_answers(Instant::now(), Some(Second))?;
    let (from, wall) = (Instant::now(), SystemTime::now());
    bed.start(trial, First, "", "");
    let outage = bed.outage(from, Duration::ZERO, Some(First))?;
    let taken = bed.wait_advert(First, |priority, came| priority > 0 && came > wall)?;
    Ok(vec![
        outage,
        milliseconds("first advertisement after its start", taken.duration_since(wall).unwrap_or_default()),
    ])
}

pub(super) fn partition(trial: &Trial) -> Result<Vec<Measure>> {
    let bed = Bed::pair(trial, "", "")?;
    let (from, wall) = (Instant::now(), SystemTime::now());
    bed.lab.partition(0);
    bed.wait_advert(Second, |priority, came| priority > 0 && came > wall)?;
    bed.wait_phase(First, trial.phase)?;
    bed.lab.heal();
    let healed = Instant::now() - from;
    // Until each has heard the other, whoever answers may change.
    Ok(vec![bed.outage(from, healed + trial.interval.duration() * 3, Some(First))?])
}

pub(super) fn delete(trial: &Trial) -> Result<Vec<Measure>> {
    let bed = Bed::pair(trial, "", "")?;
    let mut ip = Ip::new(&bed.lab.routers[0].host)?;
    bed.wait_phase(First, MIDDLE)?;
    let from = Instant::now();
    ip.say(&format!("addr del {VIP}/24 dev eth0"))?;
    Ok(vec![bed.outage(from, trial.interval.patience() + Duration::from_secs(1), Some(First))?])
}
