//! Named pipes that are told of every transition, a line each, and the programs that read them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, fchown, mknodat};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{self, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout, timeout_at};

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
    /// Those that another writer had, until it is known which of them are wanted.
    former: Vec<Pipe>,
    /// What root runs is looked at before.
    guarded: bool,
    tasks: JoinSet<()>,
}

/// A pipe on its way from one writer to the next.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Where it is.
    pub(super) path: PathBuf,
    /// It was made here, and is to be removed once nobody writes to it.
    pub(super) made: bool,
    /// As long as this is open, whoever reads it sees no end.
    pub(super) open: Option<OwnedFd>,
}

#[derive(Debug)]
struct Open {
    lines: mpsc::Sender<String>,
    /// Somebody has been told that lines are lost.
    told: bool,
    /// Dropped, it ends the reader.
    _reader: Option<oneshot::Sender<()>>,
    /// Whether the pipe was made here.
    made: bool,
    /// The pipe itself, for readers that are none of ours: ours read up to the end, and are started again.
    keep: Option<OwnedFd>,
    /// Ends what writes to it.
    writer: AbortHandle,
}

impl Fifos {
    /// Opens those of `wanted` that are not open, and closes all others.
    pub(super) fn configure(&mut self, wanted: &[Fifo]) {
        while self.tasks.try_join_next().is_some() {}
        let unwanted: Vec<Fifo> = self.open.keys().filter(|fifo| !wanted.contains(fifo)).cloned().collect();
        for fifo in unwanted {
            if let Some(open) = self.open.remove(&fifo) {
                let writer = open.writer.clone();
                self.former.push(open.into_pipe(fifo.path));
                // Where nobody reads, what is not written never is.
                self.tasks.spawn(async move {
                    sleep(LAST_LINES).await;
                    writer.abort();
                });
            }
        }
        for fifo in wanted {
            if self.open.contains_key(fifo) {
                continue;
            }
            match open(&fifo.path, fifo.owner.or(fifo.script.as_ref().and_then(|script| script.user))) {
                Ok((pipe, made)) => self.begin(fifo, pipe, made),
                Err(e) => tracing::error!("notify_fifo {}: {e}; nobody is told through it", fifo.path.display()),
            }
        }
        let still: HashSet<&Path> = self.open.keys().map(|fifo| fifo.path.as_path()).collect();
        self.former.drain(..).filter(|pipe| !still.contains(pipe.path.as_path())).for_each(Pipe::end);
    }

    /// Whether readers that root runs are looked at before each start.
    pub(super) fn guard(&mut self, guarded: bool) {
        self.guarded = guarded;
    }

    /// Takes over what another writer had: the next [`Self::configure`] goes on with it, or removes it.
    pub(super) fn take(&mut self, pipes: Vec<Pipe>) {
        self.former.extend(pipes);
    }

