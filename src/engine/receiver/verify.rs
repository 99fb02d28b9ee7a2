//! Reads the whole tree and compares it with what was acknowledged.

use rayon::prelude::*;

use super::set::ReplicaSet;
use crate::engine::differences::{Found, describe};
use crate::fs::{Hashed, hash_file, scan};
use crate::model::{Attrs, Kind, Manifest, Record, RelPath};

/// Every path at which the tree is not what `set` acknowledged, by content and metadata.
pub(crate) fn verify(set: &ReplicaSet, attrs: Attrs) -> Vec<Found> {
    let known = set.manifest().clone();
    let excluded = |path: &RelPath, is_dir| set.filter().excludes(path, is_dir);
    let found = scan(&set.root(), &RelPath::root(), &excluded, attrs.has(Attrs::XATTRS));
    let mut actual = Manifest::new();
    for (path, record) in found.records {
        actual.insert(&path, record);
    }
    let paths: Vec<RelPath> = actual.iter().map(|(path, _)| path).collect();
    let mut differences: Vec<Found> = paths
        .par_iter()
        .filter_map(|path| {
            let what = differs(set, path, known.get(path), actual.get(path)?, attrs);
            (!what.is_empty()).then(|| Found { path: path.clone(), what })
        })
        .collect();
    let gone = known.iter().map(|(path, _)| path).filter(|path| actual.get(path).is_none());
    differences.extend(gone.map(|path| Found { path, what: "missing here".to_owned() }));
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    differences
}

fn differs(set: &ReplicaSet, path: &RelPath, known: Option<&Record>, actual: &Record, attrs: Attrs) -> String {
    let Some(known) = known else { return "only here".to_owned() };
    let mut now = actual.entry.clone();
    if now.kind() == Kind::File {
        match hash_file(&set.root(), path) {
            Ok(Hashed::Whole(read)) => now.node = read.entry.node,
            Ok(_) => return "changing".to_owned(),
            Err(e) => return format!("unreadable: {e}"),
        }
    }
    // Owners and bits that this host may not set stay as it made them: the stamp says that nobody
    // touched them since.
    let untouched = known.is_current(actual);
    if untouched && now.node == known.entry.node {
        return String::new();
    }
    describe(Some(&now), Some(&known.entry), attrs)
}
