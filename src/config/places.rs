//! Where a file says what it says, for findings about what follows from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syncd_compat::diag::Place;
use syncd_compat::{Finding, SourceText, Span};

use super::{ReplicaSet, SourceSet, Target};

/// A place, and the file that it is in.
#[derive(Clone, Debug, Eq, PartialEq)]
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
    /// The directory that goes there.
    pub(super) root: Located,
    pub(super) host: Located,
    pub(super) module: Located,
    /// None where no user is said.
    pub(super) user: Option<Located>,
}

/// Where a file says what a replica is.
#[derive(Clone, Debug)]
struct ReplicaPlaces {
    name: Located,
    root: Located,
}

/// Something that a file leaves to the moment when it is read, and how it was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Settled {
    pub(super) at: Located,
    pub(super) what: String,
}

/// Where a `[[vrrp]]` says what it says, as spans of its file; of what is a default there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct RouterPlaces {
    pub(super) name: Span,
    pub(super) interface: Span,
    pub(super) vrid: Span,
    pub(super) version: Option<Span>,
    pub(super) priority: Option<Span>,
    pub(super) interval: Option<Span>,
    pub(super) preempt: Option<Span>,
    pub(super) password: Option<Span>,
    pub(super) group: Option<Span>,
    pub(super) addresses: Vec<Span>,
    pub(super) excluded: Vec<Span>,
    pub(super) peers: Vec<Span>,
    pub(super) interfaces: Vec<TrackPlace>,
    pub(super) scripts: Vec<TrackPlace>,
    pub(super) processes: Vec<TrackPlace>,
    pub(super) files: Vec<TrackPlace>,
}

/// Where something that is tracked is named, and its weight.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrackPlace {
    pub(super) name: Span,
    pub(super) weight: Option<Span>,
}

/// Of how many targets the places are kept: a line of each is in memory.
const MOST_TARGETS: usize = 10_000;

/// A path that a native file names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// Some file.
    Path(&'a Path),
    /// The directory of a set that goes out.
    Source(&'a SourceSet),
    /// The directory of a set that is received.
    Replica(&'a ReplicaSet),
}

/// Where a file names each path, target, replica and virtual router that it names.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    paths: BTreeMap<PathBuf, Located>,
    /// By the root of the set, the host and the module.
    targets: BTreeMap<(PathBuf, String, String), TargetPlaces>,
    replicas: BTreeMap<String, ReplicaPlaces>,
    settled: Vec<Settled>,
    routers: BTreeMap<String, RouterPlaces>,
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

    /// Notes that `source` names a replica and its directory at these spans.
    pub(super) fn add_replica(&mut self, name: &str, source: &SourceText, (at, root): (Span, Span)) {
        let places = || ReplicaPlaces { name: Located::of(source, at), root: Located::of(source, root) };
        self.replicas.entry(name.to_owned()).or_insert_with(places);
    }

    /// Notes that `said`, which `source` says at `span`, was taken for `path`.
    pub(super) fn settle_path(&mut self, source: &SourceText, span: Span, said: &str, path: &Path) {
        if !said.starts_with('/') {
            let path = path.display();
            let what = format!("`{said}` is relative: written as {path}, from the directory of this conversion");
            self.settle(Settled { at: Located::of(source, span), what });
        }
    }

    /// Notes where the `[[vrrp]]` of that name says what it says.
    pub(super) fn add_router(&mut self, name: &str, places: RouterPlaces) {
        self.routers.entry(name.to_owned()).or_insert(places);
    }

    /// Notes the files whose rules were read, with the places that name them.
    pub(super) fn settle_rules(&mut self, files: Vec<(Located, PathBuf)>) {
        for (at, file) in files {
            let what = format!("the rules of {} are written as they are now: it is not read any more", file.display());
            self.settle(Settled { at, what });
        }
    }

    fn settle(&mut self, settled: Settled) {
        if self.settled.len() < MOST_TARGETS && !self.settled.contains(&settled) {
            self.settled.push(settled);
        }
    }

    /// What a file that is written once and for all cannot leave open.
    pub(super) fn settled(&self) -> &[Settled] {
        &self.settled
    }

    /// Notes all that `others` hold too; what both know stays.
    pub(super) fn extend(&mut self, others: Self) {
        let Self { paths, targets, replicas, routers, settled } = others;
        self.settled.extend(settled);
        add_new(&mut self.paths, paths);
        add_new(&mut self.targets, targets);
        add_new(&mut self.replicas, replicas);
        add_new(&mut self.routers, routers);
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
        self.replicas.get(name).map(|places| &places.name)
    }

    /// Where what a native file names is named; of a directory that several sets have, by its own set.
    pub(super) fn of(&self, named: Named<'_>) -> Option<&Located> {
        match named {
            Named::Path(path) => self.path(path),
            Named::Source(set) => {
                let target = set.targets.first().and_then(|target| self.target(set, target));
                target.map(|places| &places.root).or_else(|| self.path(&set.path))
            }
            Named::Replica(set) => {
                self.replicas.get(&set.name).map(|places| &places.root).or_else(|| self.path(&set.path))
            }
        }
    }

    /// Where the `[[vrrp]]` of that name says what it says.
    pub(super) fn router(&self, name: &str) -> Option<&RouterPlaces> {
        self.routers.get(name)
    }

    /// `finding`, which is about `path`, at the place that names it.
    pub(super) fn locate(&self, path: &Path, finding: Finding) -> Finding {
        match self.paths.get(path) {
            Some(at) => finding.at(&at.file, at.place.clone()),
            None => finding,
        }
    }
}

fn add_new<K: Ord, V>(known: &mut BTreeMap<K, V>, others: BTreeMap<K, V>) {
    for (key, value) in others {
        known.entry(key).or_insert(value);
    }
}
