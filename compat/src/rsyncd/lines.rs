//! The lines of an `rsyncd.conf`: comments gone, continued lines joined.

use crate::span::{Span, Spanned};

/// What a line is.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// `[name]`, with single blanks inside.
    Section(Spanned<String>),
    /// `[name` without an end.
    Unclosed(Spanned<String>),
    /// `name = value`.
    Parameter(Spanned<String>, Spanned<String>),
    /// `&include …` or `&merge …`.
    Include(Spanned<String>),
    /// Something without `=`.
    Bare(Spanned<String>),
}

impl Line {
    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        match self {
            Self::Section(word) | Self::Unclosed(word) | Self::Include(word) | Self::Bare(word) => word.span.start,
            Self::Parameter(name, _) => name.span.start,
        }
    }
}

/// The lines of `text` that say something.
pub(super) fn read(text: &str) -> impl Iterator<Item = Line> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (line, span) = logical_line(text, &mut rest);
            if let Some(line) = classify(&line, span) {
                return Some(line);
            }
        }
        None
    })
}

/// The next line with all that it continues on; the span is from its first visible byte to its last.
fn logical_line(text: &str, rest: &mut &str) -> (String, Span) {
    let start = text.len() - rest.len();
    let mut line = String::new();
    loop {
        let (physical, after) = rest.split_once('\n').unwrap_or((rest, ""));
        *rest = after;
        let physical = physical.trim_end();
        let comment = line.is_empty() && physical.trim_start().starts_with(['#', ';']);
        match physical.strip_suffix('\\').filter(|_| !comment) {
            Some(continued) if !after.is_empty() => line.push_str(continued),
            Some(continued) => {
                line.push_str(continued);
                break;
            }
            None => {
                line.push_str(physical);
                break;
            }
        }
    }
    let end = text.len() - rest.len();
    let whole = text.get(start..end).unwrap_or("");
    let lead = whole.len() - whole.trim_start().len();
    (line.trim().to_owned(), Span::new(start + lead, start + whole.trim_end().len().max(lead)))
}

fn classify(line: &str, span: Span) -> Option<Line> {
    let whole = || Spanned::new(line.to_owned(), span);
    match line.chars().next()? {
        '#' | ';' => None,
        '&' => Some(Line::Include(whole())),
        '[' => match line.get(1..)?.split_once(']') {
            Some((name, _)) => {
                let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
                Some(Line::Section(Spanned::new(name, span)))
            }
            None => Some(Line::Unclosed(whole())),
        },
        _ => match line.split_once('=') {
            Some((name, value)) => Some(parameter(name, value, span)),
            None => Some(Line::Bare(whole())),
        },
    }
}

fn parameter(name: &str, value: &str, span: Span) -> Line {
    let blanks = value.len() - value.trim_start().len();
    let value_start = (span.start + name.len() + 1 + blanks).min(span.end);
    let name = name.trim_end();
    let name = Spanned::new(name.to_owned(), Span::new(span.start, span.start + name.len()));
    let value = Spanned::new(value.trim().to_owned(), Span::new(value_start, span.end));
    Line::Parameter(name, value)
}
