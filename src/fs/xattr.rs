//! Reads the extended attributes that a set may replicate: `user.*` and POSIX ACLs.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

use super::Root;
use super::xattr_fd::is_replicated;
use crate::model::{RelPath, Xattr};

/// The kernel's own limit for a list of names and for a value (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`, limits.h).
const KERNEL_MAX: usize = 64 * 1024;

/// The replicable extended attributes of `path`, sorted by name; of a symlink its own.
///
/// # Errors
/// As openat2(2), llistxattr(2) and lgetxattr(2); `ENOENT` when it is not there.
pub fn xattrs(root: &Root, path: &RelPath) -> io::Result<Vec<Xattr>> {
    xattrs_at(root.parent(path)?, path.name())
}

/// The same for `name` in the open directory `dir`.
///
/// # Errors
/// As llistxattr(2) and lgetxattr(2).
pub fn xattrs_at(dir: impl AsFd, name: &[u8]) -> io::Result<Vec<Xattr>> {
    // There is no llistxattrat(2) before Linux 6.13; the descriptor's link in /proc stands for the
    // directory, and the last component is not followed.
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let names = match list(&path) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for name in names.split(|b| *b == 0).filter(|name| is_replicated(name)) {
        match value(&path, name) {
            Ok(value) => found.push(Xattr { name: name.into(), value: value.into() }),
            // Removed between the two calls.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e.into()),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn list(path: &[u8]) -> rustix::io::Result<Vec<u8>> {
    read_growing(|buf| llistxattr(path, buf))
}

fn value(path: &[u8], name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    read_growing(|buf| lgetxattr(path, name, buf))
}

/// Reads with a small buffer first, since nearly all lists and values are short.
fn read_growing(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 512];
    match read(&mut small) {
        Err(Errno::RANGE) => {
            let mut buf = vec![0; KERNEL_MAX];
            let len = read(&mut buf)?;
            buf.truncate(len);
            Ok(buf)
        }
        len => Ok(small.iter().take(len?).copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{XattrFlags, lsetxattr};

    use super::*;

    #[test]
    fn only_replicable_names_are_read_and_sorted() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("f");
        std::fs::write(&file, "x").expect("write");
        let long = vec![b'v'; 2000];
        lsetxattr(&file, "user.z", &long, XattrFlags::empty()).expect("set");
        lsetxattr(&file, "user.a", b"1", XattrFlags::empty()).expect("set");
        let root = Root::open(dir.path()).expect("open");
        let read = xattrs(&root, &RelPath::parse(b"f").expect("valid")).expect("read");
        let names: Vec<&[u8]> = read.iter().map(|x| &*x.name).collect();
        assert_eq!(names, [&b"user.a"[..], b"user.z"]);
        assert_eq!(&*read[1].value, &long[..]);
        assert!(!is_replicated(b"security.selinux") && !is_replicated(b"trusted.overlay.opaque"));
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("f"), "x").expect("write");
        lsetxattr(dir.path().join("f"), "user.a", b"1", XattrFlags::empty()).expect("set");
        std::os::unix::fs::symlink("f", dir.path().join("l")).expect("symlink");
        let root = Root::open(dir.path()).expect("open");
        assert!(xattrs(&root, &RelPath::parse(b"l").expect("valid")).expect("read").is_empty());
    }
}
