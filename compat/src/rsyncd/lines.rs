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
    /// `&include …` or `&merge …`, and what follows the word.
    Include(Spanned<String>, Spanned<String>),
    /// Something without `=`.
    Bare(Spanned<String>),
}

impl Line {
    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        match self {
            Self::Section(word) | Self::Unclosed(word) | Self::Include(word, _) | Self::Bare(word) => word.span.start,
            Self::Parameter(name, _) => name.span.start,
        }
    }
}

/// The lines of `text` that say something.
pub(super) fn read(text: &str) -> impl Iterator<Item = Line> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            if let Some(line) = classify(&Logical::take(text, &mut rest)) {
                return Some(line);
            }
        }
        None
    })
}

/// A line with all that it continues on.
struct Logical {
    text: String,
    /// Where each physical line begins in `text`, and where it stands in the file.
    parts: Vec<(usize, usize)>,
    /// From its first visible byte in the file to its last.
    span: Span,
}

impl Logical {
    /// The next one.
    fn take(text: &str, rest: &mut &str) -> Self {
        let start = text.len() - rest.len();
        let (mut line, mut parts) = (String::new(), Vec::new());
        loop {
            parts.push((line.len(), text.len() - rest.len()));
            let (physical, after) = rest.split_once('\n').unwrap_or((rest, ""));
            *rest = after;
            let physical = physical.trim_end();
            let comment = line.is_empty() && physical.trim_start().starts_with(['#', ';']);
            let continued = physical.strip_suffix('\\').filter(|_| !comment);
            line.push_str(continued.unwrap_or(physical));
            if continued.is_none() || after.is_empty() {
                break;
            }
        }
        let whole = text.get(start..text.len() - rest.len()).unwrap_or("");
        let lead = whole.len() - whole.trim_start().len();
        let span = Span::new(start + lead, start + whole.trim_end().len().max(lead));
        Self { text: line, parts, span }
    }

    /// A part of the text without the blanks around it, and where it stands in the file.
    fn part(&self, from: usize, to: usize) -> Spanned<String> {
        let raw = self.text.get(from..to).unwrap_or("");
        let value = raw.trim();
        if value.is_empty() {
            let at = self.place(from);
            return Spanned::new(String::new(), Span::new(at, at));
        }
        let start = from + (raw.len() - raw.trim_start().len());
        // Its end is behind its last character, not before what a further line goes on with.
        let last = value.char_indices().next_back().map_or(0, |(at, _)| at);
        let end = self.place(start + last) + (value.len() - last);
        Spanned::new(value.to_owned(), Span::new(self.place(start), end))
    }

    /// Where the character at `offset` of the text stands in the file.
    fn place(&self, offset: usize) -> usize {
        let after = self.parts.partition_point(|(at, _)| *at <= offset);
        let (at, there) = self.parts.get(after.saturating_sub(1)).copied().unwrap_or_default();
        (there + offset.saturating_sub(at)).clamp(self.span.start, self.span.end)
    }
}

fn classify(line: &Logical) -> Option<Line> {
    let all = line.text.len();
    let lead = all - line.text.trim_start().len();
    let said = line.text.trim();
    let whole = || Spanned::new(said.to_owned(), line.span);
    match said.chars().next()? {
        '#' | ';' => None,
        '&' => {
            let word = said.find(char::is_whitespace).map_or(all, |end| lead + end);
            Some(Line::Include(whole(), line.part(word, all)))
        }
        '[' => match said.get(1..)?.split_once(']') {
            Some((name, _)) => {
                let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
                Some(Line::Section(Spanned::new(name, line.span)))
            }
            None => Some(Line::Unclosed(whole())),
        },
        _ => match line.text.find('=') {
            Some(at) => Some(Line::Parameter(line.part(0, at), line.part(at + 1, all))),
            None => Some(Line::Bare(whole())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_continued_line_is_where_it_stands() {
        let text = " pa\\\n  th设 = /a \\\n\t /设b  \n&include \\\n  f\u{3000}\nu =\\\n";
        let at = |span: Span| text.get(span.start..span.end).expect("a part of the text");
        let shown: Vec<_> = read(text)
            .map(|line| match line {
                Line::Parameter(name, value) => (at(name.span), at(value.span)),
                Line::Include(_, path) => ("&", at(path.span)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, [("pa\\\n  th设", "/a \\\n\t /设b"), ("&", "f"), ("u", "")]);
    }
}
