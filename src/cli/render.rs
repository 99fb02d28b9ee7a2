//! Figures and foreign text for people.

use std::borrow::Cow;

use indicatif::{HumanBytes, HumanCount};

/// An age in its two largest units: `45 s`, `5 min`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn age(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, _) => format!("{m} min"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// A number with separators.
pub(super) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A number and its noun: `1 name`, `2 names`.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// An amount of data.
pub(super) fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// `text` of another host without what would drive a terminal.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let hostile = |c: char| c.is_control() || matches!(c, '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(hostile) {
        Cow::Owned(text.chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let cases =
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7500, "2 h 5 min"), (100_000, "1 d 3 h")];
        for (seconds, text) in cases {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn foreign_text_drives_no_terminal() {
        assert_eq!(plain("no route"), "no route");
        assert_eq!(plain("\x1b[2J\u{202e}x\n"), "\u{fffd}[2J\u{fffd}x\u{fffd}");
    }
}
