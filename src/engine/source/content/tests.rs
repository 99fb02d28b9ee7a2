//! What becomes of a hard link whose file is replaced between the plan and the reading.

use std::fs;
use std::path::Path;

use tokio::sync::mpsc;

use super::*;
use crate::coalesce::{Batch, Scope};
use crate::config::SetOptions;
use crate::filter::Filter;
use crate::fs::Root;
use crate::model::{Base, Change};
use crate::observe::{Monitor, Unit};

/// A file `a` that is also called `b`, looked at and planned for a peer that holds neither.
struct Stand {
    dir: tempfile::TempDir,
    root: Root,
    index: SharedIndex,
    filter: Filter,
    options: SetOptions,
    steps: Vec<Step>,
}

impl Stand {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join("a"), "old").expect("written");
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).expect("linked");
        let mut stand = Self {
            root: Root::open(dir.path()).expect("open"),
            dir,
            index: SharedIndex::default(),
            filter: Filter::new(&[], &[]).expect("filter"),
            options: SetOptions { attrs: Attrs::ARCHIVE.with(Attrs::HARD_LINKS), ..SetOptions::default() },
            steps: Vec::new(),
        };
        stand.refresh();
        let changes = ["a", "b"].map(|name| {
            let path = RelPath::parse(name.as_bytes()).expect("valid");
            let now = stand.index.lock().manifest().entry(&path).cloned();
            (path, Change { base: Base::Known(None), now })
        });
        stand.steps = plan::plan(&changes.into(), &[], stand.options.attrs, true).steps;
        assert!(matches!(&stand.steps[1], Step::Put(put) if matches!(put.need, Need::Link(_))), "{:?}", stand.steps);
        stand
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn look(&self) -> Look<'_> {
        Look { root: &self.root, filter: &self.filter, options: &self.options }
    }

    fn refresh(&self) {
        let batch = Batch { names: [(RelPath::root(), Scope::Tree)].into() };
        self.look().refresh(&self.index, &batch, &|_| false);
    }

    /// The names that are in doubt once all is sent.
    fn doubtful(self) -> Vec<String> {
        let (out, _frames) = mpsc::channel(100);
        let (_tx, signatures) = std::sync::mpsc::channel();
        let frames =
            Frames { out, compression: Compression::Off, signatures: Mutex::new(signatures), read: Arc::default() };
        let (warm, progress) = (Mutex::default(), Monitor::new().task("test", Unit::Entries));
        let producer =
            Producer { look: self.look(), index: &self.index, warm: &warm, frames: &frames, progress: &progress };
        let done = producer.produce(self.steps.clone()).expect("somebody listens");
        done.doubtful.iter().map(ToString::to_string).collect()
    }
}

fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    fs::write(&next, content).expect("written");
    fs::rename(next, path).expect("renamed");
}

#[test]
fn a_link_to_what_was_planned_stands() {
    assert_eq!(Stand::new().doubtful(), Vec::<String>::new());
}

#[test]
fn a_link_to_a_file_that_was_replaced_is_in_doubt_whether_somebody_looked_or_not() {
    for looked in [false, true] {
        let stand = Stand::new();
        replace(&stand.path("a"), "new and longer");
        if looked {
            stand.refresh();
        }
        assert_eq!(stand.doubtful(), ["b"], "looked: {looked}");
    }
}

#[test]
fn so_is_one_to_another_file_that_looks_the_same() {
    let stand = Stand::new();
    let old = fs::metadata(stand.path("a")).expect("there").modified().expect("a time");
    let next = stand.path("next");
    fs::write(&next, "new").expect("written");
    fs::File::options().write(true).open(&next).and_then(|file| file.set_modified(old)).expect("set");
    fs::rename(next, stand.path("a")).expect("renamed");
    stand.refresh();
    assert_eq!(stand.doubtful(), ["b"]);
}

#[test]
fn so_is_one_to_a_file_that_cannot_be_read() {
    let stand = Stand::new();
    fs::remove_file(stand.path("a")).expect("removed");
    assert_eq!(stand.doubtful(), ["b"]);
}
