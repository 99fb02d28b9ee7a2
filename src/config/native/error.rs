//! What the TOML reader says, for people: with the nearest right key.

use syncd_compat::{Finding, SourceText, Span, nearest};

/// Keys that the design knows and this version does not.
const LATER: [&str; 4] = ["hooks", "local", "profile", "validate"];

/// The finding that `error`, because of which a text is no TOML, is.
pub(super) fn syntax(source: &SourceText, error: &toml::de::Error) -> Finding {
    source.error("toml-syntax", place(error), one_line(error))
}

/// The finding that `error`, about a value in a TOML, is.
pub(super) fn finding(source: &SourceText, error: &toml::de::Error) -> Finding {
    match error.message().trim().strip_prefix("missing field ") {
        Some(key) => source.error("toml-missing-key", place(error), format!("{key} is missing in this table")),
        None => source.error("toml-value", place(error), one_line(error)),
    }
}

/// A `key` at `span` that is none of `known`.
pub(super) fn unknown_key(source: &SourceText, span: Span, key: &str, known: &[&str]) -> Finding {
    if LATER.contains(&key) {
        return source.error("toml-unknown-key", span, format!("`{key}` is not supported yet")).help("remove it");
    }
    let finding = source.error("toml-unknown-key", span, format!("`{key}` is no key here"));
    match nearest(key, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("there are {}", known.join(", "))),
    }
}

fn place(error: &toml::de::Error) -> Span {
    error.span().map_or(Span::default(), Span::from)
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().trim().lines().collect::<Vec<_>>().join(" ")
}
