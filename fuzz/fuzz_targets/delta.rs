//! A delta against the oracle: the pieces make the new file, its signature is fast_rsync's.
#![no_main]

use arbitrary::Arbitrary;
use fast_rsync::SignatureOptions;
use libfuzzer_sys::fuzz_target;
use syncd::delta::{BlockSize, Builder, Signature};
use syncd_fuzz::{Run, content, pieces, rebuild};

#[derive(Arbitrary, Debug)]
struct Case {
    cut: u16,
    block: u8,
    base: Vec<Run>,
    new: Vec<Run>,
}

fn records(signature: &Signature) -> Vec<u8> {
    signature.frames().flat_map(Vec::from).collect()
}

fuzz_target!(|case: Case| {
    let base = content(&case.base, &[]);
    let new = content(&case.new, &base);
    let block = 1024 << (case.block % 3);
    let mut builder = Builder::new(BlockSize::try_from(block).expect("a power of two"));
    base.chunks(usize::from(case.cut).max(1)).for_each(|chunk| builder.update(chunk));
    let signature = builder.finish().expect("few blocks");

    let (pieces, of_new) = pieces(&signature, &new, case.cut.into());
    assert!(rebuild(&base, &pieces, new.len() as u64).expect("within bounds") == new);
    let options = SignatureOptions { block_size: block, crypto_hash_size: 16 };
    assert_eq!(records(&of_new), fast_rsync::Signature::calculate(&new, options).serialized()[12..]);
});
