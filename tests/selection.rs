//! Which paths and attributes travel, as rsync's options and rsyncd's parameters choose them: the real
//! program, through changes, restarts, full compares and `verify`.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use support::node::wait_until;
use support::pair::{EQUAL_WITHIN, TestPair};
use support::skip;

fn write(root: &Path, name: &str, content: &str) {
    let file = root.join(name);
    fs::create_dir_all(file.parent().expect("below the root")).expect("mkdir");
    fs::write(file, content).expect("write");
}

/// The content at `name`; none when nothing is there.
fn content(root: &Path, name: &str) -> Option<String> {
    fs::read_to_string(root.join(name)).ok()
}

/// Changes something at the source, and waits until that has arrived: what was to be done before it
/// has been looked at.
fn settle(pair: &TestPair, mark: &str) {
    write(pair.src(), "settled.conf", mark);
    let arrived = wait_until(EQUAL_WITHIN, || content(pair.dst(), "settled.conf").as_deref() == Some(mark));
    assert!(arrived, "{mark} did not arrive: {}", pair.source.log());
}

/// Both ends start anew, and everything is compared.
fn restart(pair: &mut TestPair) {
    pair.peer().restart();
    pair.source.restart();
    pair.source.wait_status(EQUAL_WITHIN, "everything is compared", |status| {
        status["sets"][0]["targets"][0]["pending"] == 0 && status["sets"][0]["targets"][0]["state"] == "idle"
    });
}

