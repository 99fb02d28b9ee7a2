//! Makes, moves and removes names: always `*at` calls on open directories, never following.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, chmodat, mkdirat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;

/// Makes the regular file `name`, which must not exist, open for writing.
///
/// # Errors
/// As openat(2); `EEXIST` when anything has the name.
pub fn create_file(dir: impl AsFd, name: &[u8], mode: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::from_raw_mode(mode & 0o777))?)
}

/// Makes a directory that only its owner can use.
///
/// # Errors
/// As mkdirat(2).
pub fn create_private_dir(dir: impl AsFd, name: &[u8]) -> io::Result<()> {
    Ok(mkdirat(dir, name, Mode::RWXU)?)
}

/// Moves a name to one that is free.
///
/// # Errors
/// As renameat2(2); `EEXIST` when the new name is taken.
pub fn move_new(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> Result<(), Errno> {
    match renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        // The file system does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => match statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => renameat(from.0, from.1, to.0, to.1),
            Err(e) => Err(e),
        },
        other => other,
    }
}

/// Exchanges what two names stand for in one step.
///
/// # Errors
/// As renameat2(2); `EINVAL` or `ENOSYS` where the file system cannot.
pub fn exchange(a: (BorrowedFd<'_>, &[u8]), b: (BorrowedFd<'_>, &[u8])) -> Result<(), Errno> {
    renameat_with(a.0, a.1, b.0, b.1, RenameFlags::EXCHANGE)
}

/// The names in an open directory with their types, without `.` and `..`; the type is
/// `Unknown` where the file system does not tell.
///
/// # Errors
/// As getdents64(2).
pub fn names(dir: impl AsFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    // A descriptor of its own, because the place in a directory belongs to the open description.
    let dir = openat(dir, ".", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    list(&dir)
}

/// The same for a directory that nobody has read from yet.
fn list(dir: &OwnedFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push((name.to_vec(), entry.file_type()));
        }
    }
    Ok(found)
}

/// Removes `name`, and when it is a directory everything in it; a missing one is fine.
///
/// For the private stage only: below it directories are moved up before they are emptied, so that
/// neither depth nor descriptors are a limit. Nothing of it is followed.
///
/// # Errors
/// As unlinkat(2) and openat2(2): the first failure ends it.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    remove_dir(dir, name)
}

/// The same for what is known to be a directory.
///
/// # Errors
/// As [`remove_tree`]; `ENOENT` when it is not there.
pub fn remove_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let mut pending = VecDeque::from([name.to_vec()]);
    let mut lifted = 0_u64;
    while let Some(at) = pending.pop_front() {
        empty(dir, &at, || {
            lifted += 1;
            let mut fresh = name[..name.len().min(200)].to_vec();
            fresh.extend_from_slice(format!("~{lifted}").as_bytes());
            pending.push_back(fresh.clone());
            fresh
        })?;
        unlinkat(dir, &at, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Unlinks all in the directory `name` of `top`, and moves directories up to names that `fresh` gives.
fn empty(top: BorrowedFd<'_>, name: &[u8], mut fresh: impl FnMut() -> Vec<u8>) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(top, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(top, name, Mode::RWXU, AtFlags::empty())?;
            openat(top, name, flags, Mode::empty())?
        }
        other => other?,
    };
    for (child, kind) in list(&dir)? {
        if kind != FileType::Directory {
            match unwritable(&dir, || unlinkat(&dir, &child[..], AtFlags::empty())) {
                Ok(()) | Err(Errno::NOENT) => continue,
                // On a file system that tells no types.
                Err(Errno::ISDIR | Errno::PERM) if kind == FileType::Unknown => {}
                Err(e) => return Err(e.into()),
            }
        }
        lift(&dir, &child, top, &mut fresh)?;
    }
    Ok(())
}

/// Moves the directory `child` up, past names that an interrupted removal left there.
fn lift(dir: &OwnedFd, child: &[u8], top: BorrowedFd<'_>, fresh: &mut impl FnMut() -> Vec<u8>) -> io::Result<()> {
    // Its `..` changes, for which it must be writable itself.
    let make_writable = || chmodat(dir, child, Mode::RWXU, AtFlags::empty());
    loop {
        let name = fresh();
        match unwritable(dir, || move_new((dir.as_fd(), child), (top, &name))) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(Errno::ACCESS) => {
                make_writable()?;
                return Ok(move_new((dir.as_fd(), child), (top, &fresh()))?);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Does `what` in `dir`, and once more after making `dir` writable when its mode forbids it.
fn unwritable(dir: &OwnedFd, mut what: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    match what() {
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(dir, Mode::RWXU)?;
            what()
        }
        other => other,
    }
}

/// The names in `dir` that are decimal numbers.
///
/// # Errors
/// As getdents64(2).
pub fn numbered(dir: impl AsFd) -> io::Result<Vec<u64>> {
    let number = |name: Vec<u8>| std::str::from_utf8(&name).ok()?.parse().ok();
    Ok(names(dir)?.into_iter().filter_map(|(name, _)| number(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::DIRECTORY, Mode::empty()).expect("open")
    }

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_is_removed_and_a_link_out_of_it_is_not_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("sentinel"), "s").expect("write");
        let mut at = dir.path().join("top");
        std::fs::create_dir(&at).expect("mkdir");
        let mut fd = open(&at);
        for _ in 0..1200 {
            mkdirat(&fd, "d", Mode::RWXU).expect("mkdir");
            rustix::fs::symlinkat(dir.path(), &fd, "out").expect("symlink");
            fd = openat(&fd, "d", OFlags::DIRECTORY, Mode::empty()).expect("open");
        }
        at.push("x");
        std::fs::create_dir(&at).expect("mkdir");
        remove_tree(open(dir.path()).as_fd(), b"top").expect("remove");
        let left: Vec<_> = names(open(dir.path())).expect("names").into_iter().map(|(n, _)| n).collect();
        assert_eq!(left, [b"sentinel".to_vec()]);
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().expect("tempdir");
        remove_tree(open(dir.path()).as_fd(), b"none").expect("remove");
    }

    #[test]
    fn a_move_never_replaces() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("a"), "a").expect("write");
        std::fs::write(dir.path().join("b"), "b").expect("write");
        let fd = open(dir.path());
        assert_eq!(move_new((fd.as_fd(), b"a"), (fd.as_fd(), b"b")), Err(Errno::EXIST));
        exchange((fd.as_fd(), b"a"), (fd.as_fd(), b"b")).expect("exchange");
        assert_eq!(std::fs::read(dir.path().join("a")).expect("read"), b"b");
    }
}
