//! What follows a change of the index: the store gets it, and memory that it took goes back.

use std::sync::Arc;

use tokio::sync::watch;

use super::set::SourceSet;
use crate::engine::memory;
use crate::engine::upkeep::{Kept, look_after};
use crate::model::RelPath;
use crate::store::{Write, Writer};

/// Keeps the index of a set in the store.
#[derive(Debug)]
pub struct Saved {
    set: Arc<SourceSet>,
    writer: Arc<Writer>,
}

impl Saved {
    /// Keeps the index of `set` with `writer`.
    #[must_use]
    pub(crate) fn new(set: Arc<SourceSet>, writer: Arc<Writer>) -> Self {
        Self { set, writer }
    }

    /// Runs until `stop` turns true.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let changed = self.set.index.lock().changed();
        look_after(&self, &changed, &mut stop).await;
    }
}

impl Kept for Saved {
    /// Hands the store what changed, after what is not acknowledged yet: an index that says a
    /// change was seen must never outlive the debt that the change made.
    ///
    /// The acknowledged generation never outruns the index either. What came, was acknowledged and
    /// went again while the index lagged is known to nobody after a crash: then the peer is ahead
    /// of the generation that the store names, and is compared.
    async fn save(&self) -> usize {
        let _turn = self.set.turn.lock().await;
        self.set.keep_halt();
        let acked: Vec<Write> = self.set.targets.iter().filter_map(|t| t.unsaved_generation()).collect();
        let changes = self.set.index.lock().take_unsaved();
        if changes.is_empty() && acked.is_empty() {
            return 0;
        }
        let count = changes.len();
        let mut writes: Vec<Write> = self.set.targets.iter().filter_map(|t| t.unrecorded()).collect();
        if !changes.is_empty() {
            writes.push(Write::Index { set: self.set.config.name.clone(), changes });
        }
        writes.extend(acked);
        self.writer.send(writes);
        count
    }

    async fn tidy(&self) {
        let (set, writer) = (self.set.clone(), self.writer.clone());
        let compact = move || {
            writer.settle();
            let dirs: Vec<RelPath> = set.index.lock().manifest().dirs().cloned().collect();
            // One by one: whoever needs the index meanwhile does not wait for all.
            dirs.iter().for_each(|dir| set.index.lock().compact(dir));
        };
        memory::tidy(compact).await;
    }
}
