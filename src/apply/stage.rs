//! A change set on its way: what came is made in the stage, nothing of the tree changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode, makedev, mknodat, symlinkat};

use super::applier::Shared;
use super::area::{Dirs, is_absent, is_own};
use super::error::is_fatal;
use super::policy::Policy;
use super::view::View;
use super::{ApplyError, Ids, drift};
use crate::fs::meta::{Fix, Object, look_fd, set_mtime};
use crate::fs::write;
use crate::model::{Content, Digest, Entry, Kind, Node, Op, Put, Record, RelPath, Stamp, Timestamp};

/// So many new files are made durable one by one; more of them by one syncfs(2).
pub(super) const FEW: usize = 4;

/// A change set on its way. Dropping it before it was committed leaves no trace.
#[derive(Clone, Debug)]
pub struct Staging {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// What the set lets this change set do.
    pub(super) policy: Policy,
    pub(super) shared: Arc<Shared>,
    /// Names its directory.
    pub(super) seq: u64,
    /// `.syncd/stage/<seq>`.
    pub(super) path: RelPath,
    pub(super) ids: Ids,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) renames: Vec<(RelPath, RelPath)>,
    /// The tree after the renames.
    pub(super) view: View,
    pub(super) removes: BTreeSet<RelPath>,
    pub(super) items: BTreeMap<RelPath, Item>,
    pub(super) streams: BTreeMap<u32, RelPath>,
    /// Paths that cannot be made here, each with its cause.
    pub(super) failed: BTreeMap<RelPath, String>,
    /// The first few new files, still open for fsync(2).
    pub(super) few: Vec<OwnedFd>,
    /// Whether `few` are all that was made.
    pub(super) only_few: bool,
    /// The commit is over, or was given up: nothing may be added.
    pub(super) closed: bool,
    /// The commit kept what somebody else had made.
    pub(super) kept_drift: bool,
    /// The stage holds what recovery needs, or is gone.
    pub(super) keep: bool,
}

/// One path that is to be in a state.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) entry: Entry,
    pub(super) source: Source,
    pub(super) base: Option<Digest>,
    /// Where in the stage it is; none for what stands in the tree already.
    pub(super) place: Option<RelPath>,
    pub(super) ino: u64,
    /// How the file system knew it when it was finished; none once something touched it since.
    pub(super) known: Option<(Stamp, Timestamp)>,
}

/// Where the content of an [`Item`] comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// It stands in the tree, or is a directory.
    InPlace,
    /// It is in the stage.
    Staged,
    /// It will be linked to this path.
    Link(RelPath),
    /// It is still to come, under this number.
    Awaited,
}

impl Staging {
    pub(super) fn new(shared: Arc<Shared>, seq: u64, path: RelPath, ids: Ids, policy: Policy) -> Self {
        let state = State {
            renames: Vec::new(),
            view: View::new(),
            removes: BTreeSet::new(),
            items: BTreeMap::new(),
            streams: BTreeMap::new(),
            failed: BTreeMap::new(),
            few: Vec::new(),
            only_few: true,
            closed: false,
            kept_drift: false,
            keep: false,
        };
        let inner = Inner { shared, seq, path, ids, policy, next: AtomicU64::new(0), state: Mutex::new(state) };
        Self { inner: Arc::new(inner) }
    }

