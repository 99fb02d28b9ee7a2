//! The lines of a file without their comments.

use super::line::Line;
use super::place::At;

/// A line as it stands in a file, without comment, line end, and blanks around it.
#[derive(Debug, Default)]
pub(super) struct Physical {
    /// What is left of it; a final backslash is not.
    pub(super) line: Line,
    /// Whether it ends in a backslash.
    pub(super) continued: bool,
    /// A quote that nothing ends.
    pub(super) unclosed: Option<At>,
}

/// Takes the comment from `text`, which stands at `offset` of the file: from `#` or `!` on, wherever
/// one stands outside of `"…"` and without a backslash before it.
pub(super) fn read(text: &str, file: usize, offset: usize) -> Physical {
    let whole = Line::verbatim(text, file, offset);
    let mut line = Line::default();
    let mut quote = None;
    let (mut kept, mut end, mut continued) = (0, text.len(), false);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' if quote.is_none() => quote = Some(at),
            b'"' => quote = None,
            b'\\' => match bytes.peek().copied() {
                Some((next, b'#' | b'!')) if quote.is_none() => {
                    line.append(&whole.slice(kept, at));
                    kept = next;
                    bytes.next();
                }
                Some(_) => drop(bytes.next()),
                None => {
                    (end, continued) = (at, true);
                    break;
                }
            },
            b'#' | b'!' if quote.is_none() => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    line.append(&whole.slice(kept, end));
    let glued = text.get(..end).is_some_and(|before| before.ends_with(|c: char| !c.is_whitespace()));
    line = line.trimmed();
    line.cut = (glued && !continued && end < text.len()).then(|| At::new(file, offset + end..offset + end + 1));
    let unclosed = quote.map(|at| At::new(file, offset + at..offset + at + 1));
    Physical { line, continued, unclosed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_comment_ends_a_line_wherever_it_is_not_quoted() {
        let cases = [
            ("  state MASTER # why", "state MASTER"),
            ("! all of it", ""),
            (r#"script "a#b !c" ! d"#, r#"script "a#b !c""#),
            (r"auth_pass a\#b\!c", "auth_pass a#b!c"),
            ("auth_pass a#b!c", "auth_pass a"),
            (r##"notify "\"#" x"##, r##"notify "\"#" x"##),
        ];
        for (text, left) in cases {
            assert_eq!(read(text, 0, 0).line.text(), left, "{text}");
        }
        assert!(read("a#b", 0, 0).line.cut.is_some() && read("a #b", 0, 0).line.cut.is_none());
        assert!(read("$A=x \\", 0, 0).continued && read("a \"b", 0, 0).unclosed.is_some());
    }

    proptest! {
        #[test]
        fn no_line_panics(text in "[ a\"#!\\\\é{]{0,20}") {
            let read = read(&text, 0, 7);
            prop_assert!(read.line.text().len() <= text.len());
        }
    }
}
