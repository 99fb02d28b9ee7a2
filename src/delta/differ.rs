//! Compares a new file with the signature of its base and says what must travel.

use std::collections::VecDeque;

use bytes::Bytes;

use super::librsync::Op;
use super::pieces::{Piece, Pieces};
use super::search::Search;
use super::signature::{RECORD, Recorder, Signature, SignatureError, hash_blocks};
use super::windows::{self, Windows};

/// The most unmatched content that is collected before it is searched: this many bytes, or …
const REGION: usize = 4 << 20;
/// … this many blocks.
const REGION_BLOCKS: usize = 16;

/// Compares a new file, fed in order, with its base.
///
/// Call [`Differ::feed`] (or [`Differ::hole`]) and then [`Differ::poll`] until it has none, again
/// and again; at the end [`Differ::finish`].
#[derive(Debug)]
pub struct Differ<'a> {
    windows: Windows,
    matcher: Matcher<'a>,
}

impl<'a> Differ<'a> {
    /// A differ at the start of the new file.
    #[must_use]
    pub fn new(base: &'a Signature) -> Self {
        Self::with_region(base, REGION.max(base.block().len() * REGION_BLOCKS))
    }

    pub(super) fn with_region(base: &'a Signature, region: usize) -> Self {
        let matcher = Matcher {
            base,
            region_max: region,
            region: Vec::new(),
            recorder: Recorder::new(base.block()),
            search: Search::new(base),
            pieces: Pieces::default(),
        };
        Self { windows: Windows::new(base.block()), matcher }
    }

    /// Adds the next bytes of the new file. Multiples of 256 KiB (of 8 blocks where those are
    /// longer) are compared without copying them.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { windows, matcher } = self;
        windows.feed(bytes, |window| matcher.window(window));
    }

    /// Adds `len` zero bytes that take no room on disk; whole blocks of them cost nothing.
    pub fn hole(&mut self, len: u64) {
        let cut = self.windows.cut_hole(len);
        windows::zeros(cut.head, |zeros| self.feed(zeros));
        if cut.whole > 0 {
            let Self { windows, matcher } = self;
            windows.flush(|window| matcher.window(window));
            matcher.hole(cut.whole);
        }
        windows::zeros(cut.tail, |zeros| self.feed(zeros));
    }

    /// The next piece, none when more must be fed first.
    pub fn poll(&mut self) -> Option<Piece> {
        self.matcher.pieces.pop()
    }

    /// The pieces that are left, and the signature of the new file in blocks of the base's size.
    ///
    /// The signature is an error when the file has grown beyond what those blocks allow; the
    /// pieces are good nevertheless.
    pub fn finish(self) -> (VecDeque<Piece>, Result<Signature, SignatureError>) {
        let Self { mut windows, mut matcher } = self;
        windows.flush(|window| matcher.window(window));
        matcher.settle();
        (matcher.pieces.finish(), matcher.recorder.finish())
    }
}

/// Turns windows of whole blocks into pieces.
#[derive(Debug)]
struct Matcher<'a> {
    base: &'a Signature,
    region_max: usize,
    /// Unmatched content right before the next window.
    region: Vec<u8>,
    recorder: Recorder,
    search: Search<'a>,
    pieces: Pieces,
}

impl Matcher<'_> {
    fn window(&mut self, window: &[u8]) {
        let block = self.base.block();
        let records = hash_blocks(block, window);
        let mut offset = self.recorder.size();
        for (bytes, record) in window.chunks(block.len()).zip(records.chunks(RECORD)) {
            if self.base.holds(offset / u64::from(block.get()), record, bytes.len()) {
                self.settle();
                self.pieces.copy(offset, bytes.len() as u64);
            } else {
                self.miss(bytes);
            }
            offset = offset.saturating_add(bytes.len() as u64);
        }
        self.recorder.push(&records, window.len());
    }

    fn hole(&mut self, len: u64) {
        self.settle();
        self.pieces.hole(len);
        self.recorder.push_zeros(len);
    }

    fn miss(&mut self, bytes: &[u8]) {
        self.region.extend_from_slice(bytes);
        if self.region.len() >= self.region_max {
            let rest = self.take_region();
            // What is left is less than a block, which may be found together with what follows.
            if rest.len() < self.base.block().len() {
                self.region.extend_from_slice(&rest);
            } else {
                self.pieces.data(rest);
            }
        }
    }

    /// Decides on the region for good.
    fn settle(&mut self) {
        if !self.region.is_empty() {
            let rest = self.take_region();
            self.pieces.data(rest);
        }
    }

    /// Makes pieces of the region but for what is unmatched at its end, which is returned.
    fn take_region(&mut self) -> Bytes {
        let mut region = Bytes::from(std::mem::take(&mut self.region));
        let ops = self.search.find(&region).unwrap_or_default();
        let matched = ops.iter().rposition(|op| op.is_copy()).map_or(0, |last| last + 1);
        for op in ops.into_iter().take(matched) {
            let bytes = region.split_to(usize::try_from(op.len()).map_or(region.len(), |len| len.min(region.len())));
            match op {
                Op::Copy { offset, len } => self.pieces.copy(offset, len),
                Op::Literal { .. } => self.pieces.data(bytes),
            }
        }
        region
    }
}
