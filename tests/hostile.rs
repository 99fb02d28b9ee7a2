//! A hostile source at a real peer: refused and counted, nothing outside is touched, honest work goes on.

mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use syncd::link::{Endpoint, LinkError};
use syncd::model::{Content, Digest, Entry, Epoch, Kind, Meta, Node, Op, Put, RelPath, Timestamp};
use syncd::wire::{self, ChangeSet, FileBegin, MAX_BODY, Message, Nack, NackCode};
use syncd_certs::Identity;
use tokio::runtime::Runtime;

use support::client::{CHANNEL, Client, hello, open};
use support::node::wait_until;
use support::pair::{EQUAL_WITHIN, TestPair};
use support::tree;

/// How long a single answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How much the peer's memory may grow over a whole test, in KiB.
const GROWTH: u64 = 64 << 10;

/// A peer that an honest source has filled, and the key of that source in our hands.
struct Stand {
    pair: TestPair,
    identity: Identity,
    runtime: Runtime,
    outside: PathBuf,
    sentinels: Vec<String>,
    rss: u64,
}

/// How the peer took it.
#[derive(Debug)]
#[expect(dead_code, reason = "all of it is shown where a test fails")]
enum Fate {
    Acked(wire::Ack),
    Nacked(Nack),
    Closed(LinkError),
    Ended,
}

/// What has to happen.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The whole connection is closed.
    Closed,
    /// The change set alone is refused, for this reason.
    Nack(NackCode),
    /// The change set alone is refused.
    AnyNack,
    /// Any answer will do: only what it leads to counts.
    Harmless,
}

use Expected::{AnyNack, Closed, Harmless};

impl Stand {
    /// An honest mirror of a small tree with a symlink that leads out of it; the source then stops.
    fn new() -> Self {
        let mut pair = TestPair::builder()
            .without_password()
            .peer_arg("--trust-first-use")
            .source_arg("--trust-first-use")
            .build();
        let outside = pair.dir.path().join("outside");
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::write(outside.join("sentinel"), "untouched").unwrap();
        fs::write(outside.join("dir/deep"), "untouched too").unwrap();
        symlink(&outside, pair.src().join("planted")).unwrap();
        fs::create_dir_all(pair.src().join("dir/sub")).unwrap();
        fs::write(pair.src().join("dir/file"), "honest").unwrap();
        fs::write(pair.src().join("large"), vec![5; 1 << 20]).unwrap();
        pair.start_all();
        pair.wait_equal(EQUAL_WITHIN);
        pair.source.stop();
        let identity = Identity::load_or_create(&key_dir(&pair)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sentinels = stamps(&outside);
        let rss = rss_kib(pair.peers[0].node.pid());
        Self { pair, identity, runtime, outside, sentinels, rss }
    }

    fn addr(&self) -> SocketAddr {
        self.pair.peers[0].addr
    }

    /// What the peer has counted as refused so far.
    fn refused(&self) -> u64 {
        let status = self.pair.peers[0].node.status();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        number(&status["counters"]["refused"]) + number(&status["sets"][0]["rejected"])
    }

    /// Sends a change set of these frames over a connection of its own; what the peer does with it has to be as
    /// expected, and be counted, and leave both trees alone.
    fn attack(&self, name: &str, frames: Vec<Bytes>, expected: Expected) {
        let before = self.refused();
        let fate = self.runtime.block_on(async {
            let client = Client::connect(&self.identity, self.addr()).await;
            client.change_set(client.newest, frames).await
        });
        println!("{name}: {fate:?}");
        self.judge(name, &fate, expected, before);
    }

    fn judge(&self, name: &str, fate: &Fate, expected: Expected, before: u64) {
        let as_expected = match (expected, fate) {
            (Expected::Nack(code), Fate::Nacked(nack)) => nack.code == code,
            (Closed, Fate::Closed(_)) | (AnyNack, Fate::Nacked(_)) | (Harmless, _) => true,
            _ => false,
        };
        assert!(as_expected, "{name}: {fate:?}, not {expected:?}");
        self.assert_outside_untouched(name);
        if matches!(expected, Harmless) {
            return;
        }
        assert!(wait_until(ANSWER_WITHIN, || self.refused() > before), "{name}: it was not counted");
        let found = self.pair.differences();
        assert!(found.is_empty(), "{name} changed the replica: {found:#?}");
    }

    fn assert_outside_untouched(&self, name: &str) {
        assert_eq!(stamps(&self.outside), self.sentinels, "{name}: the tree outside was touched");
    }

    /// The peer still runs, in about the same memory, and takes what an honest source sends.
    fn finish(mut self) {
        assert!(self.pair.peer().is_running(), "the peer is gone");
        self.pair.source.start();
        fs::write(self.pair.src().join("afterwards"), "honest").unwrap();
        self.pair.wait_equal(EQUAL_WITHIN);
        self.assert_outside_untouched("the end");
        let rss = rss_kib(self.pair.peers[0].node.pid());
        assert!(rss < self.rss + GROWTH, "memory went from {} to {rss} KiB", self.rss);
    }
}

impl Client {
    async fn change_set(&self, epoch: Epoch, frames: Vec<Bytes>) -> Fate {
        let head = encode(&self.head(epoch));
        self.stream([vec![head], frames].concat()).await
    }

