//! What it costs: memory whatever a file's size, and system calls for one save in a large tree.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::cgroup::Cgroup;
use support::node::{Node, wait_until};
use support::pair::{EQUAL_WITHIN, TestPair};
use support::skip;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// A file of 4 GiB is hashed by both sides, or 5,000 files travel, unoptimised, on a busy machine.
const LARGE_WITHIN: Duration = Duration::from_secs(300);

/// Data between the holes.
fn islands(file: &File) -> Vec<Vec<u8>> {
    let read = |at| {
        let mut part = vec![0; MIB as usize];
        file.read_exact_at(&mut part, at).unwrap();
        part
    };
    [0, GIB, 3 * GIB, 4 * GIB - MIB].map(read).to_vec()
}

#[test]
fn a_sparse_file_of_4_gib_travels_in_256_mib_and_stays_sparse() {
    let test = "a_sparse_file_of_4_gib_travels_in_256_mib_and_stays_sparse";
    let limits = (Cgroup::limited("source", 256 * MIB), Cgroup::limited("peer", 256 * MIB));
    let (Some(of_source), Some(of_peer)) = limits else {
        return skip::skipped(test, "a memory cgroup that it may make");
    };
    let mut pair = TestPair::builder().build();
    of_source.hold(&mut pair.source);
    of_peer.hold(pair.peer());
    let path = pair.src().join("sparse");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(4 * GIB).unwrap();
    let noise = support::seed::Seed::new(7).bytes(MIB as usize);
    file.write_all_at(&noise, 0).unwrap();
    file.write_all_at(&noise[..MIB as usize / 2], 4 * GIB - MIB).unwrap();
    pair.start_all();
    assert!(of_source.holds(pair.source.pid()) && of_peer.holds(pair.peers[0].node.pid()), "the limit is not in force");

    wait_same(&pair, &path);
    // Then a few blocks of it: a delta, whose signature is of all 4 GiB.
    file.write_all_at(&noise, 3 * GIB).unwrap();
    file.write_all_at(b"changed", GIB).unwrap();
    drop(file);
    wait_same(&pair, &path);
    assert!(pair.source.is_running() && pair.peer().is_running(), "one ran out of memory");
    // The limits outlast the processes that they hold.
    drop(pair);
}

/// Waits until the replica has the file as it is now, and no more blocks of it.
fn wait_same(pair: &TestPair, path: &Path) {
    let source = fs::metadata(path).unwrap();
    let at_peer = pair.dst().join("sparse");
    let time = |meta: &fs::Metadata| (meta.mtime(), meta.mtime_nsec(), meta.len());
    let arrived = || fs::metadata(&at_peer).is_ok_and(|meta| time(&meta) == time(&source));
    assert!(wait_until(LARGE_WITHIN, arrived), "it did not arrive\n{}", pair.source.log());
    assert!(islands(&File::open(path).unwrap()) == islands(&File::open(&at_peer).unwrap()), "the content differs");
    let (ours, theirs) = (source.blocks() * 512, fs::metadata(&at_peer).unwrap().blocks() * 512);
    assert!(theirs <= ours + MIB, "the holes are filled: {ours} bytes of disk became {theirs}");
}

/// Files in the tree around the one that is saved.
const FILES: usize = 5_000;
/// Fewer file-system calls than this for one save.
const CALLS: usize = 50;

/// strace on a node that runs.
///
/// Counted is every call of strace's classes `%file` (those that take a path) and `%desc` (those that take a
/// descriptor), but for those on sockets, eventfds, timerfds and epolls: they wait and talk, and touch no file.
/// Nor does `fcntl(F_GETFD)` count, by which the standard library checks each descriptor before it closes it, in
/// unoptimised builds alone. Reading inotify events counts. The node's own database is written once a second, for all
/// that was saved meanwhile: its calls are shown, but no part of what one save costs.
struct Trace {
    child: Child,
    file: PathBuf,
}

impl Trace {
    /// None when this process may not be traced.
    fn attach(node: &Node, file: PathBuf) -> Option<Self> {
        let pid = node.pid();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=%file,%desc", "-p", &pid.to_string(), "-o"]).arg(&file);
        let child = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut trace = Self { child, file };
        let attached = wait_until(EQUAL_WITHIN, || is_traced(pid) || !matches!(trace.child.try_wait(), Ok(None)));
        (attached && is_traced(pid)).then_some(trace)
    }

