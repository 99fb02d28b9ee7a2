//! One source tree and its replicas, emptied before each subject, and the wait until they are equal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::fs_image::{Disks, Sides};
use super::tree;
use crate::stop;

/// Nothing that is measured takes longer on a machine that is of any use.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the replica is looked at. Shorter would take the core from those that are measured.
const POLL: Duration = Duration::from_micros(60);
/// Of more marks than this, a sample is waited for before all are looked at.
const SAMPLE: usize = 2000;

/// The directories of one measurement.
pub(crate) struct Lab<'a> {
    sides: &'a Sides,
    scratch: &'a Path,
    pub(crate) src: PathBuf,
    pub(crate) replicas: Vec<PathBuf>,
}

/// What shall be true of a path at a replica.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A file of this size and mtime: subjects set both before the file takes its name.
    File {
        path: PathBuf,
        size: u64,
        mtime: (i64, i64),
    },
    Absent {
        path: PathBuf,
    },
}

impl<'a> Lab<'a> {
    /// Empty trees, with nothing left to write out; for large files or for small ones.
    pub(crate) fn new(disks: &'a Disks, large: bool, replicas: usize) -> Result<Self> {
        for side in [&disks.small.source, &disks.small.replica, &disks.large.source, &disks.large.replica] {
            empty(side)?;
        }
        let sides = if large { &disks.large } else { &disks.small };
        let src = sides.source.join("tree");
        fs::create_dir_all(&src)?;
        let replicas: Vec<_> = (0..replicas).map(|index| sides.replica.join(format!("tree{index}"))).collect();
        for replica in &replicas {
            fs::create_dir_all(replica)?;
        }
        sides.sync()?;
        Ok(Self { sides, scratch: &disks.scratch, src, replicas })
    }

    /// For state that belongs on the disk of the primary.
    pub(crate) fn source_state(&self) -> PathBuf {
        self.sides.source.join("state")
    }

    /// For state that belongs on the disk of a replica.
    pub(crate) fn replica_state(&self, index: usize) -> PathBuf {
        self.sides.replica.join(format!("state{index}"))
    }

    /// For configurations and logs.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch
    }

    /// Lets everything that went before come to rest.
    pub(crate) fn rest(&self) -> Result<()> {
        self.sides.sync()?;
        stop::sleep(Duration::from_millis(300))
    }

    /// Marks for files as they are at the source now.
    pub(crate) fn marks(&self, files: &[PathBuf]) -> Result<Vec<Mark>> {
        let mark = |path: &PathBuf| {
            let meta = self.src.join(path).metadata().with_context(|| format!("{}", path.display()))?;
            Ok(Mark::File { path: path.clone(), size: meta.len(), mtime: (meta.mtime(), meta.mtime_nsec()) })
        };
        files.iter().map(mark).collect()
    }

    /// Waits until all marks hold at all replicas; returns when they did.
    ///
    /// Each mark is looked at until it holds and then no more. Of very many, a sample with the last one is waited for
    /// first, so that looking does not take the processor from the subject; if then all others hold already, the time
    /// of the sample counts.
    pub(crate) fn wait(&self, marks: &[Mark]) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let mut when = Instant::now();
        if marks.len() > SAMPLE {
            let sample: Vec<_> = marks.iter().rev().step_by(marks.len() / 64).collect();
            when = self.wait_each(&sample, when, deadline)?;
        }
        let all: Vec<_> = marks.iter().rev().collect();
        self.wait_each(&all, when, deadline)
    }

    fn wait_each(&self, marks: &[&Mark], mut when: Instant, deadline: Instant) -> Result<Instant> {
        for replica in &self.replicas {
            for mark in marks {
                if mark.holds(replica) {
                    continue;
                }
                poll(deadline, || mark.holds(replica)).with_context(|| format!("waiting for {mark:?}"))?;
                when = Instant::now();
            }
        }
        Ok(when)
    }

    /// Requires that every replica equals the source; a subject that is a moment behind gets that moment.
    pub(crate) fn require_equal(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        for replica in &self.replicas {
            loop {
                // A name may vanish between the listing and the look at it.
                let found = tree::differences(&self.src, replica).unwrap_or_else(|e| vec![format!("{e:#}")]);
                if found.is_empty() {
                    break;
                }
                ensure!(Instant::now() < deadline, "WRONG: {}", found.join("; "));
                stop::sleep(Duration::from_millis(200))?;
            }
        }
        Ok(())
    }
}

impl Mark {
    fn holds(&self, replica: &Path) -> bool {
        match self {
            Self::Absent { path } => replica.join(path).symlink_metadata().is_err(),
            Self::File { path, size, mtime } => replica
                .join(path)
                .symlink_metadata()
                .is_ok_and(|meta| meta.len() == *size && (meta.mtime(), meta.mtime_nsec()) == *mtime),
        }
    }
}

/// Looks until it holds, at first every moment, later less often.
pub(crate) fn poll(deadline: Instant, mut holds: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !holds() {
        let now = Instant::now();
        if now > deadline {
            bail!("not equal within {PATIENCE:?}");
        }
        stop::check()?;
        // A twentieth of what it took so far is precise enough, up to a millisecond.
        let pause = ((now - start) / 20).clamp(POLL, Duration::from_millis(1));
        std::thread::sleep(pause);
    }
    Ok(())
}

/// When to give up.
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn empty(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == "lost+found" {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}
