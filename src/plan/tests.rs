//! Whatever the trees and the hints: a peer that takes the steps holds what is on disk.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Need, Plan, Settled, Step, plan};
use crate::model::{Attrs, Base, Change, Digest, Entry, Kind, Meta, Node, RelPath, Timestamp};

type Tree = BTreeMap<RelPath, Entry>;

const ATTRS: Attrs = Attrs::ARCHIVE;

fn path(s: &str) -> RelPath {
    RelPath::parse(s.as_bytes()).expect("valid")
}

fn entry(node: Node, mtime: i64) -> Entry {
    let meta = Meta { mode: 0o644, uid: 0, gid: 0, mtime: Timestamp { secs: mtime, nanos: 0 } };
    Entry { node, meta, xattrs: Vec::new(), link: None }
}

fn dir(mtime: i64) -> Entry {
    entry(Node::Dir, mtime)
}

fn file(content: u8, mtime: i64) -> Entry {
    let bytes = vec![content; usize::from(content)];
    entry(Node::File { size: bytes.len() as u64, hash: Some(Digest::of(&bytes)) }, mtime)
}

fn unread(mut entry: Entry) -> Entry {
    if let Node::File { hash, .. } = &mut entry.node {
        *hash = None;
    }
    entry
}

/// What differs between two trees, every base known and every hash too.
fn changes(base: &Tree, now: &Tree) -> BTreeMap<RelPath, Change> {
    let differs = |p: &&RelPath| base.get(*p) != now.get(*p);
    let change =
        |p: &RelPath| (p.clone(), Change { base: Base::Known(base.get(p).cloned()), now: now.get(p).cloned() });
    base.keys().chain(now.keys()).filter(differs).map(change).collect()
}

fn tree(entries: &[(&str, Entry)]) -> Tree {
    entries.iter().map(|(p, e)| (path(p), e.clone())).collect()
}

fn shown(plan: &Plan) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::Rename { from, to } => format!("{from} -> {to}"),
        Step::Put(put) => match &put.need {
            Need::Keep => format!("keep {}", put.path),
            Need::Read => format!("read {}", put.path),
            Need::Link(to) => format!("link {} to {to}", put.path),
        },
        Step::Remove { path, .. } => format!("remove {path}"),
    };
    plan.steps.iter().map(step).collect()
}

/// A peer that checks what a plan promises, and takes the content from `now`.
fn apply(peer: &mut Tree, plan: &Plan, now: &Tree, attrs: Attrs) {
    let mut renaming = true;
    for step in &plan.steps {
        match step {
            Step::Rename { from, to } => {
                assert!(renaming, "renames come first");
                assert!(is_dir(peer, to.parent()), "the directory of {to} is there");
                rename(peer, from, to);
            }
            Step::Put(put) => {
                renaming = false;
                put_at(peer, put, now, attrs);
            }
            Step::Remove { path, kind } => {
                renaming = false;
                if let Some(kind) = kind {
                    assert_eq!(peer.get(path).map(Entry::kind), Some(*kind), "{path}");
                }
                peer.retain(|p, _| !p.is_within(path));
            }
        }
    }
}

fn is_dir(tree: &Tree, path: Option<RelPath>) -> bool {
    path.is_some_and(|p| p.is_root() || tree.get(&p).is_some_and(Entry::is_dir))
}

fn rename(tree: &mut Tree, from: &RelPath, to: &RelPath) {
    assert!(tree.contains_key(from), "{from} is there to be renamed");
    tree.retain(|p, _| !p.is_within(to));
    let moved: Tree = tree.iter().map(|(p, e)| (p.moved(from, to), e.clone())).collect();
    *tree = moved;
}

