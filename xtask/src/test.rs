//! `cargo xtask test`: everything that can fail, and a summary that hides nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::skips::Skip;
use crate::{cargo, fuzz, planted, skips, stop, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the planted faults and the fuzzing
    #[arg(long)]
    quick: bool,
    /// Passed on to `cargo test --workspace`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    stop::listen()?;
    tools::provide(tools::FOR_TESTS);
    let mut summary = run_cargo_test(&args.args)?;
    if !args.quick {
        summary.stage("planted faults", planted::all().map(|count| format!("{count} planted, {count} caught")));
        let fuzzed = fuzz(&mut summary.skips);
        summary.stage("fuzzing", fuzzed);
    }
    summary.print();
    summary.verdict()
}

fn fuzz(skipped: &mut Vec<Skip>) -> Result<String> {
    match fuzz::run(&fuzz::Args::default())? {
        fuzz::Fuzzed::Ran { targets, seeds, executions } => {
            Ok(format!("{executions} inputs from {seeds} seeds through {targets} targets"))
        }
        fuzz::Fuzzed::Skipped(need) => {
            skipped.push(Skip { test: "fuzzing".into(), need });
            Ok("skipped".into())
        }
    }
}

/// What the run came to.
#[derive(Default)]
struct Summary {
    passed: u64,
    failed: Vec<String>,
    ignored: Vec<String>,
    skips: Vec<Skip>,
    stages: Vec<(&'static str, Result<String>)>,
    /// cargo itself failed: a build error, or a test binary that died.
    broken: bool,
}

fn run_cargo_test(args: &[String]) -> Result<Summary> {
    let log = std::env::temp_dir().join(format!("syncd-skips-{}", std::process::id()));
    // Of another process of that number, which was killed.
    drop(std::fs::remove_file(&log));
    build(args)?;
    let mut command = cargo::command()?;
    command.args(["test", "--workspace", "--no-fail-fast"]).args(args).env("SYNCD_SKIP_LOG", &log);
    if std::env::var_os("SYNCD_SEED").is_none() {
        let seed = seed().unwrap_or(1);
        println!("SYNCD_SEED={seed}");
        command.env("SYNCD_SEED", seed.to_string()).env("PROPTEST_RNG_SEED", seed.to_string());
    }
    let mut summary = stream(&mut command)?;
    summary.skips = skips::read(&log)?;
    // Left behind it would only be a stray file; the numbers have been read.
    drop(std::fs::remove_file(&log));
    Ok(summary)
}

/// Builds first, and has what was written reach the disk: where the temporary directory lies on the same one,
/// the first syncfs(2) of a test would otherwise wait for gigabytes that are no concern of its.
fn build(args: &[String]) -> Result<()> {
    let of_cargo = args.iter().take_while(|arg| *arg != "--");
    let mut build = cargo::command()?;
    // What does not build is told by the run itself.
    build.args(["test", "--workspace", "--no-run", "--quiet"]).args(of_cargo).status()?;
    rustix::fs::sync();
    Ok(())
}

/// What random tests begin with: another one for each commit, and the same for whoever looks at that again.
/// None where there is no commit to be had.
fn seed() -> Option<u64> {
    let head = Command::new("git").current_dir(cargo::root().ok()?).args(["rev-parse", "HEAD"]).output().ok()?;
    let digits = String::from_utf8(head.stdout).ok()?;
    u64::from_str_radix(digits.get(..15)?, 16).ok()
}

/// Shows the output as it comes, and counts.
fn stream(command: &mut Command) -> Result<Summary> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("run {command:?}"))?;
    let mut summary = Summary::default();
    let stdout = child.stdout.take().context("standard output is piped")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        summary.count(&line);
    }
    summary.broken = !child.wait()?.success();
    Ok(summary)
}

impl Summary {
    /// libtest's lines: `test NAME ... ok|FAILED|ignored[, reason]`.
    fn count(&mut self, line: &str) {
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return;
        };
        match outcome.split(',').next() {
            Some("ok") => self.passed += 1,
            Some("FAILED") => self.failed.push(name.into()),
            Some("ignored") => self.ignored.push(name.into()),
            _ => {}
        }
    }

    fn stage(&mut self, name: &'static str, outcome: Result<String>) {
        match &outcome {
            Ok(text) => println!("{name}: {text}"),
            Err(e) => println!("{name}: FAILED: {e:#}"),
        }
        self.stages.push((name, outcome));
    }

    fn print(&self) {
        println!("\n---- summary ----");
        println!("tests: {} passed, {} failed, {} ignored", self.passed, self.failed.len(), self.ignored.len());
        for name in &self.failed {
            println!("  failed: {name}");
        }
        for name in &self.ignored {
            println!("  ignored: {name}");
        }
        println!("skipped: {}", self.skips.len());
        for skip in &self.skips {
            let judged = if skip.is_unjustified() { " -- BUT THE MACHINE COULD RUN IT" } else { "" };
            println!("  skipped: {}: needs {}{judged}", skip.test, skip.need);
        }
        for (name, outcome) in &self.stages {
            match outcome {
                Ok(text) => println!("{name}: {text}"),
                Err(e) => println!("{name}: FAILED: {e:#}"),
            }
        }
    }

    fn verdict(&self) -> Result<()> {
        let unjustified = self.skips.iter().filter(|skip| skip.is_unjustified()).count();
        let stages = self.stages.iter().filter(|(_, outcome)| outcome.is_err()).count();
        if self.broken || !self.failed.is_empty() || unjustified > 0 || stages > 0 {
            bail!(
                "FAILED: {} tests, {stages} stages, {unjustified} skipped that could run{}",
                self.failed.len(),
                if self.broken && self.failed.is_empty() { "; cargo test itself failed" } else { "" },
            );
        }
        println!("all passed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libtest_prints() {
        let mut summary = Summary::default();
        let output = "running 4 tests\ntest a::b ... ok\ntest c - should panic ... ok\ntest d ... FAILED\n\
                      test e ... ignored, takes an hour\ntest result: FAILED. 2 passed; 1 failed; 1 ignored\n";
        output.lines().for_each(|line| summary.count(line));
        assert_eq!((summary.passed, summary.failed.as_slice()), (2, ["d".to_owned()].as_slice()));
        assert_eq!(summary.ignored, ["e"]);
        assert!(summary.verdict().is_err());
    }
}
