//! Names of users and groups, as /etc/passwd and /etc/group give them.

use std::collections::{BTreeSet, HashMap};

/// Numbers with their names.
pub(crate) type Named = Vec<(u32, String)>;

/// What `/etc/passwd` and `/etc/group` say.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// Reads both files; one that cannot be read names nobody, so that ids travel as numbers.
    #[must_use]
    pub(crate) fn read() -> Self {
        Self { users: table("/etc/passwd"), groups: table("/etc/group") }
    }

    /// The names of the owners and groups in `ids`, by number.
    #[must_use]
    pub(crate) fn of(&self, ids: &BTreeSet<(u32, u32)>) -> (Named, Named) {
        let uids: BTreeSet<u32> = ids.iter().map(|(uid, _)| *uid).collect();
        let gids: BTreeSet<u32> = ids.iter().map(|(_, gid)| *gid).collect();
        (named(&uids, &self.users), named(&gids, &self.groups))
    }
}

fn named(ids: &BTreeSet<u32>, names: &HashMap<u32, String>) -> Named {
    ids.iter().filter_map(|id| Some((*id, names.get(id)?.clone()))).collect()
}

/// `name:password:id:…` lines by id; of several names for an id the first counts, as getpwuid(3) has it.
fn table(file: &str) -> HashMap<u32, String> {
    let mut table = HashMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(|id| id.parse().ok())) {
            table.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    table
}
