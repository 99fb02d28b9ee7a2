//! Events on their way to the receiver, in batches.

use tokio::sync::mpsc;

use super::Event;

/// A batch goes out at this size even while its read(2) is not worked through.
const BATCH: usize = 4096;

/// Collects events and sends them. A receiver that is slow holds the thread up, and so the kernel's
/// bounded queue does the rest: memory stays bounded, an overflow is told.
pub(super) struct Outbox {
    sender: mpsc::Sender<Vec<Event>>,
    batch: Vec<Event>,
}

impl Outbox {
    pub(super) fn new(sender: mpsc::Sender<Vec<Event>>) -> Self {
        Self { sender, batch: Vec::new() }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.batch.push(event);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Sends what was collected, waiting for room.
    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            // Without a receiver the events are nobody's; the thread sees `is_closed` next.
            let _ = self.sender.blocking_send(std::mem::take(&mut self.batch));
        }
    }

    /// Whether nobody receives any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
