//! Where something stands in a configuration of several files.

use std::ops::Range;

use crate::diag::{Finding, Severity};
use crate::span::Span;
use crate::text::SourceText;

/// A place in one of the [`Sources`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct At {
    /// Which file, as [`Sources`] counts them.
    pub file: usize,
    /// Where in it.
    pub span: Span,
}

impl At {
    pub(super) fn new(file: usize, range: Range<usize>) -> Self {
        Self { file, span: range.into() }
    }

    /// From the start of this to the end of `other`, where both stand in one file.
    pub(super) fn to(self, other: Self) -> Self {
        if self.file != other.file || other.span.end < self.span.start {
            return self;
        }
        Self { file: self.file, span: Span::new(self.span.start, other.span.end) }
    }
}

/// A value and where it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: At,
}

impl<T> Located<T> {
    /// `value` at `at`.
    pub const fn new(value: T, at: At) -> Self {
        Self { value, at }
    }
}

/// A value in force, written or keepalived's default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it is written; none for a default.
    pub at: Option<At>,
}

impl<T> Setting<T> {
    /// A value that nothing in the files says.
    pub const fn default_of(value: T) -> Self {
        Self { value, at: None }
    }

    /// Whether the files say it.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        self.at.is_some()
    }

    /// Takes what is written, of which the last counts.
    pub(super) fn set(&mut self, written: Option<Located<T>>) {
        if let Some(Located { value, at }) = written {
            *self = Self { value, at: Some(at) };
        }
    }

    /// This where it is written, else `general`'s value.
    pub(super) fn or_general(&mut self, general: &Self)
    where
        T: Clone,
    {
        if self.at.is_none() {
            self.value = general.value.clone();
        }
    }
}

/// The file that was named, and behind it all that it includes.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<SourceText>);

impl Sources {
    pub(super) fn add(&mut self, source: SourceText) -> usize {
        self.0.push(source);
        self.0.len() - 1
    }

    /// The file of that number.
    #[must_use]
    pub fn get(&self, file: usize) -> Option<&SourceText> {
        self.0.get(file)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &SourceText> {
        self.0.iter()
    }

    /// A finding at `at`.
    #[must_use]
    pub fn finding(&self, severity: Severity, code: &'static str, at: At, message: impl Into<String>) -> Finding {
        match self.0.get(at.file) {
            Some(source) => source.finding(severity, code, at.span, message.into()),
            None => Finding { severity, ..Finding::of_file("".as_ref(), code, message) },
        }
    }

    /// A warning at `at`.
    #[must_use]
    pub fn warning(&self, code: &'static str, at: At, message: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, code, at, message)
    }

    /// An error at `at`.
    #[must_use]
    pub fn error(&self, code: &'static str, at: At, message: impl Into<String>) -> Finding {
        self.finding(Severity::Error, code, at, message)
    }

    /// A note at `at`.
    #[must_use]
    pub fn note(&self, code: &'static str, at: At, message: impl Into<String>) -> Finding {
        self.finding(Severity::Note, code, at, message)
    }

    /// `file:line` of `at`, for a message about another place.
    #[must_use]
    pub fn line_of(&self, at: At) -> String {
        match self.0.get(at.file) {
            Some(source) => format!("{}:{}", source.file().display(), source.position(at.span.start).0),
            None => String::new(),
        }
    }
}
