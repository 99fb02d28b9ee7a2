//! sersync2's regular expressions.

use regex::bytes::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::FilterError;

/// Expressions that must match the whole of a string.
#[derive(Clone, Debug)]
pub(super) struct Expressions(RegexSet);

impl Expressions {
    pub(super) fn new(patterns: &[String]) -> Result<Self, FilterError> {
        let whole = patterns.iter().map(|pattern| whole(pattern)).collect::<Result<Vec<_>, _>>()?;
        let set = RegexSetBuilder::new(whole).unicode(false).dot_matches_new_line(true).build();
        set.map(Self).map_err(|error| FilterError {
            kind: "expressions",
            pattern: patterns.join("` `"),
            cause: error.to_string(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the strings that sersync2 makes of `path` matches.
    pub(super) fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let deeper = path.contains(&b'/');
        let event = if deeper { [b"/", path].concat() } else { path.to_vec() };
        self.0.is_match(&event) || (is_dir && self.0.is_match(&[path, b"/"].concat()))
    }
}

/// The pattern so that it matches nothing but whole strings.
fn whole(pattern: &str) -> Result<String, FilterError> {
    // On its own first: `a)|(b` would otherwise break out of the group.
    let compile = |unicode: bool, text: &str| {
        RegexBuilder::new(text).unicode(unicode).dot_matches_new_line(true).build().map_err(|e| cause(&e))
    };
    // Without Unicode `.` is a byte, as for sersync2; a class such as `[日月]` needs it.
    let flags = match compile(false, pattern) {
        Ok(_) => "-u",
        Err(cause) => {
            compile(true, pattern).map_err(|_| FilterError {
                kind: "expression",
                pattern: pattern.to_owned(),
                cause,
            })?;
            "u"
        }
    };
    Ok(format!(r"\A(?{flags}:(?:{pattern}))\z"))
}

/// The last line of the error, which says what is wrong; those above it draw the pattern.
fn cause(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("").trim();
    let what = last.strip_prefix("error: ").unwrap_or(last);
    if what.starts_with("repetition operator missing") {
        return format!("{what} (`*.x` is a glob; the expression for it is `(.*)\\.x`)");
    }
    what.to_owned()
}
