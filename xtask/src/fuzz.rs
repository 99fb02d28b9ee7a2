//! The fuzz targets on the stable toolchain: every kept seed, then some seconds of new inputs each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo, stop, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target is fed with new inputs
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// What the new inputs begin with; another one each time when there is none
    #[arg(long)]
    seed: Option<u32>,
    /// The targets; all of fuzz/fuzz_targets/ when none is named
    targets: Vec<String>,
}

impl Default for Args {
    /// What the test command does: to look for new faults is another thing than to keep the old ones out.
    fn default() -> Self {
        Self { seconds: 10, seed: Some(1), targets: Vec::new() }
    }
}

/// How many run at once.
const AT_ONCE: usize = 2;

/// What one input may take, by the clock of a machine that may be busy, and all that a run holds.
const LIMITS: [&str; 3] = ["-timeout=30", "-rss_limit_mb=1024", "-max_len=65536"];

/// Which branches an input takes is counted by the compiler, as cargo-fuzz has it but for the
/// sanitizers, which only the nightly compiler links.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions";

/// `cargo xtask fuzz`: the same alone.
pub(crate) fn command(args: &Args) -> Result<()> {
    stop::listen()?;
    match run(args)? {
        Fuzzed::Ran { targets, seeds, executions } => {
            println!("{executions} inputs from {seeds} seeds through {targets} targets");
        }
        Fuzzed::Skipped(need) => bail!("needs {need}"),
    }
    Ok(())
}

/// How it went.
pub(crate) enum Fuzzed {
    /// Targets, the seeds that they have, and how many inputs were tried in all.
    Ran { targets: usize, seeds: usize, executions: u64 },
    /// What was missing.
    Skipped(String),
}

/// Where a target's program, seeds and findings are.
struct Places {
    /// `fuzz/`
    dir: PathBuf,
    /// Where cargo puts the programs.
    programs: PathBuf,
}

/// Feeds every target of `fuzz/fuzz_targets/` with its seeds and what libFuzzer makes of them.
///
/// # Errors
/// When a target does not build, has no seed, counts no branches, or fails on an input.
pub(crate) fn run(args: &Args) -> Result<Fuzzed> {
    let dir = cargo::root()?.join("fuzz");
    let mut targets = targets(&dir.join("fuzz_targets"))?;
    if let Some(unknown) = args.targets.iter().find(|target| !targets.contains(target)) {
        bail!("there is no fuzz target {unknown}: there are {}", targets.join(", "));
    }
    targets.retain(|target| args.targets.is_empty() || args.targets.contains(target));
    if targets.is_empty() {
        return Ok(Fuzzed::Skipped("no target in fuzz/fuzz_targets".into()));
    }
    if !tools::have("c++") {
        return Ok(Fuzzed::Skipped("program c++ (package g++), which libFuzzer is built with".into()));
    }
    let mut seeds = 0;
    for target in &targets {
        let own = files(&dir.join("seeds").join(target))?.len();
        ensure!(own > 0, "fuzz target {target} has no seed in fuzz/seeds/{target}/");
        seeds += own;
    }
    let places = build(dir)?;
    let executions = all(&places, &targets, args)?;
    Ok(Fuzzed::Ran { targets: targets.len(), seeds, executions })
}

/// Builds all targets. With a target named, build scripts and macros are not instrumented.
fn build(dir: PathBuf) -> Result<Places> {
    let host = host()?;
    let mut command = cargo::command()?;
    command.current_dir(&dir).env("RUSTFLAGS", FLAGS).env_remove("CARGO_TARGET_DIR");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").args(["build", "--quiet", "--release", "--bins", "--target", &host]);
    cargo::succeed(&mut command)?;
    Ok(Places { programs: dir.join("target").join(host).join("release"), dir })
}