    fn begin(&mut self, fifo: &Fifo, pipe: Sender, made: bool) {
        let made = made || self.former.iter().any(|former| former.made && former.path == fifo.path);
        // Without it a reader of somebody else's may see an end that is none.
        let keep = fifo.script.is_none().then(|| pipe.as_fd().try_clone_to_owned().ok()).flatten();
        let (lines, waiting) = mpsc::channel(WAITING);
        let writer = self.tasks.spawn(write(fifo.path.clone(), pipe, waiting));
        let reader = fifo.script.clone().map(|script| {
            let (keep, stop) = oneshot::channel();
            self.tasks.spawn(keep_reading(script, self.guarded, fifo.path.clone(), stop));
            keep
        });
        self.open.insert(fifo.clone(), Open { lines, told: false, _reader: reader, made, keep, writer });
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
    pub(super) async fn finish(self, deadline: tokio::time::Instant) {
        self.hand_over(deadline).await.into_iter().for_each(Pipe::end);
    }

    /// The same for a writer that follows: all of them stay where they are.
    pub(super) async fn hand_over(mut self, deadline: tokio::time::Instant) -> Vec<Pipe> {
        // A reader that is gone is not started again; one that is there reads up to the end.
        let open = self.open.drain().map(|(fifo, open)| open.into_pipe(fifo.path));
        let pipes = self.former.into_iter().chain(open).collect();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout_at(deadline, ended).await;
        pipes
    }
}

impl Open {
    fn into_pipe(self, path: PathBuf) -> Pipe {
        Pipe { path, made: self.made, open: self.keep }
    }
}

impl Pipe {
    /// Nobody writes to it any more.
    fn end(self) {
        if self.made {
            // Where it is gone already somebody else removed it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the pipe at `path` for writing; whether it had to be made, which is then `owner`'s. Opened for both, it needs no
/// reader.
fn open(path: &Path, owner: Option<User>) -> io::Result<(Sender, bool)> {
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
    if let Some(owner) = owner.filter(|_| made) {
        let given = fchown(&pipe, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        // Left there, it would be somebody else's at the next start.
        given.inspect_err(|_| drop(fs::remove_file(path)))?;
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
async fn keep_reading(script: Command, guarded: bool, path: PathBuf, mut stop: oneshot::Receiver<()>) {
    let said = script.argv.join(" ");
    let mut command = script;
    command.argv.push(path.display().to_string());
    let program = program(command, guarded, Duration::ZERO, Duration::ZERO);
    let mut told = None;
    loop {
        match program.command().and_then(|mut command| command.spawn()) {
            Ok(child) => match read_until(Group(child), &mut stop).await {
                Some(ended) => tracing::warn!("notify_fifo_script {said}: {ended}; it is started again"),
                None => return,
            },
            Err(e) => {
                // It is tried again each second.
                let why = e.to_string();
                if told.as_ref() != Some(&why) {
                    tracing::error!("notify_fifo_script {said}: it cannot be started: {why}");
                    told = Some(why);
                }
            }
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
    use std::os::unix::fs::MetadataExt;

    use tokio::io::{AsyncBufReadExt, BufReader};

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
        fifos.configure(&[Fifo { path: path.clone(), owner: None, script: Some(Command { argv, user: None }) }]);
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
        let alone = Fifo { path: dir.path().join("alone"), owner: None, script: None };
        let mut fifos = Fifos::default();
        fifos.configure(&[alone.clone(), Fifo { path, owner: None, script: Some(Command { argv, user: None }) }]);
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
        while !fifos.tasks.is_empty() {
            // Also what waits for somebody to read comes to its end.
            fifos.configure(&[]);
            sleep(Duration::from_millis(10)).await;
        }
        fifos.finish(tokio::time::Instant::now()).await;
    }

    #[tokio::test]
    async fn a_pipe_goes_on_under_another_writer_and_its_reader_sees_no_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let fifo = Fifo { path: dir.path().join("fifo"), owner: None, script: None };
        let mut first = Fifos::default();
        first.configure(std::slice::from_ref(&fifo));
        let mut reader = BufReader::new(pipe::OpenOptions::new().open_receiver(&fifo.path).expect("made")).lines();
        first.write("one\n");
        let pipes = first.hand_over(soon()).await;
        assert!(fifo.path.exists());
        let mut second = Fifos::default();
        second.take(pipes);
        let changed = Fifo { owner: Some(User { uid: 0, gid: 0 }), ..fifo.clone() };
        for wanted in [&fifo, &changed] {
            second.configure(std::slice::from_ref(wanted));
        }
        second.write("two\n");
        assert_eq!(reader.next_line().await.expect("read"), Some("one".to_owned()));
        assert_eq!(reader.next_line().await.expect("read"), Some("two".to_owned()));
        second.finish(soon()).await;
        assert_eq!(reader.next_line().await.expect("read"), None);
        assert!(!fifo.path.exists(), "the last one removes what the first one made");
    }

    #[tokio::test]
    async fn a_pipe_that_is_made_belongs_to_whom_is_said() {
        let dir = tempfile::tempdir().expect("tempdir");
        // Whoever is not root can only give it to themselves.
        let uid = rustix::process::geteuid().as_raw();
        let (uid, gid) = if uid == 0 { (65_534, 65_533) } else { (uid, rustix::process::getegid().as_raw()) };
        let fifo = Fifo { path: dir.path().join("fifo"), owner: Some(User { uid, gid }), script: None };
        let mut fifos = Fifos::default();
        fifos.configure(std::slice::from_ref(&fifo));
        let made = fs::metadata(&fifo.path).expect("made");
        assert_eq!((made.uid(), made.gid()), (uid, gid));
        fifos.finish(soon()).await;
    }

    #[tokio::test]
    async fn a_file_that_is_no_pipe_is_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        fs::write(&path, "kept").expect("write");
        let mut fifos = Fifos::default();
        fifos.configure(&[Fifo { path: path.clone(), owner: None, script: None }]);
        fifos.write("lost\n");
        fifos.finish(soon()).await;
        assert_eq!(fs::read_to_string(path).expect("there"), "kept");
    }
}
