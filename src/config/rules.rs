//! rsync's filter rules, wherever they are written, as the one list of a set.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use syncd_compat::rsync::{CVS_EXCLUDES, Directive, Effect, Pattern, Refused, RsyncOption, rules};
use syncd_compat::{Finding, SourceText, Span};

use super::load::read;
use super::places::Located;
use crate::filter::Rule;

/// How deep files of rules may name one another.
const MAX_DEPTH: usize = 8;

/// How many files there may be of one set, and how many bytes they may have together: a file that
/// names itself twice would otherwise double with each round.
const MAX_FILES: usize = 256;
const MAX_BYTES: usize = 8 << 20;

/// How the rules of a text are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// What each of them is.
    pub(super) kind: Kind,
    /// They are apart by blanks.
    pub(super) words: bool,
}

/// What one rule of a text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A rule such as `- PATTERN`.
    Rule,
    /// A pattern that includes (true) or excludes, unless a prefix says otherwise.
    Pattern(bool),
    /// A pattern that includes (true) or excludes, whatever it begins with.
    Bare(bool),
}

/// One rule.
pub(super) const RULE: Form = Form { kind: Kind::Rule, words: false };

/// One pattern that excludes, or lines of them.
const EXCLUDE: Form = Form { kind: Kind::Pattern(false), words: false };

/// One pattern that includes, or lines of them.
const INCLUDE: Form = Form { kind: Kind::Pattern(true), words: false };

/// Rules as they come together.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    /// Where relative names of files start.
    base: &'a Path,
    /// The rules so far, in order.
    pub(super) rules: Vec<Rule>,
    /// What is to be said.
    pub(super) findings: Vec<Finding>,
    /// The files that were read, each with the place that names it.
    pub(super) files: Vec<(Located, PathBuf)>,
    files_left: usize,
    bytes_left: usize,
}

/// A text with rules in it, and where all of it is said to stand.
struct Text<'a> {
    source: &'a SourceText,
    text: &'a str,
    span: Span,
    /// It stands literally in the file at the span's start, so that parts have places of their own.
    literal: bool,
}

impl Text<'_> {
    fn span(&self, at: usize, length: usize) -> Span {
        if self.literal { Span::new(self.span.start + at, self.span.start + at + length) } else { self.span }
    }
}

