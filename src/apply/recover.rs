//! What a crash left in the stage: the newest commit is finished, all else is dropped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::PoisonError;

use super::applier::{Applier, stage_path};
use super::area::Dirs;
use super::commit::make_tree_durable;
use super::ground::content;
use super::journal::{self, Journal};
use super::ledger::Ledger;
use super::run::Run;
use super::{ApplyError, drift};
use crate::fs::write;
use crate::model::{Manifest, RelPath};

/// What [`Applier::recover`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovered {
    /// A commit that had begun is live now.
    pub finished: bool,
    /// A commit that had begun was taken back: what it had staged does not verify, or there is no room.
    pub taken_back: bool,
    /// How many other change sets were dropped; nothing of them had been live.
    pub dropped: usize,
    /// What could not be made while all else was, each with its cause.
    pub failed: Vec<(RelPath, String)>,
}

impl Applier {
    /// Brings the tree to the old or the new generation after a crash, and `manifest`, which may
    /// be of either, to the same. May itself be interrupted and done again.
    ///
    /// # Errors
    /// [`ApplyError::Local`] and [`ApplyError::Durability`]: the set cannot be applied to.
    pub fn recover(&self, manifest: &mut Manifest) -> Result<Recovered, ApplyError> {
        let shared = &self.shared;
        let local = |e| ApplyError::local(&RelPath::root(), "read the stage", e);
        let mut number = shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recovered = Recovered::default();
        let left = write::numbered(&shared.stage).map_err(local)?;
        // Each commit ends before the next begins. An older journal is there only because its
        // removal was not durable yet.
        let mut newest: Option<(Journal, u64)> = None;
        for seq in &left {
            if let Some(journal) = self.journal(*seq).map_err(local)?
                && newest.as_ref().is_none_or(|(n, _)| n.number < journal.number)
            {
                newest = Some((journal, *seq));
            }
        }
        if let Some((journal, _)) = &newest {
            *number = journal.number;
            self.finish(journal, manifest, &mut recovered)?;
        }
        for (name, _) in write::names(&shared.stage).map_err(local)? {
            write::remove_tree(shared.stage.as_fd(), &name).map_err(local)?;
            recovered.dropped += 1;
        }
        recovered.dropped -= usize::from(newest.is_some() && recovered.dropped > 0);
        drift::prune(shared).map_err(local)?;
        Ok(recovered)
    }

    fn journal(&self, seq: u64) -> io::Result<Option<Journal>> {
        let dir = self.shared.area.dir(&stage_path(seq))?;
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&dir, journal::NAME, flags, rustix::fs::Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut bytes = Vec::new();
        File::from(file).read_to_end(&mut bytes)?;
        Ok(Journal::decode(&bytes))
    }

    fn finish(&self, journal: &Journal, manifest: &mut Manifest, recovered: &mut Recovered) -> Result<(), ApplyError> {
        let shared = &self.shared;
        let mut run = Run::new(Dirs::new(&shared.area));
        let local = |e| ApplyError::local(&RelPath::root(), "recover", e);
        run.find_done(&journal.steps).map_err(local)?;
        let verified = self.verify(&mut run, journal).map_err(local)?;
        let live = verified && run.forth(&journal.steps).is_ok();
        if !live {
            run.back(&journal.steps).map_err(|source| ApplyError::Durability { doing: "take back", source })?;
        }
        make_tree_durable(&mut run, &shared.stage, &journal.steps)?;
        recovered.taken_back = !live;
        recovered.finished = live;
        if live {
            let (failed, meta_failed) = (std::mem::take(&mut run.failed), std::mem::take(&mut run.meta_failed));
            let mut ledger =
                Ledger { dirs: run.dirs(), policy: &shared.policy, failed: &failed, meta_failed: &meta_failed };
            ledger.write(journal, &[], manifest);
            recovered.failed = failed.into_iter().chain(meta_failed).collect::<BTreeMap<_, _>>().into_iter().collect();
        }
        Ok(())
    }

    /// Whether all content that still is in the stage is what it should be.
    fn verify(&self, run: &mut Run<'_>, journal: &Journal) -> io::Result<bool> {
        for made in &journal.puts {
            let (Some(place), Some(hash)) = (&made.place, made.entry.hash()) else { continue };
            let dirs: &mut Dirs<'_> = run.dirs();
            // After an exchange the old object is there.
            let waits = dirs.look(place)?.and_then(|r| r.stamp).is_some_and(|s| s.ino == made.ino);
            if waits && content(&self.shared.area, dirs, place)? != Some(hash) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
