//! What is refused, held back or reported, and leaves the tree as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::*;

fn needed(result: Result<Outcome, ApplyError>) -> Vec<RelPath> {
    match result {
        Err(ApplyError::ContentNeeded(paths)) => paths,
        other => panic!("content should be needed, but: {other:?}"),
    }
}

fn is_protocol(result: Result<Outcome, ApplyError>) -> bool {
    matches!(result, Err(ApplyError::Protocol { .. }))
}

#[test]
fn content_that_does_not_verify_is_asked_for() {
    let mut pair = Pair::new();
    pair.write("f", "held");
    pair.sync();
    let before = shape(&scan(pair.replica.path()));
    let mut wrong = file("n", b"abc");
    wrong.content = Content::Inline(b"abd".to_vec());
    assert_eq!(needed(pair.apply(vec![Op::Put(wrong)])), [path("n")]);
    let mut other = file("f", b"other");
    other.content = Content::Keep;
    assert_eq!(needed(pair.apply(vec![Op::Put(file("a", b"a")), Op::Put(other)])), [path("f")]);
    let mut link = file("l", b"held");
    link.content = Content::Link(path("none"));
    assert_eq!(needed(pair.apply(vec![Op::Put(link)])), [path("l"), path("none")]);
    let lost = Op::Rename { from: path("none"), to: path("x") };
    assert_eq!(needed(pair.apply(vec![lost])), [path("x")]);
    assert_eq!(needed(pair.apply(vec![Op::Put(file("no/parent", b""))])), [path("no")]);
    assert_eq!(shape(&scan(pair.replica.path())), before);
    assert_eq!(pair.staged(), 0);
}

#[test]
fn a_renamed_file_that_drifted_is_asked_for() {
    let mut pair = Pair::new();
    pair.write("f", "held");
    pair.sync();
    fs::write(pair.there("f"), "local").expect("write");
    let op = Op::Rename { from: path("f"), to: path("g") };
    assert_eq!(needed(pair.apply(vec![op])), [path("g")]);
}

/// Asked for the link alone, the source could only say again that it is one.
#[test]
fn the_drifted_target_of_a_link_is_asked_for_as_well() {
    let mut pair = Pair::new();
    pair.write("f", "held");
    pair.sync();
    fs::write(pair.there("f"), "local").expect("write");
    let mut link = file("l", b"held");
    link.content = Content::Link(path("f"));
    assert_eq!(needed(pair.apply(vec![Op::Put(link)])), [path("f"), path("l")]);
}

#[test]
fn a_stream_must_be_what_was_announced() {
    let mut pair = Pair::new();
    pair.write("f", "held content");
    pair.sync();
    let begin = |pair: &Pair, base: Option<&[u8]>| {
        let mut put = file("f", b"0123456789");
        put.content = Content::Stream(1);
        let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
        staging.stage_ops(vec![Op::Put(put.clone())]).expect("stage");
        let opened = staging.open_file(&pair.held, 1, base.map(Digest::of));
        (staging, opened, put.entry)
    };
    let is_needed = |e: ApplyError| matches!(e, ApplyError::ContentNeeded(_));

    let (_, opened, _) = begin(&pair, Some(b"not held"));
    assert!(is_needed(opened.expect_err("no such base")));
    let (_staging, opened, _) = begin(&pair, None);
    let mut piece = opened.expect("open");
    assert!(matches!(piece.copy(0, 1), Err(ApplyError::Protocol { .. })));
    assert!(is_needed(piece.data(b"0123456789a").expect_err("too much")));
    let (_staging, opened, _) = begin(&pair, Some(b"held content"));
    assert!(is_needed(opened.expect("open").copy(10, 10).expect_err("beyond the base")));
    let (staging, opened, entry) = begin(&pair, None);
    let mut piece = opened.expect("open");
    piece.data(b"012345678x").expect("data");
    assert!(is_needed(piece.end(Digest::of(b"0123456789"), entry).expect_err("another hash")));
    assert!(is_protocol(staging.commit(&mut pair.held, false)));
    drop(staging);
    let (staging, ..) = begin(&pair, None);
    assert!(staging.open_file(&pair.held, 2, None).is_err());
    assert!(staging.open_file(&pair.held, 1, None).is_err(), "opened before");
}

