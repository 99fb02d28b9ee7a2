//! Receives one change set: frames off the network, file work on the pool, one commit at the end.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ServeError;
use super::connection::Ended;
use super::screen::Screen;
use super::set::{ReplicaSet, Session};
use super::signature;
use super::touched::Touched;
use crate::apply::{ApplyError, Staging};
use crate::delta::BlockSize;
use crate::engine::pool::Panicked;
use crate::engine::speak::speak;
use crate::link::{FrameReader, FrameWriter, LinkError};
use crate::model::{Attrs, Content, Digest, Entry, Epoch, Generation, Op, RelPath};
use crate::process::ProgramError;
use crate::store::StoreError;
use crate::wire::{Ack, ChangeSet, Failed, FileBegin, Message, Nack, NackCode};

/// Frames of operations that are staged at the same time.
const PARALLEL: usize = 4;

/// Pieces of one large file that wait for the disk.
const PIECES: usize = 8;

/// Answers that wait for the network.
const ANSWERS: usize = 4;

/// How much of a hole is hashed, in bytes, between two looks at whether the sender is still there.
const HOLE_PART: u64 = 64 << 20;

/// What ends a change set before its commit.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// It cannot be staged; the peer is told.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The link broke, or the source went silent: nothing of it stays.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A bug.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The peer broke the protocol.
    #[error("the change set broke the protocol: {0}")]
    Protocol(&'static str),
    /// The session may not write any longer.
    #[error("{}", .0.cause)]
    Over(Nack),
    /// The tree is another one than what was agreed is about.
    #[error("the tree there is another one than before")]
    Moved,
    /// There is no tree to write to.
    #[error(transparent)]
    Root(#[from] ServeError),
    /// The store cannot keep what has to be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operator's command does not let it go live.
    #[error("`pre-xfer exec` refuses it: {0}")]
    Xfer(ProgramError),
}

/// Receives the change set that `head` begins and answers it.
///
/// # Errors
/// [`Ended`] when the link breaks, when the source goes silent, or when only a full compare can tell
/// what is on disk; whatever else goes wrong is told to the peer as a nack.
pub(crate) async fn receive(
    set: &Arc<ReplicaSet>,
    session: &Session,
    head: ChangeSet,
    reader: FrameReader,
    writer: FrameWriter,
) -> Result<(), Ended> {
    let (say, told) = mpsc::channel(ANSWERS);
    let speaking = speak(writer, told);
    tokio::pin!(speaking);
    let receiving = decide(set, session, head, reader, say);
    tokio::pin!(receiving);
    let mut spoken = None;
    let received = loop {
        tokio::select! {
            biased;
            received = &mut receiving => break received,
            // Nobody listens any more: reading will tell why.
            ended = &mut speaking, if spoken.is_none() => spoken = Some(ended),
        }
    };
    let spoken = match spoken {
        Some(spoken) => spoken,
        // Who does not read its answer has it when it connects anew.
        None => timeout(session.link.patience(), speaking).await.unwrap_or(Ok(())),
    };
    received?;
    Ok(spoken?)
}

async fn decide(
    set: &Arc<ReplicaSet>,
    session: &Session,
    head: ChangeSet,
    mut reader: FrameReader,
    say: mpsc::Sender<Message>,
) -> Result<(), Ended> {
    if let Err(nack) = set.admit(session.id, head.epoch).await {
        answer(session, say, Message::Nack(nack)).await;
        return Ok(());
    }
    let (made, staging) = match set.begin(session, &head).await {
        Ok(staging) => (make(set, session, &head, &staging, &mut reader, &say).await, Some(staging)),
        Err(e) => (Err(e), None),
    };
    let mut ended = Ok(());
    match made {
        Ok(ack) => answer(session, say, Message::Ack(ack)).await,
        Err(e) => {
            set.dropped(session.id);
            match e {
                IncomingError::Link(e @ LinkError::Stalled { .. }) => {
                    let (code, cause) = (NackCode::Local, e.to_string());
                    let nack = Nack { code, newest: set.position().0, paths: Vec::new(), cause };
                    answer(session, say, Message::Nack(nack)).await;
                    ended = Err(e.into());
                }
                IncomingError::Link(e) => ended = Err(e.into()),
                e if matches!(e, IncomingError::Apply(ApplyError::Durability { .. })) => {
                    set.refuse(&e);
                    set.recover().await;
                    return Err(Ended::MustCompare(e.to_string()));
                }
                e @ IncomingError::Moved => ended = Err(Ended::MustCompare(e.to_string())),
                e => answer(session, say, Message::Nack(set.refuse(&e))).await,
            }
        }
    }
    if let Some(staging) = staging {
        set.discard(staging).await;
    }
    ended
}

/// Stages the change set and makes it live.
async fn make(
    set: &Arc<ReplicaSet>,
    session: &Session,
    head: &ChangeSet,
    staging: &Arc<Staging>,
    reader: &mut FrameReader,
    say: &mpsc::Sender<Message>,
) -> Result<Ack, IncomingError> {
    let mut touched = Touched::default();
    let mut screen = Screen::new(session.attrs);
    let (root, ops) = stage(set, session, staging, (&mut screen, &mut touched), reader, say).await?;
    // Where something was left out, the tree is not what the source says.
    let root = root.filter(|_| !screen.is_partial());
    set.xfer.before(session).await.map_err(IncomingError::Xfer)?;
    set.may_commit(session.id)?;
    let outcome = set.commit(staging, head, ops, touched).await?;
    let root_matches = match root {
        Some(root) => set.root_digest(session.attrs).await.map(|ours| ours == root),
        None => None,
    };
    let generation =
        Generation { epoch: head.epoch, number: head.number, root: root.filter(|_| root_matches == Some(true)) };
    set.live(session.id, generation);
    set.xfer.after(session);
    let failed = outcome.failed.into_iter().map(|(path, cause)| Failed { path, cause, left_out: false });
    let failed = failed.chain(screen.into_left_out()).collect();
    Ok(Ack { generation, failed, deletions_held: outcome.deletions_held, root_matches })
}

/// Says the last word of a change set.
async fn answer(session: &Session, say: mpsc::Sender<Message>, message: Message) {
    // A peer that takes nothing learns it by a compare, when it is back.
    drop(timeout(session.link.patience(), say.send(message)).await);
}

/// Stages everything up to the end of the change set; returns the root that it names, and how many
/// operations it has. What it touches is noted in `touched`.
async fn stage(
    set: &Arc<ReplicaSet>,
    session: &Session,
    staging: &Arc<Staging>,
    (screen, touched): (&mut Screen, &mut Touched),
    reader: &mut FrameReader,
    say: &mpsc::Sender<Message>,
) -> Result<(Option<Digest>, u64), IncomingError> {
    let mut count = 0u64;
    let mut running: JoinSet<Result<(), IncomingError>> = JoinSet::new();
    loop {
        match reader.read().await? {
            Some(Message::Ops(ops)) => {
                count += ops.len() as u64;
                let ops = pass(set, screen, ops).await?;
                set.note(touched, &ops);
                let alone = !ops.iter().all(is_plain_file);
                let at_most = if alone { 0 } else { PARALLEL - 1 };
                drain(&mut running, at_most).await?;
                let (pool, staging) = (set.pool.clone(), staging.clone());
                running.spawn(async move { Ok(pool.run(move || staging.stage_ops(ops)).await??) });
                if alone {
                    drain(&mut running, 0).await?;
                }
            }
            Some(Message::FileBegin(begin)) if screen.is_unwanted(begin.number) => skip_file(reader).await?,
            Some(Message::FileBegin(begin)) => {
                drain(&mut running, 0).await?;
                large_file(set, staging, begin, reader).await?;
            }
            Some(Message::WantSignature { path, base, block }) => {
                drain(&mut running, 0).await?;
                send_signature(set, session, say, path, base, block).await?;
            }
            Some(Message::ChangeSetEnd { ops, root }) => {
                drain(&mut running, 0).await?;
                return if ops == count {
                    Ok((root, ops))
                } else {
                    Err(IncomingError::Protocol("operations are missing"))
                };
            }
            Some(Message::Working | Message::Unknown(_)) => {}
            Some(_) => return Err(IncomingError::Protocol("a frame that does not belong there")),
            None => return Err(IncomingError::Protocol("it ended early")),
        }
    }
}

/// What of `ops` is for the stage.
async fn pass(set: &Arc<ReplicaSet>, screen: &mut Screen, ops: Vec<Op>) -> Result<Vec<Op>, IncomingError> {
    let (held, mut taken) = (set.clone(), std::mem::replace(screen, Screen::new(Attrs::NONE)));
    let looking = set.pool.run(move || {
        let passed = taken.pass(&held, ops);
        (taken, passed)
    });
    let (taken, passed) = looking.await?;
    *screen = taken;
    Ok(passed?)
}

/// Reads past a content that is for nobody.
async fn skip_file(reader: &mut FrameReader) -> Result<(), IncomingError> {
    loop {
        match reader.read().await? {
            Some(Message::FileEnd { .. } | Message::FileAbort) => return Ok(()),
            Some(Message::Data(_) | Message::Hole { .. } | Message::Copy { .. }) => {}
            Some(Message::Working | Message::Unknown(_)) => {}
            Some(_) => return Err(IncomingError::Protocol("a frame that does not belong into a file")),
            None => return Err(IncomingError::Protocol("it ended inside a file")),
        }
    }
}

/// Files whose directories came before may be staged side by side; everything else in order.
fn is_plain_file(op: &Op) -> bool {
    matches!(op, Op::Put(put) if matches!(put.content, Content::Inline(_)))
}

/// Waits until at most `at_most` pieces of staging still run.
async fn drain(running: &mut JoinSet<Result<(), IncomingError>>, at_most: usize) -> Result<(), IncomingError> {
    while running.len() > at_most {
        if let Some(result) = running.join_next().await {
            result.map_err(|_| Panicked)??;
        }
    }
    Ok(())
}

/// One piece of a large file on its way to the disk.
enum FilePiece {
    Data(bytes::Bytes),
    Hole(u64),
    Copy(u64, u64),
    End(Digest, Box<Entry>),
    Abort,
}

async fn large_file(
    set: &Arc<ReplicaSet>,
    staging: &Arc<Staging>,
    begin: FileBegin,
    reader: &mut FrameReader,
) -> Result<(), IncomingError> {
    let (tx, rx) = mpsc::channel(PIECES);
    let staging = staging.clone();
    let writing = {
        let held = set.clone();
        set.pool.run(move || write_file(&held, &staging, &begin, rx))
    };
    let feeding = feed(reader, tx);
    let (written, fed) = tokio::join!(writing, feeding);
    match written? {
        // All that it knows is that nothing came any more.
        Err(cut @ IncomingError::Protocol(_)) => fed.and(Err(cut)),
        // What the disk said explains why feeding stopped, so that it counts first.
        written => written.and(fed),
    }
}

async fn feed(reader: &mut FrameReader, tx: mpsc::Sender<FilePiece>) -> Result<(), IncomingError> {
    loop {
        let (piece, last) = match reader.read().await? {
            Some(Message::Data(bytes)) => (FilePiece::Data(bytes), false),
            Some(Message::Hole { len }) => (FilePiece::Hole(len), false),
            Some(Message::Copy { offset, len }) => (FilePiece::Copy(offset, len), false),
            Some(Message::FileEnd { hash, entry }) => (FilePiece::End(hash, entry), true),
            Some(Message::FileAbort) => (FilePiece::Abort, true),
            Some(Message::Working | Message::Unknown(_)) => continue,
            Some(_) => return Err(IncomingError::Protocol("a frame that does not belong into a file")),
            None => return Err(IncomingError::Protocol("it ended inside a file")),
        };
        if tx.send(piece).await.is_err() || last {
            return Ok(());
        }
    }
}

fn write_file(
    set: &ReplicaSet,
    staging: &Staging,
    begin: &FileBegin,
    mut pieces: mpsc::Receiver<FilePiece>,
) -> Result<(), IncomingError> {
    let mut file = staging.open_file(&set.manifest(), begin.number, begin.base)?;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            FilePiece::Data(bytes) => file.data(&bytes)?,
            FilePiece::Hole(mut len) => {
                // A few bytes can announce years of work: nobody does it for a sender that is gone.
                while len > 0 {
                    let part = len.min(HOLE_PART);
                    file.hole(part)?;
                    len -= part;
                    if pieces.is_closed() && pieces.is_empty() {
                        return Err(IncomingError::Protocol("it ended inside a file"));
                    }
                }
            }
            FilePiece::Copy(offset, len) => file.copy(offset, len)?,
            FilePiece::End(hash, entry) => return Ok(file.end(hash, *entry)?),
            FilePiece::Abort => {
                file.abort();
                return Ok(());
            }
        }
    }
    Err(IncomingError::Protocol("it ended inside a file"))
}

