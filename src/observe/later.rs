//! Lines for standard error that are written by a thread of their own: whoever logs never waits for a reader.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// How many lines wait for a reader before more are dropped.
const WAITING: usize = 1024;

/// Something for the thread.
#[derive(Debug)]
enum Task {
    /// Write this.
    Line(Vec<u8>),
    /// Say when all before it is written.
    Tell(Sender<()>),
}

/// Where lines wait.
#[derive(Debug)]
pub(super) struct Later {
    tasks: SyncSender<Task>,
    dropped: Arc<AtomicU64>,
}

impl Later {
    /// Begins to write lines by `write`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn new(write: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let (tasks, waiting) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let lost = Arc::clone(&dropped);
        thread::Builder::new().name("log".to_owned()).spawn(move || work(&waiting, &lost, write))?;
        Ok(Self { tasks, dropped })
    }

    /// Has `line` written as soon as somebody takes it; one too many is dropped and counted.
    pub(super) fn write(&self, line: &[u8]) {
        if self.tasks.try_send(Task::Line(line.to_owned())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written, for `patience` at most.
    pub(super) fn finish(&self, patience: Duration) {
        let (told, written) = channel();
        if self.tasks.try_send(Task::Tell(told)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }
}

fn work(waiting: &Receiver<Task>, dropped: &AtomicU64, mut write: impl FnMut(&[u8])) {
    while let Ok(task) = waiting.recv() {
        match task {
            Task::Line(line) => write(&line),
            // Whoever asked may have given up.
            Task::Tell(told) => drop(told.send(())),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            write(format!("{lost} lines of the log were dropped: nobody read standard error\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_reader_that_takes_nothing_holds_nobody_up_and_is_told_what_it_missed() {
        let (go, wait) = channel::<()>();
        let written = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&written);
        let later = Later::new(move |line| {
            // Until it is told, and from then on at once.
            let _ = wait.recv();
            lines.lock().expect("lines").push(String::from_utf8_lossy(line).into_owned());
        })
        .expect("a thread");
        for n in 0..WAITING + 100 {
            later.write(format!("{n}\n").as_bytes());
        }
        later.finish(Duration::ZERO);
        drop(go);
        while !written.lock().expect("lines").iter().any(|line| line.contains("were dropped")) {
            thread::yield_now();
        }
        later.finish(Duration::from_secs(60));
        let written = written.lock().expect("lines");
        assert_eq!(written.first().map(String::as_str), Some("0\n"));
        assert!((WAITING..WAITING + 100).contains(&written.len()), "{}", written.len());
    }
}
