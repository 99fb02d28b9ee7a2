//! Programs that a test makes, and has others run at once.
//!
//! Whatever another thread starts meanwhile has every file of this process open until it is itself: a program that is
//! written here can then not be run (ETXTBSY). A child that writes it has nobody beside it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A copy of the program `from`.
pub fn copy(from: impl AsRef<OsStr>, to: &Path) {
    let copied = Command::new("cp").arg("--").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "{}: {copied}", to.display());
}

/// A shell script with these lines, which all may run.
pub fn script(path: &Path, lines: &str) {
    let mut command = Command::new("install");
    command.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut child = command.spawn().expect("install runs");
    let mut stdin = child.stdin.take().expect("piped");
    writeln!(stdin, "#!/bin/sh\n{lines}").expect("it reads");
    drop(stdin);
    let made = child.wait().expect("a child can be waited for");
    assert!(made.success(), "{}: {made}", path.display());
}
