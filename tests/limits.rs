//! What runs out or is forbidden: it is shown, nothing is lost, and it goes on by itself once the cause is gone.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::node::{Node, wait_until};
use support::pair::{Builder, EQUAL_WITHIN, TestPair};
use support::skip;

/// Polling and its repairs take some seconds each.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

fn run(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success())
}

/// The first set of a status.
fn set(status: &Value) -> &Value {
    &status["sets"][0]
}

fn has(value: &Value, part: &str) -> bool {
    value.as_str().is_some_and(|text| text.contains(part))
}

fn syncd(node: &Node, args: &[&str]) {
    let output = node.ask(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
}

fn fill(dir: &Path, files: usize) {
    for n in 0..files {
        fs::write(dir.join(format!("{n}.conf")), format!("server {n};\n")).unwrap();
    }
}

#[test]
fn beyond_the_watch_limit_changes_arrive_by_polling() {
    let test = "beyond_the_watch_limit_changes_arrive_by_polling";
    // The limit of a user namespace, never fs.inotify.*: the latter is the host's.
    let limit = "echo 5 > /proc/sys/user/max_inotify_watches";
    if !skip::have(test, "unshare") || !skip::have(test, "nsenter") {
        return;
    }
    if !run(&["unshare", "-Ur", "sh", "-c", limit]) {
        return skip::skipped(test, "a user namespace that it may make");
    }
    let mut pair = TestPair::builder().build();
    let dirs: Vec<PathBuf> = (0..10).map(|n| pair.src().join(format!("d{n}/e"))).collect();
    for dir in &dirs {
        fs::create_dir_all(dir).unwrap();
    }
    pair.source.run_under(["unshare", "-Ur", "sh", "-c", &format!("{limit} && exec \"$@\""), "sh"]);
    pair.start_all();
    pair.source.wait_status(SHOWN_WITHIN, "limited", |status| {
        has(&set(status)["watch"]["limited"], "sysctl -w fs.inotify.max_user_watches=")
            && set(status)["watch"]["polled"].as_u64() > Some(0)
    });
    pair.wait_equal(EQUAL_WITHIN);
    for dir in &dirs {
        fs::write(dir.join("late"), "x").unwrap();
    }
    pair.wait_equal(EQUAL_WITHIN);
    fs::remove_file(dirs[9].join("late")).unwrap();
    fs::write(dirs[8].join("late"), "other").unwrap();
    pair.wait_equal(EQUAL_WITHIN);

    let pid = pair.source.pid().to_string();
    let raise = "echo 1000 > /proc/sys/user/max_inotify_watches";
    assert!(run(&["nsenter", "-t", &pid, "-U", "--preserve-credentials", "sh", "-c", raise]), "cannot raise the limit");
    pair.source.wait_status(SHOWN_WITHIN, "watched again", |status| set(status)["watch"]["limited"].is_null());
    fs::write(dirs[9].join("again"), "x").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

/// A pair with 64 descriptors for one side and a tree of many more directories.
fn few_descriptors(test: &str, limit: impl Fn(&mut TestPair)) {
    if !skip::have(test, "prlimit") {
        return;
    }
    let mut pair = TestPair::builder().build();
    limit(&mut pair);
    for n in 0..200 {
        let dir = pair.src().join(format!("{n}/a/b"));
        fs::create_dir_all(&dir).unwrap();
        fill(&dir, 5);
    }
    fs::write(pair.src().join("large"), vec![3; 2 << 20]).unwrap();
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    for n in 0..200 {
        fs::write(pair.src().join(format!("{n}/a/b/0.conf")), "changed").unwrap();
    }
    fs::rename(pair.src().join("7"), pair.src().join("seven")).unwrap();
    fs::remove_dir_all(pair.src().join("8")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_source_with_few_descriptors_works() {
    few_descriptors("a_source_with_few_descriptors_works", |pair| {
        pair.source.run_under(["prlimit", "--nofile=64"]);
    });
}

#[test]
fn a_peer_with_few_descriptors_works() {
    few_descriptors("a_peer_with_few_descriptors_works", |pair| {
        pair.peer().run_under(["prlimit", "--nofile=64"]);
    });
}

/// A file system in memory, mounted for as long as this lives.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// None where it cannot be mounted.
    fn mount(at: &Path, options: &str) -> Option<Self> {
        let at = at.to_str().unwrap();
        run(&["mount", "-t", "tmpfs", "-o", options, "none", at]).then(|| Self(at.into()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(run(&["mount", "-o", &options, self.0.to_str().unwrap()]), "{options}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}

/// A pair whose replica is a file system of its own, equal and at rest.
fn with_tmpfs(test: &str, options: &str) -> Option<(Tmpfs, TestPair)> {
    if !skip::am_root(test) {
        return None;
    }
    let mut pair = TestPair::builder().build();
    let Some(tmpfs) = Tmpfs::mount(pair.dst(), options) else {
        skip::skipped(test, "the right to mount a tmpfs");
        return None;
    };
    fill(pair.src(), 10);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    Some((tmpfs, pair))
}

/// The peer shows the fault and its cause, the source too, and that something is owed.
fn wait_fault(pair: &TestPair, cause: &str) {
    pair.peers[0].node.wait_status(SHOWN_WITHIN, cause, |status| has(&set(status)["fault"], cause));
    pair.source.wait_status(SHOWN_WITHIN, cause, |status| {
        let target = &set(status)["targets"][0];
        has(&target["last_error"]["cause"], cause) && target["pending"].as_u64() > Some(0)
    });
    let listed = String::from_utf8(pair.source.ask(&["replay", "--list"]).stdout).unwrap();
    assert!(listed.contains(cause), "the retry log does not tell the cause: {listed}");
}

fn wait_mended(pair: &TestPair) {
    pair.wait_equal(EQUAL_WITHIN);
    pair.peers[0].node.wait_status(SHOWN_WITHIN, "mended", |status| set(status)["fault"].is_null());
    let nothing_owed = |status: &Value| set(status)["targets"][0]["pending"] == 0;
    pair.source.wait_status(SHOWN_WITHIN, "at rest", nothing_owed);
}

#[test]
fn a_full_target_takes_everything_once_there_is_room() {
    let Some((tmpfs, pair)) = with_tmpfs("a_full_target_takes_everything_once_there_is_room", "size=4m") else {
        return;
    };
    fs::write(pair.src().join("big"), vec![1; 8 << 20]).unwrap();
    wait_fault(&pair, "No space");
    // What happens meanwhile is owed as well.
    fs::write(pair.src().join("0.conf"), "later").unwrap();
    fs::remove_file(pair.src().join("1.conf")).unwrap();
    tmpfs.remount("size=64m");
    wait_mended(&pair);
}

#[test]
fn a_target_full_of_small_files_takes_everything_once_there_is_room() {
    let test = "a_target_full_of_small_files_takes_everything_once_there_is_room";
    let Some((tmpfs, pair)) = with_tmpfs(test, "size=64m,nr_inodes=60") else { return };
    let dir = pair.src().join("many");
    fs::create_dir(&dir).unwrap();
    fill(&dir, 200);
    wait_fault(&pair, "No space");
    tmpfs.remount("size=64m,nr_inodes=10000");
    wait_mended(&pair);
}

#[test]
fn a_read_only_target_takes_everything_once_it_is_writable() {
    let Some((tmpfs, pair)) = with_tmpfs("a_read_only_target_takes_everything_once_it_is_writable", "size=64m") else {
        return;
    };
    tmpfs.remount("ro");
    fs::write(pair.src().join("0.conf"), "later").unwrap();
    fs::write(pair.src().join("large"), vec![1; 1 << 20]).unwrap();
    wait_fault(&pair, "Read-only file system");
    fs::remove_file(pair.src().join("1.conf")).unwrap();
    tmpfs.remount("rw");
    wait_mended(&pair);
}

#[test]
fn a_replica_whose_root_or_stage_is_removed_is_made_again_once_there_is_a_directory() {
    let pair = TestPair::start();
    fill(pair.src(), 30);
    pair.wait_equal(EQUAL_WITHIN);

    fs::remove_dir_all(pair.dst().join(".syncd")).unwrap();
    fs::write(pair.src().join("0.conf"), "without .syncd").unwrap();
    pair.wait_equal(EQUAL_WITHIN);

    fs::remove_dir_all(pair.dst()).unwrap();
    fs::write(pair.src().join("0.conf"), "without a root").unwrap();
    wait_fault(&pair, "cannot open");
    fs::create_dir(pair.dst()).unwrap();
    wait_mended(&pair);
}

#[test]
fn a_replica_that_is_mounted_late_is_written_where_people_see_it() {
    let Some((_tmpfs, pair)) = with_tmpfs("a_replica_that_is_mounted_late_is_written_where_people_see_it", "size=64m")
    else {
        return;
    };
    let again = Tmpfs::mount(pair.dst(), "size=32m").unwrap();
    fs::write(pair.src().join("0.conf"), "over it").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    let equal = || pair.source.ask(&["verify"]).status.success();
    assert!(wait_until(EQUAL_WITHIN, equal));
    drop(again);
    // Nothing was sent since: a verify looks where people look, too.
    assert!(!equal());
    fs::write(pair.src().join("1.conf"), "below it").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn what_may_not_be_read_is_reported_and_all_else_goes_on() {
    let test = "what_may_not_be_read_is_reported_and_all_else_goes_on";
    let mut pair = TestPair::builder().build();
    if rustix::process::geteuid().is_root() {
        // Root reads everything, unless it may not override modes.
        let without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
        if !run(&[&without[..], &["true"]].concat()) {
            return skip::skipped(test, "the right to drop capabilities");
        }
        pair.source.run_under(without);
    }
    let chmod = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let (secret, closed) = (pair.src().join("secret"), pair.src().join("closed"));
    fill(pair.src(), 10);
    fs::create_dir(&closed).unwrap();
    fill(&closed, 3);
    fs::write(&secret, "secret").unwrap();
    chmod(&secret, 0);
    pair.start_all();
    let reported = |pair: &TestPair, path: &str| {
        pair.source.wait_status(SHOWN_WITHIN, path, |status| {
            let problems = set(status)["problems"].as_array().unwrap();
            problems.iter().any(|problem| problem["path"] == path && has(&problem["cause"], "Permission denied"))
        });
    };
    let differs_only_at = |pair: &TestPair, paths: &[&str]| {
        let only =
            || pair.differences().iter().all(|line| paths.iter().any(|path| line.contains(&format!(": {path}: "))));
        assert!(wait_until(EQUAL_WITHIN, only), "{:#?}", pair.differences());
    };
    reported(&pair, "secret");
    let fail_log = || fs::read_to_string(pair.dir.path().join("rsync_fail_log.sh")).unwrap_or_default();
    assert!(wait_until(EQUAL_WITHIN, || fail_log().contains(" secret: not sent: Permission denied")), "{}", fail_log());
    differs_only_at(&pair, &["secret"]);
    fs::write(pair.src().join("0.conf"), "goes on").unwrap();
    differs_only_at(&pair, &["secret"]);

    // A directory that can no longer be read is not one that was emptied.
    chmod(&closed, 0);
    fs::write(pair.src().join("1.conf"), "goes on").unwrap();
    let arrived = || fs::read_to_string(pair.dst().join("1.conf")).is_ok_and(|text| text == "goes on");
    assert!(wait_until(EQUAL_WITHIN, arrived), "one directory holds up all else");
    chmod(&closed, 0o755);
    chmod(&secret, 0o644);
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(fs::read_dir(pair.dst().join("closed")).unwrap().count(), 3);
    pair.source.wait_status(SHOWN_WITHIN, "mended", |status| set(status)["problems"].as_array().unwrap().is_empty());
}

#[test]
fn deletions_that_the_peer_holds_back_go_once_they_are_approved_there() {
    // The source would delete whatever it is told to: the guard of the peer alone holds it back.
    let mut pair = TestPair::builder().source_set("delete=always").build();
    fill(pair.src(), 40);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.pause();
    for n in 0..30 {
        fs::remove_file(pair.src().join(format!("{n}.conf"))).unwrap();
    }
    pair.source.resume();
    let peer = &pair.peers[0].node;
    peer.wait_status(SHOWN_WITHIN, "halted", |status| has(&set(status)["halted"], "syncd approve data"));
    pair.source
        .wait_status(SHOWN_WITHIN, "held", |status| set(status)["targets"][0]["deletions_held"].as_u64() >= Some(30));
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 41, "the guard let deletions through");
    syncd(peer, &["approve", "data"]);
    pair.wait_equal(EQUAL_WITHIN);
    peer.wait_status(SHOWN_WITHIN, "released", |status| set(status)["halted"].is_null());
    pair.source.wait_status(SHOWN_WITHIN, "at rest", |status| set(status)["targets"][0]["pending"] == 0);
    // One approval is for what was held back, and for nothing that comes later.
    let more =
        |from: usize| (from..from + 40).for_each(|n| fs::write(pair.src().join(format!("{n}.conf")), "x").unwrap());
    more(100);
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.pause();
    (100..140).for_each(|n| fs::remove_file(pair.src().join(format!("{n}.conf"))).unwrap());
    pair.source.resume();
    peer.wait_status(SHOWN_WITHIN, "halted again", |status| has(&set(status)["halted"], "syncd approve data"));
}

/// By then they are no longer most of what is there, and the peer's guard would let them pass.
#[test]
fn deletions_that_a_peer_holds_back_wait_for_approval_over_a_restart_too() {
    let mut pair = TestPair::builder().source_set("delete=always").build();
    fill(pair.src(), 40);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.pause();
    (0..30).for_each(|n| fs::remove_file(pair.src().join(format!("{n}.conf"))).unwrap());
    pair.source.resume();
    let held = |status: &Value| set(status)["targets"][0]["deletions_held"] == 30;
    pair.source.wait_status(SHOWN_WITHIN, "held", held);
    (40..100).for_each(|n| fs::write(pair.src().join(format!("{n}.conf")), "x").unwrap());
    let entries = |pair: &TestPair| fs::read_dir(pair.dst()).unwrap().count();
    assert!(wait_until(EQUAL_WITHIN, || entries(&pair) == 101), "what is new does not arrive");
    pair.source.restart();
    pair.source.wait_status(SHOWN_WITHIN, "held again", held);
    pair.peer().kill9();
    pair.peer().start();
    pair.source.kill9();
    pair.source.start();
    pair.source.wait_status(SHOWN_WITHIN, "held once more", held);
    assert_eq!(entries(&pair), 101, "a restart let deletions through");
    // Where nobody is there to be told, whoever connects next is.
    pair.source.stop();
    pair.peers[0].node.wait_status(SHOWN_WITHIN, "alone", |status| set(status)["sources"] == Value::Array(Vec::new()));
    syncd(&pair.peers[0].node, &["approve", "data"]);
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
}

/// A file that nobody may replace, for as long as this lives.
struct Immutable(PathBuf);

impl Immutable {
    /// None where there is no such thing.
    fn new(path: PathBuf) -> Option<Self> {
        run(&["chattr", "+i", path.to_str().unwrap()]).then_some(Self(path))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        run(&["chattr", "-i", self.0.to_str().unwrap()]);
    }
}

#[test]
fn what_a_peer_cannot_apply_is_listed_with_it_and_told_once_until_it_heals() {
    let test = "what_a_peer_cannot_apply_is_listed_with_it_and_told_once_until_it_heals";
    if !skip::am_root(test) {
        return;
    }
    let pair = TestPair::start();
    fill(pair.src(), 3);
    pair.wait_equal(EQUAL_WITHIN);
    let Some(frozen) = Immutable::new(pair.dst().join("1.conf")) else {
        return skip::skipped(test, "immutable files (chattr +i)");
    };
    fs::write(pair.src().join("1.conf"), "changed").unwrap();
    let listed = |status: &Value| {
        let problems = set(status)["problems"].as_array().unwrap();
        let [problem] = &problems[..] else { return false };
        problem["path"] == "1.conf" && has(&problem["peer"], "127.0.0.1") && has(&problem["cause"], "not permitted")
    };
    pair.source.wait_status(SHOWN_WITHIN, "listed", listed);
    let people = String::from_utf8(pair.source.ask(&["status"]).stdout).unwrap();
    let line = people.lines().find(|line| line.contains("! 1.conf")).unwrap_or_default();
    assert!(line.contains("at 127.0.0.1") && line.contains("not permitted"), "{people}");
    // It is tried again and again, and told once.
    let sent = |status: &Value| status["counters"]["change_sets_sent"].as_u64().unwrap();
    let before = sent(&pair.source.status());
    pair.source.wait_status(SHOWN_WITHIN, "tried again", |status| sent(status) >= before + 3);
    assert_eq!(pair.source.log().matches("not applied there").count(), 1, "{}", pair.source.log());
    fs::write(pair.src().join("2.conf"), "goes on").unwrap();
    let arrived = || fs::read_to_string(pair.dst().join("2.conf")).is_ok_and(|text| text == "goes on");
    assert!(wait_until(EQUAL_WITHIN, arrived), "one path holds up all else");
    pair.source.wait_status(SHOWN_WITHIN, "still listed", listed);
    drop(frozen);
    syncd(&pair.source, &["replay"]);
    pair.wait_equal(EQUAL_WITHIN);
    let healed = |status: &Value| set(status)["problems"].as_array().unwrap().is_empty();
    pair.source.wait_status(SHOWN_WITHIN, "healed", healed);
    assert_eq!(pair.source.log().matches("is kept equal there again").count(), 1, "{}", pair.source.log());
}

/// A pair of ten files whose source root was taken away and made again with one new file; deletions are halted.
fn root_made_again() -> TestPair {
    root_made_again_in(TestPair::builder())
}

fn root_made_again_in(builder: Builder) -> TestPair {
    let mut pair = builder.build();
    fill(pair.src(), 10);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    // At once: a slow `rm -r` is first seen as the removal of one file after the other.
    fs::rename(pair.src(), pair.dir.path().join("away")).unwrap();
    pair.source.wait_status(SHOWN_WITHIN, "gone", |status| {
        has(&set(status)["fault"], "root directory is gone") && !set(status)["halted"].is_null()
    });
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 11, "ten files and .syncd");
    fs::create_dir(pair.src()).unwrap();
    fs::write(pair.src().join("new"), "new").unwrap();
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("new").exists()), "what is new does not arrive");
    pair.source.wait_status(SHOWN_WITHIN, "halted", |status| {
        set(status)["fault"].is_null() && !set(status)["halted"].is_null()
    });
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 12, "the guard let deletions through");
    pair
}

#[test]
fn a_root_made_again_deletes_nothing_until_approved() {
    let pair = root_made_again();
    syncd(&pair.source, &["approve", "data"]);
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(SHOWN_WITHIN, "released", |status| set(status)["halted"].is_null());
}

#[test]
fn a_root_made_again_and_filled_goes_on_after_resume() {
    let pair = root_made_again();
    fs::remove_file(pair.src().join("new")).unwrap();
    fill(pair.src(), 10);
    let refilled = || pair.differences().iter().all(|line| line.contains(": new: ") || line.contains(": (root): "));
    assert!(wait_until(EQUAL_WITHIN, refilled), "{:#?}", pair.differences());
    assert!(pair.dst().join("new").exists(), "the guard let a deletion through");
    syncd(&pair.source, &["resume", "data"]);
    pair.source.wait_status(SHOWN_WITHIN, "released", |status| set(status)["halted"].is_null());
    // The deletion that was held back is forgotten or done, as the operator's next step has it; new ones are done.
    fs::remove_file(pair.src().join("3.conf")).unwrap();
    assert!(wait_until(EQUAL_WITHIN, || !pair.dst().join("3.conf").exists()), "a deletion after resume is not done");
}

/// The ten removals of a root that was made again are held back, and nothing is gone.
fn holds_all_ten(pair: &TestPair) {
    pair.source.wait_status(SHOWN_WITHIN, "still halted", |status| {
        let target = &set(status)["targets"][0];
        let held = target["deletions_held"] == 10 && target["pending"] == 10;
        held && has(&set(status)["halted"], "root directory is gone")
    });
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 12, "a restart let deletions through");
}

/// What is new arrives, and nothing is halted or owed.
fn goes_on(pair: &TestPair, name: &str) {
    fs::write(pair.src().join(name), "new").unwrap();
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join(name).exists()), "what is new does not arrive");
    pair.source.wait_status(SHOWN_WITHIN, "at rest", |status| {
        set(status)["halted"].is_null() && set(status)["targets"][0]["pending"] == 0
    });
}

#[test]
fn whoever_switches_the_guard_off_lets_go_what_it_held_back() {
    let mut pair = root_made_again();
    // Nothing is held back there, and then nothing is said to be.
    for policy in ["delete=never", "delete=always"] {
        pair.source.stop();
        pair.source.arg("--set").arg(policy);
        pair.source.start();
        pair.source.wait_status(SHOWN_WITHIN, policy, |status| {
            let target = &set(status)["targets"][0];
            target["state"] == "idle" && target["deletions_held"] == 0 && set(status)["halted"].is_null()
        });
    }
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn neither_a_restart_nor_a_kill_nor_a_reload_is_an_approval() {
    let mut pair = root_made_again();
    pair.source.restart();
    holds_all_ten(&pair);
    pair.source.kill9();
    pair.source.start();
    holds_all_ten(&pair);
    let from = pair.source.log().len();
    syncd(&pair.source, &["reload"]);
    pair.source.wait_log(from, "reload: ", SHOWN_WITHIN);
    holds_all_ten(&pair);
    syncd(&pair.source, &["approve", "data"]);
    // What was approved is, whatever ends the program next.
    pair.source.kill9();
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
    goes_on(&pair, "newer");
    pair.source.restart();
    goes_on(&pair, "newest");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_halt_outlives_a_kill_at_once() {
    let mut pair = root_made_again();
    pair.source.kill9();
    pair.source.start();
    holds_all_ten(&pair);
}

/// Where no compare shows them again.
#[test]
fn what_resume_forgets_no_restart_brings_back() {
    let mut pair = root_made_again_in(TestPair::builder().source_set("full-compare=off"));
    // The retry log has them from now on.
    pair.source.restart();
    holds_all_ten(&pair);
    syncd(&pair.source, &["resume", "data"]);
    pair.source.restart();
    goes_on(&pair, "newer");
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 13, "a restart let deletions through");
}

/// Nobody was there to see that the names only moved: as many come as go.
#[test]
fn a_directory_that_was_renamed_while_nobody_looked_is_no_mass_deletion() {
    let mut pair = TestPair::builder().build();
    fs::create_dir(pair.src().join("l")).unwrap();
    fill(&pair.src().join("l"), 60);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.stop();
    fs::rename(pair.src().join("l"), pair.src().join("m")).unwrap();
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
}

/// What arrived would be sent again, into a tree that never ends.
#[test]
fn a_replica_within_the_tree_that_is_sent_is_refused() {
    let mut pair = TestPair::builder().build();
    fill(pair.src(), 3);
    let within = pair.src().join("t");
    fs::create_dir(&within).unwrap();
    fs::remove_dir(pair.dst()).unwrap();
    std::os::unix::fs::symlink(&within, pair.dst()).unwrap();
    pair.start_all();
    pair.source.wait_log(0, "one lies within the other", SHOWN_WITHIN);
    assert!(!within.join("0.conf").exists());
}

#[test]
fn what_rm_takes_bit_by_bit_stays_at_the_peer() {
    // No pause of this test is so long that what is gone travels before the rest is gone as well.
    let mut pair = TestPair::builder().source_set("coalesce.gone=5s").source_set("coalesce.bound=60s").build();
    fill(pair.src(), 40);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    for n in 0..40 {
        fs::remove_file(pair.src().join(format!("{n}.conf"))).unwrap();
        // The pace of a large tree on a slow disk.
        std::thread::sleep(Duration::from_millis(4));
    }
    pair.source.wait_status(SHOWN_WITHIN, "halted", |status| has(&set(status)["halted"], "entries are gone"));
    fs::write(pair.src().join("new"), "new").unwrap();
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("new").exists()), "what is new does not arrive");
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 42, "the guard let deletions through");
}

#[test]
fn a_mass_deletion_waits_for_approval() {
    let mut pair = TestPair::builder().build();
    fill(pair.src(), 40);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    // In one step, as a person's `rm` is not.
    pair.source.pause();
    for n in 0..30 {
        fs::remove_file(pair.src().join(format!("{n}.conf"))).unwrap();
    }
    pair.source.resume();
    pair.source.wait_status(SHOWN_WITHIN, "halted", |status| has(&set(status)["halted"], "30 of 40"));
    fs::write(pair.src().join("new"), "new").unwrap();
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("new").exists()), "what is new does not arrive");
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 42, "the guard let deletions through");
    // A restart is no approval.
    pair.source.restart();
    fs::write(pair.src().join("newer"), "new").unwrap();
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("newer").exists()), "what is new does not arrive");
    assert_eq!(fs::read_dir(pair.dst()).unwrap().count(), 43, "a restart let deletions through");
    syncd(&pair.source, &["approve", "data"]);
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(SHOWN_WITHIN, "released", |status| set(status)["halted"].is_null());
}
