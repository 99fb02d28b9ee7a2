//! Answers a compare: what this receiver holds, directory by directory.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::prelude::*;
use tokio::sync::mpsc;

use super::connection::Ended;
use super::set::{ReplicaSet, Session};
use crate::engine::lock;
use crate::engine::pool::Panicked;
use crate::engine::speak::speak;
use crate::fs::{Root, Scan, read_record};
use crate::link::{FrameReader, FrameWriter, LinkError};
use crate::model::{Attrs, Entry, Kind, Manifest, Record, RelPath};
use crate::wire::{Compare, Message};

/// How many bytes of a list go into one frame, about.
const FRAME_FILL: usize = 192 * 1024;

/// Lists that wait for the network.
const QUEUE: usize = 4;

/// What ends a compare.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    /// The link broke, or the source went silent.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Nobody takes the answer: what writes it knows why.
    #[error("nobody takes the answer")]
    Unheard,
    /// A bug.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The peer broke the protocol.
    #[error("a compare was answered with a frame that does not belong there")]
    Protocol,
}

/// Where the answer goes.
type Say = mpsc::Sender<Message>;

/// Serves the compare that `head` begins.
///
/// # Errors
/// [`Ended`] when the link breaks, the peer goes silent or breaks the protocol.
pub(crate) async fn serve(
    set: &Arc<ReplicaSet>,
    session: &Session,
    head: &Compare,
    reader: FrameReader,
    writer: FrameWriter,
) -> Result<(), Ended> {
    let (say, told) = mpsc::channel(QUEUE);
    let speaking = speak(writer, told);
    tokio::pin!(speaking);
    let answered = tokio::select! {
        biased;
        answered = answer(set, session, head, reader, say) => answered,
        spoken = &mut speaking => return Ok(spoken?),
    };
    match answered {
        Ok(()) | Err(CompareError::Unheard) => Ok(speaking.await?),
        // What is not written yet goes with the stream.
        Err(CompareError::Link(e)) => Err(e.into()),
        Err(CompareError::Protocol) => Err(Ended::Protocol("a frame that does not belong into a compare")),
        Err(CompareError::Panicked(e)) => {
            tracing::error!(set = set.config.name, "{e}");
            Ok(())
        }
    }
}

/// What a compare is answered from.
#[derive(Clone)]
enum Held {
    /// What was agreed, brought up to what is there: the source repairs what differs.
    Agreed(Arc<ReplicaSet>),
    /// What was found by reading everything. Nobody repairs it, so that what was agreed stays as it
    /// was: this receiver has to find the same difference when it is asked.
    Found(Arc<Mutex<Manifest>>),
}

impl Held {
    async fn look(set: &Arc<ReplicaSet>, attrs: Attrs, deep: bool) -> Result<Self, Panicked> {
        if deep {
            return Ok(Self::Found(Arc::new(Mutex::new(set.read_all(attrs).await?))));
        }
        set.look_at_all(attrs).await?;
        Ok(Self::Agreed(set.clone()))
    }

    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        match self {
            Self::Agreed(set) => set.manifest(),
            Self::Found(manifest) => lock(manifest),
        }
    }
}

/// Looks at the whole tree and tells the source what is there; with `deep`, reads all content and
/// notes nothing.
///
/// # Errors
/// [`CompareError`]; nothing has changed then.
async fn answer(
    set: &Arc<ReplicaSet>,
    session: &Session,
    head: &Compare,
    mut reader: FrameReader,
    say: Say,
) -> Result<(), CompareError> {
    if let Err(nack) = set.admit_compare(session.id, head.epoch).await {
        return tell(&say, Message::Nack(nack)).await;
    }
    let held = Held::look(set, session.attrs, head.deep).await?;
    send_digests(set, &held, session.attrs, &say).await?;
    let mut wanted = Vec::new();
    loop {
        match reader.read().await? {
            Some(Message::WantDirs(dirs)) => wanted.extend(dirs),
            Some(Message::End) => break,
            Some(Message::Working | Message::Unknown(_)) => {}
            _ => return Err(CompareError::Protocol),
        }
    }
    tokio::select! {
        biased;
        sent = send_entries(set, held, wanted, say.clone()) => sent?,
        gone = gone(&mut reader, session) => return Err(gone),
    }
    tell(&say, Message::End).await
}

async fn tell(say: &Say, message: Message) -> Result<(), CompareError> {
    say.send(message).await.map_err(|_| CompareError::Unheard)
}

