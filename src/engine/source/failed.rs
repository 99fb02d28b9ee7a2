//! The paths that a peer could not make as asked: told once, listed until they are well.

use std::collections::BTreeMap;

use super::Target;
use crate::model::RelPath;
use crate::wire::Failed;

/// What one peer could not make, each path with its cause.
#[derive(Debug, Default)]
pub(crate) struct FailedPaths(BTreeMap<RelPath, String>);

/// What is to be told.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct News {
    /// What failed for the first time, or for another cause than before.
    pub failed: Vec<(RelPath, String)>,
    /// What failed before and is well.
    pub healed: Vec<RelPath>,
}

impl News {
    /// Tells it to the log.
    pub(crate) fn tell(&self, set: &str, peer: &Target) {
        for (path, cause) in &self.failed {
            tracing::warn!(set, %peer, %path, "not applied there: {cause}; every other path goes on");
        }
        for path in &self.healed {
            tracing::info!(set, %peer, %path, "is kept equal there again");
        }
    }
}

impl FailedPaths {
    /// Takes note of what `failed` now; of what failed before, that is well which is not `owed` any more.
    pub(crate) fn note(&mut self, failed: &[Failed], owed: impl Fn(&RelPath) -> bool) -> News {
        let mut news = News::default();
        for Failed { path, cause, .. } in failed {
            if self.0.insert(path.clone(), cause.clone()).as_ref() != Some(cause) {
                news.failed.push((path.clone(), cause.clone()));
            }
        }
        self.0.retain(|path, _| {
            let owed = owed(path);
            if !owed {
                news.healed.push(path.clone());
            }
            owed
        });
        news
    }

    /// Whether nothing failed that is not well.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RelPath, &String)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    fn failed(at: &str, cause: &str) -> Failed {
        Failed { path: path(at), cause: cause.to_owned(), left_out: false }
    }

    #[test]
    fn a_failure_is_news_once_for_each_cause_and_again_after_it_healed() {
        let mut paths = FailedPaths::default();
        let told = |news: News| (news.failed.len(), news.healed);
        assert_eq!(told(paths.note(&[failed("a", "EPERM"), failed("b", "EPERM")], |_| true)), (2, vec![]));
        assert_eq!(told(paths.note(&[failed("a", "EPERM")], |_| true)), (0, vec![]));
        assert_eq!(told(paths.note(&[failed("a", "EIO")], |_| true)), (1, vec![]));
        assert_eq!(
            paths.iter().map(|(p, c)| (p.clone(), &**c)).collect::<Vec<_>>(),
            [(path("a"), "EIO"), (path("b"), "EPERM")]
        );
        assert_eq!(told(paths.note(&[], |p| *p == path("b"))), (0, vec![path("a")]));
        assert_eq!(told(paths.note(&[failed("a", "EIO")], |_| true)), (1, vec![]));
        assert_eq!(told(paths.note(&[], |_| false)), (0, vec![path("a"), path("b")]));
        assert!(paths.is_empty());
    }
}
