//! What an rsyncd.conf asks for beside its modules: commands around transfers, a pid file.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::node::wait_until;
use support::pair::{EQUAL_WITHIN, TestPair};
use support::skip;

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Changes the rsyncd.conf of a pair whose peer does not run.
fn edit(pair: &TestPair, change: impl Fn(String) -> String) {
    let conf = pair.dir.path().join("peer0.rsyncd.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(conf, change(text)).unwrap();
}

/// Adds a line to the one module.
fn add_to_module(pair: &TestPair, line: &str) {
    edit(pair, |text| format!("{text}\n{line}\n"));
}

#[test]
fn post_xfer_exec_runs_once_what_was_sent_is_live() {
    let mut pair = TestPair::builder().build();
    let seen = pair.dir.path().join("seen");
    let line = format!(
        "post-xfer exec = cat \"$RSYNC_MODULE_PATH/site.conf\" >> {0}; echo \" $RSYNC_MODULE_NAME $RSYNC_USER_NAME $RSYNC_HOST_ADDR $RSYNC_EXIT_STATUS\" >> {0}",
        seen.display()
    );
    add_to_module(&pair, &line);
    fs::write(pair.src().join("site.conf"), "one").unwrap();
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    assert!(wait_until(EQUAL_WITHIN, || lines(&seen) == ["one data backuser 127.0.0.1 0"]), "{:?}", lines(&seen));
    fs::write(pair.src().join("site.conf"), "two").unwrap();
    let last = || lines(&seen).last().cloned();
    assert!(
        wait_until(EQUAL_WITHIN, || last().as_deref() == Some("two data backuser 127.0.0.1 0")),
        "{:?}",
        lines(&seen)
    );
}

#[test]
fn a_faulty_module_is_left_out_and_the_others_are_served() {
    let mut pair = TestPair::builder().build();
    let dir = pair.dir.path().display().to_string();
    edit(&pair, |text| {
        format!("{text}\n[gone]\npath = {dir}/nowhere\n[named]\npath = {dir}\nhosts allow = *.example.com\n")
    });
    fs::write(pair.src().join("site.conf"), "one").unwrap();
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    let log = pair.peers[0].node.log();
    for name in ["gone", "named"] {
        assert!(log.contains(&format!("the module `{name}` is left out")), "{log}");
    }
}

#[test]
fn what_pre_xfer_exec_refuses_goes_live_nowhere_and_both_sides_say_why() {
    let mut pair = TestPair::builder().build();
    let gate = pair.dir.path().join("gate");
    add_to_module(
        &pair,
        &format!("pre-xfer exec = test -e {} || {{ echo the gate is shut; exit 7; }}", gate.display()),
    );
    fs::write(pair.src().join("site.conf"), "one").unwrap();
    pair.start_all();
    let why = "`pre-xfer exec` refuses it: exit status: 7: the gate is shut";
    pair.source.wait_log(0, why, EQUAL_WITHIN);
    pair.peers[0].node.wait_log(0, why, EQUAL_WITHIN);
    let stage = |entry: fs::DirEntry| entry.file_name() == ".syncd";
    assert!(fs::read_dir(pair.dst()).unwrap().all(|entry| stage(entry.unwrap())), "something is live");
    fs::write(&gate, "").unwrap();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_module_that_its_user_may_write_and_does_not_own_is_served_from_the_first_start_on() {
    let test = "a_module_that_its_user_may_write_and_does_not_own_is_served_from_the_first_start_on";
    if !skip::am_root(test) {
        return;
    }
    let mut pair = TestPair::builder().build();
    edit(&pair, |text| text.replace("uid = root\ngid = root\n", "uid = nobody\n"));
    for (dir, mode) in [(pair.dir.path(), 0o755), (pair.dst(), 0o777)] {
        fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
    }
    fs::write(pair.src().join("site.conf"), "one").unwrap();
    pair.start_all();
    let arrived = pair.dst().join("site.conf");
    assert!(wait_until(EQUAL_WITHIN, || lines(&arrived) == ["one"]), "nothing came");
}

#[test]
fn the_pid_file_is_there_while_the_peer_runs() {
    let mut pair = TestPair::builder().build();
    let file = pair.dir.path().join("rsyncd.pid");
    edit(&pair, |text| format!("pid file = {}\n{text}", file.display()));
    pair.peer().start();
    assert_eq!(lines(&file), [pair.peers[0].node.pid().to_string()]);
    pair.peer().stop();
    assert!(!file.exists());
    // One of a process that runs is left alone, as that of an rsyncd beside it.
    let own = format!("{}\n", std::process::id());
    fs::write(&file, &own).unwrap();
    pair.peer().start();
    pair.peer().stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), own);
}
