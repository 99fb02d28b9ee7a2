//! What both sides agreed upon is believed only where it still holds. No other compare helps: `full-compare` is off.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use support::node::{Node, wait_until};
use support::pair::{Builder, EQUAL_WITHIN, TestPair};

/// Of which one name comes, another goes, and a third changes in the tests, so that no guard minds.
const FILES: usize = 30;

fn builder() -> Builder {
    TestPair::builder().source_set("full-compare=off")
}

/// A pair that has agreed, and of which both sides have ended in order.
fn at_rest(builder: Builder) -> TestPair {
    let mut pair = builder.build();
    for n in 0..FILES {
        fs::write(pair.src().join(format!("f{n}")), format!("{n}")).expect("write");
    }
    pair.start_all();
    wait_idle(&pair);
    stop_all(&mut pair);
    pair
}

fn stop_all(pair: &mut TestPair) {
    pair.source.stop();
    pair.peers.iter_mut().for_each(|peer| _ = peer.node.stop());
}

fn wait_idle(pair: &TestPair) {
    pair.source.wait_status(EQUAL_WITHIN, "idle", |status| {
        let targets = status["sets"][0]["targets"].as_array();
        targets.is_some_and(|targets| targets.iter().all(|target| target["state"] == "idle"))
    });
}

/// Replaces `from` in the configuration of the source by `to`.
fn edit(pair: &TestPair, from: &str, to: &str) {
    let config = pair.dir.path().join("confxml.xml");
    let text = fs::read_to_string(&config).expect("confxml.xml");
    assert!(text.contains(from), "{text}");
    fs::write(&config, text.replace(from, to)).expect("confxml.xml");
}

/// The directory of the store of `node`.
fn store(node: &Node) -> PathBuf {
    let mut todo = vec![node.state_dir().to_owned()];
    while let Some(dir) = todo.pop() {
        if dir.join("store.redb").exists() {
            return dir;
        }
        let entries = fs::read_dir(&dir).expect("readable").flatten();
        todo.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    panic!("no store in {}", node.state_dir().display());
}

/// Where nothing happened to what was agreed upon, it is believed: else these tests would prove nothing.
#[test]
fn what_was_agreed_upon_in_order_is_believed() {
    let mut pair = at_rest(builder());
    let so_far = pair.source.log().len();
    pair.start_all();
    wait_idle(&pair);
    let log = pair.source.log();
    assert!(!log[so_far..].contains("compared"), "{log}");
}

/// A node that is killed has not stored what it did last. Where that happens to both, neither knows of a file that came
/// and went in between.
#[test]
fn a_replica_that_did_not_end_in_order_is_compared_although_its_source_remembers_no_more() {
    let mut pair = at_rest(builder());
    pair.start_all();
    wait_idle(&pair);
    fs::write(pair.src().join("short-lived"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.kill9();
    pair.peer().kill9();
    fs::remove_file(pair.src().join("short-lived")).expect("remove");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_replica_of_which_the_root_was_replaced_is_compared() {
    let mut pair = at_rest(builder());
    pair.start_all();
    wait_idle(&pair);
    fs::remove_dir_all(pair.dst()).expect("removed");
    fs::create_dir(pair.dst()).expect("made");
    fs::write(pair.src().join("f0"), "changed").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
}

/// What is below the place where the tree is to be mounted is not what was agreed upon.
#[test]
fn a_replica_that_starts_before_its_tree_is_there_is_compared() {
    let mut pair = at_rest(builder());
    fs::rename(pair.dst(), pair.dir.path().join("not mounted")).expect("renamed");
    fs::create_dir(pair.dst()).expect("made");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn a_target_that_was_left_out_for_a_while_is_compared() {
    let mut pair = at_rest(builder().peers(2));
    let second = "<remote ip=\"127.0.0.2\" name=\"data\"/>";
    edit(&pair, second, "");
    pair.start_all();
    fs::write(pair.src().join("new"), "x").expect("write");
    assert!(wait_until(EQUAL_WITHIN, || pair.dst().join("new").exists()));
    wait_idle(&pair);
    stop_all(&mut pair);
    edit(&pair, "</localpath>", &format!("{second}</localpath>"));
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

/// What a compare was to tell, and the retry log therefore does not know.
#[test]
fn a_compare_that_was_switched_off_before_it_took_place_takes_place() {
    let mut pair = at_rest(TestPair::builder());
    fs::write(pair.src().join("f0"), "changed").expect("write");
    pair.source.start();
    pair.source.stop();
    pair.source.arg("--set").arg("full-compare=off");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

#[test]
fn what_a_replica_was_not_to_take_it_takes_once_its_rules_are_others() {
    let mut pair = at_rest(builder().module_line("exclude = f7"));
    assert!(!pair.dst().join("f7").exists());
    let config = pair.dir.path().join("peer0.rsyncd.conf");
    let text = fs::read_to_string(&config).expect("rsyncd.conf");
    fs::write(&config, text.replace("exclude = f7\n", "")).expect("rsyncd.conf");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
}

/// The file says that something could not be stored.
#[test]
fn after_something_could_not_be_stored_everything_is_compared() {
    for role in ["source", "peer"] {
        let mut pair = at_rest(builder());
        fs::write(pair.dst().join("unknown"), role).expect("write");
        let node = if role == "source" { &pair.source } else { &pair.peers[0].node };
        let marker = store(node).join("compare-needed");
        fs::write(&marker, "").expect("write");
        pair.start_all();
        pair.wait_equal(EQUAL_WITHIN);
        assert!(!marker.exists(), "{role}: once is enough");
    }
}

/// By default: nothing of the files changed when they were switched on, but what is said of them.
#[test]
fn hard_links_and_attributes_that_are_switched_on_later_are_replicated() {
    let mut pair = TestPair::builder().build();
    let set = |path: &Path, name: &str| {
        rustix::fs::setxattr(path, name, b"value", rustix::fs::XattrFlags::empty()).expect("setxattr");
    };
    for name in ["a", "c"] {
        fs::write(pair.src().join(name), name).expect("write");
    }
    fs::hard_link(pair.src().join("a"), pair.src().join("b")).expect("linked");
    set(&pair.src().join("c"), "user.there");
    pair.start_all();
    pair.wait_equal(EQUAL_WITHIN);
    wait_idle(&pair);
    set(&pair.dst().join("c"), "user.not-there");
    pair.source.stop();
    for switch in ["hard-links=on", "xattrs=on"] {
        pair.source.arg("--set").arg(switch);
    }
    pair.compare = support::tree::Compare::everything();
    pair.source.start();
    pair.wait_equal(EQUAL_WITHIN);
    assert_eq!(fs::metadata(pair.dst().join("a")).expect("there").nlink(), 2);
    assert!(pair.source.ask(&["verify"]).status.success());
}
