//! Turns the steps of a plan into frames: reads content once, hashes it on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rayon::prelude::*;
use tokio::sync::mpsc::Sender;

use super::index::Index;
use super::refresh::Look;
use super::set::SharedIndex;
use crate::config::Compression;
use crate::delta::{BlockSize, Builder, Cache, Differ, Parser, Piece, Signature, worth_delta};
use crate::engine::lock;
use crate::fs::{Chunk, Opening, Read, Reader, read_small};
use crate::model::{Attrs, Content, Entry, Node, Op, Put, Record, RelPath};
use crate::observe::Task;
use crate::plan::{self, Need, Settled, Step};
use crate::wire;
use crate::wire::{FileBegin, INLINE_MAX, MAX_BODY, Message};

/// How many small files one task reads and packs into frames of their own.
const CHUNK: usize = 64;

/// A frame is closed once it holds this much, in bytes.
const FRAME_FILL: usize = 192 * 1024;

/// What the reading of a change set came to.
#[derive(Debug, Default)]
pub(crate) struct Produced {
    /// How many operations went out.
    pub ops: u64,
    /// What the peer holds at each path once the change set is live.
    pub sent: Vec<(RelPath, Option<Entry>)>,
    /// What could not be read, and why; it is not part of the change set.
    pub unsendable: Vec<(RelPath, String)>,
    /// What was sent as a link to a file that was another when it was read: nobody can tell what the
    /// peer holds there.
    pub doubtful: Vec<RelPath>,
    /// What reading showed to be other than the index says.
    pub unlike: Vec<Unlike>,
}

/// A file that changed between the last look and the reading, or between the reading and the next look.
#[derive(Debug)]
pub(crate) struct Unlike {
    /// The path.
    pub path: RelPath,
    /// What the index showed when the change set was planned.
    pub planned: Entry,
    /// What was read.
    pub read: Record,
    /// Whether reading shows all of it that is replicated.
    pub whole: bool,
}

/// The peer is gone, or sent what it must not.
#[derive(Debug, thiserror::Error)]
#[error("the change set was cut short")]
pub(crate) struct Cut;

/// Where the frames of one change set go.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Encoded frames, towards the network.
    pub out: Sender<Bytes>,
    /// How they are compressed.
    pub compression: Compression,
    /// Parts of the signature that was asked for, none at its end.
    pub signatures: Mutex<Receiver<Option<Bytes>>>,
    /// Counts what was read, so that somebody can tell whether there is progress while no frame comes.
    pub read: Arc<AtomicU64>,
}

impl Frames {
    fn note_read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, message: &Message) -> Result<(), Cut> {
        let frame = match self.compression {
            Compression::Off => wire::encode(message),
            Compression::Zstd(level) => wire::encode_compressed(message, level),
        };
        self.out.blocking_send(frame.map_err(|_| Cut)?).map_err(|_| Cut)
    }

    fn send_ops(&self, ops: &mut Vec<Op>) -> Result<(), Cut> {
        if ops.is_empty() {
            return Ok(());
        }
        self.send(&Message::Ops(std::mem::take(ops)))
    }
}

/// Reads what the steps need and sends it all.
#[derive(Debug)]
pub(crate) struct Producer<'a> {
    /// The set on disk.
    pub look: Look<'a>,
    /// Takes the hashes that reading yields.
    pub index: &'a SharedIndex,
    /// Block signatures of what was sent last.
    pub warm: &'a Mutex<Cache>,
    /// Towards the peer.
    pub frames: &'a Frames,
    /// How many steps are done.
    pub progress: &'a Task,
}

