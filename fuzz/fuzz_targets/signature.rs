//! A hostile signature: refused, or a delta whose copies stay inside the announced base and whose
//! literal content is the new file's, in its place.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use syncd::delta::{BlockSize, Builder, CopyCheck, MAX_BLOCKS, Parser, Piece, Signature, SignatureError};
use syncd_fuzz::{Run, content, pieces};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    announced: Announced,
    /// Made-up records.
    frames: Vec<&'a [u8]>,
    /// How many records of the new file are left out in front; the rest stand before the made-up.
    skip: u8,
    new: Vec<Run>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Announced {
    /// Anything at all.
    Raw { size: u64, block: u32 },
    /// As many blocks as records come, the last of them shorter by this much.
    Fitting { short: u16, block: u8 },
}

/// The signature that comes of it, with the size that was announced.
fn parse(case: &Case<'_>, new: &[u8]) -> Result<(u64, Signature), SignatureError> {
    let block = BlockSize::try_from(match case.announced {
        Announced::Raw { block, .. } => block,
        Announced::Fitting { block, .. } => 1024 << (block % 4),
    })?;
    let mut truth = Builder::new(block);
    truth.update(new);
    let mut records: Vec<u8> = truth.finish()?.frames().flat_map(Vec::from).collect();
    records.drain(..records.len().min(usize::from(case.skip) * 20));
    let made_up: usize = case.frames.iter().map(|frame| frame.len() / 20).sum();
    let size = match case.announced {
        Announced::Raw { size, .. } => size,
        Announced::Fitting { short, .. } => ((records.len() / 20 + made_up) as u64 * u64::from(block.get()))
            .saturating_sub(u64::from(short) % u64::from(block.get())),
    };
    let mut parser = Parser::new(size, block)?;
    assert!(block.get().is_power_of_two() && size.div_ceil(block.get().into()) <= MAX_BLOCKS);
    parser.push(&records)?;
    // Whole records, except where the input means to test that others are refused.
    let cut = |frame: &[u8]| if matches!(case.announced, Announced::Raw { .. }) { 0 } else { frame.len() % 20 };
    case.frames.iter().try_for_each(|frame| parser.push(&frame[cut(frame)..]))?;
    Ok((size, parser.finish()?))
}

fuzz_target!(|case: Case<'_>| {
    let new = content(&case.new, &[]);
    let Ok((size, signature)) = parse(&case, &new) else { return };
    let mut check = CopyCheck::new(size, new.len() as u64);
    let mut at = 0;
    for piece in pieces(&signature, &new, 5000).0 {
        match piece {
            Piece::Copy { offset, len } => check.copy(offset, len).expect("inside the base"),
            Piece::Data(bytes) => {
                check.grow(bytes.len() as u64).expect("no longer than the new file");
                assert_eq!(bytes, new[at..at + bytes.len()]);
            }
            Piece::Hole { .. } => panic!("no hole was fed"),
        }
        at = usize::try_from(check.written()).expect("small");
    }
    assert_eq!(at, new.len());
});
