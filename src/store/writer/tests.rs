//! What the writer said is durable is there after a kill.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use super::*;
use crate::model::{Entry, Meta, Node, Record, RelPath};
use crate::store::database::tests::store_on_full_disk;
use crate::store::{Incident, IncidentKind, Pending};

const WINDOW: Duration = Duration::from_millis(5);
const CHILD: &str = "SYNCD_TEST_STORE_DIR";

fn path(n: u64) -> RelPath {
    RelPath::parse(format!("dir/{n}").as_bytes()).expect("valid")
}

fn index(n: u64) -> Write {
    let node = Node::File { size: n, hash: None };
    let entry = Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None };
    Write::Index { set: "s".to_owned(), changes: vec![(path(n), Some(Record { entry, stamp: None }))] }
}

fn pending(n: u64) -> Write {
    let pending = Pending { since_unix_ms: n, cause: "cut".to_owned(), base: None };
    Write::Pending { target: "t".to_owned(), names: vec![(path(n), pending)] }
}

#[test]
fn what_was_sent_is_there_after_a_flush_and_after_the_end() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Arc::new(Store::open(dir.path()).expect("open"));
    let writer = Writer::start(Arc::clone(&store), WINDOW).expect("start");
    writer.send([index(1), pending(1)]);
    writer.flush().expect("flush");
    assert_eq!(store.load_index("s").expect("index").len(), 1);
    assert_eq!(store.pending("t").expect("pending").len(), 1);
    writer.send([index(2), Write::Acknowledged { target: "t".to_owned(), names: vec![path(1)] }]);
    drop(writer);
    assert_eq!(store.load_index("s").expect("index").len(), 2);
    assert_eq!(store.targets().expect("targets"), Vec::<String>::new());
    assert!(!store.compare_needed());
}

/// It hangs where somebody waits for what never comes.
#[test]
fn what_comes_to_nothing_is_waited_for_by_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let writer = Writer::start(Arc::new(Store::open(dir.path()).expect("open")), WINDOW).expect("start");
    writer.send([]);
    writer.settle();
    let empty = writer.send([Write::Index { set: "s".to_owned(), changes: Vec::new() }]);
    writer.settle();
    writer.wait(empty).expect("written");
    writer.send([]);
    writer.flush().expect("nothing lost");
}

#[test]
fn a_full_disk_stops_nobody_and_asks_for_a_compare() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, full) = store_on_full_disk(dir.path());
    let store = Arc::new(store);
    let writer = Writer::start(Arc::clone(&store), WINDOW).expect("start");
    full.store(true, Ordering::SeqCst);
    let lost = writer.send([pending(1)]);
    assert!(matches!(writer.wait(lost), Err(StoreError::NotWritten(_))));
    assert!(matches!(writer.flush(), Err(StoreError::NotWritten(_))));
    assert!(writer.fault().is_some());
    assert!(store.compare_needed());
    full.store(false, Ordering::SeqCst);
    let kept = writer.send([pending(2)]);
    writer.wait(kept).expect("what was lost before is another's");
    writer.flush().expect("room again");
    assert!(matches!(writer.wait(lost), Err(StoreError::NotWritten(_))));
    assert_eq!(writer.fault(), None);
    assert_eq!(store.pending("t").expect("pending").len(), 1);
    assert!(store.compare_needed(), "what was lost stays lost");
}

/// Ends by SIGKILL: it tells on standard output which numbers are flushed.
#[test]
#[ignore = "the child of what_was_flushed_survives_kill_9"]
fn child_writes_for_ever() {
    let Some(dir) = std::env::var_os(CHILD) else {
        panic!("{CHILD} is not set");
    };
    let store = Arc::new(Store::open(dir.as_ref()).expect("open"));
    let writer = Writer::start(Arc::clone(&store), WINDOW).expect("start");
    let index_so_far = store.load_index("s").expect("index");
    for n in (0..).skip_while(|n| index_so_far.get(&path(*n)).is_some()) {
        writer.send([index(n)]);
        match n % 3 {
            0 => _ = writer.send([pending(n)]),
            1 => {
                let (set, at) = ("s".to_owned(), crate::model::Epoch::NONE);
                let kind = IncidentKind::Conflict;
                writer.send([Write::Incident(Incident {
                    kind,
                    set,
                    path: path(n),
                    at_unix_ms: n,
                    epoch: at,
                    copy: None,
                })]);
            }
            // Nothing here must last by itself: the flush alone makes it so.
            _ => {}
        }
        writer.flush().expect("flush");
        println!("flushed {n}");
        std::io::stdout().flush().expect("stdout");
        writer.send([index(n + 1_000_000)]);
    }
}

#[test]
fn what_was_flushed_survives_kill_9() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut flushed = 0;
    for round in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "store::writer::tests::child_writes_for_ever", "--ignored", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        // The first may share its line with the test's name.
        let numbers = lines.map_while(Result::ok).filter_map(|l| l.split_once("flushed ")?.1.parse::<u64>().ok());
        flushed = numbers.take(5 + 3 * round as usize).last().expect("the child writes");
        child.kill().expect("kill");
        child.wait().expect("wait");
        let store = Store::open(dir.path()).expect("opens");
        let index = store.load_index("s").expect("index");
        for n in 0..=flushed {
            assert!(index.get(&path(n)).is_some(), "round {round}: {n} of {flushed} is gone");
        }
        let names = store.pending("t").expect("pending");
        assert!((0..=flushed).step_by(3).all(|n| names.iter().any(|(at, _)| *at == path(n))));
        assert!(!dir.path().join("store.redb.damaged-1").exists());
    }
    assert!(flushed > 40);
}

#[test]
fn what_was_sent_is_written_once_it_has_settled() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Arc::new(Store::open(dir.path()).expect("open"));
    let writer = Writer::start(Arc::clone(&store), WINDOW).expect("start");
    writer.settle();
    writer.send([index(1)]);
    writer.settle();
    assert_eq!(store.load_index("s").expect("index").len(), 1);
}
