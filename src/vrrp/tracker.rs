//! What is tracked: scripts, processes, files and interfaces, and what they do to a priority.

use std::collections::BTreeMap;

use super::interfaces::Interfaces;
use super::message::Observed;
use super::router::OWNER;
use super::setup::{Setup, Track, Tracking};

/// A product of a file's number and its weight from which on it is a fault.
const FILE_FAULT: i64 = -254;

/// How a script or a process stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Health {
    /// None before the first result.
    well: Option<bool>,
    /// Results in a row that say otherwise.
    against: u32,
}

/// Everything that is tracked on this node, but for interfaces.
#[derive(Clone, Debug, Default)]
pub struct Trackers {
    scripts: BTreeMap<String, (Health, u32, u32)>,
    processes: BTreeMap<String, Health>,
    files: BTreeMap<String, i32>,
}

/// What the trackers of one instance come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// What is added to its priority.
    pub weight: i64,
    /// What makes it that, each a few words.
    pub parts: Vec<String>,
    /// What keeps it from being master, each a few words.
    pub faults: Vec<String>,
    /// Something that could be a fault has not been looked at yet.
    pub unknown: bool,
}

impl Trackers {
    /// Takes over what `setup` says: what was known before stays known.
    pub fn set(&mut self, setup: &Setup) {
        let fresh = Health { well: None, against: 0 };
        let scripts = setup.scripts.iter().map(|script| {
            let start = Health { well: script.init_fail.then_some(false), ..fresh };
            let health = self.scripts.get(&script.name).map_or(start, |known| known.0);
            (script.name.clone(), (health, script.rise.max(1), script.fall.max(1)))
        });
        let scripts = scripts.collect();
        let processes = setup
            .processes
            .iter()
            .map(|process| (process.name.clone(), self.processes.get(&process.name).copied().unwrap_or(fresh)));
        let processes = processes.collect();
        let files = setup.files.iter();
        let files = files.map(|file| (file.name.clone(), self.files.get(&file.name).copied().unwrap_or(0))).collect();
        *self = Self { scripts, processes, files };
    }

    /// Something was looked at; returns whether that changes anything, and in words what.
    pub fn handle(&mut self, observed: &Observed) -> Option<String> {
        match observed {
            Observed::Script { name, success } => {
                let (health, rise, fall) = self.scripts.get_mut(name)?;
                let needed = if *success { *rise } else { *fall };
                let words = if *success { "succeeds" } else { "fails" };
                health.handle(*success, needed).then(|| format!("script {name} {words}"))
            }
            Observed::Process { name, enough } => {
                let health = self.processes.get_mut(name)?;
                let words = if *enough { "runs" } else { "does not run as it has to" };
                health.handle(*enough, 1).then(|| format!("process {name} {words}"))
            }
            Observed::File { name, value } => {
                let known = self.files.get_mut(name)?;
                let changed = std::mem::replace(known, *value) != *value;
                changed.then(|| format!("file {name} says {value}"))
            }
        }
    }

    /// What `tracking` comes to now. Where weights do not count, whatever has one is passed over.
    #[must_use]
    pub fn verdict(&self, tracking: &Tracking, interfaces: &Interfaces, weights: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let counted = |track: &&Track| weights || track.weight == 0;
        for track in tracking.interfaces.iter().filter(counted) {
            verdict.add("interface", track, Some(interfaces.is_running(&track.name)));
        }
        for track in tracking.scripts.iter().filter(counted) {
            verdict.add("script", track, self.scripts.get(&track.name).and_then(|script| script.0.well));
        }
        for track in tracking.processes.iter().filter(counted) {
            verdict.add("process", track, self.processes.get(&track.name).and_then(|health| health.well));
        }
        for track in tracking.files.iter().filter(counted) {
            verdict.add_file(track, self.files.get(&track.name).copied().unwrap_or(0));
        }
        verdict
    }
}

impl Health {
    fn handle(&mut self, well: bool, needed: u32) -> bool {
        // The first result counts at once.
        if self.well.is_some_and(|known| known != well) {
            self.against += 1;
            if self.against < needed {
                return false;
            }
        }
        self.against = 0;
        self.well.replace(well) != Some(well)
    }
}

impl Verdict {
    fn add(&mut self, kind: &str, track: &Track, well: Option<bool>) {
        let name = &track.name;
        let Some(well) = well.map(|well| well != track.reverse) else {
            self.unknown |= track.weight == 0;
            return;
        };
        match (track.weight, well) {
            (0, false) => self.faults.push(format!("{kind} {name}")),
            (1.., true) | (..=-1, false) => self.count(kind, track, i64::from(track.weight)),
            _ => {}
        }
    }

