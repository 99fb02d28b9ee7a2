//! The real watcher over real directories. What was told is known after a drain, without waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use proptest::prelude::*;
use rustix::fs::{CWD, RenameFlags};

use super::*;
use crate::coalesce::{Coalescer, Scope};
use crate::config::Coalesce;
use crate::fs::rerun::{in_namespace, without_privileges};
use crate::fs::scan;

struct Bench {
    dir: tempfile::TempDir,
    root: Arc<Root>,
    watcher: Watcher,
    events: mpsc::Receiver<Vec<Event>>,
    /// Received, but not looked at.
    queue: VecDeque<Event>,
    /// What a model of the consumer knows: fed by looking at whatever is told to be dirty.
    mirror: BTreeMap<RelPath, u64>,
}

/// As fast as is polite, since some tests wait for it.
const QUICK: Pace =
    Pace { poll: Duration::from_millis(50), check: Duration::from_millis(50), return_check: Duration::from_millis(50) };

fn path(name: &str) -> RelPath {
    if name == "." { RelPath::root() } else { RelPath::parse(name.as_bytes()).expect("valid") }
}

fn nothing() -> IsExcluded {
    Arc::new(|_, _| false)
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {}, nothing(), Pace::default())
    }

    /// Watches the directory `s` of a new directory, after `prepare` filled it.
    fn with(prepare: impl FnOnce(&Path), excluded: IsExcluded, pace: Pace) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let s = dir.path().join("s");
        fs::create_dir(&s).expect("mkdir");
        prepare(&s);
        let root = Arc::new(Root::open(&s).expect("open"));
        let (watcher, events) = Watcher::start(Arc::clone(&root), excluded, pace).expect("start");
        let mut bench = Self { dir, root, watcher, events, queue: VecDeque::new(), mirror: BTreeMap::new() };
        bench.until(|event| matches!(event, Event::Ready));
        bench.refresh(&RelPath::root(), true);
        bench
    }

    fn s(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.s().join(name)
    }

    /// Everything up to the first event that `last` accepts.
    fn until(&mut self, mut last: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            while let Some(event) = self.queue.pop_front() {
                let found = last(&event);
                all.push(event);
                if found {
                    return all;
                }
            }
            self.queue.extend(self.events.blocking_recv().expect("the watcher lives"));
        }
    }

    /// All events of what happened up to now.
    fn drain(&mut self) -> Vec<Event> {
        let number = self.watcher.drain();
        self.until(|event| matches!(event, Event::Drained(n) if *n >= number))
    }

    fn dirty(&mut self) -> Vec<Dirty> {
        self.drain().into_iter().filter_map(|event| if let Event::Dirty(d) = event { Some(d) } else { None }).collect()
    }

    /// Looks at one name, or all below it, as the consumer does.
    fn refresh(&mut self, at: &RelPath, tree: bool) {
        let seen = scan(&self.root, at, &|_, _| false, false);
        if tree || !seen.records.iter().any(|(p, r)| p == at && r.entry.is_dir()) {
            let below: Vec<RelPath> = if at.is_root() {
                self.mirror.keys().cloned().collect()
            } else {
                let near = self
                    .mirror
                    .range(at.clone()..)
                    .map(|(p, _)| p)
                    .take_while(|p| p.as_bytes().starts_with(at.as_bytes()));
                near.filter(|p| p.is_within(at)).cloned().collect()
            };
            for path in below {
                self.mirror.remove(&path);
            }
        }
        let records = seen.records.iter().filter(|(p, _)| tree || p == at);
        self.mirror.extend(records.map(|(p, r)| (p.clone(), r.stamp.map_or(0, |stamp| stamp.ino))));
    }

    /// The mirror follows `events`, and then must hold what is on disk.
    fn assert_mirrored(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Dirty(d) => self.refresh(&d.path, d.is_dir && d.what != What::Attrib),
                Event::Overflow => self.refresh(&RelPath::root(), true),
                _ => {}
            }
        }
        let told = std::mem::take(&mut self.mirror);
        self.refresh(&RelPath::root(), true);
        assert_eq!(told, self.mirror);
    }

    /// Every directory is watched: a new file in each of them is told.
    fn assert_all_watched(&mut self) {
        self.drain();
        let dirs: Vec<RelPath> = scan(&self.root, &RelPath::root(), &|_, _| false, false)
            .records
            .into_iter()
            .filter_map(|(p, r)| r.entry.is_dir().then_some(p))
            .collect();
        let probes: BTreeSet<RelPath> = dirs.iter().map(|dir| dir.join(b"probe").expect("valid")).collect();
        for probe in &probes {
            fs::write(self.s().join(probe.as_os_str()), "").expect("write");
        }
        let told: BTreeSet<RelPath> = self.dirty().into_iter().map(|d| d.path).collect();
        assert_eq!(told, probes);
        for probe in &probes {
            fs::remove_file(self.s().join(probe.as_os_str())).expect("remove");
        }
        self.drain();
        self.refresh(&RelPath::root(), true);
    }
}

