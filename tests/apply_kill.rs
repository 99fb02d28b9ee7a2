//! An apply is killed before each of its system calls, or has them fail: afterwards the tree is
//! the old or the new generation, never between.
//!
//! The test runs itself again as the process that is killed, under strace(1).

// A test, though one without libtest, by which clippy would know it.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, exit};

use syncd::apply::{Applier, ApplyError, Deletions, OWN_DIR, Policy};
use syncd::fs::meta::{Fix, Object, look_fd};
use syncd::fs::{Root, look_at, write};
use syncd::model::{Attrs, Content, Digest, Entry, Kind, Manifest, Meta, Node, Op, Put, RelPath, Timestamp};

const ATTRS: Attrs = Attrs::ARCHIVE.with(Attrs::HARD_LINKS);

/// Tells the child what to do: a job and the root, with a space between.
const JOB: &str = "SYNCD_APPLY_KILL_JOB";

/// Exit codes of the child, beside success.
const LOCAL: i32 = 30;
const DURABILITY: i32 = 31;
const OTHER: i32 = 32;
/// It is live, and the stage could not be emptied.
const UNCLEAN: i32 = 33;

/// The calls that change anything. Between two of them nothing on disk differs.
const CALLS: [&str; 12] = [
    "renameat2",
    "mkdirat",
    "openat",
    "write",
    "utimensat",
    "fchmod",
    "linkat",
    "symlinkat",
    "unlinkat",
    "fsync",
    "syncfs",
    "renameat",
];

fn path(p: &str) -> RelPath {
    if p == "." { RelPath::root() } else { RelPath::parse(p.as_bytes()).expect("valid") }
}

/// The generation that the apply starts from.
fn make_old(top: &Path) {
    for dir in ["d", "gone/b", "moved/sub", "td"] {
        fs::create_dir_all(top.join(dir)).expect("mkdir");
    }
    let files = [
        "f1",
        "f2",
        "keep",
        "meta",
        "drifted",
        "t",
        "h1",
        "d/x",
        "d/y",
        "gone/a",
        "gone/b/c",
        "moved/m1",
        "moved/sub/m2",
        "td/in",
    ];
    for file in files {
        fs::write(top.join(file), "old").expect("write");
    }
    fs::hard_link(top.join("h1"), top.join("h2")).expect("link");
    symlink("old target", top.join("l")).expect("symlink");
    fs::set_permissions(top.join("meta"), fs::Permissions::from_mode(0o600)).expect("chmod");
    let root = Root::open(top).expect("open");
    let mut all: Vec<_> = scan(top).iter().map(|(p, r)| (p, r.entry.kind())).collect();
    all.reverse();
    for (path, kind) in all {
        touch(&root, &path, kind, 1_000_000_000);
    }
}

fn touch(root: &Root, path: &RelPath, kind: Kind, secs: i64) {
    let object = if path.is_root() {
        Object::from_fd(root.dir(path).expect("open"))
    } else {
        Object::open(root.parent(path).expect("parent"), path.name(), kind).expect("open")
    };
    let fix = Fix { mtime: Some(Timestamp { secs, nanos: 1 }), ..Fix::default() };
    object.fix(&fix, &object.look().expect("look")).expect("touch");
}

fn put(p: &str, node: Node, content: Content) -> Op {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mode = if node == Node::Dir { 0o755 } else { 0o644 };
    let meta = Meta { mode, uid, gid, mtime: Timestamp { secs: 1_500_000_000, nanos: 123_456_789 } };
    Op::Put(Put { path: path(p), entry: Entry { node, meta, xattrs: Vec::new(), link: None }, content, base: None })
}

fn file(p: &str, content: &str) -> Op {
    let node = Node::File { size: content.len() as u64, hash: Some(Digest::of(content.as_bytes())) };
    put(p, node, Content::Inline(content.as_bytes().to_vec()))
}

fn dir(p: &str) -> Op {
    put(p, Node::Dir, Content::Keep)
}

/// Everything that a change set can do, at once.
fn everything() -> Vec<Op> {
    let old = Node::File { size: 3, hash: Some(Digest::of(b"old")) };
    let mut linked = put("h2", Node::File { size: 3, hash: Some(Digest::of(b"new")) }, Content::Link(path("h1")));
    if let Op::Put(put) = &mut linked {
        put.entry.link = Some(path("h1"));
    }
    vec![
        Op::Rename { from: path("moved"), to: path("moved2") },
        Op::Rename { from: path("d/y"), to: path("keep") },
        dir("."),
        file("f1", "new"),
        file("f2", "new"),
        put("l", Node::Symlink { target: Box::from(&b"new target"[..]) }, Content::Keep),
        dir("d"),
        file("d/z", "new"),
        dir("n"),
        file("n/p", "new"),
        dir("n/q"),
        file("n/q/r", "new"),
        put("meta", old, Content::Keep),
        file("drifted", "new"),
        dir("t"),
        file("t/in", "new"),
        file("td", "new"),
        file("h1", "new"),
        linked,
        Op::Remove { path: path("gone"), kind: Some(Kind::Dir) },
    ]
}