#[test]
fn what_no_honest_peer_sends_is_refused() {
    let mut pair = Pair::new();
    pair.write("d/f", "f");
    pair.sync();
    let mut own_link = file("l", b"");
    own_link.content = Content::Link(path(".syncd/drift/x"));
    let mut circle = [file("x", b""), file("y", b"")];
    circle[0].content = Content::Link(path("y"));
    circle[1].content = Content::Link(path("x"));
    let [x, y] = circle;
    let remove = |p: &str| Op::Remove { path: path(p), kind: Some(Kind::Dir) };
    let cases = [
        vec![Op::Put(file(".syncd/stage/1/journal", b""))],
        vec![Op::Put(file(".syncd", b""))],
        vec![remove(".syncd")],
        vec![remove(".")],
        vec![Op::Rename { from: path("d"), to: path(".syncd/drift/x") }],
        vec![Op::Rename { from: path("d"), to: path("d/e") }],
        vec![Op::Rename { from: path("."), to: path("d/e") }],
        vec![Op::Put(file(".", b""))],
        vec![Op::Put(file("f", b"")), Op::Put(file("f", b""))],
        vec![remove("d"), Op::Put(file("d/g", b""))],
        vec![Op::Put(own_link)],
        vec![Op::Put(x), Op::Put(y)],
    ];
    let before = shape(&scan(pair.replica.path()));
    for ops in cases {
        let shown = format!("{ops:?}");
        assert!(is_protocol(pair.apply(ops)), "{shown}");
    }
    assert_eq!(shape(&scan(pair.replica.path())), before);
    assert_eq!(pair.staged(), 0);
}

#[test]
fn mass_deletion_waits_for_an_operator() {
    let mut pair = Pair::with(|p| p.deletions = Deletions::Guarded);
    for n in 0..30 {
        pair.write(&format!("d/{n}"), "x");
    }
    pair.write("keep", "k");
    pair.sync();
    fs::remove_dir_all(pair.at("d")).expect("rm");
    pair.write("new", "n");
    let ops = pair.ops();
    let outcome = pair.apply(ops.clone()).expect("apply");
    assert_eq!(outcome.deletions_held, 31);
    assert!(pair.there("d/29").exists() && pair.there("new").exists());
    assert!(pair.held.get(&path("d/29")).is_some());
    let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
    staging.stage_ops(ops).expect("stage");
    assert_eq!(staging.commit(&mut pair.held, true).expect("commit").deletions_held, 0);
    staging.cleanup().expect("cleanup");
    pair.check();
}

#[test]
fn a_set_that_never_deletes_keeps_everything() {
    let mut pair = Pair::with(|p| p.deletions = Deletions::Never);
    for name in ["a", "d/b"] {
        pair.write(name, name);
    }
    pair.sync();
    let remove = |p: &str, kind| Op::Remove { path: path(p), kind };
    let outcome = pair.apply(vec![remove("a", Some(Kind::File)), remove("d", Some(Kind::Dir))]).expect("apply");
    assert_eq!(outcome, Outcome::default());
    assert_eq!(needed(pair.apply(vec![Op::Rename { from: path("a"), to: path("c") }])), [path("c")]);
    let outcome = pair.apply(vec![Op::Put(file("d", b"a file"))]).expect("apply");
    assert_eq!(outcome.failed.len(), 1);
    pair.check();
}

