//! The database through restarts, other owners and damage.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::model::{Attrs, Digest, Entry, Epoch, Generation, Manifest, Meta, Node, NodeKey, Record, RelPath, Stamp};
use crate::plan::Halt;
use crate::store::batch::Batch;
use crate::store::tables::META;
use crate::store::{Incident, IncidentKind, Pending, Write};

fn path(s: &str) -> RelPath {
    RelPath::parse(s.as_bytes()).expect("valid")
}

fn record(content: u64) -> Record {
    let node = Node::File { size: content, hash: Some(Digest::of(&content.to_le_bytes())) };
    let stamp = Stamp { dev: 1, ino: content, ctime: crate::model::Timestamp { secs: -1, nanos: 7 }, nlink: 1 };
    Record { entry: Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None }, stamp: Some(stamp) }
}

fn pending(cause: &str) -> Pending {
    Pending { since_unix_ms: 1_795_251_600_000, cause: cause.to_owned(), base: Some(record(1).entry) }
}

fn epoch(counter: u64) -> Epoch {
    Epoch { counter, node: NodeKey([7; 32]) }
}

fn incident(n: u64) -> Incident {
    let at = format!("drifted-{n}");
    Incident {
        kind: IncidentKind::Drift,
        set: "nginx".to_owned(),
        path: path(&at),
        at_unix_ms: n,
        epoch: epoch(3),
        copy: None,
    }
}

/// Everything that the frozen fixture of schema 1 holds.
fn fill(store: &Store) {
    store.set_epoch("nginx", epoch(3)).expect("epoch");
    store.set_seen_epoch("nginx", epoch(9)).expect("seen");
    store.set_pin("nginx", "user", NodeKey([1; 32])).expect("pin");
    store
        .save_index("nginx", &[(RelPath::root(), Some(record(0))), (path("conf.d/a"), Some(record(1)))])
        .expect("index");
    store.record_pending("web2:873/nginx", &[(path("conf.d/a"), pending("no route"))]).expect("pending");
    store.record_incident(&incident(5)).expect("incident");
    let generation = Generation { epoch: epoch(3), number: 12, root: Some(Digest([2; 32])) };
    store.write(|txn| crate::store::generations::put_generation(txn, "nginx", &generation)).expect("generation");
}

fn check(store: &Store) {
    assert_eq!(store.epoch("nginx").expect("epoch"), epoch(3));
    assert_eq!(store.seen_epoch("nginx").expect("seen"), epoch(9));
    assert_eq!(store.epoch("other").expect("epoch"), Epoch::NONE);
    assert_eq!(store.pin("nginx", "user").expect("pin"), Some(NodeKey([1; 32])));
    assert_eq!(store.pin("nginx", "else").expect("pin"), None);
    let index = store.load_index("nginx").expect("index");
    let found: BTreeMap<_, _> = index.iter().map(|(p, r)| (p, r.clone())).collect();
    assert_eq!(found, BTreeMap::from([(RelPath::root(), record(0)), (path("conf.d/a"), record(1))]));
    assert_eq!(store.targets().expect("targets"), ["web2:873/nginx"]);
    assert_eq!(store.pending("web2:873/nginx").expect("pending"), [(path("conf.d/a"), pending("no route"))]);
    assert_eq!(store.incidents("nginx").expect("incidents"), [incident(5)]);
    let generation = store.generation("nginx").expect("generation");
    assert_eq!((generation.number, generation.root), (12, Some(Digest([2; 32]))));
}

#[test]
fn a_generation_is_taken_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    fill(&store);
    assert_eq!(store.take_generation("nginx").expect("taken").number, 12);
    drop(store);
    let store = Store::open(dir.path()).expect("open");
    assert_eq!(store.take_generation("nginx").expect("taken"), Generation::NONE);
}

