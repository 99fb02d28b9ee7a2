//! Where a file says what it says, for findings about what follows from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syncd_compat::diag::Place;
use syncd_compat::{Finding, SourceText, Span};

use super::{SourceSet, Target};

/// A place, and the file that it is in.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) file: PathBuf,
    pub(super) place: Place,
}

impl Located {
    /// What stands at `span` of `source`.
    pub(super) fn of(source: &SourceText, span: Span) -> Self {
        Self { file: source.file_at(span.start).to_owned(), place: source.place(span) }
    }
}

/// Where a file says where a set goes.
#[derive(Clone, Debug)]
pub(super) struct TargetPlaces {
    pub(super) host: Located,
    pub(super) module: Located,
    /// None where no user is said.
    pub(super) user: Option<Located>,
}

/// Of how many targets the places are kept: a line of each is in memory.
const MOST_TARGETS: usize = 10_000;

/// Where a file names each path, target and replica that it names.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    paths: BTreeMap<PathBuf, Located>,
    /// By the root of the set, the host and the module.
    targets: BTreeMap<(PathBuf, String, String), TargetPlaces>,
    replicas: BTreeMap<String, Located>,
}

impl Places {
    /// Notes that `source` names `path` at `span`.
    pub(super) fn add(&mut self, path: &Path, source: &SourceText, span: Span) {
        self.paths.entry(path.to_owned()).or_insert_with(|| Located::of(source, span));
    }

    /// Notes where the set of `root` is said to go to `target`.
    pub(super) fn add_target(&mut self, root: &Path, target: &Target, places: TargetPlaces) {
        if self.targets.len() >= MOST_TARGETS {
            return;
        }
        self.targets.entry((root.to_owned(), target.host.clone(), target.set.clone())).or_insert(places);
    }

    /// Notes that `source` names a replica at `span`.
    pub(super) fn add_replica(&mut self, name: &str, source: &SourceText, span: Span) {
        self.replicas.entry(name.to_owned()).or_insert_with(|| Located::of(source, span));
    }

    /// Notes all that `others` hold too.
    pub(super) fn extend(&mut self, others: Self) {
        self.paths.extend(others.paths);
        self.targets.extend(others.targets);
        self.replicas.extend(others.replicas);
    }

    /// Where `path` is named.
    pub(super) fn path(&self, path: &Path) -> Option<&Located> {
        self.paths.get(path)
    }

    /// Where `set` is said to go to `target`.
    pub(super) fn target(&self, set: &SourceSet, target: &Target) -> Option<&TargetPlaces> {
        self.targets.get(&(set.path.clone(), target.host.clone(), target.set.clone()))
    }

    /// Where the replica of that name is named.
    pub(super) fn replica(&self, name: &str) -> Option<&Located> {
        self.replicas.get(name)
    }

    /// `finding`, which is about `path`, at the place that names it.
    pub(super) fn locate(&self, path: &Path, finding: Finding) -> Finding {
        match self.paths.get(path) {
            Some(at) => finding.at(&at.file, at.place.clone()),
            None => finding,
        }
    }
}
