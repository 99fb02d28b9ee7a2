//! What a set says of its entries instead of what stat(2) says: rsync's `--chmod`, `--usermap` and `--groupmap`.

mod chmod;

pub use chmod::{Chmod, ChmodError};

use std::fmt;

use crate::model::{Entry, Kind};

/// All that is said otherwise.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rewrite {
    /// Permission bits.
    pub chmod: Chmod,
    /// Owners, of which the first that fits counts.
    pub users: Vec<Mapped>,
    /// Groups, likewise.
    pub groups: Vec<Mapped>,
}

/// Numbers of this host, and what is said instead of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapped {
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
    /// The number that is said.
    pub to: u32,
    /// The name that is said with it; without one it is the same number on every host.
    pub name: Option<String>,
}

/// As rsync's `--usermap` has it.
impl fmt::Display for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (0, u32::MAX) => f.write_str("*")?,
            (first, last) if first == last => write!(f, "{first}")?,
            (first, last) => write!(f, "{first}-{last}")?,
        }
        match &self.name {
            Some(name) => write!(f, ":{name}"),
            None => write!(f, ":{}", self.to),
        }
    }
}

impl Rewrite {
    /// Whether nothing is said otherwise.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chmod.is_empty() && self.users.is_empty() && self.groups.is_empty()
    }

    /// Makes `entry`, as stat(2) shows it, what is said of it.
    pub fn apply(&self, entry: &mut Entry) {
        if entry.kind() != Kind::Symlink {
            entry.meta.mode = self.chmod.apply(entry.meta.mode, entry.is_dir());
        }
        entry.meta.uid = mapped(&self.users, entry.meta.uid);
        entry.meta.gid = mapped(&self.groups, entry.meta.gid);
    }

    /// Whether `uid` is said as a number, without the name that it has here.
    #[must_use]
    pub fn is_numeric_user(&self, uid: u32) -> bool {
        self.users.iter().any(|map| map.name.is_none() && map.to == uid)
    }

    /// Whether `gid` is said as a number, without the name that it has here.
    #[must_use]
    pub fn is_numeric_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|map| map.name.is_none() && map.to == gid)
    }
}

fn mapped(maps: &[Mapped], id: u32) -> u32 {
    maps.iter().find(|map| (map.first..=map.last).contains(&id)).map_or(id, |map| map.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Meta, Node};

    fn entry(node: Node) -> Entry {
        let meta = Meta { mode: 0o644, uid: 7, gid: 8, ..Meta::default() };
        Entry { node, meta, xattrs: Vec::new(), link: None }
    }

    #[test]
    fn the_first_map_that_fits_counts_and_a_symlink_keeps_its_mode() {
        let map = |first, last, to| Mapped { first, last, to, name: (to != 5).then(|| "u".to_owned()) };
        let rewrite = Rewrite {
            chmod: Chmod::parse("go=", 0).expect("usable"),
            users: vec![map(0, 6, 1), map(7, 7, 2), map(0, u32::MAX, 3)],
            groups: vec![map(9, 9, 5)],
        };
        let mut file = entry(Node::Fifo);
        rewrite.apply(&mut file);
        assert_eq!((file.meta.mode, file.meta.uid, file.meta.gid), (0o600, 2, 8));
        let mut link = entry(Node::Symlink { target: b"x".as_slice().into() });
        rewrite.apply(&mut link);
        assert_eq!(link.meta.mode, 0o644);
        assert!(rewrite.is_numeric_group(5) && !rewrite.is_numeric_user(2));
        assert_eq!(rewrite.users.iter().map(Mapped::to_string).collect::<Vec<_>>(), ["0-6:u", "7:u", "*:u"]);
        assert_eq!(rewrite.groups.first().map(Mapped::to_string).as_deref(), Some("9:5"));
        assert!(!rewrite.is_empty() && Rewrite::default().is_empty());
    }
}