impl Producer<'_> {
    /// Sends all of `steps`.
    ///
    /// # Errors
    /// [`Cut`] when the peer goes away; what was sent so far counts for nothing then.
    pub(crate) fn produce(&self, steps: Vec<Step>) -> Result<Produced, Cut> {
        let mut done = Produced::default();
        let mut small = Vec::new();
        let mut large = Vec::new();
        let mut links = Vec::new();
        let mut ops = Vec::new();
        let mut filled = 0;
        for step in steps {
            let (op, after) = match step {
                Step::Remove { path, kind } => (Op::Remove { path: path.clone(), kind }, (path, None)),
                Step::Rename { from, to } => {
                    done.ops += 1;
                    ops.push(Op::Rename { from, to });
                    continue;
                }
                Step::Put(put) if put.need == Need::Read => {
                    match put.entry.node {
                        Node::File { size, .. } if size > INLINE_MAX => large.push(put),
                        _ => small.push(put),
                    }
                    continue;
                }
                Step::Put(put) => {
                    let base = put.base_hash();
                    let content = match put.need {
                        Need::Link(to) => {
                            links.push((put.path.clone(), to.clone()));
                            Content::Link(to)
                        }
                        Need::Keep | Need::Read => Content::Keep,
                    };
                    let after = (put.path.clone(), Some(put.entry.clone()));
                    (Op::Put(Put { path: put.path, entry: put.entry, content, base }), after)
                }
            };
            filled += op_size(&op);
            ops.push(op);
            done.ops += 1;
            done.sent.push(after);
            if filled > FRAME_FILL {
                self.frames.send_ops(&mut ops)?;
                filled = 0;
            }
        }
        self.frames.send_ops(&mut ops)?;
        self.progress.advance(done.ops);
        self.small_files(&small, &mut done)?;
        for (number, file) in (0..).zip(&large) {
            self.large_file(number, file, &mut done)?;
            self.progress.advance(1);
        }
        done.doubtful = self.doubtful(links, small.iter().chain(&large), &done);
        Ok(done)
    }

    /// Which of `links` may have been made to something else than the plan meant: a file that was read
    /// and was not any more what it was, or not the same as under its other name.
    fn doubtful<'p>(
        &self,
        links: Vec<(RelPath, RelPath)>,
        read: impl Iterator<Item = &'p plan::Put>,
        done: &Produced,
    ) -> Vec<RelPath> {
        if links.is_empty() {
            return Vec::new();
        }
        let planned: BTreeMap<&RelPath, &Entry> = read.map(|put| (&put.path, &put.entry)).collect();
        let sent: BTreeMap<&RelPath, &Entry> =
            done.sent.iter().filter_map(|(path, entry)| Some((path, entry.as_ref()?))).collect();
        let unlike: BTreeSet<&RelPath> = done.unlike.iter().map(|unlike| &unlike.path).collect();
        let index = self.index.lock();
        let inode = |path: &RelPath| index.manifest().get(path).and_then(|r| r.stamp).map(|s| (s.dev, s.ino));
        let stands = |link: &RelPath, to: &RelPath| match (planned.get(to), sent.get(to)) {
            // It did not have to be read: the peer has it as it was planned.
            (None, _) => true,
            (Some(planned), Some(sent)) => {
                let same = planned.meta == sent.meta && is_read(&planned.node, &sent.node);
                same && !unlike.contains(to) && inode(link) == inode(to)
            }
            (Some(_), None) => false,
        };
        links.into_iter().filter(|(link, to)| !stands(link, to)).map(|(link, _)| link).collect()
    }

    fn small_files(&self, files: &[plan::Put], done: &mut Produced) -> Result<(), Cut> {
        let parts: Vec<Produced> =
            files.par_chunks(CHUNK).map(|chunk| self.small_chunk(chunk)).collect::<Result<_, Cut>>()?;
        for part in parts {
            done.ops += part.ops;
            done.sent.extend(part.sent);
            done.unsendable.extend(part.unsendable);
            done.unlike.extend(part.unlike);
        }
        Ok(())
    }

    fn small_chunk(&self, files: &[plan::Put]) -> Result<Produced, Cut> {
        let mut done = Produced::default();
        let mut ops = Vec::with_capacity(files.len());
        let mut filled = 0;
        let mut read = Vec::with_capacity(files.len());
        for file in files {
            self.frames.note_read();
            let (mut record, bytes) = match whole(read_small(self.look.root, &file.path, MAX_BODY as u64 / 2)) {
                Ok(got) => got,
                Err(cause) => {
                    done.unsendable.push((file.path.clone(), cause));
                    continue;
                }
            };
            self.look.options.rewrite.apply(&mut record.entry);
            let entry = as_planned(file, &record);
            done.sent.push((file.path.clone(), Some(entry.clone())));
            read.push((file, record));
            let content = match file.settle(&entry, self.look.options.attrs) {
                Settled::Nothing => continue,
                Settled::Keep => Content::Keep,
                Settled::Content => Content::Inline(bytes),
            };
            let op = Op::Put(Put { path: file.path.clone(), entry, content, base: file.base_hash() });
            done.ops += 1;
            filled += op_size(&op);
            ops.push(op);
            if filled > FRAME_FILL {
                self.frames.send_ops(&mut ops)?;
                filled = 0;
            }
        }
        self.frames.send_ops(&mut ops)?;
        self.progress.advance(files.len() as u64);
        let mut index = self.index.lock();
        for (file, record) in read {
            self.note_read(&mut index, file, record, &mut done);
        }
        Ok(done)
    }

    fn large_file(&self, number: u32, file: &plan::Put, done: &mut Produced) -> Result<(), Cut> {
        let mut reader = match opened(Reader::open(self.look.root, &file.path)) {
            Ok(reader) => reader,
            Err(cause) => {
                done.unsendable.push((file.path.clone(), cause));
                return Ok(());
            }
        };
        let mut record = reader.record().clone();
        self.look.options.rewrite.apply(&mut record.entry);
        let put = Put {
            path: file.path.clone(),
            entry: as_planned(file, &record),
            content: Content::Stream(number),
            base: file.base_hash(),
        };
        self.frames.send(&Message::Ops(vec![Op::Put(put)]))?;
        done.ops += 1;
        let base = self.base_signature(file)?;
        let delta_base = base.as_ref().and(file.base_hash());
        self.frames.send(&Message::FileBegin(FileBegin { number, base: delta_base }))?;
        let (read, signature) = match &base {
            Some(base) => self.delta(&mut reader, base)?,
            None => self.all(&mut reader, size_of(&file.entry))?,
        };
        let read = read.and_then(|()| match reader.finish() {
            Ok((mut record, true)) => {
                self.look.options.rewrite.apply(&mut record.entry);
                Ok(record)
            }
            Ok((_, false)) => Err("it went on changing while it was read".to_owned()),
            Err(cause) => Err(cause.to_string()),
        });
        match read {
            Ok(record) => {
                let entry = as_planned(file, &record);
                let Some(hash) = entry.hash() else { return Err(Cut) };
                self.frames.send(&Message::FileEnd { hash, entry: Box::new(entry.clone()) })?;
                if let Some(signature) = signature {
                    lock(self.warm).put(hash, Arc::new(signature));
                }
                self.note_read(&mut self.index.lock(), file, record, done);
                done.sent.push((file.path.clone(), Some(entry)));
            }
            Err(cause) => {
                self.frames.send(&Message::FileAbort)?;
                done.unsendable.push((file.path.clone(), cause));
            }
        }
        Ok(())
    }

    /// Sends the whole content; an error of reading it is for the caller to tell.
    fn all(&self, reader: &mut Reader, size: u64) -> Result<Sent, Cut> {
        let mut builder = Builder::new(BlockSize::for_base(size));
        loop {
            self.frames.note_read();
            match reader.next_chunk() {
                Ok(Some(Chunk::Data(bytes))) => {
                    builder.update(bytes);
                    self.frames.send(&Message::Data(Bytes::copy_from_slice(bytes)))?;
                }
                Ok(Some(Chunk::Hole(len))) => {
                    builder.update_zeros(len);
                    self.frames.send(&Message::Hole { len })?;
                }
                Ok(None) => return Ok((Ok(()), builder.finish().ok())),
                Err(cause) => return Ok((Err(cause.to_string()), None)),
            }
        }
    }

    /// Sends what differs from `base`.
    fn delta(&self, reader: &mut Reader, base: &Signature) -> Result<Sent, Cut> {
        let mut differ = Differ::new(base);
        let read = loop {
            self.frames.note_read();
            match reader.next_chunk() {
                Ok(Some(Chunk::Data(bytes))) => differ.feed(bytes),
                Ok(Some(Chunk::Hole(len))) => differ.hole(len),
                Ok(None) => break Ok(()),
                Err(cause) => break Err(cause.to_string()),
            }
            while let Some(piece) = differ.poll() {
                self.piece(piece)?;
            }
        };
        let (rest, signature) = differ.finish();
        rest.into_iter().try_for_each(|piece| self.piece(piece))?;
        Ok((read, signature.ok()))
    }

    /// The signature to send a delta against; none when the file had better travel whole.
    fn base_signature(&self, file: &plan::Put) -> Result<Option<Arc<Signature>>, Cut> {
        let (Some(base), Some(hash)) = (&file.base, file.base_hash()) else { return Ok(None) };
        let size = size_of(base);
        if !worth_delta(size_of(&file.entry), Some(size), self.look.options.whole_file) {
            return Ok(None);
        }
        if let Some(warm) = lock(self.warm).get(&hash) {
            return Ok(Some(warm));
        }
        let block = BlockSize::for_base(size);
        let ask = Message::WantSignature { path: file.path.clone(), base: hash, block: block.get() };
        self.frames.send(&ask)?;
        let mut parser = Parser::new(size, block).map_err(|_| Cut)?;
        let parts = lock(&self.frames.signatures);
        let mut fits = true;
        while let Some(part) = parts.recv().map_err(|_| Cut)? {
            fits = fits && parser.push(&part).is_ok();
        }
        // An empty or a wrong one: the peer does not hold that base.
        Ok(parser.finish().ok().filter(|_| fits).map(Arc::new))
    }

    /// Gives the index the hash of what was read, where it shows that file.
    fn note_read(&self, index: &mut Index, file: &plan::Put, read: Record, done: &mut Produced) {
        if index.fill(&file.path, &read) {
            return;
        }
        let attrs = self.look.options.attrs;
        let whole = !attrs.has(Attrs::XATTRS) && !attrs.has(Attrs::HARD_LINKS);
        done.unlike.push(Unlike { path: file.path.clone(), planned: file.entry.clone(), read, whole });
    }

    fn piece(&self, piece: Piece) -> Result<(), Cut> {
        self.frames.send(&match piece {
            Piece::Copy { offset, len } => Message::Copy { offset, len },
            Piece::Data(bytes) => Message::Data(bytes),
            Piece::Hole { len } => Message::Hole { len },
        })
    }
}