/// Waits until the source, which reads as fast as it can compare, no longer says that it does.
async fn gone(reader: &mut FrameReader, session: &Session) -> CompareError {
    loop {
        match reader.read().await {
            Ok(Some(Message::Working | Message::Unknown(_))) => {}
            Ok(Some(_)) => return CompareError::Protocol,
            // It has read everything, or nothing more will be read.
            Ok(None) => {
                let (peer, after) = (session.link.remote_address(), session.link.patience());
                tokio::time::sleep(after).await;
                return LinkError::Stalled { peer, after }.into();
            }
            Err(e) => return e.into(),
        }
    }
}

async fn send_digests(set: &ReplicaSet, held: &Held, attrs: Attrs, say: &Say) -> Result<(), CompareError> {
    let digests = {
        let held = held.clone();
        set.pool.run(move || {
            let mut manifest = held.manifest();
            let dirs: Vec<RelPath> = manifest.dirs().cloned().collect();
            dirs.into_iter()
                .map(|dir| {
                    let digest = manifest.dir_digest(&dir, attrs);
                    (dir, digest)
                })
                .collect::<Vec<_>>()
        })
    };
    let mut part = Vec::new();
    let mut filled = 0;
    for (dir, digest) in digests.await? {
        filled += dir.as_bytes().len() + 40;
        part.push((dir, digest));
        if filled > FRAME_FILL {
            tell(say, Message::DirDigests(std::mem::take(&mut part))).await?;
            filled = 0;
        }
    }
    tell(say, Message::DirDigests(part)).await?;
    tell(say, Message::End).await
}

async fn send_entries(set: &Arc<ReplicaSet>, held: Held, wanted: Vec<RelPath>, say: Say) -> Result<(), CompareError> {
    let reader = set.clone();
    let listing = set.pool.run(move || {
        for dir in wanted {
            for part in list(&reader.root(), &held, &dir) {
                // Nobody hears it any more: the thread is for others.
                if say.blocking_send(Message::Entries { dir: dir.clone(), entries: part }).is_err() {
                    return;
                }
            }
        }
    });
    Ok(listing.await?)
}

type Entries = Vec<(Vec<u8>, Entry)>;

/// The entries of `dir` in parts that fit a frame, with every file's hash; at least one part.
fn list(root: &Root, held: &Held, dir: &RelPath) -> Vec<Entries> {
    let unread: Vec<RelPath> = {
        let manifest = held.manifest();
        let unread = manifest.children(dir).filter(|(_, r)| !r.entry.is_hashed());
        unread.filter_map(|(name, _)| dir.join(name).ok()).collect()
    };
    let read: Vec<(RelPath, Record)> =
        unread.into_par_iter().filter_map(|path| Some((path.clone(), read_record(root, &path)?))).collect();
    let mut manifest = held.manifest();
    for (path, record) in read {
        take_hash(&mut manifest, &path, &record);
    }
    let own = manifest.get(dir).filter(|_| dir.is_root()).map(|r| (b".".to_vec(), r.entry.clone()));
    let mut parts = vec![Entries::new()];
    let mut filled = 0;
    for (name, entry) in own.into_iter().chain(manifest.children(dir).map(|(n, r)| (n.to_vec(), r.entry.clone()))) {
        filled += name.len() + 128 + entry.xattrs.iter().map(|x| x.name.len() + x.value.len() + 8).sum::<usize>();
        if filled > FRAME_FILL {
            parts.push(Entries::new());
            filled = 0;
        }
        if let Some(part) = parts.last_mut() {
            part.push((name, entry));
        }
    }
    parts
}

/// Notes the content that `read` found at `path`, when it is still what the manifest shows.
fn take_hash(manifest: &mut Manifest, path: &RelPath, read: &Record) {
    if let Some(known) = manifest.get(path).filter(|known| known.is_current(read)).cloned() {
        let entry = Entry { node: read.entry.node.clone(), ..known.entry };
        manifest.insert(path, Record { entry, ..known });
    }
}

