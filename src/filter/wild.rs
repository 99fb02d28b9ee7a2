//! rsync's wildcards, on bytes.

/// A pattern in which `*`, `?` and `[…]` stop at a slash and `**` does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wild(Vec<Token>);

/// What one part of a pattern matches.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// One byte but a slash.
    Any,
    /// One byte of the set, of which a slash is never part.
    Set(Box<Set>),
    /// Any number of bytes but slashes.
    Star,
    /// Any number of bytes.
    Stars,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    fn invert(&mut self) {
        self.0.iter_mut().for_each(|word| *word = !*word);
    }
}

impl Wild {
    /// Reads a pattern, with `\` before a byte that means itself. Without any wildcard a backslash
    /// is one itself, as in rsync.
    ///
    /// # Errors
    /// What makes it match nothing at all in rsync: an unclosed set, a backslash at the end.
    pub(super) fn new(pattern: &[u8]) -> Result<Self, &'static str> {
        if !pattern.iter().any(|b| b"*?[".contains(b)) {
            return Ok(Self(pattern.iter().copied().map(Token::Byte).collect()));
        }
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let token = match byte {
                b'?' => Token::Any,
                b'*' => {
                    let more = rest.iter().take_while(|b| **b == b'*').count();
                    rest = rest.get(more..).unwrap_or_default();
                    if more > 0 { Token::Stars } else { Token::Star }
                }
                b'[' => {
                    let (set, after) = set(rest).ok_or("unclosed character class; missing ']'")?;
                    rest = after;
                    Token::Set(Box::new(set))
                }
                b'\\' => {
                    let (&escaped, after) = rest.split_first().ok_or("there is nothing behind its last backslash")?;
                    rest = after;
                    Token::Byte(escaped)
                }
                byte => Token::Byte(byte),
            };
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// Whether all of `text` matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where to go on when what follows the last `*`, or the last `**`, does not match.
        let mut star: Option<(usize, usize)> = None;
        let mut stars: Option<(usize, usize)> = None;
        loop {
            let here = text.get(at).copied();
            let matched = match (self.0.get(token), here) {
                (None, None) => return true,
                (Some(Token::Star), _) => {
                    star = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                (Some(Token::Stars), _) => {
                    (star, stars) = (None, Some((token + 1, at)));
                    token += 1;
                    continue;
                }
                (Some(Token::Byte(byte)), Some(here)) => *byte == here,
                (Some(Token::Any), Some(here)) => here != b'/',
                (Some(Token::Set(set)), Some(here)) => here != b'/' && set.has(here),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if matched {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            let longer = |(token, from): (usize, usize)| (token, from + 1);
            if let Some(next) = star.filter(|(_, from)| text.get(*from).is_some_and(|b| *b != b'/')).map(longer) {
                star = Some(next);
                (token, at) = next;
            } else if let Some(next) = stars.filter(|(_, from)| *from < text.len()).map(longer) {
                (star, stars) = (None, Some(next));
                (token, at) = next;
            } else {
                return false;
            }
        }
    }
}

/// The set behind a `[`, and what follows its `]`; none when it is not closed or names no class.
fn set(text: &[u8]) -> Option<(Set, &[u8])> {
    let mut set = Set::default();
    let mut rest = text;
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        rest = rest.get(1..)?;
    }
    let mut from: Option<u8> = None;
    let mut first = true;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        if byte == b']' && !first {
            break;
        }
        first = false;
        let closes = |rest: &[u8]| matches!(rest.first(), None | Some(b']'));
        match (byte, from) {
            (b'\\', _) => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                set.add(escaped);
                from = Some(escaped);
            }
            (b'-', Some(start)) if !closes(rest) => {
                let (&end, after) = rest.split_first()?;
                rest = after;
                let end = if end == b'\\' {
                    let (&escaped, after) = rest.split_first()?;
                    rest = after;
                    escaped
                } else {
                    end
                };
                (start..=end).for_each(|byte| set.add(byte));
                from = None;
            }
            (b'[', _) if rest.first() == Some(&b':') => {
                let inner = rest.get(1..)?;
                let end = inner.iter().position(|b| *b == b']')?;
                match inner.get(..end)?.strip_suffix(b":") {
                    Some(name) => {
                        let is = class(name)?;
                        (0..=u8::MAX).filter(is).for_each(|byte| set.add(byte));
                        rest = inner.get(end + 1..)?;
                        from = None;
                    }
                    None => {
                        set.add(b'[');
                        from = Some(b'[');
                    }
                }
            }
            (byte, _) => {
                set.add(byte);
                from = Some(byte);
            }
        }
    }
    if negated {
        set.invert();
    }
    Some((set, rest))
}

fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |b| matches!(b, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |b| matches!(b, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Wild::new(pattern.as_bytes()).expect("usable").matches(text.as_bytes())
    }

    #[test]
    fn only_two_stars_go_across_a_slash() {
        let cases = [
            ("*", "abc", true),
            ("*", "a/c", false),
            ("**", "a/c", true),
            ("a*c", "abbc", true),
            ("a*b*c", "axbybzc", true),
            ("a**c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", false),
            ("a/**/*.x", "a/b/b/c.x", true),
            ("**/*a/b", "x/ya/ca/b", true),
            ("a?c", "a/c", false),
            ("a[/]c", "a/c", false),
            ("a[!x]c", "a/c", false),
            (r"a\b", r"a\b", true),
            (r"a\*", "a*", true),
            (r"a\**", "a*b", true),
            (r"a\**", "axb", false),
            ("[]x]y", "]y", true),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "d", false),
            ("[[:digit:]x]", "7", true),
            ("[[:]", ":", true),
            ("[z-a]", "m", false),
            (r"[\]]*", "]x", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        for pattern in ["a[b", "[", "[]", r"*\", "[[:what:]]", "[a-"] {
            assert!(Wild::new(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    /// The same by trying everything.
    fn slowly(tokens: &[Token], text: &[u8]) -> bool {
        let Some((token, tokens)) = tokens.split_first() else { return text.is_empty() };
        let one = |fits: bool| fits && text.get(1..).is_some_and(|rest| slowly(tokens, rest));
        let first = text.first().copied();
        match token {
            Token::Byte(byte) => one(first == Some(*byte)),
            Token::Any => one(first.is_some_and(|b| b != b'/')),
            Token::Set(set) => one(first.is_some_and(|b| b != b'/' && set.has(b))),
            Token::Star | Token::Stars => (0..=text.len())
                .take_while(|n| *token == Token::Stars || !text[..*n].contains(&b'/'))
                .any(|n| slowly(tokens, &text[n..])),
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_trying_everything_finds(pattern in "[ab/*?]{0,7}", text in "[ab/]{0,8}") {
            let wild = Wild::new(pattern.as_bytes()).expect("usable");
            prop_assert_eq!(wild.matches(text.as_bytes()), slowly(&wild.0, text.as_bytes()));
        }

        #[test]
        fn no_bytes_panic(pattern in prop::collection::vec(any::<u8>(), 0..20), text in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(wild) = Wild::new(&pattern) {
                let _ = wild.matches(&text);
            }
        }
    }
}
