//! The bytes of a file as text, whatever encoding they are in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::diag::{Finding, Place, Severity};
use crate::secret;
use crate::span::{Span, Spanned};

/// How many bytes of a line a finding has before its place, and behind it: more than is ever shown.
const EXCERPT: usize = 500;

/// A decoded file, with the files that it includes in their places. Offsets count bytes of
/// [`SourceText::text`], not of a file.
#[derive(Clone, Debug)]
pub struct SourceText {
    text: String,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    /// What the text is made of, in order; at least one.
    pieces: Vec<Piece>,
}

/// Whole lines of one file.
#[derive(Clone, Debug)]
struct Piece {
    /// Where it begins in the text.
    start: usize,
    file: PathBuf,
    /// The number that its first line has in the file, from 1.
    line: usize,
    charset: Charset,
}

/// What the bytes turned out to be.
#[derive(Clone, Copy, Debug)]
enum Charset {
    Known(&'static Encoding),
    Latin1,
}

impl SourceText {
    /// Decodes `bytes`, which were read from `file`.
    ///
    /// A declared encoding is not asked, since in the files that we know it is mostly wrong (Chinese
    /// UTF-8 or GBK under `ISO-8859-1`): a byte-order mark decides, then UTF-8 if it is valid, then
    /// GB18030 if that is and most of it looks so, then Latin-1, which every sequence of bytes is.
    #[must_use]
    pub fn decode(file: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        let (text, charset) = decode(bytes);
        Self::of(text.into_owned(), vec![Piece { start: 0, file: file.into(), line: 1, charset }])
    }