/// What the compiler builds for when nothing is said.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// Runs all targets, [`AT_ONCE`] of them; returns how many inputs were tried.
fn all(places: &Places, targets: &[String], args: &Args) -> Result<u64> {
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok()?.next();
    let worker = || std::iter::from_fn(next).map(|target| one(places, target, args)).collect::<Vec<_>>();
    let results: Vec<Result<u64>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    ensure!(results.len() == targets.len(), "{} of {} fuzz targets ended", results.len(), targets.len());
    let failed: Vec<String> =
        results.iter().filter_map(|result| result.as_ref().err()).map(|e| format!("{e:#}")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(results.into_iter().flatten().sum())
}

/// Runs one target from its seeds on; what it finds new is kept only while it runs.
fn one(places: &Places, target: &str, args: &Args) -> Result<u64> {
    stop::check()?;
    let artifacts = places.dir.join("artifacts").join(target);
    let corpus = places.dir.join("target/corpus").join(target);
    // What a run that was stopped left there must not be the start of this one.
    drop(std::fs::remove_dir_all(&corpus));
    for dir in [&artifacts, &corpus] {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let mut command = Command::new(places.programs.join(target));
    command.arg(&corpus).arg(places.dir.join("seeds").join(target)).args(LIMITS).current_dir(&corpus);
    if let Some(seed) = args.seed {
        command.arg(format!("-seed={seed}"));
    }
    command.arg(format!("-max_total_time={}", args.seconds)).arg(format!("-artifact_prefix={}/", artifacts.display()));
    let output = command.arg("-print_final_stats=1").output().with_context(|| format!("run fuzz target {target}"))?;
    drop(std::fs::remove_dir_all(&corpus));
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("fuzz target {target}: {}\n{}", output.status, failure(&log, places, target));
    }
    ensure!(counters(&log) > 0, "fuzz target {target} is blind: libFuzzer counts no branches in it");
    executions(&log).with_context(|| format!("fuzz target {target} does not say how much it tried"))
}

/// What a run that failed says, and how to see it again.
fn failure(log: &str, places: &Places, target: &str) -> String {
    let said = |line: &&str| !line.starts_with('#') && !line.starts_with("stat::");
    let lines: Vec<&str> = log.lines().filter(said).collect();
    let tail = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file));
    let repeat = match input {
        Some(file) => format!("repeat it: {} {file}", places.programs.join(target).display()),
        None => "it left no input behind".to_owned(),
    };
    format!("{tail}\n{repeat}")
}

/// How many branches libFuzzer counts.
fn counters(log: &str) -> u64 {
    let line = log.lines().find(|line| line.contains("inline 8-bit counters"));
    let number = line.and_then(|line| line.split_once('(')?.1.split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

fn executions(log: &str) -> Option<u64> {
    let value = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    value.trim().parse().ok()
}

fn targets(dir: &Path) -> Result<Vec<String>> {
    let stem = |file: PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let sources = files(dir)?.into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "rs"));
    Ok(sources.filter_map(stem).collect())
}

/// The files of a directory in order; none when it does not exist.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libfuzzer_prints() {
        let log = "INFO: Loaded 1 modules   (10003 inline 8-bit counters): 10003 [0x5, 0x6), \n\
                   #17\tINITED cov: 1578 ft: 3469 corp: 16/17Kb exec/s: 0 rss: 28Mb\n\
                   stat::number_of_executed_units: 23816\nstat::peak_rss_mb:              38\n";
        assert_eq!((counters(log), executions(log)), (10003, Some(23816)));
        assert_eq!((counters(""), executions("")), (0, None));
    }

    #[test]
    fn a_failure_names_its_input_and_how_to_repeat_it() {
        let places = Places { dir: "/f".into(), programs: "/f/target/x/release".into() };
        let log = "#1 NEW\nthread panicked at a.rs:1\nTest unit written to /f/artifacts/t/crash-1\nstat::x: 1\n";
        let said = failure(log, &places, "t");
        assert!(said.contains("panicked at a.rs:1") && !said.contains("NEW"), "{said}");
        assert!(said.ends_with("repeat it: /f/target/x/release/t /f/artifacts/t/crash-1"), "{said}");
    }
}
