//! A daemon that the bench runs: with a log, in a group of its own, gone when it is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::stop;

/// How long a start or a clean end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    ready: Receiver<()>,
}

impl Process {
    /// Starts it; standard error goes to `log`. It leads a process group, so that its children end with it.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().append(true).create(true).open(log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let (say, ready) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line == "ready" {
                    // An error means that nobody waits for it.
                    let _ = say.send(());
                }
            }
        });
        Ok(Self { child, log: log.to_owned(), ready })
    }

    /// Waits for the line `ready` on its standard output.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            stop::check()?;
            match self.ready.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => bail!("not ready within {PATIENCE:?}: {}", self.last_words()),
                Err(RecvTimeoutError::Disconnected) => bail!("ended before it was ready: {}", self.last_words()),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of something that ends by itself.
    pub(crate) fn wait_end(&mut self) -> Result<()> {
        loop {
            stop::check()?;
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "{status}: {}", self.last_words());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Gone already is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The leader may be gone and children of it not.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
