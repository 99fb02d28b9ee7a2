//! A process of the supervisor's: started, spoken to over its standard input, and seen to its end.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::event::Event;
use super::takeover;
use crate::observe::Console;
use crate::process::signals;
use crate::vrrp::frames::{Decoder, encode};

/// How long a process may live on whose side of the conversation has ended.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// How often a process that is not this supervisor's own start is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program: `/proc/self/exe`, which is the very one that runs, even where its file was replaced.
    pub path: PathBuf,
    /// What it is: `vrrp` or `engine`.
    pub short: &'static str,
    /// Its arguments.
    pub words: Vec<OsString>,
}

/// What comes from a process.
#[derive(Debug)]
pub(super) enum Said<In> {
    /// A message.
    Message(In),
    /// It is gone, and all that it said has come.
    Gone(Ending),
}

/// Where what a process says goes: to the one loop of the supervisor.
pub(super) struct Ear<In> {
    /// The loop.
    pub(super) events: mpsc::Sender<Event>,
    /// Which start of the process it is, so that what an earlier one said last is told apart.
    pub(super) run: u64,
    /// What it is to the loop.
    pub(super) as_event: fn(u64, Said<In>) -> Event,
}

impl<In> Ear<In> {
    async fn hear(&self, said: Said<In>) {
        // The loop has ended: nobody wants to know.
        let _ = self.events.send((self.as_event)(self.run, said)).await;
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending(Option<ExitStatus>);

impl Ending {
    /// Its exit code, where it had one.
    pub(super) fn code(self) -> Option<i32> {
        self.0.and_then(|status| status.code())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.and_then(|status| status.signal()), self.code()) {
            // SIGKILL comes from an operator or from the kernel; nobody tells which.
            (Some(9), _) => f.write_str("killed by signal 9 (by hand, or out of memory)"),
            (Some(signal), _) => write!(f, "killed by signal {signal}"),
            (None, Some(code)) => write!(f, "exit code {code}"),
            (None, None) => f.write_str("ended, nobody knows how"),
        }
    }
}

/// A process as it is handed over to the program that comes after this one.
#[derive(Debug)]
pub(super) struct Released {
    /// The supervisor's end of the conversation.
    pub(super) stream: StdStream,
    /// What came of a message that has not come whole.
    pub(super) rest: Vec<u8>,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Worker<Out> {
    /// Its number.
    pub(super) pid: u32,
    pidfd: Option<OwnedFd>,
    out: mpsc::UnboundedSender<Out>,
    release: Option<oneshot::Sender<()>>,
    task: JoinHandle<Option<Released>>,
}

impl<Out: Serialize + Send + 'static> Worker<Out> {
    /// Starts `program`; what it says goes to `ear`. What it logs goes to `log` where that is given, else to where
    /// this process logs.
    pub(super) fn start<In>(program: &Program, log: Option<Console>, ear: Ear<In>) -> io::Result<Self>
    where
        In: DeserializeOwned + Send + 'static,
    {
        let (ours, theirs) = StdStream::pair()?;
        let mut command = Command::new(&program.path);
        command
            .arg0(format!("syncd: {}", program.short))
            .args(&program.words)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null());
        // Signals of a terminal are the supervisor's, and so is the word to systemd.
        command.process_group(0).env_remove("NOTIFY_SOCKET").env_remove(takeover::MARK);
        if log.is_some() {
            command.stderr(Stdio::piped());
        }
        // What an operator sends to all of syncd is meant for the supervisor.
        let mut child = signals::while_held(|| command.spawn())?;
        if let Some((lines, log)) = child.stderr.take().zip(log) {
            tokio::spawn(pass_on(lines, log));
        }
        let pid = child.id().unwrap_or_default();
        Self::tend(pid, Body::Own(child), ours, Decoder::default(), ear)
    }

    /// Goes on with a process that the program before this one started, in this same process.
    pub(super) fn adopt<In>(pid: u32, released: Released, ear: Ear<In>) -> io::Result<Self>
    where
        In: DeserializeOwned + Send + 'static,
    {
        let mut decoder = Decoder::default();
        decoder.push(&released.rest);
        let body = Body::Adopted(pid_of(pid).ok_or(io::ErrorKind::InvalidInput)?);
        Self::tend(pid, body, released.stream, decoder, ear)
    }

