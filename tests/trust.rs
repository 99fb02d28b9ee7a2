//! Who may write, and what both ends say when somebody may not: one line each, a retry, nobody else disturbed.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::node::{Node, wait_until};
use support::pair::{EQUAL_WITHIN, TestPair, write_secret};

/// A wrong password slows the next attempts down, and the backoff comes on top.
const MENDED_WITHIN: Duration = Duration::from_secs(60);
const RIGHT: &str = "correct horse battery staple";
const WRONG: &str = "the peer refused: unknown user or wrong password";

/// The target of a source's set, as status shows it.
fn target<'a>(status: &'a Value, set: &str) -> &'a Value {
    targets(status, set).first().copied().unwrap_or(&Value::Null)
}

fn targets<'a>(status: &'a Value, set: &str) -> Vec<&'a Value> {
    let sets = status["sets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = sets.iter().find(|s| s["name"] == set).and_then(|s| s["targets"].as_array());
    of.map(|all| all.iter().collect()).unwrap_or_default()
}

fn cause(target: &Value) -> String {
    target["last_error"]["cause"].as_str().unwrap_or_default().to_owned()
}

/// The lines of `log` that hold `text`.
fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// Changes the rsyncd.conf of peer `index` before it is started.
fn edit_conf(pair: &TestPair, index: usize, edit: impl Fn(&str) -> String) {
    let file = pair.dir.path().join(format!("peer{index}.rsyncd.conf"));
    let text = fs::read_to_string(&file).expect("rsyncd.conf");
    let edited = edit(&text);
    assert_ne!(edited, text, "the edit changes something");
    fs::write(&file, edited).expect("rsyncd.conf");
}

/// Gives the module `set` of peer `index` a secrets file of its own.
fn own_secrets(pair: &TestPair, index: usize, set: &str, password: &str) {
    let secrets = pair.dir.path().join("own.secrets");
    write_secret(&secrets, &format!("backuser:{password}\n"));
    let usual = pair.dir.path().join("rsyncd.secrets");
    edit_conf(pair, index, |conf| {
        let at = conf.find(&format!("[{set}]")).expect("the module is there");
        let (before, module) = conf.split_at(at);
        let edited = module.replacen(usual.to_str().expect("text"), secrets.to_str().expect("text"), 1);
        format!("{before}{edited}")
    });
}

/// Waits until the source was refused with `text`.
fn wait_refused(pair: &TestPair, text: &str) {
    pair.source.wait_status(EQUAL_WITHIN, text, |status| {
        let target = target(status, "data");
        cause(target).contains(text) && target["connected"] == false
    });
}

/// Waits until the first peer has refused so often.
fn wait_refusals(pair: &TestPair, count: u64) {
    let peer = &pair.peers[0].node;
    peer.wait_status(MENDED_WITHIN, "refused again and again", |status| {
        status["counters"]["refused"].as_u64() >= Some(count)
    });
}

/// The log of the source, which says `text`, and not for each attempt: again only where the connection went just while
/// it asked.
fn said_by_source(pair: &TestPair, text: &str) -> String {
    let log = pair.source.log();
    let lost = pair.source.status()["counters"]["connect_failures"].as_u64().expect("a counter");
    let said = lines(&log, text).len() as u64;
    assert!((1..=1 + lost).contains(&said), "{said} lines, {lost} connections lost:\n{log}");
    log
}

/// A second source of the same configuration, which has another key.
fn another_source(pair: &TestPair, args: &[&str]) -> Node {
    let config = pair.dir.path().join("confxml.xml").into_os_string();
    let mut node = Node::new("another", pair.dir.path(), ["--config".into(), config]);
    for arg in args {
        node.arg(arg);
    }
    node
}

fn is_empty(root: &Path) -> bool {
    fs::read_dir(root).expect("root").all(|entry| entry.expect("entry").file_name() == ".syncd")
}

#[test]
fn a_wrong_password_is_said_on_both_ends_and_mended_in_the_file() {
    let mut pair = TestPair::builder().source_password("wrong").build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.start_all();
    pair.source.wait_log(0, WRONG, EQUAL_WITHIN);
    pair.peers[0].node.wait_log(0, ": wrong password", EQUAL_WITHIN);
    // It goes on trying, and says the same at any time: also after the peer has closed the connection.
    pair.peers[0].node.wait_log(0, "not authorised within", MENDED_WITHIN);
    wait_refusals(&pair, 7);
    wait_refused(&pair, "wrong password");
    let (here, there) = (said_by_source(&pair, WRONG), pair.peers[0].node.log());
    assert!(lines(&here, WRONG).iter().all(|l| l.contains("127.0.0.1") && l.contains("data")), "{here}");
    assert!(
        lines(&there, ": wrong password").iter().all(|l| l.contains("127.0.0.1") && l.contains("backuser")),
        "{there}"
    );
    assert!(!here.contains(RIGHT) && !there.contains(RIGHT) && !there.contains("broke the protocol"), "{there}");
    assert!(is_empty(pair.dst()), "something arrived without a password");

    write_secret(&pair.dir.path().join("rsync.pass"), &format!("{RIGHT}\n"));
    pair.wait_equal(MENDED_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "proved by the password", |status| {
        target(status, "data")["proof"].as_str().is_some_and(|proof| proof.contains("password of backuser"))
    });
}

