//! Lets the disk begin before it has to.

use std::os::fd::{AsFd, AsRawFd};

/// Asks the kernel to begin writing out `len` bytes of `file` from `offset` on, and does not wait.
///
/// Nothing is durable by it: that takes fsync(2), which then has less to wait for. Where it fails
/// it only costs time: without a wait flag the call takes no note of errors of earlier writes
/// (sync_file_range(2)), so that fsync still tells them.
pub fn begin_writeback(file: impl AsFd, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    start(file.as_fd().as_raw_fd(), offset, len);
}

#[expect(unsafe_code, reason = "sync_file_range(2) has no safe wrapper; it takes a descriptor and numbers")]
fn start(fd: i32, offset: i64, len: i64) {
    // SAFETY: the descriptor is borrowed from its owner for the call, and no memory is passed.
    unsafe {
        libc::sync_file_range(fd, offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}