    fn tend<In>(pid: u32, body: Body, stream: StdStream, decoder: Decoder, ear: Ear<In>) -> io::Result<Self>
    where
        In: DeserializeOwned + Send + 'static,
    {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let pidfd = pid_of(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let (out, outgoing) = mpsc::unbounded_channel();
        let (release, released) = oneshot::channel();
        let talk = Talk { stream, decoder, outgoing, released };
        let task = tokio::spawn(talk.run(body, ear));
        Ok(Self { pid, pidfd, out, release: Some(release), task })
    }

    /// Tells it something; lost where it is gone, which is told by itself.
    pub(super) fn tell(&self, message: Out) {
        let _ = self.out.send(message);
    }

    /// Ends it by force. How it ended is told.
    pub(super) fn kill(&self) {
        if let Some(pidfd) = &self.pidfd {
            // Whoever is gone need not be killed.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// Stops listening to it and lets it run; none where it is gone.
    pub(super) async fn release(mut self) -> Option<Released> {
        drop(self.release.take());
        self.task.await.ok().flatten()
    }
}

/// The process itself.
enum Body {
    Own(Child),
    Adopted(Pid),
}

impl Body {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Own(child) => child.wait().await,
            Self::Adopted(pid) => loop {
                if let Some((_, status)) = waitpid(Some(*pid), WaitOptions::NOHANG)? {
                    return Ok(ExitStatus::from_raw(status.as_raw()));
                }
                sleep(LOOK).await;
            },
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Own(child) => drop(child.start_kill()),
            Self::Adopted(pid) => drop(rustix::process::kill_process(*pid, Signal::KILL)),
        }
    }
}

/// The conversation with one process.
struct Talk<Out> {
    stream: UnixStream,
    decoder: Decoder,
    outgoing: mpsc::UnboundedReceiver<Out>,
    released: oneshot::Receiver<()>,
}

impl<Out: Serialize> Talk<Out> {
    async fn run<In: DeserializeOwned>(mut self, mut body: Body, ear: Ear<In>) -> Option<Released> {
        if self.converse(&ear).await {
            let stream = self.stream.into_std().ok()?;
            return Some(Released { stream, rest: self.decoder.into_rest() });
        }
        drop(self.stream);
        let ended = match timeout(LAST_BREATH, body.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                body.kill();
                body.wait().await
            }
        };
        ear.hear(Said::Gone(Ending(ended.ok()))).await;
        None
    }

    /// Until the other side ends it, or it is released: then true.
    async fn converse<In: DeserializeOwned>(&mut self, ear: &Ear<In>) -> bool {
        let mut part = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                readable = self.stream.readable() => {
                    let read = match readable.and_then(|()| self.stream.try_read(&mut part)) {
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                        Ok(0) | Err(_) => return false,
                        Ok(read) => read,
                    };
                    self.decoder.push(part.get(..read).unwrap_or(&[]));
                    if !self.hand_on(ear).await {
                        return false;
                    }
                }
                Some(message) = self.outgoing.recv() => match encode(&message) {
                    // Where it no longer listens, it is about to be gone.
                    Ok(bytes) => drop(self.stream.write_all(&bytes).await),
                    Err(e) => tracing::error!("{e}: it is not sent"),
                },
                _ = &mut self.released => return true,
            }
        }
    }

    /// Passes on what has come whole; false where it cannot be read.
    async fn hand_on<In: DeserializeOwned>(&mut self, ear: &Ear<In>) -> bool {
        loop {
            match self.decoder.poll() {
                Ok(Some(message)) => ear.hear(Said::Message(message)).await,
                Ok(None) => return true,
                Err(e) => {
                    tracing::error!("what a process of syncd says cannot be read: {e}; it is ended");
                    return false;
                }
            }
        }
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Passes the log of a process on, a line at a time.
async fn pass_on(lines: ChildStderr, mut log: Console) {
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        // Nobody is left to hear of it.
        let _ = log.write_all(&line);
        line.clear();
    }
}
