//! `.syncd` in the root of a replica set, and change sets that begin there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags, fchmod, fstat, openat, stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::area::{Area, OWN_DIR};
use super::ids::Accounts;
use super::stage::Staging;
use super::{ApplyError, Ids, Policy, drift};
use crate::fs::meta::{look_fd, set_mtime};
use crate::fs::{Root, write, xattr_fd as xattr};
use crate::model::{Attrs, RelPath};

/// Brings change sets about in one tree.
#[derive(Clone, Debug)]
pub struct Applier {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) area: Area,
    /// `.syncd/stage`, a directory for each change set.
    pub(super) stage: OwnedFd,
    /// `.syncd/drift`, what somebody else had made.
    pub(super) drift: OwnedFd,
    pub(super) policy: Policy,
    accounts: Accounts,
    next: AtomicU64,
    /// The number of the newest commit. Held while one is under way.
    pub(super) commits: Mutex<u64>,
    /// `.syncd` had to be made.
    made: bool,
}

impl Applier {
    /// Opens `.syncd` in `root`, or makes it. [`Applier::recover`] comes next, before any change set.
    ///
    /// The calling thread must have the credentials of the threads that will apply.
    ///
    /// # Errors
    /// [`ApplyError::OwnDir`] when `.syncd` is a symlink, somebody else's or on another file
    /// system; [`ApplyError::Local`].
    pub fn open(root: Root, policy: Policy) -> Result<Self, ApplyError> {
        let path = root.path().join(std::ffi::OsStr::new(".syncd"));
        let local = |e: io::Error| ApplyError::local(&RelPath::root(), "open .syncd", e);
        let before = look_fd(&root).map_err(local)?;
        let (own, made) = open_own(root.as_fd(), OWN_DIR, &path)?;
        if made {
            // A directory that only syncd sees must not count as a change. Only the owner can say so.
            match set_mtime(&root, before.entry.meta.mtime) {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
                set => set.map_err(local)?,
            }
        }
        if fstat(&own).map_err(|e| local(e.into()))?.st_dev != before.stamp.map_or(0, |s| s.dev) {
            return Err(ApplyError::OwnDir { path, why: "it is on another file system than the root" });
        }
        let (stage, _) = open_own(own.as_fd(), b"stage", &path.join("stage"))?;
        let (drift, _) = open_own(own.as_fd(), b"drift", &path.join("drift"))?;
        let newest = newest(&stage, &drift).map_err(local)?;
        let shared = Shared {
            area: Area { tree: Arc::new(root), own: Root::from_fd(own, path) },
            stage,
            drift,
            policy,
            accounts: Accounts::of_this_host(),
            next: AtomicU64::new(newest.saturating_add(1)),
            commits: Mutex::new(0),
            made,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether `.syncd` had to be made: nothing was ever applied here.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.made
    }

    /// Begins a change set that keeps `attrs` equal, whatever the policy's own are; `users` and
    /// `groups` are the names that came with it, by number.
    ///
    /// # Errors
    /// [`ApplyError::Local`].
    pub fn begin(
        &self,
        attrs: Attrs,
        users: &[(u32, String)],
        groups: &[(u32, String)],
    ) -> Result<Staging, ApplyError> {
        let shared = &self.shared;
        let ids = if shared.policy.numeric_ids { Ids::default() } else { shared.accounts.ids(users, groups) };
        let seq = shared.next.fetch_add(1, Ordering::Relaxed);
        let name = seq.to_string();
        write::create_private_dir(&shared.stage, name.as_bytes())
            .map_err(|e| ApplyError::local(&RelPath::root(), "make a stage", e))?;
        let path = stage_path(seq);
        let policy = Policy { attrs, ..shared.policy.clone() };
        Ok(Staging::new(Arc::clone(shared), seq, path, ids, policy))
    }

    /// The root that it applies to.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.shared.area.tree
    }

    /// Whether what is written here is still what people find at the root's path: neither was the
    /// root replaced, nor mounted over, nor was `.syncd` removed.
    ///
    /// # Errors
    /// As stat(2), where the path cannot be looked at.
    pub fn is_in_place(&self) -> io::Result<bool> {
        let shared = &self.shared;
        let (held, stage) = (fstat(&*shared.area.tree)?, fstat(&shared.stage)?);
        if stage.st_nlink == 0 {
            return Ok(false);
        }
        let found = stat(shared.area.tree.path())?;
        Ok((found.st_dev, found.st_ino) == (held.st_dev, held.st_ino))
    }

    /// Whether `staging` began here.
    #[must_use]
    pub fn began(&self, staging: &Staging) -> bool {
        Arc::ptr_eq(&self.shared, &staging.inner.shared)
    }

    /// What it may do.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }
}

/// `.syncd/stage/<seq>`.
pub(super) fn stage_path(seq: u64) -> RelPath {
    own_path(&[b"stage", seq.to_string().as_bytes()])
}

/// A path below `.syncd`.
pub(super) fn own_path(names: &[&[u8]]) -> RelPath {
    let mut bytes = OWN_DIR.to_vec();
    for name in names {
        bytes.push(b'/');
        bytes.extend_from_slice(name);
    }
    // Fixed names, numbers, and names of entries.
    RelPath::parse(&bytes).unwrap_or_else(|_| RelPath::root())
}

/// Opens the directory `name` of `parent`, private and ours; tells whether it was made.
fn open_own(parent: BorrowedFd<'_>, name: &[u8], path: &std::path::Path) -> Result<(OwnedFd, bool), ApplyError> {
    let refuse = |why| ApplyError::OwnDir { path: path.to_owned(), why };
    let local = |e: Errno| ApplyError::local(&RelPath::root(), "open .syncd", e);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut made = false;
    let fd = loop {
        match openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => break fd,
            Err(Errno::NOENT) if !made => {
                made = true;
                match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(local(e)),
                }
            }
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(refuse("it is no directory, but syncd's own must be one")),
            Err(e) => return Err(local(e)),
        }
    };
    let stat = fstat(&fd).map_err(local)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(refuse("it belongs to another user than the one that this set is written as"));
    }
    if stat.st_mode & 0o7777 != 0o700 {
        fchmod(&fd, Mode::RWXU).map_err(local)?;
    }
    // A default ACL of the root would come down on all that is made in here.
    xattr::replace(&fd, &[]).map_err(|e| ApplyError::local(&RelPath::root(), "open .syncd", e))?;
    Ok((fd, made))
}

/// The newest number in use.
fn newest(stage: &OwnedFd, drift: &OwnedFd) -> io::Result<u64> {
    let staged = write::numbered(stage)?.into_iter().max().unwrap_or(0);
    let kept = write::names(drift)?.into_iter().map(|(name, _)| drift::seq_of(&name)).max().unwrap_or(0);
    Ok(staged.max(kept))
}
