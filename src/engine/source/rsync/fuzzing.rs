//! What the fuzz targets reach and nobody else: rsync's own output, line by line.

use std::path::Path;

use super::complaint;
use super::itemize::{Item, Line, line};
use crate::model::RelPath;

/// What a line of standard output says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// Of a path, whether it is a directory, and what is unlike there in words.
    Item(RelPath, bool, String),
    /// A directory that was to go and is not empty.
    NotEmpty(RelPath),
    /// Bytes sent or received.
    Bytes(u64),
    /// Nothing that counts.
    Nothing,
}

/// Understands a line of standard output, without its end.
#[must_use]
pub fn told(text: &[u8]) -> Told {
    match line(text) {
        Line::Item(Item { path, is_dir, change }) => {
            // Both are asked of every item where trees are compared.
            let words = if change.is_time_alone() { "mtime alone".to_owned() } else { change.describe() };
            Told::Item(path, is_dir, words)
        }
        Line::NotEmpty(path) => Told::NotEmpty(path),
        Line::Sent(bytes) | Line::Received(bytes) => Told::Bytes(bytes),
        Line::Other => Told::Nothing,
    }
}

/// The causes that lines of standard error give: of the names below `root` that are in `known`, here
/// and there, and of the run.
#[must_use]
pub fn complaints(stderr: &[Vec<u8>], root: &Path, known: impl Fn(&RelPath) -> bool) -> (Vec<RelPath>, Vec<String>) {
    let found = complaint::of_names(stderr, root, known);
    let names = found.here.keys().chain(found.there.keys()).cloned().collect();
    let failure = complaint::failure(Some(23), stderr);
    let causes = found.here.into_values().chain(found.there.into_values()).chain(found.other).chain([failure.cause]);
    (names, causes.collect())
}
