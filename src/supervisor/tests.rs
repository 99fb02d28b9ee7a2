//! The supervisor with a VRRP process that only speaks: this test binary, started again.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::signals::Told;
use super::{Failure, Plan, Program, desk};
use crate::control::{Client, Request, Response, Status};
use crate::observe::Console;
use crate::store::instance::Instance;
use crate::vrrp::frames::{Decoder, encode};
use crate::vrrp::message::{FromVrrp, Happening, Held, InstanceStatus, Life, Notice, Observed, Subject, ToVrrp};
use crate::vrrp::packet::Version;
use crate::vrrp::router::State;
use crate::vrrp::setup::{Address, Command, Instance as Router, Notify, Script, Setup};

/// An instance of this name is refused.
const REFUSED: &str = "REFUSED";

/// Not a test of its own: what the tests start as the VRRP process. It writes what it is told to `log` in the
/// directory that the setup's name is, and is master of everything at once.
#[test]
#[ignore = "it is what other tests start"]
fn a_vrrp_process_for_tests() {
    let Ok(stdin) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else { return };
    let mut stream = UnixStream::from(stdin);
    if stream.peer_addr().is_err() {
        return;
    }
    let (mut decoder, mut part) = (Decoder::default(), [0; 4096]);
    let mut lives: Vec<Life> = Vec::new();
    let mut dir = PathBuf::new();
    while let Ok(read @ 1..) = stream.read(&mut part) {
        decoder.push(&part[..read]);
        while let Some(message) = decoder.poll::<ToVrrp>().expect("ours") {
            let (said, answers) = answer(message, &mut lives, &mut dir);
            let mut log = fs::File::options().append(true).create(true).open(dir.join("log")).expect("log");
            log.write_all(format!("{said}\n").as_bytes()).expect("log");
            for answer in &answers {
                stream.write_all(&encode(answer).expect("short")).expect("the supervisor listens");
            }
            if answers.last() == Some(&FromVrrp::Ended) {
                return;
            }
        }
    }
}

