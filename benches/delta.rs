//! How fast the delta core is, in memory: `cargo bench --bench delta [-- MiB]`.
//!
//! Prints the median of five runs of each case and how much of the new file would travel.

use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use syncd::delta::{BlockSize, Builder, Differ, Piece, Signature};

const RUNS: usize = 5;
const FEED: usize = 1 << 20;
const DEFAULT_MIB: usize = 512;

fn main() -> Result<()> {
    let mib = env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(DEFAULT_MIB);
    let size = mib << 20;
    let base = noise(1, size);
    let block = BlockSize::for_base(size as u64);
    println!("{mib} MiB in blocks of {} bytes, one thread, median of {RUNS}", block.get());
    println!("{:28} {:>9} {:>9} {:>12}", "case", "ms", "MB/s", "literal B");

    let signature = sign(&base, block)?;
    print_row("signature", size, median(times(|| drop(black_box(sign(&base, block))))), 0);
    println!("{:28} {:9.1}", "index", median(times(|| index(&signature))).as_secs_f64() * 1e3);

    report("the same", &signature, &base);
    let mut new = base.clone();
    for (i, at) in (0..size - 4096).step_by(4096 * 100).enumerate() {
        new[at..at + 4096].copy_from_slice(&noise(i as u64 + 2, 4096));
    }
    report("1 % scattered 4 KiB edits", &signature, &new);
    new.clone_from(&base);
    for (i, at) in (0..size - (64 << 10)).step_by(640 << 10).enumerate() {
        new[at..at + (64 << 10)].copy_from_slice(&noise(i as u64 + 2, 64 << 10));
    }
    report("10 % scattered 64 KiB edits", &signature, &new);
    new.clone_from(&base);
    new.extend_from_slice(&noise(3, 1 << 20));
    report("1 MiB appended", &signature, &new);
    new.truncate(size);
    new.insert(0, b'!');
    report("1 byte inserted in front", &signature, &new);
    report("unrelated", &signature, &noise(4, size));
    report("zeros", &signature, &vec![0; size]);
    Ok(())
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn sign(bytes: &[u8], block: BlockSize) -> Result<Signature> {
    let mut builder = Builder::new(block);
    bytes.chunks(FEED).for_each(|chunk| builder.update(chunk));
    builder.finish().context("the file is too large for a signature")
}

/// The least that makes the differ build its index: one unmatched run of eight blocks.
fn index(signature: &Signature) {
    let mut differ = Differ::new(signature);
    differ.feed(&vec![0xa5; 8 * signature.block().get() as usize]);
    drop(black_box(differ.finish()));
}

fn report(case: &str, base: &Signature, new: &[u8]) {
    let mut sent = 0;
    let spent = median(times(|| sent = literal(base, new)));
    print_row(case, new.len(), spent, sent);
}

fn literal(base: &Signature, new: &[u8]) -> u64 {
    let mut differ = Differ::new(base);
    let mut sent = 0;
    let mut count = |piece| sent += if let Piece::Data(bytes) = piece { bytes.len() as u64 } else { 0 };
    for chunk in new.chunks(FEED) {
        differ.feed(chunk);
        while let Some(piece) = differ.poll() {
            count(piece);
        }
    }
    differ.finish().0.into_iter().for_each(count);
    sent
}

fn times(mut run: impl FnMut()) -> Vec<Duration> {
    let mut time = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..RUNS).map(|_| time()).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print_row(case: &str, size: usize, time: Duration, literal: u64) {
    let rate = size as f64 / 1e6 / time.as_secs_f64();
    println!("{case:28} {:9.1} {rate:9.0} {literal:12}", time.as_secs_f64() * 1e3);
}
