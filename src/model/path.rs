//! A path of a set: bytes, relative, validated once.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name of one component in bytes (`NAME_MAX`, limits.h).
pub const MAX_NAME: usize = 255;

/// The longest path in bytes. Longer than `PATH_MAX`, since syncd walks by directory descriptors.
pub const MAX_PATH: usize = 16 * 1024;

/// Why bytes are no path of a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// Nothing at all, or an empty component (`a//b`, `a/`).
    #[error("a path component is empty")]
    Empty,
    /// It starts with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// It holds a `.` or `..` component.
    #[error("the path has a '.' or '..' component")]
    Dots,
    /// It holds a NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// A component is longer than [`MAX_NAME`] or the whole longer than [`MAX_PATH`].
    #[error("the path or one of its names is too long")]
    TooLong,
}

/// A path below the root of a set, or the root itself (written `.`).
///
/// Never absolute, never empty, no `.`/`..`/empty component, no NUL: checked when it is made,
/// also when it comes off the wire, so that holders need not check again. Ordered by bytes.
/// Cloning is cheap.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RelPath(Arc<[u8]>);

impl RelPath {
    /// The root of a set.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from(&b"."[..]))
    }

    /// Validates `bytes` as a path below the root.
    ///
    /// # Errors
    /// [`PathError`] names the rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes[0] == b'/' {
            return Err(PathError::Absolute);
        }
        if bytes.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        for name in bytes.split(|b| *b == b'/') {
            check_name(name)?;
        }
        Ok(Self(Arc::from(bytes)))
    }

    /// Whether this is the root of the set.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == b"."
    }

    /// The bytes, `.` for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes for a system call.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// The directory that holds this entry; none above the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(at) => Some(Self(Arc::from(&self.0[..at]))),
            None => Some(Self::root()),
        }
    }

    /// This path and every directory above it, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The last component; `.` for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(at) => &self.0[at + 1..],
            None => &self.0,
        }
    }

    /// The path of `name` inside this directory.
    ///
    /// # Errors
    /// [`PathError`] when `name` is no single valid component, or the result too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        if name.contains(&b'/') {
            return Err(PathError::Dots);
        }
        if self.is_root() {
            return Ok(Self(Arc::from(name)));
        }
        if self.0.len() + 1 + name.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        Ok(Self(Arc::from([&self.0, &b"/"[..], name].concat())))
    }

    /// The components from the top; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        let root = self.is_root();
        self.0.split(|b| *b == b'/').filter(move |_| !root)
    }

    /// How many components there are; 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Whether this is `dir` or lies below it.
    #[must_use]
    pub fn is_within(&self, dir: &Self) -> bool {
        dir.is_root() || self == dir || self.is_below(dir)
    }

    /// Whether this lies below `dir` and is not `dir` itself.
    #[must_use]
    pub fn is_below(&self, dir: &Self) -> bool {
        if dir.is_root() {
            return !self.is_root();
        }
        self.0.len() > dir.0.len() && self.0.starts_with(&dir.0) && self.0[dir.0.len()] == b'/'
    }

    /// This path after `from`, which holds it, became `to`; unchanged when it lies elsewhere.
    #[must_use]
    pub fn moved(&self, from: &Self, to: &Self) -> Self {
        if self == from {
            to.clone()
        } else if self.is_below(from) && !from.is_root() && !to.is_root() {
            Self(Arc::from([&to.0, &self.0[from.0.len()..]].concat()))
        } else {
            self.clone()
        }
    }
}

fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        _ if name.len() > MAX_NAME => Err(PathError::TooLong),
        _ if name.contains(&0) => Err(PathError::Nul),
        _ => Ok(()),
    }
}

/// Escaped for people: control characters, backslashes and bytes that are no UTF-8 become `\xNN`,
/// so that a name can neither forge a log line nor drive a terminal.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control()
                    || c == '\\'
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                {
                    let mut buf = [0; 4];
                    for b in c.encode_utf8(&mut buf).bytes() {
                        write!(f, "\\x{b:02x}")?;
                    }
                } else {
                    write!(f, "{c}")?;
                }
            }
            for b in chunk.invalid() {
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = RelPath;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a relative path")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<RelPath, E> {
                if bytes == b"." {
                    return Ok(RelPath::root());
                }
                RelPath::parse(bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    #[test]
    fn refuses_everything_that_could_leave_the_root() {
        let cases: [(&[u8], PathError); 11] = [
            (b"", PathError::Empty),
            (b"/etc", PathError::Absolute),
            (b"a//b", PathError::Empty),
            (b"a/", PathError::Empty),
            (b".", PathError::Dots),
            (b"..", PathError::Dots),
            (b"../a", PathError::Dots),
            (b"a/../b", PathError::Dots),
            (b"a/./b", PathError::Dots),
            (b"a\0b", PathError::Nul),
            (&[b'n'; 256], PathError::TooLong),
        ];
        for (bytes, why) in cases {
            assert_eq!(RelPath::parse(bytes), Err(why), "{bytes:?}");
        }
        assert!(RelPath::parse(&[b'n'; 255]).is_ok());
        assert_eq!(path("a").join(b"b/c"), Err(PathError::Dots));
    }

    #[test]
    fn a_rename_moves_what_lies_below_and_nothing_beside() {
        let (from, to) = (path("a/b"), path("x"));
        assert_eq!(path("a/b/c").moved(&from, &to), path("x/c"));
        assert_eq!(path("a/b").moved(&from, &to), path("x"));
        assert_eq!(path("a/bc").moved(&from, &to), path("a/bc"));
    }

    #[test]
    fn the_root_is_above_everything() {
        let root = RelPath::root();
        assert_eq!(path("a").parent(), Some(root.clone()));
        assert_eq!(root.parent(), None);
        assert!(path("a/b").is_below(&root) && !root.is_below(&root));
        assert!(path("a/b").ancestors().eq([path("a/b"), path("a"), root.clone()]));
        assert_eq!(root.depth(), 0);
    }

    #[test]
    fn hostile_names_are_shown_escaped() {
        let path = RelPath::parse(b"a\n\x1b[31m\xff\\\xc2\x9b").expect("valid");
        assert_eq!(path.to_string(), r"a\x0a\x1b[31m\xff\x5c\xc2\x9b");
    }

    proptest! {
        #[test]
        fn what_parses_survives_the_wire(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(path) = RelPath::parse(&bytes) {
                let wire = postcard::to_stdvec(&path).expect("encode");
                prop_assert_eq!(postcard::from_bytes::<RelPath>(&wire).expect("decode"), path.clone());
                let parent = path.parent().expect("below the root");
                prop_assert_eq!(parent.join(path.name()).expect("join"), path);
            } else if bytes != b"." {
                let wire = postcard::to_stdvec(&bytes).expect("encode");
                prop_assert!(postcard::from_bytes::<RelPath>(&wire).is_err());
            }
        }
    }
}
