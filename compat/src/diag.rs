//! What is wrong with a file, where, and what to do about it.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use unicode_width::UnicodeWidthChar;

use crate::span::Span;

/// How many columns of a source line are shown.
const SHOWN: usize = 100;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The file means the same; something is only worth knowing.
    Note,
    /// The file is used, but not all of it as it stands.
    Warning,
    /// The file cannot be used.
    Error,
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where a finding stands, with all that is needed to show it without the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the decoded text.
    pub span: Span,
    /// The line as in the file, of a long one some hundred characters around the place.
    pub excerpt: String,
    /// How many characters of the line are left out before the excerpt.
    pub skipped: usize,
    /// How many characters of the line are meant, at least 1.
    pub marked: usize,
}

impl Place {
    /// Makes stars of what of the line is meant.
    pub(crate) fn hide_marked(&mut self) {
        let from = self.column.saturating_sub(1 + self.skipped);
        let marked = from..from + self.marked;
        let hidden = self.excerpt.chars().enumerate().map(|(at, c)| if marked.contains(&at) { '*' } else { c });
        self.excerpt = hidden.collect();
    }
}

/// One thing that is worth saying about a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable name for scripts, such as `xml-syntax`.
    pub code: &'static str,
    /// What is so, for people.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The file it is about.
    pub file: PathBuf,
    /// Where in the file, where one place is meant.
    pub place: Option<Box<Place>>,
}

impl Finding {
    /// An error about `file` as a whole.
    #[must_use]
    pub fn of_file(file: &Path, code: &'static str, message: impl Into<String>) -> Self {
        let (severity, message) = (Severity::Error, message.into());
        Self { severity, code, message, help: None, file: file.to_owned(), place: None }
    }

    /// This with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// This at a place of `file`.
    #[must_use]
    pub fn at(self, file: &Path, place: Place) -> Self {
        Self { file: file.to_owned(), place: Some(Box::new(place)), ..self }
    }

    /// `file:line:column: severity: message — help`, on one line, for a log.
    #[must_use]
    pub fn summary(&self) -> String {
        let help = self.help.as_ref().map(|help| format!(" — {help}")).unwrap_or_default();
        visible(&format!("{}: {}{help}", self.head(), self.message))
    }

    fn head(&self) -> String {
        let file = self.file.display();
        match &self.place {
            Some(place) => format!("{file}:{}:{}: {}", place.line, place.column, self.severity),
            None => format!("{file}: {}", self.severity),
        }
    }
}

/// The summary, and below it the source line with a caret.
impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        let Some(place) = &self.place else { return Ok(()) };
        if place.excerpt.trim().is_empty() {
            return Ok(());
        }
        let (line, indent, carets) = excerpt(place);
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        write!(f, "\n {number} | {line}\n {gutter} | {indent}{carets}")
    }
}

/// The part of the line around the place, the blanks up to it, and the carets below it.
fn excerpt(place: &Place) -> (String, String, String) {
    let from = place.column.saturating_sub(SHOWN / 2 + 1);
    let head = if from > 0 { "…" } else { "" };
    let left = from.saturating_sub(place.skipped);
    let shown: String = place.excerpt.chars().skip(left).take(SHOWN).collect();
    let tail = if place.excerpt.chars().count() > left + SHOWN { "…" } else { "" };
    let before = (place.column - 1).saturating_sub(from);
    let indent = columns(shown.chars().take(before)) + head.chars().count();
    let marked = columns(shown.chars().skip(before).take(place.marked)).max(1);
    (format!("{head}{}{tail}", visible(&shown)), " ".repeat(indent), "^".repeat(marked))
}

/// A line that cannot drive a terminal: each control character becomes one visible character.
fn visible(line: &str) -> String {
    let plain = |c: char| match c {
        '\t' => ' ',
        c if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            '\u{fffd}'
        }
        c => c,
    };
    line.chars().map(plain).collect()
}

fn columns(chars: impl Iterator<Item = char>) -> usize {
    chars.map(|c| c.width().unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use crate::SourceText;
    use crate::span::Span;

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        let source = SourceText::decode("c.xml", "ok\n\t设置 <bad/>\n".as_bytes());
        let at = source.text().find("<bad").expect("there");
        let finding = source.error("x", Span::new(at, at + 6), "no such element").help("remove it");
        insta::assert_snapshot!(finding, @r"
        c.xml:2:5: error: no such element — remove it
         2 |  设置 <bad/>
           |       ^^^^^^
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let source = SourceText::decode("f", format!("{}!{}", "a".repeat(300), "b".repeat(300)).as_bytes());
        let shown = source.error("x", Span::new(300, 301), "m").to_string();
        let lines: Vec<_> = shown.lines().collect();
        let (line, caret) = (lines[1], lines[2]);
        assert_eq!(line.chars().position(|c| c == '!'), caret.chars().position(|c| c == '^'));
        assert!(line.chars().count() < 120);
    }

    #[test]
    fn of_a_line_without_end_only_what_is_shown_is_kept() {
        let text = format!("{}一!{}", "é".repeat(100_000), "设".repeat(100_000));
        let source = SourceText::decode("f", text.as_bytes());
        let at = text.find('!').expect("there");
        let finding = source.error("x", Span::new(at, at + 1), "m");
        let place = finding.place.as_ref().expect("one");
        assert!(place.column == 100_002 && place.excerpt.len() < 5000, "{}", place.excerpt.len());
        let shown = finding.to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[1].contains("éé一!设设") && lines[1].ends_with('…'), "{shown}");
        assert_eq!(place.excerpt.chars().nth(place.column - 1 - place.skipped), Some('!'));
    }

    #[test]
    fn what_a_file_says_cannot_drive_the_terminal() {
        let source = SourceText::decode("f", b"\x1b[31m\x07");
        assert!(!source.error("x", Span::new(0, 1), "m\x1b").to_string().contains(['\x1b', '\x07']));
    }
}
