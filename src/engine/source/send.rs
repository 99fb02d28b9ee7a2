//! Sends one change set and waits for its acknowledgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::content::{Frames, Producer};
use super::left_out::take_left_out;
use super::rsync::Failure;
use super::set::{SourceSet, Target};
use crate::engine::lock;
use crate::engine::names::Names;
use crate::link::{FrameReader, FrameWriter, Link, LinkError};
use crate::model::{Attrs, Base, Change, Entry, RelPath};
use crate::observe::Unit;
use crate::plan::{Plan, plan};
use crate::session::{Pace, Sending};
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
    /// It neither travels nor goes any more: the peer keeps what it holds.
    Kept(RelPath),
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
    target: &Arc<Target>,
    link: &Link,
    pace: Option<&Mutex<Pace>>,
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
        let (set, target) = (set.clone(), target.clone());
        set.pool.clone().run(move || Planned::make(&set, sending, &|path| target.leaves_out(path))).await?
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
    let transmit = transmit(writer, frames_rx, read, pace);
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
    pace: Option<&Mutex<Pace>>,
) -> Result<FrameWriter, LinkError> {
    let mut seen = None;
    loop {
        let now = read.load(Ordering::Relaxed);
        match timeout(WORKING_EVERY, frames.recv()).await {
            Ok(Some(frame)) => {
                seen = Some(now);
                if let Some(pace) = pace {
                    let due = lock(pace).take(Instant::now(), frame.len());
                    wait(&mut writer, due).await?;
                }
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

/// Waits until `due`, and says so.
async fn wait(writer: &mut FrameWriter, due: Instant) -> Result<(), LinkError> {
    while timeout(WORKING_EVERY, sleep_until(due.into())).await.is_err() {
        writer.write(&Message::Working).await?;
    }
    Ok(())
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
    /// Of a path that `leaves_out` names nothing travels, a directory apart.
    pub(super) fn make(set: &SourceSet, sending: Sending, leaves_out: &dyn Fn(&RelPath) -> bool) -> Self {
        let root = set.root();
        let index = set.index.lock();
        let number = index.number();
        let options = &set.config.options;
        let mut changes: BTreeMap<RelPath, Change> = sending
            .names
            .into_iter()
            .map(|(path, base)| {
                let now = index.manifest().entry(&path).cloned();
                (path, Change { base, now })
            })
            .collect();
        let kept = take_left_out(&mut changes, &index, &set.filter, &root);
        drop(index);
        let mut left = leave(&mut changes, options.attrs);
        left.extend(kept.into_iter().map(|path| (path.clone(), Settled::Kept(path))));
        changes.retain(|path, change| {
            let stays = leaves_out(path) && !change.now.as_ref().is_some_and(Entry::is_dir);
            if stays {
                left.push((path.clone(), Settled::Sent(path.clone(), change.now.clone())));
            }
            !stays
        });
        let halted = set.deletions_halted() || (sending.withholds && set.deletes());
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
            .chain(left)
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
            users.retain(|(id, _)| !options.rewrite.is_numeric_user(*id));
            groups.retain(|(id, _)| !options.rewrite.is_numeric_group(*id));
        }
        Self { plan, settled, users, groups, number }
    }
}

/// Takes out what the peer keeps as it has it, which is settled with that.
fn leave(changes: &mut BTreeMap<RelPath, Change>, attrs: Attrs) -> Vec<(RelPath, Settled)> {
    if !attrs.has_some(Attrs::EXISTING_ONLY.with(Attrs::NEW_ONLY)) {
        return Vec::new();
    }
    let stays = |change: &Change| match &change.base {
        Base::Known(base) => !attrs.wants(change.now.as_ref().map(Entry::kind), base.as_ref().map(Entry::kind)),
        // The receiver knows.
        Base::Unknown => false,
    };
    let left: Vec<RelPath> = changes.iter().filter(|(_, change)| stays(change)).map(|(p, _)| p.clone()).collect();
    let settled = |path: RelPath| {
        let base = changes.remove(&path)?.base.entry().cloned();
        Some((path.clone(), Settled::Sent(path, base)))
    };
    left.into_iter().filter_map(settled).collect()
}
