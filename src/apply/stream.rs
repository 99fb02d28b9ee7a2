//! A file whose content comes in pieces.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, fstatvfs, ftruncate, unlinkat};
use rustix::io::Errno;

use super::ApplyError;
use super::area::Dirs;
use super::error::is_fatal;
use super::stage::{Inner, Source, Staging, finish_file};
use crate::fs::begin_writeback;
use crate::fs::meta::look_fd;
use crate::model::{Digest, Entry, Manifest, Node, RelPath};

/// How much is read from a base at a time.
const CHUNK: usize = 128 * 1024;

/// How much is written between two looks at the free space.
const LOOK_EVERY: u64 = 8 << 20;

/// Room that a change set leaves to others, where the file system is large enough to have it.
const RESERVE: u64 = 16 << 20;

/// A file whose content comes in pieces. Memory is bounded whatever its size. Dropping it without
/// [`StagedFile::end`] or [`StagedFile::abort`] makes the commit fail.
#[derive(Debug)]
pub struct StagedFile {
    staging: Arc<Inner>,
    number: u32,
    path: RelPath,
    place: RelPath,
    file: File,
    base: Option<File>,
    hasher: blake3::Hasher,
    /// How much content there is so far, and how much there may be.
    len: u64,
    announced: u64,
    /// Length of what lies on disk: less than `len` while the end is a hole.
    written: u64,
    /// Where the free space was looked at last, and where it will be next.
    looked_at: u64,
    look_at: u64,
}

impl Staging {
    /// Begins the content of the put that announced it under `number`.
    ///
    /// With `base`, the file that is held at the put's path is opened to copy from; it must be the
    /// one that `held` records, unchanged, with that content.
    ///
    /// # Errors
    /// [`ApplyError::ContentNeeded`] when the base is not what it should be,
    /// [`ApplyError::Protocol`] for a number that was not announced, [`ApplyError::Local`].
    pub fn open_file(&self, held: &Manifest, number: u32, base: Option<Digest>) -> Result<StagedFile, ApplyError> {
        let staging = &self.inner;
        let (path, entry, origin) = {
            let mut state = staging.state();
            let unknown = || ApplyError::protocol(&RelPath::root(), "a stream that was not announced");
            let path = state.streams.remove(&number).ok_or_else(unknown)?;
            let entry = state.items.get(&path).map(|item| item.entry.clone()).ok_or_else(unknown)?;
            let origin = state.view.find(&path);
            (path, entry, origin)
        };
        let base = match (base, origin) {
            (None, _) => None,
            (Some(digest), Some(origin)) => Some(self.open_base(held, &path, &origin, digest)?),
            (Some(_), None) => return Err(ApplyError::ContentNeeded(vec![path])),
        };
        let (place, file) = staging.create_stream(&path, &entry)?;
        let announced = match entry.node {
            Node::File { size, .. } => size,
            _ => 0,
        };
        Ok(StagedFile {
            staging: Arc::clone(staging),
            number,
            path,
            place,
            file: File::from(file),
            base,
            hasher: blake3::Hasher::new(),
            len: 0,
            announced,
            written: 0,
            looked_at: 0,
            look_at: 0,
        })
    }

    fn open_base(&self, held: &Manifest, path: &RelPath, origin: &RelPath, digest: Digest) -> Result<File, ApplyError> {
        let needed = || ApplyError::ContentNeeded(vec![path.clone()]);
        let record = held.get(origin).filter(|r| r.entry.hash() == Some(digest)).ok_or_else(needed)?;
        let fd = self.inner.shared.area.tree.file(origin).map_err(|_| needed())?;
        let now = look_fd(&fd).map_err(|_| needed())?;
        if record.is_current(&now) { Ok(File::from(fd)) } else { Err(needed()) }
    }
}

impl Inner {
    /// A new file where it belongs, or beside it when this file system refuses the name alone.
    fn create_stream(&self, path: &RelPath, entry: &Entry) -> Result<(RelPath, OwnedFd), ApplyError> {
        let mut dirs = Dirs::new(&self.shared.area);
        let mut create = |place: &RelPath| {
            let dir = dirs.parent(place)?;
            self.create_file(&*dir, place.name(), entry)
        };
        let within = self.place_for(path);
        match create(&within) {
            Ok(file) => return Ok((within, file)),
            Err(e) if is_fatal(&e) => return Err(ApplyError::local(path, "stage", e)),
            Err(_) => {}
        }
        let beside = self.fresh();
        let file = create(&beside).map_err(|e| ApplyError::local(path, "stage", e))?;
        Ok((beside, file))
    }
}

