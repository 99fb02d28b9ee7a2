//! The group commit: the hot path hands over what it wants written and never waits for a disk.

use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redb::Durability;
use tracing::{info, warn};

use super::batch::Batch;
use super::{Store, StoreError, Write};

/// How long what need not last may stay unsynced behind the last write.
const CHECKPOINT: Duration = Duration::from_secs(2);

/// Writes to a [`Store`] from a thread of its own, many at a time.
///
/// What is sent within one window becomes one transaction; what one call to [`Writer::send`] holds
/// is never divided. Names of the retry log, halts and incidents are synced with that transaction,
/// the rest soon after. When a transaction fails the program goes on: what it held is lost to the
/// store, [`Store::compare_needed`] becomes true, and the cause stands in [`Writer::fault`] until
/// a later one succeeds.
///
/// Sending an index change no later than the names that it makes pending loses nothing in a crash
/// when both go in one call.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was sent, or a flush or the end is asked for.
    asked: Condvar,
    /// A transaction has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// Numbers of what was sent, what is committed, and what is synced.
    sent: u64,
    committed: u64,
    synced: u64,
    /// Everything up to this number is to be synced at once.
    wanted: u64,
    /// Since when something is committed and not synced.
    unsynced: Option<Instant>,
    /// Why the last transaction failed.
    fault: Option<String>,
    /// Why something was lost that no flush has reported yet.
    lost: Option<String>,
    /// The numbers that were lost last, and why.
    lost_last: Option<(RangeInclusive<u64>, String)>,
    stopping: bool,
}

impl Writer {
    /// Starts the thread; it collects for `window` before each transaction.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(store: Arc<Store>, window: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let work = Arc::clone(&shared);
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || work.run(&store, window))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands over what is to be written together; waits for nothing. Returns its number, for
    /// [`Writer::wait`]; of nothing, that of what was sent before.
    pub fn send(&self, writes: impl IntoIterator<Item = Write>) -> u64 {
        let mut state = self.shared.lock();
        let mut writes = writes.into_iter().peekable();
        if writes.peek().is_some() {
            writes.for_each(|write| state.batch.add(write));
            state.sent += 1;
            self.shared.asked.notify_one();
        }
        state.sent
    }

    /// Waits until everything that was sent before is durable.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`] when some of it was lost since the last flush.
    pub fn flush(&self) -> Result<(), StoreError> {
        let state = self.shared.lock();
        let upto = state.sent;
        let mut state = self.shared.synced(state, upto);
        state.lost.take().map_or(Ok(()), |cause| Err(StoreError::NotWritten(cause)))
    }

    /// Waits until what has this `number` is durable.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`] when it was lost.
    pub fn wait(&self, number: u64) -> Result<(), StoreError> {
        let state = self.shared.synced(self.shared.lock(), number);
        match &state.lost_last {
            Some((numbers, cause)) if numbers.contains(&number) => Err(StoreError::NotWritten(cause.clone())),
            _ => Ok(()),
        }
    }

    /// Waits until what was sent before is written, durable or not, and takes no memory any more.
    pub fn settle(&self) {
        let mut state = self.shared.lock();
        let upto = state.sent;
        while state.committed < upto {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Why the last transaction failed; none when it did not.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared.lock().fault.clone()
    }
}

/// Writes what is left and waits for it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.asked.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything up to `number` is durable, or lost.
    fn synced<'a>(&'a self, mut state: MutexGuard<'a, State>, number: u64) -> MutexGuard<'a, State> {
        state.wanted = state.wanted.max(number);
        self.asked.notify_one();
        while state.synced < number {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn run(&self, store: &Store, window: Duration) {
        loop {
            let (state, due) = self.wait(window);
            let stopping = state.stopping;
            if due {
                self.commit(store, state);
            } else {
                drop(state);
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits until there is something to commit or to sync; false when there is only the end.
    fn wait(&self, window: Duration) -> (MutexGuard<'_, State>, bool) {
        // Not the batch: what is sent may come to nothing, and somebody may wait for its number.
        let idle = |s: &mut State| s.committed == s.sent && !s.urgent();
        let mut state = self.lock();
        if state.synced < state.committed {
            state = self.asked.wait_timeout_while(state, CHECKPOINT, idle).unwrap_or_else(PoisonError::into_inner).0;
            if idle(&mut state) {
                state.wanted = state.committed;
            }
        } else {
            state = self.asked.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        }
        state = self.asked.wait_timeout_while(state, window, |s| !s.urgent()).unwrap_or_else(PoisonError::into_inner).0;
        let due = state.synced < state.sent;
        (state, due)
    }

    fn commit(&self, store: &Store, mut state: MutexGuard<'_, State>) {
        let batch = std::mem::take(&mut state.batch);
        let upto = state.sent;
        let sync = batch.must_last() || state.urgent() || state.unsynced.is_some_and(|at| at.elapsed() >= CHECKPOINT);
        drop(state);
        let durability = if sync { Durability::Immediate } else { Durability::None };
        let done = store.write_as(durability, |txn| batch.apply(txn));
        drop(batch);
        let mut state = self.lock();
        state.committed = upto;
        match done {
            Ok(()) => state.succeeded(sync),
            Err(e) => {
                store.need_compare();
                state.failed(&e);
            }
        }
        drop(state);
        self.ended.notify_all();
    }
}

impl State {
    /// Whether somebody waits for a sync.
    fn urgent(&self) -> bool {
        self.stopping || self.wanted > self.synced
    }

    fn succeeded(&mut self, synced: bool) {
        if synced {
            self.synced = self.committed;
            self.unsynced = None;
        } else {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        if self.fault.take().is_some() {
            info!("the store can be written again; the sets are compared in full at the next start");
        }
    }

    /// Nothing waits any longer for what is lost, and a failing disk is reported once.
    fn failed(&mut self, error: &StoreError) {
        let cause = error.to_string();
        self.lost_last = Some((self.synced + 1..=self.committed, cause.clone()));
        self.synced = self.committed;
        self.unsynced = None;
        if self.fault.as_ref() != Some(&cause) {
            warn!("{cause}; replication goes on, and every set is compared in full at the next start");
        }
        self.lost = Some(cause.clone());
        self.fault = Some(cause);
    }
}

#[cfg(test)]
mod tests;
