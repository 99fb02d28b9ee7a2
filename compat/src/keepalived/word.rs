//! The words of a line, and the arguments of a command.

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

/// What a command does not end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unended {
    /// This quote.
    Quote(char),
    /// A backslash with nothing behind it.
    Backslash,
}

/// The words of a line whose second one is a command: `"…"` and `'…'` keep blanks, wherever in a word they begin, and a
/// backslash escapes in either and outside.
///
/// # Errors
/// Something has no end, and keepalived runs nothing.
pub(super) fn split_escaped(line: &Line) -> Result<Vec<Word>, Unended> {
    let word = |piece: Piece| Word {
        quoted: line.text().get(piece.start..).is_some_and(|rest| rest.starts_with(['"', '\''])),
        at: line.at(piece.start, piece.end),
        text: piece.text,
    };
    Ok(cut(line.text())?.into_iter().map(word).collect())
}

/// The program and the arguments that the one word of a command comes to: cut once more as its line was. No shell sees
/// them.
///
/// # Errors
/// Something has no end, and keepalived runs nothing.
pub(super) fn arguments(command: &str) -> Result<Vec<String>, Unended> {
    Ok(cut(command)?.into_iter().map(|piece| piece.text).collect())
}

/// A word without its quotes and escapes, and from where to where it stands with them.
struct Piece {
    text: String,
    start: usize,
    end: usize,
}

fn cut(text: &str) -> Result<Vec<Piece>, Unended> {
    let mut all: Vec<Piece> = Vec::new();
    let mut current: Option<Piece> = None;
    let mut quote = None;
    let mut chars = text.chars();
    loop {
        let start = text.len() - chars.as_str().len();
        let Some(c) = chars.next() else { break };
        if quote.is_none() && c.is_whitespace() {
            all.extend(current.take());
            continue;
        }
        let piece = current.get_or_insert_with(|| Piece { text: String::new(), start, end: start });
        match (c, quote) {
            ('\\', _) => piece.text.push(escaped(&mut chars).ok_or(Unended::Backslash)?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, _) => piece.text.push(c),
        }
        piece.end = text.len() - chars.as_str().len();
    }
    all.extend(current);
    quote.map_or(Ok(all), |open| Err(Unended::Quote(open)))
}

/// What a backslash makes of the characters behind it: `\n`, `\t`, `\x20`, `\033`, `\cC`, or the character itself; nothing
/// where there is none.
fn escaped(chars: &mut Chars<'_>) -> Option<char> {
    let plain = match chars.next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' if chars.as_str().starts_with(|c: char| c.is_ascii_hexdigit()) => number(chars, 0, 16, 2),
        'c' => chars.next().and_then(|c| char::from_u32(u32::from(c) & 0x1f)).unwrap_or('c'),
        c => match c.to_digit(8) {
            Some(first) => number(chars, first, 8, 2),
            None => c,
        },
    };
    Some(plain)
}

/// A byte written in at most `most` more digits.
fn number(chars: &mut Chars<'_>, first: u32, radix: u32, most: usize) -> char {
    let mut value = first;
    for _ in 0..most {
        let Some(digit) = chars.as_str().chars().next().and_then(|c| c.to_digit(radix)) else { break };
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

    /// The program's arguments, and what stands behind the command.
    fn run(text: &str) -> Result<(Vec<String>, Vec<String>), Unended> {
        let words = split_escaped(&Line::verbatim(text, 0, 0))?;
        let Some((command, behind)) = words.split_first() else { return Ok(Default::default()) };
        Ok((arguments(&command.text)?, behind.iter().map(|word| word.text.clone()).collect()))
    }

    /// Each line was run by keepalived 2.2.7, whose program wrote down its arguments.
    #[test]
    fn a_command_is_cut_as_keepalived_cuts_it() {
        let argv = |text: &str| run(text).unwrap_or_else(|why| panic!("{text}: {why:?}")).0;
        assert_eq!(argv("'/p 1 = 1'"), ["/p", "1", "=", "1"]);
        assert_eq!(argv(r#""/p -c \"exit 0\"""#), ["/p", "-c", "exit 0"]);
        assert_eq!(argv(r#""/p -c 'echo \"a\"'""#), ["/p", "-c", r#"echo "a""#]);
        assert_eq!(argv(r#"/b"in/p" x"#), ["/bin/p"]);
        assert_eq!(argv(r#""/p 'a b' = a\ b""#), ["/p", "a b", "=", "a", "b"]);
        assert_eq!(argv(r#"'/p \x41 = "q w" z'"#), ["/p", "A", "=", "q w", "z"]);
        let escapes = r#""/p '\\x41 \\t' \x42 \103 \\e \\E \\cA \q \\q""#;
        assert_eq!(argv(escapes), ["/p", "A \t", "B", "C", "e", "\u{1b}", "\u{1}", "q", "q"]);
        assert_eq!(argv(r#""/p \"\" ''  x ""#), ["/p", "", "", "x"]);
        assert_eq!(argv(r#""/p a\\\\b""#), ["/p", r"a\b"]);
        assert_eq!(argv(r#""/p "x y"""#), ["/p", "x"]);
        assert_eq!(argv(r#""/p é 'ü x'""#), ["/p", "é", "ü x"]);
        assert_eq!(argv(r#""/p a\\ b""#), ["/p", "a b"]);
    }

    #[test]
    fn what_stands_behind_a_command_is_none_of_its_arguments() {
        let behind = |text: &str| run(text).expect("whole");
        assert_eq!(behind("/p 1 = 1"), (vec!["/p".to_owned()], vec!["1".to_owned(), "=".to_owned(), "1".to_owned()]));
        assert_eq!(behind(r#""/p x" 'a b' c"#).1, ["a b", "c"]);
    }

    #[test]
    fn a_command_without_its_end_is_none() {
        assert_eq!(run(r#""/p it's""#), Err(Unended::Quote('\'')));
        assert_eq!(run("'/p a"), Err(Unended::Quote('\'')));
        assert_eq!(run(r#""/p a"#), Err(Unended::Quote('"')));
        assert_eq!(run(r#""/p a\\""#), Err(Unended::Backslash));
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
            let _ = words(&text);
        }
    }
}
