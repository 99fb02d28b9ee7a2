//! Reading a file that holds a secret, unless somebody else could read or change it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::process::{Uid, geteuid};
use zeroize::Zeroizing;

/// The longest such file in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Why a file with a secret is not used. Each message names the path, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be opened or read.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A symlink where none may be.
    #[error("{path}: is a symbolic link, which somebody else may point elsewhere; put the file itself there")]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A directory, pipe or device.
    #[error("{path}: is no regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Its mode lets somebody else in.
    #[error("{path}: mode {mode:04o} lets others read or change it; run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path}: belongs to user {owner}, who can change it; run `chown {wanted} {path}`")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        wanted: u32,
    },
    /// Longer than any such file.
    #[error("{path}: is longer than 1 MiB; is it the right file?")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// What a file must be to be trusted with a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// A node's key: no access for group or others, no symlink, owned by this process's user or root.
    Key,
    /// rsync's for `--password-file` and, with `strict modes`, for `secrets file`: no access for
    /// others, and owned by root where root reads it.
    Rsync,
    /// rsync's without `strict modes`: anything goes.
    Lax,
}

impl Rule {
    /// Judges a file of `owner` with `mode` for a process of `euid`; `path` is for the message.
    fn judge(self, path: &Path, mode: u32, owner: u32, euid: u32) -> Result<(), SecretFileError> {
        let (forbidden, owned) = match self {
            Self::Key => (0o077, owner == euid || owner == 0),
            Self::Rsync => (0o006, euid != 0 || owner == 0),
            Self::Lax => (0, true),
        };
        if mode & forbidden != 0 {
            return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
        }
        if !owned {
            return Err(SecretFileError::Owner { path: path.to_owned(), owner, wanted: euid });
        }
        Ok(())
    }
}

/// The content of the file at `path`, judged by `rule` on the descriptor that is then read.
///
/// # Errors
/// [`SecretFileError`]; nothing was read where the rule is broken.
pub fn read(path: &Path, rule: Rule) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let failed = |source| SecretFileError::Io { path: path.to_owned(), source };
    let nofollow = if rule == Rule::Key { OFlags::NOFOLLOW } else { OFlags::empty() };
    // Without waiting for the writer of a pipe that stands there.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | nofollow;
    let fd = match openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::LOOP) if rule == Rule::Key => return Err(SecretFileError::Symlink { path: path.to_owned() }),
        Err(e) => return Err(failed(e.into())),
    };
    let stat = fstat(&fd).map_err(|e| failed(e.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SecretFileError::NotAFile { path: path.to_owned() });
    }
    rule.judge(path, stat.st_mode & 0o7777, stat.st_uid, Uid::as_raw(geteuid()))?;
    let len = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if len > MAX_LEN {
        return Err(SecretFileError::TooLong { path: path.to_owned() });
    }
    read_all(File::from(fd), len).map_err(failed)
}

/// Reads `len` bytes, or fewer where the file has shrunk, into memory that is never moved.
fn read_all(file: File, len: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let capacity = usize::try_from(len).map_err(io::Error::other)?;
    // One byte more than there should be, so that reading the end does not grow the buffer.
    let mut content = Zeroizing::new(Vec::with_capacity(capacity + 32));
    file.take(len).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn rules_are_rsyncs_and_stricter_for_keys() {
        let judge = |rule: Rule, mode, owner, euid| rule.judge(Path::new("f"), mode, owner, euid).is_ok();
        for (mode, owner, euid, key, rsync) in [
            (0o600, 0, 0, true, true),
            (0o400, 7, 7, true, true),
            (0o600, 0, 7, true, true),
            (0o640, 0, 0, false, true),
            (0o644, 0, 0, false, false),
            (0o602, 0, 0, false, false),
            (0o600, 7, 0, false, false),
            (0o600, 8, 7, false, true),
        ] {
            assert_eq!(judge(Rule::Key, mode, owner, euid), key, "key {mode:o} {owner} {euid}");
            assert_eq!(judge(Rule::Rsync, mode, owner, euid), rsync, "rsync {mode:o} {owner} {euid}");
            assert!(judge(Rule::Lax, mode, owner, euid));
        }
    }

    #[test]
    fn what_is_refused_is_named_with_its_remedy() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("secret");
        std::fs::write(&path, "s").expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("chmod");
        let error = read(&path, Rule::Rsync).expect_err("exposed").to_string();
        assert_eq!(error, format!("{0}: mode 0644 lets others read or change it; run `chmod 600 {0}`", path.display()));
        assert_eq!(**read(&path, Rule::Lax).expect("lax"), *b"s");
    }

    #[test]
    fn a_link_is_no_key_and_a_directory_no_secret() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (path, link) = (dir.path().join("secret"), dir.path().join("link"));
        std::fs::write(&path, "s").expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        symlink(&path, &link).expect("symlink");
        assert!(matches!(read(&link, Rule::Key), Err(SecretFileError::Symlink { .. })));
        assert!(read(&link, Rule::Rsync).is_ok());
        assert!(matches!(read(dir.path(), Rule::Lax), Err(SecretFileError::NotAFile { .. })));
    }
}
