//! `&include` and `&merge`: the files that a file names, put behind the lines that name them.

use std::io;
use std::path::{Path, PathBuf};

use super::lines::{self, Line};
use crate::findings::Findings;
use crate::span::{Span, Spanned};
use crate::text::SourceText;

/// Files include each other no deeper: most likely they include each other in a circle.
const MAX_DEPTH: usize = 10;

/// How many files one file may bring in, all together.
const MAX_FILES: usize = 256;

/// How many bytes they may have, all together, so that a circle does not grow with each round.
const MAX_BYTES: usize = 4 << 20;

/// Which files a directive means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Directive {
    /// `&include`: each file begins with the defaults of the including one, and leaves them as they are.
    Include,
    /// `&merge`: the file's lines count as if they stood there.
    Merge,
}

impl Directive {
    /// How the names end that are read where the directive names a directory.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Include => ".conf",
            Self::Merge => ".inc",
        }
    }
}

/// The files that a path stands for: itself, or of a directory those with the directive's suffix in
/// the order of their names; each with its bytes.
pub type Loader<'a> = &'a mut dyn FnMut(&Path, Directive) -> io::Result<Vec<(PathBuf, Vec<u8>)>>;

/// The text of one included file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Nested {
    pub(super) span: Span,
    pub(super) directive: Directive,
}

/// An `rsyncd.conf` with all that it includes in it.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The whole text.
    pub source: SourceText,
    /// What was included, by where it begins; what is within another comes behind that.
    pub(super) nested: Vec<Nested>,
}

/// `source` with the files that it names, which `load` reads.
///
/// What cannot be read is an error in `findings`, since rsyncd would not start either.
pub fn expand(source: SourceText, findings: &mut Findings, load: Loader<'_>) -> Expanded {
    let mut left = Left { files: MAX_FILES, bytes: MAX_BYTES };
    let mut expanded = expand_below(source, findings, load, &mut Vec::new(), &mut left);
    // An outer text begins where its first inner one does, if that stands on its first line.
    expanded.nested.sort_by_key(|nested| (nested.span.start, std::cmp::Reverse(nested.span.end)));
    expanded
}

/// What may still be included.
struct Left {
    files: usize,
    bytes: usize,
}

impl Left {
    /// Whether a file of `bytes` may; it counts from then on.
    fn take(&mut self, bytes: usize) -> bool {
        match (self.files.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(files), Some(bytes)) => {
                *self = Self { files, bytes };
                true
            }
            _ => false,
        }
    }
}

fn expand_below(
    source: SourceText,
    findings: &mut Findings,
    load: Loader<'_>,
    around: &mut Vec<String>,
    left: &mut Left,
) -> Expanded {
    let directives: Vec<_> = lines::read(source.text()).filter_map(directive).collect();
    let mut expanded = Expanded { source, nested: Vec::new() };
    around.push(expanded.source.text().to_owned());
    // From the last to the first, so that what is put in moves no directive that is still to come.
    for (directive, path) in directives.into_iter().rev() {
        let refuse = |source: &SourceText, why: &str, help: &str| {
            let message = format!("`{}` cannot be included: {why}", path.value);
            source.error("rsyncd-include", path.span, message).help(help)
        };
        let too_much = |source| refuse(source, "there is too much of it", "do files include each other in a circle?");
        if around.len() > MAX_DEPTH || left.files == 0 {
            findings.push(too_much(&expanded.source));
            continue;
        }
        let loaded = match load(Path::new(&path.value), directive) {
            Ok(loaded) => loaded,
            Err(cause) => {
                findings.push(refuse(
                    &expanded.source,
                    &cause.to_string(),
                    "name a file that can be read, or remove the line",
                ));
                continue;
            }
        };
        for (file, bytes) in loaded.into_iter().rev() {
            if !left.take(bytes.len()) {
                findings.push(too_much(&expanded.source));
                break;
            }
            let inner = SourceText::decode(file, &bytes);
            // By whatever name: what says the same as a file around it includes the same, without end.
            if around.iter().any(|text| text == inner.text()) {
                let why = "files would include each other in a circle";
                findings.push(refuse(&expanded.source, why, "remove the line"));
                continue;
            }
            let inner = expand_below(inner, findings, load, around, left);
            expanded.insert(path.span, directive, inner);
        }
    }
    around.pop();
    expanded
}

impl Expanded {
    fn insert(&mut self, at: Span, directive: Directive, inner: Self) {
        let before = self.source.text().len();
        let span = self.source.insert_behind(at.end.saturating_sub(1).max(at.start), &inner.source);
        let grown = self.source.text().len() - before;
        for nested in self.nested.iter_mut().filter(|nested| nested.span.start >= at.end) {
            nested.span = Span::new(nested.span.start + grown, nested.span.end + grown);
        }
        let moved = |n: Nested| Nested { span: Span::new(n.span.start + span.start, n.span.end + span.start), ..n };
        self.nested.push(Nested { span, directive });
        self.nested.extend(inner.nested.into_iter().map(moved));
    }
}

/// The directive that a line is, with the path that it names.
fn directive(line: Line) -> Option<(Directive, Spanned<String>)> {
    let Line::Include(word, path) = line else { return None };
    parse(&word).map(|directive| (directive, path))
}

/// The directive that a line begins with; none where it is neither `&include` nor `&merge`, or names nothing.
pub(super) fn parse(line: &Spanned<String>) -> Option<Directive> {
    let (word, _) = line.value.split_once(char::is_whitespace)?;
    match word.strip_prefix('&')?.to_ascii_lowercase().as_str() {
        "include" => Some(Directive::Include),
        "merge" => Some(Directive::Merge),
        _ => None,
    }
}
