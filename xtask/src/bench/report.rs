//! What was measured, as a Markdown table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;

use super::measure::{Measure, Unit};
use super::peers::Kind;
use super::stats;
use super::work::Work;

/// All results of a run of the bench.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    file_system: String,
    runs: usize,
    works: Vec<Line>,
}

/// Where it was measured.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) kernel: String,
    pub(super) processors: usize,
    syncd: String,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    title: &'static str,
    goal: &'static str,
    subjects: BTreeMap<Kind, Outcome>,
}

/// What came of one subject at one work.
#[derive(Default, Serialize)]
pub(super) struct Outcome {
    /// A list of measures for each run.
    pub(super) runs: Vec<Vec<Measure>>,
    /// What went wrong, for each run that yielded nothing.
    pub(super) problems: Vec<String>,
    medians: Vec<Measure>,
}

impl Machine {
    /// The one that this runs on.
    pub(super) fn this() -> Result<Self> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let processors = std::thread::available_parallelism()?.get();
        Ok(Self { kernel, processors, syncd: env!("CARGO_PKG_VERSION").into() })
    }
}

impl Outcome {
    /// Adds what one run came to.
    pub(super) fn add(&mut self, result: Result<Vec<Measure>>) {
        match result {
            Ok(measures) => self.runs.push(measures),
            Err(e) => self.problems.push(format!("{e:#}")),
        }
        self.medians = medians(&self.runs);
    }
}

impl Report {
    pub(crate) fn new(file_system: &str, runs: usize, works: &[&Work]) -> Result<Self> {
        let line =
            |work: &&Work| Line { name: work.name, title: work.title, goal: work.goal, subjects: BTreeMap::new() };
        let works = works.iter().map(line).collect();
        Ok(Self { machine: Machine::this()?, file_system: file_system.to_owned(), runs, works })
    }

    /// Adds what one run came to.
    pub(crate) fn add(&mut self, work: &Work, kind: Kind, result: Result<Vec<Measure>>) {
        let Some(line) = self.works.iter_mut().find(|line| line.name == work.name) else { return };
        line.subjects.entry(kind).or_default().add(result);
    }

    pub(crate) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("the report as JSON")
    }

    /// Medians over the runs; in brackets the factor to the floor, with fsync where that was measured.
    pub(crate) fn markdown(&self) -> String {
        let mut kinds: Vec<_> = self.works.iter().flat_map(|line| line.subjects.keys().copied()).collect();
        kinds.sort();
        kinds.dedup();
        let mut text = format!(
            "{} runs, medians; kernel {}, {} processors; {}.\nIn brackets: how many times the floor, with fsync where \
             that was measured.\n\n| work | goal |",
            self.runs, self.machine.kernel, self.machine.processors, self.file_system
        );
        kinds.iter().for_each(|kind| {
            let _ = write!(text, " {} |", kind.title());
        });
        let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(kinds.len()));
        for line in &self.works {
            let _ = write!(text, "| {} | {} |", line.title, line.goal);
            for kind in &kinds {
                let _ = write!(text, " {} |", line.cell(*kind));
            }
            text.push('\n');
        }
        text
    }

    /// Every problem, by work and subject.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of = |line: &Line| {
            let by_kind = line.subjects.iter();
            let each = by_kind.flat_map(|(kind, outcome)| outcome.problems.iter().map(move |p| (kind, p)));
            each.map(|(kind, p)| format!("{}, {}: {p}", line.name, kind.title())).collect::<Vec<_>>()
        };
        self.works.iter().flat_map(of).collect()
    }
}

impl Line {
    fn cell(&self, kind: Kind) -> String {
        let Some(outcome) = self.subjects.get(&kind) else { return "–".into() };
        if outcome.medians.is_empty() {
            let wrong = outcome.problems.iter().any(|problem| problem.contains("WRONG"));
            return if wrong { "wrong" } else { "failed" }.into();
        }
        let mut text = shown(&outcome.medians);
        if kind == Kind::Syncd
            && let Some(factor) = self.factor_to_floor(outcome)
        {
            let _ = write!(text, " ({factor:.1}×)");
        }
        if !outcome.problems.is_empty() {
            let _ = write!(text, " ({} of {} runs)", outcome.runs.len(), outcome.runs.len() + outcome.problems.len());
        }
        text
    }

    fn factor_to_floor(&self, outcome: &Outcome) -> Option<f64> {
        let floors = [Kind::FloorFsync, Kind::Floor];
        let floor = floors.iter().filter_map(|kind| self.subjects.get(kind)).find_map(|floor| floor.medians.first())?;
        Some(outcome.medians.first()?.value / floor.value)
    }
}

/// The median of each measure over the runs; measures are told apart by their place.
fn medians(runs: &[Vec<Measure>]) -> Vec<Measure> {
    let Some(first) = runs.first() else { return Vec::new() };
    let of = |(place, measure): (usize, &Measure)| {
        let values: Vec<_> = runs.iter().filter_map(|run| run.get(place)).map(|measure| measure.value).collect();
        Some(Measure { value: stats::median(&values)?, ..measure.clone() })
    };
    first.iter().enumerate().filter_map(of).collect()
}

/// Values with three digits that count; a unit is said once where it does not change.
fn shown(measures: &[Measure]) -> String {
    let mut text = String::new();
    let parts: Vec<_> = measures.iter().map(value_and_unit).collect();
    for (place, (value, unit)) in parts.iter().enumerate() {
        text.push_str(value);
        match parts.get(place + 1) {
            Some((_, next)) if next == unit => text.push_str(" / "),
            Some(_) => text.extend([" ", unit, ", "]),
            None => text.extend([" ", unit]),
        }
    }
    text
}

fn value_and_unit(measure: &Measure) -> (String, &'static str) {
    if measure.unit == Unit::Megabytes && measure.value < 0.1 {
        return (number(measure.value * 1e3), "kB");
    }
    (number(measure.value), measure.unit.symbol())
}

/// A number with three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// One line for the terminal while the bench runs.
pub(super) fn progress(result: &Result<Vec<Measure>>) -> String {
    match result {
        Ok(measures) => shown(measures),
        Err(e) => format!("{e:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measure {
        fn of(unit: Unit, value: f64) -> Self {
            Self { name: "x", unit, value }
        }
    }

    #[test]
    fn a_unit_is_said_once() {
        let ms = |value| Measure::of(Unit::Milliseconds, value);
        assert_eq!(shown(&[ms(0.5), ms(12.34)]), "0.500 / 12.3 ms");
        assert_eq!(shown(&[Measure::of(Unit::Seconds, 1.0), Measure::wire(7_000_000)]), "1.00 s, 7.00 MB");
        assert_eq!(shown(&[Measure::of(Unit::Seconds, 0.05), Measure::wire(9_876)]), "0.050 s, 9.88 kB");
    }

    #[test]
    fn medians_are_taken_measure_by_measure() {
        let run = |a, b| vec![Measure::of(Unit::Seconds, a), Measure::of(Unit::Megabytes, b)];
        let found = medians(&[run(3.0, 10.0), run(1.0, 30.0), run(2.0, 20.0)]);
        assert_eq!(found.iter().map(|m| m.value).collect::<Vec<_>>(), [2.0, 20.0]);
    }
}
