//! The name of an entry in its directory, where there are very many of them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// Names up to this long stand where they are kept: more than nine in ten of those on real hosts.
const SHORT: usize = 22;

/// The bytes of a name, ordered as bytes.
///
/// A short one takes no memory of its own: 32 bytes less each, and, what counts more, no small
/// allocations that live long between large ones that do not, and keep their pages from the system.
#[derive(Clone)]
pub(super) enum Name {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Name {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(name);
                Self::Short { len, bytes }
            }
            _ => Self::Long(name.into()),
        }
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_no_larger_than_what_it_stands_for() {
        assert_eq!(size_of::<Name>(), 24);
    }

    proptest! {
        #[test]
        fn short_or_long_it_is_the_bytes_it_was_made_of(
            a in prop::collection::vec(any::<u8>(), 0..60),
            b in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let (name, other) = (Name::from(&*a), Name::from(&*b));
            prop_assert_eq!(name.as_bytes(), &*a);
            prop_assert_eq!(name.cmp(&other), a.cmp(&b));
            prop_assert_eq!(name == other, a == b);
        }
    }
}
