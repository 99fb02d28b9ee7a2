//! The pieces that make the new file, neighbours joined.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::MAX_DATA;

/// What comes next in the new file; one frame each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Content that the base holds.
    Copy {
        /// Offset in the base.
        offset: u64,
        /// Length in bytes, never 0.
        len: u64,
    },
    /// Content that travels, 1 to [`MAX_DATA`] bytes.
    Data(Bytes),
    /// This many zero bytes that need no room on disk, never 0.
    Hole {
        /// Length in bytes.
        len: u64,
    },
}

/// Pieces in order; the last copy or hole is held back while it may still grow.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    ready: VecDeque<Piece>,
    last: Option<Piece>,
}

impl Pieces {
    pub(super) fn copy(&mut self, from: u64, more: u64) {
        match &mut self.last {
            Some(Piece::Copy { offset, len }) if *offset + *len == from => *len += more,
            _ => self.hold(Piece::Copy { offset: from, len: more }),
        }
    }

    pub(super) fn data(&mut self, mut bytes: Bytes) {
        self.flush();
        while bytes.len() > MAX_DATA {
            self.ready.push_back(Piece::Data(bytes.split_to(MAX_DATA)));
        }
        if !bytes.is_empty() {
            self.ready.push_back(Piece::Data(bytes));
        }
    }

    pub(super) fn hole(&mut self, more: u64) {
        match &mut self.last {
            Some(Piece::Hole { len }) => *len = len.saturating_add(more),
            _ => self.hold(Piece::Hole { len: more }),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    pub(super) fn finish(mut self) -> VecDeque<Piece> {
        self.flush();
        self.ready
    }

    fn hold(&mut self, piece: Piece) {
        self.flush();
        self.last = Some(piece);
    }

    fn flush(&mut self) {
        self.ready.extend(self.last.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_and_long_data_is_cut() {
        let mut pieces = Pieces::default();
        pieces.copy(0, 10);
        pieces.copy(10, 5);
        assert_eq!(pieces.pop(), None);
        pieces.copy(20, 1);
        pieces.hole(7);
        pieces.hole(7);
        let long = Bytes::from(vec![1; MAX_DATA + 1]);
        pieces.data(long.clone());
        let expected = [
            Piece::Copy { offset: 0, len: 15 },
            Piece::Copy { offset: 20, len: 1 },
            Piece::Hole { len: 14 },
            Piece::Data(long.slice(..MAX_DATA)),
            Piece::Data(long.slice(MAX_DATA..)),
        ];
        assert_eq!(Vec::from(pieces.finish()), expected);
    }
}
