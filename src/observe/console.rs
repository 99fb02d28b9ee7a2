//! Standard error, shared by log lines and progress: bars on a terminal, a line now and then
//! elsewhere.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use super::later::Later;
use super::log_file::LogFile;
use super::{Monitor, Progress, Unit};

/// How often bars are drawn; a task that ends sooner is never shown.
const DRAW: Duration = Duration::from_millis(200);

/// How often a line is logged where there is no terminal.
const LOG: Duration = Duration::from_secs(10);

/// Standard error. Cloning is cheap; all clones share the screen.
#[derive(Clone, Debug)]
pub struct Console {
    bars: MultiProgress,
    terminal: bool,
    /// The file that standard error is, of a daemon.
    file: Arc<OnceLock<LogFile>>,
    /// Who writes, where whoever logs must not wait.
    later: Arc<OnceLock<Later>>,
}

impl Console {
    /// Standard error as it is: a terminal or not.
    #[must_use]
    pub fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), terminal, file: Arc::default(), later: Arc::default() }
    }

    /// Whether it is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// From now on standard error is the end of the file `path`, which stays small: whoever started
    /// this process may close what standard error was before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn log_to(&self, path: &Path) -> io::Result<()> {
        let file = LogFile::take_stderr(path)?;
        // There is one log for the life of a process.
        let _ = self.file.set(file);
        Ok(())
    }

    /// From now on nobody who logs waits for whoever reads standard error: what is too much is dropped and counted.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn never_wait(&self) -> io::Result<()> {
        let console = self.clone();
        // One that writes at once: its own lines would come back to it.
        let later = Later::new(move |line| drop(console.write_now(line)))?;
        let _ = self.later.set(later);
        Ok(())
    }

    /// Waits until what was logged is written, for `patience` at most.
    pub fn finish(&self, patience: Duration) {
        if let Some(later) = self.later.get() {
            later.finish(patience);
        }
    }

    fn write_now(&self, line: &[u8]) -> io::Result<()> {
        self.bars.suspend(|| io::stderr().write_all(line))?;
        if let Some(file) = self.file.get() {
            file.bound();
        }
        Ok(())
    }

    /// Shows the long work of `monitor` until the result is dropped.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn show(&self, monitor: &Monitor) -> io::Result<Display> {
        let (console, monitor) = (self.clone(), monitor.clone());
        let (stop, stopped) = channel::<()>();
        let every = if self.terminal { DRAW } else { LOG };
        let thread = thread::Builder::new().name("display".to_owned()).spawn(move || {
            let mut bars = Vec::new();
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if console.terminal {
                    console.draw(&mut bars, &monitor.tasks());
                } else {
                    monitor.tasks().iter().filter(|t| t.since.elapsed() >= LOG).for_each(|t| info!("{}", line(t)));
                }
            }
            console.draw(&mut bars, &[]);
        })?;
        Ok(Display { stop: Some(stop), thread: Some(thread) })
    }

    /// Makes the bars on the screen those of `tasks`.
    fn draw(&self, bars: &mut Vec<ProgressBar>, tasks: &[Progress]) {
        while bars.len() > tasks.len() {
            if let Some(bar) = bars.pop() {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
        }
        while bars.len() < tasks.len() {
            bars.push(self.bars.add(ProgressBar::no_length().with_style(style())));
        }
        for (bar, task) in bars.iter().zip(tasks) {
            match task.total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
            bar.set_position(task.done);
            bar.set_message(line(task));
        }
    }
}

/// One whole line at a time, above the bars.
impl Write for Console {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.later.get() {
            Some(later) => later.write(line),
            None => self.write_now(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Shows long work while it lives.
#[derive(Debug)]
pub struct Display {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A task in words: `nginx: scanning: 1,200 of 50,000 (2 %)`.
pub(super) fn line(task: &Progress) -> String {
    let amount = |n: u64| match task.unit {
        Unit::Bytes => HumanBytes(n).to_string(),
        Unit::Entries => HumanCount(n).to_string(),
    };
    match task.total {
        Some(total) => {
            let percent = task.done.saturating_mul(100) / total.max(1);
            format!("{}: {} of {} ({percent} %)", task.name, amount(task.done), amount(total))
        }
        None => format!("{}: {}", task.name, amount(task.done)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn task(unit: Unit, total: Option<u64>) -> Progress {
        Progress { name: "nginx: scanning".to_owned(), unit, since: Instant::now(), done: 1536, total }
    }

    #[test]
    fn a_task_is_told_in_one_line() {
        assert_eq!(line(&task(Unit::Entries, Some(50_000))), "nginx: scanning: 1,536 of 50,000 (3 %)");
        assert_eq!(line(&task(Unit::Bytes, None)), "nginx: scanning: 1.50 KiB");
    }

    #[test]
    fn the_style_is_valid() {
        assert!(ProgressStyle::with_template("{bar:24} {wide_msg}").is_ok());
    }

    #[test]
    fn bars_follow_the_tasks() {
        let console = Console { terminal: true, ..Console::stderr() };
        let mut bars = Vec::new();
        console.draw(&mut bars, &[task(Unit::Bytes, Some(3000)), task(Unit::Entries, None)]);
        assert_eq!((bars.len(), bars[0].position(), bars[0].length(), bars[1].length()), (2, 1536, Some(3000), None));
        console.draw(&mut bars, &[task(Unit::Entries, Some(2000))]);
        assert_eq!((bars.len(), bars[0].length()), (1, Some(2000)));
        console.draw(&mut bars, &[]);
        assert!(bars.is_empty());
    }
}