fn answer(message: ToVrrp, lives: &mut Vec<Life>, dir: &mut PathBuf) -> (String, Vec<FromVrrp>) {
    match message {
        ToVrrp::Start { setup, lives: before, give_up, earlier } => {
            *dir = PathBuf::from(&setup.router_id);
            let before: Vec<_> = before.iter().map(|life| format!("{} {}", life.instance, life.state)).collect();
            let mut answers = begin(&setup, lives);
            answers.push(FromVrrp::Ready);
            let how = [(give_up, ", give up"), (earlier, ", earlier")];
            let how: String = how.iter().filter(|(so, _)| *so).map(|(_, what)| *what).collect();
            (format!("start {before:?}{how}"), answers)
        }
        ToVrrp::Reload(setup) => {
            // Held, it answers when it is let.
            while dir.join("hold").exists() {
                fs::write(dir.join("held"), "").expect("write");
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut answers = begin(&setup, lives);
            answers.push(FromVrrp::Ready);
            (format!("reload {}", setup.instances.len()), answers)
        }
        ToVrrp::Observed(Observed::Script { name, success }) => (format!("script {name} {success}"), Vec::new()),
        ToVrrp::Observed(other) => (format!("{other:?}"), Vec::new()),
        ToVrrp::Status => {
            let status = |life: &Life| InstanceStatus {
                name: life.instance.clone(),
                state: life.state.to_string().to_lowercase(),
                ..InstanceStatus::default()
            };
            ("status".to_owned(), vec![FromVrrp::Status(lives.iter().map(status).collect())])
        }
        ToVrrp::Wait { .. } => ("wait".to_owned(), vec![FromVrrp::Waits]),
        ToVrrp::HandOver => ("hand over".to_owned(), vec![FromVrrp::Ended]),
        ToVrrp::Stop => {
            let left = lives.iter().map(|life| Life { state: State::Initialize, held: Vec::new(), ..life.clone() });
            let told = lives.iter().map(|life| notice(&life.instance, Happening::Stop));
            let answers = left.map(FromVrrp::Life).chain(told).chain([FromVrrp::Ended]).collect();
            ("stop".to_owned(), answers)
        }
    }
}

/// All instances become master.
fn begin(setup: &Setup, lives: &mut Vec<Life>) -> Vec<FromVrrp> {
    if setup.instances.iter().any(|router| router.name == REFUSED) {
        let message = "no such interface".to_owned();
        return vec![FromVrrp::Refused { instance: Some(REFUSED.to_owned()), message, configuration: true }];
    }
    *lives = setup.instances.iter().map(life).collect();
    lives.iter().flat_map(|l| [FromVrrp::Life(l.clone()), notice(&l.instance, Happening::Master)]).collect()
}

fn life(router: &Router) -> Life {
    let held = vec![Held { interface: router.interface.clone(), address: router.addresses[0].clone() }];
    let (instance, state) = (router.name.clone(), State::Master);
    Life { instance, state, since_unix_ms: 0, due: None, held, transitions: 1 }
}

fn notice(instance: &str, what: Happening) -> FromVrrp {
    FromVrrp::Notice(Notice { of: Subject::Instance(instance.to_owned()), what, priority: 150 })
}

fn router(name: &str, notify: Notify) -> Router {
    let address = Address::new(std::net::Ipv4Addr::new(10, 0, 0, 50).into(), 24);
    Router { version: Version::V2, priority: 150, notify, ..Router::new(name, "eth0", 51, vec![address]) }
}

/// A supervisor that runs, with a VRRP process that only speaks.
struct Bench {
    dir: tempfile::TempDir,
    signals: mpsc::Sender<Told>,
    desk: JoinHandle<Result<(), Failure>>,
}

impl Bench {
    fn start(names: &[&str], change: impl FnOnce(&mut Setup, &Path)) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let log = dir.path().join("told");
        let tell = |notify: &str| {
            let script = format!("echo {notify} $* >> {}", log.display());
            Some(Command { argv: ["/bin/sh", "-c", &script, "sh"].map(str::to_owned).to_vec(), user: None })
        };
        let notify = Notify { master: tell("master"), stop: tell("stop"), any: tell("any"), ..Notify::default() };
        let mut setup = Setup {
            router_id: dir.path().display().to_string(),
            instances: names.iter().map(|name| router(name, notify.clone())).collect(),
            ..Setup::default()
        };
        change(&mut setup, dir.path());
        fs::write(dir.path().join("setup"), serde_json::to_vec(&setup).expect("setup")).expect("write");
        let file = dir.path().join("setup");
        let read = move || serde_json::from_slice(&fs::read(&file).expect("there")).map_err(|e| e.to_string());
        let ready = dir.path().join("ready");
        let words = ["--exact", "supervisor::tests::a_vrrp_process_for_tests", "--include-ignored", "--nocapture"];
        let plan = Plan {
            instance: Instance::claim(&dir.path().join("state"), Duration::ZERO).expect("free"),
            config: PathBuf::from("/etc/keepalived.conf"),
            setup,
            read: Box::new(read),
            vrrp: Program { path: "/proc/self/exe".into(), short: "vrrp", words: words.map(Into::into).to_vec() },
            engine: None,
            ready: Box::new(move |_| fs::write(&ready, "").map_err(Failure::host)),
            console: Console::stderr(),
            log: None,
            taken: None,
        };
        let (signals, told) = mpsc::channel(4);
        Self { dir, signals, desk: tokio::task::spawn_local(desk::run(plan, told)) }
    }

    async fn ready(&self) {
        until(|| self.dir.path().join("ready").exists()).await;
    }

    /// What the VRRP process was told.
    fn log(&self) -> Vec<String> {
        read_lines(&self.dir.path().join("log"))
    }

    async fn ask(&self, request: Request) -> Result<Response, String> {
        let dir = self.dir.path().join("state");
        let ask = move || Client::connect(&dir).and_then(|mut client| client.ask(&request, |_| ()));
        tokio::task::spawn_blocking(ask).await.expect("no panic").map_err(|e| e.to_string())
    }

    async fn status(&self) -> Status {
        match self.ask(Request::Status).await.expect("it answers") {
            Response::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Kills the VRRP process and waits until another one works.
    async fn kill(&self) {
        let pid = self.status().await.processes[0].pid.expect("it runs");
        let starts = || self.log().iter().filter(|line| line.starts_with("start")).count();
        let before = starts();
        kill_process(Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid"), Signal::KILL).expect("it lives");
        until(|| starts() > before).await;
        while self.status().await.vrrp.is_empty() {}
    }

    async fn stop(self) -> (Result<(), Failure>, tempfile::TempDir) {
        self.signals.send(Told::End).await.expect("it listens");
        (self.desk.await.expect("no panic"), self.dir)
    }
}

fn read_lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs `test` where tasks need not be `Send`, and gives up after a minute.
fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let local = tokio::task::LocalSet::new();
    let within = async { tokio::time::timeout(Duration::from_secs(60), test()).await.expect("within a minute") };
    local.block_on(&runtime, within);
}

#[test]
fn it_is_ready_when_the_vrrp_process_is_and_leaves_politely() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |_, _| ());
        bench.ready().await;
        let status = bench.status().await;
        assert_eq!((status.vrrp[0].name.as_str(), status.vrrp[0].state.as_str()), ("VI_1", "master"));
        assert!(status.is_healthy());
        assert_eq!(status.processes[0].restarts, 0);
        assert!(bench.dir.path().join("state/vrrp-lives.json").exists());
        let (ended, dir) = bench.stop().await;
        assert_eq!(ended, Ok(()));
        assert_eq!(read_lines(&dir.path().join("log")), ["start []", "status", "stop"]);
        let told = ["master", "any INSTANCE VI_1 MASTER 150", "stop", "any INSTANCE VI_1 STOP 150"];
        assert_eq!(read_lines(&dir.path().join("told")), told);
        assert!(!dir.path().join("state/vrrp-lives.json").exists());
        assert!(!dir.path().join("state/control.sock").exists());
    });
}