/// One save, which needs no durable journal.
fn one_save() -> Vec<Op> {
    vec![dir("d"), file("d/x", "new")]
}

fn open(top: &Path) -> Applier {
    let mut policy = Policy::of_this_thread(ATTRS).expect("policy");
    policy.deletions = Deletions::Always;
    Applier::open(Root::open(top).expect("open"), policy).expect("applier")
}

/// What the receiver believes; in one job `drifted` was changed by somebody else since.
fn believed(job: &str, top: &Path) -> Manifest {
    let mut held = scan(top);
    if job == "everything" {
        let mut record = held.get(&path("drifted")).expect("there").clone();
        record.entry.node = Node::File { size: 3, hash: Some(Digest::of(b"was")) };
        record.stamp = None;
        held.insert(&path("drifted"), record);
    }
    held
}

fn scan(top: &Path) -> Manifest {
    let root = Root::open(top).expect("open");
    let mut found = Manifest::new();
    found.insert(&RelPath::root(), look_fd(&root).expect("look"));
    let mut pending = vec![RelPath::root()];
    let mut all = BTreeMap::new();
    while let Some(at) = pending.pop() {
        let dir = root.dir(&at).expect("open");
        for (name, _) in write::names(&dir).expect("list") {
            if at.is_root() && name == OWN_DIR {
                continue;
            }
            let path = at.join(&name).expect("valid");
            let mut record = look_at(dir.as_fd(), &name).expect("look").expect("there");
            if let Node::File { hash, .. } = &mut record.entry.node {
                *hash = Some(Digest::of(&fs::read(top.join(path.as_os_str())).expect("read")));
            }
            if record.entry.is_dir() {
                pending.push(path.clone());
            }
            all.insert(path, record);
        }
    }
    let mut leaders: BTreeMap<u64, RelPath> = BTreeMap::new();
    for (path, mut record) in all {
        let stamp = record.stamp.expect("just looked");
        if stamp.nlink > 1 && !record.entry.is_dir() {
            let leader = leaders.entry(stamp.ino).or_insert_with(|| path.clone());
            record.entry.link = (*leader != path).then(|| leader.clone());
        }
        found.insert(&path, record);
    }
    found
}

type Shape = BTreeMap<RelPath, Entry>;

fn shape(tree: &Manifest) -> Shape {
    tree.iter()
        .map(|(path, record)| {
            let mut entry = record.entry.clone();
            if entry.kind() == Kind::Symlink {
                entry.meta.mode = 0;
            }
            (path, entry)
        })
        .collect()
}

/// The child: applies or recovers, and tells by its exit code how that ended.
fn work(job: &str) -> i32 {
    let (what, top) = job.split_once(' ').expect("a job and a root");
    let top = Path::new(top);
    let mut held = believed(what, top);
    let result = match what {
        "recover" => open(top).recover(&mut held).map(drop),
        "everything" => apply(top, &mut held, everything()),
        "save" => apply(top, &mut held, one_save()),
        other => panic!("no such job: {other}"),
    };
    match result {
        Ok(()) => 0,
        Err(ApplyError::Local { .. }) => LOCAL,
        Err(ApplyError::Durability { .. }) => DURABILITY,
        Err(other) => {
            eprintln!("{other}");
            OTHER
        }
    }
}

fn apply(top: &Path, held: &mut Manifest, ops: Vec<Op>) -> Result<(), ApplyError> {
    let applier = open(top);
    let mark = |name: &str| drop(fs::metadata(format!("/syncd-mark-{name}")));
    mark("begin");
    let staging = applier.begin(Attrs::ARCHIVE, &[], &[])?;
    staging.stage_ops(ops)?;
    let outcome = staging.commit(held, false)?;
    assert_eq!(outcome.failed, []);
    if staging.cleanup().is_err() {
        exit(UNCLEAN);
    }
    mark("end");
    Ok(())
}

/// A tree in a temporary directory, and what the two generations of it are.
struct Lab {
    top: tempfile::TempDir,
    old: Shape,
    new: BTreeMap<&'static str, Shape>,
    runs: usize,
}

impl Lab {
    fn new() -> Self {
        let mut lab =
            Self { top: tempfile::tempdir().expect("tempdir"), old: Shape::new(), new: BTreeMap::new(), runs: 0 };
        lab.reset();
        lab.old = shape(&scan(&lab.root()));
        for job in ["everything", "save"] {
            lab.reset();
            assert_eq!(work(&format!("{job} {}", lab.root().display())), 0);
            let new = shape(&scan(&lab.root()));
            assert_ne!(new, lab.old);
            lab.new.insert(job, new);
        }
        lab
    }