/// What `syncd verify` says at the source, and whether it found all equal.
fn verify(pair: &TestPair) -> (bool, String) {
    let output = pair.source.ask(&["verify"]);
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn assert_verified(pair: &TestPair) {
    let (equal, said) = verify(pair);
    assert!(equal, "{said}");
}

#[test]
fn rules_in_their_order_choose_what_travels_and_what_they_leave_out_stays_on_the_replica() {
    let mut pair = TestPair::builder().params("-a --include='*.conf' --include=/keep/*** --exclude='*'").build();
    write(pair.src(), "a.conf", "a");
    write(pair.src(), "keep/any", "kept");
    write(pair.src(), "b.bak", "b");
    write(pair.dst(), "b.bak", "the replica's own");
    write(pair.dst(), "other/x.conf", "the replica's own");
    pair.start_all();
    settle(&pair, "1");
    fs::remove_file(pair.src().join("b.bak")).expect("remove");
    write(pair.src(), "new.bak", "n");
    restart(&mut pair);
    settle(&pair, "2");
    let at = |name: &str| content(pair.dst(), name);
    assert_eq!((at("a.conf").as_deref(), at("keep/any").as_deref()), (Some("a"), Some("kept")));
    assert_eq!((at("b.bak").as_deref(), at("new.bak")), (Some("the replica's own"), None));
    assert_eq!(at("other/x.conf").as_deref(), Some("the replica's own"));
    assert_verified(&pair);
}

#[test]
fn a_file_of_the_wrong_size_neither_travels_nor_goes() {
    let mut pair = TestPair::builder().params("-a --max-size=1K --min-size=2b").build();
    write(pair.src(), "grows.conf", "small");
    write(pair.src(), "dir/big", &"x".repeat(5000));
    write(pair.src(), "tiny", "x");
    write(pair.dst(), "dir/big", "an older one");
    pair.start_all();
    settle(&pair, "first");
    assert_eq!(content(pair.dst(), "grows.conf").as_deref(), Some("small"));
    write(pair.src(), "grows.conf", &"y".repeat(5000));
    settle(&pair, "second");
    assert_eq!(content(pair.dst(), "grows.conf").as_deref(), Some("small"));
    restart(&mut pair);
    settle(&pair, "third");
    assert_eq!(content(pair.dst(), "grows.conf").as_deref(), Some("small"));
    assert_eq!(content(pair.dst(), "dir/big").as_deref(), Some("an older one"));
    assert_eq!(content(pair.dst(), "tiny"), None);
    assert_verified(&pair);
    write(pair.src(), "grows.conf", "small again");
    fs::remove_file(pair.src().join("dir/big")).expect("remove");
    let arrived = || content(pair.dst(), "grows.conf").as_deref() == Some("small again");
    assert!(wait_until(EQUAL_WITHIN, arrived), "{}", pair.source.log());
    // What is gone at the source is no longer left out: a compare finds it.
    restart(&mut pair);
    assert!(wait_until(EQUAL_WITHIN, || content(pair.dst(), "dir/big").is_none()));
}

#[test]
fn a_file_that_outgrows_its_limit_while_it_is_pending_stays_on_the_replica() {
    let mut pair = TestPair::builder().params("-a --max-size=1K").source_set("full-compare=off").build();
    write(pair.src(), "grows.conf", "small");
    write(pair.src(), "goes.conf", "small");
    pair.start_all();
    settle(&pair, "first");
    pair.peer().stop();
    let pending = |name: &str| {
        let listed = || String::from_utf8_lossy(&pair.source.ask(&["replay", "--list"]).stdout).contains(name);
        assert!(wait_until(EQUAL_WITHIN, listed), "{name}: {}", pair.source.log());
    };
    write(pair.src(), "grows.conf", "changed");
    pending("grows.conf");
    write(pair.src(), "grows.conf", &"y".repeat(5000));
    fs::remove_file(pair.src().join("goes.conf")).expect("remove");
    pending("goes.conf");
    write(pair.src(), "mark.conf", "whatever was done before it has been looked at");
    pending("mark.conf");
    pair.peer().start();
    settle(&pair, "second");
    assert!(wait_until(EQUAL_WITHIN, || content(pair.dst(), "goes.conf").is_none()), "{}", pair.source.log());
    assert_eq!(content(pair.dst(), "grows.conf").as_deref(), Some("small"));
    write(pair.src(), "grows.conf", "small again");
    let arrived = || content(pair.dst(), "grows.conf").as_deref() == Some("small again");
    assert!(wait_until(EQUAL_WITHIN, arrived), "{}", pair.source.log());
}

#[test]
fn modes_and_owners_are_those_that_the_options_say() {
    let root = rustix::process::geteuid().is_root();
    let owners = if root { " --chown=12345:23456" } else { "" };
    let mut pair = TestPair::builder().params(&format!("-a --chmod=D750,F640,Fu+X -O{owners}")).build();
    write(pair.src(), "d/run.sh", "#!/bin/sh\n");
    fs::set_permissions(pair.src().join("d/run.sh"), fs::Permissions::from_mode(0o755)).expect("chmod");
    write(pair.src(), "d/large", &"z".repeat(3 << 20));
    pair.start_all();
    settle(&pair, "first");
    let at = |name: &str| fs::metadata(pair.dst().join(name)).expect("there");
    assert_eq!((at("d").mode() & 0o7777, at("d/run.sh").mode() & 0o7777), (0o750, 0o740));
    assert_eq!(at("d/large").mode() & 0o7777, 0o640);
    if root {
        assert_eq!((at("d/run.sh").uid(), at("d/large").gid(), at("d").uid()), (12345, 23456, 12345));
    }
    assert_verified(&pair);
    fs::set_permissions(pair.src().join("d/run.sh"), fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::File::open(pair.dst().join("d")).and_then(|d| d.set_modified(std::time::UNIX_EPOCH)).expect("touch");
    restart(&mut pair);
    settle(&pair, "second");
    let at = |name: &str| fs::metadata(pair.dst().join(name)).expect("there");
    assert_eq!(at("d/run.sh").mode() & 0o7777, 0o640);
    assert_eq!(at("d").mtime(), 0, "times of directories are the replica's own");
    assert_verified(&pair);
}

#[test]
fn with_existing_nothing_is_made_and_with_ignore_existing_nothing_is_replaced() {
    for (option, made, replaced) in [("--existing", false, true), ("--ignore-existing", true, false)] {
        let mut pair = TestPair::builder().params(&format!("-a {option}")).build();
        for root in [pair.src(), pair.dst()] {
            write(root, "both.conf", "old");
            write(root, "gone.conf", "gone");
            write(root, "settled.conf", "");
        }
        write(pair.src(), "new.conf", "new");
        write(pair.src(), "dir/new.conf", "new");
        write(pair.src(), "large.conf", &"l".repeat(3 << 20));
        pair.start_all();
        write(pair.src(), "both.conf", "changed");
        write(pair.src(), "new.conf", "changed too");
        fs::rename(pair.src().join("gone.conf"), pair.src().join("renamed.conf")).expect("rename");
        for _ in 0..2 {
            let there = |name: &str| content(pair.dst(), name).is_some();
            let expected = wait_until(EQUAL_WITHIN, || {
                !there("gone.conf")
                    && ["new.conf", "dir/new.conf", "large.conf", "renamed.conf"].iter().all(|name| there(name) == made)
                    && (content(pair.dst(), "both.conf").as_deref() == Some("changed")) == replaced
            });
            assert!(expected, "{option}: {}\n{}", pair.source.log(), pair.peers[0].node.log());
            assert_verified(&pair);
            restart(&mut pair);
        }
    }
}

#[test]
fn a_bound_on_the_bandwidth_lets_everything_arrive() {
    let pair = TestPair::builder().params("-a --bwlimit=2m").start();
    write(pair.src(), "large", &"0123456789abcdef".repeat(1 << 16));
    write(pair.src(), "small", "s");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn what_is_mounted_below_the_root_neither_travels_nor_goes() {
    let test = "what_is_mounted_below_the_root_neither_travels_nor_goes";
    if !skip::am_root(test) {
        return;
    }
    let mut pair = TestPair::builder().params("-a -x").build();
    write(pair.src(), "m/under", "hidden by the mount");
    let at = pair.src().join("m");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&at).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip::skipped(test, "the right to mount");
    }
    let _unmount = Unmount(at);
    write(pair.src(), "m/other", "on another file system");
    write(pair.dst(), "m/own", "the replica's own");
    pair.start_all();
    write(pair.src(), "m/dir/later", "on another file system");
    settle(&pair, "first");
    restart(&mut pair);
    settle(&pair, "second");
    assert_eq!((content(pair.dst(), "m/other"), content(pair.dst(), "m/dir/later")), (None, None));
    assert_eq!(content(pair.dst(), "m/own").as_deref(), Some("the replica's own"));
    assert_verified(&pair);
}

/// Takes the mount away, however the test ends.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Detached, since the source may still hold it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_a_module_excludes_no_source_writes_or_removes_and_all_else_goes_live() {
    let builder = TestPair::builder().module_line("exclude = /local/ *.key").module_line("incoming chmod = Fo=,Do=");
    let mut pair = builder.build();
    write(pair.dst(), "local/own", "own");
    write(pair.dst(), "d/tls.key", "own");
    write(pair.dst(), "d/x.conf", "to be replaced");
    write(pair.src(), "local/theirs", "theirs");
    write(pair.src(), "d/tls.key", "theirs");
    write(pair.src(), "d/x.conf", "theirs");
    write(pair.src(), "large.key", &"k".repeat(3 << 20));
    pair.start_all();
    settle(&pair, "first");
    let at = |pair: &TestPair, name: &str| content(pair.dst(), name);
    assert_eq!(at(&pair, "d/x.conf").as_deref(), Some("theirs"));
    assert_eq!(fs::metadata(pair.dst().join("d/x.conf")).expect("there").mode() & 0o7, 0);
    let own = |pair: &TestPair| {
        assert_eq!((at(pair, "local/own").as_deref(), at(pair, "d/tls.key").as_deref()), (Some("own"), Some("own")));
        assert_eq!((at(pair, "local/theirs"), at(pair, "large.key")), (None, None));
    };
    own(&pair);
    pair.source.wait_log(0, "left out there: the rules of its module exclude it", EQUAL_WITHIN);
    pair.source
        .wait_status(EQUAL_WITHIN, "what is left out is listed", |status| status.to_string().contains("large.key"));
    fs::rename(pair.src().join("d/x.conf"), pair.src().join("x.key")).expect("rename");
    settle(&pair, "second");
    assert!(wait_until(EQUAL_WITHIN, || at(&pair, "d/x.conf").is_none()));
    write(pair.src(), "d/deep/y.conf", "y");
    settle(&pair, "third");
    fs::remove_dir_all(pair.src().join("d")).expect("remove");
    settle(&pair, "fourth");
    assert!(wait_until(EQUAL_WITHIN, || !pair.dst().join("d/deep").exists()), "{}", pair.source.log());
    restart(&mut pair);
    settle(&pair, "fifth");
    own(&pair);
    assert_eq!(at(&pair, "x.key"), None);
}