    fn add_file(&mut self, track: &Track, value: i32) {
        let sign = if track.reverse { -1 } else { 1 };
        let product = i64::from(value) * i64::from(track.weight) * sign;
        let failed = if track.weight == 0 { (value != 0) != track.reverse } else { product <= FILE_FAULT };
        if failed {
            self.faults.push(format!("file {} ({value})", track.name));
        } else if product != 0 {
            self.count("file", track, product.min(i64::from(OWNER) - 1));
        }
    }

    fn count(&mut self, kind: &str, track: &Track, weight: i64) {
        self.weight += weight;
        self.parts.push(format!("{kind} {} {weight:+}", track.name));
    }

    /// Takes the verdict of a group in.
    pub fn join(&mut self, other: Self) {
        self.weight += other.weight;
        self.parts.extend(other.parts);
        self.faults.extend(other.faults);
        self.unknown |= other.unknown;
    }

    /// The priority that it makes of `base`: 1 to 254, and an owner stays one.
    #[must_use]
    pub fn priority(&self, base: u8) -> u8 {
        if base == OWNER {
            return OWNER;
        }
        u8::try_from((i64::from(base) + self.weight).clamp(1, i64::from(OWNER) - 1)).unwrap_or(base)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vrrp::setup::{Command, Script};

    fn track(name: &str, weight: i32) -> Track {
        Track { name: name.to_owned(), weight, reverse: false }
    }

    fn script(name: &str, rise: u32, fall: u32) -> Script {
        let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
        let second = Duration::from_secs(1);
        Script { name: name.to_owned(), command, interval: second, timeout: second, rise, fall, init_fail: false }
    }

    fn result(success: bool) -> Observed {
        Observed::Script { name: "web".to_owned(), success }
    }

    fn of(trackers: &Trackers, weight: i32) -> Verdict {
        let tracking = Tracking { scripts: vec![track("web", weight)], ..Tracking::default() };
        trackers.verdict(&tracking, &Interfaces::default(), true)
    }

    #[test]
    fn the_first_result_counts_at_once_and_others_in_a_row() {
        let mut trackers = Trackers::default();
        trackers.set(&Setup { scripts: vec![script("web", 2, 3)], ..Setup::default() });
        assert!(of(&trackers, 0).unknown);
        assert!(trackers.handle(&result(true)).is_some());
        assert_eq!(of(&trackers, 10).priority(100), 110);
        assert_eq!((trackers.handle(&result(false)), trackers.handle(&result(false))), (None, None));
        assert_eq!(trackers.handle(&result(true)), None, "a success in between begins anew");
        assert_eq!((trackers.handle(&result(false)), trackers.handle(&result(false))), (None, None));
        assert_eq!(trackers.handle(&result(false)).as_deref(), Some("script web fails"));
        assert_eq!(of(&trackers, -60).priority(150), 90);
        assert_eq!(of(&trackers, 0).faults, ["script web"]);
        assert_eq!(trackers.handle(&result(true)), None);
        assert!(trackers.handle(&result(true)).is_some());
    }

    #[test]
    fn a_priority_stays_below_the_owners_and_above_nothing() {
        let verdict = |weight| Verdict { weight, ..Verdict::default() };
        assert_eq!(verdict(200).priority(100), 254);
        assert_eq!(verdict(-200).priority(100), 1);
        assert_eq!(verdict(-200).priority(255), 255);
    }

    #[test]
    fn a_file_adds_its_number_and_a_very_low_one_is_a_fault() {
        let mut trackers = Trackers { files: [("f".to_owned(), 0)].into(), ..Trackers::default() };
        let tracking = |weight| Tracking { files: vec![track("f", weight)], ..Tracking::default() };
        let with = |trackers: &Trackers, weight| trackers.verdict(&tracking(weight), &Interfaces::default(), true);
        trackers.handle(&Observed::File { name: "f".to_owned(), value: 3 });
        assert_eq!(with(&trackers, -10).weight, -30);
        assert_eq!(with(&trackers, 0).faults.len(), 1);
        assert_eq!(with(&trackers, -100).faults.len(), 1);
        trackers.handle(&Observed::File { name: "f".to_owned(), value: 0 });
        assert_eq!(with(&trackers, 0), Verdict::default());
    }

    #[test]
    fn where_weights_do_not_count_only_faults_do() {
        let trackers = Trackers::default();
        let tracking = Tracking { interfaces: vec![track("eth1", -20), track("eth2", 0)], ..Tracking::default() };
        let verdict = trackers.verdict(&tracking, &Interfaces::default(), false);
        assert_eq!((verdict.weight, verdict.faults.len()), (0, 1));
    }
}
