//! What becomes of a known legacy setting.

use crate::diag::{Finding, Severity};
use crate::span::Span;
use crate::text::SourceText;

/// What syncd makes of a setting that it knows. Each reason completes "`setting`: …".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does what it says.
    Honoured,
    /// It has no meaning here and changes nothing that counts, so that nothing is said.
    Harmless,
    /// The result is another on purpose, or comes about in another way.
    Differs(&'static str),
    /// It is understood, but not honoured.
    NotHonoured(&'static str),
    /// It cannot be ignored without harm: the file is refused.
    Refused(&'static str),
}

impl Standing {
    /// What is to be said about `setting` at `span`, if anything.
    #[must_use]
    pub fn finding(self, source: &SourceText, span: Span, setting: &str) -> Option<Finding> {
        let (severity, code, why) = match self {
            Self::Honoured | Self::Harmless => return None,
            Self::Differs(why) => (Severity::Note, "setting-differs", why),
            Self::NotHonoured(why) => (Severity::Warning, "setting-not-honoured", why),
            Self::Refused(why) => (Severity::Error, "setting-refused", why),
        };
        Some(source.finding(severity, code, span, format!("`{setting}`: {why}")))
    }
}
