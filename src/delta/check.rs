//! What a receiver checks of each piece before it writes a byte.

/// Why a piece is refused. The peer broke the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PieceError {
    /// A copy does not lie within the base.
    #[error("a copy of {len} bytes from {offset} lies outside a base of {base} bytes")]
    OutsideBase {
        /// Its offset.
        offset: u64,
        /// Its length.
        len: u64,
        /// The size of the base.
        base: u64,
    },
    /// The file grew beyond its limit.
    #[error("the content is longer than the {0} bytes allowed")]
    TooLong(u64),
    /// A piece of no bytes.
    #[error("a piece of content is empty")]
    Empty,
}

/// Follows the pieces of one file and keeps them within the base and the limit of the output.
#[derive(Clone, Copy, Debug)]
pub struct CopyCheck {
    base: u64,
    limit: u64,
    written: u64,
}

impl CopyCheck {
    /// For a base of `base` bytes (0 without one) and an output of at most `limit` bytes.
    #[must_use]
    pub fn new(base: u64, limit: u64) -> Self {
        Self { base, limit, written: 0 }
    }

    /// Admits a copy of `len` bytes from `offset` of the base.
    ///
    /// # Errors
    /// [`PieceError`].
    pub fn copy(&mut self, offset: u64, len: u64) -> Result<(), PieceError> {
        if offset.checked_add(len).is_none_or(|end| end > self.base) {
            return Err(PieceError::OutsideBase { offset, len, base: self.base });
        }
        self.grow(len)
    }

    /// Admits `len` bytes of data or of a hole.
    ///
    /// # Errors
    /// [`PieceError`].
    pub fn grow(&mut self, len: u64) -> Result<(), PieceError> {
        if len == 0 {
            return Err(PieceError::Empty);
        }
        let written = self.written.checked_add(len).filter(|total| *total <= self.limit);
        self.written = written.ok_or(PieceError::TooLong(self.limit))?;
        Ok(())
    }

    /// How many bytes were admitted: the size of the output.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_inside_the_base() {
        let mut check = CopyCheck::new(100, u64::MAX);
        for (offset, len) in [(0, 100), (99, 1)] {
            assert_eq!(check.copy(offset, len), Ok(()));
        }
        for (offset, len) in [(0, 101), (100, 1), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert_eq!(check.copy(offset, len), Err(PieceError::OutsideBase { offset, len, base: 100 }));
        }
        assert_eq!(check.written(), 101);
    }

    #[test]
    fn the_output_stays_within_its_limit_however_it_is_summed() {
        let mut check = CopyCheck::new(100, 150);
        assert_eq!(check.copy(0, 100), Ok(()));
        assert_eq!(check.copy(0, 51), Err(PieceError::TooLong(150)));
        assert_eq!(check.grow(u64::MAX), Err(PieceError::TooLong(150)));
        assert_eq!(check.grow(50), Ok(()));
        assert_eq!(check.grow(1), Err(PieceError::TooLong(150)));
        assert_eq!(check.written(), 150);
    }

    #[test]
    fn empty_pieces_are_refused_as_they_never_end() {
        let mut check = CopyCheck::new(1, 1);
        assert_eq!(check.grow(0), Err(PieceError::Empty));
        assert_eq!(check.copy(0, 0), Err(PieceError::Empty));
    }
}
