//! The bytes of a file as text, whatever encoding they are in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, GB18030, UTF_8};

use crate::diag::{Finding, Place, Severity};
use crate::span::Span;

/// A decoded file. Offsets count bytes of [`SourceText::text`], not of the file.
#[derive(Clone, Debug)]
pub struct SourceText {
    file: PathBuf,
    text: String,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
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
    /// GB18030 if that is, then Latin-1, which every sequence of bytes is.
    #[must_use]
    pub fn decode(file: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        let (text, charset) = decode(bytes);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text: text.into_owned(), lines, charset }
    }

    /// The decoded text, without byte-order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file that the text came from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The bytes that `part` of this text has in the file: a path is what the file's bytes say, not
    /// what they look like.
    #[must_use]
    pub fn original_bytes(&self, part: &str) -> Vec<u8> {
        match self.charset {
            Charset::Known(encoding) if encoding == GB18030 => encoding.encode(part).0.into_owned(),
            Charset::Latin1 => encoding_rs::mem::encode_latin1_lossy(part).into_owned(),
            Charset::Known(_) => part.as_bytes().to_vec(),
        }
    }

    /// Line and column of `offset`, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.line(line).char_indices().take_while(|(at, _)| self.line_start(line) + at < offset).count();
        (line, column + 1)
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
            file: self.file.clone(),
            place: Some(Box::new(self.place(span))),
        }
    }

    /// The place of `span` with the line that it begins on.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let (line, column) = self.position(span.start);
        let excerpt = self.line(line).trim_end_matches(['\r', '\n']).to_owned();
        let marked = self.text.get(span.start..span.end).unwrap_or("").split('\n').next().unwrap_or("");
        Place { line, column, span, excerpt, marked: marked.trim_end().chars().count().max(1) }
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
    for encoding in [UTF_8, GB18030] {
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return (text, Charset::Known(encoding));
        }
    }
    (encoding_rs::mem::decode_latin1(bytes), Charset::Latin1)
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
    fn a_column_counts_characters_and_a_line_survives_crlf() {
        let source = SourceText::decode("f", "一\r\n设置x".as_bytes());
        let at = source.text().find('x').expect("there");
        assert_eq!(source.position(at), (2, 3));
        assert_eq!(source.place(Span::new(0, 3)).excerpt, "一");
    }

    #[test]
    fn a_path_keeps_the_bytes_that_it_had_in_the_file() {
        let gbk = SourceText::decode("f", b"/data/\xc9\xe8\xd6\xc3");
        assert_eq!(gbk.original_bytes(gbk.text()), b"/data/\xc9\xe8\xd6\xc3");
        let latin = SourceText::decode("f", b"/caf\xe9");
        assert_eq!(latin.original_bytes(latin.text()), b"/caf\xe9");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_and_any_offset_has_a_place(
            bytes in prop::collection::vec(any::<u8>(), 0..80), start in 0usize..200, len in 0usize..50
        ) {
            let source = SourceText::decode("f", &bytes);
            let rendered = source.error("x", Span::new(start, start + len), "m").to_string();
            prop_assert!(rendered.contains("error"));
        }
    }
}
