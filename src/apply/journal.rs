//! The journal of a commit: what recovery needs to finish it, or to undo it.

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::model::{Entry, RelPath};

/// Its name in the change set's stage directory; staged objects have numbers.
pub(super) const NAME: &[u8] = b"journal";

/// First bytes of the file. The last is the version: a change of any type in here raises it.
const MAGIC: &[u8; 8] = b"syncdJ\0\x01";

/// What a commit does to the tree and to the manifest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Journal {
    /// Counts up with every commit of this host: only the newest journal is ever taken up again.
    pub(super) number: u64,
    pub(super) steps: Vec<Step>,
    /// From, to, and the inode that moves.
    pub(super) renames: Vec<(RelPath, RelPath, u64)>,
    pub(super) removes: Vec<RelPath>,
    pub(super) puts: Vec<Made>,
    /// Paths whose stamp moves although their entry stays.
    pub(super) restamp: Vec<RelPath>,
}

/// A path that is as `entry` says after the commit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Made {
    pub(super) path: RelPath,
    pub(super) entry: Entry,
    /// Where in the stage it was made; none where it was there already.
    pub(super) place: Option<RelPath>,
    pub(super) ino: u64,
}

impl Journal {
    /// The bytes of the file: magic and version, BLAKE3 of the rest, the rest.
    pub(super) fn encode(&self) -> postcard::Result<Vec<u8>> {
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&[0; 32]);
        let mut file = postcard::to_extend(self, file)?;
        let sum = blake3::hash(&file[40..]);
        file[8..40].copy_from_slice(sum.as_bytes());
        Ok(file)
    }

    /// Reads the file; none when it is torn, damaged or of another version.
    pub(super) fn decode(file: &[u8]) -> Option<Self> {
        let (head, body) = file.split_at_checked(40)?;
        let (magic, sum) = head.split_at_checked(MAGIC.len())?;
        if magic != MAGIC || sum != blake3::hash(body).as_bytes() {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn journal() -> Journal {
        let path = RelPath::parse(b"a/b").expect("valid");
        Journal {
            number: 3,
            steps: vec![
                Step::Move { from: path.clone(), to: path.clone(), ino: 7 },
                Step::Meta {
                    path: path.clone(),
                    origin: path.clone(),
                    kind: Kind::Dir,
                    ino: 1,
                    old: crate::fs::meta::Fix::default(),
                    new: crate::fs::meta::Fix { mode: Some(0o755), ..Default::default() },
                },
            ],
            removes: vec![path],
            ..Journal::default()
        }
    }

    #[test]
    fn what_is_cut_or_altered_anywhere_is_no_journal() {
        let file = journal().encode().expect("encode");
        assert_eq!(Journal::decode(&file), Some(journal()));
        for at in 0..file.len() {
            assert_eq!(Journal::decode(&file[..at]), None, "cut at {at}");
            let mut altered = file.clone();
            altered[at] ^= 0x10;
            assert_eq!(Journal::decode(&altered), None, "altered at {at}");
        }
    }
}