/// How reading went, and the block signature of what was read.
type Sent = (Result<(), String>, Option<Signature>);

/// What the peer is to hold: as it was read, with what only the index knows.
fn as_planned(file: &plan::Put, read: &Record) -> Entry {
    Entry { xattrs: file.entry.xattrs.clone(), link: file.entry.link.clone(), ..read.entry.clone() }
}

fn whole(read: io::Result<Read>) -> Result<(Record, Vec<u8>), String> {
    match read {
        Ok(Read::Whole(record, bytes)) => Ok((record, bytes)),
        Ok(Read::TooLarge(_)) => Err("it grew while it was read".to_owned()),
        Ok(Read::Unstable) => Err("it went on changing while it was read".to_owned()),
        Ok(Read::Gone) => Err("it vanished".to_owned()),
        Ok(Read::NotFile) => Err("it became something else".to_owned()),
        Err(cause) => Err(cause.to_string()),
    }
}

fn opened(opening: io::Result<Opening>) -> Result<Box<Reader>, String> {
    match opening {
        Ok(Opening::Open(reader)) => Ok(reader),
        Ok(Opening::Gone) => Err("it vanished".to_owned()),
        Ok(Opening::NotFile) => Err("it became something else".to_owned()),
        Err(cause) => Err(cause.to_string()),
    }
}

/// Whether `read` is what `planned` says, as far as that says it.
fn is_read(planned: &Node, read: &Node) -> bool {
    match (planned, read) {
        (Node::File { size, hash: None }, Node::File { size: read, .. }) => size == read,
        _ => planned == read,
    }
}

fn size_of(entry: &Entry) -> u64 {
    match entry.node {
        Node::File { size, .. } => size,
        _ => 0,
    }
}

/// About how many bytes `op` takes in a frame.
fn op_size(op: &Op) -> usize {
    match op {
        Op::Put(put) => {
            let content = if let Content::Inline(bytes) = &put.content { bytes.len() } else { 0 };
            let xattrs: usize = put.entry.xattrs.iter().map(|x| x.name.len() + x.value.len() + 8).sum();
            put.path.as_bytes().len() + 128 + xattrs + content
        }
        Op::Remove { path, .. } => path.as_bytes().len() + 16,
        Op::Rename { from, to } => from.as_bytes().len() + to.as_bytes().len() + 16,
    }
}

#[cfg(test)]
mod tests;
