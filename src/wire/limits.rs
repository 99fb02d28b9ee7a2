//! Hard limits, checked before anything is allocated.

use std::time::Duration;

/// How often a side that is at work on a stream and has nothing to tell says so, by
/// [`super::Message::Working`]. Who hears nothing for several times as long gives the stream up.
pub const WORKING_EVERY: Duration = Duration::from_millis(500);

/// The longest body of a frame in bytes, before and after decompression.
pub const MAX_BODY: usize = 1 << 20;

/// The most content that one [`super::Message::Data`] frame carries, in bytes.
pub const MAX_DATA: usize = 256 * 1024;

/// Files up to this size in bytes travel whole inside their change set's operations.
pub const INLINE_MAX: u64 = 64 * 1024;

/// How many frames a connection that is not authorised may send.
pub const UNAUTHORISED_FRAMES: usize = 4;

/// How many bytes a connection that is not authorised may send.
pub const UNAUTHORISED_BYTES: usize = 4096;
