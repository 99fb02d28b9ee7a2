//! One change set by rsync: what is put, then removals, and a look at what did not come about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::args::{By, Run, list};
use super::batch::{self, Batch};
use super::complaint::{self, Complaints, Failure};
use super::look::{PARTIAL, VANISHED, by_time, is_within, left_out};
use super::{Route, Said};
use crate::engine::source::left_out::take_left_out;
use crate::engine::source::send::{Outcome, Planned, SendError, Settled};
use crate::engine::source::set::SourceSet;
use crate::model::{Attrs, Base, Change, Entry, Generation, RelPath};
use crate::session::Sending;
use crate::store::Writer;
use crate::wire::{Ack, Failed};

/// Why a directory is still there.
const NOT_EMPTY: &str = "the directory is not empty there";

/// What did not come about of a change set.
#[derive(Debug, Default)]
struct Missing {
    /// What could not be made there, each with its cause.
    failed: BTreeMap<RelPath, String>,
    /// What could not be read here, each with its cause.
    unread: BTreeMap<RelPath, String>,
    /// What the rules of the module there exclude.
    left_out: BTreeSet<RelPath>,
}

impl Missing {
    /// Notes what of `names` a run left alone by the rules of the module there.
    fn leave_out(&mut self, names: &[RelPath], said: &Said) {
        let excluded = complaint::excluded(&said.ended.stderr);
        if !excluded.is_empty() {
            self.left_out.extend(names.iter().filter(|path| is_within(path, &excluded)).cloned());
        }
    }
}

/// Sends what `sending` names.
///
/// What travels is the tree as it is by then, which may be newer than the index: whatever changed
/// meanwhile is dirty, and goes again.
///
/// # Errors
/// [`SendError`]: nothing is known about what became of the change set then.
pub(in crate::engine::source) async fn send(
    set: &Arc<SourceSet>,
    route: &Route<'_>,
    writer: &Arc<Writer>,
    sending: Sending,
) -> Result<(Outcome, Vec<Settled>), SendError> {
    let generation = Generation { epoch: sending.epoch, number: sending.number, root: None };
    let (planned, batch) = {
        let set = set.clone();
        set.pool.clone().run(move || planned(&set, sending)).await?
    };
    route.target.channel().handle_planned(&planned.plan);
    let mut settled = planned.settled;
    if planned.plan.steps.is_empty() {
        return Ok((Outcome::Empty, settled.into_values().collect()));
    }
    unsave(route, writer).await;
    let mut missing = Missing::default();
    let (force, recursive) = (batch.recursive, batch.recursive);
    let by = by_time(&set.config.options);
    for names in &batch.ways {
        remove(route, names, recursive, &mut missing).await?;
    }
    put(route, &batch.quick, Run::Put { by, force }, &mut missing).await?;
    put(route, &batch.by_content, Run::Put { by: By::CONTENT, force }, &mut missing).await?;
    for names in &batch.removals {
        remove(route, names, recursive, &mut missing).await?;
    }
    put(route, &batch.losing, Run::Put { by, force }, &mut missing).await?;
    settled.extend(missing.unread.into_iter().map(|(path, cause)| (path.clone(), Settled::Unsendable(path, cause))));
    let failed = missing.failed.into_iter().map(|(path, cause)| Failed { path, cause, left_out: false });
    let failed = failed.chain(missing.left_out.into_iter().map(left_out)).collect();
    let ack = Ack { generation, failed, deletions_held: 0, root_matches: None };
    Ok((Outcome::Acknowledged(ack), settled.into_values().collect()))
}

/// The plan, in which nothing is renamed: rsync knows no renames, and needs no base.
fn planned(set: &SourceSet, mut sending: Sending) -> (Planned, Batch) {
    let root = set.root();
    let (mut names, kept) = {
        let index = set.index.lock();
        let now = |path: &RelPath| index.manifest().entry(path).cloned();
        let changes = sending.names.iter().map(|(p, base)| (p.clone(), Change { base: base.clone(), now: now(p) }));
        let mut changes: BTreeMap<RelPath, Change> = changes.collect();
        let kept = take_left_out(&mut changes, &index, &set.filter, &root);
        (changes, kept)
    };
    sending.moves.clear();
    sending.names.retain(|path, _| names.contains_key(path));
    sending.names.values_mut().filter(|base| **base != Base::Known(None)).for_each(|base| *base = Base::Unknown);
    let mut planned = Planned::make(set, sending, &|_| false);
    // What became of names that are withheld is said nowhere: they wait.
    let goes = |path: &RelPath| planned.settled.get(path).is_some_and(|settled| !matches!(settled, Settled::Kept(_)));
    names.retain(|path, _| goes(path));
    planned.settled.extend(kept.into_iter().map(|path| (path.clone(), Settled::Kept(path))));
    let (deletes, attrs) = (set.deletes(), set.config.options.attrs);
    let index = set.index.lock();
    let is_dir = |path: &RelPath| index.manifest().entry(path).is_some_and(Entry::is_dir);
    let linked = |path: &RelPath| {
        let record = index.manifest().get(path).filter(|_| attrs.has(Attrs::HARD_LINKS));
        record.map(|record| index.other_names(path, record)).unwrap_or_default()
    };
    let batch = batch::order(&names, attrs, set.filter.has_excludes(), deletes, is_dir, linked);
    drop(index);
    (planned, batch)
}