/// Brings `manifest` up to what `found` shows: what stat shows unchanged, and extended attributes
/// where `attrs` ask for them, stays as it was agreed, all else is taken as it is, with its content
/// unread. Returns the paths at which it was unlike.
pub(crate) fn take_scan(manifest: &mut Manifest, found: Scan, attrs: Attrs) -> BTreeSet<RelPath> {
    // What was agreed upon before attributes were asked for says nothing of them. Where they were, a
    // change moves ctime, and what the disk made of them is no difference.
    let asked = |known: &Record, now: &Record| {
        !attrs.has(Attrs::XATTRS) || !known.entry.xattrs.is_empty() || now.entry.xattrs.is_empty()
    };
    let is_known = |known: &Record, now: &Record| known.is_current(now) && asked(known, now);
    let mut unlike = BTreeSet::new();
    let mut seen = HashSet::with_capacity(found.records.len());
    for (path, now) in found.records {
        let known = manifest.get(&path);
        if !known.is_some_and(|known| is_known(known, &now)) {
            if known.is_some_and(|known| known.entry.is_dir()) && !now.entry.is_dir() {
                unlike.extend(manifest.remove(&path).into_iter().map(|(path, _)| path));
            }
            manifest.insert(&path, now);
            unlike.insert(path.clone());
        }
        seen.insert(path);
    }
    let unknown = |path: &RelPath| found.problems.iter().any(|(at, _)| path.is_within(at));
    let gone: Vec<RelPath> =
        manifest.iter().map(|(path, _)| path).filter(|path| !seen.contains(path) && !unknown(path)).collect();
    for path in gone {
        unlike.extend(manifest.remove(&path).into_iter().map(|(path, _)| path));
    }
    unlike
}

/// Reads the content of every file of `manifest` anew.
pub(crate) fn read_content(manifest: &mut Manifest, root: &Root) {
    let files = manifest.iter().filter(|(_, record)| record.entry.kind() == Kind::File);
    let files: Vec<RelPath> = files.map(|(path, _)| path).collect();
    let read: Vec<(RelPath, Record)> =
        files.into_par_iter().filter_map(|path| Some((path.clone(), read_record(root, &path)?))).collect();
    for (path, record) in read {
        take_hash(manifest, &path, &record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Meta, Node, Stamp, Timestamp};

    fn path(text: &str) -> RelPath {
        if text == "." { RelPath::root() } else { RelPath::parse(text.as_bytes()).expect("valid") }
    }

    fn record(ino: u64, node: Node) -> Record {
        let stamp = Stamp { dev: 1, ino, ctime: Timestamp::default(), nlink: 1 };
        Record { entry: Entry { node, meta: Meta::default(), xattrs: Vec::new(), link: None }, stamp: Some(stamp) }
    }

    fn file(ino: u64, hash: Option<Digest>) -> Record {
        record(ino, Node::File { size: 1, hash })
    }

    fn agreed() -> Manifest {
        let mut manifest = Manifest::new();
        let read = Some(Digest::of(b"x"));
        for (at, record) in [(".", record(1, Node::Dir)), ("d", record(2, Node::Dir)), ("d/a", file(3, read))] {
            manifest.insert(&path(at), record);
        }
        for (at, ino) in [("d/b", 4), ("e", 5)] {
            manifest.insert(&path(at), file(ino, read));
        }
        manifest
    }

    fn names(paths: &BTreeSet<RelPath>) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_agreed_stays_and_all_else_is_taken_unread() {
        let mut manifest = agreed();
        let records = [
            (".", record(1, Node::Dir)),
            ("d", record(2, Node::Dir)),
            ("d/a", file(3, None)),
            ("d/b", file(9, None)),
            ("new", file(7, None)),
        ];
        let records = records.into_iter().map(|(at, record)| (path(at), record)).collect();
        let unlike = take_scan(&mut manifest, Scan { records, problems: Vec::new() }, Attrs::ARCHIVE);
        assert_eq!(names(&unlike), ["d/b", "e", "new"]);
        assert!(manifest.entry(&path("d/a")).expect("there").is_hashed());
        assert!(!manifest.entry(&path("d/b")).expect("there").is_hashed());
        assert!(manifest.get(&path("e")).is_none());
        assert_eq!(manifest.len(), 4);
    }

    #[test]
    fn a_directory_that_became_a_file_takes_along_what_was_in_it() {
        let mut manifest = agreed();
        let records = [(".", record(1, Node::Dir)), ("d", file(8, None)), ("e", file(5, None))];
        let records = records.into_iter().map(|(at, record)| (path(at), record)).collect();
        let unlike = take_scan(&mut manifest, Scan { records, problems: Vec::new() }, Attrs::ARCHIVE);
        assert_eq!(names(&unlike), ["d", "d/a", "d/b"]);
        assert_eq!(manifest.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_stays_as_agreed() {
        let mut manifest = agreed();
        let records = [(".", record(1, Node::Dir)), ("d", record(2, Node::Dir)), ("e", file(5, None))];
        let records = records.into_iter().map(|(at, record)| (path(at), record)).collect();
        let problems = vec![(path("d"), std::io::Error::from(std::io::ErrorKind::PermissionDenied))];
        assert!(take_scan(&mut manifest, Scan { records, problems }, Attrs::ARCHIVE).is_empty());
        assert_eq!(manifest.len(), 4);
    }
}