fn whats(dirty: &[Dirty], name: &str) -> Vec<What> {
    let mut whats: Vec<What> = dirty.iter().filter(|d| d.path == path(name)).map(|d| d.what).collect();
    whats.dedup();
    whats
}

#[test]
fn simple_operations_are_told() {
    let mut bench = Bench::new();
    fs::write(bench.at("f"), "x").expect("write");
    symlink("f", bench.at("l")).expect("symlink");
    fs::hard_link(bench.at("f"), bench.at("h")).expect("link");
    fs::rename(bench.at("f"), bench.at("g")).expect("rename");
    fs::remove_file(bench.at("l")).expect("remove");
    let dirty = bench.dirty();
    // A look that comes late finds the second name already, and knows a link.
    let f = whats(&dirty, "f");
    assert!(matches!(f.first(), Some(What::Created | What::Found | What::Linked)), "{f:?}");
    assert_eq!(f.get(1..), Some(&[What::Modified, What::Closed, What::MovedFrom][..]));
    assert_eq!(whats(&dirty, "g"), [What::MovedTo]);
    assert_eq!(whats(&dirty, "h"), [What::Linked]);
    assert_eq!(whats(&dirty, "l").last(), Some(&What::Removed));
    let cookie = |name: &str| dirty.iter().find(|d| d.path == path(name) && d.cookie != 0).map(|d| d.cookie);
    assert!(cookie("f").is_some() && cookie("f") == cookie("g"));
}

#[test]
fn the_thread_ends_with_its_owner() {
    let Bench { watcher, mut events, dir: _dir, .. } = Bench::new();
    drop(watcher);
    // The channel closes when the thread lets go of its end.
    while events.blocking_recv().is_some() {}
}

#[test]
fn the_attributes_of_the_root_are_told() {
    let mut bench = Bench::new();
    fs::set_permissions(bench.s(), fs::Permissions::from_mode(0o750)).expect("chmod");
    assert_eq!(whats(&bench.dirty(), "."), [What::Attrib]);
}

#[test]
fn new_directories_lose_nothing() {
    let mut bench = Bench::new();
    for i in 0..300 {
        fs::create_dir_all(bench.at(&format!("{i}/a/b/c"))).expect("mkdir");
        fs::write(bench.at(&format!("{i}/a/b/c/f")), "x").expect("write");
    }
    let events = bench.drain();
    let told: BTreeSet<RelPath> = events
        .iter()
        .filter_map(|event| if let Event::Dirty(d) = event { Some(d.path.clone()) } else { None })
        .collect();
    for i in 0..300 {
        assert!(told.contains(&path(&format!("{i}/a/b/c/f"))), "{i}");
    }
    bench.assert_mirrored(events);
}

#[test]
fn a_renamed_directory_keeps_its_watches_under_the_new_name() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.at("d/e/f")).expect("mkdir");
    bench.drain();
    fs::rename(bench.at("d"), bench.at("n")).expect("rename");
    fs::write(bench.at("n/e/f/x"), "x").expect("write");
    let dirty = bench.dirty();
    assert_eq!(whats(&dirty, "d"), [What::MovedFrom]);
    assert_eq!(whats(&dirty, "n"), [What::MovedTo]);
    assert_eq!(whats(&dirty, "n/e/f/x").last(), Some(&What::Closed));
    bench.assert_all_watched();
}

