//! Counts the processes that have to run (`vrrp_track_process`): the end of one is noticed at once, the beginning of
//! one within a second.
//!
//! There is no event for a new process that every container has (the proc connector is the first network
//! namespace's alone), while the end of a known one can be waited for by anybody.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::descriptor::watch;
use super::enough::{Enough, Seen, counts, wants_argv};
use super::event::Event;
use crate::vrrp::message::Observed;
use crate::vrrp::setup::Process;

/// How often new processes are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often a new process is read: its name is another once it has executed its program.
const YOUNG: u32 = 3;

/// After how many looks any process is read again.
const AGAIN: u32 = 10;

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Processes {
    wanted: Vec<Process>,
    counting: Option<Counting>,
}

/// Dropped, nothing is counted any more.
#[derive(Debug)]
struct Counting(JoinHandle<()>);

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Processes {
    /// Counts those of `wanted`, and no others.
    pub(super) fn configure(&mut self, wanted: &[Process], events: &mpsc::Sender<Event>) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted.to_vec();
        self.counting = (!wanted.is_empty()).then(|| {
            let (wanted, events) = (wanted.to_vec(), events.clone());
            Counting(tokio::spawn(async move { Census::new(&wanted).run(&wanted, events).await }))
        });
    }
}

/// All processes, as far as they count.
struct Census {
    /// How often each was looked at.
    looks: HashMap<u32, u32>,
    /// For each that is wanted, those that count.
    counted: Vec<HashSet<u32>>,
    enough: Vec<Enough>,
    with_argv: bool,
    ended: Arc<Notify>,
    waiting: JoinSet<()>,
    waited_for: HashSet<u32>,
}

impl Census {
    fn new(wanted: &[Process]) -> Self {
        Self {
            looks: HashMap::new(),
            counted: vec![HashSet::new(); wanted.len()],
            enough: vec![Enough::default(); wanted.len()],
            with_argv: wanted.iter().any(wants_argv),
            ended: Arc::default(),
            waiting: JoinSet::new(),
            waited_for: HashSet::new(),
        }
    }

    async fn run(mut self, wanted: &[Process], events: mpsc::Sender<Event>) {
        loop {
            self.look(wanted);
            let now = Instant::now();
            let mut next = now + LOOK;
            for ((process, counted), enough) in wanted.iter().zip(&self.counted).zip(&mut self.enough) {
                let count = u32::try_from(counted.len()).unwrap_or(u32::MAX);
                if let Some(enough) = enough.look(process, count, now) {
                    let observed = Observed::Process { name: process.name.clone(), enough };
                    if events.send(Event::Observed(observed)).await.is_err() {
                        return;
                    }
                }
                next = enough.due(process).map_or(next, |due| due.min(next));
            }
            tokio::select! {
                () = sleep_until(next.into()) => {}
                () = self.ended.notified() => {}
            }
            while self.waiting.try_join_next().is_some() {}
        }
    }

    /// Looks at what runs now.
    fn look(&mut self, wanted: &[Process]) {
        let pids: HashSet<u32> = running().collect();
        self.looks.retain(|pid, _| pids.contains(pid));
        self.waited_for.retain(|pid| pids.contains(pid));
        self.counted.iter_mut().for_each(|counted| counted.retain(|pid| pids.contains(pid)));
        for pid in pids {
            let looks = self.looks.entry(pid).or_insert(0);
            *looks += 1;
            let known = self.counted.iter().any(|counted| counted.contains(&pid));
            // One that counts is read each time: it may have ended and be waited for by nobody.
            if known || *looks <= YOUNG || looks.is_multiple_of(AGAIN) {
                self.read(pid, wanted);
            }
        }
    }

    fn read(&mut self, pid: u32, wanted: &[Process]) {
        let seen = read(pid, self.with_argv);
        let mut any = false;
        for (process, counted) in wanted.iter().zip(&mut self.counted) {
            if seen.as_ref().is_some_and(|seen| counts(process, seen)) {
                counted.insert(pid);
                any = true;
            } else {
                counted.remove(&pid);
            }
        }
        if any && self.waited_for.insert(pid) {
            self.wait_for(pid);
        }
    }

    /// Has the next look come when `pid` ends.
    fn wait_for(&mut self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        if let Some(pidfd) = pidfd {
            let ended = Arc::clone(&self.ended);
            self.waiting.spawn(async move {
                wait(pidfd).await;
                ended.notify_one();
            });
        }
    }
}

async fn wait(pidfd: OwnedFd) {
    match watch(pidfd) {
        // An error is as good as its end: the next look tells.
        Ok(pidfd) => drop(pidfd.readable().await.map(|_| ())),
        Err(_) => drop(timeout(LOOK, std::future::pending::<()>()).await),
    }
}

fn running() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// What `pid` is; none where it has ended, waited for or not.
fn read(pid: u32, with_argv: bool) -> Option<Seen> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // `PID (NAME) STATE …`, and a name may hold anything.
    let (open, close) = (stat.iter().position(|b| *b == b'(')?, stat.iter().rposition(|b| *b == b')')?);
    if matches!(stat.get(close + 2), Some(b'Z' | b'X' | b'x')) {
        return None;
    }
    let comm = stat.get(open + 1..close)?.to_vec();
    let argv = if with_argv { fs::read(format!("/proc/{pid}/cmdline")).ok()? } else { Vec::new() };
    let argv = argv.strip_suffix(&[0]).unwrap_or(&argv);
    let words = argv.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    Some(Seen { comm, argv: if argv.is_empty() { Vec::new() } else { words.collect() } })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use super::*;
    use crate::vrrp::setup::ParameterMatch;

    fn sleeper(name: &str) -> Child {
        Command::new("/bin/sleep").arg0(name).arg("1000").spawn().expect("sleep")
    }

    #[tokio::test]
    async fn the_end_and_the_beginning_of_a_process_are_told_even_while_nobody_waits_for_it() {
        let name = format!("syncd-test-{}", std::process::id());
        let wanted = Process {
            name: "sleepers".to_owned(),
            program: name.clone(),
            parameters: Some((ParameterMatch::Exact, vec!["1000".to_owned()])),
            full_command: true,
            least: 2,
            most: None,
            up_delay: Duration::from_millis(20),
            down_delay: Duration::from_millis(20),
        };
        let (events, mut told) = mpsc::channel(8);
        let mut first = [sleeper(&name), sleeper(&name)];
        let mut processes = Processes::default();
        processes.configure(std::slice::from_ref(&wanted), &events);
        let mut next = async || match told.recv().await {
            Some(Event::Observed(Observed::Process { name, enough })) if name == "sleepers" => enough,
            other => panic!("{other:?}"),
        };
        let mut enough = next().await;
        while !enough {
            // Looked at before it had executed its program.
            enough = next().await;
        }
        first[0].kill().expect("it runs");
        assert!(!next().await, "a zombie does not count");
        let mut second = sleeper(&name);
        assert!(next().await);
        for child in first.iter_mut().chain([&mut second]) {
            drop(child.kill());
            child.wait().expect("a child");
        }
        assert!(!next().await);
    }

    #[test]
    fn this_process_is_among_those_that_run() {
        let own = std::process::id();
        assert!(running().any(|pid| pid == own));
        let seen = read(own, true).expect("it runs");
        assert!(!seen.comm.is_empty() && !seen.argv.is_empty());
    }
}
