//! Named pipes that are told of every transition, a line each, and the programs that read them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, fchown, mknodat};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{self, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::notify::program;
use crate::process::Group;
use crate::vrrp::setup::{Command, Fifo, User};

/// How many lines wait for a reader, besides the 64 KiB that the kernel keeps.
const WAITING: usize = 1024;

/// Between the end of a reader and its next start.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a reader may take to end once the pipe has no writer.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The pipes that are open.
#[derive(Debug, Default)]
pub(super) struct Fifos {
    open: HashMap<Fifo, Open>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Open {
    lines: mpsc::Sender<String>,
    /// Somebody has been told that lines are lost.
    told: bool,
    /// Dropped, it ends the reader.
    _reader: Option<oneshot::Sender<()>>,
    /// The pipe, where it was made here.
    made: Option<PathBuf>,
}

impl Fifos {
    /// Opens those of `wanted` that are not open, and closes all others.
    pub(super) fn configure(&mut self, wanted: &[Fifo]) {
        self.open.retain(|fifo, open| wanted.contains(fifo) || open.close());
        for fifo in wanted {
            if self.open.contains_key(fifo) {
                continue;
            }
            match open(&fifo.path, fifo.script.as_ref().and_then(|script| script.user)) {
                Ok((pipe, made)) => self.begin(fifo, pipe, made.then(|| fifo.path.clone())),
                Err(e) => tracing::error!("notify_fifo {}: {e}; nobody is told through it", fifo.path.display()),
            }
        }
    }

    fn begin(&mut self, fifo: &Fifo, pipe: Sender, made: Option<PathBuf>) {
        let (lines, waiting) = mpsc::channel(WAITING);
        self.tasks.spawn(write(fifo.path.clone(), pipe, waiting));
        let reader = fifo.script.clone().map(|script| {
            let (keep, stop) = oneshot::channel();
            self.tasks.spawn(keep_reading(script, fifo.path.clone(), stop));
            keep
        });
        self.open.insert(fifo.clone(), Open { lines, told: false, _reader: reader, made });
    }

    /// Writes `line` to all of them. Never waits: what does not fit is lost, with one line in the log.
    pub(super) fn write(&mut self, line: &str) {
        for (fifo, open) in &mut self.open {
            let lost = open.lines.try_send(line.to_owned()).is_err();
            if lost && !open.told {
                tracing::warn!("notify_fifo {}: nobody reads it, lines are lost from now on", fifo.path.display());
            }
            open.told = lost;
        }
    }

