//! What a change set becomes for rsync: lists of names, in the order in which they have to go.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Attrs, Base, Change, Entry, Kind, Node, RelPath};

/// The names of a change set, by what is to be done with them; done in this order, no name is
/// missing there between an old and a new one.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Batch {
    /// What has to make way: it stands below what is a file now. Each list before the next.
    pub(super) ways: Vec<Vec<RelPath>>,
    /// What size and time show to be unlike where it is.
    pub(super) quick: Vec<RelPath>,
    /// What may be unlike in nothing but content.
    pub(super) by_content: Vec<RelPath>,
    /// What goes, each list before the next: what is in a directory before the directory.
    pub(super) removals: Vec<Vec<RelPath>>,
    /// Directories that lost something, for their times.
    pub(super) losing: Vec<RelPath>,
    /// Whether a directory goes, or makes way, with all that is in it.
    pub(super) recursive: bool,
}

/// Orders `names`. `protects` says that the filter leaves something alone that may stand on the
/// peer anywhere: then no directory goes but an empty one. `is_dir` says what of the set is a
/// directory, `linked` which other names the same file has.
pub(super) fn order(
    names: &BTreeMap<RelPath, Change>,
    attrs: Attrs,
    protects: bool,
    deletes: bool,
    is_dir: impl Fn(&RelPath) -> bool,
    linked: impl Fn(&RelPath) -> Vec<RelPath>,
) -> Batch {
    let goes = |name: &Change| deletes && name.now.is_none() && name.base != Base::Known(None);
    let gone: BTreeSet<&RelPath> = names.iter().filter(|(_, name)| goes(name)).map(|(path, _)| path).collect();
    let losing: BTreeSet<RelPath> = gone.iter().filter_map(|path| path.parent()).filter(|dir| is_dir(dir)).collect();
    let replaced = |dir: RelPath| names.get(&dir).and_then(|name| name.now.as_ref()).is_some_and(|now| !now.is_dir());
    let (in_the_way, others): (BTreeSet<&RelPath>, _) =
        gone.into_iter().partition(|path| path.ancestors().skip(1).any(replaced));
    let (ways, removals) =
        if protects { (by_height(&in_the_way), by_height(&others)) } else { (Vec::new(), tops(&others)) };
    let mut quick = BTreeSet::new();
    let mut by_content = BTreeSet::new();
    for (path, name) in names.iter().filter(|(path, _)| !losing.contains(path)) {
        let Some(now) = &name.now else { continue };
        let doubtful = !attrs.has(Attrs::MTIME) || content_may_differ(&name.base, now);
        let list = if doubtful { &mut by_content } else { &mut quick };
        list.insert(path.clone());
        // A link is made to another name that travels with it; those cost nothing where they are equal.
        list.extend(if now.kind() == Kind::Dir { Vec::new() } else { linked(path) });
    }
    if attrs.has(Attrs::HARD_LINKS) && !by_content.is_empty() {
        // Names of one file must not part.
        by_content.append(&mut quick);
    }
    quick.retain(|path| !by_content.contains(path));
    let list = |paths: BTreeSet<RelPath>| paths.into_iter().collect();
    Batch {
        ways,
        quick: list(quick),
        by_content: list(by_content),
        removals,
        losing: list(losing),
        recursive: !protects,
    }
}

/// Whether content may differ where size and time do not.
fn content_may_differ(base: &Base, now: &Entry) -> bool {
    let Node::File { size, hash } = &now.node else { return false };
    match base {
        Base::Unknown => true,
        Base::Known(None) => false,
        Base::Known(Some(held)) => match &held.node {
            Node::File { size: before, .. } if before != size => false,
            _ if held.meta.mtime != now.meta.mtime => false,
            Node::File { hash: before, .. } => hash.is_none() || before != hash,
            _ => false,
        },
    }
}

/// What goes at the top, and takes what is below along.
fn tops(gone: &BTreeSet<&RelPath>) -> Vec<Vec<RelPath>> {
    let covered = |path: &&&RelPath| path.ancestors().skip(1).any(|dir| gone.contains(&dir));
    let tops: Vec<RelPath> = gone.iter().filter(|path| !covered(path)).map(|path| (*path).clone()).collect();
    if tops.is_empty() { Vec::new() } else { vec![tops] }
}

