//! The failure log of a legacy file (`failLog`): a line for people for each failure, never a script.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::OFlags;
use tracing::warn;

use crate::model::RelPath;

/// How long the same failure is not written again.
const QUIET: Duration = Duration::from_secs(600);

/// How many failures are remembered for that.
const REMEMBERED: usize = 10_000;

/// Something that did not reach a peer.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The peer, as the configuration names it.
    pub peer: &'a str,
    /// The set's name there.
    pub set: &'a str,
    /// The path; none when the whole set is meant.
    pub path: Option<&'a RelPath>,
    /// Why, for people.
    pub cause: &'a str,
}

/// Appends to the file that `failLog` names.
///
/// The file is opened for every line, so that it may be moved or rotated at any time. Sersync ran
/// it as a shell script; syncd takes its executable bits away and writes lines that are none.
#[derive(Debug)]
pub struct FailLog {
    path: PathBuf,
    written: HashMap<String, Timestamp>,
    /// The file cannot be written, and that was said.
    failing: bool,
}

impl FailLog {
    /// A log at `path`; nothing is touched before the first failure.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), written: HashMap::new(), failing: false }
    }

    /// Appends a line, unless the same was written in the last ten minutes. That the file cannot be
    /// written is logged once and stops nothing.
    pub fn record(&mut self, now: Timestamp, failure: &Failure<'_>) {
        let text = text(failure);
        if self.is_fresh(now, &text) {
            return;
        }
        match append(&self.path, &format!("{now:.0} {text}\n")) {
            Ok(()) => {
                self.failing = false;
                self.remember(now, text);
            }
            Err(e) if !self.failing => {
                self.failing = true;
                warn!(
                    "cannot write the failure log {}: {e}; the retry log is not affected, see `syncd replay --list`",
                    self.path.display()
                );
            }
            Err(_) => {}
        }
    }

    fn is_fresh(&self, now: Timestamp, text: &str) -> bool {
        self.written.get(text).is_some_and(|at| now.duration_since(*at).unsigned_abs() < QUIET)
    }

    fn remember(&mut self, now: Timestamp, text: String) {
        if self.written.len() >= REMEMBERED {
            self.written.retain(|_, at| now.duration_since(*at).unsigned_abs() < QUIET);
        }
        if self.written.len() < REMEMBERED {
            self.written.insert(text, now);
        }
    }
}

/// `peer set path: cause`, in one line.
fn text(failure: &Failure<'_>) -> String {
    let path = failure.path.map_or_else(|| ".".to_owned(), RelPath::to_string);
    let line = format!("{} {} {path}: {}", failure.peer, failure.set, failure.cause);
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    // The usual place is /tmp: a link there, or a file of somebody else, is a trap.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let mut file =
        OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags.cast_signed()).open(path)?;
    check(&file)?;
    file.write_all(line.as_bytes())
}

fn check(file: &File) -> io::Result<()> {
    let meta = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if !meta.is_file() || (meta.uid() != own && meta.uid() != 0) {
        return Err(io::Error::other("it is no plain file of this user"));
    }
    if meta.mode() & 0o7777 & !0o640 != 0 {
        file.set_permissions(Permissions::from_mode(meta.mode() & 0o640))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_251_600 + seconds).expect("in range")
    }

    fn failure<'a>(cause: &'a str, path: &'a RelPath) -> Failure<'a> {
        Failure { peer: "10.0.0.2:873", set: "nginx", path: Some(path), cause }
    }

    #[test]
    fn a_failure_is_one_line_that_no_shell_runs() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("rsync_fail_log.sh");
        fs::write(&file, "#old line of sersync2\n").expect("write");
        fs::set_permissions(&file, Permissions::from_mode(0o777)).expect("chmod");
        let path = RelPath::parse(b"a\n$(reboot)").expect("valid");
        FailLog::new(&file).record(at(0), &failure("connection\nrefused", &path));
        let text = fs::read_to_string(&file).expect("read");
        let line = "2026-11-21T09:00:00Z 10.0.0.2:873 nginx a\\x0a$(reboot): connection refused\n";
        assert_eq!(text, format!("#old line of sersync2\n{line}"));
        assert_eq!(fs::metadata(&file).expect("stat").mode() & 0o7777, 0o640);
    }

    #[test]
    fn the_same_failure_is_not_repeated_for_a_while() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("log");
        let (a, b) = (RelPath::root(), RelPath::parse(b"b").expect("valid"));
        let mut log = FailLog::new(&file);
        for second in [0, 1, 599, 601] {
            log.record(at(second), &failure("no route", &a));
        }
        log.record(at(1), &failure("no route", &b));
        log.record(at(1), &failure("refused", &a));
        assert_eq!(fs::read_to_string(&file).expect("read").lines().count(), 4);
    }

    #[test]
    fn a_link_is_not_followed_and_a_log_that_comes_back_is_written() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (file, trap) = (dir.path().join("log"), dir.path().join("trap"));
        fs::write(&trap, "").expect("write");
        std::os::unix::fs::symlink(&trap, &file).expect("symlink");
        let mut log = FailLog::new(&file);
        let path = RelPath::root();
        log.record(at(0), &failure("no route", &path));
        assert_eq!(fs::read_to_string(&trap).expect("read"), "");
        fs::remove_file(&file).expect("remove");
        log.record(at(1), &failure("no route", &path));
        assert!(fs::read_to_string(&file).expect("read").ends_with("no route\n"));
    }
}
