//! What becomes of a known legacy setting.

use crate::diag::{Finding, Severity};
use crate::span::Span;
use crate::text::SourceText;

/// What syncd makes of a setting that it knows. Each sentence completes "`setting`: …".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does what it says, and how.
    Honoured(&'static str),
    /// It has no meaning here and changes nothing that counts, so that nothing is said; why.
    Harmless(&'static str),
    /// The result is another on purpose, or comes about in another way.
    Differs(&'static str),
    /// It is understood, but not honoured.
    NotHonoured(&'static str),
    /// It cannot be ignored without harm: the file is refused.
    Refused(&'static str),
}

impl Standing {
    /// Whether it does what it says.
    #[must_use]
    pub fn is_honoured(self) -> bool {
        matches!(self, Self::Honoured(_))
    }

    /// It in one word, for tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Honoured(_) => "honoured",
            Self::Harmless(_) => "harmless",
            Self::Differs(_) => "differs",
            Self::NotHonoured(_) => "not honoured",
            Self::Refused(_) => "refused",
        }
    }

    /// What it means, or why it is so.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Honoured(why)
            | Self::Harmless(why)
            | Self::Differs(why)
            | Self::NotHonoured(why)
            | Self::Refused(why) => why,
        }
    }

    /// What is to be said about `setting` at `span`, if anything.
    #[must_use]
    pub fn finding(self, source: &SourceText, span: Span, setting: &str) -> Option<Finding> {
        let (severity, code, why) = match self {
            Self::Honoured(_) | Self::Harmless(_) => return None,
            Self::Differs(why) => (Severity::Note, "setting-differs", why),
            Self::NotHonoured(why) => (Severity::Warning, "setting-not-honoured", why),
            Self::Refused(why) => (Severity::Error, "setting-refused", why),
        };
        Some(source.finding(severity, code, span, format!("`{setting}`: {why}")))
    }
}
