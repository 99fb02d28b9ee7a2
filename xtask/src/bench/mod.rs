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
mod vrrp;
mod work;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

pub(crate) use floor::{FloorArgs, run_floor};
pub(crate) use vrrp::{TickArgs, run_tick};

use self::fs_image::Disks;
use self::lab::Lab;
use self::measure::Measure;
use self::peers::Kind;
use self::report::Report;
use self::work::{Bench, WORKS, Work};
use crate::{cargo, stop, tools};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    area: Option<Area>,
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

/// What else there is to measure.
#[derive(clap::Subcommand)]
enum Area {
    /// Virtual addresses: syncd beside keepalived, in labs of network namespaces (takes root)
    Vrrp(vrrp::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(Area::Vrrp(args)) = &args.area {
        return vrrp::run(args);
    }
    if args.list {
        WORKS.iter().for_each(|work| println!("{:<12} {}", work.name, work.title));
        return Ok(());
    }
    let works = choose(WORKS, |work| work.name, &args.works)?;
    stop::listen()?;
    tools::provide(tools::FOR_BENCH);
    build_release(args.wants(Kind::Syncd))?;
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

/// Those of `all` whose `name` is among `names`, or begins with one of them; all where there are no names.
fn choose<T>(all: &'static [T], name: fn(&T) -> &str, names: &[String]) -> Result<Vec<&'static T>> {
    for wanted in names {
        ensure!(all.iter().any(|one| name(one).starts_with(wanted)), "nothing begins with {wanted:?}; see --list");
    }
    // An exact name means that one alone, though others begin with it.
    let exact = |wanted: &str| all.iter().any(|one| name(one) == wanted);
    let fits =
        |one: &T, wanted: &String| if exact(wanted) { name(one) == wanted } else { name(one).starts_with(wanted) };
    Ok(all.iter().filter(|one| names.is_empty() || names.iter().any(|wanted| fits(one, wanted))).collect())
}

/// What it is compared with here is optimised as well as syncd.
fn build_release(syncd: bool) -> Result<()> {
    let mut build = cargo::command()?;
    build.args(["build", "--release", "--package", "xtask"]);
    if syncd {
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