fn put_at(peer: &mut Tree, put: &super::Put, now: &Tree, attrs: Attrs) {
    let at = &put.path;
    assert!(is_dir(peer, at.parent()), "the directory of {at} is there");
    assert!(put.base.is_none() || put.base.as_ref() == peer.get(at), "the base of {at}");
    let read = &now[at];
    match &put.need {
        Need::Keep if put.entry.kind() == Kind::File => {
            assert_eq!(peer.get(at).and_then(Entry::hash), put.entry.hash(), "content of {at}");
        }
        Need::Keep => {}
        Need::Read if put.settle(read, attrs) == Settled::Nothing => {
            assert!(peer[at].same(read, attrs));
            return;
        }
        Need::Read => {}
        Need::Link(to) => assert_eq!(peer.get(to).map(|e| &e.node), Some(&read.node), "{at} links to {to}"),
    }
    if !read.is_dir() {
        peer.retain(|p, _| !p.is_below(at));
    }
    peer.insert(at.clone(), read.clone());
}

fn check(base: &Tree, now: &Tree, moves: &[(&str, &str)]) -> Vec<String> {
    let moves: Vec<_> = moves.iter().map(|(a, b)| (path(a), path(b))).collect();
    let plan = plan(&changes(base, now), &moves, ATTRS, true);
    let mut peer = base.clone();
    apply(&mut peer, &plan, now, ATTRS);
    assert_eq!(&peer, now);
    shown(&plan)
}

#[test]
fn a_renamed_directory_is_one_rename_and_the_times_of_its_parents() {
    let mut base = tree(&[("p", dir(1)), ("q", dir(1)), ("p/d", dir(5)), ("p/d/s", dir(6))]);
    for i in 0..5000 {
        base.insert(path(&format!("p/d/s/{i}")), file(7, i));
    }
    let (from, to) = (path("p/d"), path("q/e"));
    let mut now: Tree = base.iter().map(|(p, e)| (p.moved(&from, &to), e.clone())).collect();
    now.insert(path("p"), dir(2));
    now.insert(path("q"), dir(3));
    assert_eq!(check(&base, &now, &[("p/d", "q/e")]), ["p/d -> q/e", "keep p", "keep q"]);
    // The same with a hint for every name, and no content read yet.
    let moves: Vec<_> = base.keys().filter(|p| p.is_within(&from)).map(|p| (p.clone(), p.moved(&from, &to))).collect();
    let mut changes = changes(&base, &now);
    for change in changes.values_mut() {
        change.now = change.now.take().map(unread);
    }
    let steps = plan(&changes, &moves, ATTRS, true).steps;
    assert_eq!(steps.len(), 5003);
    let settled = steps.iter().filter_map(|step| match step {
        Step::Put(put) if put.need == Need::Read => Some(put.settle(&now[&put.path], ATTRS)),
        _ => None,
    });
    assert!(settled.eq((0..5000).map(|_| Settled::Nothing)));
}

#[test]
fn an_edit_in_a_moved_directory_travels_under_its_new_name() {
    let base = tree(&[("d", dir(1)), ("d/a", file(1, 1)), ("d/b", file(2, 1)), ("d/gone", file(3, 1))]);
    let now = tree(&[("e", dir(2)), ("e/a", file(9, 2)), ("e/b", file(2, 1)), ("e/new", file(4, 1))]);
    assert_eq!(check(&base, &now, &[("d", "e")]), ["d -> e", "keep e", "read e/a", "remove e/gone", "read e/new"]);
}

#[test]
fn nested_moves_follow_each_other() {
    let base = tree(&[("d", dir(1)), ("d/s", dir(1)), ("d/s/x", file(1, 1)), ("z", dir(1)), ("z/y", file(2, 1))]);
    let now = tree(&[("e", dir(1)), ("e/t", dir(1)), ("e/t/w", file(1, 1)), ("e/z", dir(1)), ("e/z/y", file(2, 1))]);
    let moves = [("d", "e"), ("e/s", "e/t"), ("e/t/x", "e/t/w"), ("z", "e/z")];
    assert_eq!(check(&base, &now, &moves), ["d -> e", "e/s -> e/t", "z -> e/z", "e/t/x -> e/t/w"]);
}

