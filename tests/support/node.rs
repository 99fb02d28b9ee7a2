//! One real syncd process: started, watched, asked, stopped, killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to say `ready`, or to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

static BINARY: OnceLock<OsString> = OnceLock::new();

/// A node that can be started and stopped any number of times; its log and state stay.
pub struct Node {
    name: String,
    args: Vec<OsString>,
    prefix: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    state: PathBuf,
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    ready: Receiver<()>,
}

impl Node {
    /// A node that will run `syncd ARGS… --state-dir DIR/NAME.state` and log to `DIR/NAME.log`.
    pub fn new(name: &str, dir: &Path, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            name: name.into(),
            args: args.into_iter().map(Into::into).collect(),
            prefix: Vec::new(),
            env: Vec::new(),
            state: dir.join(format!("{name}.state")),
            log: dir.join(format!("{name}.log")),
            running: None,
        }
    }

    /// Arguments added from the next start on.
    pub fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    /// An environment variable from the next start on.
    pub fn env(&mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// A command that runs the node from the next start on, such as `strace -D -f -o FILE` (with `-D` the pid stays
    /// the node's) or `prlimit --as=…`. Empty for none.
    pub fn run_under(&mut self, prefix: impl IntoIterator<Item = impl Into<OsString>>) -> &mut Self {
        self.prefix = prefix.into_iter().map(Into::into).collect();
        self
    }

    /// The same with a command around the one that there is.
    pub fn run_within(&mut self, outer: impl IntoIterator<Item = impl Into<OsString>>) -> &mut Self {
        self.prefix.splice(0..0, outer.into_iter().map(Into::into));
        self
    }

    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Starts it and waits for `ready`; panics with its log when that does not come.
    pub fn start(&mut self) {
        self.spawn();
        self.wait_ready(PATIENCE);
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        let mut words = self.prefix.iter().cloned();
        let program = words.next().unwrap_or_else(binary);
        let mut command = Command::new(program);
        command.args(words);
        if !self.prefix.is_empty() {
            command.arg(binary());
        }
        command.args(&self.args).arg("--state-dir").arg(&self.state);
        // Whoever runs the tests may log less than they wait for.
        command.env_remove("SYNCD_LOG").env_remove("RUST_LOG").envs(self.env.iter().cloned());
        let log = File::options().append(true).create(true).open(&self.log).expect("log file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {command:?}: {e}", self.name));
        let stdout = child.stdout.take().expect("piped");
        let (say, ready) = channel();
        // Reads to the end, so that the node never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line == "ready" {
                    // An error means that nobody waits any more: the test is over.
                    let _ = say.send(());
                }
            }
        });
        self.running = Some(Running { child, ready });
    }

    /// Waits for the line `ready` of the last start; panics with the log when it does not come.
    pub fn wait_ready(&mut self, timeout: Duration) {
        let Some(running) = &self.running else { panic!("{} was not started", self.name) };
        match running.ready.recv_timeout(timeout) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("{}: not ready after {timeout:?}\n{}", self.name, self.log()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait_exit(PATIENCE);
                panic!("{} ended before it was ready: {status}\n{}", self.name, self.log());
            }
        }
    }

    /// Whether the process lives (also when it is stopped by SIGSTOP).
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// The number of the process; panics when it was not started.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().unwrap_or_else(|| panic!("{} was not started", self.name)).child.id()
    }

    /// Ends it by SIGTERM and returns how it ended; panics with the log when it does not.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_exit(PATIENCE)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself: that is as good.
            drop(running.child.kill());
            running.child.wait().expect("a child can be waited for");
        }
    }

    /// SIGSTOP: alive, but does nothing. Returns when every thread of it stands still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = self.pid();
        assert!(wait_until(PATIENCE, || has_stopped(pid)), "{} does not stop\n{}", self.name, self.log());
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Stops it cleanly and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Sends any signal; panics when the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).unwrap_or_else(|e| panic!("{}: {signal:?}: {e}\n{}", self.name, self.log()));
    }

    /// Waits until it ended; panics with the log when it does not.
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        let Some(running) = &mut self.running else { panic!("{} was not started", self.name) };
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = running.child.try_wait().expect("a child can be waited for") {
                self.running = None;
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end within {timeout:?}\n{}", self.name, read_log(&self.log));
            std::thread::sleep(POLL);
        }
    }

    /// Everything it logged, over all starts.
    pub fn log(&self) -> String {
        read_log(&self.log)
    }

    /// Waits until the log holds `text` after its first `from` bytes; panics with the log when it does not.
    /// Take `from` from `log().len()` before what should cause the line.
    pub fn wait_log(&self, from: usize, text: &str, timeout: Duration) {
        let found = wait_until(timeout, || self.log().get(from..).is_some_and(|log| log.contains(text)));
        assert!(found, "{} did not log {text:?} within {timeout:?}\n{}", self.name, self.log());
    }

    /// Runs `syncd ARGS… --state-dir DIR`, which asks this node.
    pub fn ask(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).arg("--state-dir").arg(&self.state).stdin(Stdio::null());
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// What `syncd replay --list` says of its store as it is on disk, while it runs: `kill -9` takes nothing of that away.
    /// A copy is read, since the store itself is locked. One that was made in the middle of a write may hold nothing:
    /// ask again.
    pub fn recorded(&self) -> String {
        let copy = tempfile::tempdir().expect("temporary directory");
        std::fs::copy(self.state.join("store.redb"), copy.path().join("store.redb")).expect("a store");
        let mut command = Command::new(binary());
        command.args(["replay", "--list", "--state-dir"]).arg(copy.path()).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `syncd status --json` says; panics with its error when it is no JSON object.
    pub fn status(&self) -> serde_json::Value {
        let output = self.ask(&["status", "--json"]);
        match serde_json::from_slice(&output.stdout) {
            Ok(value @ serde_json::Value::Object(_)) => value,
            other => panic!("{}: status: {other:?}\n{output:?}\n{}", self.name, self.log()),
        }
    }

    /// The same once the VRRP process has its say in it: one that is silent for a second is left out, and that is said.
    pub fn status_of_vrrp(&self) -> serde_json::Value {
        let mut status = serde_json::Value::Null;
        let told = wait_until(PATIENCE, || {
            status = self.status();
            status["vrrp_fault"].is_null()
        });
        assert!(told, "{}: the VRRP process is silent: {status:#}\n{}", self.name, self.log());
        status
    }

    /// Waits until the status fulfils the condition; panics with the last one when it does not.
    pub fn wait_status(&self, timeout: Duration, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
        let found = wait_until(timeout, || holds(&self.status()));
        assert!(found, "{}: not {what} within {timeout:?}: {:#}\n{}", self.name, self.status(), self.log());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}", self.name, tail(&self.log(), 60));
        }
    }
}

/// Looks again and again until `holds`; false when it does not within the time.
pub fn wait_until(timeout: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// The program under test: the one that cargo built for a test, elsewhere the one that [`use_binary`] was given.
pub fn binary() -> OsString {
    let of_cargo = option_env!("CARGO_BIN_EXE_syncd");
    BINARY.get_or_init(|| of_cargo.expect("cargo built it, or it was named").into()).clone()
}

/// From now on `program` is the one under test, unless there was one already.
pub fn use_binary(program: impl Into<OsString>) {
    // The first one stays.
    let _ = BINARY.set(program.into());
}

/// Whether the process has ended, whoever has still to wait for it.
pub fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name before it, in brackets, may hold anything.
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}

/// Whether each thread of the process is stopped, or held by a tracer; one that has ended meanwhile counts as well.
fn has_stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut states = threads.flatten().filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        // The name before it, in brackets, may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    });
    states.all(|state| matches!(state, 'T' | 't'))
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
