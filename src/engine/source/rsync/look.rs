//! Whether a set is served where rsync carries it, and where the tree there differs.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::args::{By, Run};
use super::complaint::{self, Failure};
use super::itemize::{Change, Item};
use super::{Lacks, Route, Said};
use crate::config::{Compression, SetOptions};
use crate::engine::Found;
use crate::engine::source::Difference;
use crate::engine::source::set::SourceSet;
use crate::model::{Attrs, Entry, Kind, Manifest, Meta, Node, RelPath};
use crate::observe::Unit;
use crate::wire::Failed;

/// How long the answer may take whether a set is served: less than a channel waits for it.
const PROBE_LIMIT: Duration = Duration::from_secs(18);

/// So many files, all of the same size with another time, are the sign of an rsync that cannot
/// compare parts of a second.
const TELLING: usize = 16;

/// Exit codes: some files could not be transferred, or vanished; the rest of what was said holds.
pub(super) const PARTIAL: i32 = 23;
pub(super) const VANISHED: i32 = 24;

/// Whether the set is served there and may be written.
///
/// # Errors
/// Why not.
pub(in crate::engine::source) async fn probe(route: &Route<'_>) -> Result<(), Failure> {
    let seconds = PROBE_LIMIT.as_secs();
    let late = || Failure { reached: false, cause: format!("rsync has no answer from there within {seconds} s") };
    timeout(PROBE_LIMIT, probe_with_less(route)).await.map_err(|_| late())?
}

/// The same, leaving off what is refused there and need not be asked for.
async fn probe_with_less(route: &Route<'_>) -> Result<(), Failure> {
    let before = route.target.set_lacks(Lacks::default());
    let compresses = route.set.config.options.compression != Compression::Off;
    let run = Run::Probe { deletes: route.set.deletes(), content: true, compresses };
    loop {
        let ended = route.run(run, true, Vec::new()).await?.ended;
        let lacks = route.target.lacks();
        if ended.code == Some(0) {
            for news in lacks.told(before) {
                tracing::warn!(set = route.set.config.name, peer = %route.target, "{news}");
            }
            return Ok(());
        }
        let Some(more) = lacks.learnt(&ended.stderr) else {
            route.target.set_lacks(before);
            return Err(complaint::failure(ended.code, &ended.stderr));
        };
        route.target.set_lacks(more);
    }
}

/// What a compare found.
#[derive(Debug)]
pub(in crate::engine::source) struct Compared {
    /// Every path that differs, with what is taken to be held there.
    pub(in crate::engine::source) differences: Vec<Difference>,
    /// Those of them of which no later compare tells again, since neither size nor time shows it.
    pub(in crate::engine::source) content_alone: BTreeSet<RelPath>,
    /// Whether something that had to be compared by content could not be.
    pub(in crate::engine::source) unread: bool,
}

/// Every path at which the tree there differs by size, time and attributes; by content, too, where
/// nothing was ever known of what is there.
///
/// # Errors
/// [`Failure`].
pub(in crate::engine::source) async fn compare(route: &Route<'_>) -> Result<Compared, Failure> {
    let unread = route.target.is_unread();
    let usual = by_time(&route.set.config.options);
    let Listed { items, excluded, missed } = look(route, if unread { By::CONTENT } else { usual }).await?;
    let unread = unread && (missed.is_some() || route.target.lacks().checksum);
    note_excluded(route, &excluded);
    if let Some(missed) = missed {
        tracing::warn!(set = route.set.config.name, peer = %route.target, "not all could be compared: {missed}");
    }
    let index = route.set.index.lock();
    let items = counted(route.set, index.manifest(), items);
    let content_alone = if usual.content { BTreeSet::new() } else { content_alone(&items) };
    // Of what is unlike, size and time may be equal: as if it held what is here.
    let differs = |item: Item| {
        let theirs = match item.change {
            Change::Deleted => Some(held(item.is_dir)),
            Change::Created => None,
            Change::Unlike { .. } => index.manifest().entry(&item.path).cloned(),
        };
        (item.path, theirs)
    };
    let differences = items.into_iter().map(differs).collect();
    Ok(Compared { differences, content_alone, unread })
}

/// Tells of all that is here and that the rules of the module there exclude.
fn note_excluded(route: &Route<'_>, excluded: &BTreeSet<RelPath>) {
    if excluded.is_empty() {
        return;
    }
    let left_out: Vec<Failed> = {
        let index = route.set.index.lock();
        let paths = index.manifest().iter().map(|(path, _)| path);
        paths.filter(|path| is_within(path, excluded)).map(|path| left_out(path.clone())).collect()
    };
    route.target.note_left_out(&route.set.config.name, left_out);
}

/// Whether `path` is one of `excluded`, or in one.
pub(super) fn is_within(path: &RelPath, excluded: &BTreeSet<RelPath>) -> bool {
    path.ancestors().any(|path| excluded.contains(&path))
}

/// That the rules of the module there exclude `path`.
pub(super) fn left_out(path: RelPath) -> Failed {
    Failed { path, cause: "left out there: the rules of its module exclude it".to_owned(), left_out: true }
}

fn content_alone(items: &[Item]) -> BTreeSet<RelPath> {
    items.iter().filter(|item| item.change.is_content_alone()).map(|item| item.path.clone()).collect()
}