#[test]
fn rights_that_were_not_granted_do_not_come_in() {
    let mut pair = Pair::new();
    let mut suid = file("suid", b"x");
    suid.entry.meta.mode = 0o6755;
    let device = special("dev", Node::Device { block: false, major: 1, minor: 3 }, 0o666);
    let outcome = pair.apply(vec![Op::Put(suid), Op::Put(device)]).expect("apply");
    assert_eq!(outcome.failed.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>(), [path("dev")]);
    assert_eq!(fs::metadata(pair.there("suid")).expect("stat").mode() & 0o7777, 0o755);
    assert!(!pair.there("dev").exists());
}

#[test]
fn an_owner_that_is_nobody_fails_for_its_path_alone() {
    let mut pair = Pair::with(|p| p.can_chown = true);
    let mut nobody = file("nobody", b"x");
    nobody.entry.meta.uid = u32::MAX;
    let outcome = pair.apply(vec![Op::Put(nobody), Op::Put(file("f", b"y"))]).expect("apply");
    assert_eq!(outcome.failed.len(), 1);
    assert!(pair.there("f").exists() && !pair.there("nobody").exists());
}

#[test]
fn what_may_not_be_changed_is_left_and_named_and_all_else_is_done() {
    let mut pair = Pair::new();
    for name in ["frozen", "a", "d/frozen", "d/x"] {
        pair.write(name, "old");
    }
    pair.sync();
    let freeze = |on: bool| -> bool {
        ["frozen", "d/frozen"].iter().all(|name| {
            let file = fs::File::open(pair.there(name)).expect("open");
            let Ok(flags) = ioctl_getflags(&file) else { return false };
            let flags = if on { flags | IFlags::IMMUTABLE } else { flags - IFlags::IMMUTABLE };
            ioctl_setflags(&file, flags).is_ok()
        })
    };
    if !freeze(true) {
        eprintln!("skipped: immutable files need root and a file system that has them");
        return;
    }
    for name in ["frozen", "a", "new"] {
        fs::write(pair.at(name), "new").expect("write");
    }
    fs::remove_file(pair.at("d/frozen")).expect("rm");
    let ops = pair.ops();
    let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
    staging.stage_ops(ops).expect("stage");
    let result = staging.commit(&mut pair.held, false);
    let freeze_off = ["frozen", "d/frozen"].map(|name| fs::File::open(pair.there(name)));
    for file in freeze_off.into_iter().flatten() {
        let flags = ioctl_getflags(&file).expect("flags");
        ioctl_setflags(&file, flags - IFlags::IMMUTABLE).expect("flags");
    }
    drop(staging);
    let failed: Vec<_> = result.expect("commit").failed.into_iter().map(|(p, _)| p).collect();
    assert_eq!(failed, ["d/frozen", "frozen"].map(path));
    assert_eq!(fs::read_to_string(pair.there("a")).expect("read"), "new");
    assert_eq!(fs::read_to_string(pair.there("frozen")).expect("read"), "old");
    // What was left out is done when nothing is in the way any more.
    assert_eq!(pair.sync().failed, []);
}

#[test]
fn a_symlink_for_syncds_own_directory_is_refused() {
    let (dir, outside) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    symlink(outside.path(), dir.path().join(".syncd")).expect("symlink");
    let policy = Policy::of_this_thread(ATTRS).expect("policy");
    let result = Applier::open(Root::open(dir.path()).expect("open"), policy);
    assert!(matches!(result, Err(ApplyError::OwnDir { .. })));
    assert_eq!(fs::read_dir(outside.path()).expect("list").count(), 0);
}

