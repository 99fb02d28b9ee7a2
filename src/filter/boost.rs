//! Boost's regular expressions in Perl syntax, as sersync2 read them, in the words of Rust's crates.

use std::iter::Peekable;
use std::str::Chars;

/// Why an expression is not translated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// Boost does not read it either, so that sersync2 dropped it.
    Void(&'static str),
    /// Boost reads it, and it cannot be said here.
    Unsupported(&'static str),
}

/// Behind a backslash the same in both, or left to whoever compiles it.
const SAME: &str = "dwsDWSbBAzZafnrtvxpPkgKGNRXV<>123456789";

/// The classes that both know by these names.
const CLASSES: [&str; 13] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit",
];

/// How much is looked at behind a bracket or a brace: no name and no number is longer.
const LONGEST_NAME: usize = 64;

/// Boost's short names of some of them.
const SHORT: [(&str, &str); 5] = [("d", "digit"), ("l", "lower"), ("s", "space"), ("u", "upper"), ("w", "word")];

/// Behind a backslash a place, of which there is nothing to repeat.
const PLACES: &str = "bBAzZG<>`'";

const NOTHING_TO_REPEAT: Refused =
    Refused::Void("there is nothing that it could repeat (`*.x` is a glob; the expression for it is `(.*)\\.x`)");
const NO_REPETITION: Refused = Refused::Void("a repetition `{…}` ends before it begins");
const NO_CLASS: Refused = Refused::Void("there is no class of that name");
const CHARACTERS: Refused = Refused::Unsupported("`[:unicode:]`, `[=x=]` and `[.name.]` are not supported");
const OPEN_SET: Refused = Refused::Void("a `[` has no `]`");
const BAD_RANGE: Refused = Refused::Void("a range in `[…]` ends before it begins");
const OPEN_GROUP: Refused = Refused::Void("a `(` has no `)`");
const UNOPENED_GROUP: Refused = Refused::Void("a `)` has no `(`");
const LAST_BACKSLASH: Refused = Refused::Void("there is nothing behind its last backslash");

/// The same expression for Rust's crates; what those cannot read is passed on as it stands.
///
/// # Errors
/// What Boost itself refused, and names of characters but single ones.
pub(super) fn translate(pattern: &str) -> Result<String, Refused> {
    let mut reader = Reader { rest: pattern.chars().peekable(), out: String::new() };
    reader.all()?;
    Ok(reader.out)
}

/// What stands for one character or byte in a set.
#[derive(Clone, Copy, Debug)]
enum Member {
    Itself(char),
    /// `\xNN`, which is a byte, or without bytes a character.
    Code(u32),
}

impl Member {
    fn code(self) -> u32 {
        match self {
            Self::Itself(c) => c.into(),
            Self::Code(code) => code,
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Reader<'_> {
    fn all(&mut self) -> Result<(), Refused> {
        let mut depth = 0usize;
        // Whether something stands there that can be repeated.
        let mut repeatable = false;
        while let Some(c) = self.rest.next() {
            let before = std::mem::replace(&mut repeatable, true);
            match c {
                '\\' => repeatable = self.escape()?.unwrap_or(before),
                '[' => self.set()?,
                '(' => {
                    repeatable = false;
                    depth += usize::from(self.group()?);
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or(UNOPENED_GROUP)?;
                    self.out.push(')');
                }
                '|' | '^' | '$' => {
                    repeatable = false;
                    self.out.push(c);
                }
                '*' | '+' | '?' => {
                    repeatable = false;
                    self.repeated(before, c.into())?;
                }
                '{' => match self.times()? {
                    Some(times) => {
                        repeatable = false;
                        self.repeated(before, times)?;
                    }
                    None => self.literal('{'),
                },
                '}' => self.literal('}'),
                c => self.out.push(c),
            }
        }
        if depth > 0 { Err(OPEN_GROUP) } else { Ok(()) }
    }

    /// A repetition of what stands before, with the `?` or `+` behind it.
    fn repeated(&mut self, before: bool, times: String) -> Result<(), Refused> {
        if !before {
            return Err(NOTHING_TO_REPEAT);
        }
        self.out.push_str(&times);
        self.out.extend(self.rest.next_if_eq(&'?'));
        self.out.extend(self.rest.next_if_eq(&'+'));
        Ok(())
    }

    /// What stands behind `(` up to what the group is about; whether it is one, and no comment.
    fn group(&mut self) -> Result<bool, Refused> {
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push('(');
            return Ok(true);
        }
        if self.rest.next_if_eq(&'#').is_some() {
            return if self.rest.any(|c| c == ')') { Ok(false) } else { Err(OPEN_GROUP) };
        }
        self.out.push_str("(?");
        // `<=`, `<!`, a name, or flags.
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || "<_-^'".contains(*c)) {
            self.out.push(c);
        }
        self.out.extend(self.rest.next_if(|c| ":=!>|'".contains(*c)));
        // Flags alone are no group, and nothing that could be repeated.
        let alone = self.rest.next_if_eq(&')');
        self.out.extend(alone);
        Ok(alone.is_none())
    }

