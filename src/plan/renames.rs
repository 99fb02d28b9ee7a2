//! Renames that save content: from hints, and from equal hashes.

use std::collections::{BTreeMap, HashMap};

use super::hints;
use super::slots::{Held, Slot, Slots, nearest, within};
use crate::model::{Attrs, Digest, Entry, Node, RelPath};

/// Finds renames, changes what the peer holds in `slots` accordingly, and returns them in sequence.
///
/// Only a path that is gone here is renamed away: between two steps nothing is missing at the peer
/// that both trees have.
pub(super) fn find(slots: &mut Slots<'_>, moves: &[(RelPath, RelPath)], attrs: Attrs) -> Vec<(RelPath, RelPath)> {
    let mut hinted = hints::compose(moves);
    // Directories first, outer before inner, so that a move into a moved directory finds it there.
    hinted.sort_by_cached_key(|(held, now)| {
        let dir = slots.get(held).is_some_and(|slot| slot.base.may_be_dir());
        (!dir, now.depth(), held.clone())
    });
    let mut renames = Renames { slots, attrs, moved: BTreeMap::new(), taken: Vec::new() };
    for (held, now) in &hinted {
        renames.follow(held, now);
    }
    renames.match_content();
    renames.taken
}

struct Renames<'s, 'a> {
    slots: &'s mut Slots<'a>,
    attrs: Attrs,
    /// What was renamed: where the peer held it, and where it is.
    moved: BTreeMap<RelPath, RelPath>,
    taken: Vec<(RelPath, RelPath)>,
}

impl<'a> Renames<'_, 'a> {
    /// Takes the hint that what the peer held at `held` is at `to` now, where that is right.
    fn follow(&mut self, held: &RelPath, to: &RelPath) {
        let from = match nearest(&self.moved, held) {
            Some((old, new)) => held.moved(&old, new),
            None => held.clone(),
        };
        if self.slots.get(&from).is_some_and(|slot| slot.origin == Some(held)) && self.fits(&from, to) {
            self.take(&from, to);
            self.moved.insert(held.clone(), to.clone());
        }
    }

    /// Renames removed files to added ones of the same content.
    fn match_content(&mut self) {
        let mut removed: HashMap<Digest, Vec<RelPath>> = HashMap::new();
        for (path, slot) in self.slots.iter().rev() {
            if slot.now.is_none()
                && let Some(hash) = slot.base.hash()
            {
                removed.entry(hash).or_default().push(path.clone());
            }
        }
        if removed.is_empty() {
            return;
        }
        let added = |slot: &Slot<'a>| if slot.base.may_hold() { None } else { slot.now.and_then(Entry::hash) };
        let added: Vec<_> = self.slots.iter().filter_map(|(path, slot)| Some((path.clone(), added(slot)?))).collect();
        for (to, hash) in added {
            if let Some(paths) = removed.get_mut(&hash)
                && let Some(from) = paths.last()
                && self.fits(from, &to)
                && let Some(from) = paths.pop()
            {
                self.take(&from, &to);
            }
        }
    }

    /// Whether moving `from` to `to` is possible at the peer, loses nothing and saves content.
    fn fits(&self, from: &RelPath, to: &RelPath) -> bool {
        let (Some(source), Some(target)) = (self.slots.get(from), self.slots.get(to)) else {
            return false;
        };
        let (Held::Known(Some(old)), None, Some(new)) = (source.base, source.now, target.now) else {
            return false;
        };
        let nested = from.is_within(to) || to.is_within(from);
        !nested && self.parent_is_there(to) && self.saves(old, new, target.base)
    }

    fn saves(&self, old: &Entry, new: &Entry, replaced: Held<'_>) -> bool {
        match (&old.node, &new.node) {
            // What the peer holds below a directory that would be replaced is not known here.
            (Node::Dir, Node::Dir) => !replaced.may_hold(),
            (Node::File { size: a, hash: Some(had) }, Node::File { size: b, hash }) => {
                let linked = self.attrs.has(Attrs::HARD_LINKS) && new.link.is_some();
                let equal = hash.map_or(old.meta.mtime == new.meta.mtime, |hash| hash == *had);
                a == b && *a > 0 && equal && !linked && !replaced.may_be_dir() && replaced.hash() != Some(*had)
            }
            _ => false,
        }
    }

    /// Whether the peer has the directory that holds `path`. One that did not change it has.
    fn parent_is_there(&self, path: &RelPath) -> bool {
        let slot = path.parent().and_then(|parent| self.slots.get(&parent));
        slot.is_none_or(|slot| slot.base.entry().is_some_and(Entry::is_dir))
    }

    /// Moves what the peer holds at and below `from`.
    fn take(&mut self, from: &RelPath, to: &RelPath) {
        for path in within(self.slots, from) {
            let Some(slot) = self.slots.get_mut(&path) else { continue };
            let (base, origin) = (slot.base, slot.origin);
            (slot.base, slot.origin) = (Held::Known(None), None);
            let there = self.slots.entry(path.moved(from, to)).or_insert(Slot::EMPTY);
            // What the peer said not to have as expected stays in doubt.
            if !matches!(there.base, Held::Unknown) {
                (there.base, there.origin) = (base, origin);
            }
        }
        self.taken.push((from.clone(), to.clone()));
    }
}
