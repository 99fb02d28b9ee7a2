//! Extended attributes and POSIX ACLs of an open file or directory, read and replaced.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr, fsetxattr};
use rustix::io::Errno;

use crate::model::Xattr;

/// Whether the attribute `name` is replicated: those of users, and ACLs. Others carry rights
/// (`security.capability`), labels of this host (`security.selinux`) or a file system's own state.
#[must_use]
pub fn is_replicated(name: &[u8]) -> bool {
    name.starts_with(b"user.") || matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// The attributes of `fd` that are replicated, sorted by name; none where the file system has none.
///
/// # Errors
/// As flistxattr(2) and fgetxattr(2).
pub fn read(fd: impl AsFd) -> io::Result<Vec<Xattr>> {
    let names = match list(&fd) {
        Ok(names) => names,
        Err(e) if e.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for name in names.split(|b| *b == 0).filter(|n| is_replicated(n)) {
        match value(&fd, name) {
            Ok(value) => found.push(Xattr { name: name.into(), value: value.into() }),
            // Removed between the two calls.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e.into()),
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the replicated attributes of `fd` exactly `wanted`; returns whether anything changed.
///
/// # Errors
/// As fsetxattr(2); `EPERM` for an attribute that is not replicated.
pub fn replace(fd: impl AsFd, wanted: &[Xattr]) -> io::Result<bool> {
    if wanted.iter().any(|x| !is_replicated(&x.name)) {
        return Err(Errno::PERM.into());
    }
    let present = read(&fd)?;
    for old in present.iter().filter(|old| !wanted.iter().any(|new| new.name == old.name)) {
        fremovexattr(&fd, &c_name(&old.name)?)?;
    }
    for new in wanted.iter().filter(|new| !present.contains(new)) {
        fsetxattr(&fd, &c_name(&new.name)?, &new.value, XattrFlags::empty())?;
    }
    Ok(present != wanted)
}

fn list(fd: impl AsFd) -> io::Result<Vec<u8>> {
    loop {
        let mut names = vec![0; flistxattr_query(&fd)?];
        match flistxattr(&fd, &mut names[..]) {
            Ok(len) => {
                names.truncate(len);
                return Ok(names);
            }
            // It grew between the two calls.
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn value(fd: impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let name = c_name(name)?;
    loop {
        let mut value = vec![0; fgetxattr_query(&fd, &name)?];
        match fgetxattr(&fd, &name, &mut value[..]) {
            Ok(len) => {
                value.truncate(len);
                return Ok(value);
            }
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e),
        }
    }
}

fn c_name(name: &[u8]) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr { name: name.as_bytes().into(), value: value.into() }
    }

    #[test]
    fn what_is_not_wanted_goes_and_what_is_comes() {
        let file = tempfile::tempfile().expect("tempfile");
        let first = [xattr("user.a", b"1"), xattr("user.b", b"")];
        replace(&file, &first).expect("the temporary directory's file system has extended attributes");
        assert_eq!(read(&file).expect("read"), first);
        let second = [xattr("user.b", b"2"), xattr("user.c", &[0; 100])];
        assert!(replace(&file, &second).expect("replace"));
        assert_eq!(read(&file).expect("read"), second);
        assert!(!replace(&file, &second).expect("replace"));
    }

    #[test]
    fn what_carries_rights_is_refused() {
        let file = tempfile::tempfile().expect("tempfile");
        assert!(replace(&file, &[xattr("security.capability", b"x")]).is_err());
        assert!(replace(&file, &[xattr("trusted.overlay.opaque", b"y")]).is_err());
    }
}
