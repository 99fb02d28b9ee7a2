//! `cargo xtask bench vrrp`: virtual addresses with syncd on both nodes beside keepalived on both nodes, with the same
//! files, in labs of network namespaces.

mod bed;
mod idle;
mod jitter;
mod load;
mod outage;
mod report;
mod scenario;
mod subject;
mod tick;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};

pub(crate) use tick::{TickArgs, run_tick};

use self::report::Report;
use self::scenario::{SCENARIOS, Scenario, Table, Trial};
use self::subject::{Interval, Subject};
use super::measure::Measure;
use crate::support::node::use_binary;
use crate::{cargo, stop, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Scenarios to measure, by name or its beginning (see --list); all when there is none
    scenarios: Vec<String>,
    /// Name the scenarios and end
    #[arg(long)]
    list: bool,
    /// Also write everything that was measured to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Seconds between advertisements: version 2 with a password from 1 on, version 3 below
    #[arg(long, value_delimiter = ',', default_values = ["1", "0.1", "0.01"])]
    intervals: Vec<Interval>,
    /// How many labs of the outages run at once: at long intervals most of them wait
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    at_once: u8,
    /// Only these subjects
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<Subject>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        SCENARIOS.iter().for_each(|scenario| println!("{:<16} {}", scenario.name, scenario.title));
        return Ok(());
    }
    let scenarios = choose(&args.scenarios)?;
    ensure!(rustix::process::geteuid().is_root(), "labs of network namespaces take root");
    stop::listen()?;
    let missing = tools::provide(tools::FOR_VRRP);
    if let Some(tool) = missing.iter().find(|tool| tool.program != "keepalived") {
        bail!("needs {}", tool.program);
    }
    super::build_release(true)?;
    use_binary(cargo::target_dir()?.join("release/syncd"));
    let mut report = Report::new(args.runs)?;
    let measured = measure_all(args, &scenarios, &mut report);
    // Interrupted or not: what has been measured is shown.
    println!("\n{}", report.markdown());
    report.problems().iter().for_each(|problem| println!("problem: {problem}"));
    if let Some(file) = &args.json {
        std::fs::write(file, report.json()?).with_context(|| format!("write {}", file.display()))?;
    }
    measured
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    super::choose(SCENARIOS, |scenario| scenario.name, names)
}

fn measure_all(args: &Args, scenarios: &[&'static Scenario], report: &mut Report) -> Result<()> {
    for scenario in scenarios {
        println!("\n{}: {}", scenario.name, scenario.title);
        let at_once = if scenario.table == Table::Outage { args.at_once.into() } else { 1 };
        let trials = args.trials(scenario);
        for trials in trials.chunks(at_once) {
            let results: Vec<_> = std::thread::scope(|scope| {
                let labs: Vec<_> =
                    trials.iter().map(|(_, trial)| scope.spawn(|| measure_one(scenario, trial))).collect();
                labs.into_iter().map(|lab| lab.join().unwrap_or_else(|_| Err(anyhow!("it panicked")))).collect()
            });
            stop::check()?;
            for ((run, trial), result) in trials.iter().zip(results) {
                let (subject, interval) = (trial.subject, trial.interval);
                println!("  run {}, {subject}, {interval} s: {}", run + 1, super::report::progress(&result));
                report.add(scenario, trial, result);
            }
        }
    }
    Ok(())
}

/// What the labs of the tests cannot do is a panic.
fn measure_one(scenario: &Scenario, trial: &Trial) -> Result<Vec<Measure>> {
    let measured = catch_unwind(AssertUnwindSafe(|| (scenario.run)(trial)));
    measured.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(anyhow!("{}", said.and_then(|said| said.lines().next()).unwrap_or("it panicked")))
    })
}

impl Args {
    /// What is measured of a scenario, in order, with the number of the run: whatever else the machine does meanwhile, the
    /// subjects share it.
    fn trials(&self, scenario: &Scenario) -> Vec<(u8, Trial)> {
        let own: Vec<Interval> = scenario.only.into_iter().collect();
        let mut trials = Vec::new();
        for run in 0..self.runs {
            for interval in if own.is_empty() { &self.intervals } else { &own } {
                let phase = f64::from(run) / f64::from(self.runs);
                trials.extend(self.subjects().map(|subject| (run, Trial { subject, interval: *interval, phase })));
            }
        }
        trials
    }

    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let all = [Subject::Syncd, Subject::Keepalived];
        let wanted = |subject: &Subject| self.subjects.is_empty() || self.subjects.contains(subject);
        all.into_iter().filter(move |subject| wanted(subject) && subject.is_here())
    }
}