/// What goes, in lists of equal height: 0 for what holds nothing else that goes.
fn by_height(gone: &BTreeSet<&RelPath>) -> Vec<Vec<RelPath>> {
    let mut heights: BTreeMap<RelPath, usize> = gone.iter().map(|path| ((*path).clone(), 0)).collect();
    for path in gone {
        for (above, dir) in path.ancestors().skip(1).enumerate() {
            if let Some(height) = heights.get_mut(&dir) {
                *height = (*height).max(above + 1);
            }
        }
    }
    let mut lists: BTreeMap<usize, Vec<RelPath>> = BTreeMap::new();
    for (path, height) in heights {
        lists.entry(height).or_default().push(path);
    }
    lists.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Digest, Meta, Timestamp};

    fn path(s: &str) -> RelPath {
        if s == "." { RelPath::root() } else { RelPath::parse(s.as_bytes()).expect("valid") }
    }

    fn entry(node: Node, secs: i64) -> Entry {
        let meta = Meta { mtime: Timestamp { secs, nanos: 0 }, ..Meta::default() };
        Entry { node, meta, xattrs: Vec::new(), link: None }
    }

    fn file(size: u64, hash: Option<u8>, secs: i64) -> Entry {
        entry(Node::File { size, hash: hash.map(|seed| Digest::of(&[seed])) }, secs)
    }

    fn batch(names: &[(&str, Base, Option<Entry>)], protects: bool, deletes: bool) -> Batch {
        let names = names.iter().map(|(p, base, now)| (path(p), Change { base: base.clone(), now: now.clone() }));
        order(
            &names.collect(),
            Attrs::ARCHIVE,
            protects,
            deletes,
            |dir| dir.is_root() || *dir == path("d"),
            |_| Vec::new(),
        )
    }

    fn texts(paths: &[RelPath]) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_in_a_directory_goes_before_it_or_with_it() {
        let held = || Base::Known(Some(file(1, None, 1)));
        let names = [
            ("d/gone", Base::Unknown, None),
            ("d/gone-x", held(), None),
            ("d/gone/a", held(), None),
            ("d/gone/s", held(), None),
            ("d/gone/s/f", held(), None),
            ("never", Base::Known(None), None),
        ];
        let careful = batch(&names, true, true);
        let lists: Vec<_> = careful.removals.iter().map(|list| texts(list)).collect();
        assert_eq!(lists, [vec!["d/gone-x", "d/gone/a", "d/gone/s/f"], vec!["d/gone/s"], vec!["d/gone"]]);
        assert!(!careful.recursive);
        assert_eq!(texts(&careful.losing), ["d"], "what lost something gets its time back");
        let whole = batch(&names, false, true);
        assert_eq!(whole.removals.iter().map(|list| texts(list)).collect::<Vec<_>>(), [["d/gone", "d/gone-x"]]);
        assert!(whole.recursive);
        assert_eq!(batch(&names, false, false), Batch { recursive: true, ..Batch::default() });
    }

    #[test]
    fn what_a_file_replaces_goes_when_that_comes() {
        let names = [("f", Base::Unknown, Some(file(1, None, 1))), ("f/x", Base::Unknown, None)];
        let whole = batch(&names, false, true);
        assert_eq!((whole.ways, whole.removals), (vec![], vec![]));
        assert_eq!(batch(&names, true, true).ways, [[path("f/x")]]);
    }

    #[test]
    fn only_where_size_and_time_may_lie_is_content_compared() {
        let known = |entry| Base::Known(Some(entry));
        let cases = [
            (Base::Unknown, file(1, None, 1), true),
            (Base::Known(None), file(1, None, 1), false),
            (known(file(1, Some(1), 1)), file(2, None, 1), false),
            (known(file(1, Some(1), 1)), file(1, None, 2), false),
            (known(file(1, Some(1), 1)), file(1, None, 1), true),
            (known(file(1, Some(1), 1)), file(1, Some(1), 1), false),
            (known(entry(Node::Dir, 1)), file(1, None, 1), false),
            (Base::Unknown, entry(Node::Dir, 1), false),
        ];
        for (base, now, doubtful) in cases {
            assert_eq!(content_may_differ(&base, &now), doubtful, "{base:?} {now:?}");
        }
    }

    #[test]
    fn names_of_one_file_travel_together() {
        let names = BTreeMap::from([
            (path("b"), Change { base: Base::Known(None), now: Some(file(1, None, 1)) }),
            (path("c"), Change { base: Base::Unknown, now: Some(file(1, None, 1)) }),
        ]);
        let attrs = Attrs::ARCHIVE.with(Attrs::HARD_LINKS);
        let linked = |of: &RelPath| if *of == path("b") { vec![path("a")] } else { Vec::new() };
        let batch = order(&names, attrs, false, true, |_| true, linked);
        assert_eq!((texts(&batch.by_content), batch.quick.len()), (vec!["a".into(), "b".into(), "c".into()], 0));
    }

    proptest! {
        #[test]
        fn nothing_goes_twice_or_after_what_it_is_in(
            gone in prop::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,3}", 1..12)
        ) {
            let names: Vec<_> = gone.iter().map(|name| (name.as_str(), Base::Unknown, None)).collect();
            let removals = batch(&names, true, true).removals;
            let flat: Vec<&RelPath> = removals.iter().flatten().collect();
            prop_assert_eq!(flat.len(), gone.len());
            for (at, list) in removals.iter().enumerate() {
                let earlier = removals.iter().take(at + 1).flatten();
                for dir in earlier {
                    let later = removals.iter().skip(at + 1).flatten().chain(list);
                    prop_assert!(!later.into_iter().any(|path| path.is_below(dir) && list.contains(dir)));
                }
            }
        }
    }
}
