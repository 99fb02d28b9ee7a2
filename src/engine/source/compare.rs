//! Asks a peer what it holds and works out where it differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::merge::{self, Difference, Theirs};
use super::rsync::Failure;
use super::set::{SharedIndex, SourceSet};
use crate::engine::differences::{Found, describe};
use crate::engine::pool::Panicked;
use crate::engine::speak::speak;
use crate::link::{FrameReader, Link, LinkError};
use crate::model::{Digest, Epoch, RelPath};
use crate::observe::Unit;
use crate::wire::{self, Message};

/// Paths in one frame of [`Message::WantDirs`], at most; a path has up to 16 KiB.
const WANT_FILL: usize = 192 * 1024;

/// Questions that wait for the network.
const QUEUE: usize = 4;

/// Entries that are gathered before they are merged.
const MERGE_AT: usize = 8192;

/// What ends a compare.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// The link broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// rsync, which carries it here, came to nothing.
    #[error(transparent)]
    Rsync(#[from] Failure),
    /// A bug.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The peer refused it.
    #[error("the peer refused the compare: {0}")]
    Refused(String),
    /// The peer broke the protocol.
    #[error("the peer answered a compare with a frame that does not belong there")]
    Protocol,
}

/// Every path at which the peer differs from the index, with what the peer holds there.
///
/// # Errors
/// [`CompareError`].
pub(crate) async fn compare(
    set: &Arc<SourceSet>,
    link: &Link,
    channel: u32,
    epoch: Epoch,
) -> Result<Vec<Difference>, CompareError> {
    compare_with(set, None, link, wire::Compare { channel, epoch, deep: false }).await
}

/// Every path at which the peer differs when both sides read all content again, and how. Nothing is
/// noted on either side: not even that the content here is no longer what the index says.
///
/// # Errors
/// [`CompareError`].
pub(crate) async fn verify(
    set: &Arc<SourceSet>,
    link: &Link,
    channel: u32,
    epoch: Epoch,
) -> Result<Vec<Found>, CompareError> {
    let read = Arc::new(SharedIndex::new(set.index.lock().to_compare()));
    let differences = compare_with(set, Some(read.clone()), link, wire::Compare { channel, epoch, deep: true }).await?;
    let attrs = set.config.options.attrs;
    let index = read.lock();
    let found = |(path, theirs): Difference| {
        let what = describe(index.manifest().entry(&path), theirs.as_ref(), attrs);
        Found { path, what }
    };
    Ok(differences.into_iter().map(found).collect())
}

/// The same for both: compares with `read`, into which all content is read, or with the index.
async fn compare_with(
    set: &Arc<SourceSet>,
    read: Option<Arc<SharedIndex>>,
    link: &Link,
    head: wire::Compare,
) -> Result<Vec<Difference>, CompareError> {
    let (mut writer, reader) = link.open_stream().await?;
    writer.write(&Message::Compare(head)).await?;
    let here = Here { set: set.clone(), read };
    let (say, told) = mpsc::channel(QUEUE);
    let (speaking, asking) = (speak(writer, told), ask(&here, reader, say));
    tokio::pin!(speaking, asking);
    // It goes on speaking until everything is read: reading pauses wherever content is compared.
    tokio::select! {
        biased;
        differences = &mut asking => return differences,
        // The peer has heard enough, or is gone: reading tells which.
        _ = &mut speaking => {}
    }
    asking.await
}

/// Asks for what the peer holds where it is unlike what is here.
async fn ask(
    here: &Here,
    mut reader: FrameReader,
    say: mpsc::Sender<Message>,
) -> Result<Vec<Difference>, CompareError> {
    let progress = here.set.monitor.task(format!("{}: comparing", here.set.config.name), Unit::Entries);
    if here.read.is_some() {
        here.on_pool(|set, index| {
            let root = set.root();
            merge::read_all(&set.look(&root), index);
        })
        .await?;
    }
    let theirs = Arc::new(digests(&mut reader).await?);
    let (wanted, mut differences) = {
        let theirs = theirs.clone();
        here.on_pool(move |set, index| {
            let wanted = merge::wanted(index, &theirs, &set.config.options, &set.filter);
            (wanted, merge::only_here(index, &theirs, set.config.options.attrs))
        })
        .await?
    };
    for message in parts(&wanted).into_iter().map(Message::WantDirs).chain([Message::End]) {
        // Where nobody hears it, reading tells why.
        let _ = say.send(message).await;
    }
    let mut gathered: BTreeMap<RelPath, Theirs> = BTreeMap::new();
    let mut count = 0;
    let mut last = None;
    loop {
        let (dir, entries) = match reader.read().await? {
            Some(Message::Entries { dir, entries }) => (dir, entries),
            Some(Message::End) => break,
            Some(Message::Working | Message::Unknown(_)) => continue,
            Some(Message::Nack(nack)) => return Err(CompareError::Refused(nack.cause)),
            _ => return Err(CompareError::Protocol),
        };
        // A directory may come in several frames: only those before the newest are complete.
        if count > MERGE_AT && last.as_ref() != Some(&dir) {
            differences.extend(merge_all(here, std::mem::take(&mut gathered)).await?);
            count = 0;
        }
        count += entries.len();
        progress.advance(entries.len() as u64);
        last = Some(dir.clone());
        gathered.entry(dir).or_default().extend(entries);
    }
    differences.extend(merge_all(here, gathered).await?);
    Ok(differences)
}

async fn digests(reader: &mut FrameReader) -> Result<BTreeMap<RelPath, Option<Digest>>, CompareError> {
    let mut theirs = BTreeMap::new();
    loop {
        match reader.read().await? {
            Some(Message::DirDigests(part)) => theirs.extend(part),
            Some(Message::End) => return Ok(theirs),
            Some(Message::Working | Message::Unknown(_)) => {}
            Some(Message::Nack(nack)) => return Err(CompareError::Refused(nack.cause)),
            _ => return Err(CompareError::Protocol),
        }
    }
}

async fn merge_all(here: &Here, gathered: BTreeMap<RelPath, Theirs>) -> Result<Vec<Difference>, CompareError> {
    let merged = here.on_pool(move |set, index| {
        let root = set.root();
        let look = set.look(&root);
        gathered.into_iter().flat_map(|(dir, theirs)| merge::differences(&look, index, &dir, theirs)).collect()
    });
    Ok(merged.await?)
}

fn parts(dirs: &[RelPath]) -> Vec<Vec<RelPath>> {
    let mut parts: Vec<Vec<RelPath>> = Vec::new();
    let mut filled = WANT_FILL;
    for dir in dirs {
        filled += dir.as_bytes().len() + 4;
        if filled > WANT_FILL {
            parts.push(Vec::new());
            filled = dir.as_bytes().len() + 4;
        }
        if let Some(part) = parts.last_mut() {
            part.push(dir.clone());
        }
    }
    parts
}

/// This side of a compare.
struct Here {
    set: Arc<SourceSet>,
    /// What to compare with instead of the set's index.
    read: Option<Arc<SharedIndex>>,
}

impl Here {
    async fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SourceSet, &SharedIndex) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (set, read) = (self.set.clone(), self.read.clone());
        let pool = set.pool.clone();
        pool.run(move || work(&set, read.as_deref().unwrap_or(&set.index))).await
    }
}