    /// `{2}`, `{2,}` or `{2,3}`, with blanks or without; a brace that begins anything else means itself.
    fn times(&mut self) -> Result<Option<String>, Refused> {
        let inner: String =
            self.rest.clone().take_while(|c| c.is_ascii_digit() || ", \t".contains(*c)).take(LONGEST_NAME).collect();
        let mut behind = self.rest.clone().skip(inner.chars().count());
        if behind.next() != Some('}') {
            return Ok(None);
        }
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
        let (Some(least), most, open) = (number(least), number(most), most.trim().is_empty()) else { return Ok(None) };
        if most.is_none() && !open {
            return Ok(None);
        }
        if most.is_some_and(|most| most < least) {
            return Err(NO_REPETITION);
        }
        self.rest.nth(inner.chars().count());
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        Ok(Some(format!("{{{least},{most}}}")))
    }

    /// What a backslash begins; whether it can be repeated, which nothing at all leaves as it was.
    fn escape(&mut self) -> Result<Option<bool>, Refused> {
        let Some(c) = self.rest.next() else { return Err(LAST_BACKSLASH) };
        match c {
            'Q' => return Ok(self.quoted().then_some(true)),
            'l' => self.out.push_str("[[:lower:]]"),
            'u' => self.out.push_str("[[:upper:]]"),
            'L' => self.out.push_str("[^[:lower:]]"),
            'U' => self.out.push_str("[^[:upper:]]"),
            'h' => self.out.push_str("[ \\t]"),
            'H' => self.out.push_str("[^ \\t]"),
            'C' => self.out.push('.'),
            '`' => self.out.push_str("\\A"),
            '\'' => self.out.push_str("\\z"),
            c if SAME.contains(c) => {
                self.out.extend(['\\', c]);
                self.braced(c);
            }
            c => {
                let literal = self.character(c)?;
                self.literal(literal);
            }
        }
        Ok(Some(!PLACES.contains(c)))
    }

    /// What stands in braces behind `\x`, `\p` and their like, as it stands.
    fn braced(&mut self, c: char) {
        if "xpPgkN".contains(c) && self.rest.peek() == Some(&'{') {
            let end = self.rest.clone().take(LONGEST_NAME).position(|c| c == '}').map_or(0, |at| at + 1);
            let name: String = self.rest.by_ref().take(end).collect();
            self.out.push_str(&name);
        }
    }

