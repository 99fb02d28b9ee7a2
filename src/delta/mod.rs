//! What must travel of a file that the peer holds in an older version. Bytes in, pieces out; no IO.
//!
//! ```text
//!  receiver: base ──▶ Builder ──▶ Signature ─┐ (wire, or the sender's Cache)
//!                                            ▼
//!  source:   new content ───────────────▶ Differ ──▶ Piece::{Copy, Data, Hole} …  + new Signature
//!                                                      │
//!  receiver: CopyCheck ◀───────────────────────────────┘
//! ```
//!
//! Blocks are compared with the base's at the same offset first, at gigabytes a second; only runs
//! that do not match there are searched for moved blocks, at some 60 MB/s, and only while that
//! finds something. MD4 decides what matches, and MD4 is broken: whoever rebuilds a file
//! verifies its BLAKE3 before using it, and asks for the whole file when it differs.
//!
//! Memory: 20 bytes for each block of base and new version (together at most 10 MiB, see
//! [`MAX_BLOCKS`]), about 70 more for each block of the base once something moved (twice that for
//! a signature full of collisions), one window of at most 8 blocks or 256 KiB, and one unmatched
//! region of at most 16 blocks or 4 MiB, three times while it is searched. The number of blocks is
//! bounded, so all of it is.

mod block;
mod cache;
mod check;
mod differ;
mod librsync;
mod parser;
mod pieces;
mod policy;
mod search;
mod signature;
#[cfg(test)]
mod tests;
mod windows;

pub use block::{BlockSize, MAX_BLOCKS, MAX_DELTA_SIZE};
pub use cache::{Cache, DEFAULT_BUDGET};
pub use check::{CopyCheck, PieceError};
pub use differ::Differ;
pub use parser::Parser;
pub use pieces::Piece;
pub use policy::worth_delta;
pub use signature::{Builder, Signature, SignatureError};
