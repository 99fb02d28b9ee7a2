//! What differs at a path, in the words of `syncd verify`.

use crate::model::{Attrs, Entry, Node, RelPath};

/// A path that is not the same in two places.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The path.
    pub path: RelPath,
    /// What differs: `content`, `mode`, `missing there`, …
    pub what: String,
}

/// What differs between `here` and `there` for a set that replicates `attrs`; empty when nothing does.
#[must_use]
pub(crate) fn describe(here: Option<&Entry>, there: Option<&Entry>, attrs: Attrs) -> String {
    let (here, there) = match (here, there) {
        (None, None) => return String::new(),
        (Some(_), None) => return "missing there".to_owned(),
        (None, Some(_)) => return "only there".to_owned(),
        (Some(here), Some(there)) => (here, there),
    };
    if here.kind() != there.kind() {
        return format!("type: {:?} here, {:?} there", here.kind(), there.kind());
    }
    let mut what = Vec::new();
    match (&here.node, &there.node) {
        (Node::File { hash: None, .. }, _) | (_, Node::File { hash: None, .. }) => {
            what.push("content, unread".to_owned());
        }
        (a, b) if a != b => what.push("content".to_owned()),
        _ => {}
    }
    let (a, b) = (&here.meta, &there.meta);
    let mut differs = |attr, differs: bool, name: &str| {
        if attrs.has(attr) && differs {
            what.push(name.to_owned());
        }
    };
    differs(Attrs::MODE, a.mode != b.mode && !matches!(here.node, Node::Symlink { .. }), "mode");
    differs(Attrs::OWNER, a.uid != b.uid, "owner");
    differs(Attrs::GROUP, a.gid != b.gid, "group");
    differs(Attrs::MTIME, attrs.has_times_of(here.kind()) && a.mtime != b.mtime, "mtime");
    differs(Attrs::XATTRS, here.xattrs != there.xattrs, "extended attributes");
    differs(Attrs::HARD_LINKS, here.link != there.link, "hard links");
    what.join(", ")
}