    /// `\Q…\E`, or up to the end; whether something stood between.
    fn quoted(&mut self) -> bool {
        let before = self.out.len();
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            self.literal(c);
        }
        self.out.len() > before
    }

    /// The character that `\c` means, if it means one.
    fn character(&mut self, c: char) -> Result<char, Refused> {
        match c {
            'e' => Ok('\x1b'),
            '0' => {
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = self.rest.next_if(|c| c.is_digit(8)) else { break };
                    code = code * 8 + digit.to_digit(8).unwrap_or(0);
                }
                Ok(char::from_u32(code).unwrap_or('\0'))
            }
            'c' => {
                let control = self.rest.next().ok_or(LAST_BACKSLASH)?;
                Ok(char::from_u32(u32::from(control) % 32).unwrap_or('\0'))
            }
            c => Ok(c),
        }
    }

    /// A set behind its `[`. Within it only a class, a range, `\` and `]` mean something: no set,
    /// no `&&`.
    fn set(&mut self) -> Result<(), Refused> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or(OPEN_SET)?;
            if c == ']' && !first {
                break;
            }
            first = false;
            let Some(from) = self.member(c)? else { continue };
            self.one(from);
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
                continue;
            }
            self.rest = ahead;
            let dash = self.out.len();
            self.out.push('-');
            let end = self.rest.next().ok_or(OPEN_SET)?;
            // There a bracket begins no class.
            let itself = end == '[' && self.rest.peek() != Some(&'.');
            match if itself { Some(Member::Itself('[')) } else { self.member(end)? } {
                Some(to) if to.code() < from.code() => return Err(BAD_RANGE),
                Some(to) => self.one(to),
                // Before a class it means itself.
                None => self.out.insert(dash, '\\'),
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// What a set holds at `c`; none where that is a class, which is written already.
    fn member(&mut self, c: char) -> Result<Option<Member>, Refused> {
        match c {
            '[' => Ok(self.class()?.map(Member::Itself)),
            '\\' => match self.rest.next().ok_or(OPEN_SET)? {
                'b' => Ok(Some(Member::Itself('\x08'))),
                'l' => Ok(self.written("[:lower:]")),
                'u' => Ok(self.written("[:upper:]")),
                'L' => Ok(self.written("[:^lower:]")),
                'U' => Ok(self.written("[:^upper:]")),
                'h' => Ok(self.written(" \\t")),
                'x' if self.rest.peek() != Some(&'{') => {
                    let mut code = 0;
                    for _ in 0..2 {
                        let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit) else { break };
                        code = code * 16 + digit.to_digit(16).unwrap_or(0);
                    }
                    Ok(Some(Member::Code(code)))
                }
                c if "dwsDWSafnrtvxpP".contains(c) => {
                    self.out.extend(['\\', c]);
                    self.braced(c);
                    Ok(None)
                }
                c => self.character(c).map(|c| Some(Member::Itself(c))),
            },
            c => Ok(Some(Member::Itself(c))),
        }
    }

    fn one(&mut self, member: Member) {
        match member {
            Member::Itself(c) => self.literal(c),
            Member::Code(code) => self.out.push_str(&format!("\\x{code:02X}")),
        }
    }

    fn written<T>(&mut self, text: &str) -> Option<T> {
        self.out.push_str(text);
        None
    }

    /// `[:NAME:]`, `[.x.]` or `[=x=]` behind its first bracket, which is one itself if no other follows.
    fn class(&mut self) -> Result<Option<char>, Refused> {
        let Some((mark, name)) = named(&mut self.rest) else { return Ok(Some('[')) };
        let (not, bare) = name.strip_prefix('^').map_or(("", name.as_str()), |bare| ("^", bare));
        let known = SHORT.iter().find(|(short, _)| *short == bare).map_or(bare, |(_, long)| long);
        let mut single = name.chars();
        match (mark, single.next(), single.next()) {
            (':', ..) if CLASSES.contains(&known) => Ok(self.written(&format!("[:{not}{known}:]"))),
            (':', ..) if bare != "unicode" => Err(NO_CLASS),
            ('.', Some(one), None) => Ok(Some(one)),
            _ => Err(CHARACTERS),
        }
    }

    /// Writes a character that means itself.
    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() && !"<>".contains(c) {
            self.out.push('\\');
        } else if c.is_ascii_control() {
            return self.out.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
        self.out.push(c);
    }
}

