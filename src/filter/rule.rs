//! rsync's rules of what is included and excluded, of which the first that matches decides.

use std::borrow::Cow;
use std::fmt;

use super::FilterError;
use super::wild::Wild;

/// One rule of an ordered list, as rsync's `--include` and `--exclude` make them.
#[derive(Clone, Eq, PartialEq)]
pub struct Rule {
    /// What it matches is included, else excluded.
    pub include: bool,
    /// It matches what its pattern does not match.
    pub negate: bool,
    /// The pattern. Without `/` it means a name anywhere, with a leading `/` a path from the root,
    /// with a `/` elsewhere the end of a path; a `/` at its end means directories only. `*`, `?`
    /// and `[…]` stop at `/`, `**` does not.
    pub pattern: Vec<u8>,
}

impl Rule {
    /// `- PATTERN`.
    #[must_use]
    pub fn exclude(pattern: impl Into<Vec<u8>>) -> Self {
        Self { include: false, negate: false, pattern: pattern.into() }
    }

    /// `+ PATTERN`.
    #[must_use]
    pub fn include(pattern: impl Into<Vec<u8>>) -> Self {
        Self { include: true, negate: false, pattern: pattern.into() }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// What is wrong with the pattern: such a rule matches nothing at all in rsync.
    pub fn check(&self) -> Result<(), FilterError> {
        Compiled::new(self).map(drop)
    }
}

/// As rsync writes it in a filter file.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.include { '+' } else { '-' };
        let negate = if self.negate { "!" } else { "" };
        write!(f, "{sign}{negate} {}", String::from_utf8_lossy(&self.pattern))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Rules in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Compiled>);

impl Rules {
    pub(super) fn new(rules: &[Rule]) -> Result<Self, FilterError> {
        rules.iter().map(Compiled::new).collect::<Result<_, _>>().map(Self)
    }

    /// Whether any of them can exclude something.
    pub(super) fn exclude_some(&self) -> bool {
        self.0.iter().any(|rule| !rule.include)
    }

    /// Whether the first that matches excludes `path`. What lies above it is not looked at.
    pub(super) fn exclude(&self, path: &[u8], is_dir: bool) -> bool {
        self.0.iter().find(|rule| rule.matches(path, is_dir)).is_some_and(|rule| !rule.include)
    }
}

#[derive(Clone, Debug)]
struct Compiled {
    include: bool,
    negate: bool,
    dirs_only: bool,
    /// `dir/***`: the directory, and all that lies in it.
    and_itself: bool,
    wild: Wild,
    text: Text,
}

/// What of a path a pattern is held against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Text {
    /// The name alone.
    Name,
    /// All of it.
    Whole,
    /// All of it, behind a slash: the pattern begins with `**`.
    BehindSlash,
    /// So many names at its end.
    Last(usize),
    /// Its end, from any name on: there is a `**` in the pattern.
    FromAnyName,
}

impl Compiled {
    fn new(rule: &Rule) -> Result<Self, FilterError> {
        let refuse = |cause: &str| FilterError {
            kind: "pattern",
            pattern: String::from_utf8_lossy(&rule.pattern).into_owned(),
            cause: cause.to_owned(),
            void: true,
        };
        let short = rule.pattern.strip_suffix(b"/").filter(|short| !short.is_empty());
        let pattern = short.unwrap_or(&rule.pattern);
        if pattern.is_empty() || pattern == b"/" {
            return Err(refuse("it names nothing below the root"));
        }
        let anchored = pattern.first() == Some(&b'/');
        let wild = Wild::new(pattern.strip_prefix(b"/").unwrap_or(pattern)).map_err(refuse)?;
        let names = pattern.split(|b| *b == b'/').count();
        let stars = pattern.windows(2).position(|two| two == b"**");
        let text = match stars {
            _ if anchored => Text::Whole,
            Some(0) => Text::BehindSlash,
            Some(_) => Text::FromAnyName,
            None if names == 1 => Text::Name,
            None => Text::Last(names),
        };
        Ok(Self {
            include: rule.include,
            negate: rule.negate,
            dirs_only: short.is_some(),
            and_itself: pattern.ends_with(b"***"),
            wild,
            text,
        })
    }

    fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        let fits = match (self.dirs_only, is_dir) {
            (true, false) => false,
            (_, true) if self.and_itself => self.fits(&[path, b"/"].concat()),
            _ => self.fits(path),
        };
        fits != self.negate
    }

    fn fits(&self, path: &[u8]) -> bool {
        let text: Cow<'_, [u8]> = match self.text {
            Text::Whole => path.into(),
            Text::BehindSlash => [b"/", path].concat().into(),
            Text::Name => last(path, 1).unwrap_or(path).into(),
            Text::Last(names) => match last(path, names) {
                Some(end) => end.into(),
                None => return false,
            },
            Text::FromAnyName => {
                let starts = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at + 1);
                return std::iter::once(0)
                    .chain(starts)
                    .filter_map(|at| path.get(at..))
                    .any(|end| self.wild.matches(end));
            }
        };
        self.wild.matches(&text)
    }
}

/// The last `names` names of `path`; none when it has fewer.
fn last(path: &[u8], names: usize) -> Option<&[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, b)| **b == b'/').map(|(at, _)| at + 1);
    let start = slashes.chain(std::iter::once(0)).nth(names.saturating_sub(1))?;
    path.get(start..)
}
