//! Owners and groups of a change set in numbers of this host.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

type ByName = HashMap<String, u32>;

/// Numbers of the source to numbers of this host; a number that is not in stands for itself.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
}

impl Ids {
    /// The user that `uid` of the source is here.
    #[must_use]
    pub fn user(&self, uid: u32) -> u32 {
        self.users.get(&uid).copied().unwrap_or(uid)
    }

    /// The group that `gid` of the source is here.
    #[must_use]
    pub fn group(&self, gid: u32) -> u32 {
        self.groups.get(&gid).copied().unwrap_or(gid)
    }
}

/// `/etc/passwd` and `/etc/group`, read again only when they changed.
#[derive(Debug)]
pub(super) struct Accounts {
    users: NameFile,
    groups: NameFile,
}

impl Accounts {
    pub(super) fn of_this_host() -> Self {
        Self { users: NameFile::new("/etc/passwd"), groups: NameFile::new("/etc/group") }
    }

    /// The mapping for the names that came with a change set.
    pub(super) fn ids(&self, users: &[(u32, String)], groups: &[(u32, String)]) -> Ids {
        Ids { users: self.users.map(users), groups: self.groups.map(groups) }
    }
}

/// One file of `name:…:number:…` lines.
#[derive(Debug)]
struct NameFile {
    path: &'static Path,
    read: Mutex<Option<(SystemTime, Arc<ByName>)>>,
}

impl NameFile {
    fn new(path: &'static str) -> Self {
        Self { path: Path::new(path), read: Mutex::new(None) }
    }

    fn map(&self, names: &[(u32, String)]) -> HashMap<u32, u32> {
        // As with rsync root is root everywhere; a set that only root owns costs no look at the file.
        if names.iter().all(|(id, _)| *id == 0) {
            return HashMap::new();
        }
        translate(names, &self.by_name())
    }

    fn by_name(&self) -> Arc<ByName> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = fs::metadata(self.path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        match &*read {
            Some((when, names)) if *when == changed => Arc::clone(names),
            _ => {
                // An unreadable file has no names, so that numbers stand for themselves.
                let names = Arc::new(parse(&fs::read(self.path).unwrap_or_default()));
                *read = Some((changed, Arc::clone(&names)));
                names
            }
        }
    }
}

/// Names to local numbers. What is unknown here stays a number; only 0 ever becomes 0, whatever
/// number a name such as `toor` has here.
fn translate(names: &[(u32, String)], here: &ByName) -> HashMap<u32, u32> {
    let local = |(id, name): &(u32, String)| Some((*id, *here.get(name).filter(|local| **local != 0)?));
    names.iter().filter(|(id, _)| *id != 0).filter_map(local).collect()
}

/// passwd(5) and group(5): the name is the first field, the number the third. The first line of a name counts.
fn parse(file: &[u8]) -> ByName {
    let mut names = ByName::new();
    for line in String::from_utf8_lossy(file).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
            && let Ok(id) = id.parse()
            && !name.is_empty()
        {
            names.entry(name.to_owned()).or_insert(id);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_and_nobody_becomes_root_by_accident() {
        let here = parse(b"root:x:0:0::/:\nwww-data:x:33:33::/:\ntoor:x:0:0::/:\n# c\nbad:x:y:\nwww-data:x:99:99\n");
        let sent = [(0, "www-data"), (1, "root"), (2, "www-data"), (3, "nobody-knows"), (4, "toor"), (5, "bad")]
            .map(|(id, name)| (id, name.to_owned()));
        let ids = Ids { users: translate(&sent, &here), groups: HashMap::new() };
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|id| ids.user(id)), [0, 1, 33, 3, 4, 5, 6]);
    }
}
