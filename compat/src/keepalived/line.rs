//! A line whose parts may come from different places: from the file, from a definition, from a counter.

use super::place::At;
use crate::span::Span;

/// A line of text that knows where each part of it is written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Line {
    text: String,
    pieces: Vec<Piece>,
    /// Where a comment begins right behind the last word, without a blank between them.
    pub(super) cut: Option<At>,
}

/// A part of a line, up to the start of the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Piece {
    start: usize,
    at: At,
    /// Whether byte for byte as in the file, and not in the place of something else.
    verbatim: bool,
}

impl Line {
    /// `text` as it stands at `offset` of the file.
    pub(super) fn verbatim(text: &str, file: usize, offset: usize) -> Self {
        let mut line = Self::default();
        line.push(text, At::new(file, offset..offset + text.len()), true);
        line
    }

    /// `text` in the place of what stands at `at`.
    pub(super) fn instead(text: &str, at: At) -> Self {
        let mut line = Self::default();
        line.push(text, at, false);
        line
    }

    fn push(&mut self, text: &str, at: At, verbatim: bool) {
        if !text.is_empty() {
            self.pieces.push(Piece { start: self.text.len(), at, verbatim });
            self.text.push_str(text);
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes it takes with the places of its parts: a name of one letter costs more than its text.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + self.pieces.len().saturating_sub(1) * size_of::<Piece>()
    }

    /// Where the bytes from `start` to `end` are written.
    pub(super) fn at(&self, start: usize, end: usize) -> At {
        let first = self.place(start);
        if end <= start {
            return At { file: first.file, span: Span::new(first.span.start, first.span.start) };
        }
        first.to(self.place(end - 1))
    }

    /// Where the character at `offset` is written, or the byte within one; behind the end that is the end of the last part.
    fn place(&self, offset: usize) -> At {
        let index = self.pieces.partition_point(|piece| piece.start <= offset).saturating_sub(1);
        let Some(piece) = self.pieces.get(index) else { return At::default() };
        if !piece.verbatim {
            return piece.at;
        }
        let start = (piece.at.span.start + offset.saturating_sub(piece.start)).min(piece.at.span.end);
        let character = self.text.get(offset..).and_then(|rest| rest.chars().next());
        let end = start + character.map_or(1, char::len_utf8);
        At { file: piece.at.file, span: Span::new(start, end.min(piece.at.span.end)) }
    }

    /// The bytes from `start` to `end` as a line of their own.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        let mut line = Self::default();
        let first = self.pieces.partition_point(|piece| piece.start <= start).saturating_sub(1);
        for (index, piece) in self.pieces.iter().enumerate().skip(first) {
            let next = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.start);
            let (from, to) = (piece.start.max(start), next.min(end));
            if from >= end {
                break;
            }
            let Some(text) = self.text.get(from..to) else { continue };
            let mut at = piece.at;
            if piece.verbatim {
                at.span = Span::new(at.span.start + (from - piece.start), at.span.start + (to - piece.start));
            }
            line.push(text, at, piece.verbatim);
        }
        line.cut = self.cut.filter(|_| end >= self.text.trim_end().len());
        line
    }

    /// This with `other` behind it.
    pub(super) fn append(&mut self, other: &Self) {
        let base = self.text.len();
        self.pieces.extend(other.pieces.iter().map(|piece| Piece { start: base + piece.start, ..*piece }));
        self.text.push_str(&other.text);
        self.cut = other.cut;
    }

    /// Without the blanks around it.
    pub(super) fn trimmed(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start, start + self.text.trim().len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_of_a_line_is_where_it_was_written() {
        let mut line = Line::verbatim("priority ", 0, 10);
        line.append(&Line::verbatim("150", 1, 4));
        line.append(&Line::instead("7", At::new(0, 20..25)));
        assert_eq!(line.text(), "priority 1507");
        assert_eq!(line.at(0, 8), At::new(0, 10..18));
        assert_eq!(line.at(10, 12), At::new(1, 5..7));
        assert_eq!(line.at(12, 13), At::new(0, 20..25));
        assert_eq!(line.slice(9, 12).at(1, 2), At::new(1, 5..6));
    }

    #[test]
    fn a_place_that_cannot_reach_to_the_end_is_a_whole_character() {
        let mut line = Line::verbatim("设", 0, 10);
        line.append(&Line::verbatim("x", 0, 2));
        assert_eq!(line.at(0, 4), At::new(0, 10..13));
        assert_eq!(Line::verbatim("a设", 0, 10).at(0, 4), At::new(0, 10..14));
    }

    proptest! {
        #[test]
        fn a_slice_of_a_slice_stays_at_its_place(cuts in prop::collection::vec(0usize..30, 4)) {
            let mut line = Line::verbatim("0123456789", 0, 100);
            line.append(&Line::verbatim("abcdefghij", 1, 200));
            let (a, b) = (cuts[0].min(cuts[1]).min(20), cuts[0].max(cuts[1]).min(20));
            let slice = line.slice(a, b);
            let (c, d) = (cuts[2].min(cuts[3]).min(b - a), cuts[2].max(cuts[3]).min(b - a));
            if c < d {
                prop_assert_eq!(slice.at(c, d), line.at(a + c, a + d));
            }
        }
    }
}
