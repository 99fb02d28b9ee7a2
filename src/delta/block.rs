//! How long the blocks of a signature are.

use super::SignatureError;

const MIN: u32 = 1 << 10;
const MAX: u32 = 1 << 20;

/// A signature has at most this many blocks (5 MiB of records).
pub const MAX_BLOCKS: u64 = 1 << 18;

/// The most bytes that a base may have for a delta: [`MAX_BLOCKS`] of the longest blocks, 256 GiB.
pub const MAX_DELTA_SIZE: u64 = MAX_BLOCKS * MAX as u64;

/// The length of a block in bytes: a power of two from 1 KiB to 1 MiB.
///
/// A value of this type is all that reaches `fast_rsync`, which panics over blocks of length 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockSize(u32);

impl BlockSize {
    /// The block size for a base of `size` bytes: the shortest that makes at most 131,072 blocks.
    ///
    /// The signature of a base from 128 MiB on is thus 1.3 to 2.6 MB, until the longest blocks
    /// are reached at 128 GiB.
    #[must_use]
    pub fn for_base(size: u64) -> Self {
        let wanted = size.div_ceil(MAX_BLOCKS / 2).checked_next_power_of_two().unwrap_or(u64::MAX);
        Self(u32::try_from(wanted).unwrap_or(MAX).clamp(MIN, MAX))
    }

    /// The length in bytes, as it stands on the wire.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// How many blocks `size` bytes make; the last may be short.
    #[must_use]
    pub fn blocks(self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.0))
    }

    pub(super) fn len(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u32> for BlockSize {
    type Error = SignatureError;

    fn try_from(bytes: u32) -> Result<Self, SignatureError> {
        let valid = bytes.is_power_of_two() && (MIN..=MAX).contains(&bytes);
        if valid { Ok(Self(bytes)) } else { Err(SignatureError::BlockSize(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_of_the_design() {
        let cases = [(0, 1), (64 << 20, 1), (512 << 20, 4), ((512 << 20) + 1, 8), (4 << 30, 32), (u64::MAX, 1024)];
        for (size, kib) in cases {
            assert_eq!(BlockSize::for_base(size).get(), kib << 10, "{size}");
        }
    }

    #[test]
    fn only_powers_of_two_within_the_limits_are_block_sizes() {
        for bad in [0, 1, 512, 1023, 1025, 3072, 1 << 21, u32::MAX] {
            assert_eq!(BlockSize::try_from(bad), Err(SignatureError::BlockSize(bad)));
        }
        assert_eq!(BlockSize::try_from(1024).map(BlockSize::get), Ok(1024));
    }

    proptest! {
        #[test]
        fn every_base_that_is_not_too_large_stays_within_the_limit(size in 0..=MAX_DELTA_SIZE) {
            let block = BlockSize::for_base(size);
            prop_assert_eq!(BlockSize::try_from(block.get()), Ok(block));
            prop_assert!(block.blocks(size) <= MAX_BLOCKS);
        }
    }
}