impl StagedFile {
    /// The path of the set that the content is for.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// [`ApplyError::ContentNeeded`] when there is more than was announced, [`ApplyError::Local`].
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        self.grow(bytes.len() as u64)?;
        self.hasher.update(bytes);
        self.write(bytes)
    }

    /// Adds `len` zero bytes that take no room.
    ///
    /// # Errors
    /// As [`StagedFile::data`].
    pub fn hole(&mut self, len: u64) -> Result<(), ApplyError> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        self.grow(len)?;
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.hasher.update(&ZEROS[..part]);
            left -= part as u64;
        }
        Ok(())
    }

    /// Adds `len` bytes at `offset` of the base.
    ///
    /// # Errors
    /// As [`StagedFile::data`]; [`ApplyError::ContentNeeded`] when the base is shorter,
    /// [`ApplyError::Protocol`] without a base.
    pub fn copy(&mut self, mut offset: u64, len: u64) -> Result<(), ApplyError> {
        self.grow(len)?;
        let base = self.base.take().ok_or_else(|| ApplyError::protocol(&self.path, "a copy without a base"))?;
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(CHUNK)];
        let mut left = len;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            let got = base
                .read_at(&mut buffer[..want], offset)
                .map_err(|e| ApplyError::local(&self.path, "read the base", e))?;
            if got == 0 {
                return Err(self.needed());
            }
            self.hasher.update(&buffer[..got]);
            self.written_to(self.len - left)?;
            self.write_now(&buffer[..got], self.len - left)?;
            offset += got as u64;
            left -= got as u64;
        }
        self.base = Some(base);
        Ok(())
    }

    /// Ends the content: its hash must be `hash`, and `entry` is what it was when it was read.
    ///
    /// # Errors
    /// [`ApplyError::ContentNeeded`] when hash or size differ, [`ApplyError::Local`].
    pub fn end(self, hash: Digest, mut entry: Entry) -> Result<(), ApplyError> {
        let found = Digest::from(self.hasher.finalize());
        match &mut entry.node {
            Node::File { size, hash: known } if *size == self.len && found == hash => *known = Some(hash),
            _ => return Err(self.needed()),
        }
        if self.written < self.len {
            ftruncate(&self.file, self.len).map_err(|e| ApplyError::local(&self.path, "extend", e))?;
        }
        let fd = OwnedFd::from(self.file);
        let fix = self.staging.policy.fix(&entry, &self.staging.ids);
        let result = finish_file(&fd, &fix);
        let mut state = self.staging.state();
        match result {
            Ok(now) => {
                if let Some(item) = state.items.get_mut(&self.path) {
                    item.entry = entry;
                    item.source = Source::Staged;
                    item.place = Some(self.place);
                    item.ino = now.stamp.map_or(0, |s| s.ino);
                    item.known = now.stamp.map(|s| (s, now.entry.meta.mtime));
                }
                drop(state);
                self.staging.note_made(Some(fd));
                Ok(())
            }
            Err(e) if is_fatal(&e) => Err(ApplyError::local(&self.path, "stage", e)),
            Err(e) => {
                state.items.remove(&self.path);
                state.failed.insert(self.path, e.to_string());
                Ok(())
            }
        }
    }

    /// Leaves the path out of the change set: the sender found no steady content.
    pub fn abort(self) {
        self.staging.state().items.remove(&self.path);
        let mut dirs = Dirs::new(&self.staging.shared.area);
        if let Ok(dir) = dirs.parent(&self.place) {
            // Else it would come along with its directory.
            let _ = unlinkat(dir.as_fd(), self.place.name(), AtFlags::empty());
        }
    }

    /// The number that announced it.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    fn needed(&self) -> ApplyError {
        ApplyError::ContentNeeded(vec![self.path.clone()])
    }

    fn grow(&mut self, by: u64) -> Result<(), ApplyError> {
        match self.len.checked_add(by) {
            Some(len) if len <= self.announced => {
                self.len = len;
                Ok(())
            }
            _ => Err(self.needed()),
        }
    }

    /// Writes `bytes`, which end at `len`.
    fn write(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        let at = self.len - bytes.len() as u64;
        self.written_to(at)?;
        self.write_now(bytes, at)
    }

    /// Skips the hole between what is written and `at`.
    fn written_to(&mut self, at: u64) -> Result<(), ApplyError> {
        if self.written < at {
            self.file.seek(SeekFrom::Start(at)).map_err(|e| ApplyError::local(&self.path, "seek", e))?;
        }
        Ok(())
    }

    fn write_now(&mut self, bytes: &[u8], at: u64) -> Result<(), ApplyError> {
        if at >= self.look_at {
            self.check_room()?;
            // While more comes; else all of it waits for the fsync of the commit.
            begin_writeback(&self.file, self.looked_at, at - self.looked_at);
            (self.looked_at, self.look_at) = (at, at + LOOK_EVERY);
        }
        self.file.write_all(bytes).map_err(|e| ApplyError::local(&self.path, "write", e))?;
        self.written = at + bytes.len() as u64;
        Ok(())
    }

    fn check_room(&self) -> Result<(), ApplyError> {
        let space = fstatvfs(&self.file).map_err(|e| ApplyError::local(&self.path, "fstatvfs", e))?;
        let size = space.f_blocks.saturating_mul(space.f_frsize);
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        // Some network file systems do not tell a size.
        if size > 0 && free < RESERVE.min(size / 100) {
            return Err(ApplyError::local(&self.path, "write", Errno::NOSPC));
        }
        Ok(())
    }
}
