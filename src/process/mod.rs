//! Runs a program of the operator's within bounds: its own process group, a time limit, the end of
//! what it said.

mod group;
pub mod guard;
mod memory;
pub mod signals;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

pub use group::Group;
pub use memory::be_first_to_go;

/// How much of what a program says is kept, in bytes: the end, where the cause stands.
const KEPT: usize = 2048;

/// How long output is waited for once the program has ended: what it left running may hold the pipe
/// open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How often a program that was told to end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A program to run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Program {
    /// The program and its arguments; no shell is involved unless it is the program.
    pub argv: Vec<OsString>,
    /// What is added to the environment.
    pub env: Vec<(&'static str, OsString)>,
    /// How long it may run.
    pub limit: Duration,
    /// How long it may then take to end once it is told to (SIGTERM); zero kills it at once.
    pub grace: Duration,
    /// The user and group that it runs as, without any further group; none keeps this process's own.
    pub user: Option<(u32, u32)>,
    /// Where root runs it, it is looked at before each start, and not run when others may write it or anything on the
    /// way to it.
    pub guarded: bool,
}

impl Program {
    /// It, ready to be started from `/` as the leader of a process group, with nothing to read.
    ///
    /// # Errors
    /// It has no name, or others than root could change what root would run.
    pub fn command(&self) -> std::io::Result<Command> {
        let mut words = self.argv.iter();
        let named = words.next().ok_or_else(|| std::io::Error::other("it has no name"))?;
        let own = rustix::process::geteuid().as_raw();
        let as_root = self.user.map_or(own, |(uid, _)| uid) == 0;
        let judged = if self.guarded && as_root { Some(self.judged()?) } else { None };
        let mut command = Command::new(judged.as_deref().map_or(named.as_os_str(), Path::as_os_str));
        command.args(words).envs(self.env.iter().map(|(name, value)| (name, value)));
        // Whoever it is told of systemd would be this service's own word.
        command.env_remove("NOTIFY_SOCKET");
        command.current_dir("/").process_group(0).stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }

    /// The program, once nobody but root can change what it runs.
    fn judged(&self) -> std::io::Result<PathBuf> {
        let argv: Vec<String> = self.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let files = guard::involved(&argv).ok_or(std::io::ErrorKind::NotFound)?;
        if let Some(why) = files.iter().find_map(|file| guard::insecure(&file.path)) {
            return Err(std::io::Error::other(format!("{why}, and root would run it")));
        }
        files.into_iter().next().map(|file| file.path).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    Start(#[from] std::io::Error),
    /// It said no.
    #[error("{status}{}", Said(.said))]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It did not end and was killed, with all that it had started.
    #[error("it ran for more than {} s and was killed{}", .limit.as_secs_f64(), Said(.said))]
    TooLong {
        /// How long it was let run.
        limit: Duration,
        /// The end of what it said.
        said: String,
    },
}

struct Said<'a>(&'a str);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = self.0.trim();
        if said.is_empty() { Ok(()) } else { write!(f, ": {}", said.replace('\n', "; ")) }
    }
}

/// Runs `program` from `/` with nothing to read, until it ends or its time is over. It is killed
/// with its whole process group when the future is dropped before.
///
/// # Errors
/// [`ProgramError`]: it did not end with status 0 in time.
pub async fn run(program: &Program) -> Result<(), ProgramError> {
    let mut command = program.command()?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group(command.spawn()?);
    let said = Arc::new(Mutex::new(Vec::new()));
    let reading = (listen(group.0.stdout.take(), said.clone()), listen(group.0.stderr.take(), said.clone()));
    let reading = tokio::spawn(async move { tokio::join!(reading.0, reading.1) });
    let ended = timeout(program.limit, group.0.wait()).await;
    if ended.is_err() {
        end(&mut group, program.grace).await;
    }
    let aborted = reading.abort_handle();
    let _ = timeout(LAST_WORDS, reading).await;
    aborted.abort();
    let said = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    match ended {
        Ok(status) => match status? {
            status if status.success() => Ok(()),
            status => Err(ProgramError::Failed { status, said }),
        },
        Err(_) => Err(ProgramError::TooLong { limit: program.limit, said }),
    }
}

