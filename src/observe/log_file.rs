//! The log of a daemon: standard error in a file of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::stdio::dup2_stderr;

/// The size at which a log begins anew; the one before it is kept beside it.
const LIMIT: u64 = 8 << 20;

/// A file that takes the place of standard error.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    limit: u64,
}

impl LogFile {
    /// From now on standard error goes to the end of `path`.
    pub(super) fn take_stderr(path: &Path) -> io::Result<Self> {
        dup2_stderr(open(path)?)?;
        Ok(Self { path: path.to_owned(), limit: LIMIT })
    }

    /// Begins anew where standard error has become too large. A log that cannot begin anew goes on.
    pub(super) fn bound(&self) {
        let size = fstat(io::stderr()).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
        if size > self.limit
            && let Ok(file) = begin_anew(&self.path)
        {
            let _ = dup2_stderr(file);
        }
    }
}

/// Puts the log at `path` aside as `PATH.1`, and opens another.
fn begin_anew(path: &Path) -> io::Result<File> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    fs::rename(path, aside)?;
    open(path)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_that_begins_anew_keeps_the_one_before() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("syncd.log");
        for round in ["one", "two", "three"] {
            write!(open(&path).expect("open"), "{round}").expect("write");
            begin_anew(&path).expect("anew");
        }
        assert_eq!(fs::read_to_string(dir.path().join("syncd.log.1")).expect("kept"), "three");
        assert_eq!(fs::read_to_string(&path).expect("there"), "");
    }
}
