//! The block signature of a file: 20 bytes for each block, computed as the content streams by.

use bytes::Bytes;
use fast_rsync::SignatureOptions;

use super::block::{BlockSize, MAX_BLOCKS};
use super::windows::{self, Windows};
use crate::wire::MAX_DATA;

/// Rolling sum (4) and MD4 (16) of one block.
pub(super) const RECORD: usize = 20;

const STRONG: u32 = 16;

/// librsync's header in front of the records: magic, block length, length of the strong sum.
const HEADER: usize = 12;
const MAGIC_MD4: u32 = 0x7273_0136;

/// What is wrong with a signature, or with asking for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// The block size is no power of two from 1 KiB to 1 MiB.
    #[error("{0} is not a block size: a power of two from 1 KiB to 1 MiB is")]
    BlockSize(u32),
    /// The records are no sequence of whole ones.
    #[error("a block signature is damaged")]
    Damaged,
    /// There are more or fewer blocks than the size of the file makes.
    #[error("a block signature has {got} blocks instead of {expected}")]
    Count {
        /// What the size makes.
        expected: u64,
        /// What came; one more than expected when it was cut off there.
        got: u64,
    },
    /// The file has more than [`MAX_BLOCKS`] blocks of this size.
    #[error("the file has more blocks than a signature may")]
    TooManyBlocks,
}

/// The signatures of all blocks of one version of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    size: u64,
    block: BlockSize,
    /// The full blocks alone, which are what can be found elsewhere.
    full: fast_rsync::Signature,
    /// The last block, where it is short.
    tail: Option<[u8; RECORD]>,
}

impl Signature {
    /// The size of the file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The size of its blocks.
    #[must_use]
    pub fn block(&self) -> BlockSize {
        self.block
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.full.serialized().len()
    }

    /// The records as bodies of [`crate::wire::Message::Signature`], in order; none for an empty file.
    pub fn frames(&self) -> impl Iterator<Item = Bytes> + '_ {
        let full = self.records().chunks(MAX_DATA / RECORD * RECORD).map(Bytes::copy_from_slice);
        full.chain(self.tail.map(|tail| Bytes::copy_from_slice(&tail)))
    }

    /// Makes a signature of `records`, which cover `size` bytes.
    pub(super) fn assemble(size: u64, records: Records) -> Result<Self, SignatureError> {
        let Records { block, mut bytes } = records;
        let (expected, got) = (block.blocks(size), count(&bytes));
        if expected != got {
            return Err(SignatureError::Count { expected, got });
        }
        let mut tail = None;
        if !size.is_multiple_of(u64::from(block.get())) {
            tail = bytes.last_chunk().copied();
            bytes.truncate(bytes.len() - RECORD);
        }
        bytes.shrink_to_fit();
        let full = fast_rsync::Signature::deserialize(bytes).map_err(|_| SignatureError::Damaged)?;
        Ok(Self { size, block, full, tail })
    }

    pub(super) fn full(&self) -> &fast_rsync::Signature {
        &self.full
    }

    /// How many bytes the full blocks cover.
    pub(super) fn full_size(&self) -> u64 {
        self.size - self.size % u64::from(self.block.get())
    }

    /// Whether block number `index` has this record and at least `len` bytes.
    pub(super) fn holds(&self, index: u64, record: &[u8], len: usize) -> bool {
        let Ok(start) = usize::try_from(index.saturating_mul(RECORD as u64)) else { return false };
        let full = self.records();
        if start < full.len() {
            return full.get(start..start + RECORD) == Some(record);
        }
        start == full.len() && len as u64 == self.size - self.full_size() && self.tail.is_some_and(|t| t == record)
    }

    fn records(&self) -> &[u8] {
        self.full.serialized().get(HEADER..).unwrap_or_default()
    }
}

/// Records while they are collected, behind librsync's header.
#[derive(Debug)]
pub(super) struct Records {
    block: BlockSize,
    bytes: Vec<u8>,
}

impl Records {
    pub(super) fn new(block: BlockSize) -> Self {
        let header = [MAGIC_MD4, block.get(), STRONG];
        Self { block, bytes: header.iter().flat_map(|word| word.to_be_bytes()).collect() }
    }

    pub(super) fn count(&self) -> u64 {
        count(&self.bytes)
    }

    pub(super) fn push(&mut self, records: &[u8]) {
        self.bytes.extend_from_slice(records);
    }
}

fn count(with_header: &[u8]) -> u64 {
    (with_header.len().saturating_sub(HEADER) / RECORD) as u64
}

/// The records of consecutive blocks, of which the last may be short.
pub(super) fn hash_blocks(block: BlockSize, bytes: &[u8]) -> Vec<u8> {
    let options = SignatureOptions { block_size: block.get(), crypto_hash_size: STRONG };
    let mut records = fast_rsync::Signature::calculate(bytes, options).into_serialized();
    records.drain(..HEADER.min(records.len()));
    records
}

/// The records of a file in the making, given up when there are too many.
#[derive(Debug)]
pub(super) struct Recorder {
    size: u64,
    records: Option<Records>,
    block: BlockSize,
}

