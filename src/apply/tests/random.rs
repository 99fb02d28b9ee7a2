//! Random trees and random change sets: the replica is the source afterwards, whatever happened.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::fs::meta::{Fix, Object};

/// One thing that somebody does to the source; names are few, so that they meet.
#[derive(Clone, Debug)]
enum Act {
    Write(String, u8),
    Replace(String, u8),
    MakeDir(String),
    Remove(String),
    Rename(String, String),
    Symlink(String, u8),
    Fifo(String),
    Link(String, String),
    Chmod(String, u32),
    Chown(String, u32),
    Touch(String, i64, u32),
    /// The change set is complete.
    Send,
}

fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "a-", "\u{e9}\n"]), 1..4).prop_map(|n| n.join("/"))
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (names(), any::<u8>()).prop_map(|(n, c)| Act::Write(n, c)),
        2 => (names(), any::<u8>()).prop_map(|(n, c)| Act::Replace(n, c)),
        5 => names().prop_map(Act::MakeDir),
        2 => names().prop_map(Act::Remove),
        5 => (names(), names()).prop_map(|(a, b)| Act::Rename(a, b)),
        1 => (names(), any::<u8>()).prop_map(|(n, c)| Act::Symlink(n, c)),
        1 => names().prop_map(Act::Fifo),
        2 => (names(), names()).prop_map(|(a, b)| Act::Link(a, b)),
        1 => (names(), prop::sample::select(vec![0o600, 0o755, 0o444, 0o1777, 0o2750])).prop_map(|(n, m)| Act::Chmod(n, m)),
        1 => (names(), 0_u32..5).prop_map(|(n, o)| Act::Chown(n, o)),
        1 => (names(), -9_i64..9, 0_u32..1_000_000_000).prop_map(|(n, s, ns)| Act::Touch(n, s, ns)),
        2 => Just(Act::Send),
    ]
}

/// Does `act`; what is impossible is left. A rename that the receiver can follow goes into `renames`.
fn act(pair: &Pair, act: &Act, believed: &mut Manifest, renames: &mut Vec<Op>) {
    match act {
        Act::Write(n, c) => {
            // A pipe would wait for a reader, and a symlink leads elsewhere.
            if fs::symlink_metadata(pair.at(n)).map_or(true, |m| m.is_file()) {
                let _ = fs::write(pair.at(n), [*c; 3]);
            }
        }
        Act::Replace(n, c) => {
            let temporary = pair.at("~new");
            fs::write(&temporary, [*c; 5]).expect("write");
            if fs::rename(&temporary, pair.at(n)).is_err() {
                fs::remove_file(&temporary).expect("rm");
            }
        }
        Act::MakeDir(n) => drop(fs::create_dir(pair.at(n))),
        Act::Remove(n) => {
            if fs::remove_file(pair.at(n)).is_err() {
                let _ = fs::remove_dir_all(pair.at(n));
            }
        }
        Act::Rename(a, b) => {
            // rename(2) does nothing between two names of one inode.
            let ino = |n: &str| fs::symlink_metadata(pair.at(n)).map(|m| std::os::unix::fs::MetadataExt::ino(&m)).ok();
            let (from, to) = (path(a), path(b));
            if from == to || ino(a) == ino(b) || fs::rename(pair.at(a), pair.at(b)).is_err() {
                return;
            }
            let parent = to.parent().expect("below the root");
            let follows = believed.get(&from).is_some()
                && (parent.is_root() || believed.entry(&parent).is_some_and(Entry::is_dir));
            if follows {
                believe(believed, &from, &to);
                renames.push(Op::Rename { from, to });
            }
        }
        Act::Symlink(n, c) => drop(symlink(format!("target {c}"), pair.at(n))),
        Act::Fifo(n) => drop(rustix::fs::mkfifoat(rustix::fs::CWD, pair.at(n), rustix::fs::Mode::RUSR)),
        Act::Link(a, b) => {
            // Links to anything but files do not travel as links.
            if pair.at(a).symlink_metadata().is_ok_and(|m| m.is_file()) {
                let _ = fs::hard_link(pair.at(a), pair.at(b));
            }
        }
        Act::Chmod(n, m) => {
            // Who is not root could not read the source any more.
            let own = if rustix::process::geteuid().is_root() { 0 } else { 0o700 };
            if !pair.at(n).is_symlink() {
                let _ = fs::set_permissions(pair.at(n), fs::Permissions::from_mode(m | own));
            }
        }
        Act::Chown(n, o) => drop(std::os::unix::fs::lchown(pair.at(n), Some(*o), Some(*o + 10))),
        Act::Touch(n, secs, nanos) => {
            let root = Root::open(pair.source.path()).expect("open");
            let p = path(n);
            let Ok(dir) = root.parent(&p) else { return };
            let Some(now) = look_at(dir.as_fd(), p.name()).expect("look") else { return };
            let object = Object::open(&dir, p.name(), now.entry.kind()).expect("open");
            let mtime = Timestamp { secs: *secs, nanos: *nanos };
            object.fix(&Fix { mtime: Some(mtime), ..Fix::default() }, &now).expect("touch");
        }
        Act::Send => {}
    }
}

/// Sends `renames` and what else differs, in chunks on two threads as the engine does.
fn send(pair: &mut Pair, believed: &Manifest, renames: Vec<Op>) {
    let rest = diff(believed, &scan(pair.source.path()), pair.source.path());
    let staging = pair.applier.begin(pair.applier.policy().attrs, &[], &[]).expect("begin");
    staging.stage_ops(renames).expect("stage the renames");
    let (first, second) = rest.split_at(rest.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| staging.stage_ops(first.to_vec()).expect("stage"));
        staging.stage_ops(second.to_vec()).expect("stage");
    });
    let outcome = staging.commit(&mut pair.held, false).expect("commit");
    assert_eq!(outcome, Outcome::default());
    staging.cleanup().expect("cleanup");
    pair.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_replica_becomes_what_the_source_is(all in prop::collection::vec(acts(), 1..60)) {
        let mut pair = Pair::with(|policy| policy.privileged = true);
        let mut believed = pair.held.clone();
        let mut renames = Vec::new();
        for one in all.iter().chain([&Act::Send]) {
            if matches!(one, Act::Send) {
                send(&mut pair, &believed, std::mem::take(&mut renames));
                believed = pair.held.clone();
            } else {
                act(&pair, one, &mut believed, &mut renames);
            }
        }
    }
}
