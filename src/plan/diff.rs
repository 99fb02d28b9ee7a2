//! What is put, linked and removed, once the renames are done.

use std::collections::BTreeSet;

use super::slots::{Held, Slots};
use super::step::{Need, Plan, Put, Step};
use crate::model::{Attrs, Entry, Kind, Node, RelPath};

/// Everything but the renames.
pub(super) fn diff(slots: &Slots<'_>, attrs: Attrs, delete: bool) -> Plan {
    let mut plan = Plan::default();
    let mut covers = Covers::default();
    let mut replaced = BTreeSet::new();
    for (path, slot) in slots {
        let Some(now) = slot.now else {
            if slot.base.may_hold() && !covers.cover(path) {
                remove(&mut plan, &mut covers, path, slot.base, delete);
            }
            continue;
        };
        // A file that is put is a new inode, and its other names must become links to that one.
        let relink = now.link.as_ref().is_some_and(|link| replaced.contains(link));
        if let Some(put) = put(path, slot.base, now, attrs, relink) {
            if slot.base.may_be_dir() && !now.is_dir() {
                covers.push(path);
            }
            if attrs.has(Attrs::HARD_LINKS) && now.kind() == Kind::File {
                replaced.insert(path);
            }
            plan.steps.push(Step::Put(put));
        }
    }
    plan
}

fn remove<'p>(plan: &mut Plan, covers: &mut Covers<'p>, path: &'p RelPath, base: Held<'_>, delete: bool) {
    if delete {
        covers.push(path);
        plan.steps.push(Step::Remove { path: path.clone(), kind: base.entry().map(Entry::kind) });
    } else {
        plan.withheld.push(path.clone());
    }
}

fn put(path: &RelPath, base: Held<'_>, now: &Entry, attrs: Attrs, relink: bool) -> Option<Put> {
    let base_entry = base.entry();
    if !relink && base_entry.is_some_and(|base| base.same(now, attrs)) {
        return None;
    }
    let need = match (&now.node, &now.link) {
        (Node::File { .. }, Some(link)) if attrs.has(Attrs::HARD_LINKS) => Need::Link(link.clone()),
        (Node::File { hash: Some(hash), .. }, _) if base.hash() == Some(*hash) => Need::Keep,
        (Node::File { .. }, _) => Need::Read,
        _ => Need::Keep,
    };
    Some(Put { path: path.clone(), entry: now.clone(), need, base: base_entry.cloned() })
}

/// Paths that go, each with all that is below it. Asked in the order of paths.
#[derive(Default)]
struct Covers<'p>(Vec<&'p RelPath>);

impl<'p> Covers<'p> {
    /// Whether `path` goes with one that went before.
    fn cover(&mut self, path: &RelPath) -> bool {
        // `a-b` comes between `a` and `a/c`: an end is passed when it is no prefix any more.
        while self.0.last().is_some_and(|top| !path.as_bytes().starts_with(top.as_bytes())) {
            self.0.pop();
        }
        self.0.iter().any(|top| path.is_within(top))
    }

    fn push(&mut self, path: &'p RelPath) {
        self.cover(path);
        self.0.push(path);
    }
}