impl Recorder {
    pub(super) fn new(block: BlockSize) -> Self {
        Self { size: 0, records: Some(Records::new(block)), block }
    }

    /// How many bytes have gone by.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds the records of the next `len` bytes.
    pub(super) fn push(&mut self, records: &[u8], len: usize) {
        if let Some(all) = self.grow(len as u64) {
            all.push(records);
        }
    }

    /// Adds `len` bytes of zeros, a multiple of the block size.
    pub(super) fn push_zeros(&mut self, len: u64) {
        let block = self.block;
        if let Some(all) = self.grow(len) {
            let zero = hash_blocks(block, &vec![0; block.len()]);
            (0..block.blocks(len)).for_each(|_| all.push(&zero));
        }
    }

    pub(super) fn finish(self) -> Result<Signature, SignatureError> {
        Signature::assemble(self.size, self.records.ok_or(SignatureError::TooManyBlocks)?)
    }

    fn grow(&mut self, len: u64) -> Option<&mut Records> {
        self.size = self.size.saturating_add(len);
        if self.block.blocks(self.size) > MAX_BLOCKS {
            self.records = None;
        }
        self.records.as_mut()
    }
}

/// Computes the signature of a file that is fed to it in order.
#[derive(Debug)]
pub struct Builder {
    windows: Windows,
    recorder: Recorder,
}

impl Builder {
    /// A builder at the start of a file.
    #[must_use]
    pub fn new(block: BlockSize) -> Self {
        Self { windows: Windows::new(block), recorder: Recorder::new(block) }
    }

    /// Adds the next bytes. Any cutting gives the same result; multiples of 256 KiB (of 8 blocks
    /// where those are longer) are not copied.
    pub fn update(&mut self, bytes: &[u8]) {
        let Self { windows, recorder } = self;
        windows.feed(bytes, |window| hash_window(recorder, window));
    }

    /// Adds `len` zero bytes, at no cost for each.
    pub fn update_zeros(&mut self, len: u64) {
        let cut = self.windows.cut_hole(len);
        windows::zeros(cut.head, |zeros| self.update(zeros));
        if cut.whole > 0 {
            let Self { windows, recorder } = self;
            windows.flush(|window| hash_window(recorder, window));
            recorder.push_zeros(cut.whole);
        }
        windows::zeros(cut.tail, |zeros| self.update(zeros));
    }

    /// The signature of all that was fed.
    ///
    /// # Errors
    /// [`SignatureError::TooManyBlocks`], and memory was bounded nevertheless.
    pub fn finish(self) -> Result<Signature, SignatureError> {
        let Self { mut windows, mut recorder } = self;
        windows.flush(|window| hash_window(&mut recorder, window));
        recorder.finish()
    }
}

fn hash_window(recorder: &mut Recorder, window: &[u8]) {
    recorder.push(&hash_blocks(recorder.block, window), window.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::tests::{noise, signature};

    #[test]
    fn a_file_with_too_many_blocks_has_no_signature() {
        let block = BlockSize::try_from(1024).expect("valid");
        let mut builder = Builder::new(block);
        builder.update_zeros(MAX_BLOCKS * 1024);
        builder.update(b"x");
        assert_eq!(builder.finish(), Err(SignatureError::TooManyBlocks));
        let mut builder = Builder::new(block);
        builder.update_zeros(u64::MAX);
        builder.update_zeros(u64::MAX);
        assert_eq!(builder.finish(), Err(SignatureError::TooManyBlocks));
    }

    #[test]
    fn frames_hold_every_record_once() {
        let bytes = noise(1, (MAX_DATA / RECORD + 3) * 1024 + 5);
        let signature = signature(&bytes, 1024);
        let all = fast_rsync::Signature::calculate(&bytes, SignatureOptions { block_size: 1024, crypto_hash_size: 16 });
        let frames: Vec<Bytes> = signature.frames().collect();
        assert_eq!(frames.concat(), all.serialized()[HEADER..]);
        assert!(frames.len() > 2 && frames.iter().all(|f| f.len() <= MAX_DATA));
    }

    proptest! {
        #[test]
        fn any_feeding_gives_what_fast_rsync_computes(
            seed: u64,
            holes in prop::collection::vec((0usize..9000, 0u64..5000), 0..4),
            cut in 1usize..9000,
        ) {
            let mut whole = Vec::new();
            let mut builder = Builder::new(BlockSize::try_from(1024).expect("valid"));
            for (data, hole) in holes {
                let data = noise(seed, data);
                data.chunks(cut).for_each(|chunk| builder.update(chunk));
                builder.update_zeros(hole);
                whole.extend_from_slice(&data);
                whole.resize(whole.len() + hole as usize, 0);
            }
            let options = SignatureOptions { block_size: 1024, crypto_hash_size: 16 };
            let expected = fast_rsync::Signature::calculate(&whole, options);
            let got = builder.finish().expect("small");
            prop_assert_eq!(got.size(), whole.len() as u64);
            prop_assert_eq!(got.frames().collect::<Vec<_>>().concat(), &expected.serialized()[HEADER..]);
        }
    }
}
