//! What is there at the source and neither travels nor goes on a replica: by its size, or mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::index::Index;
use crate::filter::Filter;
use crate::fs::{Root, look};
use crate::model::{Base, Change, Entry, RelPath};

/// Paths that are left alone.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Files.
    files: BTreeSet<RelPath>,
    /// Directories on which something is mounted: what lies below them.
    mounts: BTreeSet<RelPath>,
}

impl LeftOut {
    /// Whether the replica's `path` stays as it is.
    #[must_use]
    pub fn has(&self, path: &RelPath) -> bool {
        if self.files.is_empty() && self.mounts.is_empty() {
            return false;
        }
        let above = std::iter::successors(path.parent(), RelPath::parent);
        // Where a file is left out here, a directory may stand there.
        self.files.contains(path)
            || above.into_iter().any(|dir| self.mounts.contains(&dir) || self.files.contains(&dir))
    }

    /// Notes a file.
    pub fn add_file(&mut self, path: &RelPath) {
        self.files.insert(path.clone());
    }

    /// Notes whether something is mounted on the directory.
    pub fn set_mounted(&mut self, dir: &RelPath, mounted: bool) {
        if mounted {
            self.mounts.insert(dir.clone());
        } else if !self.mounts.is_empty() {
            self.mounts.remove(dir);
        }
    }

    /// Forgets a file: what stands there is looked at anew.
    pub fn forget_file(&mut self, path: &RelPath) {
        if !self.files.is_empty() {
            self.files.remove(path);
        }
    }

    /// Forgets `path` and all below it: it is not there any more, or is looked at anew.
    pub fn forget(&mut self, path: &RelPath) {
        for set in [&mut self.files, &mut self.mounts] {
            if set.is_empty() {
                continue;
            }
            let within: Vec<RelPath> = set
                .range::<RelPath, _>((Bound::Included(path), Bound::Unbounded))
                // `a-` sorts between `a` and `a/b`.
                .take_while(|p| path.is_root() || p.as_bytes().starts_with(path.as_bytes()))
                .filter(|p| p.is_within(path))
                .cloned()
                .collect();
            for path in within {
                set.remove(&path);
            }
        }
    }
}

/// Takes out of `changes` what is gone from `index` without being gone: it was pending when its size,
/// a mount or the filter began to leave it out, and what a replica has of it stays.
pub(super) fn take_left_out(
    changes: &mut BTreeMap<RelPath, Change>,
    index: &Index,
    filter: &Filter,
    root: &Root,
) -> Vec<RelPath> {
    let stays = |path: &RelPath, change: &Change| {
        change.now.is_none() && (index.left_out.has(path) || is_excluded(path, &change.base, filter, root))
    };
    let left: Vec<RelPath> = changes.iter().filter(|(p, change)| stays(p, change)).map(|(p, _)| p.clone()).collect();
    left.iter().for_each(|path| _ = changes.remove(path));
    left
}

/// Whether the filter excludes what a replica has at `path`; where nobody knows the kind of that, what
/// is here: a name of the retry log may be excluded since a configuration that is new.
fn is_excluded(path: &RelPath, base: &Base, filter: &Filter, root: &Root) -> bool {
    let (as_file, as_dir) = (filter.excludes(path, false), filter.excludes(path, true));
    if as_file == as_dir {
        return as_file;
    }
    let of = |entry: &Entry| if entry.is_dir() { as_dir } else { as_file };
    match base {
        Base::Known(held) => held.as_ref().is_some_and(of),
        // What cannot be looked at is not called gone.
        Base::Unknown => look(root, path).map_or(true, |here| here.is_some_and(|here| of(&here.entry))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::filter::Rule;
    use crate::model::{Meta, Node};

    fn path(name: &str) -> RelPath {
        RelPath::parse(name.as_bytes()).expect("valid")
    }

    fn held(node: Node) -> Base {
        Base::Known(Some(Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None }))
    }

    #[test]
    fn what_is_pending_and_left_out_is_no_removal() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir(dir.path().join("cache")).expect("mkdir");
        let root = Root::open(dir.path()).expect("open");
        let filter = Filter::new(&[], &[Rule::exclude(b"*.bak"), Rule::exclude(b"cache/"), Rule::exclude(b"gone/")]);
        let mut index = Index::default();
        index.left_out.add_file(&path("grown"));
        index.left_out.set_mounted(&path("m"), true);
        let file = || held(Node::File { size: 1, hash: None });
        let cases = [
            ("grown", file(), true),
            ("grown/was/a/dir", Base::Unknown, true),
            ("m/x", file(), true),
            ("m", held(Node::Dir), false),
            ("a.bak", Base::Unknown, true),
            ("removed", file(), false),
            ("removed too", Base::Unknown, false),
            // The same name, as what stands there, or else as what stands here.
            ("x/cache", held(Node::Dir), true),
            ("x/cache", file(), false),
            ("cache", Base::Unknown, true),
            ("gone", Base::Unknown, false),
        ];
        for (name, base, stays) in cases {
            let mut changes = BTreeMap::from([(path(name), Change { base: base.clone(), now: None })]);
            let left = take_left_out(&mut changes, &index, filter.as_ref().expect("filter"), &root);
            assert_eq!((left.len(), changes.len()), (usize::from(stays), usize::from(!stays)), "{name} {base:?}");
        }
    }

    #[test]
    fn a_file_is_left_out_and_what_lies_below_a_mount() {
        let mut left = LeftOut::default();
        left.add_file(&path("d/big"));
        left.set_mounted(&path("d/m"), true);
        let has = |name| left.has(&path(name));
        assert!(has("d/big") && has("d/big/x") && has("d/m/x/y"));
        assert!(!has("d/m") && !has("d") && !has("d/bigger") && !has("d/m-"));
    }

    #[test]
    fn what_goes_is_forgotten_with_all_below_it() {
        let mut left = LeftOut::default();
        for name in ["d", "d-", "d/a", "d/b/c", "e"] {
            left.add_file(&path(name));
        }
        left.set_mounted(&path("d/m"), true);
        left.forget(&path("d"));
        assert!(!left.has(&path("d/a")) && !left.has(&path("d/b/c")) && !left.has(&path("d/m/x")));
        assert!(left.has(&path("d-")) && left.has(&path("e")));
        left.forget(&RelPath::root());
        assert!(!left.has(&path("e")));
    }
}
