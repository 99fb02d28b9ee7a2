//! What of a change set this receiver leaves alone: by the rules of its module, and where the source asks for it.

use std::collections::BTreeSet;

use super::set::ReplicaSet;
use crate::apply::ApplyError;
use crate::fs::{look, scan};
use crate::model::{Attrs, Content, Entry, Kind, Op, Put, RelPath};
use crate::wire::Failed;

/// Why a path that the rules exclude is not touched.
const EXCLUDED: &str = "left out there: the rules of its module exclude it";

/// Why a directory stays that holds such a path.
const HOLDS_EXCLUDED: &str = "left in place there: it holds what the rules of its module exclude";

/// What passes of one change set.
#[derive(Debug)]
pub(crate) struct Screen {
    attrs: Attrs,
    /// Contents that follow and are for nobody.
    unwanted: BTreeSet<u32>,
    /// What was left out by the rules.
    left_out: Vec<Failed>,
    /// Whether anything was left out.
    any: bool,
}

impl Screen {
    /// A screen for a source that replicates `attrs`.
    pub(crate) fn new(attrs: Attrs) -> Self {
        Self { attrs, unwanted: BTreeSet::new(), left_out: Vec::new(), any: false }
    }

    /// What of `ops` is for the stage. Looks at the tree; the ops before are not live yet.
    ///
    /// # Errors
    /// [`ApplyError::ContentNeeded`], without a path: nothing can be renamed here.
    pub(crate) fn pass(&mut self, set: &ReplicaSet, ops: Vec<Op>) -> Result<Vec<Op>, ApplyError> {
        let some = Attrs::EXISTING_ONLY.with(Attrs::NEW_ONLY);
        if !set.filter().has_excludes() && !self.attrs.has_some(some) {
            return Ok(ops);
        }
        let mut passed = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::Put(put) => passed.extend(self.put(set, put)),
                Op::Remove { path, kind } => self.remove(set, path, kind, &mut passed),
                Op::Rename { from, to } if may_rename(set, &from, &to) => passed.push(Op::Rename { from, to }),
                Op::Rename { .. } => return Err(ApplyError::ContentNeeded(Vec::new())),
            }
        }
        Ok(passed)
    }

    /// Whether the content under `number` is for nobody.
    pub(crate) fn is_unwanted(&mut self, number: u32) -> bool {
        self.unwanted.remove(&number)
    }

    /// Whether anything of the change set was left out.
    pub(crate) fn is_partial(&self) -> bool {
        self.any
    }

    /// What was left out by the rules, each path with its cause.
    pub(crate) fn into_left_out(self) -> Vec<Failed> {
        self.left_out
    }

    fn put(&mut self, set: &ReplicaSet, put: Put) -> Option<Op> {
        let cause = if set.filter().excludes(&put.path, put.entry.is_dir()) {
            Some(EXCLUDED)
        } else if !put.entry.is_dir() && set.filter().has_excludes() && holds_excluded(set, &put.path) {
            Some(HOLDS_EXCLUDED)
        } else {
            None
        };
        if let Some(cause) = cause {
            self.leave_out(put.path.clone(), cause);
        } else if self.is_wanted(set, &put) {
            return Some(Op::Put(put));
        }
        self.any = true;
        if let Content::Stream(number) = put.content {
            self.unwanted.insert(number);
        }
        None
    }

    fn is_wanted(&self, set: &ReplicaSet, put: &Put) -> bool {
        if !self.attrs.has_some(Attrs::EXISTING_ONLY.with(Attrs::NEW_ONLY)) {
            return true;
        }
        self.attrs.wants(Some(put.entry.kind()), kind_here(set, &put.path))
    }

    fn remove(&mut self, set: &ReplicaSet, path: RelPath, kind: Option<Kind>, passed: &mut Vec<Op>) {
        if !set.filter().has_excludes() {
            return passed.push(Op::Remove { path, kind });
        }
        let is_dir = kind_here(set, &path) == Some(Kind::Dir);
        if set.filter().excludes(&path, is_dir) {
            return self.leave_out(path, EXCLUDED);
        }
        let below = if is_dir { Below::of(set, &path) } else { Below::default() };
        if below.kept.is_empty() {
            return passed.push(Op::Remove { path, kind });
        }
        passed.extend(below.free.into_iter().map(|path| Op::Remove { path, kind: None }));
        self.leave_out(path, HOLDS_EXCLUDED);
    }

    fn leave_out(&mut self, path: RelPath, cause: &str) {
        self.any = true;
        self.left_out.push(Failed { path, cause: cause.to_owned(), left_out: true });
    }
}

fn kind_here(set: &ReplicaSet, path: &RelPath) -> Option<Kind> {
    look(&set.root(), path).ok().flatten().map(|record| record.entry.kind())
}

fn holds_excluded(set: &ReplicaSet, path: &RelPath) -> bool {
    kind_here(set, path) == Some(Kind::Dir) && !Below::of(set, path).kept.is_empty()
}

/// Whether a rename neither touches what the rules exclude nor brings anything where they do.
fn may_rename(set: &ReplicaSet, from: &RelPath, to: &RelPath) -> bool {
    let filter = set.filter();
    if !filter.has_excludes() {
        return true;
    }
    let root = set.root();
    let free = |path: &RelPath, entry: &Entry| {
        let is_dir = entry.is_dir();
        !filter.excludes(path, is_dir) && !filter.excludes(&path.moved(from, to), is_dir)
    };
    let moving = scan(&root, from, &|_, _| false, false);
    moving.problems.is_empty()
        && moving.records.iter().all(|(path, record)| free(path, &record.entry))
        && !holds_excluded(set, to)
}

/// What is in a directory, by whether the rules exclude it.
#[derive(Debug, Default)]
struct Below {
    /// What they exclude, and the directories above it.
    kept: BTreeSet<RelPath>,
    /// The topmost paths that neither are nor hold such.
    free: Vec<RelPath>,
}

impl Below {
    fn of(set: &ReplicaSet, dir: &RelPath) -> Self {
        let found = scan(&set.root(), dir, &|_, _| false, false);
        let mut kept = BTreeSet::new();
        let excluded = found
            .records
            .iter()
            .filter(|(path, record)| set.filter().excludes(path, record.entry.is_dir()))
            .map(|(path, _)| path)
            // What cannot be read may hold anything.
            .chain(found.problems.iter().map(|(path, _)| path));
        for path in excluded {
            let above = std::iter::successors(Some(path.clone()), RelPath::parent);
            kept.extend(above.take_while(|path| path.is_within(dir)));
        }
        let is_top = |path: &RelPath| path.parent().is_some_and(|parent| kept.contains(&parent));
        let free = found.records.iter().map(|(path, _)| path).filter(|path| !kept.contains(path) && is_top(path));
        let free = free.cloned().collect();
        Self { kept, free }
    }
}
