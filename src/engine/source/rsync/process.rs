//! Runs rsync: its own process group, its input without a deadlock, its output bounded.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::complaint::{self, Failure};
use crate::process::Group;

/// How many lines of complaints are kept; more are read and dropped.
const MAX_COMPLAINTS: usize = 1000;

/// How many bytes of lines about what a module excludes are kept besides: one for each such name that there is.
const MAX_EXCLUDED: usize = 8 << 20;

/// The longest line that is kept in bytes: a path has up to 16 KiB, each byte up to five.
const MAX_LINE: usize = 128 * 1024;

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The exit code; none after a signal.
    pub(super) code: Option<i32>,
    /// What it complained of, line by line.
    pub(super) stderr: Vec<Vec<u8>>,
}

/// Runs rsync with `args`, gives it `input`, and hands each line of its output to `take`.
///
/// Dropped before its end, it kills rsync with all that rsync has started.
///
/// # Errors
/// [`Failure`]: it could not be started.
pub(super) async fn run(args: &[OsString], input: Vec<u8>, mut take: impl FnMut(&[u8])) -> Result<Ended, Failure> {
    let mut group = start(args).map_err(|error| not_started(&error))?;
    let (stdin, stdout, stderr) = (group.0.stdin.take(), group.0.stdout.take(), group.0.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // It ends before it has read all: its code says why.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (mut complaints, mut excluded, mut others) = (Vec::new(), 0, 0);
    let complain = |line: &[u8]| {
        // Apart, so that not so many of these hide that something else went wrong.
        let fits = if complaint::is_about_excluded(line) {
            excluded += line.len();
            excluded <= MAX_EXCLUDED
        } else {
            others += 1;
            others <= MAX_COMPLAINTS
        };
        if fits {
            complaints.push(line.to_vec());
        }
    };
    let ((), (), ()) = tokio::join!(feed, lines(stdout, &mut take), lines(stderr, complain));
    let status = group.0.wait().await.map_err(|error| Failure::here(format!("rsync cannot be waited for: {error}")))?;
    Ok(Ended { code: status.code(), stderr: complaints })
}

fn not_started(error: &io::Error) -> Failure {
    Failure::here(if error.kind() == io::ErrorKind::NotFound {
        "the program `rsync` is not installed on this host: install the package `rsync`".to_owned()
    } else {
        format!("rsync cannot be started: {error}")
    })
}

/// Hands over line by line, without their ends; of a line that is too long, nothing.
async fn lines(from: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from);
    let (mut line, mut skipping) = (Vec::new(), false);
    loop {
        let Ok(part) = reader.fill_buf().await else { return };
        if part.is_empty() {
            if !line.is_empty() && !skipping {
                take(&line);
            }
            return;
        }
        let end = part.iter().position(|b| *b == b'\n');
        let upto = end.unwrap_or(part.len());
        line.extend_from_slice(part.get(..upto).unwrap_or_default());
        let used = upto + usize::from(end.is_some());
        reader.consume(used);
        skipping |= line.len() > MAX_LINE;
        if skipping {
            line.clear();
        }
        if end.is_some() {
            if !skipping {
                take(&line);
            }
            line.clear();
            skipping = false;
        }
    }
}

/// Starts rsync.
fn start(args: &[OsString]) -> io::Result<Group> {
    let mut command = Command::new("rsync");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    // Neither options nor passwords from elsewhere, and messages that can be understood.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"RSYNC_") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
    end_with_parent(&mut command);
    command.spawn().map(Group)
}

/// A syncd that is killed must not leave an rsync behind that goes on with an old list. A session
/// of its own makes a group to be killed, and has no terminal: where a module wants a password and
/// none is configured, nobody is asked.
#[expect(unsafe_code, reason = "pre_exec(3) is unsafe; what runs in it is async-signal-safe and touches no memory")]
fn end_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let prepare = move || {
        // SAFETY: three system calls that take numbers only.
        let (session, signal, now) =
            unsafe { (libc::setsid(), libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
        if session < 0 || signal != 0 {
            return Err(io::Error::last_os_error());
        }
        // It may have gone in between.
        if now.cast_unsigned() == parent { Ok(()) } else { Err(io::Error::from(io::ErrorKind::Interrupted)) }
    };
    // SAFETY: between fork(2) and execve(2) `prepare` allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}
