//! What operators type, send and get wrong: exit codes, messages, and that nothing changes on a fault.

mod support;

use std::fs::{self, File, FileTimes, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use support::node::{Node, binary, wait_until};
use support::pair::{EQUAL_WITHIN, TestPair};
use support::tree::{Compare, Tree, read};

/// A pair that has never run, with something in both trees that a mirror would change.
fn standing() -> TestPair {
    let pair = TestPair::builder().build();
    fs::write(pair.src().join("f"), "source").expect("write");
    fs::write(pair.dst().join("f"), "peer").expect("write");
    fs::write(pair.dst().join("old"), "peer").expect("write");
    pair
}

/// Everything below both roots, with the stage of a receiver if there is one.
fn trees(pair: &TestPair) -> (Tree, Tree, bool) {
    let tree = |root| read(root, Compare::everything()).expect("a tree");
    (tree(pair.src()), tree(pair.dst()), pair.dst().join(".syncd").exists())
}

/// Starts `node`, which must end with `code` and say each of `texts`; gives what it said.
fn refuses(node: &mut Node, code: i32, texts: &[&str]) -> String {
    let from = node.log().len();
    node.spawn();
    let status = node.wait_exit(EQUAL_WITHIN);
    let log = node.log().split_off(from);
    assert_eq!(status.code(), Some(code), "{log}");
    for text in texts {
        assert!(log.contains(text), "{text:?} is not said:\n{log}");
    }
    log
}

fn config_of(pair: &TestPair, name: &str) -> PathBuf {
    pair.dir.path().join(name)
}

fn edit(file: &Path, edit: impl Fn(&str) -> String) {
    let text = fs::read_to_string(file).expect("configuration");
    fs::write(file, edit(&text)).expect("configuration");
}

#[test]
fn malformed_xml_is_shown_with_its_place() {
    let mut pair = standing();
    let file = config_of(&pair, "confxml.xml");
    edit(&file, |xml| xml.replace("</sersync>", "</sersnyc>"));
    let line =
        fs::read_to_string(&file).expect("xml").lines().position(|l| l.contains("</sersnyc>")).expect("line") + 1;
    let before = trees(&pair);
    let log = refuses(&mut pair.source, 2, &[&format!("confxml.xml:{line}:")]);
    let place = log.split("confxml.xml:").nth(1).unwrap_or_default();
    let mut numbers = place.split(':').map(str::parse::<u32>);
    assert!(matches!((numbers.next(), numbers.next()), (Some(Ok(_)), Some(Ok(_)))), "file:line:column in {log}");
    assert_eq!(trees(&pair), before);
    let check = Command::new(binary()).arg("check").arg(&file).output().expect("check");
    assert_eq!(check.status.code(), Some(2), "{check:?}");
}

#[test]
fn a_missing_watch_directory_is_named() {
    let mut pair = standing();
    let gone = pair.src().with_extension("gone");
    fs::rename(pair.src(), &gone).expect("rename");
    let root = pair.src().display().to_string();
    let log =
        refuses(&mut pair.source, 2, &["confxml.xml:", "the watched directory", &root, "is not there", "mkdir -p"]);
    assert!(!pair.src().exists(), "it was made:\n{log}");
    fs::rename(&gone, pair.src()).expect("rename");
    let root = pair.dst().display().to_string();
    fs::remove_dir_all(pair.dst()).expect("remove");
    refuses(pair.peer(), 2, &["peer0.rsyncd.conf:", "the received directory", &root, "is not there"]);
    assert!(!pair.dst().exists(), "it was made");
}

#[test]
fn a_port_in_use_is_said() {
    let mut pair = standing();
    let before = trees(&pair);
    let taken = UdpSocket::bind(pair.peers[0].addr).expect("the port is free");
    let address = pair.peers[0].addr.to_string();
    refuses(pair.peer(), 3, &[&address, "cannot be bound"]);
    assert_eq!(trees(&pair), before);
    drop(taken);
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_password_file_that_is_missing_or_open_is_named() {
    let mut pair = standing();
    let before = trees(&pair);
    let file = config_of(&pair, "rsync.pass");
    let name = file.display().to_string();
    fs::set_permissions(&file, Permissions::from_mode(0o604)).expect("chmod");
    refuses(&mut pair.source, 2, &["confxml.xml:", &name, "can be read or written by others", "chmod 600"]);
    fs::remove_file(&file).expect("remove");
    refuses(&mut pair.source, 2, &["confxml.xml:", &name, "is not there"]);
    assert!(!file.exists());
    assert_eq!(trees(&pair), before);
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let mut pair = standing();
    let before = trees(&pair);
    let state = pair.source.state_dir().to_owned();
    // Root can write anywhere, but not below a file.
    fs::write(&state, "a file").expect("write");
    refuses(&mut pair.source, 3, &[&state.display().to_string(), "cannot be used", "--state-dir"]);
    assert_eq!(fs::read_to_string(&state).expect("state"), "a file");
    fs::remove_file(&state).expect("remove");
    fs::create_dir(&state).expect("mkdir");
    fs::set_permissions(&state, Permissions::from_mode(0o777)).expect("chmod");
    refuses(&mut pair.source, 3, &[&state.display().to_string(), "can be written by others", "chmod 700"]);
    assert_eq!(trees(&pair), before);
}

#[test]
fn a_second_instance_names_the_first() {
    let pair = TestPair::start();
    let config = config_of(&pair, "confxml.xml").into_os_string();
    let mut second = Node::new("source", pair.dir.path(), ["--config".into(), config]);
    let pid = pair.source.pid().to_string();
    refuses(&mut second, 3, &["another syncd", &pid, "source.state"]);
    fs::write(pair.src().join("f"), "the first goes on").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn an_unknown_key_of_set_is_answered_with_the_nearest() {
    let mut pair = standing();
    let before = trees(&pair);
    pair.source.arg("--set").arg("full-compere=off");
    refuses(&mut pair.source, 2, &["`full-compere` is no key", "did you mean `full-compare`?"]);
    pair.peer().arg("--set").arg("full-compare=off");
    refuses(pair.peer(), 2, &["`full-compare` has no meaning on this side"]);
    assert_eq!(trees(&pair), before);
    assert!(!pair.source.state_dir().exists(), "nothing was made");
}

#[test]
fn sigterm_ends_both_sides_with_success() {
    let mut pair = TestPair::start();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(pair.source.stop().code(), Some(0));
    assert_eq!(pair.peer().stop().code(), Some(0));
    // Also one that reaches nobody.
    pair.source.start();
    pair.source.signal(Signal::INT);
    assert_eq!(pair.source.wait_exit(EQUAL_WITHIN).code(), Some(0));
    for end in [pair.source.ask(&["status"]), pair.source.ask(&["reload"])] {
        assert_eq!(end.status.code(), Some(3), "{end:?}");
        assert!(String::from_utf8_lossy(&end.stderr).contains("no syncd is running"), "{end:?}");
    }
}

#[test]
fn a_reload_with_a_broken_file_keeps_what_was_in_force() {
    let pair = TestPair::start();
    let (file, pid) = (config_of(&pair, "confxml.xml"), pair.source.pid());
    let good = fs::read_to_string(&file).expect("xml");
    fs::write(&file, good.replace("</sersync>", "")).expect("xml");
    let reload = pair.source.ask(&["reload"]);
    assert_eq!(reload.status.code(), Some(3), "{reload:?}");
    let said = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert!(said.contains("confxml.xml:") && said.contains("what was in force before goes on"), "{said}");
    let from = pair.source.log().len();
    pair.source.signal(Signal::HUP);
    pair.source.wait_log(from, "what was in force before goes on", EQUAL_WITHIN);
    fs::write(pair.src().join("f"), "still there").expect("write");
    pair.wait_equal(EQUAL_WITHIN);

    // And a good one is taken, without another process.
    fs::write(&file, good.replace("<delete start=\"true\"/>", "<delete start=\"false\"/>")).expect("xml");
    let from = pair.source.log().len();
    pair.source.signal(Signal::HUP);
    pair.source.wait_log(from, "confxml.xml is in force", EQUAL_WITHIN);
    fs::write(pair.src().join("g"), "after").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    fs::remove_file(pair.src().join("g")).expect("remove");
    fs::write(pair.src().join("h"), "later").expect("write");
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("h").exists()));
    assert!(pair.dst().join("g").exists(), "deletions are off now");
    assert_eq!(pair.source.status()["pid"], pid);
}

#[test]
fn a_reload_that_cannot_be_started_keeps_what_was_in_force() {
    let pair = TestPair::start();
    let peer = &pair.peers[0];
    let pid = peer.node.pid();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("address").port();
    let file = config_of(&pair, "peer0.rsyncd.conf");
    let good = fs::read_to_string(&file).expect("rsyncd.conf");
    let other = good.replace(&format!("port = {}", peer.addr.port()), &format!("port = {port}"));
    assert_ne!(good, other);
    fs::write(&file, other).expect("rsyncd.conf");
    let reload = peer.node.ask(&["reload"]);
    let said = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert_eq!(reload.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot be bound") && said.contains("what was in force before goes on"), "{said}");
    fs::write(pair.src().join("f"), "still served").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    drop(taken);
    fs::write(&file, good).expect("rsyncd.conf");
    assert!(peer.node.ask(&["reload"]).status.success());
    fs::write(pair.src().join("g"), "served again").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(peer.node.status()["pid"], pid);
}

#[test]
fn a_reload_at_the_peer_is_taken_while_a_source_is_connected() {
    let pair = TestPair::start();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    for n in 0..3 {
        let reload = pair.peers[0].node.ask(&["reload"]);
        assert!(reload.status.success(), "{reload:?}");
        fs::write(pair.src().join(format!("after{n}")), "x").expect("write");
        pair.wait_equal(EQUAL_WITHIN * 2);
    }
}

#[test]
fn status_has_what_programs_need() {
    let pair = TestPair::start();
    fs::create_dir(pair.src().join("d")).expect("mkdir");
    fs::write(pair.src().join("d/f"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "idle", |status| status["sets"][0]["targets"][0]["state"] == "idle");
    let status = pair.source.status();
    let (set, target) = (&status["sets"][0], &status["sets"][0]["targets"][0]);
    assert_eq!(status["pid"], pair.source.pid());
    assert_eq!(status["config"], config_of(&pair, "confxml.xml").display().to_string());
    assert_eq!((&set["name"], &set["role"]), (&"data".into(), &"primary".into()), "{status:#}");
    assert_eq!(set["path"], pair.src().display().to_string());
    assert!(set["entries"].as_u64().is_some_and(|n| n >= 2), "{status:#}");
    assert!(set["watch"]["limited"].is_null() && set["watch"]["overflows"] == 0, "{status:#}");
    assert_eq!((&target["peer"], &target["set"]), (&"127.0.0.1".into(), &"data".into()), "{status:#}");
    assert_eq!(target["address"], pair.peers[0].addr.to_string());
    assert_eq!((&target["connected"], &target["pending"]), (&true.into(), &0.into()), "{status:#}");
    assert!(target["oldest_seconds"].is_null() && target["acknowledged"].is_string(), "{status:#}");
    assert_eq!(target["acknowledged"], set["generation"], "{status:#}");
    assert!(target["proof"].as_str().is_some_and(|p| p.contains("password of backuser")), "{status:#}");

    let there = pair.peers[0].node.status();
    let (set, source) = (&there["sets"][0], &there["sets"][0]["sources"][0]);
    assert_eq!((&set["name"], &set["role"]), (&"data".into(), &"replica".into()), "{there:#}");
    assert_eq!(there["listen"], pair.peers[0].addr.to_string());
    assert_eq!(source["key"], status["key"], "{there:#}");
    assert_eq!(source["generation"], status["sets"][0]["generation"], "{there:#}");
    assert_eq!(set["entries"], status["sets"][0]["entries"], "{there:#}");
    let people = pair.source.ask(&["status"]);
    assert_eq!(people.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&people.stdout).contains("data"), "{people:?}");
}

#[test]
fn what_happens_is_counted() {
    let mut pair = TestPair::builder().build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.source.start();
    let count = |status: &serde_json::Value, name: &str| status["counters"][name].as_u64().expect("a counter");
    pair.source.wait_status(EQUAL_WITHIN, "failed to connect", |status| count(status, "connect_failures") > 0);
    pair.peer().start();
    pair.wait_equal(EQUAL_WITHIN);
    for n in 0..3 {
        fs::write(pair.src().join(format!("more{n}")), [7; 10_000]).expect("write");
        pair.wait_equal(EQUAL_WITHIN);
    }
    let idle = |status: &serde_json::Value| status["sets"][0]["targets"][0]["state"] == "idle";
    pair.source.wait_status(EQUAL_WITHIN, "idle", idle);
    let (here, there) = (pair.source.status(), pair.peers[0].node.status());
    for (name, least) in [
        ("change_sets_sent", 4),
        ("entries_sent", 4),
        ("events", 3),
        ("scans", 1),
        ("bytes_sent", 30_000),
        ("bytes_received", 100),
    ] {
        assert!(count(&here, name) >= least, "{name} at the source: {here:#}");
    }
    for (name, least) in [("change_sets_applied", 4), ("entries_applied", 4), ("scans", 1), ("bytes_received", 30_000)]
    {
        assert!(count(&there, name) >= least, "{name} at the peer: {there:#}");
    }
    assert_eq!(count(&there, "change_sets_applied"), count(&here, "change_sets_sent"), "{here:#} {there:#}");
    assert_eq!((count(&here, "refused"), count(&here, "overflows"), count(&there, "drift")), (0, 0, 0));
    // What a connection that has ended carried stays counted.
    let before = count(&there, "bytes_received");
    pair.source.stop();
    let gone = |status: &serde_json::Value| status["sets"][0]["sources"].as_array().is_some_and(Vec::is_empty);
    pair.peers[0].node.wait_status(EQUAL_WITHIN, "alone", gone);
    assert!(count(&pair.peers[0].node.status(), "bytes_received") >= before);
    fs::write(pair.dst().join("f"), "somebody else").expect("write");
    fs::write(pair.src().join("f"), "the source").expect("write");
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn verify_finds_what_nobody_else_would() {
    let pair = TestPair::start();
    fs::write(pair.src().join("f"), "what it should be").expect("write");
    fs::write(pair.src().join("g"), "unsuspected").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "idle", |status| status["sets"][0]["targets"][0]["state"] == "idle");
    let equal = pair.source.ask(&["verify"]);
    assert_eq!(equal.status.code(), Some(0), "{equal:?}");

    // Same size, same mtime, other content.
    let file = pair.dst().join("f");
    let mtime = fs::metadata(&file).and_then(|meta| meta.modified()).expect("mtime");
    fs::write(&file, "what it shouldn't").expect("write");
    File::options()
        .write(true)
        .open(&file)
        .and_then(|f| f.set_times(FileTimes::new().set_modified(mtime)))
        .expect("touch");
    // The peer alone sees it: it is not what it acknowledged.
    let alone = pair.peers[0].node.ask(&["verify"]);
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
    let unlike = pair.source.ask(&["verify"]);
    assert_eq!(unlike.status.code(), Some(1), "{unlike:?}");
    let said = String::from_utf8_lossy(&unlike.stdout).into_owned();
    assert!(said.contains("f: content") && !said.contains("g: "), "{said}");
    let json = pair.source.ask(&["verify", "data", "--json"]);
    assert_eq!(json.status.code(), Some(1), "{json:?}");
    let objects: Vec<serde_json::Value> =
        json.stdout.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
    assert!(objects.iter().any(|o| o["difference"]["path"] == "f"), "{objects:?}");
    assert!(objects.iter().any(|o| o["verified"][0]["differences"].as_u64() > Some(0)), "{objects:?}");
    assert_eq!(fs::read_to_string(&file).expect("f"), "what it shouldn't", "verify repairs nothing");
    // Nor does the source's look make what it found there the new truth: the peer alone still sees it, again and again.
    for _ in 0..2 {
        let alone = pair.peers[0].node.ask(&["verify"]);
        assert_eq!(alone.status.code(), Some(1), "{alone:?}");
        assert!(String::from_utf8_lossy(&alone.stdout).contains("f: content"), "{alone:?}");
    }
    let unlike = pair.source.ask(&["verify"]);
    assert_eq!(unlike.status.code(), Some(1), "{unlike:?}");

    assert_eq!(pair.source.ask(&["verify", "nonesuch"]).status.code(), Some(3));
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (tmp, home) = (dir.path().join("tmp"), dir.path().join("home"));
    for dir in [&tmp, &home] {
        fs::create_dir(dir).expect("mkdir");
    }
    let mut demo = Command::new(binary());
    demo.arg("demo").env("TMPDIR", &tmp).env("HOME", &home).env_remove("XDG_STATE_HOME").current_dir(&home);
    let mut child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("demo");
    let ended = wait_until(Duration::from_secs(120), || child.try_wait().expect("child").is_some());
    if !ended {
        child.kill().expect("kill");
    }
    let output = child.wait_with_output().expect("output");
    assert!(ended && output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Both trees are equal"), "{output:?}");
    for dir in [&tmp, &home] {
        let left: Vec<_> = fs::read_dir(dir).expect("dir").map(|entry| entry.expect("entry").path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn files_are_checked_as_a_set() {
    let pair = TestPair::builder().build();
    let peer = config_of(&pair, "peer0.rsyncd.conf");
    edit(&peer, |conf| conf.replace("read only = no", "read only = yes"));
    let vrrp = config_of(&pair, "keepalived.conf");
    let text = "vrrp_instance VI {\n interface lo\n virtual_router_id 7\n virtual_ipaddress {\n  127.0.0.1\n }\n priorty 9\n}\n";
    fs::write(&vrrp, text).expect("keepalived.conf");
    let check = |files: &[&Path], json: bool| {
        let mut command = Command::new(binary());
        command.arg("check").args(json.then_some("--json")).args(files);
        let output = command.output().expect("check");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = check(&[&config_of(&pair, "confxml.xml"), &peer, &vrrp], true);
    assert_eq!(code, Some(2), "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of = |code: &str| lines.iter().find(|line| line["code"] == code).unwrap_or_else(|| panic!("no {code}: {text}"));
    assert_eq!(of("ends-read-only")["file"], peer.display().to_string());
    assert_eq!(of("remote-is-virtual")["severity"], "error");
    assert_eq!(
        (&of("keepalived-unknown-keyword")["line"], &of("keepalived-unknown-keyword")["column"]),
        (&7.into(), &2.into())
    );
    let last = lines.last().expect("a summary");
    assert_eq!((&last["summary"], &last["files"], &last["exit"]), (&true.into(), &3.into(), &2.into()));
    fs::write(
        &vrrp,
        "global_defs {\n dynamic_interfaces\n}\nvrrp_instance VI {\n interface lan0\n virtual_router_id 7\n \
         virtual_ipaddress {\n  10.254.254.9\n }\n}\n",
    )
    .expect("keepalived.conf");
    let (code, text) = check(&[&vrrp], false);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("every setting is understood and honoured"), "{text}");
}

#[test]
fn a_keepalived_conf_is_checked_as_this_machine_would_run_it() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("keepalived.conf");
    let check = |globals: &str, more: &str| {
        let instance = |name: &str, vrid: u8, interface: &str| {
            format!(
                "vrrp_instance {name} {{\n interface {interface}\n virtual_router_id {vrid}\n virtual_ipaddress {{\n  10.254.254.{vrid}\n }}\n}}\n"
            )
        };
        let text = format!("global_defs {{\n {globals}\n}}\n{}{more}", instance("VI", 7, "no-such-if"));
        fs::write(&file, text).expect("keepalived.conf");
        let output = Command::new(binary()).args(["vrrp", "--check", "--config"]).arg(&file).output().expect("check");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = check("router_id here", "");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("keepalived.conf:5:12: error: there is no interface `no-such-if`"), "{text}");
    let (code, text) = check("dynamic_interfaces", "virtual_server 10.0.0.1 80 {\n real_servers {\n  x\n }\n}\n");
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(text.matches("this block is skipped whole").count(), 1, "{text}");
    let (code, text) = check("dynamic_interfaces", "");
    assert_eq!((code, text.contains("every setting is understood")), (Some(0), true), "{text}");
}