/// The mark and the name of a class, taken from `rest` if it is one to its end.
fn named(rest: &mut Peekable<Chars<'_>>) -> Option<(char, String)> {
    let mut ahead = rest.clone();
    let mark = ahead.next().filter(|c| ":.=".contains(*c))?;
    let mut name = String::new();
    while name.len() <= LONGEST_NAME {
        match ahead.next()? {
            c if c == mark && ahead.next_if_eq(&']').is_some() => {
                *rest = ahead;
                return Some((mark, name));
            }
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_boost_alone_reads_is_written_for_rust() {
        for (boost, rust) in [
            (r"\Qa.b[\E(.*)", r"a\.b\[(.*)"),
            (r"\Qa.b", r"a\.b"),
            ("[a[b]", r"[a\[b]"),
            ("[]a-c&&~~b-]", r"[\]a-c\&\&\~\~b\-]"),
            (r"[[:digit:]_\]\d]", r"[[:digit:]\_\]\d]"),
            (r"a\_\y\/\-", r"a\_y\/\-"),
            (r"\l\u+", "[[:lower:]][[:upper:]]+"),
            (r"a{ 2 , 3 }b{2}", "a{2,3}b{2,2}"),
            (r"a\033\cA", r"a\x1b\x01"),
            ("{{ name }}a{x}a{,3}}", r"\{\{ name \}\}a\{x\}a\{,3\}\}"),
            ("a*?b++c{2}?(d*)*", "a*?b++c{2,2}?(d*)*"),
            (r"a\Q\E*\E", "a*E"),
            (r"\x{41}\p{Lu}{2}[\xA4-\xfe\x{41}]", r"\x{41}\p{Lu}{2,2}[\xA4-\xFE\x{41}]"),
            (r"(?-u)\xC8+(?i)a", r"(?-u)\xC8+(?i)a"),
            ("[*-[:a:]", r"[\*-\[\:a\:]"),
            (r"[a-\d+--][[:d:][:^l:][.x.]]", r"[a\-\d\+-\-][[:digit:][:^lower:]x]"),
            ("(?#no)a(?:b|c)(?!d)(?<=e)(?i)(?<n>f)", "a(?:b|c)(?!d)(?<=e)(?i)(?<n>f)"),
            (r"^(?!.*?uploads).*$", r"^(?!.*?uploads).*$"),
            (r"(.*)\.svn|\A日", r"(.*)\.svn|\A日"),
        ] {
            assert_eq!(translate(boost).as_deref(), Ok(rust), "{boost}");
        }
    }

    #[test]
    fn what_boost_refuses_is_told_from_what_it_reads() {
        for (wrong, why) in [
            ("*.php", NOTHING_TO_REPEAT),
            ("a|+b", NOTHING_TO_REPEAT),
            ("(*a)", NOTHING_TO_REPEAT),
            ("^*.log", NOTHING_TO_REPEAT),
            ("(?-u)*.log", NOTHING_TO_REPEAT),
            ("**.log", NOTHING_TO_REPEAT),
            ("a**", NOTHING_TO_REPEAT),
            (r"\Q\E*", NOTHING_TO_REPEAT),
            ("{2}", NOTHING_TO_REPEAT),
            ("a{3,1}", NO_REPETITION),
            ("[[:foo:]]", NO_CLASS),
            ("[[=a=]]", CHARACTERS),
            ("a[b", OPEN_SET),
            ("a[]", OPEN_SET),
            ("[z-a]", BAD_RANGE),
            ("^(?!up.*$", OPEN_GROUP),
            ("(?#a", OPEN_GROUP),
            ("a)|(b", UNOPENED_GROUP),
            ("a\\", LAST_BACKSLASH),
        ] {
            assert_eq!(translate(wrong), Err(why), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_text_matches_itself_alone(text in "[ -~é]{1,12}") {
            prop_assume!(!text.contains("\\E") && !text.ends_with('\\'));
            let quoted = translate(&format!("\\Q{text}\\E")).expect("Boost reads it");
            let regex = regex::Regex::new(&format!(r"\A(?:{quoted})\z")).expect("Rust reads it");
            let longer = format!("{text}x");
            prop_assert!(regex.is_match(&text) && !regex.is_match(&longer));
        }

        #[test]
        fn a_set_of_any_characters_is_read(text in r"[ -Z^-~]{1,8}") {
            let Ok(set) = translate(&format!("[x{text}]")) else { return Ok(()) };
            prop_assume!(!text.contains('['));
            prop_assert!(regex::bytes::Regex::new(&set).is_ok(), "{}", set);
        }
    }
}
