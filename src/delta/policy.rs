//! Whether a file is sent whole or as a delta.

use super::MAX_DELTA_SIZE;
use crate::wire::INLINE_MAX;

/// A base shorter than this many bytes (16 of the shortest blocks) has too little to copy from.
const LEAST_BASE: u64 = 16 * 1024;

/// Whether a delta from a base of `base` bytes is worth its round trip for a file of `new` bytes.
///
/// Whole goes what
/// * `whole_file` (`-W`) asks for;
/// * has no base: it is new there;
/// * fits into the operations of its change set ([`INLINE_MAX`]), where it costs no round trip;
/// * has a base of under 16 KiB: a few blocks, of which every edit spoils one;
/// * became less than half or more than twice as long: most of it is new, or most of the
///   signature is of content that is gone;
/// * has a base beyond [`MAX_DELTA_SIZE`], whose signature would not be bounded.
#[must_use]
pub fn worth_delta(new: u64, base: Option<u64>, whole_file: bool) -> bool {
    let Some(base) = base.filter(|_| !whole_file) else { return false };
    let alike = new.min(base) >= new.max(base).div_ceil(2);
    new > INLINE_MAX && (LEAST_BASE..=MAX_DELTA_SIZE).contains(&base) && alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_sending_whole() {
        let size = 1 << 20;
        assert!(worth_delta(size, Some(size), false));
        assert!(worth_delta(size, Some(size / 2), false) && worth_delta(size / 2, Some(size), false));
        assert!(!worth_delta(size, Some(size), true), "-W");
        assert!(!worth_delta(size, None, false), "new");
        assert!(!worth_delta(INLINE_MAX, Some(size / 16), false), "inline");
        assert!(!worth_delta(INLINE_MAX + 1, Some(16 * 1024 - 1), false), "small base");
        assert!(!worth_delta(size, Some(size / 2 - 1), false), "more than doubled");
        assert!(!worth_delta(size / 2 - 1, Some(size), false), "more than halved");
        assert!(!worth_delta(MAX_DELTA_SIZE, Some(MAX_DELTA_SIZE + 1), false), "too large");
        assert!(!worth_delta(u64::MAX, Some(u64::MAX), false));
    }
}