/// Answers with the block signature of the file at `path`; with an empty one when the receiver
/// does not hold `base` there, upon which the file travels whole.
async fn send_signature(
    set: &Arc<ReplicaSet>,
    session: &Session,
    say: &mpsc::Sender<Message>,
    path: RelPath,
    base: Digest,
    block: u32,
) -> Result<(), IncomingError> {
    let block = BlockSize::try_from(block).map_err(|_| IncomingError::Protocol("a block size out of range"))?;
    let reading = {
        let held = set.clone();
        set.pool.run(move || signature::of(&held.root(), &path, held.record(&path).as_ref(), base, block))
    };
    // What cannot be read now travels whole.
    let parts = reading.await?.unwrap_or_default();
    let after = session.link.patience();
    for part in parts.into_iter().map(Message::Signature).chain([Message::End]) {
        match timeout(after, say.send(part)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(IncomingError::Protocol("it does not take the answer")),
            Err(_) => return Err(LinkError::Stalled { peer: session.link.remote_address(), after }.into()),
        }
    }
    Ok(())
}

/// What the peer is told about `error`.
pub(crate) fn nack(newest: Epoch, error: &IncomingError) -> Nack {
    let (code, paths) = match error {
        IncomingError::Over(nack) => return nack.clone(),
        IncomingError::Apply(ApplyError::ContentNeeded(paths)) => (NackCode::ContentNeeded, paths.clone()),
        IncomingError::Apply(ApplyError::Protocol { .. }) | IncomingError::Protocol(_) => {
            (NackCode::Protocol, Vec::new())
        }
        _ => (NackCode::Local, Vec::new()),
    };
    Nack { code, newest, paths, cause: error.to_string() }
}