    fn root(&self) -> PathBuf {
        self.top.path().join("root")
    }

    /// Makes the old generation anew.
    fn reset(&self) {
        let _ = fs::remove_dir_all(self.root());
        fs::create_dir(self.root()).expect("mkdir");
        open(&self.root());
        make_old(&self.root());
    }

    /// Runs `job` under strace with `inject`ions.
    fn run(&mut self, job: &str, inject: &[String]) -> ExitStatus {
        self.runs += 1;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null"]);
        let calls: Vec<_> = inject.iter().filter_map(|i| i.split(':').next()).collect();
        strace.arg("-e").arg(format!("trace={}", calls.join(",")));
        for one in inject {
            strace.arg("-e").arg(format!("inject={one}"));
        }
        strace.arg(std::env::current_exe().expect("this test"));
        strace.env(JOB, format!("{job} {}", self.root().display()));
        strace.status().expect("strace")
    }

    /// Recovers, and checks that tree and manifest are one of the two generations.
    fn check(&self, job: &str, held: &mut Manifest, context: &str) -> bool {
        let recovered = open(&self.root()).recover(held).expect("recover");
        let now = shape(&scan(&self.root()));
        let live = now == self.new[job];
        assert!(live || now == self.old, "{context}: between the generations: {now:#?}");
        assert_eq!(fs::read_dir(self.root().join(".syncd/stage")).expect("list").count(), 0, "{context}: the stage");
        assert!(live || !recovered.finished, "{context}: finished");
        if recovered.finished {
            let told = shape(held);
            let differs = told.iter().find(|(p, e)| now.get(*p) != Some(*e));
            assert_eq!((told.len(), differs), (now.len(), None), "{context}: the manifest");
        }
        if job == "everything" {
            let kept = fs::read_dir(self.root().join(".syncd/drift")).expect("list").filter_map(Result::ok);
            let kept = kept.filter_map(|e| fs::read_to_string(e.path()).ok()).filter(|c| c == "old").count();
            assert_eq!(kept, usize::from(live), "{context}: what somebody else wrote is kept, once");
        }
        live
    }

    /// Kills `job` before the first, second, … `call`, together with `also`, until none is left.
    fn sweep(&mut self, job: &'static str, call: &str, also: &[String]) -> (usize, usize) {
        let (mut old, mut new) = (0, 0);
        for n in 1..400 {
            self.reset();
            let mut held = believed(job, &self.root());
            let mut inject = vec![format!("{call}:signal=KILL:when={n}")];
            inject.extend_from_slice(also);
            let status = self.run(job, &inject);
            let live = self.check(job, &mut held, &format!("{job}, killed before {call} {n}"));
            if status.success() {
                assert!(live, "{job} came to its end");
                return (old, new);
            }
            assert_eq!(status.signal(), Some(9), "{job}, {call} {n}: {status}");
            if live { new += 1 } else { old += 1 }
        }
        panic!("{job}: {call} never came to an end");
    }
}

fn killed_anywhere(lab: &mut Lab) {
    for job in ["everything", "save"] {
        let mut total = (0, 0);
        for call in CALLS {
            let (old, new) = lab.sweep(job, call, &[]);
            total = (total.0 + old, total.1 + new);
        }
        println!("{job}: killed {} times, {} old and {} new", total.0 + total.1, total.0, total.1);
        assert!(total.0 > 10 && total.1 > 3, "kills before and after the commit began");
    }
}

fn killed_without_exchange(lab: &mut Lab) {
    // Neither RENAME_EXCHANGE nor RENAME_NOREPLACE, as on old network file systems. Renames
    // within the tree then come back as a question for the content.
    let none = ["renameat2:error=EINVAL".to_owned()];
    for call in ["renameat", "linkat"] {
        let (old, new) = lab.sweep("save", call, &none);
        println!("save without RENAME_EXCHANGE: killed before {call}, {old} old and {new} new");
        assert!(old + new > 0);
    }
}

fn recovery_killed(lab: &mut Lab) {
    // In the middle of its steps.
    let kill = ["renameat2:signal=KILL:when=9".to_owned()];
    let mut killed = 0;
    for call in ["renameat2", "unlinkat", "utimensat", "fchmod", "fsync", "syncfs"] {
        for n in 1..200 {
            lab.reset();
            let mut held = believed("everything", &lab.root());
            assert_eq!(lab.run("everything", &kill).signal(), Some(9));
            let status = lab.run("recover", &[format!("{call}:signal=KILL:when={n}")]);
            assert!(lab.check("everything", &mut held, &format!("recovery killed before {call} {n}")));
            if status.success() {
                break;
            }
            killed += 1;
        }
    }
    println!("recovery: killed {killed} times");
    assert!(killed > 10);
}