#[test]
fn a_directory_that_left_is_watched_no_more_and_one_that_came_is() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.at("d/e")).expect("mkdir");
    bench.drain();
    let outside = bench.dir.path().join("outside");
    fs::rename(bench.at("d"), &outside).expect("rename");
    fs::write(outside.join("e/x"), "x").expect("write");
    let dirty = bench.dirty();
    assert_eq!(dirty.iter().map(|d| (d.path.clone(), d.what)).collect::<Vec<_>>(), [(path("d"), What::MovedFrom)]);
    fs::create_dir(outside.join("new")).expect("mkdir");
    fs::rename(&outside, bench.at("back")).expect("rename");
    let dirty = bench.dirty();
    assert_eq!(whats(&dirty, "back"), [What::MovedTo]);
    bench.assert_all_watched();
}

#[test]
fn renames_in_a_storm_end_in_what_is_there() {
    let mut bench = Bench::with(
        |s| {
            for d in ["a/x", "b/y", "c/z"] {
                fs::create_dir_all(s.join(d)).expect("mkdir");
            }
        },
        nothing(),
        Pace::default(),
    );
    for i in 0..200 {
        fs::rename(bench.at("a"), bench.at("t")).expect("rename");
        fs::create_dir(bench.at(&format!("t/n{i}"))).expect("mkdir");
        fs::rename(bench.at("b"), bench.at("a")).expect("rename");
        fs::write(bench.at(&format!("a/f{i}")), "x").expect("write");
        fs::rename(bench.at("t"), bench.at("b")).expect("rename");
    }
    rustix::fs::renameat_with(CWD, bench.at("a"), CWD, bench.at("c"), RenameFlags::EXCHANGE).expect("exchange");
    let events = bench.drain();
    bench.assert_mirrored(events);
    bench.assert_all_watched();
}

#[test]
fn exchanged_directories_keep_being_watched() {
    let make = |s: &Path| ["a/x", "c/y"].iter().for_each(|d| fs::create_dir_all(s.join(d)).expect("mkdir"));
    let mut bench = Bench::with(make, nothing(), Pace::default());
    for times in [1, 2, 7] {
        for _ in 0..times {
            let (a, c) = (bench.at("a"), bench.at("c"));
            rustix::fs::renameat_with(CWD, a, CWD, c, RenameFlags::EXCHANGE).expect("exchange");
        }
        let events = bench.drain();
        bench.assert_mirrored(events);
        bench.assert_all_watched();
    }
}

#[test]
fn a_directory_renamed_over_an_empty_one_is_watched() {
    let make = |s: &Path| ["a/x", "c"].iter().for_each(|d| fs::create_dir_all(s.join(d)).expect("mkdir"));
    let mut bench = Bench::with(make, nothing(), Pace::default());
    fs::rename(bench.at("a"), bench.at("c")).expect("rename");
    let events = bench.drain();
    bench.assert_mirrored(events);
    bench.assert_all_watched();
}

#[test]
fn hostile_names_are_told_as_bytes() {
    let mut bench = Bench::new();
    let long = "n".repeat(255);
    let names: [&[u8]; 5] = [b"a\nb", b"\xff\xfe", b"-rf", b"$(touch x)", long.as_bytes()];
    for name in names {
        fs::write(bench.s().join(OsStr::from_bytes(name)), "x").expect("write");
    }
    let told: BTreeSet<RelPath> = bench.dirty().into_iter().map(|d| d.path).collect();
    let expected = names.iter().map(|name| RelPath::parse(name).expect("valid")).collect();
    assert_eq!(told, expected);
}

