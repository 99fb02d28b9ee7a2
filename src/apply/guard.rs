//! The receiver's own guard against mass deletion.

use std::collections::BTreeSet;

use super::view::View;
use crate::model::{Manifest, RelPath};

/// Fewer than this may always go.
const HANDFUL: usize = 20;

/// How many entries of `held` go when `paths`, none of which lies below another, are removed or
/// replaced by what is no directory. What `renames` take out of them stays.
pub(super) fn count_gone<'a>(
    held: &Manifest,
    view: &View,
    paths: impl Iterator<Item = &'a RelPath>,
    renames: &[(RelPath, RelPath)],
) -> usize {
    let origins: BTreeSet<_> = renames.iter().filter_map(|(_, to)| view.find(to)).collect();
    let mut gone = 0_usize;
    for path in paths {
        let Some(origin) = view.find(path) else { continue };
        gone += held.within(&origin).count();
        let kept = origins.iter().filter(|o| o.is_below(&origin)).map(|o| held.within(o).count());
        gone = gone.saturating_sub(kept.sum());
    }
    gone
}

/// Whether so many deletions must wait for an operator: more than half `of` what is there, and of what comes with
/// them. A directory that was renamed while nobody looked comes as a whole under its new name.
pub(super) fn is_too_much(gone: usize, of: usize) -> bool {
    gone > HANDFUL && gone > of / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, Meta, Node, Record};

    fn path(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).expect("valid")
    }

    #[test]
    fn a_handful_or_less_than_half_may_go() {
        assert!(!is_too_much(20, 20));
        assert!(!is_too_much(21, 42));
        assert!(is_too_much(21, 41));
        assert!(is_too_much(22, 43));
    }

    #[test]
    fn what_a_rename_takes_out_is_not_gone() {
        let mut held = Manifest::new();
        for p in ["d", "d/a", "d/b", "d/c", "e"] {
            let entry = Entry { node: Node::Dir, meta: Meta::default(), xattrs: Vec::new(), link: None };
            held.insert(&path(p), Record { entry, stamp: None });
        }
        let renames = [(path("d/a"), path("x"))];
        let view = View::after(&renames);
        assert_eq!(count_gone(&held, &view, [path("d")].iter(), &renames), 3);
        assert_eq!(count_gone(&held, &view, [path("d/b"), path("none")].iter(), &renames), 1);
    }
}
