//! Whether a key is the one that was seen before. What is pinned, and where, the caller knows.

use subtle::ConstantTimeEq;

/// How the key of a connection relates to the one that is pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pinned {
    /// Nothing is pinned yet: the caller pins this one once all else is proven.
    First,
    /// The pinned key.
    Same,
    /// Another key than the pinned one: refuse, whatever else is proven.
    Changed,
}

/// Compares the key that a connection `presented` with the one that is `pinned`.
#[must_use]
pub fn decide(pinned: Option<&[u8; 32]>, presented: &[u8; 32]) -> Pinned {
    match pinned {
        None => Pinned::First,
        Some(key) if bool::from(key.ct_eq(presented)) => Pinned::Same,
        Some(_) => Pinned::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_key_is_the_same() {
        assert_eq!(decide(None, &[1; 32]), Pinned::First);
        assert_eq!(decide(Some(&[1; 32]), &[1; 32]), Pinned::Same);
        let mut other = [1; 32];
        other[31] ^= 1;
        assert_eq!(decide(Some(&[1; 32]), &other), Pinned::Changed);
    }
}