#[test]
fn chains_and_swaps_of_files_lose_nothing() {
    let base = tree(&[("a", file(1, 1)), ("b", file(2, 1))]);
    let swapped = tree(&[("a", file(2, 1)), ("b", file(1, 1))]);
    assert_eq!(check(&base, &swapped, &[("a", "b"), ("b", "a")]), ["read a", "read b"]);
    let rotated = tree(&[("b", file(1, 1)), ("c", file(2, 1))]);
    assert_eq!(check(&base, &rotated, &[("b", "c"), ("a", "b")]), ["a -> b", "read c"]);
    let twice = tree(&[("b", file(2, 1)), ("c", file(1, 1))]);
    assert_eq!(check(&base, &twice, &[("a", "x"), ("x", "c")]), ["a -> c"]);
}

#[test]
fn a_directory_is_not_renamed_over_another_one() {
    let base = tree(&[("a", dir(1)), ("a/x", file(1, 1)), ("b", dir(1)), ("b/k", file(2, 1))]);
    let now = tree(&[("b", dir(2)), ("b/k", file(2, 1)), ("b/x", file(1, 1))]);
    assert_eq!(check(&base, &now, &[("a", "b")]), ["a/x -> b/x", "remove a", "keep b"]);
}

#[test]
fn a_file_finds_its_content_without_a_hint() {
    let base = tree(&[("a", file(1, 1)), ("empty", file(0, 1))]);
    let now = tree(&[("b", file(1, 2)), ("hollow", file(0, 1))]);
    assert_eq!(check(&base, &now, &[]), ["a -> b", "keep b", "remove empty", "read hollow"]);
}

#[test]
fn without_deletion_nothing_goes_but_a_type_still_changes() {
    let base = tree(&[("a", file(1, 1)), ("d", dir(1)), ("d/x", file(2, 1)), ("e", dir(1)), ("e/y", file(3, 1))]);
    let now = tree(&[("b", file(1, 1)), ("d", file(4, 1))]);
    let plan = plan(&changes(&base, &now), &[(path("a"), path("b"))], ATTRS, false);
    assert_eq!(shown(&plan), ["read b", "read d"]);
    assert_eq!(plan.withheld, ["a", "e", "e/y"].map(path));
}

#[test]
fn what_the_peer_holds_is_not_assumed_when_it_is_unknown() {
    let now = tree(&[("d", dir(1)), ("d/x", file(1, 1))]);
    let unknown = |p: &str| (path(p), Change { base: Base::Unknown, now: now.get(&path(p)).cloned() });
    let changes = ["d", "d/x", "gone", "gone/y"].map(unknown).into();
    let plan = plan(&changes, &[(path("gone"), path("d"))], ATTRS, true);
    assert_eq!(shown(&plan), ["keep d", "read d/x", "remove gone"]);
    assert!(matches!(&plan.steps[1], Step::Put(put) if put.base.is_none()));
    assert!(matches!(&plan.steps[2], Step::Remove { kind: None, .. }));
}

#[test]
fn a_hard_link_follows_the_new_inode_of_its_first_name() {
    let attrs = ATTRS.with(Attrs::HARD_LINKS);
    let linked = |mut entry: Entry| {
        entry.link = Some(path("a"));
        entry
    };
    let base = tree(&[("a", file(1, 1)), ("b", linked(file(1, 1)))]);
    let now = tree(&[("a", file(2, 2)), ("b", linked(file(2, 2))), ("c", linked(file(2, 2)))]);
    let steps = shown(&plan(&changes(&base, &now), &[], attrs, true));
    assert_eq!(steps, ["read a", "link b to a", "link c to a"]);
    // A name that looks the same must be linked again as well.
    let mut same = changes(&base, &now);
    same.insert(
        path("b"),
        Change { base: Base::Known(Some(now[&path("b")].clone())), now: now.get(&path("b")).cloned() },
    );
    assert_eq!(shown(&plan(&same, &[], attrs, true))[1], "link b to a");
}