fn failing_calls(lab: &mut Lab) {
    for n in 1..400 {
        lab.reset();
        let mut held = believed("everything", &lab.root());
        let status = lab.run("everything", &[format!("renameat2:error=ENOSPC:when={n}")]);
        if status.code() == Some(UNCLEAN) {
            assert!(n > 10, "nothing was taken back");
            assert!(lab.check("everything", &mut held, "the stage was left"));
            break;
        }
        assert_eq!(status.code(), Some(LOCAL), "renameat2 {n}: {status}");
        assert_eq!(shape(&scan(&lab.root())), lab.old, "taken back without a recovery, at {n}");
        assert!(!lab.check("everything", &mut held, &format!("no room at {n}")));
    }
    // Not even taking back is possible.
    lab.reset();
    let mut held = believed("everything", &lab.root());
    let status = lab.run("everything", &["renameat2:error=EROFS:when=8+".to_owned()]);
    assert_eq!(status.code(), Some(DURABILITY), "{status}");
    assert!(lab.check("everything", &mut held, "read-only in the middle"));
    for (job, call, n) in
        [("save", "fsync", 1), ("save", "fsync", 2), ("everything", "syncfs", 1), ("everything", "fsync", 1)]
    {
        lab.reset();
        let mut held = believed(job, &lab.root());
        let status = lab.run(job, &[format!("{call}:error=EIO:when={n}")]);
        assert_eq!(status.code(), Some(DURABILITY), "{call} {n}: {status}");
        lab.check(job, &mut held, &format!("{call} {n} fails"));
    }
}

/// The calls of a job that is not killed, from the beginning of its staging until it is cleaned up.
fn calls(lab: &mut Lab, job: &str) -> Vec<String> {
    lab.reset();
    let trace = lab.top.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=%file,%desc", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("this test"))
        .env(JOB, format!("{job} {}", lab.root().display()))
        .status()
        .expect("strace");
    assert!(status.success());
    let trace = fs::read_to_string(trace).expect("read");
    let between = trace.lines().skip_while(|l| !l.contains("syncd-mark-begin")).skip(1);
    between.take_while(|l| !l.contains("syncd-mark-end")).map(str::to_owned).collect()
}

/// How many calls to the file system one save costs, staging to cleaned up.
fn a_save_is_cheap(lab: &mut Lab) {
    let mut between = calls(lab, "save");
    // Memory, and what only a debug build asks before it closes.
    between.retain(|l| !l.contains("mmap(") && !l.contains("F_GETFD"));
    let syncs = between.iter().filter(|l| l.contains("fsync(")).count();
    println!("one save: {} calls, {syncs} of them fsync", between.len());
    assert!(between.len() < 40, "{between:#?}");
    assert_eq!(syncs, 2, "{between:#?}");
}

/// No kill shows what a power cut does: that the disk has the stage and the journal before the first name moves, and
/// the names before the peer is told.
fn durable_before_live(lab: &mut Lab) {
    for job in ["save", "everything"] {
        let mut between = calls(lab, job);
        // The rest is clean-up, which comes after the peer was told.
        let over = between.iter().position(|l| l.contains("unlinkat(") && l.contains("\"journal\""));
        between.truncate(over.expect("the journal goes first"));
        let at =
            |call: &str| between.iter().position(|l| l.contains(call)).unwrap_or_else(|| panic!("{job}: no {call}"));
        let journal = at("\"journal\"");
        let is_sync = |l: &String| l.contains("fsync(") || l.contains("syncfs(");
        let moves: Vec<usize> = (journal..between.len()).filter(|n| between[*n].contains("renameat2(")).collect();
        let (first, last) = (moves[0], moves[moves.len() - 1]);
        // A single save is one rename: its content alone has to be there.
        let before = if job == "save" { 0 } else { journal };
        assert!(between[before..first].iter().any(is_sync), "{job}: live before it was durable: {between:#?}");
        assert!(between[last..].iter().any(is_sync), "{job}: told before it was durable: {between:#?}");
    }
}

fn main() -> ExitCode {
    if let Ok(job) = std::env::var(JOB) {
        exit(work(&job));
    }
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace(1) is not installed, so that nothing can be killed at a given call");
        return ExitCode::SUCCESS;
    }
    let swept = std::panic::catch_unwind(|| {
        let mut lab = Lab::new();
        a_save_is_cheap(&mut lab);
        durable_before_live(&mut lab);
        failing_calls(&mut lab);
        killed_anywhere(&mut lab);
        killed_without_exchange(&mut lab);
        recovery_killed(&mut lab);
        lab.runs
    });
    // In the words of the other test binaries, for whoever reads the output of all.
    match swept {
        Ok(runs) => println!("test result: ok. {runs} runs"),
        Err(_) => println!("test result: FAILED."),
    }
    if swept.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
