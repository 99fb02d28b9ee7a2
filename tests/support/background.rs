//! Threads that run until nobody needs them any more.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A thread that runs until this is dropped.
pub struct Background {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// `turn` is called again and again; it must not take long.
    pub fn new(mut turn: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever it panicked with has been shown.
            let _ = thread.join();
        }
    }
}

/// Waits at most a tenth of a second for something to read.
pub fn readable(socket: impl AsFd) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}
