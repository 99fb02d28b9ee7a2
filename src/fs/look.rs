//! One look at one name: what stat(2) and readlink(2) tell of it.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Stat, major, minor, readlinkat, statat};
use rustix::io::Errno;

use super::Root;
use crate::model::{Entry, Meta, Node, Record, RelPath, Stamp, Timestamp};

/// What `path` is now, without following it and without reading content; none when it is not there.
///
/// # Errors
/// As openat2(2) and fstatat(2), but that a missing path or parent is none.
pub fn look(root: &Root, path: &RelPath) -> io::Result<Option<Record>> {
    let parent = match root.parent(path) {
        Ok(parent) => parent,
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    look_at(parent, path.name())
}

/// The same for `name` in the open directory `dir`.
///
/// # Errors
/// As fstatat(2) and readlinkat(2), but that a missing name is none.
pub fn look_at(dir: impl AsFd, name: &[u8]) -> io::Result<Option<Record>> {
    loop {
        let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let target = if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            match readlinkat(&dir, name, Vec::new()) {
                Ok(target) => Some(target.into_bytes().into_boxed_slice()),
                // Replaced between the two calls: look again.
                Err(Errno::NOENT | Errno::INVAL) => continue,
                Err(e) => return Err(e.into()),
            }
        } else {
            None
        };
        return Ok(Some(record(&stat, target)));
    }
}

/// The record that `stat` describes; `target` belongs to symlinks.
pub(super) fn record(stat: &Stat, target: Option<Box<[u8]>>) -> Record {
    let node = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Node::Dir,
        FileType::Symlink => Node::Symlink { target: target.unwrap_or_default() },
        FileType::Fifo => Node::Fifo,
        FileType::Socket => Node::Socket,
        kind @ (FileType::BlockDevice | FileType::CharacterDevice) => Node::Device {
            block: kind == FileType::BlockDevice,
            major: major(stat.st_rdev),
            minor: minor(stat.st_rdev),
        },
        _ => Node::File { size: u64::try_from(stat.st_size).unwrap_or(0), hash: None },
    };
    let meta = Meta {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
    };
    let stamp = Stamp {
        dev: stat.st_dev,
        ino: stat.st_ino,
        ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
    };
    Record { entry: Entry { node, meta, xattrs: Vec::new(), link: None }, stamp: Some(stamp) }
}

fn timestamp(secs: i64, nanos: impl TryInto<u32>) -> Timestamp {
    Timestamp { secs, nanos: nanos.try_into().unwrap_or(0) }
}
