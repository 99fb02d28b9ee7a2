//! `cargo xtask planted`: faults planted in the shipped code, each of which a test must catch.
//!
//! A fault is a file `tests/planted/NAME.patch`: lines that begin with `#`, then a patch as of `git diff`. One of the
//! lines reads `# expect-failure: ARGS`: `cargo test ARGS` must build with the patch applied, and fail.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{cargo, stop};

/// A test that a fault makes hang has not failed, and is ended after this long.
const PATIENCE: Duration = Duration::from_secs(900);
/// Never copied: what builds make, and what git keeps.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names of patches, without `.patch`; all when there is none
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    stop::listen()?;
    let all = patches()?;
    for name in &args.names {
        ensure!(all.iter().any(|patch| &patch.name == name), "no such patch: tests/planted/{name}.patch");
    }
    let chosen = all.into_iter().filter(|patch| args.names.is_empty() || args.names.contains(&patch.name));
    let count = plant(chosen.collect())?;
    println!("{count} planted, {count} caught");
    Ok(())
}

/// Plants every fault, one after another; returns how many were caught.
///
/// # Errors
/// When one does not apply, does not build, or is not caught; all of them are tried first.
pub(crate) fn all() -> Result<usize> {
    plant(patches()?)
}

struct Patch {
    name: String,
    file: PathBuf,
    /// Arguments of `cargo test`.
    test: Vec<String>,
}