/// The parent of every path is a symlink to a directory outside half of the time.
#[test]
fn a_symlink_race_on_a_parent_leads_nowhere() {
    let outside = tempfile::tempdir().expect("tempdir");
    fs::write(outside.path().join("f"), "sentinel").expect("write");
    fs::write(outside.path().join("g"), "sentinel").expect("write");
    let mut pair = Pair::new();
    pair.write("d/f", "0");
    pair.write("d/g", "0");
    pair.sync();
    symlink(outside.path(), pair.there("link")).expect("symlink");
    let root = Root::open(pair.replica.path()).expect("open");
    let stop = AtomicBool::new(false);
    let mut won = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = write::exchange((root.as_fd(), b"d"), (root.as_fd(), b"link"));
            }
        });
        for n in 0..400 {
            let content = format!("{n}");
            let removes = Op::Remove { path: path("d/g"), kind: Some(Kind::File) };
            let renames = Op::Rename { from: path("d/f"), to: path("d/h") };
            let ops = [vec![Op::Put(file("d/f", content.as_bytes()))], vec![removes], vec![renames]];
            won += usize::from(pair.apply(ops[n % 3].clone()).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(won > 0, "the race was never won, so that nothing was tried");
    let mut names: Vec<_> =
        fs::read_dir(outside.path()).expect("list").map(|e| e.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["f", "g"]);
    for name in ["f", "g"] {
        assert_eq!(fs::read_to_string(outside.path().join(name)).expect("read"), "sentinel");
    }
}

#[test]
fn a_journal_whose_content_was_damaged_is_not_taken_up() {
    use crate::apply::journal::{self, Journal, Made};
    use crate::apply::step::Step;
    let mut pair = Pair::new();
    pair.write("f", "old");
    pair.sync();
    let before = shape(&scan(pair.replica.path()));
    for damaged in [true, false] {
        let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
        staging.stage_ops(vec![Op::Put(file("f", b"new")), Op::Put(file("n", b"n"))]).expect("stage");
        let (seq, steps, puts) = {
            let state = staging.inner.state();
            let (f, n) = (&state.items[&path("f")], &state.items[&path("n")]);
            let place = |i: &crate::apply::stage::Item| i.place.clone().expect("staged");
            let old = scan(pair.replica.path()).get(&path("f")).and_then(|r| r.stamp).expect("there").ino;
            let steps = vec![
                Step::Swap { a: path("f"), b: place(f), ino_a: old, ino_b: f.ino },
                Step::Move { from: place(n), to: path("n"), ino: n.ino },
            ];
            let made = |p: &str, i: &crate::apply::stage::Item| Made {
                path: path(p),
                entry: i.entry.clone(),
                place: i.place.clone(),
                ino: i.ino,
            };
            (staging.inner.seq, steps, vec![made("f", f), made("n", n)])
        };
        let stage = pair.there(&format!(".syncd/stage/{seq}"));
        let journal = Journal { number: 9, steps, puts, ..Journal::default() };
        fs::write(stage.join(std::str::from_utf8(journal::NAME).expect("ascii")), journal.encode().expect("encode"))
            .expect("write");
        // The first step was taken before the crash.
        let Step::Swap { b, .. } = &journal.steps[0] else { panic!("a swap") };
        let root = Root::open(pair.replica.path()).expect("open");
        let dir = root.parent(b).expect("parent");
        write::exchange((root.as_fd(), b"f"), (dir.as_fd(), b.name())).expect("exchange");
        if damaged {
            let Step::Move { from, .. } = &journal.steps[1] else { panic!("a move") };
            fs::write(pair.there(&from.to_string()), "x").expect("write");
        }
        staging.inner.state().keep = true;
        drop(staging);
        let recovered = pair.applier.recover(&mut pair.held).expect("recover");
        assert_eq!((recovered.finished, recovered.taken_back), (!damaged, damaged));
        assert_eq!(pair.staged(), 0);
        if damaged {
            assert_eq!(shape(&scan(pair.replica.path())).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
            assert_eq!(fs::read_to_string(pair.there("f")).expect("read"), "old");
        } else {
            assert_eq!(fs::read_to_string(pair.there("f")).expect("read"), "new");
            assert_eq!(fs::read_to_string(pair.there("n")).expect("read"), "n");
        }
    }
}
