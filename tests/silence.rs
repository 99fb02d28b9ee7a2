//! The other side is there and says nothing: every wait for it ends, frees what it held, is counted and said.

mod support;

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use syncd::link::{Endpoint, FrameReader, FrameWriter, Limits, Server};
use syncd::model::{Content, Entry, Epoch, Generation, Meta, Node, Op, Put, RelPath};
use syncd::wire::{Compare, FileBegin, Message, NackCode, Opened};
use syncd_certs::Identity;
use tokio::runtime::Runtime;

use support::client::{CHANNEL, Client, hello};
use support::pair::{EQUAL_WITHIN, TestPair};
use support::skip;

/// How long the other side may take to give up: far longer than it is configured to wait.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(60);
/// A stream may be silent for four times as long.
const IDLE: &str = "idle-timeout=3s";
/// The same for what is written here.
const KEPT: Duration = Duration::from_secs(3);

fn runtime() -> Runtime {
    // A thread of its own, so that connections live while a test waits for something else.
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A pair without a password: what is written here can speak to either side.
fn pair() -> support::pair::Builder {
    TestPair::builder().without_password().peer_arg("--trust-first-use").source_arg("--trust-first-use")
}

impl Client {
    /// Begins a change set of one large file, of which `piece` comes at once.
    async fn begin(&self, size: u64, piece: &[u8]) -> (FrameWriter, FrameReader) {
        let (mut writer, reader) = self.link.open_stream().await.unwrap();
        let epoch = if self.newest == Epoch::NONE { Epoch::NONE.next(self.link.node_key()) } else { self.newest };
        writer.write(&self.head(epoch)).await.unwrap();
        let entry = Entry {
            node: Node::File { size, hash: None },
            meta: Meta { mode: 0o644, ..Meta::default() },
            xattrs: Vec::new(),
            link: None,
        };
        let path = RelPath::parse(b"large").unwrap();
        let put = Put { path, entry, content: Content::Stream(0), base: None };
        writer.write(&Message::Ops(vec![Op::Put(put)])).await.unwrap();
        writer.write(&Message::FileBegin(FileBegin { number: 0, base: None })).await.unwrap();
        writer.write(&Message::Data(Bytes::copy_from_slice(piece))).await.unwrap();
        (writer, reader)
    }
}

/// What comes after signs of life.
async fn answer(reader: &mut FrameReader) -> Option<Message> {
    let answered = async {
        loop {
            match reader.read().await.unwrap() {
                Some(Message::Working) => {}
                other => return other,
            }
        }
    };
    tokio::time::timeout(GIVEN_UP_WITHIN, answered).await.expect("no answer")
}

#[test]
fn a_source_that_goes_silent_inside_a_file_holds_no_thread() {
    // Two threads, so that two silent files would stop everything.
    let mut pair = pair().peer_set(IDLE).peer_set("threads=2").build();
    pair.peer().start();
    let (addr, identity) = (pair.peers[0].addr, Identity::ephemeral().unwrap());
    runtime().block_on(async {
        let client = Client::connect_idle(&identity, addr, KEPT).await;
        for _ in 0..3 {
            let (writer, mut reader) = client.begin(1 << 20, &[7; 1000]).await;
            // The connection lives all the while, kept alive from both ends.
            match answer(&mut reader).await {
                Some(Message::Nack(nack)) => {
                    assert_eq!(nack.code, NackCode::Local, "{nack:?}");
                    assert!(nack.cause.contains("went silent"), "{nack:?}");
                }
                other => panic!("{other:?}"),
            }
            drop(writer);
        }
    });
    let peer = &pair.peers[0].node;
    peer.wait_status(EQUAL_WITHIN, "counted", |status| status["counters"]["stalls"] == 3);
    assert_eq!(peer.log().matches("went silent in the middle of its work").count(), 3, "{}", peer.log());
    // Nothing of it stays in the stage.
    assert!(fs::read_dir(pair.dst()).unwrap().all(|entry| entry.unwrap().file_name() == ".syncd"));
}

#[test]
fn a_source_that_does_not_read_what_it_asked_for_is_given_up() {
    let mut pair = pair().peer_set(IDLE).build();
    pair.peer().start();
    let (addr, identity) = (pair.peers[0].addr, Identity::ephemeral().unwrap());
    let runtime = runtime();
    let held = runtime.block_on(async {
        let client = Client::connect_idle(&identity, addr, KEPT).await;
        let (mut writer, reader) = client.link.open_stream().await.unwrap();
        let compare = Compare { channel: CHANNEL, epoch: Epoch::NONE.next(client.link.node_key()), deep: false };
        writer.write(&Message::Compare(compare)).await.unwrap();
        (client, writer, reader)
    });
    // Neither a question nor a sign of life follows.
    pair.peers[0].node.wait_status(GIVEN_UP_WITHIN, "counted", |status| status["counters"]["stalls"] == 1);
    drop(held);
}

#[test]
fn a_slow_file_is_not_cut_while_bytes_come() {
    let kept = Duration::from_secs(10);
    let mut pair = pair().peer_set("idle-timeout=10s").build();
    pair.peer().start();
    let (addr, identity) = (pair.peers[0].addr, Identity::ephemeral().unwrap());
    let pieces = 60;
    runtime().block_on(async {
        let client = Client::connect_idle(&identity, addr, kept).await;
        let (mut writer, mut reader) = client.begin(1000 * (pieces + 1), &[7; 1000]).await;
        // Twice as long as silence may last, in small steps: this is what is tested, and nothing waits for it.
        let mut step = tokio::time::interval(Duration::from_millis(400));
        for _ in 0..pieces {
            step.tick().await;
            writer.write(&Message::Data(Bytes::from_static(&[7; 1000]))).await.unwrap();
        }
        writer.write(&Message::FileAbort).await.unwrap();
        writer.write(&Message::ChangeSetEnd { ops: 1, root: None }).await.unwrap();
        let answer = answer(&mut reader).await;
        assert!(matches!(answer, Some(Message::Ack(_))), "{answer:?}");
    });
    assert_eq!(pair.peers[0].node.status()["counters"]["stalls"], 0);
}

#[test]
fn a_peer_that_is_slow_to_make_durable_is_waited_for() {
    let test = "a_peer_that_is_slow_to_make_durable_is_waited_for";
    if !skip::have(test, "strace") {
        return;
    }
    let mut pair = TestPair::builder().source_set("idle-timeout=3s").build();
    // Longer than the source would wait for a silent peer.
    let slow = ["-e", "trace=syncfs", "-e", "inject=syncfs:delay_enter=9000000"];
    let trace = pair.dir.path().join("trace");
    let strace = ["strace", "-D", "-f", "-qq", "-o", trace.to_str().unwrap()];
    pair.peer().run_under([&strace[..], &slow[..]].concat());
    // More than are made durable one by one.
    for n in 0..20 {
        fs::write(pair.src().join(n.to_string()), "x").unwrap();
    }
    pair.start_all();
    pair.wait_equal(GIVEN_UP_WITHIN);
    let idle = |status: &serde_json::Value| status["sets"][0]["targets"][0]["pending"] == 0;
    pair.source.wait_status(GIVEN_UP_WITHIN, "acknowledged", idle);
    let traced = fs::read_to_string(&trace).unwrap();
    assert!(traced.contains("(DELAYED)"), "nothing was slow:\n{traced}");
    assert_eq!(pair.source.status()["counters"]["stalls"], 0, "{}", pair.source.log());
}

#[test]
fn a_source_that_comes_back_ends_its_old_connection_at_once() {
    let mut pair = pair().module_line("max connections = 1").build();
    pair.peer().start();
    let (addr, identity) = (pair.peers[0].addr, Identity::ephemeral().unwrap());
    runtime().block_on(async {
        let old = Client::connect(&identity, addr).await;
        let _file = old.begin(1 << 20, &[7; 1000]).await;
        let new = Client::connect(&identity, addr).await;
        let closed = tokio::time::timeout(GIVEN_UP_WITHIN, old.link.closed()).await.expect("still open");
        assert!(closed.to_string().contains("on another connection"), "{closed}");
        let (mut writer, mut reader) = new.begin(1000, &[7; 1000]).await;
        writer.write(&Message::FileAbort).await.unwrap();
        writer.write(&Message::ChangeSetEnd { ops: 1, root: None }).await.unwrap();
        let answer = answer(&mut reader).await;
        assert!(matches!(answer, Some(Message::Ack(_))), "{answer:?}");
        let there = pair.peers[0].node.status();
        assert_eq!(there["sets"][0]["sources"].as_array().map(Vec::len), Some(1), "{there:#}");
    });
}

#[test]
fn a_peer_that_never_answers_a_compare_is_given_up_and_tried_again() {
    let mut pair = pair().source_set(IDLE).build();
    fs::write(pair.src().join("f"), "x").unwrap();
    pair.source.start();
    let (addr, identity) = (pair.peers[0].addr, Identity::ephemeral().unwrap());
    runtime().block_on(async {
        let endpoint = Endpoint::serving(&identity, Duration::from_secs(30), addr).unwrap();
        let mut server = Server::new(endpoint, Limits::default());
        // It comes again after it gave up: a backoff later.
        let mut held = Vec::new();
        for _ in 0..2 {
            let link = tokio::time::timeout(GIVEN_UP_WITHIN, server.accept()).await.expect("no source").unwrap();
            let (mut writer, mut reader) = link.accept_stream().await.unwrap();
            writer.write(&hello("silent")).await.unwrap();
            let channel = loop {
                match reader.read_timeout(GIVEN_UP_WITHIN).await.unwrap() {
                    Some(Message::Open(open)) => break open.channel,
                    Some(Message::Hello(_)) => {}
                    other => panic!("{other:?}"),
                }
            };
            link.authorised();
            let opened = Opened { channel, newest: Epoch::NONE, generation: Generation::NONE, proof: "none".into() };
            writer.write(&Message::Opened(opened)).await.unwrap();
            // What it asks for then is heard, and never answered.
            let asked = link.accept_stream().await.unwrap();
            let closed = tokio::time::timeout(GIVEN_UP_WITHIN, link.closed()).await;
            assert!(closed.is_ok(), "it waits for ever");
            held.push((link, writer, reader, asked));
        }
    });
    pair.source.wait_log(0, "went silent in the middle of its work", EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "counted", |status| status["counters"]["stalls"].as_u64() >= Some(2));
}
