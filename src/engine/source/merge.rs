//! Compares the index with what a peer says it holds.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::refresh::Look;
use super::set::SharedIndex;
use crate::config::{DeletePolicy, SetOptions};
use crate::filter::Filter;
use crate::fs::read_record;
use crate::model::{Attrs, Digest, Entry, Kind, Node, Record, RelPath};

/// What the peer holds directly inside one directory; the root's own entry stands under `.`.
pub(crate) type Theirs = BTreeMap<Vec<u8>, Entry>;

/// A path at which the peer differs, and what it holds there.
pub type Difference = (RelPath, Option<Entry>);

/// The directories whose entries the source has to see, given the digests of all of the peer's.
///
/// Also those that do not exist here: what is in them goes too, and it must be known by name, since
/// a directory may be renamed or made again before it is removed.
pub(crate) fn wanted(
    index: &SharedIndex,
    theirs: &BTreeMap<RelPath, Option<Digest>>,
    options: &SetOptions,
    filter: &Filter,
) -> Vec<RelPath> {
    let mut index = index.lock();
    let deletes = options.delete != DeletePolicy::Never;
    let unlike = |(dir, digest): &(&RelPath, &Option<Digest>)| {
        let here = index.manifest().entry(dir).is_some_and(Entry::is_dir);
        let goes = !here && deletes && !filter.excludes(dir, true) && !index.left_out.has(dir);
        goes || (here && (digest.is_none() || index.dir_digest(dir, options.attrs) != **digest))
    };
    theirs.iter().filter(unlike).map(|(dir, _)| dir.clone()).collect()
}

/// What is here in directories of which the peer has none: all of it is new to the peer.
pub(crate) fn only_here(
    index: &SharedIndex,
    theirs: &BTreeMap<RelPath, Option<Digest>>,
    attrs: Attrs,
) -> Vec<Difference> {
    if attrs.has(Attrs::EXISTING_ONLY) {
        return Vec::new();
    }
    let index = index.lock();
    let manifest = index.manifest();
    let missing = manifest.dirs().filter(|dir| !theirs.contains_key(dir));
    missing.flat_map(|dir| manifest.children(dir).filter_map(|(n, _)| Some((dir.join(n).ok()?, None)))).collect()
}

/// The differences directly inside `dir`.
///
/// Reads the content of files that have the same size on both sides and have not been read yet,
/// on the pool of the calling thread.
pub(crate) fn differences(look: &Look<'_>, index: &SharedIndex, dir: &RelPath, mut theirs: Theirs) -> Vec<Difference> {
    let attrs = look.options.attrs;
    let mine = children(index, dir);
    let read: BTreeMap<RelPath, Record> = mine
        .par_iter()
        .filter(|(name, mine)| theirs.get(name).is_some_and(|t| needs_reading(&mine.entry, t)))
        .filter_map(|(name, _)| {
            let path = child(dir, name)?;
            let mut record = read_record(look.root, &path)?;
            look.options.rewrite.apply(&mut record.entry);
            Some((path, record))
        })
        .collect();
    if !read.is_empty() {
        let mut index = index.lock();
        for (path, record) in &read {
            index.fill(path, record);
        }
    }
    let mut out = Vec::new();
    for (name, mine) in &mine {
        let Some(path) = child(dir, name) else { continue };
        // Reading shows neither attributes nor links.
        let mine = match read.get(&path) {
            Some(read) => {
                &Entry { xattrs: mine.entry.xattrs.clone(), link: mine.entry.link.clone(), ..read.entry.clone() }
            }
            None => &mine.entry,
        };
        let base = theirs.remove(name);
        let wanted = attrs.wants(Some(mine.kind()), base.as_ref().map(Entry::kind));
        if wanted && !base.as_ref().is_some_and(|b| b.same(mine, attrs)) {
            out.push((path, base));
        }
    }
    if look.options.delete != DeletePolicy::Never {
        let left_out = index.lock().left_out.clone();
        for (name, entry) in theirs {
            if let Some(path) = child(dir, &name)
                && !look.filter.excludes(&path, entry.is_dir())
                && !left_out.has(&path)
            {
                out.push((path, Some(entry)));
            }
        }
    }
    out
}

fn children(index: &SharedIndex, dir: &RelPath) -> Vec<(Vec<u8>, Record)> {
    let index = index.lock();
    let manifest = index.manifest();
    let own = manifest.get(dir).filter(|_| dir.is_root()).map(|r| (b".".to_vec(), r.clone()));
    own.into_iter().chain(manifest.children(dir).map(|(n, r)| (n.to_vec(), r.clone()))).collect()
}

fn child(dir: &RelPath, name: &[u8]) -> Option<RelPath> {
    if name == b"." { Some(RelPath::root()) } else { dir.join(name).ok() }
}

/// Equal but for a content that only the peer knows the hash of.
fn needs_reading(mine: &Entry, theirs: &Entry) -> bool {
    match (&mine.node, &theirs.node) {
        (Node::File { size: a, hash: None }, Node::File { size: b, hash: Some(_) }) => a == b,
        _ => false,
    }
}

/// Reads the content of every file of the index anew (`verify`), whatever its stamp says.
pub(crate) fn read_all(look: &Look<'_>, index: &SharedIndex) {
    let files: Vec<RelPath> = {
        let index = index.lock();
        let files = index.manifest().iter().filter(|(_, r)| r.entry.kind() == Kind::File);
        files.map(|(p, _)| p).collect()
    };
    files.par_iter().for_each(|path| {
        if let Some(record) = read_record(look.root, path) {
            index.lock().fill(path, &record);
        }
    });
}
