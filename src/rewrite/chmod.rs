//! rsync's `--chmod`: changes of permission bits, of directories and files apart.

use std::fmt;

/// The bits that can change.
const BITS: u32 = 0o7777;

/// Changes of permission bits, in order.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Chmod {
    text: String,
    changes: Vec<Change>,
}

/// Why a text is no change of permission bits.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no change of modes: write D755, F644, u=rwX or go-w, apart by commas")]
pub struct ChmodError(String);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    only: Option<Only>,
    keep: u32,
    add: u32,
    /// `X`: execute bits for directories, and for files that have some.
    execute_if_some: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Only {
    Dirs,
    Files,
}

impl Chmod {
    /// Reads `D755`, `F644`, `u=rwX,go-w`, apart by commas. `umask` bounds what is said of nobody in
    /// particular, as in `+w`.
    ///
    /// # Errors
    /// [`ChmodError`] names the part.
    pub fn parse(text: &str, umask: u32) -> Result<Self, ChmodError> {
        let change = |part: &str| change(part, umask).ok_or_else(|| ChmodError(part.to_owned()));
        Ok(Self { text: text.to_owned(), changes: text.split(',').map(change).collect::<Result<_, _>>()? })
    }

    /// Adds the changes of `later` behind these.
    pub fn extend(&mut self, later: Self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&later.text);
        self.changes.extend(later.changes);
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What `mode` becomes.
    #[must_use]
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        self.changes.iter().fold(mode & BITS, |now, change| {
            if change.only.is_some_and(|only| (only == Only::Dirs) != is_dir) {
                return now;
            }
            // Whether a file can be executed is what it was at first that says.
            let no_execute = change.execute_if_some && !is_dir && mode & 0o111 == 0;
            let add = if no_execute { change.add & !0o111 } else { change.add };
            now & change.keep | add
        })
    }
}

/// As it was written.
impl fmt::Display for Chmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Chmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

fn change(part: &str, umask: u32) -> Option<Change> {
    let (only, rest) = match part.chars().next()? {
        'D' => (Some(Only::Dirs), part.get(1..)?),
        'F' => (Some(Only::Files), part.get(1..)?),
        _ => (None, part),
    };
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        let mode = u32::from_str_radix(rest, 8).ok().filter(|mode| *mode <= BITS)?;
        return Some(Change { only, keep: 0, add: mode, execute_if_some: false });
    }
    let operator = rest.find(['+', '-', '='])?;
    let (who, what) = (rest.get(..operator)?, rest.get(operator + 1..)?);
    let (mut places, mut special_bits) = (0, 0);
    for c in who.chars() {
        let (place, special) = match c {
            'u' => (0o100, 0o4000),
            'g' => (0o010, 0o2000),
            'o' => (0o001, 0),
            'a' => (0o111, 0),
            _ => return None,
        };
        places |= place;
        special_bits |= special;
    }
    let (mut rights, mut special, mut execute_if_some) = (0, 0, false);
    for c in what.chars() {
        match c {
            'r' => rights |= 4,
            'w' => rights |= 2,
            'x' => rights |= 1,
            'X' => {
                rights |= 1;
                execute_if_some = true;
            }
            's' => special |= if special_bits == 0 { 0o4000 } else { special_bits },
            't' => special |= 0o1000,
            _ => return None,
        }
    }
    let bits = if places == 0 { (0o111 * rights) & !umask } else { places * rights };
    let places = if places == 0 { 0o111 } else { places };
    let (keep, add) = match rest.get(operator..=operator)? {
        "+" => (BITS, bits | special),
        "-" => (BITS & !bits & !special, 0),
        _ => (BITS & !(places * 7) & !(if special == 0 { 0 } else { special_bits }), bits | special),
    };
    Some(Change { only, keep, add, execute_if_some })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modes_become_what_rsync_makes_of_them() {
        let cases = [
            ("D755,F644", 0o700, true, 0o755),
            ("D755,F644", 0o700, false, 0o644),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o711, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("a+x", 0o644, false, 0o755),
            ("+w", 0o444, false, 0o644),
            ("Dg+s,Fg-s", 0o755, true, 0o2755),
            ("ug+s", 0o755, false, 0o6755),
            ("+t", 0o755, true, 0o1755),
            ("o=", 0o777, false, 0o770),
            ("u=rwxs", 0o4000, false, 0o4700),
            ("0640", 0o4777, false, 0o640),
            ("F-x,F+X", 0o755, false, 0o755),
        ];
        for (text, mode, is_dir, expected) in cases {
            let made = Chmod::parse(text, 0o022).expect(text).apply(mode, is_dir);
            assert_eq!(made, expected, "{text}: {mode:o} became {made:o}");
        }
    }

    #[test]
    fn what_is_no_change_is_refused_by_name() {
        for text in ["", "rwx", "888", "u=q", "z+x", "77777", "D", "u+r,,o-r", "D7x"] {
            assert!(Chmod::parse(text, 0).is_err(), "{text}");
        }
        let mut both = Chmod::parse("go-w", 0).expect("usable");
        both.extend(Chmod::parse("o=", 0).expect("usable"));
        assert_eq!((both.to_string().as_str(), both.apply(0o777, false)), ("go-w,o=", 0o750));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_other_bit_appears(text in "[DFugoa+=,rwxXst0-8-]{0,12}", mode in 0u32..0o7777, dir in any::<bool>()) {
            if let Ok(chmod) = Chmod::parse(&text, 0o022) {
                prop_assert_eq!(chmod.apply(mode, dir) & !BITS, 0);
            }
        }
    }
}
