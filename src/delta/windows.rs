//! Cuts a stream into windows of whole blocks, long enough for MD4 to hash eight at a time.

use super::BlockSize;

/// Blocks that `fast_rsync` hashes side by side with AVX2.
const LANES: usize = 8;
const LEAST: usize = 256 * 1024;

/// Collects bytes until they make a window.
#[derive(Debug)]
pub(super) struct Windows {
    block: usize,
    window: usize,
    partial: Vec<u8>,
}

/// How a run of zeros lies across blocks.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct HoleCut {
    /// Bytes that complete the block before it.
    pub(super) head: u64,
    /// Bytes that are whole blocks.
    pub(super) whole: u64,
    /// Bytes that begin the block behind it.
    pub(super) tail: u64,
}

impl Windows {
    pub(super) fn new(block: BlockSize) -> Self {
        let block = block.len();
        Self { block, window: LEAST.max(block * LANES), partial: Vec::new() }
    }

    /// Adds bytes and hands on what makes windows, each a multiple of the block size.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(self.window - self.partial.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() == self.window {
                each(&self.partial);
                self.partial.clear();
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % self.window);
        whole.chunks(self.window).for_each(each);
        self.partial.extend_from_slice(rest);
    }

    /// Hands on what is left; at the end of the file its last block may be short.
    pub(super) fn flush(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&self.partial);
            self.partial.clear();
        }
    }

    /// Where the blocks would cut `len` zeros that come now.
    pub(super) fn cut_hole(&self, len: u64) -> HoleCut {
        let block = self.block as u64;
        let filled = self.partial.len() as u64 % block;
        let head = ((block - filled) % block).min(len);
        let tail = (len - head) % block;
        HoleCut { head, whole: len - head - tail, tail }
    }
}

/// Hands on `len` zero bytes.
pub(super) fn zeros(mut len: u64, mut each: impl FnMut(&[u8])) {
    static ZEROS: [u8; 4096] = [0; 4096];
    while len > 0 {
        let chunk = len.min(ZEROS.len() as u64);
        each(&ZEROS[..chunk as usize]);
        len -= chunk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_feeds_are_handed_on_in_windows_and_small_ones_collected() {
        let mut windows = Windows::new(BlockSize::try_from(1 << 17).expect("valid"));
        let mut seen = Vec::new();
        windows.feed(&[1; 5], |w| seen.push(w.len()));
        windows.feed(&vec![2; (2 << 20) + 3], |w| seen.push(w.len()));
        assert_eq!(seen, [1 << 20, 1 << 20]);
        windows.flush(|w| seen.push(w.len()));
        windows.flush(|w| seen.push(w.len()));
        assert_eq!(seen, [1 << 20, 1 << 20, 8]);
    }

    #[test]
    fn a_hole_is_cut_at_the_blocks() {
        let mut windows = Windows::new(BlockSize::try_from(1024).expect("valid"));
        assert_eq!(windows.cut_hole(1024), HoleCut { head: 0, whole: 1024, tail: 0 });
        windows.feed(&[0; 1000], |_| {});
        assert_eq!(windows.cut_hole(20), HoleCut { head: 20, whole: 0, tail: 0 });
        assert_eq!(windows.cut_hole(2100), HoleCut { head: 24, whole: 2048, tail: 28 });
    }
}
