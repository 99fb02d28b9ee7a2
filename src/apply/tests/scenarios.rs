//! What people and programs do to a tree, one thing at a time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::fs::meta::{Fix, Object};

fn chmod(at: &Path, mode: u32) {
    fs::set_permissions(at, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn touch(pair: &Pair, name: &str, mtime: Timestamp) {
    let root = Root::open(pair.source.path()).expect("open");
    let p = path(name);
    let dir = root.parent(&p).expect("parent");
    let kind = look_at(dir.as_fd(), p.name()).expect("look").expect("there").entry.kind();
    let object = Object::open(&dir, p.name(), kind).expect("open");
    let now = object.look().expect("look");
    object.fix(&Fix { mtime: Some(mtime), ..Fix::default() }, &now).expect("touch");
}

fn rename(pair: &Pair, from: &str, to: &str) -> Op {
    fs::rename(pair.at(from), pair.at(to)).expect("rename");
    Op::Rename { from: path(from), to: path(to) }
}

/// Sends `renames`, then what else differs.
fn sync_after(pair: &mut Pair, renames: Vec<Op>) -> Outcome {
    let mut believed = pair.held.clone();
    for op in &renames {
        if let Op::Rename { from, to } = op {
            believe(&mut believed, from, to);
        }
    }
    let rest = diff(&believed, &scan(pair.source.path()), pair.source.path());
    let outcome = pair.apply(renames.into_iter().chain(rest).collect()).expect("apply");
    assert_eq!(outcome.failed, []);
    pair.check();
    outcome
}

#[test]
fn a_first_mirror_and_then_a_save() {
    let mut pair = Pair::new();
    for name in ["a", "d/b", "d/e/c", "x/y/z"] {
        pair.write(name, name);
    }
    symlink("../a", pair.at("d/link")).expect("symlink");
    fs::create_dir(pair.at("empty")).expect("mkdir");
    pair.sync();
    let before = fs::metadata(pair.there("d/b")).expect("stat").ino();
    pair.write("d/b", "another");
    let outcome = pair.sync();
    assert_eq!(outcome, Outcome::default());
    assert_ne!(fs::metadata(pair.there("d/b")).expect("stat").ino(), before, "always a new inode");
}

#[test]
fn metadata_changes_in_place() {
    let mut pair = Pair::new();
    pair.write("d/f", "x");
    symlink("f", pair.at("d/l")).expect("symlink");
    rustix::fs::mkfifoat(rustix::fs::CWD, pair.at("d/p"), rustix::fs::Mode::from_raw_mode(0o640)).expect("mkfifo");
    pair.sync();
    let before = fs::metadata(pair.there("d/f")).expect("stat").ino();
    chmod(&pair.at("d/f"), 0o400);
    chmod(&pair.at("d"), 0o711);
    for name in ["d/f", "d/l", "d/p", "d"] {
        touch(&pair, name, Timestamp { secs: -5, nanos: 999_999_999 });
    }
    pair.sync();
    assert_eq!(fs::metadata(pair.there("d/f")).expect("stat").ino(), before);
}

#[test]
fn every_type_becomes_every_other() {
    let mut pair = Pair::new();
    let make = |pair: &Pair, kind: usize| {
        let at = pair.at("t");
        match kind {
            0 => pair.write("t", "file"),
            1 => {
                pair.write("t/in", "directory");
                pair.write("t/sub/in", "directory");
            }
            2 => symlink("nowhere", at).expect("symlink"),
            _ => rustix::fs::mkfifoat(rustix::fs::CWD, at, rustix::fs::Mode::RUSR).expect("mkfifo"),
        }
    };
    for from in 0..4 {
        for to in 0..4 {
            for kind in [from, to] {
                if pair.at("t").is_dir() {
                    fs::remove_dir_all(pair.at("t")).expect("rm");
                } else {
                    let _ = fs::remove_file(pair.at("t"));
                }
                make(&pair, kind);
                pair.sync();
            }
        }
    }
}

#[test]
fn renames_move_whole_directories_and_replace_what_is_there() {
    let mut pair = Pair::new();
    for name in ["d/a", "d/b/c", "e/x", "f", "g"] {
        pair.write(name, name);
    }
    pair.sync();
    let ino = fs::metadata(pair.there("d/b/c")).expect("stat").ino();
    let ops = vec![rename(&pair, "d", "h"), rename(&pair, "g", "f")];
    sync_after(&mut pair, ops);
    assert_eq!(fs::metadata(pair.there("h/b/c")).expect("stat").ino(), ino);

    // Two names change places, and a directory takes the place of the one that it was in.
    fs::remove_file(pair.at("e/x")).expect("rm");
    let ops = vec![rename(&pair, "h", "t"), rename(&pair, "f", "h"), rename(&pair, "t", "f"), rename(&pair, "f", "e")];
    sync_after(&mut pair, ops);
    assert_eq!(fs::metadata(pair.there("e/b/c")).expect("stat").ino(), ino);
    fs::rename(pair.at("e/b"), pair.at("t")).expect("rename");
    fs::remove_dir_all(pair.at("e")).expect("rm");
    fs::rename(pair.at("t"), pair.at("e")).expect("rename");
    sync_after(&mut pair, vec![Op::Rename { from: path("e/b"), to: path("e") }]);
    assert_eq!(fs::metadata(pair.there("e/c")).expect("stat").ino(), ino);
}

#[test]
fn a_rename_into_a_directory_that_is_new_as_well() {
    let mut pair = Pair::new();
    pair.write("a/f", "f");
    pair.sync();
    fs::create_dir_all(pair.at("new/deep")).expect("mkdir");
    pair.write("new/deep/beside", "b");
    let op = rename(&pair, "a", "new/deep/a");
    pair.write("new/deep/a/more", "m");
    sync_after(&mut pair, vec![op]);
}

#[test]
fn hard_links_are_one_inode_and_part_again() {
    let mut pair = Pair::new();
    pair.write("a", "one");
    pair.write("d/z", "z");
    fs::hard_link(pair.at("a"), pair.at("d/b")).expect("link");
    fs::hard_link(pair.at("a"), pair.at("c")).expect("link");
    pair.sync();
    let ino = |p: &Pair, n: &str| fs::metadata(p.there(n)).expect("stat").ino();
    assert_eq!(ino(&pair, "a"), ino(&pair, "d/b"));
    // One more name for what is there, and new content for all.
    fs::hard_link(pair.at("a"), pair.at("d/e")).expect("link");
    pair.sync();
    fs::write(pair.at("a"), "two").expect("write");
    pair.sync();
    assert_eq!(fs::read_to_string(pair.there("d/e")).expect("read"), "two");
    // One name leaves the group with the same content.
    fs::remove_file(pair.at("c")).expect("rm");
    fs::write(pair.at("c"), "two").expect("write");
    pair.sync();
    assert_ne!(ino(&pair, "a"), ino(&pair, "c"));
}

#[test]
fn an_inode_with_another_name_outside_is_never_written() {
    let mut pair = Pair::new();
    pair.write("f", "old");
    pair.sync();
    let sentinel = pair.there("../").join(format!("sentinel-{}", std::process::id()));
    fs::hard_link(pair.there("f"), &sentinel).expect("link");
    pair.write("f", "new");
    pair.sync();
    assert_eq!(fs::read_to_string(&sentinel).expect("read"), "old");
    fs::remove_file(&sentinel).expect("rm");
}

#[test]
fn what_somebody_changed_here_is_kept_and_repaired() {
    let mut pair = Pair::new();
    for name in ["f", "gone", "d/kept", "d/sub/x", "same"] {
        pair.write(name, name);
    }
    pair.sync();
    fs::write(pair.there("f"), "local").expect("write");
    fs::write(pair.there("d/extra"), "extra").expect("write");
    fs::write(pair.there("d/sub/x"), "edited").expect("write");
    fs::remove_file(pair.there("gone")).expect("rm");
    // Only its ctime moves: that is no drift.
    fs::hard_link(pair.there("same"), pair.there("other")).expect("link");
    fs::remove_file(pair.there("other")).expect("rm");
    for name in ["f", "gone", "same"] {
        pair.write(name, "new");
    }
    fs::remove_dir_all(pair.at("d")).expect("rm");
    let outcome = pair.sync();
    assert_eq!(outcome.drift, ["d/extra", "d/sub/x", "f", "gone"].map(path));
    let kept = [("extra", "extra"), ("f", "local"), ("x", "edited")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(pair.kept(), kept);
}

#[test]
fn only_the_newest_drift_is_kept() {
    let mut pair = Pair::new();
    pair.write("f", "0");
    pair.sync();
    for n in 0..103 {
        fs::write(pair.there("f"), format!("local {n}")).expect("write");
        pair.write("f", &format!("new {n}"));
        pair.sync();
    }
    let kept = pair.kept();
    assert_eq!(kept.len(), 100);
    assert!(kept.iter().any(|(_, c)| c == "local 102") && !kept.iter().any(|(_, c)| c == "local 2"));
}

#[test]
fn what_the_sender_believed_otherwise_is_drift() {
    let mut pair = Pair::new();
    pair.write("f", "held");
    pair.sync();
    let mut put = file("f", b"new");
    put.base = Some(Digest::of(b"believed"));
    let outcome = pair.apply(vec![Op::Put(put)]).expect("apply");
    assert_eq!(outcome.drift, [path("f")]);
    assert_eq!(pair.kept(), [("f".to_owned(), "held".to_owned())]);
}

#[test]
fn extended_attributes_are_replaced_as_a_whole() {
    let mut pair = Pair::with(|p| p.attrs = ATTRS.with(Attrs::XATTRS));
    let xattr =
        |name: &str, value: &str| crate::model::Xattr { name: name.as_bytes().into(), value: value.as_bytes().into() };
    let mut put = file("f", b"x");
    put.entry.meta.mode = 0o444;
    put.entry.xattrs = vec![xattr("user.a", "1"), xattr("user.b", "2")];
    pair.apply(vec![Op::Put(put.clone())]).expect("apply");
    let read = |pair: &Pair| crate::fs::xattr_fd::read(fs::File::open(pair.there("f")).expect("open")).expect("xattrs");
    assert_eq!(read(&pair), put.entry.xattrs);
    put.entry.xattrs = vec![xattr("user.b", "3")];
    put.content = Content::Keep;
    pair.apply(vec![Op::Put(put.clone())]).expect("apply");
    assert_eq!(read(&pair), put.entry.xattrs);
    assert_eq!(fs::metadata(pair.there("f")).expect("stat").mode() & 0o7777, 0o444);
}

#[test]
fn content_that_comes_in_pieces() {
    let mut pair = Pair::new();
    let old: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(pair.at("big"), &old).expect("write");
    pair.sync();
    let mut new = b"head".to_vec();
    new.extend_from_slice(&old[1000..200_000]);
    new.extend_from_slice(&[0; 70_000]);
    new.extend_from_slice(b"tail");
    new.extend_from_slice(&[0; 5000]);
    fs::write(pair.at("big"), &new).expect("write");
    let entry = scan(pair.source.path()).entry(&path("big")).expect("there").clone();
    let mut put = file("big", b"");
    put.entry = entry.clone();
    put.content = Content::Stream(7);
    let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
    staging.stage_ops(vec![Op::Put(put)]).expect("stage");
    let mut file = staging.open_file(&pair.held, 7, Some(Digest::of(&old))).expect("open");
    file.data(b"head").expect("data");
    file.copy(1000, 199_000).expect("copy");
    file.hole(70_000).expect("hole");
    file.data(b"tail").expect("data");
    file.hole(5000).expect("hole");
    file.end(Digest::of(&new), entry).expect("end");
    assert_eq!(staging.commit(&mut pair.held, false).expect("commit"), Outcome::default());
    staging.cleanup().expect("cleanup");
    pair.check();
}

#[test]
fn a_file_that_was_aborted_is_left_out() {
    let mut pair = Pair::new();
    let mut put = file("d/f", b"123");
    put.content = Content::Stream(1);
    let dir = special("d", Node::Dir, 0o755);
    let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
    staging.stage_ops(vec![Op::Put(dir), Op::Put(put), Op::Put(file("d/g", b"g"))]).expect("stage");
    let mut piece = staging.open_file(&pair.held, 1, None).expect("open");
    piece.data(b"1").expect("data");
    piece.abort();
    staging.commit(&mut pair.held, false).expect("commit");
    drop(staging);
    let names: Vec<_> = fs::read_dir(pair.there("d")).expect("list").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(names, ["g"]);
    assert!(pair.held.get(&path("d/f")).is_none());
    assert_eq!(pair.staged(), 0);
}

#[test]
fn a_new_directory_whose_operations_come_in_any_order() {
    let mut pair = Pair::new();
    for name in ["d/e/f/g", "d/e/h", "d/i", "d/e/f/j"] {
        pair.write(name, name);
    }
    fs::hard_link(pair.at("d/i"), pair.at("d/e/link")).expect("link");
    let mut ops = pair.ops();
    ops.reverse();
    let outcome = pair.apply(ops).expect("apply");
    assert_eq!(outcome, Outcome::default());
    pair.check();
}

#[test]
fn without_times_and_modes_a_file_keeps_what_it_has_here() {
    let mut pair = Pair::with(|p| p.attrs = Attrs::NONE);
    pair.apply(vec![Op::Put(file("f", b"1"))]).expect("apply");
    chmod(&pair.there("f"), 0o600);
    let held = pair.held.get(&path("f")).expect("held").entry.meta.mtime;
    assert_eq!(held, scan(pair.replica.path()).get(&path("f")).expect("there").entry.meta.mtime);
    pair.apply(vec![Op::Put(file("f", b"2"))]).expect("apply");
    assert_eq!(fs::metadata(pair.there("f")).expect("stat").mode() & 0o777, 0o600);
}

#[test]
fn opening_leaves_the_time_of_the_root() {
    let dir = tempfile::tempdir().expect("tempdir");
    let before = scan(dir.path()).get(&RelPath::root()).expect("root").entry.meta.mtime;
    let policy = Policy::of_this_thread(ATTRS).expect("policy");
    Applier::open(Root::open(dir.path()).expect("open"), policy).expect("applier");
    assert_eq!(scan(dir.path()).get(&RelPath::root()).expect("root").entry.meta.mtime, before);
    assert_eq!(fs::metadata(dir.path().join(".syncd")).expect("stat").mode() & 0o7777, 0o700);
}
