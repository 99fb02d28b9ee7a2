//! What somebody else changed in the tree: found before it is replaced, kept, and kept within bounds.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::AsFd;

use super::Ids;
use super::applier::Shared;
use super::error::is_fatal;
use super::ground::{Ground, content};
use super::policy::Policy;
use crate::fs::{look_at, write};
use crate::model::{Manifest, Node, Record, RelPath};

/// How many objects are kept, the newest.
const KEPT: usize = 100;

/// Finds what differs from the records of `held`.
pub(super) struct Drift<'a> {
    /// What the set lets the change set do.
    pub(super) policy: &'a Policy,
    pub(super) shared: &'a Shared,
    pub(super) held: &'a Manifest,
    pub(super) ids: &'a Ids,
}

impl Drift<'_> {
    /// Whether what is at `place` is other than recorded. When only the stamp differs, content decides.
    pub(super) fn is_drift(&self, ground: &mut Ground<'_>, place: &RelPath, now: &Record) -> io::Result<bool> {
        let Some(record) = self.held.get(place) else {
            return Ok(true);
        };
        if now.entry.is_dir() {
            // Its time moves with every name; what is in it is judged by itself.
            return Ok(!record.entry.is_dir());
        }
        if record.is_current(now) {
            return Ok(false);
        }
        if !self.looks_same(self.policy, record, now) {
            return Ok(true);
        }
        match record.entry.hash() {
            Some(hash) => Ok(content(&self.shared.area, &mut ground.dirs, place)? != Some(hash)),
            None => Ok(matches!(now.entry.node, Node::File { .. })),
        }
    }

    fn looks_same(&self, policy: &Policy, record: &Record, now: &Record) -> bool {
        let node = match (&record.entry.node, &now.entry.node) {
            (Node::File { size: a, .. }, Node::File { size: b, .. }) => a == b,
            (a, b) => a == b,
        };
        node && policy.fix(&record.entry, self.ids).is_met(&now.entry.meta)
    }

    /// What in the directory `top`, which goes as a whole, differs from its records: the topmost
    /// paths. What lies at `elsewhere` leaves it before it goes.
    pub(super) fn below(
        &self,
        ground: &mut Ground<'_>,
        top: &RelPath,
        elsewhere: &HashSet<RelPath>,
    ) -> io::Result<Vec<RelPath>> {
        let mut drifted = Vec::new();
        let mut pending = VecDeque::from([top.clone()]);
        while let Some(at) = pending.pop_front() {
            let dir = match ground.dirs.dir(&at) {
                Err(e) if !is_fatal(&e) => {
                    // Nobody can tell what is in it.
                    drifted.push(at);
                    continue;
                }
                other => other?,
            };
            for (name, _) in write::names(&*dir)? {
                let path = at.join(&name).map_err(io::Error::other)?;
                if elsewhere.contains(&path) {
                    continue;
                }
                let Some(now) = look_at(dir.as_fd(), &name)? else { continue };
                if self.is_drift(ground, &path, &now)? {
                    drifted.push(path);
                } else if now.entry.is_dir() {
                    pending.push_back(path);
                }
            }
        }
        Ok(drifted)
    }
}

/// The name under which an object of change set `seq` is kept.
pub(super) fn kept_name(seq: u64, count: usize, path: &RelPath) -> Vec<u8> {
    let mut name = if count == 0 { format!("{seq}-") } else { format!("{seq}-{count}-") }.into_bytes();
    name.extend_from_slice(path.name());
    name.truncate(crate::model::MAX_NAME);
    name
}

/// Removes all but the newest of what is kept.
pub(super) fn prune(shared: &Shared) -> io::Result<()> {
    let mut kept: Vec<_> = write::names(&shared.drift)?.into_iter().map(|(name, _)| (seq_of(&name), name)).collect();
    kept.sort();
    for (_, name) in &kept[..kept.len().saturating_sub(KEPT)] {
        write::remove_tree(shared.drift.as_fd(), name)?;
    }
    Ok(())
}

/// The number of the change set in the name of a kept object.
pub(super) fn seq_of(name: &[u8]) -> u64 {
    let digits = name.split(|b| *b == b'-').next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(0)
}
