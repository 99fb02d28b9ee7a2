//! inotify(7): the only file that knows its crate.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) use inotify::EventMask;
use inotify::{Inotify, WatchDescriptor, WatchMask};

use super::StartError;
use super::limits::max_user_instances;

/// Number of a watch. The kernel counts up and does not use a number again.
pub(super) type Wd = i32;

/// The buffer of one read(2): at least 16 + 256 bytes, or a long name would fail with `EINVAL`.
const BUFFER: usize = 64 * 1024;

/// One event as it was read.
#[derive(Clone, Debug)]
pub(super) struct RawEvent {
    /// The watch; -1 with an overflow.
    pub(super) wd: Wd,
    pub(super) mask: EventMask,
    /// The same in both halves of a rename, else 0.
    pub(super) cookie: u32,
    /// The name in the watched directory; none when the event is about that directory.
    pub(super) name: Option<Box<[u8]>>,
}

/// One inotify instance.
pub(super) struct Notifier {
    inotify: Inotify,
    watches: HashMap<Wd, WatchDescriptor>,
    buf: Vec<u8>,
}

impl Notifier {
    pub(super) fn new() -> Result<Self, StartError> {
        let inotify = Inotify::init().map_err(|e| match e.raw_os_error() {
            Some(libc::EMFILE) => StartError::NoInstance { limit: max_user_instances().unwrap_or(0) },
            _ => StartError::Io(e),
        })?;
        Ok(Self { inotify, watches: HashMap::new(), buf: vec![0; BUFFER] })
    }

    /// Watches the open directory `dir`. By its descriptor, so that neither the length of a path
    /// nor a symlink on the way matters. The same directory gives the same number again.
    ///
    /// Never `EXCL_UNLINK`: with it, writes to a file whose first name was removed raise no event.
    pub(super) fn add(&mut self, dir: BorrowedFd<'_>) -> io::Result<Wd> {
        let mask = WatchMask::CREATE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        // Without DONT_FOLLOW, since the link of /proc is to be followed; the directory itself was
        // opened without following anything.
        self.add_path(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())), mask)
    }

    /// Watches names coming and going in the directory at `path`, besides what is watched of it.
    pub(super) fn add_names(&mut self, path: &Path) -> io::Result<Wd> {
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::ONLYDIR
            | WatchMask::MASK_ADD;
        self.add_path(path, mask)
    }

    fn add_path(&mut self, path: &Path, mask: WatchMask) -> io::Result<Wd> {
        let watch = self.inotify.watches().add(path, mask)?;
        let wd = watch.get_watch_descriptor_id();
        self.watches.insert(wd, watch);
        Ok(wd)
    }

    /// Stops watching.
    pub(super) fn remove(&mut self, wd: Wd) {
        if let Some(watch) = self.watches.remove(&wd) {
            // EINVAL: the directory is gone, and its watch with it.
            let _ = self.inotify.watches().remove(watch);
        }
    }

    /// The kernel says that the watch is gone (`IN_IGNORED`).
    pub(super) fn forget(&mut self, wd: Wd) {
        self.watches.remove(&wd);
    }

    /// How many directories are watched.
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    /// The events of one read(2); none when no more are queued.
    pub(super) fn read(&mut self) -> io::Result<Vec<RawEvent>> {
        loop {
            match self.inotify.read_events(&mut self.buf) {
                Ok(events) => return Ok(events.map(|event| RawEvent::from(&event)).collect()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl From<&inotify::Event<&std::ffi::OsStr>> for RawEvent {
    fn from(event: &inotify::Event<&std::ffi::OsStr>) -> Self {
        Self {
            wd: event.wd.get_watch_descriptor_id(),
            mask: event.mask,
            cookie: event.cookie,
            name: event.name.map(|name| name.as_bytes().into()),
        }
    }
}