#[test]
fn a_vrrp_process_that_was_killed_goes_on_and_the_second_time_gives_up() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |_, _| ());
        bench.ready().await;
        bench.kill().await;
        bench.kill().await;
        let starts: Vec<_> = bench.log().into_iter().filter(|line| line.starts_with("start")).collect();
        assert_eq!(starts, ["start []", "start [\"VI_1 MASTER\"]", "start [\"VI_1 MASTER\"], give up"]);
        let process = &bench.status().await.processes[0];
        assert_eq!(process.restarts, 2);
        assert!(process.last_end.as_ref().is_some_and(|how| how.contains("signal 9")), "{process:?}");
        assert_eq!(bench.stop().await.0, Ok(()));
    });
}

#[test]
fn a_configuration_that_cannot_be_is_refused_at_the_start_and_nothing_stays() {
    run(async || {
        let bench = Bench::start(&[REFUSED], |_, _| ());
        let ended = bench.desk.await.expect("no panic");
        assert_eq!(ended, Err(Failure { code: 2, message: "REFUSED: no such interface".to_owned() }));
    });
}

#[test]
fn a_reload_tells_what_is_new_and_a_refused_one_leaves_what_was() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |_, _| ());
        bench.ready().await;
        let file = bench.dir.path().join("setup");
        let mut setup: Setup = serde_json::from_slice(&fs::read(&file).expect("there")).expect("setup");
        let mut write = |name: &str| {
            setup.instances.push(router(name, Notify::default()));
            fs::write(&file, serde_json::to_vec(&setup).expect("setup")).expect("write");
        };
        write("VI_2");
        let done = bench.ask(Request::Reload).await;
        assert_eq!(done, Ok(Response::Done { message: "/etc/keepalived.conf is in force".to_owned() }));
        assert_eq!(bench.status().await.vrrp.len(), 2);
        write(REFUSED);
        let refused = bench.ask(Request::Reload).await.expect_err("refused");
        assert_eq!(refused, "VRRP: REFUSED: no such interface; what was in force before goes on");
        fs::write(&file, "{").expect("write");
        let unreadable = bench.ask(Request::Reload).await.expect_err("unreadable");
        assert!(unreadable.starts_with("VRRP: EOF"), "{unreadable}");
        // A process that follows does what was in force.
        bench.kill().await;
        assert_eq!(bench.status().await.vrrp.len(), 2);
        assert_eq!(bench.stop().await.0, Ok(()));
    });
}

#[test]
fn a_signal_during_a_reload_is_one_more_reload() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |_, _| ());
        bench.ready().await;
        let file = bench.dir.path().join("setup");
        let mut setup: Setup = serde_json::from_slice(&fs::read(&file).expect("there")).expect("setup");
        let mut write = |name: &str| {
            setup.instances.push(router(name, Notify::default()));
            fs::write(&file, serde_json::to_vec(&setup).expect("setup")).expect("write");
        };
        let hold = bench.dir.path().join("hold");
        fs::write(&hold, "").expect("write");
        write("VI_2");
        bench.signals.send(Told::Reload).await.expect("it listens");
        until(|| bench.dir.path().join("held").exists()).await;
        write("VI_3");
        bench.signals.send(Told::Reload).await.expect("it listens");
        // Signals come before questions.
        let refused = bench.ask(Request::Reload).await.expect_err("one is under way");
        assert!(refused.contains("another reload is under way"), "{refused}");
        fs::remove_file(hold).expect("there");
        while bench.status().await.vrrp.len() < 3 {}
        let reloads: Vec<_> = bench.log().into_iter().filter(|line| line.starts_with("reload")).collect();
        assert_eq!(reloads, ["reload 2", "reload 3"]);
        assert_eq!(bench.stop().await.0, Ok(()));
    });
}

#[test]
fn what_scripts_said_last_is_told_again_to_a_process_that_follows() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |setup, _| {
            setup.scripts.push(Script {
                name: "once".to_owned(),
                command: Command { argv: vec!["/bin/false".to_owned()], user: None },
                interval: Duration::from_secs(3600),
                timeout: Duration::from_secs(20),
                rise: 1,
                fall: 1,
                init_fail: false,
            });
        });
        let failed = |n| bench.log().iter().filter(|line| *line == "script once false").count() == n;
        until(|| failed(1)).await;
        bench.kill().await;
        until(|| failed(2)).await;
        assert_eq!(bench.stop().await.0, Ok(()));
    });
}

#[test]
fn a_process_that_is_gone_when_all_ends_leaves_nothing_behind() {
    run(async || {
        let bench = Bench::start(&["VI_1"], |_, _| ());
        bench.ready().await;
        for _ in 0..3 {
            bench.kill().await;
        }
        let (ended, dir) = bench.stop().await;
        assert_eq!(ended, Ok(()));
        assert_eq!(read_lines(&dir.path().join("log")).last().map(String::as_str), Some("stop"));
        assert!(!dir.path().join("state/vrrp-lives.json").exists());
    });
}