#[test]
fn a_halt_stays_until_it_is_released() {
    let dir = tempfile::tempdir().expect("tempdir");
    let put = |halt: Option<Halt>| {
        let store = Store::open(dir.path()).expect("open");
        store.write(|txn| crate::store::halts::put(txn, "s", halt.as_ref())).expect("put");
    };
    let kept = || Store::open(dir.path()).expect("open").halt("s").expect("halt");
    for halt in [Halt::RootGone, Halt::OtherFileSystem { was: 1, is: 2 }, Halt::MassDeletion { lost: 30, of: 40 }] {
        put(Some(halt));
        assert_eq!(kept(), Some(halt));
    }
    assert_eq!(Store::open(dir.path()).expect("open").halt("t").expect("halt"), None);
    put(None);
    assert_eq!(kept(), None);
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("tempdir");
    fill(&Store::open(dir.path()).expect("new"));
    check(&Store::open(dir.path()).expect("again"));
    let mode = fs::metadata(dir.path().join(FILE)).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_store_of_schema_1_is_read() {
    let dir = tempfile::tempdir().expect("tempdir");
    let packed = fs::read(fixture()).expect("fixture");
    fs::write(dir.path().join(FILE), zstd::decode_all(&*packed).expect("zstd")).expect("write");
    let store = Store::open(dir.path()).expect("open");
    check(&store);
    assert!(!store.compare_needed());
    // Tables that came after it.
    assert_eq!(store.halt("nginx").expect("halt"), None);
    assert!(!store.holds("web2:873/nginx").expect("holds"));
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1/store.redb.zst")
}

/// Made once for each schema and never again: `cargo test -p syncd --lib freeze -- --ignored`.
#[test]
#[ignore = "writes the fixture of a new schema"]
fn freeze_the_fixture() {
    assert!(!fixture().exists(), "a frozen fixture stays as it is");
    let dir = tempfile::tempdir().expect("tempdir");
    fill(&Store::open(dir.path()).expect("new"));
    let packed = zstd::encode_all(fs::File::open(dir.path().join(FILE)).expect("open"), 19).expect("zstd");
    fs::create_dir_all(fixture().parent().expect("parent")).expect("mkdir");
    fs::write(fixture(), packed).expect("write");
}

#[test]
fn an_older_epoch_changes_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    assert_eq!(store.set_seen_epoch("s", epoch(5)).expect("set"), epoch(5));
    assert_eq!(store.set_seen_epoch("s", epoch(4)).expect("set"), epoch(5));
    assert_eq!(store.epoch("s").expect("own"), Epoch::NONE);
}

#[test]
fn the_first_key_stays_until_it_is_forgotten() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let (a, b) = (NodeKey([1; 32]), NodeKey([2; 32]));
    assert_eq!(store.set_pin("s", "u", a).expect("pin"), a);
    assert_eq!(store.set_pin("s", "u", b).expect("pin"), a);
    assert_eq!(store.pins().expect("pins").len(), 1);
    assert!(store.forget_pin("s", "u").expect("forget"));
    assert!(!store.forget_pin("s", "u").expect("forget"));
    assert_eq!(store.set_pin("s", "u", b).expect("pin"), b);
}

#[test]
fn targets_with_like_names_are_kept_apart() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    for target in ["a", "a/b", "ab"] {
        store.record_pending(target, &[(path("x"), pending("")), (path("y"), pending(""))]).expect("record");
    }
    store.clear_pending("a", &[path("x")]).expect("clear");
    store.forget_target("ab").expect("forget");
    assert_eq!(store.targets().expect("targets"), ["a", "a/b"]);
    assert_eq!(store.pending("a").expect("pending").len(), 1);
    assert_eq!(store.pending("a/b").expect("pending").len(), 2);
}

#[test]
fn the_oldest_incidents_go_first() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let many: Vec<_> = (0..10_050).map(incident).collect();
    store.write(|txn| crate::store::incidents::add(txn, &many)).expect("add");
    store.record_incident(&incident(10_050)).expect("add");
    let kept = store.incidents("nginx").expect("read");
    assert_eq!(kept.len(), 10_000);
    assert_eq!(kept.last(), Some(&incident(10_050)));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    store.write(|txn| Ok(txn.open_table(META)?.insert("schema", SCHEMA + 1).map(drop)?)).expect("write");
    drop(store);
    let error = Store::open(dir.path()).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found, .. } if found == SCHEMA + 1), "{error}");
    assert!(!dir.path().join("store.redb.damaged-1").exists());
}

#[test]
fn what_is_no_database_is_moved_aside() {
    for (n, garbage) in [&b""[..], b"#!/bin/sh\n", &[0xa5; 70_000]].into_iter().enumerate() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join(FILE), garbage).expect("write");
        let store = Store::open(dir.path()).expect("open");
        // An empty file is a store that was never begun.
        assert_eq!(store.compare_needed(), n != 0, "{n}");
        fill(&store);
        check(&store);
        store.compared();
        assert!(!store.compare_needed());
    }
}

#[test]
fn a_record_that_does_not_decode_is_damage() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let name = crate::store::tables::index_name("s");
    let broken = |txn: &WriteTransaction| {
        txn.open_table(crate::store::tables::index(&name))?.insert(&b"../escape"[..], &b"\xff"[..])?;
        Ok(())
    };
    store.write(broken).expect("write");
    assert!(store.load_index("s").expect("heals").is_empty());
    assert!(store.compare_needed());
    assert!(dir.path().join("store.redb.damaged-1").exists());
}

/// A disk that is full while the switch is on.
#[derive(Debug)]
struct FullDisk(FileBackend, Arc<AtomicBool>);

impl FullDisk {
    fn room(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.0.write(offset, data)
    }
}

/// A store whose disk is full while the switch is on.
pub(crate) fn store_on_full_disk(dir: &Path) -> (Store, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&full);
    let medium = move |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let backend = FileBackend::new(file)?;
        Builder::new().create_with_backend(FullDisk(backend, Arc::clone(&switch)))
    };
    (Store::open_on(dir, Box::new(medium)).expect("open"), full)
}

#[test]
fn whoever_had_the_store_before_may_let_go_of_it_a_moment_later() {
    let dir = tempfile::tempdir().expect("tempdir");
    let old = Store::open(dir.path()).expect("open");
    fill(&old);
    let closed = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(old);
    });
    check(&Store::open(dir.path()).expect("once the other is closed"));
    closed.join().expect("closed");
}

