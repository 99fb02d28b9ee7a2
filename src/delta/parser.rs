//! A signature off the wire, checked against what was announced.

use super::signature::{RECORD, Records};
use super::{BlockSize, MAX_BLOCKS, Signature, SignatureError};

/// Collects the [`crate::wire::Message::Signature`] frames of one file.
///
/// What a hostile peer sends can make a delta useless, but not wrong in a way that the BLAKE3 of
/// the file does not show, and no larger than [`MAX_BLOCKS`] records in memory.
#[derive(Debug)]
pub struct Parser {
    size: u64,
    expected: u64,
    records: Records,
}

impl Parser {
    /// A parser for the signature of a file of `size` bytes.
    ///
    /// # Errors
    /// [`SignatureError::TooManyBlocks`] when the size makes more than [`MAX_BLOCKS`].
    pub fn new(size: u64, block: BlockSize) -> Result<Self, SignatureError> {
        let expected = block.blocks(size);
        if expected > MAX_BLOCKS {
            return Err(SignatureError::TooManyBlocks);
        }
        Ok(Self { size, expected, records: Records::new(block) })
    }

    /// Adds the records of one frame.
    ///
    /// # Errors
    /// [`SignatureError::Damaged`] when they are not whole, [`SignatureError::Count`] as soon as
    /// there are more than the file has blocks.
    pub fn push(&mut self, frame: &[u8]) -> Result<(), SignatureError> {
        if !frame.len().is_multiple_of(RECORD) {
            return Err(SignatureError::Damaged);
        }
        if self.records.count() + (frame.len() / RECORD) as u64 > self.expected {
            return Err(SignatureError::Count { expected: self.expected, got: self.expected + 1 });
        }
        self.records.push(frame);
        Ok(())
    }

    /// The signature, when [`crate::wire::Message::End`] came.
    ///
    /// # Errors
    /// [`SignatureError::Count`] when there are fewer records than the file has blocks.
    pub fn finish(self) -> Result<Signature, SignatureError> {
        Signature::assemble(self.size, self.records)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::tests::{noise, signature};

    fn parse(size: u64, frames: &[&[u8]]) -> Result<Signature, SignatureError> {
        let mut parser = Parser::new(size, BlockSize::try_from(1024)?)?;
        frames.iter().try_for_each(|frame| parser.push(frame))?;
        parser.finish()
    }

    #[test]
    fn the_number_of_records_must_be_what_the_size_makes() {
        assert_eq!(parse(2049, &[&[0; 40]]), Err(SignatureError::Count { expected: 3, got: 2 }));
        assert_eq!(parse(2048, &[&[0; 40], &[0; 20]]), Err(SignatureError::Count { expected: 2, got: 3 }));
        assert_eq!(parse(0, &[&[0; 20]]), Err(SignatureError::Count { expected: 0, got: 1 }));
        assert_eq!(parse(2048, &[&[0; 39]]), Err(SignatureError::Damaged));
        assert_eq!(parse(u64::MAX, &[]), Err(SignatureError::TooManyBlocks));
        assert_eq!(parse(0, &[]).map(|s| s.size()), Ok(0));
    }

    proptest! {
        #[test]
        fn a_signature_survives_the_wire(size in 0usize..20_000) {
            let sent = signature(&noise(3, size), 1024);
            let frames: Vec<_> = sent.frames().collect();
            let frames: Vec<&[u8]> = frames.iter().map(AsRef::as_ref).collect();
            prop_assert_eq!(parse(size as u64, &frames), Ok(sent));
        }
    }
}
