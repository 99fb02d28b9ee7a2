//! The block signature of a file that the receiver holds.

use std::io;

use bytes::Bytes;

use crate::delta::{BlockSize, Builder};
use crate::fs::{Chunk, Opening, Reader, Root};
use crate::model::{Digest, Record, RelPath};

/// Reads the file at `path` and returns its signature in frames.
///
/// None when the receiver does not hold `base` there according to `known`, or when the file is not
/// what `known` describes: the whole file travels then.
///
/// # Errors
/// As read(2).
pub(crate) fn of(
    root: &Root,
    path: &RelPath,
    known: Option<&Record>,
    base: Digest,
    block: BlockSize,
) -> io::Result<Vec<Bytes>> {
    let Some(known) = known.filter(|k| k.entry.hash() == Some(base)) else {
        return Ok(Vec::new());
    };
    let Opening::Open(mut reader) = Reader::open(root, path)? else {
        return Ok(Vec::new());
    };
    if !known.is_current(reader.record()) {
        return Ok(Vec::new());
    }
    let mut builder = Builder::new(block);
    while let Some(chunk) = reader.next_chunk()? {
        match chunk {
            Chunk::Data(bytes) => builder.update(bytes),
            Chunk::Hole(len) => builder.update_zeros(len),
        }
    }
    Ok(builder.finish().map(|signature| signature.frames().collect()).unwrap_or_default())
}