fn patches() -> Result<Vec<Patch>> {
    let dir = cargo::root()?.join("tests/planted");
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|ext| ext == "patch") {
            found.push(read_patch(file)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read_patch(file: PathBuf) -> Result<Patch> {
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let test = expected_failure(&text).with_context(|| format!("{}: no `# expect-failure: ARGS`", file.display()))?;
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Patch { name, file, test })
}

/// The arguments that the header names; they hold no blanks of their own.
fn expected_failure(text: &str) -> Option<Vec<String>> {
    let header = text.lines().take_while(|line| line.starts_with('#'));
    let args = header.filter_map(|line| line.strip_prefix("# expect-failure:")).next()?;
    let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
    (!args.is_empty()).then_some(args)
}

fn plant(patches: Vec<Patch>) -> Result<usize> {
    if patches.is_empty() {
        return Ok(0);
    }
    let field = Field::prepare()?;
    let mut missed = Vec::new();
    let count = patches.len();
    for patch in patches {
        stop::check()?;
        match field.try_patch(&patch) {
            Ok(()) => println!("planted {}: caught by cargo test {}", patch.name, patch.test.join(" ")),
            Err(e) => missed.push(format!("{}: {e:#}", patch.name)),
        }
    }
    ensure!(missed.is_empty(), "{} of {count} faults:\n  {}", missed.len(), missed.join("\n  "));
    Ok(count)
}

/// A copy of the sources with a target directory of its own, so that no faulty build ever lands in the real one.
struct Field {
    dir: PathBuf,
    target: PathBuf,
}

impl Field {
    fn prepare() -> Result<Self> {
        let base = cargo::target_dir()?.join("planted");
        let field = Self { dir: base.join("sources"), target: base.join("target") };
        mirror(&cargo::root()?, &field.dir)?;
        field.borrow_dependencies()?;
        Ok(field)
    }

    /// Dependencies do not depend on where the workspace lies: what has been built of them serves here too.
    /// As links, since copies are gigabytes; what is built here has names of its own.
    fn borrow_dependencies(&self) -> Result<()> {
        let (from, to) = (cargo::target_dir()?.join("debug"), self.target.join("debug"));
        if to.exists() || !from.exists() {
            return Ok(());
        }
        fs::create_dir_all(&to)?;
        for part in [".fingerprint", "build", "deps"] {
            let mut copy = Command::new("cp");
            copy.args(["--archive", "--link"]).arg(from.join(part)).arg(&to);
            cargo::succeed(&mut copy)?;
        }
        Ok(())
    }

    fn try_patch(&self, patch: &Patch) -> Result<()> {
        self.git_apply(patch, false).context("the patch no longer applies")?;
        let outcome = self.expect_failure(patch);
        self.git_apply(patch, true).context("the patch cannot be taken back")?;
        outcome
    }

    fn git_apply(&self, patch: &Patch, reverse: bool) -> Result<()> {
        let mut git = Command::new("git");
        // Otherwise git finds the repository around, and silently leaves out what that ignores.
        let ceiling = self.dir.parent().unwrap_or(&self.dir);
        git.current_dir(&self.dir).env("GIT_CEILING_DIRECTORIES", ceiling).arg("apply");
        if reverse {
            git.arg("--reverse");
        }
        let output = git.arg(&patch.file).output().context("run git")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(())
    }

    fn expect_failure(&self, patch: &Patch) -> Result<()> {
        let (before, after) = split_at_dashes(&patch.test);
        let mut build = self.cargo()?;
        let built = build.args(["test", "--quiet", "--no-run"]).args(before).output().context("run cargo")?;
        ensure!(built.status.success(), "does not build with the fault:\n{}", last_lines(&built.stderr));
        rustix::fs::sync();
        let log = self.target.join(format!("{}.log", patch.name));
        let mut test = self.cargo()?;
        test.arg("test").args(before).args(after).stderr(Stdio::null()).stdout(fs::File::create(&log)?);
        let status = finish(test.process_group(0).spawn().context("run cargo test")?)?;
        let output = fs::read(&log)?;
        ensure!(!status, "the test still passes: cargo test {}", patch.test.join(" "));
        let failed = String::from_utf8_lossy(&output).contains("test result: FAILED");
        ensure!(failed, "cargo test failed, but no test did:\n{}", last_lines(&output));
        Ok(())
    }

    fn cargo(&self) -> Result<Command> {
        let mut command = cargo::command()?;
        command.current_dir(&self.dir).env("CARGO_TARGET_DIR", &self.target);
        // Each fault is a build of its own, which takes longer than its test.
        command.args(["--config", "profile.dev.package.syncd.opt-level=0"]).env("CARGO_INCREMENTAL", "1");
        // With a fault the trees never become equal: no use in waiting as long as for a busy machine.
        command.env("SYNCD_RANDOM_SECONDS", "15").env("SYNCD_RANDOM_PATIENCE", "30");
        // One with which they are known to be caught.
        command.env("SYNCD_SEED", "1").env("PROPTEST_RNG_SEED", "1");
        Ok(command)
    }
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

fn split_at_dashes(args: &[String]) -> (&[String], &[String]) {
    args.split_at(args.iter().position(|arg| arg == "--").unwrap_or(args.len()))
}

/// Waits for the end; whether it succeeded. One that does not end is killed with all its children.
fn finish(mut child: Child) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        let interrupted = stop::check();
        if interrupted.is_err() || Instant::now() > deadline {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
            kill_process_group(group, Signal::KILL)?;
            child.wait()?;
            interrupted?;
            bail!("the test neither passed nor failed within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Makes `to` hold what `from` holds, and touches only what differs: cargo judges by mtime what is to be built anew.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            remove(&entry.path())?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            mirror(&source, &copy)?;
        } else if fs::read(&copy).ok() != Some(fs::read(&source).with_context(|| format!("{}", source.display()))?) {
            fs::copy(&source, &copy).with_context(|| format!("copy to {}", copy.display()))?;
            fs::File::options().write(true).open(&copy)?.set_modified(SystemTime::now())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let is_dir = path.symlink_metadata()?.is_dir();
    if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }.with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_test() {
        let text = "# fault: forgets deletes\n# expect-failure: -p syncd --test e2e -- deletes\ndiff --git a/x b/x\n";
        let args = expected_failure(text).expect("a header");
        assert_eq!(args, ["-p", "syncd", "--test", "e2e", "--", "deletes"]);
        assert_eq!(split_at_dashes(&args).0.len(), 4);
        assert_eq!(expected_failure("diff --git a/x b/x\n# expect-failure: x\n"), None);
    }

    #[test]
    fn a_mirror_touches_only_what_differs() {
        let dir = std::env::temp_dir().join(format!("syncd-xtask-mirror-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(from.join("sub")).expect("mkdir");
        fs::write(from.join("sub/a"), "a").expect("write");
        fs::write(from.join("b"), "b").expect("write");
        mirror(&from, &to).expect("mirror");
        let stamp = |name: &str| fs::metadata(to.join(name)).and_then(|meta| meta.modified()).expect("mtime");
        let before = stamp("b");
        fs::write(from.join("sub/a"), "A").expect("write");
        fs::write(to.join("stray"), "").expect("write");
        mirror(&from, &to).expect("mirror");
        assert_eq!(fs::read(to.join("sub/a")).expect("read"), b"A");
        assert_eq!(stamp("b"), before);
        assert!(!to.join("stray").exists());
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
