//! `-d`, as sersync2's users start it: by its name, from a shell that waits for it.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::node::{binary, wait_until};
use support::pair::{EQUAL_WITHIN, TestPair};

/// `sersync2` in a directory, and the daemons that were started by it: they end with this.
struct Sersync {
    link: PathBuf,
    dir: PathBuf,
}

impl Sersync {
    fn new(dir: &Path) -> Self {
        let link = dir.join("sersync2");
        std::os::unix::fs::symlink(binary(), &link).expect("symlink");
        Self { link, dir: dir.to_owned() }
    }

    /// Runs it to its end; fails when it does not give the shell back.
    fn run(&self, args: &[&str], state: &str) -> Output {
        let mut command = Command::new(&self.link);
        command.args(args).arg("--state-dir").arg(self.dir.join(state)).current_dir(&self.dir);
        let (out, err) = (self.dir.join("out"), self.dir.join("err"));
        let stdio = |path: &Path| Stdio::from(File::create(path).expect("file"));
        let mut child = command.stdin(Stdio::null()).stdout(stdio(&out)).stderr(stdio(&err)).spawn().expect("spawn");
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            assert!(Instant::now() < deadline, "the caller is still waiting");
            std::thread::sleep(Duration::from_millis(20));
        };
        let read = |path: &Path| fs::read(path).expect("output");
        Output { status, stdout: read(&out), stderr: read(&err) }
    }

    /// Processes that killall(1) would find by the name and that belong to this test.
    fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc").expect("proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&cmdline).contains(&*self.dir.to_string_lossy());
            if comm == "sersync2\n" && ours {
                pids.push(pid);
            }
        }
        pids
    }

    fn killall(&self, signal: Signal) {
        for pid in self.pids() {
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Drop for Sersync {
    fn drop(&mut self) {
        self.killall(Signal::KILL);
        let gone = wait_until(Duration::from_secs(10), || self.pids().is_empty());
        if !gone && !std::thread::panicking() {
            panic!("{:?} are left", self.pids());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn killall_and_start_again_is_one_daemon_after_the_other() {
    let mut pair = TestPair::builder().build();
    pair.peers[0].node.start();
    let sersync = Sersync::new(pair.dir.path());
    let first = sersync.run(&["-r", "-d", "-o", "confxml.xml"], "state");
    assert!(first.status.success(), "{first:?}");
    assert!(text(&first.stdout).starts_with("ready: pid ") && text(&first.stdout).contains("syncd.log"), "{first:?}");
    let [old] = sersync.pids()[..] else { panic!("{:?}", sersync.pids()) };
    fs::write(pair.src().join("f"), "by the first").expect("write");
    pair.wait_equal(EQUAL_WITHIN);

    sersync.killall(Signal::TERM);
    let second = sersync.run(&["-dro", "confxml.xml", "passed", "over"], "state");
    assert!(second.status.success(), "{second:?}");
    let [new] = sersync.pids()[..] else { panic!("{:?}", sersync.pids()) };
    assert_ne!(old, new);
    fs::write(pair.src().join("f"), "by the second").expect("write");
    pair.wait_equal(EQUAL_WITHIN);

    // It is a session of its own, and holds nothing of its caller's.
    let stat = fs::read_to_string(format!("/proc/{new}/stat")).expect("stat");
    let session: i32 =
        stat.rsplit(") ").next().and_then(|s| s.split(' ').nth(3)).expect("session").parse().expect("pid");
    assert_eq!(session, new);
    for fd in 0..3 {
        let held = fs::read_link(format!("/proc/{new}/fd/{fd}")).expect("fd");
        let expected = if fd == 2 { pair.dir.path().join("state/syncd.log") } else { "/dev/null".into() };
        assert_eq!(held, expected, "fd {fd}");
    }
    let log = pair.dir.path().join("state/syncd.log");
    let logged = wait_until(EQUAL_WITHIN, || fs::read_to_string(&log).is_ok_and(|log| log.contains("connected")));
    assert!(logged);
    let status = sersync_status(pair.dir.path(), "state");
    assert_eq!(status["log"], log.display().to_string());
}

fn sersync_status(dir: &Path, state: &str) -> serde_json::Value {
    let output = Command::new(binary()).args(["status", "--json", "--state-dir"]).arg(dir.join(state)).output();
    serde_json::from_slice(&output.expect("status").stdout).expect("json")
}

#[test]
fn two_files_run_side_by_side_and_so_does_a_peer() {
    let mut pair = TestPair::builder().sets(&["one", "two"]).build();
    let both = fs::read_to_string(pair.dir.path().join("confxml.xml")).expect("read");
    let (head, rest) = both.split_at(both.find("    <localpath").expect("first"));
    let (paths, tail) = rest.split_at(rest.find("    <rsync>").expect("rsync"));
    let at = paths.rfind("    <localpath").expect("second");
    fs::write(pair.dir.path().join("one.xml"), [head, &paths[..at], tail].concat()).expect("write");
    fs::write(pair.dir.path().join("two.xml"), [head, &paths[at..], tail].concat()).expect("write");
    let sersync = Sersync::new(pair.dir.path());
    let peer = Command::new(binary())
        .args(["peer", "-d", "--config"])
        .arg(pair.dir.path().join("peer0.rsyncd.conf"))
        .arg("--state-dir")
        .arg(pair.dir.path().join("peer0.state"))
        .output()
        .expect("peer");
    assert!(peer.status.success(), "{peer:?}");
    let peer_pid = sersync_status(pair.dir.path(), "peer0.state")["pid"].as_i64().expect("pid");
    for file in ["one.xml", "two.xml"] {
        let started = sersync.run(&["-d", "--config", file], &format!("{file}.state"));
        assert!(started.status.success(), "{started:?}");
    }
    assert_eq!(sersync.pids().len(), 2);
    for root in pair.sources.clone() {
        fs::write(root.join("f"), "x").expect("write");
    }
    pair.wait_equal(EQUAL_WITHIN);
    let peer_pid = Pid::from_raw(i32::try_from(peer_pid).expect("a pid")).expect("a pid");
    kill_process(peer_pid, Signal::TERM).expect("kill");
    pair.peers[0].node.start();
}

#[test]
fn a_daemon_that_cannot_start_tells_its_caller_and_leaves_nobody() {
    let pair = TestPair::builder().build();
    let sersync = Sersync::new(pair.dir.path());
    let xml = fs::read_to_string(pair.dir.path().join("confxml.xml")).expect("read");
    fs::write(pair.dir.path().join("bad.xml"), xml.replace("</head>", "</haed>")).expect("write");
    fs::write(pair.dir.path().join("gone.xml"), xml.replace("source/data", "source/nowhere")).expect("write");
    let bad = sersync.run(&["-r", "-d", "-o", "bad.xml"], "state");
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
    assert!(text(&bad.stderr).contains("bad.xml:") && text(&bad.stderr).contains("`</haed>`"), "{bad:?}");
    let gone = sersync.run(&["-dro", "gone.xml"], "state");
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
    assert!(text(&gone.stderr).contains("source/nowhere` is not there"), "{gone:?}");
    assert!(sersync.pids().is_empty());
}

#[test]
fn help_is_exit_0_by_either_name() {
    let dir = tempfile::tempdir().expect("tempdir");
    let sersync = Sersync::new(dir.path());
    let help = Command::new(&sersync.link).arg("-h").output().expect("help");
    assert!(help.status.success() && text(&help.stdout).contains("-d"), "{help:?}");
}
