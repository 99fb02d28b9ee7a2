//! What is there at the source and neither travels nor goes on a replica: by its size, or mounted.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::model::RelPath;

/// Paths that are left alone.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Files.
    files: BTreeSet<RelPath>,
    /// Directories on which something is mounted: what lies below them.
    mounts: BTreeSet<RelPath>,
}

impl LeftOut {
    /// Whether the replica's `path` stays as it is.
    #[must_use]
    pub fn has(&self, path: &RelPath) -> bool {
        if self.files.is_empty() && self.mounts.is_empty() {
            return false;
        }
        let above = std::iter::successors(path.parent(), RelPath::parent);
        // Where a file is left out here, a directory may stand there.
        self.files.contains(path)
            || above.into_iter().any(|dir| self.mounts.contains(&dir) || self.files.contains(&dir))
    }

    /// Notes a file.
    pub fn add_file(&mut self, path: &RelPath) {
        self.files.insert(path.clone());
    }

    /// Notes whether something is mounted on the directory.
    pub fn set_mounted(&mut self, dir: &RelPath, mounted: bool) {
        if mounted {
            self.mounts.insert(dir.clone());
        } else if !self.mounts.is_empty() {
            self.mounts.remove(dir);
        }
    }

    /// Forgets a file: what stands there is looked at anew.
    pub fn forget_file(&mut self, path: &RelPath) {
        if !self.files.is_empty() {
            self.files.remove(path);
        }
    }

    /// Forgets `path` and all below it: it is not there any more, or is looked at anew.
    pub fn forget(&mut self, path: &RelPath) {
        for set in [&mut self.files, &mut self.mounts] {
            if set.is_empty() {
                continue;
            }
            let within: Vec<RelPath> = set
                .range::<RelPath, _>((Bound::Included(path), Bound::Unbounded))
                // `a-` sorts between `a` and `a/b`.
                .take_while(|p| path.is_root() || p.as_bytes().starts_with(path.as_bytes()))
                .filter(|p| p.is_within(path))
                .cloned()
                .collect();
            for path in within {
                set.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> RelPath {
        RelPath::parse(name.as_bytes()).expect("valid")
    }

    #[test]
    fn a_file_is_left_out_and_what_lies_below_a_mount() {
        let mut left = LeftOut::default();
        left.add_file(&path("d/big"));
        left.set_mounted(&path("d/m"), true);
        let has = |name| left.has(&path(name));
        assert!(has("d/big") && has("d/big/x") && has("d/m/x/y"));
        assert!(!has("d/m") && !has("d") && !has("d/bigger") && !has("d/m-"));
    }

    #[test]
    fn what_goes_is_forgotten_with_all_below_it() {
        let mut left = LeftOut::default();
        for name in ["d", "d-", "d/a", "d/b/c", "e"] {
            left.add_file(&path(name));
        }
        left.set_mounted(&path("d/m"), true);
        left.forget(&path("d"));
        assert!(!left.has(&path("d/a")) && !left.has(&path("d/b/c")) && !left.has(&path("d/m/x")));
        assert!(left.has(&path("d-")) && left.has(&path("e")));
        left.forget(&RelPath::root());
        assert!(!left.has(&path("e")));
    }
}
