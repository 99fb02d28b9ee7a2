//! Looks for blocks of the base that moved, as long as that pays.
//!
//! Rolling the weak sum over content costs about fifteen times as much as sending it through a
//! fast link. So a region is sampled before it is searched, and after failures the next look waits
//! until the unmatched stretch has grown by an eighth: a file that has nothing in common with its
//! base is looked at some fifty times, whatever its size. What that can miss of moved content is
//! an eighth of what was unmatched before it.
//!
//! `fast_rsync` hashes a block for each weak sum that matches and gives a sum up after 1,024
//! failures, which keeps zeros and short periods near linear. A signature made to collide with the
//! very content that is read can slow that one file further; it cannot make it wrong.

use fast_rsync::IndexedSignature;

use super::Signature;
use super::librsync::{self, Op};

/// Unmatched runs shorter than this many blocks are edits in place and not searched.
const LEAST_BLOCKS: usize = 8;
/// A sample is three runs of this many blocks: from the start, the middle and the end.
const SAMPLE_BLOCKS: usize = 4;
/// A region up to this many blocks is its own sample.
const SMALL_BLOCKS: usize = 16;
/// A search succeeded when it found at least one byte in this many.
const WORTH: u64 = 10;

/// The index of a base, and how the search in it went so far.
#[derive(Debug)]
pub(super) struct Search<'a> {
    base: &'a Signature,
    index: Option<IndexedSignature<'a>>,
    /// The last search succeeded: content is moved here, no sample is needed.
    hot: bool,
    /// Unmatched bytes since the last success.
    streak: u64,
    /// The length of the streak at which the next search is due.
    due: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(base: &'a Signature) -> Self {
        Self { base, index: None, hot: false, streak: 0, due: 0 }
    }

    /// How `region` is made of the base, in commands that cover it exactly; none when it is to
    /// travel as it is.
    pub(super) fn find(&mut self, region: &[u8]) -> Option<Vec<Op>> {
        let block = self.base.block().len();
        let least = if self.hot { block } else { block * LEAST_BLOCKS };
        if region.len() < least || self.base.full_size() == 0 {
            return None;
        }
        let ops = self.is_due(region).then(|| self.diff(region)).flatten();
        let found = ops.as_deref().map_or(0, copied);
        self.hot = found * WORTH >= region.len() as u64;
        if self.hot {
            (self.streak, self.due) = (0, 0);
        } else {
            self.streak += region.len() as u64;
        }
        ops
    }

    fn is_due(&mut self, region: &[u8]) -> bool {
        if self.hot {
            return true;
        }
        let streak = self.streak + region.len() as u64;
        if streak < self.due {
            return false;
        }
        self.due = streak + streak / 8;
        self.is_promising(region)
    }

    fn is_promising(&mut self, region: &[u8]) -> bool {
        let block = self.base.block().len();
        if region.len() <= block * SMALL_BLOCKS {
            return true;
        }
        let (run, last) = (block * SAMPLE_BLOCKS, region.len() - block * SAMPLE_BLOCKS);
        let sample: Vec<u8> = [0, last / 2, last].iter().flat_map(|at| &region[*at..at + run]).copied().collect();
        self.diff(&sample).is_some_and(|ops| copied(&ops) * WORTH >= sample.len() as u64)
    }

    /// `fast_rsync`'s delta of `region`, checked as what comes from elsewhere is.
    fn diff(&mut self, region: &[u8]) -> Option<Vec<Op>> {
        let index = self.index.get_or_insert_with(|| self.base.full().index());
        let mut delta = Vec::new();
        fast_rsync::diff(index, region, &mut delta).ok()?;
        librsync::parse(&delta).filter(|ops| is_sound(ops, region.len() as u64, self.base.full_size()))
    }
}

/// Whether `ops` take nothing from outside a base of `base` bytes and make just `len` bytes.
fn is_sound(ops: &[Op], len: u64, base: u64) -> bool {
    let inside = |op: &Op| match *op {
        Op::Copy { offset, len } => offset.checked_add(len).is_some_and(|end| end <= base),
        Op::Literal { .. } => true,
    };
    ops.iter().all(inside) && ops.iter().try_fold(0, |sum: u64, op| sum.checked_add(op.len())) == Some(len)
}

fn copied(ops: &[Op]) -> u64 {
    ops.iter().filter(|op| op.is_copy()).map(|op| op.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::tests::{noise, signature};

    #[test]
    fn moved_blocks_are_found_and_short_edits_not_even_looked_for() {
        let base = noise(1, 100 * 1024);
        let signature = signature(&base, 1024);
        let mut search = Search::new(&signature);
        assert_eq!(search.find(&base[1024..7 * 1024]), None);
        assert!(search.index.is_none());
        let ops = search.find(&base[1000..60_000]).expect("found");
        assert_eq!(ops[0], Op::Literal { len: 24 });
        assert_eq!(ops[1], Op::Copy { offset: 1024, len: 57 * 1024 });
        assert!(search.find(&base[1024..2048]).is_some(), "hot: a single block is looked for as well");
    }

    #[test]
    fn a_long_unmatched_stretch_is_looked_at_ever_more_rarely() {
        let signature = signature(&noise(1, 1 << 20), 1024);
        let mut search = Search::new(&signature);
        let region = noise(2, 64 * 1024);
        let mut looks = Vec::new();
        for i in 0..200 {
            let due = search.due;
            assert_eq!(search.find(&region), None);
            if search.due != due {
                looks.push(i);
            }
        }
        assert_eq!(looks[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(looks.len() < 40, "{looks:?}");
        let gap = looks.windows(2).map(|w| w[1] - w[0]).max().expect("looks");
        assert!(gap <= 200 / 8 + 1, "{looks:?}");
    }

    #[test]
    fn a_delta_that_leaves_the_base_or_the_region_is_not_believed() {
        let copy = |offset, len| Op::Copy { offset, len };
        let literal = |len| Op::Literal { len };
        assert!(is_sound(&[literal(3), copy(5, 5)], 8, 10));
        assert!(!is_sound(&[literal(3), copy(6, 5)], 8, 10));
        assert!(!is_sound(&[copy(u64::MAX, 2)], 2, 10));
        assert!(!is_sound(&[literal(3), copy(5, 5)], 9, 10));
        assert!(!is_sound(&[literal(u64::MAX), literal(9)], 8, 10));
    }

    #[test]
    fn a_base_without_a_full_block_is_not_searched() {
        let signature = signature(&noise(1, 1000), 1024);
        assert_eq!(Search::new(&signature).find(&noise(1, 100_000)), None);
    }
}