#[test]
fn paths_beyond_path_max_are_watched() {
    let mut bench = Bench::new();
    let name = [b'd'; 250];
    let mut at = RelPath::root();
    for _ in 0..20 {
        let parent = bench.root.dir(&at).expect("parent");
        at = at.join(&name).expect("valid");
        rustix::fs::mkdirat(&parent, at.name(), 0o755.into()).expect("mkdir");
    }
    bench.drain();
    let dir = bench.root.dir(&at).expect("dir");
    rustix::fs::mkdirat(&dir, "last", 0o755.into()).expect("mkdir");
    assert_eq!(bench.dirty().into_iter().map(|d| d.path).collect::<Vec<_>>(), [at.join(b"last").expect("valid")]);
}

#[test]
fn own_and_excluded_names_are_not_told_and_not_watched() {
    let excluded: IsExcluded = Arc::new(|p, is_dir| is_dir && p.name() == b"skip" || p.name().ends_with(b".swp"));
    let mut bench = Bench::with(|_| {}, excluded, Pace::default());
    fs::create_dir_all(bench.at(".syncd/stage")).expect("mkdir");
    fs::write(bench.at(".syncd/stage/f"), "x").expect("write");
    fs::create_dir_all(bench.at("skip/deep")).expect("mkdir");
    fs::write(bench.at("skip/deep/f"), "x").expect("write");
    fs::write(bench.at("f.swp"), "x").expect("write");
    assert!(bench.dirty().is_empty());
    // What was excluded is seen whole once it has another name, and not any more under the old.
    fs::rename(bench.at("skip"), bench.at("seen")).expect("rename");
    fs::write(bench.at("seen/deep/g"), "x").expect("write");
    let dirty = bench.dirty();
    assert_eq!(whats(&dirty, "seen"), [What::MovedTo]);
    fs::rename(bench.at("seen"), bench.at("skip")).expect("rename");
    fs::write(bench.at("skip/deep/h"), "x").expect("write");
    let dirty = bench.dirty();
    assert_eq!(dirty.iter().map(|d| d.path.clone()).collect::<BTreeSet<_>>(), BTreeSet::from([path("seen")]));
}

#[test]
fn a_symlink_to_a_directory_is_not_walked() {
    let outside = tempfile::tempdir().expect("tempdir");
    let mut bench = Bench::new();
    symlink(outside.path(), bench.at("l")).expect("symlink");
    bench.drain();
    fs::write(outside.path().join("x"), "x").expect("write");
    assert!(bench.dirty().is_empty());
}

/// Nobody receives while more is written than the kernel queues.
#[test]
fn lost_events_are_told_and_new_directories_watched() {
    let mut bench = Bench::new();
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .expect("limit");
    fs::write(bench.at("f"), "x").expect("write");
    fs::write(bench.at("g"), "x").expect("write");
    // In turns, since the kernel merges an event with an equal one before it.
    let touch = || {
        for name in ["f", "g"] {
            fs::set_permissions(bench.at(name), fs::Permissions::from_mode(0o600)).expect("chmod");
        }
    };
    // The channel and the batch in hand take some as well.
    while bench.events.len() < bench.events.max_capacity() {
        touch();
    }
    (0..limit / 2 + 5000).for_each(|_| touch());
    fs::create_dir_all(bench.at("late/deep")).expect("mkdir");
    fs::write(bench.at("late/deep/f"), "x").expect("write");
    let events = bench.drain();
    assert!(events.iter().any(|event| matches!(event, Event::Overflow)));
    let at = events.iter().rposition(|event| matches!(event, Event::Overflow)).expect("overflow");
    bench.assert_mirrored(events.into_iter().skip(at).collect());
    bench.assert_all_watched();
}

#[test]
fn a_root_that_is_removed_and_made_anew_is_told() {
    let mut bench = Bench::with(|s| fs::create_dir(s.join("d")).expect("mkdir"), nothing(), Pace::default());
    fs::remove_dir_all(bench.s()).expect("remove");
    let gone = bench.until(|event| matches!(event, Event::RootGone(_)));
    assert!(gone.iter().any(|event| matches!(event, Event::RootGone(RootGone::Deleted))), "{gone:?}");
    fs::create_dir(bench.s()).expect("mkdir");
    bench.regain();
    fs::create_dir_all(bench.at("n/m")).expect("mkdir");
    bench.assert_all_watched();
}

