//! The one primitive that every file-system call of a set goes through.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::model::RelPath;

/// Below `PATH_MAX` with room to spare: a longer path is resolved in steps.
const STEP: usize = 2048;

/// The root directory of a set, held open.
///
/// Every path is resolved beneath it by openat2(2) with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`
/// and `RESOLVE_NO_MAGICLINKS`: neither `..` nor a symlink that somebody plants on the way, now or
/// in the middle of a call, leads anywhere else. It keeps pointing at the directory that was
/// opened, also when that is renamed or another is mounted over it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the directory at `path`; a symlink there is followed, since an operator wrote it.
    ///
    /// # Errors
    /// As open(2); `ENOTDIR` when it is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Takes an open directory as the root of what lies below it; `path` is for messages.
    #[must_use]
    pub fn from_fd(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Where it was opened, for messages only.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `dir` for reading.
    ///
    /// # Errors
    /// As openat2(2): `ELOOP` or `EXDEV` when a parent is a symlink or leads outside, `ENOTDIR`.
    pub fn dir(&self, dir: &RelPath) -> io::Result<OwnedFd> {
        // The root is opened anew as well (`.`): a duplicate would share the offset of getdents64(2).
        self.resolve(dir, OFlags::DIRECTORY | OFlags::RDONLY)
    }

    /// Opens the file at `path` for reading, without following a symlink and without waiting for
    /// the other end of a pipe.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn file(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Opens the directory that holds `path`; with `path.name()` it forms the arguments of the
    /// `*at` calls. The root itself is its own holder under the name `.`.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn parent(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.dir(&path.parent().unwrap_or_else(RelPath::root))
    }

    fn resolve(&self, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
        let bytes = path.as_bytes();
        if bytes.len() <= STEP {
            return beneath(self.fd.as_fd(), bytes, flags);
        }
        let mut at: Option<OwnedFd> = None;
        let mut rest = bytes;
        while rest.len() > STEP {
            // A component has at most 255 bytes, so that a step always holds a separator.
            let cut = rest[..STEP].iter().rposition(|b| *b == b'/').ok_or(Errno::NAMETOOLONG)?;
            let from = at.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            at = Some(beneath(from, &rest[..cut], OFlags::DIRECTORY | OFlags::PATH)?);
            rest = &rest[cut + 1..];
        }
        beneath(at.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd), rest, flags)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn beneath(from: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(from, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            // openat2(2): a rename raced with the walk; it asks to be called again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_symlinked_parent_leads_nowhere() {
        let outside = tempfile::tempdir().expect("tempdir");
        let inside = tempfile::tempdir().expect("tempdir");
        std::fs::write(outside.path().join("secret"), "s").expect("write");
        symlink(outside.path(), inside.path().join("link")).expect("symlink");
        let root = Root::open(inside.path()).expect("open");
        let path = RelPath::parse(b"link/secret").expect("valid");
        assert!(root.file(&path).is_err());
        assert!(root.parent(&path).is_err());
        assert!(root.dir(&RelPath::parse(b"link").expect("valid")).is_err());
    }

    #[test]
    fn paths_beyond_path_max_open() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = Root::open(dir.path()).expect("open");
        let mut path = RelPath::root();
        for _ in 0..30 {
            let parent = root.dir(&path).expect("parent");
            path = path.join(&[b'd'; 250]).expect("valid");
            rustix::fs::mkdirat(&parent, path.name(), Mode::from_raw_mode(0o755)).expect("mkdir");
        }
        assert!(path.as_bytes().len() > 4096);
        assert!(root.dir(&path).is_ok());
    }
}
