//! The thread of a watcher: reads events, keeps the watches right, tells what is dirty.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;

use super::control::Control;
use super::inotify::{EventMask, Notifier, RawEvent, Wd};
use super::limits::max_user_watches;
use super::outbox::Outbox;
use super::polled::Polled;
use super::presence;
use super::watched::{Failure, Watched};
use super::{Event, IsExcluded, Pace, RootGone, StartError};
use crate::coalesce::{Dirty, What};
use crate::fs::{Root, is_own, look};
use crate::model::{Node, RelPath};

/// How long the second half of a directory's rename may be away. The kernel queues both halves in
/// one call; later it is taken as a new directory, which costs a scan.
const PAIR_WAIT: Duration = Duration::from_millis(100);

/// So many reads at most before timers get their turn.
const READS: usize = 64;

/// The owner or the receiver is gone.
struct Ended;

pub(super) struct Task {
    root: Arc<Root>,
    /// The path of the root leads elsewhere, and nothing is watched.
    gone: bool,
    /// Something happened to the root or to its name.
    suspect: bool,
    /// The watch of the directory that holds the root.
    parent: Option<Wd>,
    watched: Watched,
    polled: Vec<Polled>,
    limit_told: bool,
    pace: Pace,
    control: Arc<Control>,
    drained: u64,
    out: Outbox,
    next_check: Instant,
    next_poll: Instant,
    pairs_until: Option<Instant>,
}

impl Task {
    pub(super) fn new(
        root: Arc<Root>,
        excluded: IsExcluded,
        pace: Pace,
        control: Arc<Control>,
        sender: mpsc::Sender<Vec<Event>>,
    ) -> Result<Self, StartError> {
        let watched = Watched::new(Notifier::new()?, excluded);
        let now = Instant::now();
        Ok(Self {
            root,
            gone: false,
            suspect: false,
            parent: None,
            watched,
            polled: Vec::new(),
            limit_told: false,
            pace,
            control,
            drained: 0,
            out: Outbox::new(sender),
            next_check: now + pace.check,
            next_poll: now + pace.poll,
            pairs_until: None,
        })
    }

    /// Runs until the owner or the receiver is gone.
    pub(super) fn run(mut self) {
        self.watch_parent();
        self.rebuild();
        self.suspect = true;
        self.check_root();
        self.note_watched();
        self.out.push(Event::Ready);
        self.out.flush();
        while self.turn().is_ok() {}
    }

    fn turn(&mut self) -> Result<(), Ended> {
        self.wait();
        self.control.clear();
        // Before reading: what is queued by now was made before it was asked for.
        let asked = self.control.asked();
        let emptied = self.read()?;
        if emptied {
            self.settle_vacated();
        }
        self.check_root();
        let now = Instant::now();
        self.settle_pairs(now, emptied);
        if now >= self.next_check {
            self.suspect = true;
            self.check_root();
            self.next_check = now + if self.gone { self.pace.return_check } else { self.pace.check };
        }
        if now >= self.next_poll {
            self.poll_unwatched();
            self.next_poll = now + self.pace.poll;
        }
        if emptied && self.watched.vacated.is_empty() && asked > self.drained {
            self.drained = asked;
            self.out.push(Event::Drained(asked));
        }
        self.note_watched();
        self.out.flush();
        if self.is_ended() { Err(Ended) } else { Ok(()) }
    }

    fn is_ended(&self) -> bool {
        self.control.is_stopped() || self.out.is_closed()
    }

