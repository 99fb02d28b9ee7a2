//! The block signature of a file that the receiver holds.

use std::io;

use bytes::Bytes;

use crate::delta::Builder;
use crate::fs::{Chunk, Reader, Root};
use crate::model::{Digest, Record, RelPath};

/// How many bytes of signature go into one frame, a multiple of a record's 20.
const PART: usize = 20 * 8192;

/// Reads the file at `path` and gives its signature for blocks of `block` bytes to `out`, part by
/// part, until `out` wants no more.
///
/// Gives nothing when the receiver does not hold `base` there according to `known`, or when the
/// file is not what `known` describes: the whole file travels then.
///
/// # Errors
/// As read(2).
pub fn stream(
    root: &Root,
    path: &RelPath,
    known: Option<&Record>,
    base: Digest,
    block: u32,
    mut out: impl FnMut(Bytes) -> bool,
) -> io::Result<()> {
    let Some(known) = known.filter(|k| k.entry.hash() == Some(base)) else {
        return Ok(());
    };
    let Ok(mut reader) = Reader::open(root, path) else {
        return Ok(());
    };
    if !known.is_current(reader.record()) {
        return Ok(());
    }
    let mut builder = Builder::new(block);
    let mut sums = Vec::with_capacity(PART * 2);
    while let Some(chunk) = reader.next_chunk().map_err(io::Error::other)? {
        match chunk {
            Chunk::Data(bytes) => builder.update(bytes, &mut sums),
            Chunk::Hole(len) => builder.zeros(len, &mut sums),
        }
        while sums.len() >= PART {
            let part = Bytes::copy_from_slice(&sums[..PART]);
            sums.drain(..PART);
            if !out(part) {
                return Ok(());
            }
        }
    }
    builder.finish(&mut sums);
    if !sums.is_empty() {
        out(Bytes::from(sums));
    }
    Ok(())
}
