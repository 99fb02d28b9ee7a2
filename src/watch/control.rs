//! How the owner of a watcher reaches its thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Shared by the owner and the thread.
#[derive(Debug)]
pub(super) struct Control {
    wake: OwnedFd,
    stopped: AtomicBool,
    asked: AtomicU64,
    watched: AtomicU64,
    polled: AtomicU64,
}

impl Control {
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let zero = || AtomicU64::new(0);
        Ok(Self { wake, stopped: AtomicBool::new(false), asked: zero(), watched: zero(), polled: zero() })
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Asks for [`super::Event::Drained`] and returns its number.
    pub(super) fn drain(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        number
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The newest number that was asked for.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Notes how many directories are watched.
    pub(super) fn note_watched(&self, count: u64) {
        self.watched.store(count, Ordering::Relaxed);
    }

    /// Notes how many directories are polled.
    pub(super) fn note_polled(&self, count: u64) {
        self.polled.store(count, Ordering::Relaxed);
    }

    /// How many directories are watched, and how many polled.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.watched.load(Ordering::Relaxed), self.polled.load(Ordering::Relaxed))
    }

    /// Takes back what made the descriptor readable.
    pub(super) fn clear(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
    }

    fn wake(&self) {
        // It can only fail when the counter is full, and then the descriptor is readable anyway.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