    /// Waits for events, the owner, or the next thing to do.
    fn wait(&self) {
        let mut until = self.next_check;
        if !self.polled.is_empty() {
            until = until.min(self.next_poll);
        }
        until = self.pairs_until.map_or(until, |pairs| until.min(pairs));
        let idle = if self.watched.vacated.is_empty() && self.control.asked() == self.drained {
            until.saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        };
        let timeout = Timespec::try_from(idle).ok();
        let mut fds = [PollFd::new(&self.watched.notifier, PollFlags::IN), PollFd::new(&*self.control, PollFlags::IN)];
        // EINTR is as good as an event: everything is looked at again.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    /// Works through the queue; whether it is empty now.
    fn read(&mut self) -> Result<bool, Ended> {
        for _ in 0..READS {
            let Ok(events) = self.watched.notifier.read() else { return Err(Ended) };
            if events.is_empty() {
                return Ok(true);
            }
            for (at, event) in events.iter().enumerate() {
                self.handle(event, events.get(at + 1..).unwrap_or_default());
            }
            self.out.flush();
            if self.is_ended() {
                return Err(Ended);
            }
        }
        Ok(false)
    }

    fn handle(&mut self, event: &RawEvent, rest: &[RawEvent]) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return self.handle_overflow();
        }
        if Some(event.wd) == self.parent {
            self.suspect |= event.name.as_deref().is_some_and(|name| self.is_root_name(name));
        }
        if event.mask.contains(EventMask::IGNORED) {
            return self.handle_ignored(event.wd);
        }
        let Some(dir) = self.watched.tree.path(event.wd) else { return };
        match &event.name {
            Some(name) => self.handle_name(event, &dir, name, rest),
            None => self.handle_dir(event, dir),
        }
    }

    fn handle_overflow(&mut self) {
        if !self.gone {
            self.rebuild();
            self.out.push(Event::Overflow);
        }
    }

    fn handle_ignored(&mut self, wd: Wd) {
        self.watched.notifier.forget(wd);
        if self.parent == Some(wd) {
            self.parent = None;
        }
        self.suspect |= self.watched.tree.root() == Some(wd);
        let below = self.watched.tree.remove(wd);
        self.watched.drop_watches(&below);
    }

    /// Something happened to a watched directory itself; to any but the root, its parent tells.
    fn handle_dir(&mut self, event: &RawEvent, dir: RelPath) {
        if event.mask.contains(EventMask::UNMOUNT) && !dir.is_root() {
            // What the mount had covered shows again.
            let below = self.watched.tree.remove(event.wd);
            self.watched.drop_watches(&below);
            self.tell(Dirty::new(dir.clone(), What::Found, true));
            self.arm(&dir, true);
        } else if dir.is_root() && event.mask.contains(EventMask::ATTRIB) {
            self.suspect = true;
            self.tell(Dirty::new(dir, What::Attrib, true));
        } else if dir.is_root() {
            if event.mask.contains(EventMask::UNMOUNT) {
                self.lose_root(RootGone::Unmounted);
            }
            self.suspect = true;
        }
    }

    fn handle_name(&mut self, event: &RawEvent, dir: &RelPath, name: &[u8], rest: &[RawEvent]) {
        let is_dir = event.mask.contains(EventMask::ISDIR);
        let Some(what) = what(event.mask).filter(|_| !is_own(dir, name)) else { return };
        let Ok(path) = dir.join(name) else { return };
        if (self.watched.excluded)(&path, is_dir) {
            // A directory that is renamed to an excluded name leaves the set.
            let left = self.watched.tree.remove_moving(event.cookie);
            return self.watched.drop_watches(&left);
        }
        let what = if what == What::Created && !is_dir { self.arrival(event, &path, rest) } else { what };
        if is_dir {
            // First, so that whoever is told and scans it misses nothing.
            self.follow_dir(event, &path, what);
        }
        self.tell(Dirty { path, what, is_dir, cookie: event.cookie });
    }

    /// Keeps the watches right when a directory comes, goes or becomes readable.
    fn follow_dir(&mut self, event: &RawEvent, path: &RelPath, what: What) {
        let (wd, name) = (event.wd, path.name());
        match what {
            What::Created => self.arm(path, true),
            What::Attrib if self.watched.tree.child(wd, name).is_none() => self.arm(path, true),
            What::MovedFrom => {
                let stale = self.watched.tree.detach(wd, name, event.cookie);
                self.watched.drop_watches(&stale);
                self.watched.vacated.insert(path.clone());
            }
            What::MovedTo => {
                let stale = self.watched.tree.attach(wd, name, event.cookie);
                self.watched.drop_watches(&stale);
                // Also where it was known: under the new name other parts may be excluded, and
                // directories that were made while it had no name are not watched.
                self.arm(path, false);
            }
            What::Removed => {
                let below = self.watched.tree.remove_child(wd, name);
                self.watched.drop_watches(&below);
            }
            What::Found | What::Linked | What::Modified | What::Closed | What::Attrib => {}
        }
    }

    /// With nothing queued any more, what is at these names now is what stays there.
    fn settle_vacated(&mut self) {
        for path in std::mem::take(&mut self.watched.vacated) {
            self.arm(&path, true);
        }
    }

    /// Whether a file that was created may still be written ([`What::Created`]) or is whole:
    /// link(2), symlink(2) and mknod(2) open nothing, so that no close follows.
    fn arrival(&self, event: &RawEvent, path: &RelPath, rest: &[RawEvent]) -> What {
        let is_written = |next: &RawEvent| {
            next.wd == event.wd
                && next.name == event.name
                && next.mask.intersects(EventMask::MODIFY | EventMask::CLOSE_WRITE)
        };
        if rest.iter().take(2).any(is_written) {
            return What::Created;
        }
        match look(&self.root, path) {
            Ok(Some(now)) if now.stamp.is_some_and(|stamp| stamp.nlink > 1) => What::Linked,
            // With content but without a write under this name, it was linked from elsewhere; a
            // write that raced with the look follows as an event.
            Ok(Some(now)) => match now.entry.node {
                Node::File { size: 0, .. } => What::Created,
                Node::File { .. } => What::Found,
                _ => What::Linked,
            },
            _ => What::Created,
        }
    }

    fn tell(&mut self, dirty: Dirty) {
        self.out.push(Event::Dirty(dirty));
    }

    /// Subtrees whose new name did not come have left the set.
    fn settle_pairs(&mut self, now: Instant, emptied: bool) {
        if !self.watched.tree.is_moving() {
            self.pairs_until = None;
            return;
        }
        let until = *self.pairs_until.get_or_insert(now + PAIR_WAIT);
        if emptied && now >= until {
            let left = self.watched.tree.remove_all_moving();
            self.watched.drop_watches(&left);
            self.pairs_until = None;
        }
    }

    /// Watches `top` and what is below; `tell`: every name below is new.
    fn arm(&mut self, top: &RelPath, tell: bool) {
        let out = &mut self.out;
        let failed = self.watched.arm(&self.root, top, &mut |dirty| {
            if tell {
                out.push(Event::Dirty(dirty));
            }
        });
        self.fall_back(failed, tell);
    }

    /// Builds all watches anew.
    fn rebuild(&mut self) {
        self.polled.clear();
        let failed = self.watched.rebuild(&self.root);
        self.fall_back(failed, false);
    }

    /// Polls what could not be watched from now on.
    fn fall_back(&mut self, failed: Vec<Failure>, tell: bool) {
        for failure in failed {
            let limited = failure.is_limit();
            let mut polled = Polled::new(failure.path.clone(), limited);
            let (out, excluded) = (&mut self.out, &self.watched.excluded);
            polled.poll(&self.root, excluded, &mut |dirty| {
                if tell {
                    out.push(Event::Dirty(dirty));
                }
            });
            self.polled.retain(|other| !other.top.is_within(&failure.path));
            self.polled.push(polled);
            if !limited {
                self.out.push(Event::Unwatched { path: failure.path, error: failure.error });
            }
        }
        self.tell_limit();
    }

    fn note_watched(&self) {
        self.control.note_watched(self.watched.notifier.len() as u64);
    }

    fn tell_limit(&mut self) {
        let limited = self.polled.iter().any(|polled| polled.limited);
        let unwatched: u64 = self.polled.iter().map(Polled::directories).sum();
        self.control.note_polled(unwatched);
        if limited && !self.limit_told {
            let needed = self.watched.notifier.len() as u64 + unwatched;
            self.out.push(Event::Limited { needed, limit: max_user_watches().unwrap_or(0) });
        } else if !limited && self.limit_told {
            self.out.push(Event::LimitLifted);
        }
        self.limit_told = limited;
    }

    /// Tries to watch again what is polled, and looks at it.
    fn poll_unwatched(&mut self) {
        let mut full = false;
        for mut polled in std::mem::take(&mut self.polled) {
            let retry = !(full && polled.limited);
            let failed = if retry { self.watched.arm(&self.root, &polled.top, &mut |_| {}) } else { Vec::new() };
            // After the attempt, so that nothing is missed between the last look and the watch.
            let (out, excluded) = (&mut self.out, &self.watched.excluded);
            polled.poll(&self.root, excluded, &mut |dirty| out.push(Event::Dirty(dirty)));
            full |= failed.iter().any(Failure::is_limit);
            if retry {
                self.polled.extend(failed.iter().map(|failure| polled.part(failure.path.clone(), failure.is_limit())));
            } else {
                self.polled.push(polled);
            }
        }
        self.tell_limit();
    }

    fn is_root_name(&self, name: &[u8]) -> bool {
        self.root.path().file_name().is_some_and(|own| own.as_encoded_bytes() == name)
    }

    fn watch_parent(&mut self) {
        if let Some(parent) = holder(self.root.path()) {
            // Without it, the periodic check still tells.
            self.parent = self.watched.notifier.add_names(&parent).ok();
        }
    }

    /// Looks whether the root is where it was, where something gave reason to.
    fn check_root(&mut self) {
        if !std::mem::take(&mut self.suspect) {
            return;
        }
        if !self.gone
            && let Some(cause) = presence::check(&self.root)
        {
            self.lose_root(cause);
        }
        if self.gone {
            self.regain_root();
        }
    }

    fn lose_root(&mut self, cause: RootGone) {
        if !std::mem::replace(&mut self.gone, true) {
            self.watched.clear();
            self.polled.clear();
            self.control.note_polled(0);
            self.out.push(Event::RootGone(cause));
            self.next_check = Instant::now() + self.pace.return_check;
        }
    }

    fn regain_root(&mut self) {
        if self.parent.is_none() {
            self.watch_parent();
        }
        let Ok(root) = Root::open(self.root.path()) else { return };
        self.root = Arc::new(root);
        self.gone = false;
        self.rebuild();
        self.out.push(Event::RootBack(Arc::clone(&self.root)));
    }
}

/// The directory that holds the name `path`; none for the root of the file system.
fn holder(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|_| path.file_name().is_some())?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(OsString::from(".")) } else { parent.to_owned() })
}

fn what(mask: EventMask) -> Option<What> {
    let kinds = [
        (EventMask::CREATE, What::Created),
        (EventMask::MODIFY, What::Modified),
        (EventMask::CLOSE_WRITE, What::Closed),
        (EventMask::ATTRIB, What::Attrib),
        (EventMask::MOVED_FROM, What::MovedFrom),
        (EventMask::MOVED_TO, What::MovedTo),
        (EventMask::DELETE, What::Removed),
    ];
    kinds.into_iter().find(|(bit, _)| mask.contains(*bit)).map(|(_, what)| what)
}
