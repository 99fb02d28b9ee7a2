//! Each side is killed before one of the system calls of sending and taking a batch of edits: it converges, always.
//!
//! strace(1) is attached to the running node, so that calls count from the edits on, in each thread by itself.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::node::{Node, wait_until};
use support::pair::TestPair;
use support::skip::have;

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node is killed before: a call, and the how many-th of a thread.
type Point = (&'static str, u32);

/// Looking, reading, recording what is owed, sending, learning that it arrived.
const AT_THE_SOURCE: [Point; 26] = [
    ("openat", 1),
    ("openat", 2),
    ("openat", 5),
    ("openat", 12),
    ("statx", 1),
    ("statx", 6),
    ("newfstatat", 1),
    ("getdents64", 1),
    ("getdents64", 3),
    ("pread64", 1),
    ("pread64", 4),
    ("read", 1),
    ("read", 3),
    ("read", 9),
    ("pwrite64", 1),
    ("pwrite64", 3),
    ("pwrite64", 9),
    ("fdatasync", 1),
    ("fdatasync", 2),
    ("sendmsg", 1),
    ("sendmsg", 2),
    ("sendmsg", 4),
    ("sendmsg", 9),
    ("recvmmsg", 1),
    ("recvmmsg", 5),
    ("inotify_add_watch", 1),
];

/// Staging, committing, acknowledging.
const AT_THE_PEER: [Point; 26] = [
    ("openat", 1),
    ("openat", 3),
    ("openat", 9),
    ("mkdirat", 1),
    ("write", 1),
    ("write", 4),
    ("utimensat", 1),
    ("fchmod", 1),
    ("syncfs", 1),
    ("fsync", 1),
    ("fsync", 2),
    ("renameat2", 1),
    ("renameat2", 2),
    ("renameat2", 4),
    ("renameat2", 7),
    ("renameat", 1),
    ("unlinkat", 1),
    ("unlinkat", 3),
    ("symlinkat", 1),
    ("pwrite64", 1),
    ("fdatasync", 1),
    ("sendmsg", 1),
    ("sendmsg", 2),
    ("sendmsg", 5),
    ("recvmmsg", 2),
    ("recvmmsg", 6),
];

/// With so few kills of a sweep the points would no longer be those of the code.
const FEWEST: usize = 10;

/// Every kind of work, so that each round does again what the ones before did.
fn edit(root: &Path, round: usize) {
    let content = |size: usize| vec![u8::try_from(round % 251).expect("below 251"); size];
    fs::write(root.join("rewritten"), content(3000 + round)).expect("write");
    fs::write(root.join(format!("new-{round}")), content(100)).expect("write");
    fs::write(root.join("large"), [content(150_000), vec![0; 100_000]].concat()).expect("write");
    let (old, new) = (root.join(format!("dir-{round}")), root.join(format!("dir-{}", round + 1)));
    if !old.exists() {
        fs::create_dir(&old).expect("mkdir");
    }
    fs::rename(&old, &new).expect("rename");
    fs::write(new.join("inside"), content(10)).expect("write");
    let deep = root.join(format!("deep-{round}/a/b"));
    fs::create_dir_all(&deep).expect("mkdir");
    fs::write(deep.join("leaf"), content(10)).expect("write");
    if let Some(before) = round.checked_sub(1) {
        fs::remove_file(root.join(format!("new-{before}"))).expect("remove");
        fs::remove_dir_all(root.join(format!("deep-{before}"))).expect("remove");
    }
    let (temp, current) = (root.join("current.tmp"), root.join("current"));
    symlink(format!("dir-{round}"), &temp).expect("symlink");
    fs::rename(&temp, &current).expect("rename");
}

/// Attaches strace to `node`, to kill it at `point`; returns once it is attached.
fn attach(node: &Node, (call, when): Point) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &node.pid().to_string(), "-e", &format!("trace={call}"), "-o", "/dev/null"]);
    strace.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
    let mut strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace");
    let mut lines = BufReader::new(strace.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let said = lines.next().unwrap_or_default();
    assert!(said.contains("attached"), "strace: {said}");
    // Reads to the end, so that strace never blocks on a full pipe.
    std::thread::spawn(move || lines.count());
    strace
}

/// Kills one side at every point of `points`; whatever it was doing, both are equal after it came back.
fn sweep(mut pair: TestPair, points: &[Point], side: impl Fn(&mut TestPair) -> &mut Node) {
    edit(pair.src(), 0);
    pair.wait_equal(PATIENCE);
    let mut killed = Vec::new();
    for (round, point) in points.iter().enumerate() {
        let node = side(&mut pair);
        let mut strace = attach(node, *point);
        edit(pair.src(), round + 1);
        // A point that the batch does not reach is done with when everything has arrived.
        let done = wait_until(PATIENCE, || !side(&mut pair).is_running() || pair.differences().is_empty());
        assert!(done, "{point:?}: neither killed nor equal: {:?}\n{}", pair.differences(), side(&mut pair).log());
        let node = side(&mut pair);
        if !node.is_running() {
            killed.push(*point);
        }
        node.kill9();
        // It ends with the last process that it traces; killed before, it would take the point with it.
        strace.wait().expect("strace ends");
        node.start();
        println!("{point:?}");
        pair.wait_equal(PATIENCE);
    }
    println!("killed at {killed:?}");
    assert!(killed.len() >= FEWEST, "only {} of {} points were reached: {killed:?}", killed.len(), points.len());
}

/// Without a compare of everything what is owed is known from the retry log alone, which is written at once. A side
/// that was killed is missed soon.
fn pair() -> TestPair {
    let builder = TestPair::builder().source_set("full-compare=off").source_set("record-after=0ms");
    let builder = builder.source_set("delete=always").peer_set("delete=always");
    builder.source_set("idle-timeout=3s").source_set("retry-ceiling=1s").start()
}

#[test]
fn the_source_is_killed_at_every_step() {
    if !have("the_source_is_killed_at_every_step", "strace") {
        return;
    }
    sweep(pair(), &AT_THE_SOURCE, |pair| &mut pair.source);
}

#[test]
fn the_peer_is_killed_at_every_step() {
    if !have("the_peer_is_killed_at_every_step", "strace") {
        return;
    }
    sweep(pair(), &AT_THE_PEER, TestPair::peer);
}