#[test]
fn a_root_that_is_moved_or_replaced_is_told() {
    let mut bench = Bench::new();
    let other = bench.dir.path().join("other");
    fs::rename(bench.s(), &other).expect("rename");
    let gone = bench.until(|event| matches!(event, Event::RootGone(_)));
    assert!(gone.iter().any(|event| matches!(event, Event::RootGone(RootGone::Moved))), "{gone:?}");
    fs::write(other.join("unseen"), "x").expect("write");
    fs::create_dir(bench.dir.path().join("new")).expect("mkdir");
    fs::rename(bench.dir.path().join("new"), bench.s()).expect("rename");
    bench.regain();
    assert!(bench.dirty().is_empty());
    bench.assert_all_watched();
    // Exchanged under its name: gone and back at once.
    rustix::fs::renameat_with(CWD, bench.s(), CWD, &other, RenameFlags::EXCHANGE).expect("exchange");
    bench.until(|event| matches!(event, Event::RootGone(RootGone::Replaced)));
}

impl Bench {
    /// Waits for the root to be back and looks at it from then on.
    fn regain(&mut self) {
        for event in self.until(|event| matches!(event, Event::RootBack(_))) {
            if let Event::RootBack(root) = event {
                self.root = root;
            }
        }
        let path = fs::metadata(self.s()).expect("stat").ino();
        assert_eq!(rustix::fs::fstat(&*self.root).expect("stat").st_ino, path);
    }
}

/// Nothing tells of it: only the periodic look shows it.
#[test]
fn a_mount_over_the_root_is_told() {
    let test = "watch::tests::a_mount_over_the_root_is_told";
    if !in_namespace(test, "true") {
        return;
    }
    let mut bench = Bench::with(|_| {}, nothing(), QUICK);
    let s = bench.s();
    let run = |args: &[&str]| {
        let status = Command::new(args[0]).args(&args[1..]).arg(&s).status().expect("run");
        assert!(status.success(), "{args:?}");
    };
    run(&["mount", "-t", "tmpfs", "none"]);
    bench.until(|event| matches!(event, Event::RootGone(RootGone::Covered)));
    bench.regain();
    fs::write(bench.at("f"), "x").expect("write");
    assert_eq!(whats(&bench.dirty(), "f").last(), Some(&What::Closed));
    run(&["umount", "-l"]);
    bench.until(|event| matches!(event, Event::RootGone(_)));
    bench.regain();
    bench.assert_all_watched();
}

#[test]
fn beyond_the_limit_of_watches_subtrees_are_polled_and_later_watched() {
    let test = "watch::tests::beyond_the_limit_of_watches_subtrees_are_polled_and_later_watched";
    // user.*, never fs.inotify.*: the latter is the host's.
    if !in_namespace(test, "echo 5 > /proc/sys/user/max_inotify_watches") {
        return;
    }
    let make = |s: &Path| (0..10).for_each(|i| fs::create_dir_all(s.join(format!("d{i}/e"))).expect("mkdir"));
    let dir = tempfile::tempdir().expect("tempdir");
    make(dir.path());
    let root = Arc::new(Root::open(dir.path()).expect("open"));
    let (watcher, events) = Watcher::start(Arc::clone(&root), nothing(), QUICK).expect("start");
    let mut bench = Bench { dir, root, watcher, events, queue: VecDeque::new(), mirror: BTreeMap::new() };
    let events = bench.until(|event| matches!(event, Event::Ready));
    let limited = events
        .iter()
        .find_map(|e| if let Event::Limited { needed, limit } = e { Some((*needed, *limit)) } else { None });
    // 21 directories, and the one that holds the root.
    assert_eq!(limited, Some((22, 5)));
    for i in 0..10 {
        fs::write(bench.dir.path().join(format!("d{i}/e/f")), "x").expect("write");
    }
    let mut missing: BTreeSet<RelPath> = (0..10).map(|i| path(&format!("d{i}/e/f"))).collect();
    bench.until(|event| {
        if let Event::Dirty(d) = event {
            missing.remove(&d.path);
        }
        missing.is_empty()
    });
    fs::remove_file(bench.dir.path().join("d3/e/f")).expect("remove");
    fs::remove_file(bench.dir.path().join("d8/e/f")).expect("remove");
    let mut missing = BTreeSet::from([path("d3/e/f"), path("d8/e/f")]);
    bench.until(|event| {
        if let Event::Dirty(d) = event
            && d.what == What::Removed
        {
            missing.remove(&d.path);
        }
        missing.is_empty()
    });
    fs::write("/proc/sys/user/max_inotify_watches", "1000").expect("raise");
    let events = bench.until(|event| matches!(event, Event::LimitLifted));
    assert!(!events.iter().any(|event| matches!(event, Event::Limited { .. })), "told once");
    // One poll more, which told what was made before the watches were there.
    bench.drain();
    fs::write(bench.dir.path().join("d9/e/g"), "x").expect("write");
    assert_eq!(whats(&bench.dirty(), "d9/e/g").last(), Some(&What::Closed));
}

