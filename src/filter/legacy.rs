//! sersync2's regular expressions.

use fancy_regex::{BytesMode, CompileError};
use regex::bytes::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::FilterError;
use super::boost::{self, Refused};

/// How many steps back an expression with look-around or back-references may take for one name,
/// some milliseconds.
const STEPS: usize = 100_000;

/// How many bytes one set of expressions may come to: twice what one expression may, so that each has room in one.
const MOST_OF_SET: usize = 20 << 20;

/// Expressions that must match the whole of a string.
#[derive(Clone, Debug)]
pub(super) struct Expressions {
    /// As many sets as they need, mostly one.
    plain: Vec<RegexSet>,
    /// Those that need look-around or back-references.
    fancy: Vec<fancy_regex::Regex>,
}

/// One expression, by what can match it.
enum Kind {
    Plain(String),
    Fancy(fancy_regex::Regex),
}

impl Expressions {
    pub(super) fn new(patterns: &[String]) -> Result<Self, FilterError> {
        let (mut plain, mut fancy) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match kind(pattern)? {
                Kind::Plain(pattern) => plain.push(pattern),
                Kind::Fancy(regex) => fancy.push(regex),
            }
        }
        let plain = if plain.is_empty() { Vec::new() } else { sets(&plain, MOST_OF_SET)? };
        Ok(Self { plain, fancy })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.fancy.is_empty()
    }

    /// Whether one of the strings that sersync2 makes of `path` matches.
    pub(super) fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let deeper = path.contains(&b'/');
        let event = if deeper { [b"/", path].concat() } else { path.to_vec() };
        self.is_match(&event) || (is_dir && self.is_match(&[path, b"/"].concat()))
    }

    /// A name at which an expression gives up counts as matched, and so is left alone.
    fn is_match(&self, text: &[u8]) -> bool {
        self.plain.iter().any(|set| set.is_match(text))
            || self.fancy.iter().any(|regex| regex.is_match(text).unwrap_or(true))
    }
}

/// The patterns as sets of which none is larger than `limit`.
fn sets(patterns: &[String], limit: usize) -> Result<Vec<RegexSet>, FilterError> {
    let mut builder = RegexSetBuilder::new(patterns);
    match (builder.unicode(false).dot_matches_new_line(true).size_limit(limit).build(), patterns) {
        (Ok(set), _) => Ok(vec![set]),
        (Err(regex::Error::CompiledTooBig(_)), [_, _, ..]) => {
            let (first, second) = patterns.split_at(patterns.len() / 2);
            Ok([sets(first, limit)?, sets(second, limit)?].concat())
        }
        (Err(error), _) => {
            let pattern = patterns.join("` `");
            Err(FilterError { kind: "expressions", pattern, cause: error.to_string(), void: false })
        }
    }
}

/// Whether the expression says by a negative look-around what to keep, and excludes any other
/// directory, so that nothing in one is ever reached.
pub(super) fn excludes_parents(pattern: &str) -> bool {
    /// Strings as sersync2 makes them of names that nobody has in mind.
    const PROBES: [&[u8]; 3] = [b"syncd-probe", b"/syncd-probe/syncd-probe", b"syncd-probe/"];
    let negative = pattern.contains("(?!") || pattern.contains("(?<!");
    negative
        && Expressions::new(&[pattern.to_owned()])
            .is_ok_and(|expressions| PROBES.iter().all(|probe| expressions.is_match(probe)))
}

/// The expression that `bytes` are: UTF-8 as it stands, else with `\xNN` for each byte that is not ASCII.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    // Without Unicode `\xNN` is a byte, else a character.
    let mut text = String::from("(?-u)");
    let mut rest = bytes.iter().copied().peekable();
    // Behind `\Q`, where a backslash means itself.
    let mut quoted = false;
    while let Some(byte) = rest.next() {
        match (byte, rest.peek().copied()) {
            (b'\\', Some(b'E')) if quoted => {
                quoted = false;
                text.push_str("\\E");
                rest.next();
            }
            (0x80.., _) if quoted => text.push_str(&format!(r"\E\x{byte:02X}\Q")),
            (_, _) if quoted => text.push(byte.into()),
            (b'\\', Some(b'Q')) => {
                quoted = true;
                text.push_str("\\Q");
                rest.next();
            }
            // A letter means itself, with a backslash before it as well.
            (b'\\', Some(0x80..)) => {}
            (b'\\', Some(next)) => {
                text.extend(['\\', next.into()]);
                rest.next();
            }
            (..0x80, _) => text.push(byte.into()),
            (0x80.., _) => text.push_str(&format!(r"\x{byte:02X}")),
        }
    }
    text
}

/// The pattern so that it matches nothing but whole strings.
fn kind(written: &str) -> Result<Kind, FilterError> {
    let refuse = |void, cause: String| FilterError { kind: "expression", pattern: written.to_owned(), cause, void };
    let pattern = boost::translate(written).map_err(|why| match why {
        Refused::Void(why) => refuse(true, why.to_owned()),
        Refused::Unsupported(why) => refuse(false, why.to_owned()),
    })?;
    let compile = |unicode: bool, text: &str| {
        RegexBuilder::new(text).unicode(unicode).dot_matches_new_line(true).build().map_err(|e| cause(&e))
    };
    // Without Unicode `.` is a byte, as for sersync2; a class such as `[日月]` needs it.
    let Err(refused) = compile(false, &pattern) else {
        return Ok(Kind::Plain(format!(r"\A(?-u:(?:{pattern}))\z")));
    };
    if compile(true, &pattern).is_ok() {
        return Ok(Kind::Plain(format!(r"\A(?u:(?:{pattern}))\z")));
    }
    let perl = |text: &str| {
        let mut builder = fancy_regex::RegexBuilder::new(text);
        builder.bytes_mode(BytesMode::Ascii).dot_matches_new_line(true).backtrack_limit(STEPS).build()
    };
    match perl(&pattern).and_then(|_| perl(&format!(r"\A(?:{pattern})\z"))) {
        Ok(regex) => Ok(Kind::Fancy(regex)),
        Err(error) if refused.ends_with("not supported") => {
            let absent = |why: &CompileError| matches!(why, CompileError::InvalidBackref(_));
            let void = matches!(&error, fancy_regex::Error::CompileError(why) if absent(why));
            Err(refuse(void, error.to_string()))
        }
        Err(_) => Err(refuse(false, refused)),
    }
}

/// The last line of the error, which says what is wrong; those above it draw the pattern.
fn cause(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_expressions_than_one_set_can_hold_are_all_in_force() {
        let many: Vec<String> = (0..4_000).map(|n| format!(r"\A(.*)/release-{n}/(.*)\.(jpe?g|png|gif)\z")).collect();
        let plain = sets(&many, 1 << 20).expect("usable");
        assert!(plain.len() > 1, "one set holds them all");
        let expressions = Expressions { plain, fancy: Vec::new() };
        for n in [0, 1_999, 2_000, 3_999] {
            assert!(expressions.matches(format!("a/release-{n}/b.jpg").as_bytes(), false), "{n}");
        }
        assert!(!expressions.matches(b"a/release-4000/b.jpg", false));
        assert!(sets(&many, 100).is_err(), "one alone is too large");
    }
}