    fn of(text: String, pieces: Vec<Piece>) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines, pieces }
    }

    /// This with the text of `included` right behind the line on which `offset` is; each place stays
    /// known by its own file. Returns the span of what was put in.
    pub fn insert_behind(&mut self, offset: usize, included: &Self) -> Span {
        let number = self.line_number(offset);
        let at = self.lines.get(number).copied().unwrap_or(self.text.len());
        let broken = |text: &str| if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let (before, after) = self.text.split_at_checked(at).unwrap_or((&self.text, ""));
        let start = before.len() + broken(before).len();
        let end = start + included.text.len();
        let rest = end + broken(&included.text).len();
        let text = [before, broken(before), &included.text, broken(&included.text), after].concat();
        let of = self.piece(offset);
        // What follows goes on in the file where the directive stands.
        let line = of.line + (number - self.line_number(of.start)) + 1;
        let mut following = vec![Piece { start: rest, line, ..of.clone() }];
        for piece in self.pieces.iter().filter(|piece| piece.start >= at && piece.start > of.start) {
            if piece.start == at {
                following.clear();
            }
            following.push(Piece { start: piece.start - at + rest, ..piece.clone() });
        }
        let mut pieces: Vec<Piece> =
            self.pieces.iter().filter(|p| p.start < at || p.start == of.start).cloned().collect();
        pieces.extend(included.pieces.iter().map(|piece| Piece { start: piece.start + start, ..piece.clone() }));
        pieces.extend(following);
        *self = Self::of(text, pieces);
        Span::new(start, rest)
    }

    /// The decoded text, without byte-order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the bytes are UTF-16, which none of the old programs reads.
    #[must_use]
    pub fn is_utf16(&self) -> bool {
        let charset = self.piece(0).charset;
        let declared = matches!(charset, Charset::Known(e) if e == UTF_16LE || e == UTF_16BE);
        // Without a mark every second byte of it is 0.
        declared || self.text.contains('\0')
    }

    /// The file that the text came from, not one that it includes.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.pieces.first().map_or(Path::new(""), |piece| &piece.file)
    }

    /// The file that `offset` is in.
    #[must_use]
    pub fn file_at(&self, offset: usize) -> &Path {
        &self.piece(offset).file
    }

    fn piece(&self, offset: usize) -> &Piece {
        let after = self.pieces.partition_point(|piece| piece.start <= offset);
        &self.pieces[after.saturating_sub(1)]
    }

    /// The bytes that `part` of this text has in its file: a path is what the file's bytes say, not
    /// what they look like.
    #[must_use]
    pub fn original_bytes(&self, part: &Spanned<String>) -> Vec<u8> {
        self.bytes_at(part.span.start, &part.value)
    }

    /// The bytes that `part` has in the file that `offset` is in.
    #[must_use]
    pub fn bytes_at(&self, offset: usize, part: &str) -> Vec<u8> {
        match self.piece(offset).charset {
            Charset::Known(encoding) if encoding == GB18030 => encoding.encode(part).0.into_owned(),
            Charset::Latin1 => encoding_rs::mem::encode_latin1_lossy(part).into_owned(),
            Charset::Known(_) => part.as_bytes().to_vec(),
        }
    }

    /// Line and column of `offset` in its file, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let number = self.line_number(offset);
        let start = self.line_start(number);
        let column = self.before(start, offset).chars().count();
        let piece = self.piece(offset);
        (piece.line + number - self.line_number(piece.start), column + 1)
    }

    /// The number of the line of the text, not of a file, that `offset` is on, from 1.
    fn line_number(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// An error at `span`.
    #[must_use]
    pub fn error(&self, code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        self.finding(Severity::Error, code, span, message.into())
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(&self, code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, code, span, message.into())
    }

    /// A note at `span`.
    #[must_use]
    pub fn note(&self, code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        self.finding(Severity::Note, code, span, message.into())
    }

    /// A finding of any severity at `span`.
    #[must_use]
    pub fn finding(&self, severity: Severity, code: &'static str, span: Span, message: String) -> Finding {
        Finding {
            severity,
            code,
            message,
            help: None,
            file: self.file_at(span.start).to_owned(),
            place: Some(Box::new(self.place(span))),
        }
    }

    /// The place of `span` with the line that it begins on, or what of a long one is around it.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let (line, column) = self.position(span.start);
        let number = self.line_number(span.start);
        let start = self.line_start(number);
        let whole = self.line(number).trim_end_matches(['\r', '\n']);
        let at = span.start.saturating_sub(start).min(whole.len());
        let from = boundary(whole, at.saturating_sub(EXCERPT));
        // A password is known by the word before it, which may stand farther away.
        let wide = boundary(whole, at.saturating_sub(2 * EXCERPT));
        let ahead = whole.get(wide..from).unwrap_or("").chars().count();
        let shown = secret::hidden(whole.get(wide..boundary(whole, at + EXCERPT)).unwrap_or(""));
        let excerpt = shown.chars().skip(ahead).collect();
        let skipped = whole.get(..from).unwrap_or("").chars().count();
        let marked = self.text.get(span.start..span.end).unwrap_or("").split('\n').next().unwrap_or("");
        Place { line, column, span, excerpt, skipped, marked: marked.trim_end().chars().count().max(1) }
    }

    /// What stands on the line that begins at `start` before `offset`; a character that `offset` is in counts.
    fn before(&self, start: usize, offset: usize) -> &str {
        let line = self.line(self.line_number(start));
        let mut end = offset.saturating_sub(start).min(line.len());
        while !line.is_char_boundary(end) {
            end += 1;
        }
        line.get(..end).unwrap_or("")
    }

    /// The line of that number, with its end.
    fn line(&self, number: usize) -> &str {
        let end = self.lines.get(number).copied().unwrap_or(self.text.len());
        self.text.get(self.line_start(number)..end).unwrap_or("")
    }

    fn line_start(&self, number: usize) -> usize {
        number.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(0)
    }
}

/// The last end of a character of `text` up to `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn decode(bytes: &[u8]) -> (Cow<'_, str>, Charset) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let body = bytes.get(mark..).unwrap_or(&[]);
        // A mark may lie as well: the body of a UTF-8 file with one may still be GBK.
        if encoding != UTF_8 {
            return (encoding.decode_without_bom_handling(body).0, Charset::Known(encoding));
        }
        return decode_unmarked(body);
    }
    decode_unmarked(bytes)
}

fn decode_unmarked(bytes: &[u8]) -> (Cow<'_, str>, Charset) {
    if let Some(text) = UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        return (text, Charset::Known(UTF_8));
    }
    let chinese = GB18030.decode_without_bom_handling_and_without_replacement(bytes);
    // What does not come back would be a path or a pattern with other bytes.
    let faithful = |text: &Cow<'_, str>| looks_chinese(bytes) && *GB18030.encode(text).0 == *bytes;
    match chinese.filter(faithful) {
        Some(text) => (text, Charset::Known(GB18030)),
        None => (encoding_rs::mem::decode_latin1(bytes), Charset::Latin1),
    }
}