/// Three names, three levels.
fn any_path() -> impl Strategy<Value = RelPath> {
    let name = prop::sample::select(vec!["a", "a-b", "c"]);
    prop::collection::vec(name, 1..=3).prop_map(|names| path(&names.join("/")))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        3 => (0u8..5, 0i64..2).prop_map(|(content, mtime)| file(content, mtime)),
        3 => (0i64..3).prop_map(dir),
        1 => (0u8..2).prop_map(|t| entry(Node::Symlink { target: [b'x', t].into() }, 0)),
    ]
}

#[derive(Clone, Debug)]
enum Edit {
    Put(RelPath, Entry),
    Remove(RelPath),
    Move(RelPath, RelPath),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any_path(), any_entry()).prop_map(|(p, e)| Edit::Put(p, e)),
        1 => any_path().prop_map(Edit::Remove),
        3 => (any_path(), any_path()).prop_map(|(a, b)| Edit::Move(a, b)),
    ]
}

/// Edits as a file system takes them; returns the moves that happened.
fn edit(tree: &mut Tree, edits: &[Edit]) -> Vec<(RelPath, RelPath)> {
    let mut moves = Vec::new();
    for edit in edits {
        match edit {
            Edit::Put(p, e) => {
                let mut above = p.parent();
                while let Some(dir_path) = above.take().filter(|p| !p.is_root()) {
                    if !tree.get(&dir_path).is_some_and(Entry::is_dir) {
                        tree.insert(dir_path.clone(), dir(0));
                    }
                    above = dir_path.parent();
                }
                if !e.is_dir() {
                    tree.retain(|q, _| !q.is_below(p));
                }
                tree.insert(p.clone(), e.clone());
            }
            Edit::Remove(p) => tree.retain(|q, _| !q.is_within(p)),
            Edit::Move(a, b) => {
                if tree.contains_key(a) && is_dir(tree, b.parent()) && !a.is_within(b) && !b.is_within(a) {
                    rename(tree, a, b);
                    moves.push((a.clone(), b.clone()));
                }
            }
        }
    }
    moves
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_steps_lead_from_what_the_peer_holds_to_what_is_on_disk(
        first in prop::collection::vec(any_edit(), 0..12),
        then in prop::collection::vec(any_edit(), 0..10),
        wrong in prop::collection::vec((any_path(), any_path()), 0..4),
        doubt in prop::collection::vec((any_path(), 0u8..4), 0..8),
        delete in prop::bool::weighted(0.8),
    ) {
        let mut base = Tree::new();
        edit(&mut base, &first);
        let mut now = base.clone();
        let mut moves = edit(&mut now, &then);
        for (i, hint) in wrong.into_iter().enumerate() {
            moves.insert((i * 7) % (moves.len() + 1), hint);
        }
        let mut changes = changes(&base, &now);
        for (p, what) in doubt {
            // Names that did not change may be among the dirty ones.
            let same = Change { base: Base::Known(base.get(&p).cloned()), now: now.get(&p).cloned() };
            let change = changes.entry(p).or_insert(same);
            match what {
                0 | 1 => change.now = change.now.take().map(unread),
                2 => change.base = Base::Unknown,
                _ => {}
            }
        }
        let plan = plan(&changes, &moves, ATTRS, delete);
        let mut peer = base.clone();
        apply(&mut peer, &plan, &now, ATTRS);
        if delete {
            prop_assert_eq!(&peer, &now);
            prop_assert!(plan.withheld.is_empty());
        } else {
            for (p, e) in &now {
                prop_assert_eq!(peer.get(p), Some(e));
            }
            let replaced = |p: &RelPath| now.iter().any(|(q, e)| p.is_below(q) && !e.is_dir());
            for p in base.keys() {
                prop_assert!(peer.contains_key(p) || replaced(p), "{} is lost", p);
            }
        }
    }
}
