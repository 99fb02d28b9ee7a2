//! What a set lets a change set do to this host.

use std::io;

use rustix::process::{getegid, geteuid, getgroups};

use super::Ids;
use crate::fs::meta::Fix;
use crate::fs::xattr_fd as xattr;
use crate::model::{Attrs, Entry, Kind, Node};
use crate::rewrite::Chmod;

/// What happens to what a change set removes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deletions {
    /// It goes.
    Always,
    /// It goes, unless more than half of the entries, and more than 20, would go at once.
    Guarded,
    /// It stays.
    Never,
}

/// What a set lets a change set do to this host.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The attributes that are replicated; all others stay as this host makes them.
    pub attrs: Attrs,
    /// Let set-user-id, set-group-id and devices through.
    pub privileged: bool,
    /// Owners may be set to anybody.
    pub can_chown: bool,
    /// The groups that may be set where `can_chown` does not hold.
    pub groups: Vec<u32>,
    /// Owners are numbers: the names in a change set are not looked up.
    pub numeric_ids: bool,
    /// What happens to what is removed.
    pub deletions: Deletions,
    /// What becomes of permission bits before they are set.
    pub incoming: Chmod,
}

impl Policy {
    /// A policy for the credentials of the calling thread, which must be those of the threads that apply.
    ///
    /// # Errors
    /// As getgroups(2).
    pub fn of_this_thread(attrs: Attrs) -> io::Result<Self> {
        let mut groups: Vec<u32> = getgroups()?.into_iter().map(rustix::fs::Gid::as_raw).collect();
        groups.push(getegid().as_raw());
        Ok(Self {
            attrs,
            privileged: false,
            can_chown: geteuid().is_root(),
            groups,
            numeric_ids: false,
            deletions: Deletions::Guarded,
            incoming: Chmod::default(),
        })
    }

    /// The metadata that `entry` gets here.
    pub(super) fn fix(&self, entry: &Entry, ids: &Ids) -> Fix {
        let gid = ids.group(entry.meta.gid);
        Fix {
            mode: (self.attrs.has(Attrs::MODE) && entry.kind() != Kind::Symlink).then(|| self.mode(entry)),
            uid: (self.attrs.has(Attrs::OWNER) && self.can_chown).then(|| ids.user(entry.meta.uid)),
            gid: (self.attrs.has(Attrs::GROUP) && (self.can_chown || self.groups.contains(&gid))).then_some(gid),
            mtime: self.attrs.has_times_of(entry.kind()).then_some(entry.meta.mtime),
            xattrs: (self.attrs.has(Attrs::XATTRS) && matches!(entry.node, Node::File { .. } | Node::Dir))
                .then(|| entry.xattrs.iter().filter(|x| xattr::is_replicated(&x.name)).cloned().collect()),
        }
    }

    /// The permission bits that `entry` gets. A directory keeps its set-group-id bit, which hands
    /// down a group and gives nobody a right.
    pub(super) fn mode(&self, entry: &Entry) -> u32 {
        let mode = self.incoming.apply(entry.meta.mode, entry.is_dir());
        if self.privileged || entry.is_dir() { mode } else { mode & 0o1777 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Meta, Timestamp};

    fn policy() -> Policy {
        Policy {
            attrs: Attrs::ARCHIVE,
            privileged: false,
            can_chown: false,
            groups: vec![100],
            numeric_ids: true,
            deletions: Deletions::Guarded,
            incoming: Chmod::parse("Do-w,Fo-x", 0).expect("usable"),
        }
    }

    fn file(mode: u32, gid: u32) -> Entry {
        let meta = Meta { mode, uid: 7, gid, mtime: Timestamp::default() };
        Entry { node: Node::File { size: 0, hash: None }, meta, xattrs: Vec::new(), link: None }
    }

    #[test]
    fn rights_that_the_set_does_not_grant_are_dropped() {
        let fix = policy().fix(&file(0o6755, 100), &Ids::default());
        assert_eq!((fix.mode, fix.uid, fix.gid), (Some(0o754), None, Some(100)));
        assert_eq!(policy().fix(&file(0o644, 101), &Ids::default()).gid, None);
        let privileged = Policy { privileged: true, can_chown: true, ..policy() };
        let fix = privileged.fix(&file(0o6755, 101), &Ids::default());
        assert_eq!((fix.mode, fix.uid, fix.gid), (Some(0o6754), Some(7), Some(101)));
    }
}
