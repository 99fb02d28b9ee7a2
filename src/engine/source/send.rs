//! Sends one change set and waits for its acknowledgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::content::{Frames, Producer};
use super::rsync::Failure;
use super::set::{SourceSet, Target};
use crate::engine::names::Names;
use crate::link::{FrameReader, FrameWriter, Link, LinkError};
use crate::model::{Change, Entry, RelPath};
use crate::observe::Unit;
use crate::plan::{Plan, plan};
use crate::session::Sending;
use crate::wire::{Ack, ChangeSet, Message, Nack, WORKING_EVERY};

/// Frames that wait for the network: bounds the memory of a sender together with a frame's size.
const QUEUE: usize = 16;

/// How it went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Live at the peer.
    Acknowledged(Ack),
    /// There was nothing to send: the peer holds all of it already.
    Empty,
    /// Not live.
    Refused(Nack),
}

/// What became of one name.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Once the change set is live the peer holds this there.
    Sent(RelPath, Option<Entry>),
    /// It could not be read.
    Unsendable(RelPath, String),
    /// It was sent, and nobody can tell what the peer holds there once the change set is live.
    Doubtful(RelPath),
}

/// Why it did not go at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The link broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The peer broke the protocol.
    #[error("the peer answered a change set with {0}")]
    Unexpected(&'static str),
    /// rsync, which carries it here, came to nothing.
    #[error(transparent)]
    Rsync(#[from] Failure),
    /// A bug.
    #[error(transparent)]
    Panicked(#[from] crate::engine::pool::Panicked),
}

/// Sends what `sending` names to `target` over `link`, on `channel`.
///
/// # Errors
/// [`SendError`]: nothing is known about what became of the change set then.
pub(crate) async fn send(
    set: &Arc<SourceSet>,
    target: &Target,
    link: &Link,
    channel: u32,
    sending: Sending,
) -> Result<(Outcome, Vec<Settled>), SendError> {
    let mut head = ChangeSet {
        channel,
        epoch: sending.epoch,
        number: sending.number,
        deletions_approved: sending.deletions_approved,
        users: Vec::new(),
        groups: Vec::new(),
    };
    let planned = {
        let set = set.clone();
        set.pool.clone().run(move || Planned::make(&set, sending)).await?
    };
    let Planned { plan, mut settled, users, groups, number } = planned;
    target.channel().handle_planned(&plan);
    let steps = plan.steps;
    for step in &steps {
        tracing::trace!(set = set.config.name, peer = %target, generation = head.number, ?step, "planned");
    }
    if steps.is_empty() {
        return Ok((Outcome::Empty, settled.into_values().collect()));
    }
    (head.users, head.groups) = (users, groups);
    let (mut writer, reader) = link.open_stream().await?;
    writer.write(&Message::ChangeSet(head)).await?;
    let (frames_tx, frames_rx) = mpsc::channel::<Bytes>(QUEUE);
    let (signature_tx, signature_rx) = std_mpsc::channel();
    let read = Arc::new(AtomicU64::new(0));
    let signatures = Mutex::new(signature_rx);
    let frames = Frames { out: frames_tx, compression: target.compression, signatures, read: read.clone() };
    let progress = set.monitor.task(format!("{}: sending to {target}", set.config.name), Unit::Entries);
    progress.set_total(steps.len() as u64);
    let producing = {
        let (set, warm) = (set.clone(), target.warm.clone());
        let pool = set.pool.clone();
        async move {
            pool.run(move || {
                let root = set.root();
                let producer = Producer {
                    look: set.look(&root),
                    index: &set.index,
                    warm: &warm,
                    frames: &frames,
                    progress: &progress,
                };
                producer.produce(steps)
            })
            .await
        }
    };
    let transmit = transmit(writer, frames_rx, read);
    let answers = answers(reader, signature_tx);
    tokio::pin!(answers);
    let sending = async { tokio::join!(producing, transmit) };
    tokio::pin!(sending);
    // An answer before the end is a refusal: there is no use in sending the rest.
    let (produced, writer) = tokio::select! {
        (produced, writer) = &mut sending => (produced?, writer),
        answer = &mut answers => return match answer? {
            Message::Nack(nack) => Ok((Outcome::Refused(nack), Vec::new())),
            _ => Err(SendError::Unexpected("an early acknowledgement")),
        },
    };
    let (Ok(produced), Ok(mut writer)) = (produced, writer) else {
        // The peer stopped the stream: it has said why, or the link is gone.
        return match answers.await? {
            Message::Nack(nack) => Ok((Outcome::Refused(nack), Vec::new())),
            _ => Err(SendError::Unexpected("a closed stream")),
        };
    };
    set.overtaken(target, produced.unlike).await;
    let root = if produced.unsendable.is_empty() && produced.doubtful.is_empty() {
        set.provable_root(number, &produced.sent)
    } else {
        None
    };
    writer.write(&Message::ChangeSetEnd { ops: produced.ops, root }).await?;
    writer.finish()?;
    settled.extend(produced.sent.into_iter().map(|(p, e)| (p.clone(), Settled::Sent(p, e))));
    settled.extend(produced.unsendable.into_iter().map(|(p, c)| (p.clone(), Settled::Unsendable(p, c))));
    settled.extend(produced.doubtful.into_iter().map(|p| (p.clone(), Settled::Doubtful(p))));
    let settled = settled.into_values().collect();
    match answers.await? {
        Message::Ack(ack) => Ok((Outcome::Acknowledged(ack), settled)),
        Message::Nack(nack) => Ok((Outcome::Refused(nack), settled)),
        _ => Err(SendError::Unexpected("something else")),
    }
}

/// Sends frames as they come. While none comes the peer is told so, as long as there is progress:
/// before the first, when other work of the set may have to end, and then whenever something was
/// `read`. A disk that hangs must not hold up the peer.
async fn transmit(
    mut writer: FrameWriter,
    mut frames: mpsc::Receiver<Bytes>,
    read: Arc<AtomicU64>,
) -> Result<FrameWriter, LinkError> {
    let mut seen = None;
    loop {
        let now = read.load(Ordering::Relaxed);
        match timeout(WORKING_EVERY, frames.recv()).await {
            Ok(Some(frame)) => {
                seen = Some(now);
                writer.write_raw(frame).await?;
            }
            Ok(None) => return Ok(writer),
            Err(_) if seen.is_some_and(|seen| seen == read.load(Ordering::Relaxed)) => {}
            Err(_) => {
                seen = seen.map(|_| read.load(Ordering::Relaxed));
                writer.write(&Message::Working).await?;
            }
        }
    }
}

/// Reads what comes back until the change set is decided; signatures go to the producer.
async fn answers(mut reader: FrameReader, signatures: std_mpsc::Sender<Option<Bytes>>) -> Result<Message, SendError> {
    loop {
        match reader.read().await? {
            Some(Message::Signature(part)) => drop(signatures.send(Some(part))),
            Some(Message::End) => drop(signatures.send(None)),
            Some(Message::Working | Message::Unknown(_)) => {}
            Some(message) => return Ok(message),
            None => return Err(SendError::Unexpected("the end of the stream")),
        }
    }
}

/// The plan of a change set and what its head says.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// What becomes of each name, as far as that can be said before anything was read.
    pub(super) settled: BTreeMap<RelPath, Settled>,
    users: Vec<(u32, String)>,
    groups: Vec<(u32, String)>,
    /// The generation of the index that it was made from.
    number: u64,
}

impl Planned {
    pub(super) fn make(set: &SourceSet, sending: Sending) -> Self {
        let index = set.index.lock();
        let number = index.number();
        let changes: BTreeMap<RelPath, Change> = sending
            .names
            .into_iter()
            .map(|(path, base)| {
                let now = index.manifest().entry(&path).cloned();
                (path, Change { base, now })
            })
            .collect();
        drop(index);
        let options = &set.config.options;
        let halted = set.deletions_halted();
        let mut plan = plan(&changes, &sending.moves, options.attrs, set.deletes() && !halted);
        let withheld: BTreeSet<&RelPath> = plan.withheld.iter().collect();
        let settled = changes
            .iter()
            .filter(|(path, _)| !(halted && withheld.contains(path)))
            .map(|(path, change)| {
                // What the configuration never deletes stays there, and that is settled.
                let stays = withheld.contains(path);
                let entry = if stays { change.base.entry().cloned() } else { change.now.clone() };
                (path.clone(), Settled::Sent(path.clone(), entry))
            })
            .collect();
        if !halted {
            // Nobody will ever release it: it waits for nothing.
            plan.withheld.clear();
        }
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        if !options.numeric_ids {
            let ids: BTreeSet<(u32, u32)> =
                changes.values().filter_map(|c| c.now.as_ref()).map(|e| (e.meta.uid, e.meta.gid)).collect();
            (users, groups) = Names::read().of(&ids);
        }
        Self { plan, settled, users, groups, number }
    }
}
