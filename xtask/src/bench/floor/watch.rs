//! inotify(7) for a tree: a watch for each directory, and its name.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// It may have new content, or be new.
    Changed(PathBuf),
    Gone(PathBuf),
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
}

pub(super) struct Watch {
    fd: OwnedFd,
    root: PathBuf,
    dirs: HashMap<i32, PathBuf>,
    buffer: Vec<std::mem::MaybeUninit<u8>>,
}

impl Watch {
    pub(super) fn new(root: &Path) -> Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC)?;
        let buffer = vec![std::mem::MaybeUninit::uninit(); 64 << 10];
        Ok(Self { fd, root: root.to_owned(), dirs: HashMap::new(), buffer })
    }

    pub(super) fn add(&mut self, dir: &Path) -> Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let wd = inotify::add_watch(&self.fd, self.root.join(dir), flags)?;
        self.dirs.insert(wd, dir.to_owned());
        Ok(())
    }

    /// The directory and all below it are found under another name from now on.
    pub(super) fn moved(&mut self, from: &Path, to: &Path) {
        for dir in self.dirs.values_mut() {
            if let Ok(rest) = dir.strip_prefix(from) {
                *dir = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            }
        }
    }

    /// Waits for events and returns those that the kernel had ready.
    pub(super) fn wait(&mut self) -> Result<Vec<Event>> {
        let mut found = Found::default();
        let mut reader = inotify::Reader::new(&self.fd, &mut self.buffer);
        loop {
            let event = reader.next()?;
            let flags = event.events();
            ensure!(!flags.contains(ReadFlags::QUEUE_OVERFLOW), "inotify queue overflow: the floor does not rescan");
            if let (Some(dir), Some(name)) = (self.dirs.get(&event.wd()), event.file_name()) {
                let path = dir.join(OsStr::from_bytes(name.to_bytes()));
                found.take(flags, event.cookie(), path, &self.root);
            }
            if reader.is_buffer_empty() {
                return Ok(found.finish());
            }
        }
    }
}

/// Events in order, with the two halves of a rename put together.
#[derive(Default)]
struct Found {
    events: Vec<Event>,
    /// The first half of a rename, and its cookie.
    left: Option<(u32, PathBuf)>,
}

impl Found {
    fn take(&mut self, flags: ReadFlags, cookie: u32, path: PathBuf, root: &Path) {
        if flags.contains(ReadFlags::MOVED_TO)
            && let Some((_, from)) = self.left.take_if(|(left, _)| *left == cookie)
        {
            return self.events.push(Event::Moved { from, to: path });
        }
        self.give_up_left();
        if flags.contains(ReadFlags::MOVED_FROM) {
            self.left = Some((cookie, path));
        } else if flags.contains(ReadFlags::DELETE) {
            self.events.push(Event::Gone(path));
        } else if !flags.contains(ReadFlags::CREATE)
            || flags.contains(ReadFlags::ISDIR)
            || root.join(&path).is_symlink()
        {
            // A new file counts when its writer closes it.
            self.events.push(Event::Changed(path));
        }
    }

    /// What was moved out of the tree is gone.
    fn give_up_left(&mut self) {
        self.events.extend(self.left.take().map(|(_, path)| Event::Gone(path)));
    }

    fn finish(mut self) -> Vec<Event> {
        self.give_up_left();
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_rename_are_joined_and_others_are_not() {
        let mut found = Found::default();
        let mut take = |flags, cookie, path: &str| found.take(flags, cookie, path.into(), Path::new("/nonexistent"));
        take(ReadFlags::MOVED_FROM, 1, "a");
        take(ReadFlags::MOVED_TO, 1, "b");
        take(ReadFlags::MOVED_FROM, 2, "out");
        take(ReadFlags::CREATE, 0, "new");
        take(ReadFlags::CLOSE_WRITE, 0, "new");
        take(ReadFlags::MOVED_TO, 3, "in");
        let expected = "[Moved { from: \"a\", to: \"b\" }, Gone(\"out\"), Changed(\"new\"), Changed(\"in\")]";
        assert_eq!(format!("{:?}", found.finish()), expected);
    }
}
