//! The delete guard of a set, and what the store knows of it: no restart is an approval.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::config::{self, DeletePolicy};
use crate::engine::lock;
use crate::plan::{Guard, Halt};
use crate::store::{Store, StoreError, Write, Writer};

/// The guard of one set. What it decides is handed to the store under its lock, so that the store
/// hears of halts and releases in the order in which they came.
#[derive(Debug)]
pub(crate) struct Halts {
    set: String,
    guard: Mutex<Guard>,
    writer: Arc<Writer>,
}

impl Halts {
    /// The guard of the set `config`, halted where it was when syncd ended, and whether what it held
    /// back is approved: by whoever switched the guard off since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(
        config: &config::SourceSet,
        store: &Store,
        writer: Arc<Writer>,
    ) -> Result<(Self, bool), StoreError> {
        let (set, delete) = (config.name.clone(), config.options.delete);
        let kept = store.halt(&set)?;
        let guard = Guard::restored(delete == DeletePolicy::Guarded, kept);
        if let Some(halt) = guard.halted() {
            tell(&set, halt);
        }
        let approved = kept.is_some() && delete == DeletePolicy::Always;
        if approved {
            // It does not come back with the guard.
            writer.send([Write::Halt { set: set.clone(), halt: None }]);
        }
        Ok((Self { set, guard: Mutex::new(guard), writer }, approved))
    }

    /// Why deletions wait for an operator; none when they do not.
    pub(super) fn halted(&self) -> Option<Halt> {
        lock(&self.guard).halted()
    }

    /// A step in which `lost` of `of` entries went.
    pub(super) fn step(&self, of: usize, lost: usize) {
        self.show(|guard| guard.handle_step(Instant::now(), of, lost));
    }

    /// The device of the root, none when there is no root.
    pub(super) fn root(&self, device: Option<u64>) {
        self.show(|guard| guard.handle_root(device));
    }

    /// Shows the guard what happened, before any target is owed it: the store then has a halt no
    /// later than the names that it holds back.
    fn show(&self, show: impl FnOnce(&mut Guard)) {
        let mut guard = lock(&self.guard);
        let before = guard.halted();
        show(&mut guard);
        if let (None, Some(halt)) = (before, guard.halted()) {
            tell(&self.set, halt);
            let number = self.write(&guard);
            // It happens once, and whoever sees it may rely on it: worth the wait for a disk.
            if let Err(e) = self.writer.wait(number) {
                tracing::error!(set = self.set, "{e}: a restart would release it");
            }
        }
    }

    /// Tells the store of a halt once more: it may have had no room for it.
    pub(super) fn repeat(&self) {
        let guard = lock(&self.guard);
        if guard.halted().is_some() {
            self.write(&guard);
        }
    }

    /// An operator releases the halt, with or without the deletions that it held back; `let_go`
    /// does so for every target, and says what the store holds for nothing from then on.
    ///
    /// The store forgets the halt together with those names: a crash leaves both or neither. That
    /// what is approved is not done yet is not kept: after a crash before that, the guard watches
    /// again, and what it did not see then passes, as the operator wanted.
    ///
    /// # Errors
    /// [`StoreError`]: it is released, but the store may still have it for halted.
    pub(super) fn release(&self, with_deletions: bool, let_go: impl FnOnce() -> Vec<Write>) -> Result<(), StoreError> {
        let mut guard = lock(&self.guard);
        if with_deletions {
            guard.approve();
        } else {
            guard.resume();
        }
        let released = Write::Halt { set: self.set.clone(), halt: None };
        let number = self.writer.send(let_go().into_iter().chain([released]));
        drop(guard);
        self.writer.wait(number)
    }

    /// Tells the guard that what an operator approved is done, when `is_done` says so.
    pub(super) fn settle(&self, is_done: impl FnOnce() -> bool) {
        let mut guard = lock(&self.guard);
        if guard.is_approved() && is_done() {
            guard.settle();
        }
    }

    fn write(&self, guard: &MutexGuard<'_, Guard>) -> u64 {
        self.writer.send([Write::Halt { set: self.set.clone(), halt: guard.halted() }])
    }
}

fn tell(set: &str, halt: Halt) {
    tracing::error!(
        set,
        "{halt}: nothing is deleted on any peer until an operator decides. If the tree is right: syncd approve {set}; if it was mended: syncd resume {set}"
    );
}