    /// Takes operations of the change set; inline content is written and verified at once.
    ///
    /// May run on several threads at a time, but renames must have come before what speaks of the
    /// new names. Parents best come before what is in them: then new directories are built whole.
    ///
    /// # Errors
    /// [`ApplyError::Protocol`] for what no honest peer sends, [`ApplyError::ContentNeeded`] for
    /// content with another hash, [`ApplyError::Local`] when this host cannot. A path that alone
    /// cannot be made is no error here: the outcome of the commit names it.
    pub fn stage_ops(&self, ops: Vec<Op>) -> Result<(), ApplyError> {
        let mut dirs = Dirs::new(&self.inner.shared.area);
        for op in ops {
            match op {
                Op::Put(put) => self.inner.put(&mut dirs, put)?,
                Op::Remove { path, .. } => self.inner.remove(path)?,
                Op::Rename { from, to } => self.inner.rename(from, to)?,
            }
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place of the stage that is free.
    pub(super) fn fresh(&self) -> RelPath {
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        // A number is a valid name, and the stage's path is short.
        self.path.join(number.as_bytes()).unwrap_or_else(|_| self.path.clone())
    }

    fn rename(&self, from: RelPath, to: RelPath) -> Result<(), ApplyError> {
        check(&from)?;
        check(&to)?;
        if from.is_root() || to.is_root() || to.is_below(&from) {
            return Err(ApplyError::protocol(&from, "a directory cannot be moved into itself"));
        }
        let mut state = self.state();
        let node = state.view.take(&from);
        state.view.put(&to, node);
        state.renames.push((from, to));
        Ok(())
    }

    fn remove(&self, path: RelPath) -> Result<(), ApplyError> {
        check(&path)?;
        if path.is_root() {
            return Err(ApplyError::protocol(&path, "the root cannot be removed"));
        }
        self.state().removes.insert(path);
        Ok(())
    }

    fn put(&self, dirs: &mut Dirs<'_>, put: Put) -> Result<(), ApplyError> {
        check(&put.path)?;
        if put.path.is_root() && !put.entry.is_dir() {
            return Err(ApplyError::protocol(&put.path, "the root is a directory"));
        }
        let Put { path, entry, content, base } = put;
        let item = |entry, source| Item { entry, source, base, place: None, ino: 0, known: None };
        match (content, entry.kind()) {
            (Content::Keep, Kind::File) => self.add(path, item(entry, Source::InPlace)),
            (Content::Keep, Kind::Dir) => {
                let place = self.new_dir_place(dirs, &path)?;
                let known = item(entry, Source::InPlace);
                match place {
                    None => self.add(path, known),
                    Some(place) => self.make(dirs, path, Item { place: Some(place), ..known }, None),
                }
            }
            (Content::Keep, _) => {
                let place = Some(self.place_for(&path));
                self.make(dirs, path, Item { place, ..item(entry, Source::Staged) }, None)
            }
            (Content::Inline(bytes), Kind::File) => {
                let entry = verified(&path, entry, &bytes)?;
                let place = Some(self.place_for(&path));
                self.make(dirs, path, Item { place, ..item(entry, Source::Staged) }, Some(&bytes))
            }
            (Content::Link(target), kind) if kind != Kind::Dir => {
                check(&target)?;
                if target == path {
                    return Err(ApplyError::protocol(&path, "a path cannot be a link to itself"));
                }
                self.state().only_few = false;
                self.add(path, item(entry, Source::Link(target)))
            }
            (Content::Stream(number), Kind::File) => {
                if self.state().streams.insert(number, path.clone()).is_some() {
                    return Err(ApplyError::protocol(&path, "the number of a stream is used twice"));
                }
                self.add(path, item(entry, Source::Awaited))
            }
            _ => Err(ApplyError::protocol(&path, "this type has no such content")),
        }
    }

    fn add(&self, path: RelPath, item: Item) -> Result<(), ApplyError> {
        let mut state = self.state();
        if state.closed {
            return Err(ApplyError::protocol(&path, "the change set is complete already"));
        }
        if state.items.contains_key(&path) {
            return Err(ApplyError::protocol(&path, "the path is put twice"));
        }
        state.items.insert(path, item);
        Ok(())
    }

    /// Where a directory is to be built when it is new: it is built whole, and moved once.
    fn new_dir_place(&self, dirs: &mut Dirs<'_>, path: &RelPath) -> Result<Option<RelPath>, ApplyError> {
        let origin = {
            let state = self.state();
            let origin = state.view.find(path);
            // In a new directory there is nothing but what is moved there.
            if let Some(place) = staged_parent(&state, path)
                && origin.as_ref() == Some(path)
            {
                return Ok(place.join(path.name()).ok());
            }
            origin
        };
        let Some(origin) = origin else {
            return Ok(Some(self.fresh()));
        };
        match dirs.dir(&origin) {
            Ok(_) => Ok(None),
            Err(e) if is_absent(&e) => Ok(Some(self.fresh())),
            Err(e) if is_fatal(&e) => Err(ApplyError::local(path, "open", e)),
            // Not to be opened, but there.
            Err(_) => Ok(None),
        }
    }

    /// Where an object is made: in the directory that it belongs to when that is being built.
    pub(super) fn place_for(&self, path: &RelPath) -> RelPath {
        let within = staged_parent(&self.state(), path).and_then(|dir| dir.join(path.name()).ok());
        within.unwrap_or_else(|| self.fresh())
    }

    /// Makes the object of `item` at its place and adds it.
    fn make(
        &self,
        dirs: &mut Dirs<'_>,
        path: RelPath,
        mut item: Item,
        content: Option<&[u8]>,
    ) -> Result<(), ApplyError> {
        let Some(place) = item.place.clone() else {
            return self.add(path, item);
        };
        match self.create(dirs, &place, &item.entry, content) {
            Ok((now, file)) => {
                item.ino = now.stamp.map_or(0, |s| s.ino);
                item.known = now.stamp.map(|s| (s, now.entry.meta.mtime));
                self.add(path, item)?;
                self.note_made(file);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(ApplyError::protocol(&path, "the path is put twice"))
            }
            Err(e) if is_fatal(&e) => Err(ApplyError::local(&path, "stage", e)),
            Err(e) => {
                self.state().failed.insert(path, e.to_string());
                Ok(())
            }
        }
    }

    /// Keeps the first few files open; with anything else, or more, they are not all there is.
    pub(super) fn note_made(&self, file: Option<OwnedFd>) {
        let mut state = self.state();
        match file {
            Some(fd) if state.only_few && state.few.len() < FEW => state.few.push(fd),
            _ => state.only_few = false,
        }
    }

    fn create(
        &self,
        dirs: &mut Dirs<'_>,
        place: &RelPath,
        entry: &Entry,
        content: Option<&[u8]>,
    ) -> io::Result<(Record, Option<OwnedFd>)> {
        let (dir, name) = (dirs.parent(place)?, place.name());
        let policy = &self.policy;
        let fix = policy.fix(entry, &self.ids);
        match &entry.node {
            Node::File { .. } => {
                let mut file = File::from(self.create_file(&*dir, name, entry)?);
                file.write_all(content.unwrap_or_default())?;
                let fd = OwnedFd::from(file);
                let now = finish_file(&fd, &fix)?;
                return Ok((now, Some(fd)));
            }
            // Its metadata comes when all is in it.
            Node::Dir => write::create_private_dir(&*dir, name)?,
            Node::Symlink { target } => symlinkat(&target[..], &*dir, name)?,
            Node::Fifo => mknodat(&*dir, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
            Node::Socket => mknodat(&*dir, name, FileType::Socket, Mode::RUSR | Mode::WUSR, 0)?,
            Node::Device { block, major, minor } => {
                if !policy.privileged {
                    return Err(io::Error::other("this set lets no devices through"));
                }
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                mknodat(&*dir, name, kind, Mode::RUSR | Mode::WUSR, makedev(*major, *minor))?;
            }
        }
        let object = Object::open(&*dir, name, entry.kind())?;
        if !entry.is_dir() {
            object.fix(&fix, &object.look()?)?;
        }
        Ok((object.look()?, None))
    }

    /// A new file with, where nothing speaks against it, its final mode from the start.
    pub(super) fn create_file(&self, dir: impl AsFd, name: &[u8], entry: &Entry) -> io::Result<OwnedFd> {
        // Extended attributes can be set only while the owner may write.
        let mode = if entry.xattrs.is_empty() { self.policy.mode(entry) } else { 0o600 };
        write::create_file(dir, name, mode)
    }
}

impl Inner {
    /// Removes what is left in the stage, unless recovery needs it.
    pub(super) fn clean(&self) -> io::Result<()> {
        let mut state = self.state();
        if std::mem::replace(&mut state.keep, true) {
            return Ok(());
        }
        state.closed = true;
        state.few.clear();
        if state.kept_drift {
            drift::prune(&self.shared)?;
        }
        drop(state);
        write::remove_dir(self.shared.stage.as_fd(), self.seq.to_string().as_bytes())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What cannot be removed now is dropped at the next start.
        let _ = self.clean();
    }
}

/// The place of the directory that `path` belongs to, where that is being built.
fn staged_parent(state: &State, path: &RelPath) -> Option<RelPath> {
    let parent = path.parent()?;
    state.items.get(&parent).filter(|item| item.entry.is_dir())?.place.clone()
}

/// Gives a file that was just written its metadata; returns how it is known from then on.
pub(super) fn finish_file(fd: &OwnedFd, fix: &Fix) -> io::Result<Record> {
    if let Some(mtime) = fix.mtime {
        set_mtime(fd, mtime)?;
    }
    let now = look_fd(fd)?;
    if fix.is_met(&now.entry.meta) && fix.xattrs.as_ref().is_none_or(Vec::is_empty) {
        return Ok(now);
    }
    let object = Object::from_fd(fd.try_clone()?);
    object.fix(fix, &now)?;
    object.look()
}

/// `entry` with the hash of `bytes`, which must be the one it names.
fn verified(path: &RelPath, mut entry: Entry, bytes: &[u8]) -> Result<Entry, ApplyError> {
    let found = Digest::of(bytes);
    if let Node::File { size, hash } = &mut entry.node {
        if *size != bytes.len() as u64 || hash.is_some_and(|h| h != found) {
            return Err(ApplyError::ContentNeeded(vec![path.clone()]));
        }
        *hash = Some(found);
    }
    Ok(entry)
}

fn check(path: &RelPath) -> Result<(), ApplyError> {
    if is_own(path) {
        return Err(ApplyError::protocol(path, "the path is syncd's own"));
    }
    Ok(())
}