/// From now on the peer holds what no generation in the store speaks of: after a crash both trees
/// are compared, since rsync cannot say what was live last.
async fn unsave(route: &Route<'_>, writer: &Arc<Writer>) {
    let Some(write) = route.target.unsave_generation() else { return };
    writer.send([write]);
    let writer = writer.clone();
    // That it cannot be written is in status, and a restart then compares anyway.
    let _ = tokio::task::spawn_blocking(move || writer.flush()).await;
}

/// Removes `names` there, of which none is in another unless all go `recursive`ly. What is asked
/// for is an empty directory with those names missing: nothing can come instead of going.
async fn remove(route: &Route<'_>, names: &[RelPath], recursive: bool, missing: &mut Missing) -> Result<(), SendError> {
    if route.target.lacks().deletion {
        return Ok(());
    }
    let empty = tempfile::tempdir().map_err(|e| Failure::here(format!("cannot make an empty directory: {e}")))?;
    let run = Run::Remove { recursive };
    let said = route.run_from(empty.path(), run, false, list(names)).await?;
    // A directory may stay because of what the filter leaves alone in it, not for what is still to go.
    let holding: BTreeSet<RelPath> = missing.failed.keys().flat_map(|left| left.ancestors().skip(1)).collect();
    for path in said.not_empty.iter().filter(|path| holding.contains(path)) {
        missing.failed.insert(path.clone(), NOT_EMPTY.to_owned());
    }
    missing.leave_out(names, &said);
    // That the directories above them are missing here, too, is no news.
    if matches!(said.ended.code, Some(0 | VANISHED)) {
        return Ok(());
    }
    let complaints = partial(&said, empty.path(), names, recursive)?;
    let left = route.run_from(empty.path(), run, true, list(names)).await?;
    let still: BTreeSet<RelPath> = left.items.iter().flat_map(|item| item.path.ancestors()).collect();
    for path in names.iter().filter(|path| still.contains(path)) {
        missing.failed.insert(path.clone(), cause_for(&complaints, path));
    }
    Ok(())
}

/// Makes `names` there as they are here.
async fn put(route: &Route<'_>, names: &[RelPath], run: Run, missing: &mut Missing) -> Result<(), SendError> {
    if names.is_empty() {
        return Ok(());
    }
    tracing::trace!(set = route.set.config.name, peer = %route.target, ?run, ?names, "put");
    let said = route.run(run, false, list(names)).await?;
    if said.ended.code == Some(0) {
        return Ok(());
    }
    missing.leave_out(names, &said);
    if said.ended.code == Some(PARTIAL) && complaint::is_of_excluded_alone(&said.ended.stderr) {
        return Ok(());
    }
    let source = &route.set.config.path;
    let mut complaints = partial(&said, source, names, false)?;
    let left = route.run(run, true, list(names)).await?;
    let listed: BTreeSet<&RelPath> = names.iter().collect();
    for path in left.items.into_iter().map(|item| item.path).filter(|path| listed.contains(path)) {
        match complaints.here.remove(&path) {
            Some(cause) => _ = missing.unread.insert(path, cause),
            None => _ = missing.failed.insert(path.clone(), cause_for(&complaints, &path)),
        }
    }
    Ok(())
}

/// What a run complains of that did a part of its work.
///
/// # Errors
/// It did none of it, or nobody knows which.
fn partial(said: &Said, source: &Path, names: &[RelPath], below: bool) -> Result<Complaints, Failure> {
    match said.ended.code {
        Some(0 | PARTIAL | VANISHED) => {
            let known: BTreeSet<&RelPath> = names.iter().collect();
            let is_known =
                |path: &RelPath| known.contains(path) || (below && path.ancestors().any(|p| known.contains(&p)));
            let mut complaints = complaint::of_names(&said.ended.stderr, source, is_known);
            for path in &said.not_empty {
                complaints.there.entry(path.clone()).or_insert_with(|| NOT_EMPTY.to_owned());
            }
            Ok(complaints)
        }
        code => Err(complaint::failure(code, &said.ended.stderr)),
    }
}

/// What is known of why `path` did not come about: a complaint of itself, of what is in it or above
/// it, or else any.
fn cause_for(complaints: &Complaints, path: &RelPath) -> String {
    let there = &complaints.there;
    let near = || there.iter().find(|(other, _)| other.is_below(path) || path.is_below(other)).map(|(_, cause)| cause);
    let any = || complaints.other.as_ref().or_else(|| there.values().next());
    let cause = there.get(path).or_else(near).or_else(any).cloned();
    cause.unwrap_or_else(|| "rsync did not transfer it, and did not say why".to_owned())
}