#[test]
fn without_a_free_instance_the_start_says_so() {
    let test = "watch::tests::without_a_free_instance_the_start_says_so";
    if !in_namespace(test, "echo 0 > /proc/sys/user/max_inotify_instances") {
        return;
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let root = Arc::new(Root::open(dir.path()).expect("open"));
    let error = Watcher::start(root, nothing(), QUICK).expect_err("no instance");
    assert!(matches!(error, StartError::NoInstance { limit: 0 }));
    assert!(error.to_string().contains("fs.inotify.max_user_instances"));
}

#[test]
fn an_unreadable_directory_is_told_and_watched_once_it_is_readable() {
    if !without_privileges("watch::tests::an_unreadable_directory_is_told_and_watched_once_it_is_readable") {
        return;
    }
    let mode = |dir: &Path, mode| fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("chmod");
    let dir = tempfile::tempdir().expect("tempdir");
    fs::create_dir_all(dir.path().join("closed/in")).expect("mkdir");
    fs::create_dir(dir.path().join("open")).expect("mkdir");
    mode(&dir.path().join("closed"), 0o000);
    let root = Arc::new(Root::open(dir.path()).expect("open"));
    let (watcher, events) = Watcher::start(Arc::clone(&root), nothing(), Pace::default()).expect("start");
    let mut bench = Bench { dir, root, watcher, events, queue: VecDeque::new(), mirror: BTreeMap::new() };
    let events = bench.until(|event| matches!(event, Event::Ready));
    assert!(events.iter().any(|event| matches!(event, Event::Unwatched { path: p, error }
        if *p == path("closed") && error.kind() == std::io::ErrorKind::PermissionDenied)));
    fs::write(bench.dir.path().join("open/f"), "x").expect("write");
    assert_eq!(whats(&bench.dirty(), "open/f").last(), Some(&What::Closed));
    mode(&bench.dir.path().join("closed"), 0o700);
    let dirty = bench.dirty();
    assert_eq!(whats(&dirty, "closed"), [What::Attrib]);
    assert_eq!(whats(&dirty, "closed/in"), [What::Found]);
    fs::write(bench.dir.path().join("closed/in/f"), "x").expect("write");
    assert_eq!(whats(&bench.dirty(), "closed/in/f").last(), Some(&What::Closed));
}

#[test]
fn an_unmounted_directory_shows_what_it_had_covered() {
    if !in_namespace("watch::tests::an_unmounted_directory_shows_what_it_had_covered", "true") {
        return;
    }
    let run = |program: &str, args: &[&str], at: &Path| {
        assert!(Command::new(program).args(args).arg(at).status().expect("run").success(), "{program}");
    };
    let make = |s: &Path| {
        fs::create_dir_all(s.join("m/below")).expect("mkdir");
        run("mount", &["-t", "tmpfs", "none"], &s.join("m"));
        fs::create_dir_all(s.join("m/above")).expect("mkdir");
    };
    let mut bench = Bench::with(make, nothing(), Pace::default());
    run("umount", &[], &bench.at("m"));
    let events = bench.drain();
    bench.assert_mirrored(events);
    bench.assert_all_watched();
}

/// Operations on few names, so that they meet.
fn operate(s: &Path, (op, a, b): (u8, usize, usize)) {
    const NAMES: [&str; 8] = ["a", "b", "c", "a/a", "a/b", "b/a", "b/a/c", "c/b/a"];
    let (a, b) = (s.join(NAMES[a]), s.join(NAMES[b]));
    // What cannot be done is not done: a parent is not there, or a directory would hold itself.
    let _ = match op {
        0 | 1 => fs::create_dir_all(&a),
        2 | 3 => fs::rename(&a, &b),
        4 => rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).map_err(Into::into),
        5 => fs::remove_dir_all(&a),
        6 => fs::rename(&a, s.with_file_name("outside")).or_else(|_| fs::remove_dir_all(s.with_file_name("outside"))),
        7 => fs::rename(s.with_file_name("outside"), &b),
        8 => symlink("b", &a),
        9 => fs::remove_file(&a),
        _ => fs::write(a.join("f"), "x"),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, and wherever the watcher is meanwhile: who looks at what is told knows
    /// the tree, and every directory ends up watched.
    #[test]
    fn nothing_is_missed(ops in prop::collection::vec((0..12_u8, 0..8_usize, 0..8_usize), 1..150)) {
        let mut bench = Bench::new();
        ops.iter().for_each(|op| operate(&bench.s(), *op));
        let events = bench.drain();
        bench.assert_mirrored(events);
        bench.assert_all_watched();
    }
}

/// Watcher and coalescer together over what editors and tools do; time is that of the events.
mod patterns {
    use super::*;

    struct Desk {
        bench: Bench,
        coalescer: Coalescer,
        known: BTreeSet<RelPath>,
        start: Instant,
        clock: Duration,
        out: BTreeMap<RelPath, Scope>,
    }

    impl Desk {
        fn new(files: &[&str]) -> Self {
            let make = |s: &Path| {
                for file in files {
                    fs::create_dir_all(s.join(file).parent().expect("parent")).expect("mkdir");
                    fs::write(s.join(file), "old\n").expect("write");
                }
            };
            let mut bench = Bench::with(make, nothing(), Pace::default());
            let known = std::mem::take(&mut bench.mirror).into_keys().collect();
            let coalescer = Coalescer::new(Coalesce::default());
            Self { bench, coalescer, known, start: Instant::now(), clock: Duration::ZERO, out: BTreeMap::new() }
        }

        fn shell(&mut self, script: &str) {
            let status = Command::new("sh").args(["-ec", script]).current_dir(self.bench.s()).status().expect("sh");
            assert!(status.success(), "{script}");
            self.take();
        }

        /// Hands over what happened, all at one time.
        fn take(&mut self) {
            let now = self.start + self.clock;
            for d in self.bench.dirty() {
                let known = self.known.contains(&d.path);
                self.coalescer.handle_event(now, &d, known);
            }
        }

        /// Lets time pass and collects what comes out meanwhile.
        fn pass(&mut self, time: Duration) {
            self.clock += time;
            while let Some(at) = self.coalescer.poll_timeout().filter(|at| *at <= self.start + self.clock) {
                let batch = self.coalescer.poll_batch(at).expect("due");
                self.known.extend(batch.names.keys().cloned());
                self.out.extend(batch.names);
            }
        }

        /// Every name that came out, once all has.
        fn out(&mut self) -> Vec<String> {
            self.pass(Duration::from_secs(10));
            assert!(self.coalescer.is_empty());
            std::mem::take(&mut self.out).keys().map(ToString::to_string).collect()
        }

        /// The same without the root, whose mtime moves with names that come and go.
        fn names(&mut self) -> Vec<String> {
            let mut out = self.out();
            out.retain(|name| name != ".");
            out
        }
    }

    #[test]
    fn vim() {
        let mut desk = Desk::new(&["f"]);
        desk.shell("touch 4913; rm 4913; mv f f~; echo new > f; rm f~");
        assert_eq!(desk.names(), ["f"]);
    }

    /// The editor writes slowly: in between the file has another name, which must not travel.
    #[test]
    fn vim_in_steps() {
        let mut desk = Desk::new(&["f"]);
        desk.shell("touch 4913; rm 4913");
        desk.shell("mv f f~");
        desk.pass(Duration::from_millis(20));
        let mut file = fs::File::create(desk.bench.at("f")).expect("create");
        desk.take();
        desk.pass(Duration::from_millis(20));
        file.write_all(b"new").expect("write");
        drop(file);
        desk.shell("rm f~");
        assert!(desk.out.is_empty());
        assert_eq!(desk.names(), ["f"]);
    }

    #[test]
    fn sed_in_place() {
        let mut desk = Desk::new(&["f"]);
        desk.shell("sed -i s/old/new/ f");
        assert_eq!(desk.names(), ["f"]);
    }

    #[test]
    fn temp_and_rename() {
        let mut desk = Desk::new(&["f"]);
        desk.shell("echo new > .f.tmp; mv .f.tmp f");
        desk.pass(Duration::ZERO);
        assert_eq!(desk.out.keys().map(ToString::to_string).collect::<Vec<_>>(), ["f"]);
        assert!(desk.names().iter().all(|name| name == "f"));
    }

    #[test]
    fn copy_over_existing() {
        let mut desk = Desk::new(&["f", "g"]);
        desk.shell("echo longer > g; cp g f");
        assert_eq!(desk.out(), ["f", "g"]);
    }

    #[test]
    fn a_file_held_open_waits_for_its_close() {
        let mut desk = Desk::new(&["f"]);
        let mut file = fs::File::options().append(true).open(desk.bench.at("f")).expect("open");
        file.write_all(b"half").expect("write");
        desk.take();
        desk.pass(Duration::from_millis(400));
        assert!(desk.out.is_empty());
        drop(file);
        desk.take();
        desk.pass(Duration::ZERO);
        assert_eq!(desk.out.len(), 1);
    }

    #[test]
    fn archive() {
        let mut desk = Desk::new(&["d/a", "d/b"]);
        desk.shell("tar cf ../t.tar d; rm d/b; echo changed > d/a");
        desk.out();
        desk.shell("tar xf ../t.tar; rm ../t.tar");
        assert!(["d/a", "d/b"].iter().all(|name| desk.bench.at(name).exists()));
        let out = desk.out();
        assert!(out.contains(&"d/a".into()) && out.contains(&"d/b".into()), "{out:?}");
    }

    #[test]
    fn new_tree() {
        let mut desk = Desk::new(&["f"]);
        desk.shell("mkdir -p n/a/b; echo x > n/a/b/f; ln -s f n/l");
        let out = desk.out();
        assert!(out[0] == "n" && out.iter().all(|name| path(name).is_within(&path("n"))), "{out:?}");
    }

    #[test]
    fn symlink_replaced() {
        let mut desk = Desk::new(&["one", "two"]);
        desk.shell("ln -s one current");
        desk.names();
        desk.shell("ln -sfn two current");
        assert_eq!(desk.names(), ["current"]);
    }

    /// Checks out another branch: unlinks, makes anew, removes a directory and makes one.
    #[test]
    fn checkout() {
        let mut desk = Desk::new(&["f", "old/x", "old/y", "same"]);
        desk.shell("rm f; echo new > f; rm old/x old/y; rmdir old; mkdir new; echo x > new/x");
        let out = desk.out();
        assert!(["f", "new", "old"].iter().all(|name| out.contains(&(*name).into())), "{out:?}");
        assert!(!out.iter().any(|name| name.starts_with("old/")), "{out:?}");
    }

    #[test]
    fn metadata() {
        let mut desk = Desk::new(&["d/f"]);
        desk.shell("chmod 600 d/f; touch -d@5 d; chmod 700 .");
        assert_eq!(desk.out(), [".", "d", "d/f"]);
    }

    #[test]
    fn a_tree_that_is_renamed() {
        let mut desk = Desk::new(&["d/a", "d/e/b"]);
        desk.shell("mv d n");
        desk.pass(Duration::from_millis(10));
        assert_eq!(desk.out(), ["d", "n"]);
    }
}
