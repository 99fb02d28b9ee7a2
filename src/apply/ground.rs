//! The disk as it is before the first step, stage included; each place is looked at once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::area::{Area, Dirs, is_own};
use super::error::is_fatal;
use super::order::{Disk, There};
use super::stage::Inner;
use crate::fs::meta::{Object, look_fd};
use crate::fs::write;
use crate::model::{Digest, Kind, Record, RelPath};

/// The disk as it is before the first step.
pub(super) struct Ground<'a> {
    staging: &'a Inner,
    pub(super) dirs: Dirs<'a>,
    looks: HashMap<RelPath, Option<Record>>,
    /// Places that could not be looked at, each with its cause.
    pub(super) blocked: BTreeMap<RelPath, String>,
    /// What is in the stage, by place.
    pub(super) staged: HashMap<RelPath, There>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(staging: &'a Inner) -> Self {
        let dirs = Dirs::new(&staging.shared.area);
        Self { staging, dirs, looks: HashMap::new(), blocked: BTreeMap::new(), staged: HashMap::new() }
    }

    /// The directories that are open.
    pub(super) fn into_dirs(self) -> Dirs<'a> {
        self.dirs
    }

    /// What is at `place` of the tree. What must not be looked at counts as absent, and as blocked.
    pub(super) fn look(&mut self, place: &RelPath) -> io::Result<Option<Record>> {
        if let Some(known) = self.looks.get(place) {
            return Ok(known.clone());
        }
        let found = match self.dirs.look(place) {
            Err(e) if !is_fatal(&e) => {
                self.blocked.insert(place.clone(), e.to_string());
                None
            }
            other => other?,
        };
        self.looks.insert(place.clone(), found.clone());
        Ok(found)
    }
}

impl Disk for Ground<'_> {
    fn there(&mut self, place: &RelPath) -> io::Result<Option<There>> {
        if is_own(place) {
            return Ok(self.staged.get(place).copied());
        }
        let found = self.look(place)?;
        Ok(found.and_then(|r| Some(There { ino: r.stamp?.ino, dir: r.entry.is_dir() })))
    }

    fn make_dir(&mut self, place: &RelPath) -> io::Result<u64> {
        let dir = self.dirs.parent(place)?;
        write::create_private_dir(&*dir, place.name())?;
        let ino = self.dirs.look(place)?.and_then(|r| r.stamp).map_or(0, |s| s.ino);
        self.staged.insert(place.clone(), There { ino, dir: true });
        Ok(ino)
    }

    fn fresh(&mut self) -> RelPath {
        self.staging.fresh()
    }
}

/// The hash of the regular file at `place`; none when it cannot be read or is none.
pub(super) fn content(area: &Area, dirs: &mut Dirs<'_>, place: &RelPath) -> io::Result<Option<Digest>> {
    let found = if is_own(place) {
        Object::open(dirs.parent(place)?.as_fd(), place.name(), Kind::File).and_then(|o| o.as_fd().try_clone_to_owned())
    } else {
        area.tree.file(place)
    };
    match found {
        Ok(fd) if look_fd(&fd)?.entry.kind() == Kind::File => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::from(fd))?;
            Ok(Some(hasher.finalize().into()))
        }
        _ => Ok(None),
    }
}