#[test]
fn a_full_disk_is_reported_and_survived() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, full) = store_on_full_disk(dir.path());
    fill(&store);
    full.store(true, Ordering::SeqCst);
    assert!(matches!(store.set_epoch("nginx", epoch(4)), Err(StoreError::Unusable { .. })));
    assert!(store.set_epoch("nginx", epoch(4)).is_err());
    full.store(false, Ordering::SeqCst);
    check(&store);
    assert_eq!(store.set_epoch("nginx", epoch(4)).expect("room again"), epoch(4));
    assert!(!dir.path().join("store.redb.damaged-1").exists());
}

fn memory_store(dir: &Path) -> Store {
    let medium = |_: &Path| Builder::new().create_with_backend(redb::backends::InMemoryBackend::new());
    Store::open_on(dir, Box::new(medium)).expect("open")
}

fn write() -> impl Strategy<Value = Write> {
    let name = prop::sample::select(vec![".", "a", "a/b", "c"]);
    let at = name.prop_map(|n| if n == "." { RelPath::root() } else { path(n) });
    let set = prop::sample::select(vec!["s", "t"]).prop_map(str::to_owned);
    let changes = prop::collection::vec((at.clone(), prop::option::of((0u64..4).prop_map(record))), 0..4);
    let whole = prop::collection::vec((at.clone(), (0u64..4).prop_map(record)), 0..4).prop_map(|entries| {
        let mut manifest = Manifest::new();
        entries.into_iter().for_each(|(at, record)| drop(manifest.insert(&at, record)));
        manifest
    });
    let names = prop::collection::vec((at.clone(), "[a-c]".prop_map(|cause| pending(&cause))), 0..4);
    prop_oneof![
        (set.clone(), changes).prop_map(|(set, changes)| Write::Index { set, changes }),
        (set.clone(), whole).prop_map(|(set, manifest)| Write::ReplaceIndex { set, manifest }),
        (set.clone(), names).prop_map(|(target, names)| Write::Pending { target, names }),
        (set.clone(), prop::collection::vec(at, 0..4))
            .prop_map(|(target, names)| Write::Acknowledged { target, names }),
        (set.clone(), prop::option::of(0usize..3))
            .prop_map(|(set, lost)| Write::Halt { set, halt: lost.map(|of| Halt::Emptied { of }) }),
        (set.clone(), any::<bool>()).prop_map(|(target, holds)| Write::Holds { target, holds }),
        (set, 0u64..9).prop_map(|(set, number)| Write::Generation {
            set,
            generation: Generation { epoch: epoch(1), number, root: None }
        }),
    ]
}

fn all(store: &Store) -> impl PartialEq + fmt::Debug + use<> {
    let of = |name: &str| {
        let index: Vec<_> =
            store.load_index(name).expect("index").iter().map(|(at, record)| (at, record.clone())).collect();
        let halt = (store.halt(name).expect("halt"), store.holds(name).expect("holds"));
        (index, store.pending(name).expect("pending"), store.generation(name).expect("generation"), halt)
    };
    (of("s"), of("t"), store.targets().expect("targets"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_does_what_its_writes_would_one_by_one(writes in prop::collection::vec(write(), 0..20)) {
        let dir = tempfile::tempdir().expect("tempdir");
        let (single, grouped) = (memory_store(dir.path()), memory_store(dir.path()));
        let mut batch = Batch::default();
        for write in writes {
            let mut alone = Batch::default();
            alone.add(write.clone());
            single.write(|txn| alone.apply(txn)).expect("single");
            batch.add(write);
        }
        grouped.write(|txn| batch.apply(txn)).expect("grouped");
        prop_assert_eq!(all(&single), all(&grouped));
    }

    /// Wherever a bit flips, every call returns, and the store takes new writes afterwards.
    #[test]
    fn a_flipped_bit_ends_nothing(at in 0usize..1_000_000, bit in 0u8..8, clean in any::<bool>()) {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join(FILE);
        let store = Store::open(dir.path()).expect("new");
        fill(&store);
        let copy = if clean { drop(store); fs::read(&file) } else { fs::read(&file) };
        let mut bytes = copy.expect("read");
        let used = bytes.len().min(1 << 17);
        bytes[at % used] ^= 1 << bit;
        let hurt = tempfile::tempdir().expect("tempdir");
        fs::write(hurt.path().join(FILE), &bytes).expect("write");
        if let Ok(store) = Store::open(hurt.path()) {
            let _ = (store.epoch("nginx"), store.pins(), store.load_index("nginx"), store.targets());
            let _ = (store.pending("web2:873/nginx"), store.incidents("nginx"), store.generation("nginx"));
            let one = Manifest::new();
            store.replace_index("new", &one).expect("writes");
            prop_assert_eq!(store.load_index("new").expect("reads").root(Attrs::ARCHIVE), one.clone().root(Attrs::ARCHIVE));
        }
    }
}
