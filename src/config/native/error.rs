//! What the TOML reader says, for people: with the nearest right key.

use syncd_compat::{Finding, SourceText, Span, nearest};

/// Keys that the design knows and this version does not.
const LATER: [&str; 5] = ["hooks", "local", "profile", "validate", "vrrp"];

/// The finding that `error` is, with its place.
pub(super) fn finding(source: &SourceText, error: &toml::de::Error) -> Finding {
    let span = error.span().map_or(Span::default(), Span::from);
    let message = error.message().trim();
    if let Some(key) = message.strip_prefix("missing field ") {
        return source.error("toml-missing-key", span, format!("{key} is missing in this table"));
    }
    // serde's words: unknown field `lissten`, expected one of `name`, `listen`
    let Some(rest) = message.strip_prefix("unknown field ").or(message.strip_prefix("unknown variant ")) else {
        return source.error("toml-syntax", span, message.lines().collect::<Vec<_>>().join(" "));
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let key = quoted.next().unwrap_or("");
    let known: Vec<&str> = quoted.collect();
    if LATER.contains(&key) {
        return source.error("toml-unknown-key", span, format!("`{key}` is not supported yet")).help("remove it");
    }
    let finding = source.error("toml-unknown-key", span, format!("`{key}` is no key here"));
    match nearest(key, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("there are {}", known.join(", "))),
    }
}
