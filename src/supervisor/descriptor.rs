//! Waits for a descriptor that tokio has no type for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// `descriptor`, to be waited for. It has to be non-blocking.
#[expect(unsafe_code, reason = "AsyncFd::register wants a descriptor that stays the same and open: an OwnedFd is one")]
pub(super) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the result owns the descriptor, and nothing closes or changes it before that is dropped.
    unsafe { AsyncFd::register(descriptor) }.map_err(Into::into)
}
