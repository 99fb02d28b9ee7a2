//! `-d`: the caller gets its shell back once the daemon is ready, or the daemon's error and exit code.
//!
//! A process with threads must not fork. So the caller starts the program anew in a session of its
//! own, passes on what it says until it is ready, and ends; the daemon lets go of the caller's
//! terminal and pipes before it says so. Unlike sersync2's it keeps the caller's umask.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;

use super::Fault;
use crate::observe::Console;

/// What a daemon is told apart by from what started it.
pub(super) const DETACHED: &str = "--detached";

/// The log in the instance's directory.
const LOG: &str = "syncd.log";

/// What the first line of a node that works begins with.
const READY: &str = "ready";

/// Starts what `argv` says as a daemon and waits until it is ready.
///
/// # Errors
/// [`Fault::Ended`] with the daemon's own code, once it has told why.
pub(super) fn start(argv: &[OsString], out: &mut dyn Write) -> Result<(), Fault> {
    let (name, rest) = argv.split_first().map_or((OsStr::new("syncd"), &[][..]), |(name, rest)| (name, rest));
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).args(rest).arg(DETACHED);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| Fault::Local(format!("cannot start the daemon: {e}")))?;
    let said = child.stderr.take();
    let relay = thread::spawn(move || said.map(|mut said| io::copy(&mut said, &mut io::stderr())));
    let ready = child.stdout.take().map_or(Ok(false), |lines| pass_on(lines, out));
    if ready? {
        // The daemon has closed its end by now.
        let _ = relay.join();
        return Ok(());
    }
    let status = child.wait().map_err(|e| Fault::Local(format!("cannot wait for the daemon: {e}")))?;
    let _ = relay.join();
    match (status.code(), status.signal()) {
        (Some(0), _) => Err(Fault::Local("the daemon was told to end before it was ready".to_owned())),
        (Some(code), _) => Err(Fault::Ended(u8::try_from(code).unwrap_or(3))),
        (None, signal) => {
            Err(Fault::Local(format!("signal {} ended the daemon before it was ready", signal.unwrap_or(0))))
        }
    }
}

/// Passes lines on up to the one that says that the daemon is ready; whether that came.
fn pass_on(lines: ChildStdout, out: &mut dyn Write) -> Result<bool, Fault> {
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        writeln!(out, "{line}")?;
        if line.starts_with(READY) {
            out.flush()?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes this process the daemon that `argv` was to start: a session of its own, and the name that
/// it was called by, since killall(1) and pidof(8) look for that.
pub(super) fn detach(argv: &[OsString]) {
    // It fails where this process leads a group, thus was started so by hand: it stays in its session.
    let _ = rustix::process::setsid();
    let name = argv.first().and_then(|name| Path::new(name).file_name()).unwrap_or(OsStr::new("syncd"));
    if let Ok(name) = CString::new(name.as_bytes()) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Lets go of the caller: from now on the log goes to a file in `dir`, which the caller is told.
///
/// # Errors
/// The log cannot be written, or nobody waits for the daemon any more.
pub(super) fn let_go(console: &Console, dir: &Path) -> Result<(), Fault> {
    let log = log_of(dir);
    let unusable = |e: io::Error| Fault::Local(format!("cannot write the log {}: {e}", log.display()));
    console.log_to(&log).map_err(unusable)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{READY}: pid {}, logs to {}", std::process::id(), log.display())?;
    out.flush()?;
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null").map_err(Fault::local)?;
    rustix::stdio::dup2_stdout(nowhere).map_err(Fault::local)?;
    Ok(())
}

/// Where the daemon whose instance lives in `dir` logs.
pub(super) fn log_of(dir: &Path) -> std::path::PathBuf {
    dir.join(LOG)
}
