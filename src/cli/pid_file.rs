//! The file that holds the number of the process, as `pid file` of an rsyncd.conf names it.

use std::path::{Path, PathBuf};

use super::Fault;

/// Removed when it is dropped, unless another process has taken it over.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the number of this process to `path`, unless that holds one of a process that runs: an
    /// rsyncd may serve the same file on TCP.
    ///
    /// # Errors
    /// [`Fault::Local`]: it cannot be written.
    pub(super) fn write(path: &Path) -> Result<Option<Self>, Fault> {
        let other = std::fs::read_to_string(path).ok().filter(|text| *text != own());
        let number = other.and_then(|text| text.trim().parse::<u32>().ok());
        if let Some(number) = number.filter(|number| Path::new(&format!("/proc/{number}")).exists()) {
            tracing::warn!("the pid file {} holds {number}, which runs: it stays as it is", path.display());
            return Ok(None);
        }
        std::fs::write(path, own())
            .map_err(|e| Fault::Local(format!("cannot write the pid file {}: {e}", path.display())))?;
        Ok(Some(Self(path.to_owned())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::read_to_string(&self.0).is_ok_and(|text| text == own()) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

fn own() -> String {
    format!("{}\n", std::process::id())
}
