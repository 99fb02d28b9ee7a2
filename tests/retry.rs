//! What a peer has not acknowledged survives everything, is shown, and arrives when the peer is back.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::node::{Node, wait_until};
use support::pair::{EQUAL_WITHIN, TestPair};

/// A dead link is noticed in seconds, and the backoff comes on top.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

fn target(status: &Value) -> &Value {
    &status["sets"][0]["targets"][0]
}

fn pending(node: &Node) -> u64 {
    target(&node.status())["pending"].as_u64().expect("pending")
}

fn wait_pending(node: &Node, what: &str, holds: impl Fn(u64) -> bool) {
    node.wait_status(EQUAL_WITHIN, what, |status| target(status)["pending"].as_u64().is_some_and(&holds));
}

fn list(node: &Node) -> String {
    let output = node.ask(&["replay", "--list"]);
    assert!(output.status.success(), "{output:?}");
    text(output)
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("text")
}

/// The lines of `list` that are about `path`.
fn about<'a>(list: &'a str, path: &str) -> Vec<&'a str> {
    list.lines().filter(|line| line.split_whitespace().any(|word| word == path)).collect()
}

/// A tree of which much may go before a guard minds.
fn fill(root: &Path) {
    for n in 0..30 {
        let dir = root.join(format!("d{}", n % 3));
        fs::create_dir_all(&dir).expect("mkdir");
        fs::write(dir.join(format!("f{n}")), format!("{n}")).expect("write");
    }
}

/// A bit of everything, another one for each `round`.
fn change(root: &Path, round: u32) {
    fs::write(root.join(format!("new{round}")), "new").expect("write");
    fs::write(root.join("d0/f0"), format!("changed in round {round}")).expect("write");
    fs::remove_file(root.join(format!("d1/f{}", 1 + 3 * round))).expect("remove");
    fs::rename(root.join(format!("d2/f{}", 2 + 3 * round)), root.join(format!("moved{round}"))).expect("rename");
    fs::create_dir_all(root.join(format!("deep{round}/er"))).expect("mkdir");
    fs::write(root.join(format!("deep{round}/er/leaf")), "leaf").expect("write");
    fs::set_permissions(root.join("d0/f3"), fs::Permissions::from_mode(0o600 + round % 8)).expect("chmod");
}

/// Waits until the retry log of `node`, which runs, holds `paths` on disk: `kill -9` takes nothing of that away.
fn wait_recorded(node: &Node, paths: &[&str]) {
    let mut last = String::new();
    let recorded = wait_until(EQUAL_WITHIN, || {
        last = node.recorded();
        paths.iter().all(|path| about(&last, path).len() == 1)
    });
    assert!(recorded, "{paths:?} are not recorded:\n{last}\nbut pending:\n{}", list(node));
}

/// The retry log of `node`, which does not run, holds `path` once.
fn assert_recorded(node: &Node, path: &str) {
    let list = list(node);
    assert_eq!(about(&list, path).len(), 1, "{path} is not in the retry log once:\n{list}");
}

#[test]
fn what_changed_while_the_peer_was_down_arrives() {
    let mut pair = TestPair::builder().build();
    fill(pair.src());
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.peer().stop();
    change(pair.src(), 0);
    wait_pending(&pair.source, "pending", |n| n >= 8);
    pair.source.kill9();
    change(pair.src(), 1);
    pair.source.start();
    pair.peer().start();
    pair.wait_equal(HEALED_WITHIN);
    pair.peer().kill9();
    change(pair.src(), 2);
    pair.source.kill9();
    pair.peer().start();
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
    wait_pending(&pair.source, "nothing pending", |n| n == 0);
}

#[test]
fn the_list_names_peer_cause_and_age_and_a_path_is_pending_once() {
    let mut pair = TestPair::builder().build();
    fill(pair.src());
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    assert!(list(&pair.source).contains("Nothing is pending"), "{}", list(&pair.source));
    pair.peer().stop();
    for n in 0..1000 {
        fs::write(pair.src().join("d0/f0"), format!("{n}")).expect("write");
    }
    fs::write(pair.src().join("other"), "x").expect("write");
    // Two of `other`, its directory, and the file.
    wait_pending(&pair.source, "both pending", |n| n >= 2);
    let (address, cause) = (format!("127.0.0.1:{}", pair.peers[0].addr.port()), "nobody listens on UDP port");
    let explained = || {
        let shown = list(&pair.source);
        ["d0/f0", "other"].iter().all(|path| about(&shown, path).iter().any(|line| line.contains(cause)))
    };
    assert!(wait_until(EQUAL_WITHIN, explained), "{}", list(&pair.source));
    let shown = list(&pair.source);
    for path in ["d0/f0", "other"] {
        let [line] = about(&shown, path)[..] else { panic!("{path} is not listed once:\n{shown}") };
        let mut words = line.split_whitespace();
        assert!(words.next().is_some_and(|age| age.parse::<u64>().is_ok()) && words.next() == Some("s"), "{line}");
    }
    let head = shown.lines().next().unwrap_or_default();
    assert!(head.contains("127.0.0.1") && head.contains("data"), "the first line names peer and set:\n{shown}");
    assert!(pending(&pair.source) <= 4, "coalesced:\n{shown}");
    let oldest = target(&pair.source.status())["oldest_seconds"].clone();
    assert!(oldest.is_u64(), "the age of the oldest is in status: {oldest}");

    // The same is known at rest, since it becomes durable.
    wait_recorded(&pair.source, &["d0/f0", "other"]);
    pair.source.kill9();
    let at_rest = list(&pair.source);
    for path in ["d0/f0", "other"] {
        assert_eq!(about(&at_rest, path).len(), 1, "{at_rest}");
    }
    assert!(at_rest.contains(&address), "{at_rest}");
    pair.source.start();
    pair.peer().start();
    pair.wait_equal(HEALED_WITHIN);
    assert_eq!(fs::read_to_string(pair.dst().join("d0/f0")).expect("f0"), "999");
}

