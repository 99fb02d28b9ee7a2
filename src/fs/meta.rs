//! Brings an object's owner, mode, times and extended attributes about, by descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat, fchmod, fchown, fstat,
    futimens, openat, utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{look, xattr_fd as xattr};
use crate::model::{Kind, Meta, Record, Timestamp, Xattr};

/// Metadata to bring about, in numbers of this host; what is none stays as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fix {
    /// The low twelve bits of `st_mode`.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Modification time.
    pub mtime: Option<Timestamp>,
    /// All extended attributes of the kinds that are replicated, sorted by name.
    pub xattrs: Option<Vec<Xattr>>,
}

impl Fix {
    /// What brings `meta` back.
    #[must_use]
    pub fn back_to(meta: &Meta) -> Self {
        Self { mode: Some(meta.mode), uid: Some(meta.uid), gid: Some(meta.gid), mtime: Some(meta.mtime), xattrs: None }
    }

    /// Whether an object with `now` needs nothing of this; extended attributes are not looked at.
    #[must_use]
    pub fn is_met(&self, now: &Meta) -> bool {
        self.mode.is_none_or(|m| m == now.mode)
            && self.uid.is_none_or(|u| u == now.uid)
            && self.gid.is_none_or(|g| g == now.gid)
            && self.mtime.is_none_or(|t| t == now.mtime)
    }
}

/// An object that is held open, so that no name can be exchanged under a change of it.
#[derive(Debug)]
pub struct Object {
    fd: Arc<OwnedFd>,
    /// Opened by `O_PATH`: for types whose open has effects, and for what may not be read.
    path_only: bool,
}

impl Object {
    /// Opens `name` in `dir`, of which a look said that it is a `kind`. Nothing is followed, and
    /// pipes and devices are not really opened.
    ///
    /// # Errors
    /// As openat(2).
    pub fn open(dir: impl AsFd, name: &[u8], kind: Kind) -> io::Result<Self> {
        if matches!(kind, Kind::File | Kind::Dir) {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match openat(&dir, name, flags, Mode::empty()) {
                Ok(fd) => return Ok(Self::from_fd(fd)),
                Err(Errno::ACCESS) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let fd = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path_only: true })
    }

    /// Takes a descriptor that was opened for reading or writing.
    #[must_use]
    pub fn from_fd(fd: impl Into<Arc<OwnedFd>>) -> Self {
        Self { fd: fd.into(), path_only: false }
    }

