//! What a commit that went live means for the manifest.

use std::collections::BTreeMap;

use super::area::Dirs;
use super::journal::Journal;
use super::policy::Policy;
use crate::model::{Manifest, Record, RelPath, Stamp, Timestamp};

/// Writes a commit into the manifest of the set.
///
/// Whatever cannot be looked at gets no stamp, and is thereby looked at again later.
pub(super) struct Ledger<'a, 'd> {
    pub(super) dirs: &'a mut Dirs<'d>,
    pub(super) policy: &'a Policy,
    /// Paths that are not as the journal says, with what is below them.
    pub(super) failed: &'a BTreeMap<RelPath, String>,
    /// Paths where only metadata is not.
    pub(super) meta_failed: &'a BTreeMap<RelPath, String>,
}

impl Ledger<'_, '_> {
    /// Does what `journal` says; says the same when it is done again. `known` goes with its puts.
    pub(super) fn write(&mut self, journal: &Journal, known: &[Option<(Stamp, Timestamp)>], manifest: &mut Manifest) {
        for (from, to, ino) in &journal.renames {
            rename(manifest, from, to, *ino);
        }
        for path in journal.removes.iter().filter(|p| !self.has_failed(p)) {
            manifest.remove(path);
        }
        for (at, made) in journal.puts.iter().enumerate() {
            if self.has_failed(&made.path) || self.meta_failed.contains_key(&made.path) {
                forget_stamp(manifest, &made.path);
                continue;
            }
            let mut record = Record { entry: made.entry.clone(), stamp: None };
            let now = known.get(at).copied().flatten().or_else(|| self.stamp(&made.path, made.ino));
            if let Some((stamp, mtime)) = now {
                record.stamp = Some(stamp);
                if !self.policy.attrs.has_times_of(record.entry.kind()) {
                    // Each host has its own, and needs it to see a change.
                    record.entry.meta.mtime = mtime;
                }
            }
            if !record.entry.is_dir() && manifest.get(&made.path).is_some_and(|old| old.entry.is_dir()) {
                manifest.remove(&made.path);
            }
            manifest.insert(&made.path, record);
        }
        for path in &journal.restamp {
            self.restamp(manifest, path);
        }
    }

    fn has_failed(&self, path: &RelPath) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        std::iter::successors(Some(path.clone()), RelPath::parent).any(|p| !p.is_root() && self.failed.contains_key(&p))
    }

    /// How `path` is known now, provided that it is the inode that was put there.
    fn stamp(&mut self, path: &RelPath, ino: u64) -> Option<(Stamp, Timestamp)> {
        let now = self.dirs.look(path).ok().flatten()?;
        let stamp = now.stamp.filter(|s| s.ino == ino)?;
        Some((stamp, now.entry.meta.mtime))
    }

    fn restamp(&mut self, manifest: &mut Manifest, path: &RelPath) {
        let Some(mut record) = manifest.get(path).cloned() else { return };
        let now = self.dirs.look(path).ok().flatten();
        let same = |old: &Stamp, now: &Record| now.stamp.is_some_and(|s| s.ino == old.ino);
        record.stamp = match (record.stamp, now) {
            (Some(old), Some(now)) if same(&old, &now) => {
                if !self.policy.attrs.has_times_of(record.entry.kind()) {
                    record.entry.meta.mtime = now.entry.meta.mtime;
                }
                now.stamp
            }
            _ => None,
        };
        manifest.insert(path, record);
    }
}

/// Moves records; not when the record at `from` is of another inode, because then they moved already.
fn rename(manifest: &mut Manifest, from: &RelPath, to: &RelPath, ino: u64) {
    if manifest.get(from).is_none_or(|r| r.stamp.is_some_and(|s| s.ino != ino)) {
        return;
    }
    if !from.is_below(to) {
        manifest.rename(from, to);
        return;
    }
    // It takes the place of a directory that it was in.
    let moving = manifest.remove(from);
    manifest.remove(to);
    for (path, record) in moving {
        manifest.insert(&path.moved(from, to), record);
    }
}

fn forget_stamp(manifest: &mut Manifest, path: &RelPath) {
    if let Some(mut record) = manifest.get(path).cloned() {
        record.stamp = None;
        manifest.insert(path, record);
    }
}
