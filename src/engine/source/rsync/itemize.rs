//! Reads what rsync says of each name, and its numbers.

use crate::model::RelPath;

/// What rsync prints of each name: a mark that no other line begins with, what is done, the name.
pub(super) const FORMAT: &str = "#%i#%n";

/// A name of which rsync says something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Item {
    /// The path.
    pub(super) path: RelPath,
    /// Whether it is a directory.
    pub(super) is_dir: bool,
    /// What is said.
    pub(super) change: Change,
}

/// What rsync does with a name, or would do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// It is there and not here.
    Deleted,
    /// It is here and not there, or of another type.
    Created,
    /// It is in both places and differs, in these columns of rsync's `%i`.
    Unlike {
        /// Whether it is a plain file.
        file: bool,
        /// `c`, `s`, `t`, `p`, `o`, `g`, `a`, `x` as rsync writes them.
        columns: Vec<u8>,
    },
}

/// A line of rsync's output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// Of a name.
    Item(Item),
    /// A directory that was to be removed is not empty.
    NotEmpty(RelPath),
    /// Bytes sent.
    Sent(u64),
    /// Bytes received.
    Received(u64),
    /// Anything else.
    Other,
}

/// Understands one line, without its end.
pub(super) fn line(line: &[u8]) -> Line {
    if let Some(item) = line.strip_prefix(b"#").and_then(item) {
        return Line::Item(item);
    }
    if let Some(path) = line.strip_prefix(b"cannot delete non-empty directory: ").and_then(path) {
        return Line::NotEmpty(path.0);
    }
    let number = |prefix: &[u8]| {
        let digits: Vec<u8> = line.strip_prefix(prefix)?.iter().copied().filter(u8::is_ascii_digit).collect();
        std::str::from_utf8(&digits).ok()?.parse().ok()
    };
    let sent = number(b"Total bytes sent: ").map(Line::Sent);
    sent.or_else(|| number(b"Total bytes received: ").map(Line::Received)).unwrap_or(Line::Other)
}

fn item(text: &[u8]) -> Option<Item> {
    let (code, name) = (text.get(..11)?, text.get(11..)?.strip_prefix(b"#")?);
    let (path, slash) = path(name)?;
    if code.starts_with(b"*deleting") {
        return Some(Item { path, is_dir: slash, change: Change::Deleted });
    }
    let (kind, columns) = (code.get(1)?, code.get(2..)?);
    let is_dir = *kind == b'd';
    let change = if columns.iter().all(|c| *c == b'+') {
        Change::Created
    } else {
        let columns = columns.iter().copied().filter(|c| !matches!(c, b'.' | b' ')).collect();
        Change::Unlike { file: *kind == b'f', columns }
    };
    Some(Item { path, is_dir, change })
}

/// The path that a printed name means, and whether a slash ends it.
fn path(name: &[u8]) -> Option<(RelPath, bool)> {
    let bytes = unescaped(name);
    let (bytes, slash) = match bytes.strip_suffix(b"/") {
        Some(dir) => (dir, true),
        None => (&*bytes, false),
    };
    if bytes == b"." {
        return Some((RelPath::root(), true));
    }
    Some((RelPath::parse(bytes).ok()?, slash))
}

/// rsync writes a byte that would spoil the output as `\#` and three octal digits, and a backslash
/// that would look like that likewise.
pub(super) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match octal(rest) {
            Some(byte) => {
                out.push(byte);
                rest = rest.get(5..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\#")?.get(..3)?;
    let value = digits.iter().try_fold(0u32, |value, digit| Some(value * 8 + char::from(*digit).to_digit(8)?))?;
    u8::try_from(value).ok()
}

impl Change {
    /// In the words of `syncd verify`; empty where nothing is said that counts.
    pub(super) fn describe(&self) -> String {
        let columns = match self {
            Self::Deleted => return "only there".to_owned(),
            Self::Created => return "missing there".to_owned(),
            Self::Unlike { columns, .. } => columns,
        };
        let has = |wanted: &[u8]| columns.iter().any(|c| wanted.contains(c));
        let words = [
            (has(b"cs"), "content"),
            (has(b"p"), "mode"),
            (has(b"o"), "owner"),
            (has(b"g"), "group"),
            (has(b"tT"), "mtime"),
            (has(b"ax"), "extended attributes"),
        ];
        let told: Vec<&str> = words.iter().filter(|(said, _)| *said).map(|(_, word)| *word).collect();
        if told.is_empty() { "hard links".to_owned() } else { told.join(", ") }
    }

    /// Whether it is a plain file with another content, which neither size nor time shows.
    pub(super) fn is_content_alone(&self) -> bool {
        matches!(self, Self::Unlike { file: true, columns } if columns.contains(&b'c') && !columns.iter().any(|c| b"st".contains(c)))
    }

    /// Whether it is a plain file of the same size on both sides with another time.
    pub(super) fn is_time_alone(&self) -> bool {
        matches!(self, Self::Unlike { file: true, columns } if columns.contains(&b't') && !columns.iter().any(|c| b"cs".contains(c)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &[u8]) -> (String, bool, String) {
        match line(text) {
            Line::Item(Item { path, is_dir, change }) => (path.to_string(), is_dir, change.describe()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_says_what_differs_where() {
        let lines: [&[u8]; 8] = [
            b"#*deleting  #zz/y/",
            b"#.d..t......#./",
            b"#<f+++++++++# lead",
            b"#<f.stp.....#dir/a\\#012b",
            b"#cL+++++++++#\\#134#123",
            b"#<fc........#\xff",
            b"#.f....og.ax#o",
            b"#hf........ #h",
        ];
        let all: Vec<_> = lines.map(told).into_iter().collect();
        insta::assert_debug_snapshot!(all);
    }

    #[test]
    fn other_lines_are_numbers_or_nothing() {
        assert_eq!(line(b"Total bytes sent: 1,286"), Line::Sent(1286));
        assert_eq!(line(b"Total bytes received: 87"), Line::Received(87));
        let kept = RelPath::parse(b"a b").expect("valid");
        assert_eq!(line(b"cannot delete non-empty directory: a b"), Line::NotEmpty(kept));
        for text in ["", "#", "#<f", "sent 286 bytes", "#<f+++++++++#/etc", "#<f+++++++++#../x", "Total bytes sent: "] {
            assert_eq!(line(text.as_bytes()), Line::Other, "{text}");
        }
    }

    /// As rsync does it with `-8`.
    fn escaped(name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, byte) in name.iter().enumerate() {
            let looks = octal(name.get(at..).unwrap_or_default()).is_some();
            if looks || *byte < b' ' || *byte == 0x7f {
                out.extend_from_slice(format!("\\#{byte:03o}").as_bytes());
            } else {
                out.push(*byte);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in prop::collection::vec(prop::sample::select(b"a\\#01237/\n\xff ".to_vec()), 1..12)) {
            let Ok(path) = RelPath::parse(&name) else { return Ok(()) };
            let text = [&b"#<f+++++++++#"[..], &escaped(&name)].concat();
            prop_assert_eq!(line(&text), Line::Item(Item { path, is_dir: false, change: Change::Created }));
        }

        #[test]
        fn no_line_panics(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (line(&text), line(&[&b"#"[..], &text].concat()));
        }
    }
}