#[test]
fn each_module_of_a_connection_is_authorised_by_itself() {
    let mut pair = TestPair::builder().sets(&["one", "two", "three"]).peers(2).build();
    own_secrets(&pair, 0, "two", "another");
    for root in &pair.sources {
        fs::write(root.join("f"), "x").expect("write");
    }
    pair.start_all();
    pair.source.wait_status(EQUAL_WITHIN, "refused one of three at one of two peers", |status| {
        let connected = |set| targets(status, set).iter().map(|t| t["connected"] == true).collect::<Vec<_>>();
        let [one, two, three] = ["one", "two", "three"].map(connected);
        (one, two, three) == (vec![true, true], vec![false, true], vec![true, true])
            && cause(target(status, "two")).contains("wrong password")
    });
    // The others work on while it is refused.
    for root in &pair.sources {
        fs::write(root.join("g"), "y").expect("write");
    }
    let arrived =
        || [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)].iter().all(|(p, s)| pair.peers[*p].roots[*s].join("g").exists());
    assert!(wait_until(EQUAL_WITHIN, arrived), "{:?}", pair.differences());
    let equal = || pair.differences().iter().all(|line| line.contains("peer 0"));
    assert!(wait_until(EQUAL_WITHIN, equal), "{:?}", pair.differences());
    assert!(is_empty(&pair.peers[0].roots[1]), "written without the right password");

    // The secrets file is read at each attempt: no restart there.
    write_secret(&pair.dir.path().join("own.secrets"), &format!("backuser:{RIGHT}\n"));
    pair.wait_equal(MENDED_WITHIN);
    let log = pair.source.log();
    assert!(lines(&log, "lost the connection").is_empty(), "{log}");
}

#[test]
fn an_unknown_module_is_named_with_those_there_are() {
    let mut pair = TestPair::builder().build();
    edit_conf(&pair, 0, |conf| conf.replace("[data]", "[other]"));
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.start_all();
    wait_refused(&pair, "it has no such set");
    pair.peers[0].node.wait_log(0, "there is no such module here (there are: other)", EQUAL_WITHIN);
    wait_refusals(&pair, 4);
    let (here, there) = (said_by_source(&pair, "it has no such set"), pair.peers[0].node.log());
    assert_eq!(lines(&there, "there is no such module here").len(), 1, "{there}\n{here}");
    assert!(is_empty(pair.dst()));

    edit_conf(&pair, 0, |conf| conf.replace("[other]", "[data]"));
    let reloaded = pair.peers[0].node.ask(&["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    pair.wait_equal(MENDED_WITHIN);
}

#[test]
fn a_host_that_is_not_allowed_is_refused() {
    let mut pair = TestPair::builder().module_line("hosts allow = 10.9.8.0/24").build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.start_all();
    wait_refused(&pair, "this host is not allowed");
    pair.peers[0].node.wait_log(0, "its address is not allowed by `hosts allow`", EQUAL_WITHIN);
    // One line at the peer too, however often it comes.
    wait_refusals(&pair, 4);
    let peer = &pair.peers[0].node;
    assert_eq!(lines(&peer.log(), "its address is not allowed").len(), 1, "{}", peer.log());
    assert!(is_empty(pair.dst()));
    edit_conf(&pair, 0, |conf| conf.replace("10.9.8.0/24", "10.9.8.0/24 127.0.0.1"));
    pair.peers[0].node.restart();
    pair.wait_equal(MENDED_WITHIN);
}

#[test]
fn a_peer_that_comes_later_gets_everything() {
    let mut pair = TestPair::builder().peers(2).build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.peers[1].node.start();
    pair.source.start();
    // The one that is there does not wait for the one that is not.
    assert!(wait_until(EQUAL_WITHIN, || pair.peers[1].roots[0].join("f").exists()));
    wait_refused(&pair, "127.0.0.1");
    let said = lines(&pair.source.log(), "nobody listens on UDP port").len();
    assert_eq!(said, 1, "{}", pair.source.log());
    assert_eq!(pair.source.ask(&["status"]).status.code(), Some(1), "out of reach is unhealthy");
    pair.peers[0].node.start();
    pair.wait_equal(MENDED_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "settled", |s| targets(s, "data").iter().all(|t| t["state"] == "idle"));
    assert_eq!(pair.source.ask(&["status"]).status.code(), Some(0));
}

#[test]
fn a_module_without_users_is_refused_with_both_remedies() {
    let mut pair = TestPair::builder().without_password().build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.start_all();
    wait_refused(&pair, "no password and no pinned key");
    pair.peers[0].node.wait_log(0, "refused: the module has no `auth users`", EQUAL_WITHIN);
    let (here, there) = (pair.source.log(), pair.peers[0].node.log());
    for (log, end) in [(here, "no password and no pinned key"), (there, "refused: the module has no")] {
        let line = lines(&log, end).first().copied().unwrap_or_default();
        for remedy in ["auth users", "secrets file", "--trust-first-use"] {
            assert!(line.contains(remedy), "{remedy} is not named in: {line}");
        }
    }
    assert!(is_empty(pair.dst()));
}

#[test]
fn trust_on_first_use_pins_the_first_key_and_refuses_every_other() {
    let mut pair = TestPair::builder().without_password().peer_arg("--trust-first-use").build();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "trusted on first use", |status| {
        target(status, "data")["proof"].as_str().is_some_and(|proof| proof.contains("trusted on first use"))
    });
    let of_peer = pair.peers[0].node.status();
    let proof = of_peer["sets"][0]["sources"][0]["proof"].as_str().unwrap_or_default().to_owned();
    assert!(proof.contains("trusted on first use"), "{of_peer:#}");

    pair.source.stop();
    let mut another = another_source(&pair, &[]);
    fs::write(pair.src().join("f"), "from another").expect("write");
    another.start();
    another.wait_status(EQUAL_WITHIN, "refused", |s| cause(target(s, "data")).contains("another key is pinned"));
    pair.peers[0].node.wait_log(0, "is pinned; to trust the new one, run: syncd certs forget data", EQUAL_WITHIN);
    assert_eq!(fs::read_to_string(pair.dst().join("f")).expect("f"), "x", "another key wrote");
    another.stop();

    // The pinned one is known also after a restart of both, and without the option.
    pair.peers[0].node.restart();
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "known by its key", |status| {
        target(status, "data")["proof"].as_str().is_some_and(|proof| proof.contains("pinned key"))
    });
}

