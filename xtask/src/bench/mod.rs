//! `cargo xtask bench`: syncd beside a floor and others, on one machine, in one run.

mod floor;
mod fs_image;
mod lab;
mod measure;
mod peers;
mod process;
mod report;
mod stats;
mod tree;
mod work;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

pub(crate) use floor::{FloorArgs, run_floor};

use self::fs_image::Disks;
use self::lab::Lab;
use self::measure::Measure;
use self::peers::Kind;
use self::report::Report;
use self::work::{Bench, WORKS, Work};
use crate::{cargo, stop, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Works to measure, by name or its beginning (see --list); all when there is none
    works: Vec<String>,
    /// Name the works and end
    #[arg(long)]
    list: bool,
    /// Also write everything that was measured to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each is measured; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Only these subjects
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<Kind>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        WORKS.iter().for_each(|work| println!("{:<12} {}", work.name, work.title));
        return Ok(());
    }
    let works = choose(&args.works)?;
    stop::listen()?;
    tools::provide(tools::FOR_BENCH);
    build(args)?;
    let disks = Disks::prepare()?;
    println!("{}", disks.kind);
    let mut report = Report::new(&disks.kind, args.runs.into(), &works)?;
    let measured = measure_all(args, &works, &disks, &mut report);
    // Interrupted or not: what has been measured is shown.
    println!("\n{}", report.markdown());
    report.problems().iter().for_each(|problem| println!("problem: {problem}"));
    if let Some(file) = &args.json {
        std::fs::write(file, report.json()?).with_context(|| format!("write {}", file.display()))?;
    }
    measured
}

fn choose(names: &[String]) -> Result<Vec<&'static Work>> {
    for name in names {
        ensure!(WORKS.iter().any(|work| work.name.starts_with(name)), "no work begins with {name:?}; see --list");
    }
    // An exact name means that work alone, though others begin with it.
    let exact = |name: &str| WORKS.iter().any(|work| work.name == name);
    let wanted = |work: &Work, name: &String| if exact(name) { work.name == name } else { work.name.starts_with(name) };
    Ok(WORKS.iter().filter(|work| names.is_empty() || names.iter().any(|name| wanted(work, name))).collect())
}

/// The floor is optimised as well as what it is compared with.
fn build(args: &Args) -> Result<()> {
    let mut build = cargo::command()?;
    build.args(["build", "--release", "--package", "xtask"]);
    if args.wants(Kind::Syncd) {
        build.args(["--package", "syncd"]);
    }
    cargo::succeed(&mut build)
}

fn measure_all(args: &Args, works: &[&Work], disks: &Disks, report: &mut Report) -> Result<()> {
    for work in works {
        println!("\n{}: {}", work.name, work.title);
        for run in 1..=args.runs {
            for kind in work.kinds.iter().copied().filter(|kind| args.wants(*kind)) {
                if let Some(program) = kind.missing() {
                    println!("  {}: skipped, needs {program}", kind.title());
                    continue;
                }
                let result = measure_one(work, kind, disks);
                stop::check()?;
                println!("  run {run}, {}: {}", kind.title(), report::progress(&result));
                report.add(work, kind, result);
            }
        }
    }
    Ok(())
}

fn measure_one(work: &Work, kind: Kind, disks: &Disks) -> Result<Vec<Measure>> {
    let lab = Lab::new(disks, work.large, work.replicas)?;
    let mut subject = kind.make();
    (work.run)(&mut Bench { lab: &lab, subject: subject.as_mut() })
}

impl Args {
    fn wants(&self, kind: Kind) -> bool {
        self.subjects.is_empty() || self.subjects.contains(&kind)
    }
}
