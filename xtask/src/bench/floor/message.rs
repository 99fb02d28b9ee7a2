//! What travels: a kind, a path, a few numbers, and for a file its bytes.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One message; the content of a file follows its message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Message {
    Dir {
        path: PathBuf,
    },
    File {
        path: PathBuf,
        stat: Stat,
    },
    Symlink {
        path: PathBuf,
        target: PathBuf,
    },
    Gone {
        path: PathBuf,
    },
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
    /// The receiver's list of what it has is complete.
    End,
}

/// What a file is besides its content.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stat {
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) mtime: i64,
    pub(super) nanos: u32,
}

impl Message {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let none = Path::new("");
        let (kind, path, other, stat) = match self {
            Self::Dir { path } => (0, path.as_path(), none, Stat::default()),
            Self::File { path, stat } => (1, path.as_path(), none, *stat),
            Self::Symlink { path, target } => (2, path.as_path(), target.as_path(), Stat::default()),
            Self::Gone { path } => (3, path.as_path(), none, Stat::default()),
            Self::Moved { from, to } => (4, from.as_path(), to.as_path(), Stat::default()),
            Self::End => (5, none, none, Stat::default()),
        };
        let (path, other) = (path.as_os_str().as_bytes(), other.as_os_str().as_bytes());
        let mut head = [0; 33];
        let lengths = [path.len() as u32, other.len() as u32];
        head[0] = kind;
        head[1..5].copy_from_slice(&lengths[0].to_le_bytes());
        head[5..9].copy_from_slice(&lengths[1].to_le_bytes());
        head[9..17].copy_from_slice(&stat.size.to_le_bytes());
        head[17..21].copy_from_slice(&stat.mode.to_le_bytes());
        head[21..29].copy_from_slice(&stat.mtime.to_le_bytes());
        head[29..33].copy_from_slice(&stat.nanos.to_le_bytes());
        to.write_all(&head)?;
        to.write_all(path)?;
        to.write_all(other)
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let kind = number::<1>(from)?[0];
        let (path, other) = (u32::from_le_bytes(number(from)?), u32::from_le_bytes(number(from)?));
        let stat = Stat {
            size: u64::from_le_bytes(number(from)?),
            mode: u32::from_le_bytes(number(from)?),
            mtime: i64::from_le_bytes(number(from)?),
            nanos: u32::from_le_bytes(number(from)?),
        };
        let (path, other) = (read_path(from, path)?, read_path(from, other)?);
        match kind {
            0 => Ok(Self::Dir { path }),
            1 => Ok(Self::File { path, stat }),
            2 => Ok(Self::Symlink { path, target: other }),
            3 => Ok(Self::Gone { path }),
            4 => Ok(Self::Moved { from: path, to: other }),
            5 => Ok(Self::End),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn number<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_path(from: &mut impl Read, len: u32) -> io::Result<PathBuf> {
    let mut bytes = vec![0; len.min(4096) as usize];
    from.read_exact(&mut bytes)?;
    Ok(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stat = Stat { size: 1 << 40, mode: 0o640, mtime: -5, nanos: 999_999_999 };
        let messages = [
            Message::Dir { path: "a".into() },
            Message::File { path: "a/b".into(), stat },
            Message::Symlink { path: "l".into(), target: "../x".into() },
            Message::Gone { path: "g".into() },
            Message::Moved { from: "f".into(), to: "t".into() },
            Message::End,
        ];
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.write(&mut bytes).expect("write"));
        let mut rest = bytes.as_slice();
        let read: Vec<_> = messages.iter().map(|_| Message::read(&mut rest).expect("read")).collect();
        assert_eq!(read, messages);
        assert!(rest.is_empty());
    }
}