#[test]
fn a_password_from_another_key_is_refused_until_the_pin_is_forgotten() {
    let mut pair = TestPair::start();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.stop();

    let mut another = another_source(&pair, &[]);
    fs::write(pair.src().join("f"), "from another").expect("write");
    another.start();
    another.wait_status(EQUAL_WITHIN, "refused", |s| cause(target(s, "data")).contains("another key is pinned"));
    let told = cause(target(&another.status(), "data")).to_owned();
    assert!(told.contains("run there: syncd certs forget data backuser;"), "{told}");
    pair.peers[0].node.wait_log(0, "run: syncd certs forget data backuser", EQUAL_WITHIN);
    assert_eq!(fs::read_to_string(pair.dst().join("f")).expect("f"), "x", "another key wrote");

    let peer = &pair.peers[0].node;
    let forgotten = peer.ask(&["certs", "forget", "data", "backuser"]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    pair.wait_equal(MENDED_WITHIN);
    let key = another.status()["key"].as_str().expect("key").to_owned();
    let listed = String::from_utf8(peer.ask(&["certs", "list"]).stdout).expect("text");
    assert!(listed.contains(&format!("{key}  may write data as backuser")), "{listed}");
    assert_eq!(peer.ask(&["certs", "forget", "data", "nobody"]).status.code(), Some(3));
}

#[test]
fn another_file_goes_on_as_the_same_node_in_the_same_state_directory() {
    let mut pair = TestPair::start();
    fs::write(pair.src().join("f"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    let key = pair.source.status()["key"].clone();
    pair.source.stop();
    let renamed = pair.dir.path().join("conf-new.xml");
    fs::copy(pair.dir.path().join("confxml.xml"), &renamed).expect("copy");
    let mut again = Node::new("source", pair.dir.path(), ["--config".into(), renamed.into_os_string()]);
    fs::write(pair.src().join("f"), "by the other file").expect("write");
    again.start();
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(again.status()["key"], key);
}

#[test]
fn a_read_only_module_takes_nothing() {
    let mut pair = TestPair::builder().build();
    edit_conf(&pair, 0, |conf| conf.replace("read only = no", "read only = yes"));
    fs::write(pair.src().join("f"), "x").expect("write");
    fs::write(pair.dst().join("old"), "stays").expect("write");
    pair.start_all();
    wait_refused(&pair, "the set is read only there");
    pair.peers[0].node.wait_log(0, "the set is read only; `read only = no` lets it be written", EQUAL_WITHIN);
    assert!(pair.dst().join("old").exists() && !pair.dst().join("f").exists());
}

#[test]
fn secrets_that_others_can_read_are_refused_at_the_start() {
    let pair = TestPair::builder().build();
    let dir = pair.dir.path().to_owned();
    let TestPair { mut source, mut peers, .. } = pair;
    for (node, file) in [(&mut source, "rsync.pass"), (&mut peers[0].node, "rsyncd.secrets")] {
        fs::set_permissions(dir.join(file), Permissions::from_mode(0o644)).expect("chmod");
        node.spawn();
        let status = node.wait_exit(EQUAL_WITHIN);
        assert_eq!(status.code(), Some(2), "{}", node.log());
        let log = node.log();
        let said = lines(&log, "can be read or written by others");
        assert!(said.len() == 1 && said[0].contains(file) && log.contains("chmod 600"), "{log}");
        fs::set_permissions(dir.join(file), Permissions::from_mode(0o600)).expect("chmod");
        node.start();
    }
}