/// Every path at which the tree there differs by content and attributes, and how.
///
/// # Errors
/// [`Failure`], also when anything could not be read: what is not known is not called equal.
pub(in crate::engine::source) async fn verify(route: &Route<'_>) -> Result<Vec<Found>, Failure> {
    let lacks = route.target.lacks();
    let refused = |cause: &str| Err(Failure { reached: true, cause: cause.to_owned() });
    if lacks.checksum {
        return refused("the rsyncd there refuses --checksum (refuse options): content cannot be compared");
    }
    if lacks.deletion && route.set.deletes() {
        return refused("the rsyncd there refuses --delete (refuse options): what is there alone cannot be listed");
    }
    let Listed { items, missed, .. } = look(route, By::CONTENT).await?;
    if let Some(missed) = missed {
        return Err(missed);
    }
    let index = route.set.index.lock();
    let found = |item: Item| Found { what: item.change.describe(), path: item.path };
    Ok(counted(route.set, index.manifest(), items).into_iter().map(found).collect())
}

/// How files are compared where content is not read: time tells nothing where it does not travel.
pub(super) fn by_time(options: &SetOptions) -> By {
    if options.attrs.has(Attrs::MTIME) { By::TIME } else { By::CONTENT }
}

/// What a look at the whole tree there found.
struct Listed {
    /// What differs.
    items: Vec<Item>,
    /// What the rules of the module there exclude, which nobody looked at.
    excluded: BTreeSet<RelPath>,
    /// Why something else could not be looked at, if so.
    missed: Option<Failure>,
}

async fn look(route: &Route<'_>, by: By) -> Result<Listed, Failure> {
    let name = format!("{}: comparing with {}", route.set.config.name, route.target);
    let _progress = route.set.monitor.task(name, Unit::Entries);
    let listed = listed(route, by).await?;
    let files = {
        let index = route.set.index.lock();
        index.manifest().iter().filter(|(_, record)| record.entry.kind() == Kind::File).count()
    };
    if !cannot_tell(&listed.items, files) {
        return Ok(listed);
    }
    tracing::warn!(
        set = route.set.config.name, peer = %route.target,
        "the rsync there seems to be older than 3.1.3: times are compared in whole seconds"
    );
    self::listed(route, By { fine: false, ..by }).await
}

async fn listed(route: &Route<'_>, by: By) -> Result<Listed, Failure> {
    let deletes = route.set.deletes();
    let Said { items, ended, .. } = route.run(Run::Compare { deletes, by }, true, Vec::new()).await?;
    let failure = || complaint::failure(ended.code, &ended.stderr);
    let missed = match ended.code {
        // What vanished meanwhile makes an event.
        Some(0 | VANISHED) => None,
        Some(PARTIAL) if complaint::is_of_excluded_alone(&ended.stderr) => None,
        Some(PARTIAL) => Some(failure()),
        _ => return Err(failure()),
    };
    Ok(Listed { items, excluded: complaint::excluded(&ended.stderr), missed })
}

/// Whether every one of so many `files` that is there too seems to have another time and no other size.
fn cannot_tell(items: &[Item], files: usize) -> bool {
    let time_alone = items.iter().filter(|item| item.change.is_time_alone()).count();
    let created = items.iter().filter(|item| item.change == Change::Created && !item.is_dir).count();
    time_alone >= TELLING && time_alone + created >= files
}

/// The items that count: not what the filter leaves alone, nor directories that hold such; nor what
/// came or went here since the last look, of which an event tells.
fn counted(set: &SourceSet, manifest: &Manifest, items: Vec<Item>) -> Vec<Item> {
    let excluded = |item: &Item| set.filter.excludes(&item.path, item.is_dir);
    let sheltering: BTreeSet<RelPath> = items
        .iter()
        .filter(|item| item.change == Change::Deleted && excluded(item))
        .flat_map(|item| item.path.ancestors().skip(1))
        .collect();
    let counts = |item: &Item| {
        let here = manifest.get(&item.path).is_some();
        let deleted = item.change == Change::Deleted;
        !excluded(item) && here != deleted && !(deleted && sheltering.contains(&item.path))
    };
    items.into_iter().filter(counts).collect()
}

/// What stands for a thing of which no more is known than that it is there.
fn held(is_dir: bool) -> Entry {
    let node = if is_dir { Node::Dir } else { Node::File { size: 0, hash: None } };
    Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, change: Change) -> Item {
        Item { path: RelPath::parse(name.as_bytes()).expect("valid"), is_dir: false, change }
    }

    fn unlike(columns: &[u8]) -> Change {
        Change::Unlike { file: true, columns: columns.to_vec() }
    }

    #[test]
    fn what_neither_size_nor_time_shows_is_told_apart() {
        let columns: [&[u8]; 7] = [b"c", b"cp", b"cx", b"cs", b"ct", b"t", b"p"];
        let mut items: Vec<Item> =
            columns.iter().map(|columns| item(&String::from_utf8_lossy(columns), unlike(columns))).collect();
        items.extend([item("new", Change::Created), item("gone", Change::Deleted)]);
        let link = Change::Unlike { file: false, columns: b"c".to_vec() };
        items.push(item("link", link));
        let alone: Vec<String> = content_alone(&items).iter().map(ToString::to_string).collect();
        assert_eq!(alone, ["c", "cp", "cx"]);
    }

    #[test]
    fn times_that_all_differ_at_equal_sizes_are_not_believed() {
        let mut items: Vec<Item> = (0..20).map(|n| item(&format!("f{n}"), unlike(b"t"))).collect();
        assert!(cannot_tell(&items, 20));
        assert!(!cannot_tell(&items, 21), "one is equal, so that times can be compared");
        assert!(!cannot_tell(items.get(..10).unwrap_or_default(), 10), "too few to tell");
        items.push(item("new", Change::Created));
        assert!(cannot_tell(&items, 21));
        items.iter_mut().for_each(|item| item.change = unlike(b"st"));
        assert!(!cannot_tell(&items, 21));
    }
}
