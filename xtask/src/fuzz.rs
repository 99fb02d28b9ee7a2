//! The fuzz targets over their kept seeds, on the stable toolchain: what once crashed stays mended.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{cargo, tools};

/// How it went.
pub(crate) enum Seeds {
    /// Targets and seeds that ran.
    Ran { targets: usize, seeds: usize },
    /// What was missing.
    Skipped(String),
}

/// Runs every target of `fuzz/fuzz_targets/` once over each file of `fuzz/seeds/TARGET/`.
///
/// # Errors
/// When a target does not build, has no seed, or fails on one.
pub(crate) fn run() -> Result<Seeds> {
    let dir = cargo::root()?.join("fuzz");
    let targets = targets(&dir.join("fuzz_targets"))?;
    if targets.is_empty() {
        return Ok(Seeds::Skipped("no target in fuzz/fuzz_targets".into()));
    }
    if !tools::have("c++") {
        return Ok(Seeds::Skipped("program c++ (package g++), which libFuzzer is built with".into()));
    }
    let mut ran = 0;
    for target in &targets {
        let seeds = files(&dir.join("seeds").join(target))?;
        ensure!(!seeds.is_empty(), "fuzz target {target} has no seed in fuzz/seeds/{target}/");
        let mut command = cargo::command()?;
        command.current_dir(&dir).env("RUSTFLAGS", "--cfg fuzzing").env_remove("CARGO_TARGET_DIR");
        command.args(["run", "--quiet", "--bin", target, "--"]).args(&seeds);
        let output = command.output().with_context(|| format!("run fuzz target {target}"))?;
        ensure!(output.status.success(), "fuzz target {target}:\n{}", String::from_utf8_lossy(&output.stderr));
        ran += seeds.len();
    }
    Ok(Seeds::Ran { targets: targets.len(), seeds: ran })
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