/// Ends all of `group`: by asking where there is `grace`, and after that by force.
async fn end(group: &mut Group, grace: Duration) {
    if !grace.is_zero() {
        group.terminate();
        let ended = async {
            while !group.has_ended() {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(grace, ended).await;
    }
    group.kill();
}

/// Keeps the end of what comes from `pipe`.
async fn listen(pipe: Option<impl AsyncRead + Unpin>, said: Arc<Mutex<Vec<u8>>>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = [0; 1024];
    while let Ok(len @ 1..) = pipe.read(&mut part).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(part.get(..len).unwrap_or(&[]));
        let excess = said.len().saturating_sub(KEPT);
        said.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<(), ProgramError> {
        let argv = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        let program = Program { argv, env: vec![("WORD", "one; two".into())], limit, ..Program::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(run(&program))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_has_its_environment_and_its_answer_counts() {
        shell("test \"$WORD\" = 'one; two'", LONG).expect("well");
        let error = shell("echo no such; echo directive >&2; exit 3", LONG).expect_err("it fails").to_string();
        assert!(error.starts_with("exit status: 3: ") && error.contains("directive"), "{error}");
    }

    #[test]
    fn only_the_end_of_a_long_answer_is_kept() {
        let error =
            shell("i=0; while [ $i -lt 9999 ]; do echo line $i; i=$((i+1)); done; exit 1", LONG).expect_err("it fails");
        let said = error.to_string();
        assert!(said.len() < 2 * KEPT && said.contains("line 9998") && !said.contains("line 10;"), "{said}");
    }

    /// Runs what hangs once it has written the file `begun`: its time is over then, however long it took until there. The
    /// time of its grace is the machine's again.
    fn hanging(script: &str, begun: &Path, grace: Duration) -> ProgramError {
        let argv = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        let program = Program { argv, limit: LONG, grace, ..Program::default() };
        let is_written = || std::fs::read_to_string(begun).is_ok_and(|text| text.ends_with('\n'));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let over = async {
            // A clock that stands goes on by itself where everybody sleeps: nobody does.
            while !is_written() {
                std::thread::sleep(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
            tokio::time::advance(LONG).await;
            tokio::time::resume();
        };
        runtime.expect("runtime").block_on(async { tokio::join!(run(&program), over).0 }).expect_err("it hangs")
    }

    #[test]
    fn who_hangs_is_killed_with_all_that_it_started() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let pid = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let error = hanging(&script, &pid, Duration::ZERO);
        assert!(matches!(error, ProgramError::TooLong { .. }), "{error}");
        let child: i32 = std::fs::read_to_string(pid).expect("written").trim().parse().expect("a number");
        let gone = || {
            // Whoever is killed stays until somebody waits for it.
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        while !gone() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn who_is_asked_to_end_may_say_goodbye_and_who_does_not_is_killed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let [begun, deaf, file] = ["begun", "deaf", "goodbye"].map(|name| dir.path().join(name));
        let hang = |begun: &Path| format!("echo > {}; while :; do sleep 0.01; done", begun.display());
        hanging(&format!("trap 'echo goodbye > {}; exit' TERM; {}", file.display(), hang(&begun)), &begun, LONG);
        assert_eq!(std::fs::read_to_string(file).expect("it said so"), "goodbye\n");
        let error = hanging(&format!("trap '' TERM; echo deaf; {}", hang(&deaf)), &deaf, Duration::from_millis(100));
        assert_eq!(error.to_string(), "it ran for more than 60 s and was killed: deaf");
    }

    #[test]
    fn how_long_who_hangs_was_let_run_is_said_with_its_last_words() {
        let too_long = |said: &str| ProgramError::TooLong { limit: Duration::from_millis(100), said: said.to_owned() };
        assert_eq!(too_long("").to_string(), "it ran for more than 0.1 s and was killed");
        assert_eq!(too_long("one\ntwo\n").to_string(), "it ran for more than 0.1 s and was killed: one; two");
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let pid = dir.path().join("pid");
        shell(&format!("setsid sleep 1000 & echo $! > {}", pid.display()), LONG).expect("well");
        let child: i32 = std::fs::read_to_string(pid).expect("written").trim().parse().expect("a number");
        let child = rustix::process::Pid::from_raw(child).expect("a number");
        rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it runs");
    }
}