    fn calls(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&fs::read(&self.file).unwrap_or_default()).into_owned();
        text.lines().filter(|line| is_file_call(line)).map(str::to_owned).collect()
    }

    /// How many calls there are once there have been no more for a while.
    fn settled(&self) -> Vec<String> {
        let (mut calls, mut since) = (self.calls(), Instant::now());
        let quiet = wait_until(EQUAL_WITHIN, || {
            let now = self.calls();
            if now.len() != calls.len() {
                (calls, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_secs(2)
        });
        assert!(quiet, "it never rests: {:#?}", &calls[calls.len().saturating_sub(30)..]);
        calls
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It lets go of the node when it ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether every thread of the process is traced.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
    })
}

fn is_file_call(line: &str) -> bool {
    // `PID NAME(…`; what is interrupted by another thread goes on in a line of its own.
    let Some((_, call)) = line.split_once(' ') else { return false };
    let Some((name, arguments)) = call.trim_start().split_once('(') else { return false };
    let waits = ["epoll_", "poll", "ppoll", "select", "pselect", "eventfd", "timerfd_"];
    let talks =
        ["<socket:", "<UDP", "<TCP", "<UNIX", "<anon_inode:[eventfd", "<anon_inode:[timerfd", "<anon_inode:[eventpoll"];
    let first = arguments.split(',').next().unwrap_or_default();
    !call.contains("resumed>")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !arguments.contains(" F_GETFD)")
        && !waits.iter().any(|wait| name.starts_with(wait))
        && !talks.iter().any(|talk| first.contains(talk))
}

#[test]
fn what_counts_as_a_file_call() {
    for counted in [
        r#"12 openat(5</srv>, "x", O_RDONLY) = 7</srv/x>"#,
        r#"12 read(9<anon_inode:inotify>, "", 65536) = 32"#,
        r#"12 pwrite64(3</var/lib/db>, "x", 1, 0 <unfinished ...>"#,
    ] {
        assert!(is_file_call(counted), "{counted}");
    }
    for free in [
        "12 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, -1) = 0",
        r#"12 write(4<anon_inode:[eventfd]>, "", 8) = 8"#,
        r#"12 read(8<UNIX:[12->13]>, "", 8) = 8"#,
        "12 <... read resumed>\"x\", 1) = 1",
        "12 +++ exited with 0 +++",
        "12 close(8<socket:[77]>) = 0",
        "12 fcntl(8</srv/x>, F_GETFD) = 0x1 (flags FD_CLOEXEC)",
    ] {
        assert!(!is_file_call(free), "{free}");
    }
}

#[test]
fn one_save_in_a_large_tree_costs_few_file_system_calls() {
    let test = "one_save_in_a_large_tree_costs_few_file_system_calls";
    if !skip::have(test, "strace") {
        return;
    }
    let mut pair = TestPair::builder().build();
    for n in 0..FILES {
        let dir = pair.src().join(format!("d{}", n / 100));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{n}.conf")), format!("server {n};\n")).unwrap();
    }
    pair.start_all();
    pair.wait_equal(LARGE_WITHIN);
    let trace = |node: &Node, name: &str| Trace::attach(node, pair.dir.path().join(name));
    let traces = (trace(&pair.source, "source.trace"), trace(&pair.peers[0].node, "peer.trace"));
    let (Some(source), Some(peer)) = traces else {
        return skip::skipped(test, "the right to trace its processes");
    };
    let mut before = [source.settled().len(), peer.settled().len()];
    for save in 0..3 {
        let text = format!("server {save} saved;\n");
        // One write of a text that is no shorter: nothing in between is ever seen, however late the source looks.
        let file = File::options().write(true).open(pair.src().join("d7/777.conf")).unwrap();
        assert_eq!(file.write_at(text.as_bytes(), 0).unwrap(), text.len());
        drop(file);
        let arrived = || fs::read_to_string(pair.dst().join("d7/777.conf")).is_ok_and(|there| there == text);
        assert!(wait_until(EQUAL_WITHIN, arrived), "it did not arrive");
        for ((side, trace), before) in [("source", &source), ("peer", &peer)].into_iter().zip(&mut before) {
            let calls = trace.settled();
            let new = calls[std::mem::replace(before, calls.len())..].iter();
            let (store, cost): (Vec<_>, Vec<_>) = new.partition(|call| call.contains("/store.redb>"));
            println!("save {save}, {side}: {} calls, and {} of the database", cost.len(), store.len());
            assert!(!cost.is_empty(), "{side}: a save that is seen costs something: the count is wrong");
            assert!(cost.len() < CALLS, "{side}: {} calls for one save: {cost:#?}", cost.len());
        }
    }
    drop((source, peer));
    pair.wait_equal(EQUAL_WITHIN);
}