    /// Closes all of them once their lines are written, or at `deadline`.
    pub(super) async fn finish(mut self, deadline: tokio::time::Instant) {
        let made: Vec<PathBuf> = self.open.values_mut().filter_map(|open| open.made.take()).collect();
        // A reader that is gone is not started again; one that is there reads up to the end.
        self.open.clear();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout_at(deadline, ended).await;
        made.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

impl Open {
    /// Always false: it is no longer wanted.
    fn close(&mut self) -> bool {
        self.made.take().map(fs::remove_file);
        false
    }
}

/// Opens the pipe at `path` for writing; whether it had to be made, which is then for `reader`. Opened for both, it
/// needs no reader.
fn open(path: &Path, reader: Option<User>) -> io::Result<(Sender, bool)> {
    let made = match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_fifo() => false,
        Ok(_) => return Err(io::Error::other("it is there and no named pipe")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            true
        }
        Err(e) => return Err(e),
    };
    let pipe = pipe::OpenOptions::new().read_write(true).open_sender(path)?;
    if let Some(reader) = reader.filter(|_| made) {
        fchown(&pipe, Some(Uid::from_raw(reader.uid)), Some(Gid::from_raw(reader.gid)))?;
    }
    Ok((pipe, made))
}

/// Writes lines as somebody takes them.
async fn write(path: PathBuf, mut pipe: Sender, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if let Err(e) = pipe.write_all(line.as_bytes()).await {
            tracing::error!("notify_fifo {}: {e}", path.display());
            return;
        }
    }
}

/// Runs the program that reads the pipe at `path`, again whenever it ends, until `stop`.
async fn keep_reading(script: Command, path: PathBuf, mut stop: oneshot::Receiver<()>) {
    let said = script.argv.join(" ");
    let mut command = script;
    command.argv.push(path.display().to_string());
    let program = program(command, Duration::ZERO, Duration::ZERO);
    loop {
        match program.command().and_then(|mut command| command.spawn()) {
            Ok(child) => match read_until(Group(child), &mut stop).await {
                Some(ended) => tracing::warn!("notify_fifo_script {said}: {ended}; it is started again"),
                None => return,
            },
            Err(e) => tracing::error!("notify_fifo_script {said}: it cannot be started: {e}"),
        }
        if timeout(AGAIN, &mut stop).await.is_ok() {
            return;
        }
    }
}

/// How the reader ended by itself; none where it was stopped: it reads up to the end, then it is told to end, then it
/// is killed.
async fn read_until(mut reader: Group, stop: &mut oneshot::Receiver<()>) -> Option<String> {
    tokio::select! {
        ended = reader.0.wait() => return Some(ended.map_or_else(|e| e.to_string(), |status| status.to_string())),
        _ = stop => {}
    }
    if timeout(LAST_LINES, reader.0.wait()).await.is_err() {
        reader.terminate();
        let _ = timeout(LAST_LINES, reader.0.wait()).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn lines() -> impl Iterator<Item = String> {
        (0..3).map(|n| format!("INSTANCE \"VI_{n}\" MASTER 150\n"))
    }

    fn soon() -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn a_pipe_is_made_and_its_program_reads_every_line_up_to_the_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (path, log) = (dir.path().join("fifo"), dir.path().join("log"));
        let script = format!("while read line; do echo \"$line\" >> {}; done < $1", log.display());
        let argv = ["/bin/sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        let mut fifos = Fifos::default();
        fifos.configure(&[Fifo { path: path.clone(), script: Some(Command { argv, user: None }) }]);
        let made = fs::metadata(&path).expect("made");
        assert!(made.file_type().is_fifo());
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&made.permissions()) & 0o777, 0o600);
        lines().for_each(|line| fifos.write(&line));
        // Only what it opened it can read up to the end.
        while !log.exists() {
            sleep(Duration::from_millis(10)).await;
        }
        fifos.finish(soon()).await;
        assert_eq!(fs::read_to_string(log).expect("log"), lines().collect::<String>());
        assert!(!path.exists(), "what was made is removed");
    }

    #[tokio::test]
    async fn nobody_who_reads_holds_nobody_up_and_a_reader_that_ends_is_started_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (path, log) = (dir.path().join("fifo"), dir.path().join("log"));
        let script = format!("read line < $1; echo \"$line\" >> {}", log.display());
        let argv = ["/bin/sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        let alone = Fifo { path: dir.path().join("alone"), script: None };
        let mut fifos = Fifos::default();
        fifos.configure(&[alone.clone(), Fifo { path, script: Some(Command { argv, user: None }) }]);
        let told = |log: &Path| fs::read_to_string(log).unwrap_or_default().lines().count();
        fifos.write("one\n");
        while told(&log) < 1 {
            sleep(Duration::from_millis(10)).await;
        }
        fifos.write("two\n");
        while told(&log) < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..10_000 {
            fifos.write("a line that nobody reads\n");
        }
        fifos.configure(&[]);
        assert!(!alone.path.exists());
        fifos.finish(tokio::time::Instant::now()).await;
    }

    #[tokio::test]
    async fn a_file_that_is_no_pipe_is_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        fs::write(&path, "kept").expect("write");
        let mut fifos = Fifos::default();
        fifos.configure(&[Fifo { path: path.clone(), script: None }]);
        fifos.write("lost\n");
        fifos.finish(soon()).await;
        assert_eq!(fs::read_to_string(path).expect("there"), "kept");
    }
}
