//! The words of a line, and the arguments of a command.

use std::iter::Peekable;
use std::str::Chars;

use super::line::Line;
use super::place::{At, Located};

/// One word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Word {
    /// Without the quotes around it.
    pub text: String,
    /// Where it stands, the quotes included.
    pub at: At,
    /// Whether there were quotes.
    pub quoted: bool,
}

impl Word {
    /// The text with its place.
    #[must_use]
    pub fn located(&self) -> Located<String> {
        Located::new(self.text.clone(), self.at)
    }
}

/// The words of `line`: blanks part them, `"…"` keeps blanks.
pub(super) fn split(line: &Line) -> Vec<Word> {
    let text = line.text();
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blanks = rest.len() - rest.trim_start().len();
        if blanks > 0 {
            at += blanks;
            continue;
        }
        let (inner, len) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let inner = quoted.find('"').map_or(quoted, |end| quoted.get(..end).unwrap_or(""));
                (inner, (inner.len() + 2).min(rest.len()))
            }
            None => {
                let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
                (rest.get(..end).unwrap_or(""), end)
            }
        };
        let quoted = rest.starts_with('"');
        words.push(Word { text: inner.to_owned(), at: line.at(at, at + len), quoted });
        at += len;
    }
    words
}

/// The arguments of a command: those of one quoted word, in which `"` and `'` quote and a backslash
/// escapes, or the words themselves. No shell sees them.
#[must_use]
pub fn arguments(words: &[Word]) -> Vec<String> {
    match words {
        [only] if only.quoted => inner(&only.text),
        words => words.iter().map(|word| word.text.clone()).collect(),
    }
}

fn inner(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => current.get_or_insert_default().push(escaped(&mut chars)),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => all.extend(current.take()),
            (c, _) => current.get_or_insert_default().push(c),
        }
    }
    all.extend(current);
    all
}

/// What a backslash makes of the characters behind it: `\n`, `\t`, `\x20`, `\033`, `\cC`, or the character itself.
fn escaped(chars: &mut Peekable<Chars<'_>>) -> char {
    match chars.next() {
        None => '\\',
        Some('a') => '\u{7}',
        Some('b') => '\u{8}',
        Some('e') => '\u{1b}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('v') => '\u{b}',
        Some('x') => number(chars, 0, 16, 2),
        Some('c') => chars.next().and_then(|c| char::from_u32(u32::from(c) & 0x1f)).unwrap_or('c'),
        Some(c) => match c.to_digit(8) {
            Some(first) => number(chars, first, 8, 2),
            None => c,
        },
    }
}

/// A byte written in at most `most` more digits.
fn number(chars: &mut Peekable<Chars<'_>>, first: u32, radix: u32, most: usize) -> char {
    let mut value = first;
    for _ in 0..most {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
        value = value * radix + digit;
        chars.next();
    }
    char::from(u8::try_from(value & 0xff).unwrap_or(b'?'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<Word> {
        split(&Line::verbatim(text, 0, 0))
    }

    fn run(text: &str) -> Vec<String> {
        arguments(&words(text))
    }

    #[test]
    fn a_command_is_cut_as_keepalived_cuts_it() {
        assert_eq!(run(r#""/bin/x 'a b' c""#), ["/bin/x", "a b", "c"]);
        assert_eq!(run("/bin/x a b"), ["/bin/x", "a", "b"]);
        assert_eq!(run(r#""/bin/x \x41\tb \101\'""#), ["/bin/x", "A\tb", "A'"]);
        assert_eq!(run(r#""/bin/sh -c ''""#), ["/bin/sh", "-c", ""]);
    }

    #[test]
    fn quotes_keep_blanks_and_end_words() {
        let words = words(r#"a "b c"d  e"#);
        assert_eq!(words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["a", "b c", "d", "e"]);
        assert_eq!(words[1].at, At::new(0, 2..7));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ a\"'\\\\cx0é]{0,20}") {
            let _ = run(&text);
            let _ = inner(&text);
        }
    }
}
