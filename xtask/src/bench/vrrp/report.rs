//! What was measured, as Markdown tables and as JSON.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;

use super::scenario::{Scenario, Table, Trial};
use super::subject::{Interval, Subject};
use crate::bench::measure::Measure;
use crate::bench::report::{Machine, Outcome, number};
use crate::bench::stats;

/// All results of a run of the bench.
#[derive(Serialize)]
pub(super) struct Report {
    machine: Machine,
    runs: u8,
    scenarios: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    table: Table,
    cells: Vec<Cell>,
}

/// What came of a subject at an interval.
#[derive(Serialize)]
struct Cell {
    interval: Interval,
    subject: Subject,
    outcome: Outcome,
}

impl Report {
    pub(super) fn new(runs: u8) -> Result<Self> {
        Ok(Self { machine: Machine::this()?, runs, scenarios: Vec::new() })
    }

    /// Adds what one run came to.
    pub(super) fn add(&mut self, scenario: &Scenario, trial: &Trial, result: Result<Vec<Measure>>) {
        let at = self.scenarios.iter().position(|row| row.name == scenario.name).unwrap_or_else(|| {
            let Scenario { name, title, table, .. } = *scenario;
            self.scenarios.push(Row { name, title, table, cells: Vec::new() });
            self.scenarios.len() - 1
        });
        let Some(row) = self.scenarios.get_mut(at) else { return };
        let key = (trial.interval, trial.subject);
        let at = row.cells.iter().position(|cell| cell.key() == key).unwrap_or_else(|| {
            row.cells.push(Cell { interval: key.0, subject: key.1, outcome: Outcome::default() });
            row.cells.len() - 1
        });
        if let Some(cell) = row.cells.get_mut(at) {
            cell.outcome.add(result);
        }
    }

    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("the report as JSON")
    }

    /// A table of outages, one of jitter, one of idle pairs: medians, and in brackets the least and the most.
    pub(super) fn markdown(&self) -> String {
        let Machine { kernel, processors, .. } = &self.machine;
        let mut text = format!(
            "{} runs: median (least–most); kernel {kernel}, {processors} processors. In milliseconds where no other \
             unit stands.\n",
            self.runs
        );
        for table in [Table::Outage, Table::Jitter, Table::Idle] {
            let rows: Vec<&Row> = self.scenarios.iter().filter(|row| row.table == table).collect();
            if !rows.is_empty() {
                text.push_str(&table_of(&rows));
            }
        }
        text
    }

    /// Every problem, by scenario, interval and subject.
    pub(super) fn problems(&self) -> Vec<String> {
        let of = |row: &Row| {
            let of = |cell: &Cell| {
                let Cell { interval, subject, outcome } = cell;
                let line = |problem: &String| format!("{}, {interval} s, {subject}: {problem}", row.name);
                outcome.problems.iter().map(line).collect::<Vec<_>>()
            };
            row.cells.iter().flat_map(of).collect::<Vec<_>>()
        };
        self.scenarios.iter().flat_map(of).collect()
    }
}

fn table_of(rows: &[&Row]) -> String {
    let mut columns: Vec<_> = rows.iter().flat_map(|row| row.cells.iter().map(Cell::key)).collect();
    // The longest interval first.
    columns.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    columns.dedup();
    let mut text = String::from("\n| |");
    for (interval, subject) in &columns {
        let _ = write!(text, " {subject}, {interval} s |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()));
    for row in rows {
        for (n, label) in row.labels().iter().enumerate() {
            let _ = write!(text, "| {label} |");
            for key in &columns {
                let cell = row.cells.iter().find(|cell| cell.key() == *key);
                let _ = write!(text, " {} |", cell.map_or("–".into(), |cell| cell.show(n)));
            }
            text.push('\n');
        }
    }
    text
}

impl Row {
    /// A line for each figure; what the first one is follows from the table.
    fn labels(&self) -> Vec<String> {
        let runs = self.cells.iter().flat_map(|cell| cell.outcome.runs.first());
        let Some(figures) = runs.max_by_key(|figures| figures.len()) else { return vec![self.title.to_owned()] };
        let label = |(n, figure): (usize, &Measure)| {
            let name = if figure.unit.symbol() == "ms" {
                figure.name.to_owned()
            } else {
                format!("{}, {}", figure.name, figure.unit.symbol())
            };
            if n == 0 && self.table == Table::Outage {
                self.title.to_owned()
            } else if n == 0 {
                format!("{}: {name}", self.title)
            } else {
                format!("· {name}")
            }
        };
        figures.iter().enumerate().map(label).collect()
    }
}

impl Cell {
    fn key(&self) -> (Interval, Subject) {
        (self.interval, self.subject)
    }

    fn show(&self, n: usize) -> String {
        let values: Vec<f64> =
            self.outcome.runs.iter().filter_map(|run| run.get(n)).map(|measure| measure.value).collect();
        let all = [stats::median(&values), stats::percentile(&values, 0.0), stats::percentile(&values, 1.0)];
        let [Some(median), Some(least), Some(most)] = all.map(|value| value.map(number)) else {
            return "failed".into();
        };
        let failed = self.outcome.problems.len();
        let note = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        format!("{median} ({least}–{most}){note}")
    }
}
