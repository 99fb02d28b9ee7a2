//! Reads the files whose number counts (`vrrp_track_file`), whenever they change.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchMask};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::descriptor;
use super::event::Event;
use crate::vrrp::message::Observed;
use crate::vrrp::setup::TrackFile;

/// How much of a file is read, in bytes.
const READ: u64 = 128;

/// The buffer of one read(2): a name of any length fits, many times.
const EVENTS: usize = 4096;

/// How often a file is looked at whose directory cannot be watched.
const LOOK: Duration = Duration::from_secs(1);

/// The files that are watched.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<TrackFile, Watching>);

/// Dropped, the file is watched no more.
#[derive(Debug)]
struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Files {
    /// Watches those of `wanted`, and no others. What one begins with is written when it is new.
    pub(super) fn configure(&mut self, wanted: &[TrackFile], events: &mpsc::Sender<Event>) {
        self.0.retain(|file, _| wanted.contains(file));
        for file in wanted {
            let begin = || {
                if let Err(e) = initialize(file) {
                    tracing::warn!("vrrp_track_file {}: cannot write {}: {e}", file.name, file.file.display());
                }
                Watching(tokio::spawn(watch(file.clone(), events.clone())))
            };
            self.0.entry(file.clone()).or_insert_with(begin);
        }
    }
}

/// Opens a regular file: a pipe in its place would hold the supervisor up.
fn open(file: &Path, how: &mut OpenOptions, flags: i32) -> io::Result<File> {
    let file = how.custom_flags(libc::O_NONBLOCK | flags).open(file)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Writes the number that a file begins with; never through a symbolic link, which others may have put there.
fn initialize(file: &TrackFile) -> io::Result<()> {
    let Some((value, replace)) = file.init else { return Ok(()) };
    if !replace && file.file.exists() {
        return Ok(());
    }
    let mut opened = open(&file.file, File::options().write(true).create(true), libc::O_NOFOLLOW)?;
    opened.set_len(0)?;
    opened.write_all(format!("{value}\n").as_bytes())
}

async fn watch(file: TrackFile, events: mpsc::Sender<Event>) {
    let mut last = None;
    loop {
        // First the watch, then the look: what comes in between is seen.
        let mut changes = Changes::of(&file.file);
        loop {
            let value = read(&file.file);
            if last.replace(value) != Some(value) {
                let observed = Observed::File { name: file.name.clone(), value };
                if events.send(Event::Observed(observed)).await.is_err() {
                    return;
                }
            }
            match &mut changes {
                Ok(changes) => match changes.next().await {
                    Ok(true) => {}
                    // The directory itself went or moved: watch whatever is there now.
                    Ok(false) | Err(_) => break,
                },
                Err(_) => {
                    sleep(LOOK).await;
                    break;
                }
            }
        }
    }
}

/// The first whole number of `file`, as strtol(3) finds it; 0 where there is none.
fn read(file: &Path) -> i32 {
    let mut text = Vec::new();
    let opened = open(file, File::options().read(true), 0).and_then(|file| file.take(READ).read_to_end(&mut text));
    opened.map_or(0, |_| number(&String::from_utf8_lossy(&text)))
}

fn number(text: &str) -> i32 {
    let text = text.trim_start();
    let sign = text.starts_with(['-', '+']).into();
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let value = text.get(..sign + digits).unwrap_or_default().parse::<i128>().unwrap_or(0);
    i32::try_from(value.clamp(i32::MIN.into(), i32::MAX.into())).unwrap_or(0)
}

/// Changes in the directory of a file: whoever replaces a file replaces its name.
struct Changes {
    inotify: Inotify,
    ready: AsyncFd<OwnedFd>,
    name: OsString,
}

impl Changes {
    fn of(file: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mask = WatchMask::CREATE
            | WatchMask::MODIFY
            | WatchMask::MOVE
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        inotify.watches().add(dir, mask)?;
        let ready = descriptor::watch(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Self { inotify, ready, name: file.file_name().unwrap_or_default().to_owned() })
    }

    /// Waits for one of the file; false where the directory is no longer watched.
    async fn next(&mut self) -> io::Result<bool> {
        let mut buffer = [0; EVENTS];
        loop {
            let mut ready = self.ready.readable().await?;
            let events = match self.inotify.read_events(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    continue;
                }
                events => events?,
            };
            let lost = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT;
            let mut touched = false;
            for event in events {
                if event.mask.intersects(lost) {
                    return Ok(false);
                }
                touched |= event.name.is_none_or(|name| name == self.name);
            }
            if touched {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_number_counts() {
        let cases = [("7\n", 7), (" -12 x", -12), ("+3", 3), ("", 0), ("x7", 0), ("99999999999", i32::MAX), ("-", 0)];
        for (text, value) in cases {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[tokio::test]
    async fn every_change_is_told_whether_written_replaced_removed_or_with_its_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let below = dir.path().join("below");
        let path = below.join("load");
        let file = TrackFile { name: "load".to_owned(), file: path.clone(), init: Some((5, false)) };
        let (events, mut told) = mpsc::channel(8);
        fs::create_dir(&below).expect("mkdir");
        let mut files = Files::default();
        files.configure(std::slice::from_ref(&file), &events);
        let mut wait_for = async |wanted: i32| loop {
            match told.recv().await {
                Some(Event::Observed(Observed::File { name, value })) if name == "load" => {
                    if value == wanted {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        };
        wait_for(5).await;
        fs::write(&path, "-20\n").expect("write");
        wait_for(-20).await;
        fs::write(below.join("new"), "30").expect("write");
        fs::rename(below.join("new"), &path).expect("rename");
        wait_for(30).await;
        fs::remove_file(&path).expect("remove");
        wait_for(0).await;
        fs::write(&path, "1").expect("write");
        wait_for(1).await;
        fs::remove_dir_all(&below).expect("remove");
        wait_for(0).await;
        fs::create_dir(&below).expect("mkdir");
        fs::write(&path, "9").expect("write");
        wait_for(9).await;
    }

    #[test]
    fn what_is_there_is_replaced_only_where_it_is_said() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("f");
        fs::write(&path, "3").expect("write");
        let file = |init| TrackFile { name: "f".to_owned(), file: path.clone(), init };
        initialize(&file(None)).expect("nothing to do");
        initialize(&file(Some((4, false)))).expect("nothing to do");
        assert_eq!(read(&path), 3);
        initialize(&file(Some((4, true)))).expect("written");
        assert_eq!(read(&path), 4);
    }

    #[test]
    fn neither_a_pipe_nor_a_link_in_its_place_is_taken_for_the_file() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (pipe, link, secret) = (dir.path().join("pipe"), dir.path().join("link"), dir.path().join("secret"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        assert_eq!(read(&pipe), 0);
        fs::write(&secret, "12").expect("write");
        std::os::unix::fs::symlink(&secret, &link).expect("a link");
        let file = |file| TrackFile { name: "f".to_owned(), file, init: Some((4, true)) };
        assert!(initialize(&file(link)).is_err() && initialize(&file(pipe)).is_err());
        assert_eq!(read(&secret), 12);
    }
}
