//! The files that an `rsyncd.conf` includes.

use std::io;
use std::path::{Path, PathBuf};

use syncd_compat::rsyncd::Directive;

use super::load::read;

/// The file at `path` with its bytes, or of a directory those whose names end as `directive` has it,
/// in the order of their names, without hidden ones: as rsyncd.conf(5) says.
///
/// # Errors
/// What keeps one of them from being read.
pub(super) fn load(path: &Path, directive: Directive) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), read(path)?)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.ends_with(directive.suffix().as_bytes()) && !name.starts_with(b".") {
            files.push(entry.path());
        }
    }
    files.sort();
    files.into_iter().map(|file| Ok((file.clone(), read(&file)?))).collect()
}