#[test]
fn the_retry_log_alone_converges() {
    let mut pair = TestPair::builder().source_set("full-compare=off").build();
    fill(pair.src());
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    wait_pending(&pair.source, "nothing pending", |n| n == 0);
    for round in 0..3 {
        pair.peer().kill9();
        change(pair.src(), round);
        let name = format!("deep{round}/er/leaf");
        let known = || about(&list(&pair.source), &name).len() == 1;
        assert!(wait_until(EQUAL_WITHIN, known), "{}", list(&pair.source));
        pair.source.wait_log(0, "nobody listens on UDP port", EQUAL_WITHIN);
        // It becomes durable: kill -9 then, and read the store at rest.
        wait_recorded(&pair.source, &[&name]);
        pair.source.kill9();
        assert_recorded(&pair.source, &name);
        pair.source.start();
        pair.peer().start();
        pair.wait_equal(HEALED_WITHIN);
        wait_pending(&pair.source, "nothing pending", |n| n == 0);
    }
    // And what happened while the source was not running at all, it sees at its start.
    pair.source.kill9();
    change(pair.src(), 3);
    pair.source.start();
    pair.wait_equal(HEALED_WITHIN);
}

#[test]
fn a_dead_link_is_noticed_and_heals() {
    let pair = TestPair::builder().proxy(7).source_set("idle-timeout=2s").peer_set("idle-timeout=2s").start();
    fs::write(pair.src().join("before"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.proxy().set(|network| network.blackhole = true);
    for n in 0..50 {
        fs::write(pair.src().join(format!("during{n}")), "x").expect("write");
    }
    fs::remove_file(pair.src().join("before")).expect("remove");
    pair.source.wait_status(EQUAL_WITHIN, "noticed", |status| {
        let target = target(status);
        target["state"] == "disconnected" && target["pending"].as_u64().is_some_and(|n| n >= 51)
    });
    let said = target(&pair.source.status())["last_error"]["cause"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("127.0.0.1"), "{said}");
    assert!(!pair.dst().join("during0").exists(), "the link was dead");
    pair.proxy().heal();
    pair.wait_equal(HEALED_WITHIN);
}

#[test]
fn the_fail_log_is_for_people_and_never_a_script() {
    let mut pair = TestPair::builder().build();
    let file = pair.dir.path().join("rsync_fail_log.sh");
    // sersync2 left an executable script there.
    fs::write(&file, "#!/bin/sh\n").expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.source.start();
    let read = || fs::read_to_string(&file).unwrap_or_default();
    assert!(wait_until(EQUAL_WITHIN, || read().contains("nobody listens on UDP port")), "{}", read());
    let text = read();
    let line = text.lines().last().unwrap_or_default();
    let mut words = line.split_whitespace();
    assert!(words.next().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{line}");
    assert_eq!((words.next(), words.next()), (Some("127.0.0.1"), Some("data")), "{line}");
    let mode = fs::metadata(&file).expect("fail log").permissions().mode();
    assert_eq!(mode & 0o111, 0, "it can be executed: {mode:o}");
    // It is a log of failures, not of attempts.
    pair.source
        .wait_status(EQUAL_WITHIN, "some attempts later", |s| s["uptime_seconds"].as_u64().is_some_and(|s| s >= 3));
    let causes = read().lines().filter(|line| line.contains("nobody listens")).count();
    assert_eq!(causes, 1, "{}", read());
    pair.peer().start();
    pair.wait_equal(HEALED_WITHIN);
}

#[test]
fn the_list_shows_how_the_link_stands_now() {
    let mut pair = TestPair::builder().source_password("wrong").build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.source.start();
    let says = |pair: &TestPair, cause: &str| {
        let shown = || about(&list(&pair.source), "f").iter().any(|line| line.contains(cause));
        assert!(wait_until(EQUAL_WITHIN, shown), "{cause}: {}", list(&pair.source));
    };
    // The first compare would find it; what changes meanwhile is pending by its name.
    fs::write(pair.src().join("f"), "y").expect("write");
    says(&pair, "nobody listens on UDP port");
    pair.peer().start();
    says(&pair, "wrong password");
}

#[test]
fn replay_tries_now() {
    let mut pair = TestPair::builder().build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.source.start();
    pair.source.wait_log(0, "nobody listens on UDP port", EQUAL_WITHIN);
    pair.peer().start();
    let replay = pair.source.ask(&["replay"]);
    assert!(replay.status.success(), "{replay:?}");
    assert!(text(replay).contains("tried now"));
    pair.wait_equal(HEALED_WITHIN);
    let list = pair.source.ask(&["replay", "--list"]);
    assert_eq!(list.status.code(), Some(0));
    let at_peer = pair.peers[0].node.ask(&["replay"]);
    assert_eq!(at_peer.status.code(), Some(3), "a peer has no retry log: {at_peer:?}");
}