impl<'a> Gathering<'a> {
    /// Nothing yet.
    pub(super) fn new(base: &'a Path) -> Self {
        let (rules, findings, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { base, rules, findings, files, files_left: MAX_FILES, bytes_left: MAX_BYTES }
    }

    /// Adds what options of a command line say, in their order.
    pub(super) fn options(&mut self, source: &SourceText, options: &[RsyncOption]) {
        for option in options.iter().filter(|option| option.on) {
            let Some(value) = option.value.as_deref() else { continue };
            let text = Text { source, text: value, span: option.span, literal: false };
            match option.spec.effect {
                Effect::Filter => self.text(&text, RULE, 0),
                Effect::Exclude => self.text(&text, EXCLUDE, 0),
                Effect::Include => self.text(&text, INCLUDE, 0),
                Effect::ExcludeFrom => self.file(&text, value, EXCLUDE, 0),
                Effect::IncludeFrom => self.file(&text, value, INCLUDE, 0),
                _ => {}
            }
        }
        let cvs = options.iter().rev().find(|option| option.spec.effect == Effect::CvsExclude);
        if cvs.is_some_and(|option| option.on) {
            self.cvs();
        }
    }

    /// Adds the rules that `text` holds, all of them at `span`.
    pub(super) fn value(&mut self, source: &SourceText, text: &str, span: Span, form: Form) {
        self.text(&Text { source, text, span, literal: false }, form, 0);
    }

    /// Adds the rules of the file that `name` names, at `span`.
    pub(super) fn named_file(&mut self, source: &SourceText, name: &str, span: Span, form: Form) {
        self.file(&Text { source, text: name, span, literal: false }, name, form, 0);
    }

    fn text(&mut self, text: &Text<'_>, form: Form, depth: usize) {
        let mut at = 0;
        while let Some(rest) = text.text.get(at..).filter(|rest| !rest.trim().is_empty() || (at == 0 && !form.words)) {
            let read = match form.kind {
                Kind::Rule => rules::rule(rest, form.words),
                Kind::Pattern(include) => Ok(rules::pattern(rest, include, form.words)),
                Kind::Bare(include) => Ok(rules::bare(rest, include, form.words)),
            };
            match read {
                Ok((directive, taken)) => {
                    let shown = rest.get(..taken).unwrap_or(rest).trim();
                    self.directive(text, text.span(at, taken), shown, directive, depth);
                    at += taken.max(1);
                }
                Err((why, taken)) => {
                    let shown = rest.get(..taken).unwrap_or(rest).trim();
                    let code = match why {
                        Refused::Unknown(_) => "rsync-filter",
                        Refused::NotSupported(_) => "setting-refused",
                    };
                    let message = format!("the rule `{shown}` cannot be used: {}", why.why());
                    self.findings.push(text.source.error(code, text.span(at, taken), message));
                    at += taken.max(1);
                }
            }
        }
    }

    fn directive(&mut self, text: &Text<'_>, span: Span, shown: &str, directive: Directive, depth: usize) {
        match directive {
            Directive::Clear => self.rules.clear(),
            Directive::Cvs => self.cvs(),
            Directive::Merge { file, plain, words } => {
                let named = Text { source: text.source, text: text.text, span, literal: false };
                let kind = plain.map_or(Kind::Rule, Kind::Bare);
                self.file(&named, &file, Form { kind, words }, depth + 1);
            }
            Directive::Rule(pattern) => self.rule(text.source, span, shown, &pattern),
        }
    }

    fn rule(&mut self, source: &SourceText, span: Span, shown: &str, pattern: &Pattern) {
        let Pattern { include, negate, hides, text } = pattern;
        let rule = Rule { include: *include, negate: *negate, pattern: source.bytes_at(span.start, text) };
        if let Err(why) = rule.check() {
            let finding = source.warning("rsync-filter", span, format!("{why}: it matches nothing, as with rsync"));
            return self.findings.push(finding.help("correct or remove it"));
        }
        if *hides {
            let message = format!("`{shown}`: what it hides is not removed on the replica either");
            self.findings.push(source.note("setting-differs", span, message));
        }
        self.rules.push(rule);
    }

    fn cvs(&mut self) {
        self.rules.extend(CVS_EXCLUDES.split(' ').map(Rule::exclude));
    }

    fn file(&mut self, named: &Text<'_>, name: &str, form: Form, depth: usize) {
        let path: PathBuf = self.base.join(OsString::from_vec(named.source.bytes_at(named.span.start, name)));
        let refuse = |why: String| {
            let message = format!("the rules of {} cannot be read: {why}", path.display());
            named.source.error("rsync-filter", named.span, message).help("correct the name, or make the file readable")
        };
        if name == "-" {
            return self.findings.push(refuse("a service has no standard input".to_owned()));
        }
        if depth > MAX_DEPTH || self.files_left == 0 {
            return self.findings.push(refuse("files of rules name one another too often".to_owned()));
        }
        // Opening a pipe would wait for its other end.
        let regular = std::fs::metadata(&path)
            .and_then(|meta| if meta.is_file() { Ok(()) } else { Err(std::io::Error::other("it is no regular file")) });
        let bytes = match regular.and_then(|()| read(&path)) {
            Ok(bytes) => bytes,
            Err(cause) => return self.findings.push(refuse(cause.to_string())),
        };
        let Some(bytes_left) = self.bytes_left.checked_sub(bytes.len()) else {
            return self.findings.push(refuse("there are too many rules in all".to_owned()));
        };
        (self.files_left, self.bytes_left) = (self.files_left - 1, bytes_left);
        self.files.push((Located::of(named.source, named.span), path.clone()));
        let source = SourceText::decode(&path, &bytes);
        let whole = source.text();
        if form.words {
            let span = Span::new(0, whole.len());
            return self.text(&Text { source: &source, text: whole, span, literal: true }, form, depth);
        }
        for (at, line) in rules::lines(whole) {
            let span = Span::new(at, at + line.len());
            self.text(&Text { source: &source, text: line, span, literal: true }, form, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rules_that_names_itself_again_and_again_comes_to_an_end() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("r"), "- a\n. r\n. r\n. r\n. r\n").expect("written");
        let source = SourceText::decode("s.toml", b". r");
        let mut gathering = Gathering::new(dir.path());
        gathering.value(&source, ". r", Span::new(0, 3), RULE);
        assert_eq!(gathering.rules.len(), MAX_FILES);
        assert!(gathering.findings.iter().all(|finding| finding.message.contains("too often")));
        assert!((1..5 * MAX_FILES).contains(&gathering.findings.len()));
    }

    #[test]
    fn rules_of_many_files_are_cut_where_they_come_to_too_much() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("r"), format!("# {}\n. r\n", "x".repeat(2 << 20))).expect("written");
        let source = SourceText::decode("s.toml", b". r");
        let mut gathering = Gathering::new(dir.path());
        gathering.value(&source, ". r", Span::new(0, 3), RULE);
        let said: Vec<_> = gathering.findings.iter().map(|finding| finding.message.clone()).collect();
        assert!(matches!(&*said, [one] if one.ends_with("there are too many rules in all")), "{said:?}");
    }
}