/// Whether at least half of the pairs that begin with a byte beyond ASCII also end with one: so do
/// nearly all characters of Chinese text, while an accented letter mostly stands before an ASCII one.
fn looks_chinese(bytes: &[u8]) -> bool {
    let (mut high, mut low) = (0_usize, 0_usize);
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if byte.is_ascii() {
            continue;
        }
        match rest.next() {
            Some(second) if !second.is_ascii() => high += 1,
            _ => low += 1,
        }
    }
    high >= low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_decide_and_not_a_declaration() {
        let cases: [(&[u8], &str); 5] = [
            ("设置".as_bytes(), "设置"),
            (b"\xef\xbb\xbf<head/>", "<head/>"),
            (b"\xc9\xe8\xd6\xc3", "设置"),
            (b"caf\xe9", "café"),
            (b"\xff\xfe<\0a\0", "<a"),
        ];
        for (bytes, text) in cases {
            assert_eq!(SourceText::decode("f", bytes).text(), text);
        }
    }

    #[test]
    fn an_accented_letter_takes_no_sign_behind_it_along() {
        let cases: [(&[u8], &str); 5] = [
            (b"[caf\xe9]\n", "[caf\u{e9}]\n"),
            (b"(caf\xe9|bar)", "(caf\u{e9}|bar)"),
            (b"[\xe9t\xe9]", "[\u{e9}t\u{e9}]"),
            // Of 朱镕基 the second character ends with `F`.
            (b"\xd6\xec\xe9F\xbb\xf9", "\u{6731}\u{9555}\u{57fa}"),
            // GB18030 has a second way to write the euro's sign.
            (b"\xc9\xe8\x80", "\u{c9}\u{e8}\u{80}"),
        ];
        for (bytes, text) in cases {
            let source = SourceText::decode("f", bytes);
            assert_eq!(source.text(), text);
            assert_eq!(source.bytes_at(0, text), bytes);
        }
    }

    #[test]
    fn a_column_counts_characters_and_a_line_survives_crlf() {
        let source = SourceText::decode("f", "一\r\n设置x".as_bytes());
        let at = source.text().find('x').expect("there");
        assert_eq!(source.position(at), (2, 3));
        assert_eq!(source.place(Span::new(0, 3)).excerpt, "一");
    }

    #[test]
    fn a_path_keeps_the_bytes_that_it_had_in_the_file() {
        for bytes in [&b"/data/\xc9\xe8\xd6\xc3"[..], b"/caf\xe9", "/设".as_bytes()] {
            let source = SourceText::decode("f", bytes);
            let whole = Spanned::new(source.text().to_owned(), Span::new(0, source.text().len()));
            assert_eq!(source.original_bytes(&whole), bytes);
        }
    }

    #[test]
    fn what_is_included_keeps_its_own_file_line_and_bytes() {
        let mut outer = SourceText::decode("outer", b"a\n&one\n&two\nz");
        let mut one = SourceText::decode("one", b"b\n&deep\nc");
        one.insert_behind(2, &SourceText::decode("deep", b"d\xe9\n"));
        let at = outer.text().find("&one").expect("there");
        let span = outer.insert_behind(at, &one);
        assert_eq!(outer.text().get(span.start..span.end), Some("b\n&deep\nd\u{e9}\nc\n"));
        let at = outer.text().find("&two").expect("there");
        outer.insert_behind(at, &SourceText::decode("two", b""));
        let found: Vec<_> = ["a", "&one", "b", "&deep", "d\u{e9}", "c", "&two", "z"]
            .iter()
            .map(|word| {
                let at = outer.text().find(word).expect("there");
                (outer.file_at(at).display().to_string(), outer.position(at).0)
            })
            .collect();
        let expected =
            [("outer", 1), ("outer", 2), ("one", 1), ("one", 2), ("deep", 1), ("one", 3), ("outer", 3), ("outer", 4)];
        assert_eq!(found, expected.map(|(file, line)| (file.to_owned(), line)));
        let e = outer.text().find('\u{e9}').expect("there");
        assert_eq!(outer.original_bytes(&Spanned::new("\u{e9}".to_owned(), Span::new(e, e + 2))), b"\xe9");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_and_any_offset_has_a_place(
            bytes in prop::collection::vec(any::<u8>(), 0..80), start in 0usize..200, len in 0usize..50
        ) {
            let source = SourceText::decode("f", &bytes);
            let rendered = source.error("x", Span::new(start, start + len), "m").to_string();
            prop_assert!(rendered.contains("error"));
            if !source.is_utf16() && Encoding::for_bom(&bytes).is_none() {
                prop_assert_eq!(source.bytes_at(0, source.text()), bytes);
            }
        }
    }
}