    /// What it is now; the target of a symlink is left empty.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn look(&self) -> io::Result<Record> {
        look_fd(&self.fd)
    }

    /// Does of `fix` what `now` does not show yet. Owner first, since chown(2) clears bits of the
    /// mode and file capabilities; the time last, since it is the one thing that others move.
    ///
    /// # Errors
    /// As fchown(2), fsetxattr(2), fchmod(2) and utimensat(2).
    pub fn fix(&self, fix: &Fix, now: &Record) -> io::Result<()> {
        let meta = &now.entry.meta;
        let uid = fix.uid.filter(|u| *u != meta.uid);
        let gid = fix.gid.filter(|g| *g != meta.gid);
        let owned = uid.is_some() || gid.is_some();
        if owned {
            self.chown(uid, gid)?;
        }
        let labelled = match &fix.xattrs {
            Some(wanted) if now.entry.kind() != Kind::Symlink => self.set_xattrs(wanted, meta.mode)?,
            _ => false,
        };
        // chown(2) and an ACL change the mode as well.
        let mode = fix.mode.unwrap_or(meta.mode);
        let moved = (owned && fix.mode.is_some()) || labelled;
        if (moved || mode != meta.mode) && now.entry.kind() != Kind::Symlink {
            self.chmod(mode)?;
        }
        match fix.mtime {
            Some(mtime) if mtime != meta.mtime => self.set_mtime(mtime),
            _ => Ok(()),
        }
    }

    /// Makes content and metadata durable; only what was opened for reading or writing can be.
    ///
    /// # Errors
    /// As fsync(2); the caller must take the content as lost.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Whether [`Object::sync`] works on it.
    #[must_use]
    pub fn can_sync(&self) -> bool {
        !self.path_only
    }

    fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let uid = uid.map(valid_id).transpose()?.map(Uid::from_raw);
        let gid = gid.map(valid_id).transpose()?.map(Gid::from_raw);
        if self.path_only {
            return Ok(chownat(&self.fd, "", uid, gid, AtFlags::EMPTY_PATH)?);
        }
        Ok(fchown(&self.fd, uid, gid)?)
    }

    fn chmod(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        if self.path_only {
            // Linux has no fchmod(2) for O_PATH before 6.6; the descriptor's own name is no race.
            return Ok(chmodat(CWD, self.own_name(), mode, AtFlags::empty())?);
        }
        Ok(fchmod(&self.fd, mode)?)
    }

    fn set_mtime(&self, mtime: Timestamp) -> io::Result<()> {
        let times = times(mtime)?;
        if self.path_only {
            return Ok(utimensat(&self.fd, "", &times, AtFlags::EMPTY_PATH)?);
        }
        Ok(futimens(&self.fd, &times)?)
    }

    /// Whether anything had to change; then the mode may have changed too.
    fn set_xattrs(&self, wanted: &[Xattr], mode: u32) -> io::Result<bool> {
        if self.path_only {
            // Special files carry none that are replicated.
            return if wanted.is_empty() { Ok(false) } else { Err(Errno::OPNOTSUPP.into()) };
        }
        match xattr::replace(&self.fd, wanted) {
            // Even the owner sets them only on what may be written.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && mode & 0o200 == 0 => {
                self.chmod(mode | 0o200)?;
                let result = xattr::replace(&self.fd, wanted);
                if result.is_err() {
                    self.chmod(mode)?;
                }
                result.map(|_| true)
            }
            other => other,
        }
    }

    fn own_name(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the open object `fd` is now; the target of a symlink is left empty.
///
/// # Errors
/// As fstat(2).
pub fn look_fd(fd: impl AsFd) -> io::Result<Record> {
    Ok(look::record(&fstat(fd)?, None))
}

/// Sets the modification time of an open file or directory; the access time stays.
///
/// # Errors
/// As futimens(3).
pub fn set_mtime(fd: impl AsFd, mtime: Timestamp) -> io::Result<()> {
    Ok(futimens(fd, &times(mtime)?)?)
}

fn times(mtime: Timestamp) -> io::Result<Timestamps> {
    if mtime.nanos >= 1_000_000_000 {
        // Among those numbers are UTIME_NOW and UTIME_OMIT, which mean something else.
        return Err(Errno::INVAL.into());
    }
    Ok(Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    })
}

/// -1 means *leave it* to chown(2), and is nobody.
fn valid_id(id: u32) -> io::Result<u32> {
    if id == u32::MAX { Err(Errno::INVAL.into()) } else { Ok(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp { secs: 1_000_000_000, nanos: 123_456_789 };

    #[test]
    fn mode_and_time_of_every_type_are_set_without_opening_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).expect("open");
        std::fs::write(dir.path().join("file"), "x").expect("write");
        std::fs::create_dir(dir.path().join("dir")).expect("mkdir");
        rustix::fs::mkfifoat(&at, "fifo", Mode::from_raw_mode(0o600)).expect("mkfifo");
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).expect("symlink");
        for (name, kind) in [("file", Kind::File), ("dir", Kind::Dir), ("fifo", Kind::Fifo), ("link", Kind::Symlink)] {
            let object = Object::open(&at, name.as_bytes(), kind).expect("open");
            let fix = Fix { mode: Some(0o750), mtime: Some(THEN), ..Fix::default() };
            object.fix(&fix, &object.look().expect("look")).expect(name);
            let meta = object.look().expect("look").entry.meta;
            assert_eq!(meta.mtime, THEN, "{name}");
            assert!(meta.mode == 0o750 || kind == Kind::Symlink, "{name}");
        }
    }

    #[test]
    fn numbers_that_mean_something_else_are_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).expect("open");
        let object = Object::from_fd(at);
        let now = object.look().expect("look");
        assert!(object.fix(&Fix { uid: Some(u32::MAX), ..Fix::default() }, &now).is_err());
        let utime_now = Timestamp { secs: 0, nanos: (1 << 30) - 1 };
        assert!(object.fix(&Fix { mtime: Some(utime_now), ..Fix::default() }, &now).is_err());
    }
}