    /// Sends these frames on a stream of their own and waits for the last word.
    async fn stream(&self, frames: Vec<Bytes>) -> Fate {
        let (mut writer, mut reader) = match self.link.open_stream().await {
            Ok(stream) => stream,
            Err(e) => return Fate::Closed(e),
        };
        for frame in frames {
            // The peer may have had enough before the end: reading will tell.
            if writer.write_raw(frame).await.is_err() {
                break;
            }
        }
        let _ = writer.finish();
        loop {
            match reader.read_timeout(ANSWER_WITHIN).await {
                Ok(Some(Message::Ack(ack))) => return Fate::Acked(ack),
                Ok(Some(Message::Nack(nack))) => return Fate::Nacked(nack),
                Ok(Some(_)) => {}
                Ok(None) => return Fate::Ended,
                Err(e @ LinkError::ReadTimeout { .. }) => panic!("no answer: {e}"),
                Err(e) => return Fate::Closed(e),
            }
        }
    }
}

/// Where the source keeps its key.
fn key_dir(pair: &TestPair) -> PathBuf {
    let state = pair.source.state_dir();
    let places = [Some(state), state.parent()];
    let found = places.into_iter().flatten().find(|dir| dir.join("node.key").is_file());
    found.expect("the source has a key").to_owned()
}

/// Everything about every entry below `dir` that a touch would change.
fn stamps(dir: &Path) -> Vec<String> {
    let listed = tree::read(dir, tree::Compare::everything()).unwrap();
    let stamp = |name: &[u8], item: &tree::Item| {
        let meta = fs::symlink_metadata(dir.join(String::from_utf8_lossy(name).as_ref())).unwrap();
        let (ino, ctime, nlink) = (meta.ino(), (meta.ctime(), meta.ctime_nsec()), meta.nlink());
        format!("{} {item:?} {ino} {ctime:?} {nlink}", name.escape_ascii())
    };
    listed.iter().map(|(name, item)| stamp(name, item)).collect()
}

fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

fn entry(node: Node) -> Entry {
    let mtime = Timestamp { secs: 1_000_000_000, nanos: 0 };
    Entry { node, meta: Meta { mode: 0o644, uid: 0, gid: 0, mtime }, xattrs: Vec::new(), link: None }
}

fn file(content: &[u8]) -> Entry {
    entry(Node::File { size: content.len() as u64, hash: Some(Digest::of(content)) })
}

fn sized(size: u64) -> Entry {
    entry(Node::File { size, hash: None })
}

fn put(at: RelPath, entry: Entry, content: Content) -> Op {
    Op::Put(Put { path: at, entry, content, base: None })
}

fn inline(at: &str) -> Op {
    put(path(at), file(b"pwned"), Content::Inline(b"pwned".to_vec()))
}

fn link(at: &str, to: &str) -> Op {
    put(path(at), file(b"pwned"), Content::Link(path(to)))
}

fn rename(from: &str, to: &str) -> Op {
    Op::Rename { from: path(from), to: path(to) }
}

fn remove(at: &str, kind: Kind) -> Op {
    Op::Remove { path: path(at), kind: Some(kind) }
}

fn encode(message: &Message) -> Bytes {
    wire::encode(message).unwrap()
}

fn end(ops: u64) -> Bytes {
    encode(&Message::ChangeSetEnd { ops, root: None })
}

/// A whole change set of `ops`.
fn all(ops: Vec<Op>) -> Vec<Bytes> {
    let count = ops.len() as u64;
    vec![encode(&Message::Ops(ops)), end(count)]
}

/// The change set that `op` makes once `stand_in` in it is `bytes`, which no honest encoder writes.
fn forged(op: Op, stand_in: &str, bytes: &[u8]) -> Vec<Bytes> {
    let mut frame = encode(&Message::Ops(vec![op])).to_vec();
    let at = frame.windows(bytes.len()).position(|part| part == stand_in.as_bytes()).unwrap();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    vec![frame.into(), end(1)]
}

/// A valid path as long as `bytes`, and like nothing else in a frame.
fn stand_in(bytes: &[u8]) -> String {
    let mut text = "#".repeat(bytes.len());
    if text.len() > 255 {
        text.replace_range(4..5, "/");
    }
    text
}

/// A file of `announced` bytes that comes in `pieces`.
fn streamed(announced: u64, base: Option<Digest>, pieces: &[Message]) -> Vec<Bytes> {
    let ops = Message::Ops(vec![put(path("large"), sized(announced), Content::Stream(7))]);
    let begin = Message::FileBegin(FileBegin { number: 7, base });
    [&ops, &begin].into_iter().chain(pieces).map(encode).chain([end(1)]).collect()
}

fn file_end(hash: Digest, entry: Entry) -> Message {
    Message::FileEnd { hash, entry: Box::new(entry) }
}

/// A frame as the header says, whatever the body.
fn raw(kind: u16, flags: u8, announced: u32, body: &[u8]) -> Bytes {
    let ([k0, k1], [l0, l1, l2, l3]) = (kind.to_le_bytes(), announced.to_le_bytes());
    [&[k0, k1, flags, 0, l0, l1, l2, l3][..], body].concat().into()
}

#[test]
fn paths_that_lead_out_are_refused_in_every_operation() {
    let stand = Stand::new();
    let absolute = stand.outside.join("sentinel").into_os_string().into_encoded_bytes();
    let escapes: [&[u8]; 9] = [
        b"../outside/x",
        b"..",
        b"dir/../../outside/sentinel",
        &absolute,
        b"a//b",
        b"a/",
        b"a/./b",
        b"nul\0byte",
        &[b"dir/".as_slice(), &[b'n'; 256]].concat(),
    ];
    for bytes in escapes {
        let it = stand_in(bytes);
        let forged = |op| forged(op, &it, bytes);
        let shown = bytes.escape_ascii();
        stand.attack(&format!("put {shown}"), forged(inline(&it)), Closed);
        stand.attack(&format!("remove {shown}"), forged(remove(&it, Kind::File)), Closed);
        stand.attack(&format!("rename from {shown}"), forged(rename(&it, "stolen")), Closed);
        stand.attack(&format!("rename to {shown}"), forged(rename("dir/file", &it)), Closed);
        stand.attack(&format!("link to {shown}"), forged(link("stolen", &it)), Closed);
    }
    stand.finish();
}

#[test]
fn what_is_syncds_own_and_the_root_itself_are_out_of_reach() {
    let stand = Stand::new();
    let protocol = Expected::Nack(NackCode::Protocol);
    for own in [".syncd", ".syncd/x", ".syncd/stage/0"] {
        stand.attack(&format!("put {own}"), all(vec![inline(own)]), protocol);
        stand.attack(&format!("remove {own}"), all(vec![remove(own, Kind::Dir)]), protocol);
        stand.attack(&format!("rename {own}"), all(vec![rename(own, "mine")]), protocol);
        stand.attack(&format!("rename to {own}"), all(vec![rename("dir", own)]), protocol);
        stand.attack(&format!("link to {own}"), all(vec![link("mine", own)]), protocol);
    }
    let root = RelPath::root;
    stand.attack("remove the root", all(vec![Op::Remove { path: root(), kind: Some(Kind::Dir) }]), protocol);
    stand.attack("move the root", all(vec![Op::Rename { from: root(), to: path("below") }]), protocol);
    stand.attack("move onto the root", all(vec![Op::Rename { from: path("dir"), to: root() }]), protocol);
    let content = Content::Inline(b"pwned".to_vec());
    stand.attack("a file as the root", all(vec![put(root(), file(b"pwned"), content)]), protocol);
    stand.attack("a directory into itself", all(vec![rename("dir", "dir/sub/dir")]), protocol);
    stand.finish();
}

#[test]
fn nothing_passes_through_a_symlink() {
    let stand = Stand::new();
    let to_outside = || Node::Symlink { target: stand.outside.as_os_str().as_encoded_bytes().into() };
    let attacks = [
        ("put through a symlink", vec![inline("planted/pwned")]),
        ("overwrite through a symlink", vec![inline("planted/sentinel")]),
        ("remove through a symlink", vec![remove("planted/sentinel", Kind::File)]),
        ("remove a directory through a symlink", vec![remove("planted/dir", Kind::Dir)]),
        ("rename out of a symlink", vec![rename("planted/sentinel", "stolen")]),
        ("rename into a symlink", vec![rename("dir/file", "planted/pwned")]),
        ("link what is behind a symlink", vec![link("stolen", "planted/sentinel")]),
        ("a directory behind a symlink", vec![put(path("planted/new"), entry(Node::Dir), Content::Keep)]),
        ("metadata through a symlink", vec![put(path("planted/dir"), entry(Node::Dir), Content::Keep)]),
        (
            "a new symlink and a file through it",
            vec![put(path("fresh"), entry(to_outside()), Content::Keep), inline("fresh/pwned")],
        ),
        (
            "a directory that becomes a symlink, and a file through it",
            vec![put(path("dir"), entry(to_outside()), Content::Keep), inline("dir/pwned")],
        ),
        ("a symlink moved in, and a file through it", vec![rename("planted", "dir/in"), inline("dir/in/pwned")]),
    ];
    for (name, ops) in attacks {
        stand.attack(name, all(ops), Harmless);
    }
    stand.finish();
}

#[test]
fn nothing_passes_through_a_parent_that_was_swapped_for_a_symlink() {
    let stand = Stand::new();
    // Somebody at the replica puts a symlink in the place of a directory that was agreed upon.
    fs::rename(stand.pair.dst().join("dir"), stand.pair.dst().join("moved")).unwrap();
    symlink(&stand.outside, stand.pair.dst().join("dir")).unwrap();
    for (name, op) in [
        ("put through a swapped parent", inline("dir/pwned")),
        ("overwrite through a swapped parent", inline("dir/sentinel")),
        ("remove through a swapped parent", remove("dir/sentinel", Kind::File)),
        ("metadata through a swapped parent", put(path("dir"), entry(Node::Dir), Content::Keep)),
    ] {
        stand.attack(name, all(vec![op]), Harmless);
    }
    stand.finish();
}

#[test]
fn a_compare_shows_nothing_from_outside() {
    let stand = Stand::new();
    let shown = stand.runtime.block_on(async {
        let client = Client::connect(&stand.identity, stand.addr()).await;
        let (mut writer, mut reader) = client.link.open_stream().await.unwrap();
        let compare = wire::Compare { channel: CHANNEL, epoch: client.newest, deep: false };
        writer.write(&Message::Compare(compare)).await.unwrap();
        let wanted = ["planted", "planted/dir", ".syncd", "missing", "dir/file", "dir"].map(path).to_vec();
        writer.write(&Message::WantDirs(wanted)).await.unwrap();
        writer.write(&Message::End).await.unwrap();
        writer.finish().unwrap();
        let mut shown = Vec::new();
        while let Ok(Some(message)) = reader.read_timeout(ANSWER_WITHIN).await {
            if let Message::Entries { dir, entries } = message {
                shown.extend(entries.into_iter().map(|(name, _)| format!("{dir}/{}", name.escape_ascii())));
            }
        }
        shown
    });
    assert!(shown.contains(&"dir/file".to_owned()), "{shown:?}");
    let secret = |name: &String| name.starts_with("planted/") || name.starts_with(".syncd/");
    assert!(!shown.iter().any(secret), "{shown:?}");
    stand.finish();
}

#[test]
fn frames_that_break_the_rules_close_the_connection() {
    let stand = Stand::new();
    let whole = encode(&Message::Ops(vec![inline("new")]));
    let zeros = vec![0; 64 << 20];
    let bomb = zstd::bulk::compress(&zeros, 1).unwrap();
    let bomb = raw(33, 3, u32::try_from(bomb.len()).unwrap(), &bomb);
    let too_long = u32::try_from(MAX_BODY + 1).unwrap();
    let frames = [
        ("a body of 4 GiB", raw(33, 1, u32::MAX, b"")),
        ("a body beyond the limit", raw(33, 1, too_long, &vec![0; MAX_BODY + 1])),
        ("a frame that is cut short", whole.slice(..whole.len() - 3)),
        ("a header that is cut short", whole.slice(..5)),
        ("an unknown critical frame", raw(999, 1, 0, b"")),
        ("unknown flags", raw(33, 129, 0, b"")),
        ("garbage for a body", raw(33, 1, 64, &[0xff; 64])),
        ("a count of operations beyond the body", raw(33, 1, 5, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
        ("garbage for zstd", raw(33, 3, 64, &[0xff; 64])),
        ("a decompression bomb", bomb.clone()),
    ];
    for (name, frame) in frames {
        stand.attack(name, vec![frame], Closed);
    }
    for round in 0..10 {
        stand.attack(&format!("bomb {round}"), vec![bomb.clone(); 20], Closed);
    }
    let unknown = vec![raw(999, 0, 4, b"skip"), end(0)];
    stand.attack("an unknown frame that is not critical", unknown, Harmless);
    stand.finish();
}

#[test]
fn streams_without_a_right_close_the_connection() {
    let stand = Stand::new();
    let stray = encode(&Message::Data(Bytes::from_static(b"stray")));
    let other = ChangeSet {
        channel: 99,
        epoch: Epoch::NONE,
        number: 1,
        deletions_approved: false,
        users: Vec::new(),
        groups: Vec::new(),
    };
    for (name, first) in
        [("a stream that begins with data", stray), ("a channel that is not open", encode(&Message::ChangeSet(other)))]
    {
        let before = stand.refused();
        let fate = stand.runtime.block_on(async {
            let client = Client::connect(&stand.identity, stand.addr()).await;
            client.stream(vec![first]).await
        });
        stand.judge(name, &fate, Closed, before);
    }
    stand.finish();
}

#[test]
fn change_sets_that_break_the_rules_do_not_go_live() {
    let stand = Stand::new();
    let protocol = Expected::Nack(NackCode::Protocol);
    let needed = Expected::Nack(NackCode::ContentNeeded);
    let large = Digest::of(&vec![5; 1 << 20]);
    for block in [0, 3, 512, 1 << 21, u32::MAX] {
        let want = Message::WantSignature { path: path("large"), base: large, block };
        stand.attack(&format!("blocks of {block}"), vec![encode(&want), end(0)], protocol);
    }
    let lie = put(path("new"), file(b"right"), Content::Inline(b"wrong".to_vec()));
    stand.attack("an inline file with another hash", all(vec![lie]), needed);
    let short = put(path("new"), sized(9), Content::Inline(b"wrong".to_vec()));
    stand.attack("an inline file of another size", all(vec![short]), needed);
    stand.attack("a count that is too high", vec![encode(&Message::Ops(vec![inline("new")])), end(2)], protocol);
    stand.attack("a count that is too low", vec![encode(&Message::Ops(vec![inline("new")])), end(0)], protocol);
    stand.attack("a path put twice", all(vec![inline("new"), inline("new")]), protocol);
    stand.attack("no end", vec![encode(&Message::Ops(vec![inline("new")]))], protocol);
    stand.attack("content that never comes", all(vec![put(path("new"), sized(9), Content::Stream(1))]), AnyNack);
    let begin = encode(&Message::FileBegin(FileBegin { number: 9, base: None }));
    stand.attack("content that nobody announced", vec![begin, end(0)], protocol);
    stand.attack("a frame of another stream", vec![encode(&hello("x")), end(0)], protocol);
    let kept = put(path("new"), file(b"not there"), Content::Keep);
    stand.attack("content to keep that is not there", all(vec![kept]), AnyNack);

    let data = Message::Data(Bytes::from_static(b"0123456789"));
    let ten = Digest::of(b"0123456789");
    let wrong = [data.clone(), file_end(large, sized(10))];
    stand.attack("content with another hash", streamed(10, None, &wrong), needed);
    let beyond = [data.clone(), data.clone(), file_end(ten, sized(20))];
    stand.attack("data beyond what was announced", streamed(10, None, &beyond), needed);
    let hole = [Message::Hole { len: u64::MAX }, data.clone(), file_end(ten, sized(9))];
    stand.attack("a hole beyond what was announced", streamed(10, None, &hole), needed);
    stand.attack(
        "a hole of years, then nonsense",
        streamed(1 << 62, None, &[Message::Hole { len: 1 << 62 }]),
        protocol,
    );
    let swell = [data, file_end(ten, sized(1 << 40))];
    stand.attack("an end of another size", streamed(10, None, &swell), needed);
    let copy = |offset, len| [Message::Copy { offset, len }, file_end(large, sized(1 << 20))];
    stand.attack("a copy without a base", streamed(1 << 20, None, &copy(0, 1 << 20)), protocol);
    stand.attack("a copy from another base", streamed(1 << 20, Some(ten), &copy(0, 1 << 20)), needed);
    stand.attack("a copy beyond the end", streamed(1 << 30, Some(large), &copy(1 << 19, 1 << 20)), needed);
    stand.attack("a copy far beyond the end", streamed(1 << 40, Some(large), &copy(0, 1 << 40)), needed);
    stand.attack("a copy at no offset", streamed(1 << 20, Some(large), &copy(u64::MAX, 1 << 20)), AnyNack);
    stand.finish();
}

#[test]
fn holes_without_end_take_no_thread_for_longer_than_their_link() {
    let stand = Stand::new();
    for _ in 0..16 {
        stand.runtime.block_on(async {
            let client = Client::connect(&stand.identity, stand.addr()).await;
            let (mut writer, mut reader) = client.link.open_stream().await.unwrap();
            let hole = [Message::Hole { len: 1 << 62 }];
            let mut frames = streamed(1 << 62, None, &hole);
            // The change set does not end either.
            frames.pop();
            writer.write(&client.head(client.newest)).await.unwrap();
            for frame in frames {
                writer.write_raw(frame).await.unwrap();
            }
            // Nothing comes back but signs of life: the peer is at work, and its sender goes.
            while let Ok(answer) = reader.read_timeout(Duration::from_millis(100)).await {
                assert_eq!(answer, Some(Message::Working));
            }
        });
    }
    stand.finish();
}

#[test]
fn an_older_epoch_is_refused() {
    let stand = Stand::new();
    let before = stand.refused();
    let fate = stand.runtime.block_on(async {
        let client = Client::connect(&stand.identity, stand.addr()).await;
        let older = Epoch { counter: client.newest.counter - 1, ..client.newest };
        client.change_set(older, all(vec![inline("new")])).await
    });
    stand.judge("an older epoch", &fate, Expected::Nack(NackCode::OlderEpoch), before);
    stand.finish();
}

#[test]
fn another_key_is_refused() {
    let stand = Stand::new();
    let before = stand.refused();
    let answer = stand.runtime.block_on(async {
        let endpoint = Endpoint::dialling(&Identity::ephemeral().unwrap(), ANSWER_WITHIN, None).unwrap();
        let link = endpoint.dial(stand.addr()).await.unwrap();
        let (mut writer, mut reader) = link.open_stream().await.unwrap();
        writer.write(&hello("stranger")).await.unwrap();
        writer.write(&open()).await.unwrap();
        loop {
            match reader.read_timeout(ANSWER_WITHIN).await.unwrap() {
                Some(Message::Hello(_) | Message::Working) => {}
                other => break other,
            }
        }
    });
    assert!(matches!(answer, Some(Message::Refused(_))), "{answer:?}");
    assert!(stand.refused() > before, "it was not counted");
    stand.finish();
}

#[test]
fn a_flood_of_strangers_is_cut_off_and_keeps_nobody_out() {
    let mut stand = Stand::new();
    let before = stand.refused();
    let garbage = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..5_000_u32 {
        let bytes = [&n.to_le_bytes()[..], &[0xc3; 1196]].concat();
        // A full buffer loses it, as any network may.
        let _ = garbage.send_to(&bytes, stand.addr());
    }
    let identity = Identity::ephemeral().unwrap();
    let endpoint = stand.runtime.block_on(async { Endpoint::dialling(&identity, ANSWER_WITHIN, None).unwrap() });
    let (mut silent, mut refused) = (Vec::new(), 0);
    stand.runtime.block_on(async {
        for talk in 0..12 {
            let Ok(link) = endpoint.dial(stand.addr()).await else {
                refused += 1;
                continue;
            };
            let (mut writer, mut reader) = link.open_stream().await.unwrap();
            if talk % 2 == 0 {
                // Frame after frame, or a single one that is too long: never more than a fixed budget.
                let name = if talk % 4 == 0 { "x".repeat(8 << 10) } else { String::new() };
                for _ in 0..20 {
                    if writer.write(&hello(&name)).await.is_err() {
                        break;
                    }
                }
                while let Ok(Some(_)) = reader.read_timeout(ANSWER_WITHIN).await {}
                let error = tokio::time::timeout(ANSWER_WITHIN, link.closed()).await;
                assert!(error.is_ok(), "it may send what it likes");
            }
            silent.push((link, writer, reader));
        }
        // From one address only so many get in at once.
        for _ in 0..40 {
            match endpoint.dial(stand.addr()).await {
                Ok(link) => {
                    let (writer, reader) = link.open_stream().await.unwrap();
                    silent.push((link, writer, reader));
                }
                Err(_) => refused += 1,
            }
        }
    });
    assert!(refused > 0, "every one of {} strangers got in", silent.len());
    assert!(wait_until(ANSWER_WITHIN, || stand.refused() > before), "nothing of it was counted");
    // The strangers still hold their places when the honest source comes from the same address.
    fs::write(stand.pair.src().join("meanwhile"), "honest").unwrap();
    stand.pair.source.start();
    stand.pair.wait_equal(EQUAL_WITHIN);
    stand.runtime.block_on(async {
        for (link, ..) in &silent {
            assert!(tokio::time::timeout(ANSWER_WITHIN, link.closed()).await.is_ok(), "a stranger may stay");
        }
    });
    stand.pair.source.stop();
    stand.finish();
}
