//! The directory that a configuration owns on this node: its name, its lock, its neighbours.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Where instances live when root runs them.
const SYSTEM_STATE: &str = "/var/lib/syncd";

/// The lock file in an instance's directory; it holds the number of the process that has it.
const LOCK: &str = "lock";

/// How much of the configuration's path stands in the name of its directory.
const READABLE: usize = 64;

/// How long `killall sersync2 && sersync2 …` waits for the one that is going.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Which side of a mirror an instance is, or that it is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// `syncd peer`: it receives.
    Peer,
    /// `syncd`: it watches and sends.
    Source,
    /// `syncd vrrp`: it runs VRRP alone.
    Vrrp,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Source => "source",
            Self::Vrrp => "vrrp",
        }
    }
}

/// Why an instance's directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It cannot be made or used.
    #[error(
        "the state directory {path} cannot be used: {source}; nothing was started. Make it writable for this user or \
         name another with --state-dir",
        path = path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could plant files in it.
    #[error(
        "the state directory {path} belongs to or can be written by others (owner {uid}, mode {mode:04o}); nothing \
         was started. Run chmod 700 on it, or name another with --state-dir",
        path = path.display()
    )]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// Another process has it.
    #[error(
        "another syncd ({holder}) runs this configuration: it holds {path}. Stop that one, or name another \
         directory with --state-dir",
        holder = pid.map_or("pid unknown".to_owned(), |pid| format!("pid {pid}")),
        path = path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// The process, where its lock file says so.
        pid: Option<u32>,
    },
    /// Neither `XDG_STATE_HOME` nor `HOME` is set.
    #[error("there is no place for the state: neither XDG_STATE_HOME nor HOME is set. Name one with --state-dir")]
    Homeless,
}

/// The directory of an instance together with its lock, which this process holds until it drops it.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    lock: File,
}

impl Instance {
    /// Makes `dir` where it is not, for this user alone, and takes its lock; waits up to
    /// `patience` for another process to let go of it ([`PATIENCE`] for a daemon).
    ///
    /// # Errors
    /// [`InstanceError`]: each ends the program with exit 3.
    pub fn claim(dir: &Path, patience: Duration) -> Result<Self, InstanceError> {
        let unusable = |source| InstanceError::Unusable { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        let meta = fs::metadata(dir).map_err(unusable)?;
        let mode = meta.mode() & 0o7777;
        if mode & 0o022 != 0 || meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(InstanceError::Shared { path: dir.to_owned(), uid: meta.uid(), mode });
        }
        let mut lock = open_lock(dir).map_err(unusable)?;
        let end = Instant::now() + patience;
        let mut told = patience.is_zero();
        while !try_lock(&lock).map_err(unusable)? {
            if !std::mem::replace(&mut told, true) {
                let held = InstanceError::Held { path: dir.to_owned(), pid: pid_in(&mut lock) };
                tracing::info!("waiting {} s for another syncd to end: {held}", patience.as_secs());
            }
            if Instant::now() >= end {
                return Err(InstanceError::Held { path: dir.to_owned(), pid: pid_in(&mut lock) });
            }
            thread::sleep(Duration::from_millis(50));
        }
        write_pid(&mut lock).map_err(unusable)?;
        Ok(Self { dir: dir.to_owned(), lock })
    }

    /// `dir`, whose `lock` another program took before, in this same process.
    #[must_use]
    pub fn of_lock(dir: &Path, lock: File) -> Self {
        Self { dir: dir.to_owned(), lock }
    }

    /// The lock, to be handed on.
    #[must_use]
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The state directory of this user: below it lie the instances.
///
/// # Errors
/// [`InstanceError::Homeless`].
pub fn state_dir() -> Result<PathBuf, InstanceError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from(SYSTEM_STATE));
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|p: &PathBuf| p.is_absolute());
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("syncd"))
        .ok_or(InstanceError::Homeless)
}

/// The directory below `state` that `role` has for the configuration `file`, however that is spelt.
#[must_use]
pub fn dir_of(state: &Path, role: Role, file: &Path) -> PathBuf {
    let file = fs::canonicalize(file).or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned());
    let bytes = file.as_os_str().as_bytes();
    let plain: String = bytes
        .iter()
        .skip_while(|b| **b == b'/')
        .map(|b| if b.is_ascii_alphanumeric() || b"._".contains(b) { char::from(*b) } else { '-' })
        .collect();
    let readable = plain.get(plain.len().saturating_sub(READABLE)..).unwrap_or_default().trim_matches('-');
    let hash = blake3::hash(bytes).to_hex();
    let hash = hash.get(..8).unwrap_or_default();
    state.join(format!("{}-{readable}-{hash}", role.name()))
}

/// An instance that exists on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its directory.
    pub dir: PathBuf,
    /// Whether a process holds its lock.
    pub running: bool,
    /// That process, where its lock file says so.
    pub pid: Option<u32>,
}

/// The instances below `state`, by name; none when there is no such directory.
///
/// # Errors
/// [`InstanceError::Unusable`] when the directory cannot be read.
pub fn list(state: &Path) -> Result<Vec<Found>, InstanceError> {
    let unusable = |source| InstanceError::Unusable { path: state.to_owned(), source };
    let entries = match fs::read_dir(state) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unusable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let dir = entry.map_err(unusable)?.path();
        if dir.join(LOCK).is_file() {
            found.push(look(dir));
        }
    }
    found.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(found)
}

/// Who holds the instance in `dir`.
#[must_use]
pub fn look(dir: PathBuf) -> Found {
    let lock = OpenOptions::new().read(true).open(dir.join(LOCK)).ok();
    let Some(mut lock) = lock else {
        return Found { dir, running: false, pid: None };
    };
    // A shared lock, and but for a moment: a daemon that starts just now waits for it.
    let running = flock(&lock, FlockOperation::NonBlockingLockShared).is_err();
    let pid = if running { pid_in(&mut lock) } else { None };
    Found { dir, running, pid }
}

fn open_lock(dir: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK))
}

fn try_lock(lock: &File) -> io::Result<bool> {
    match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn pid_in(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_configuration_has_one_directory_however_it_is_spelt() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("confxml.xml");
        fs::write(&file, "").expect("write");
        let state = Path::new("/state");
        let one = dir_of(state, Role::Source, &file);
        assert_eq!(one, dir_of(state, Role::Source, &dir.path().join("./confxml.xml")));
        assert_ne!(one, dir_of(state, Role::Peer, &file));
        assert!(one.to_string_lossy().contains("-confxml.xml-"), "{one:?}");
        let hostile = dir_of(state, Role::Source, Path::new("/x/\u{202e}a b\n/../c\\d/r.conf"));
        assert_eq!(hostile.parent(), Some(state));
        let name = hostile.file_name().expect("name").to_string_lossy().into_owned();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{name}");
    }

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let state = tempfile::tempdir().expect("tempdir");
        let dir = state.path().join("source-x-1");
        let first = Instance::claim(&dir, Duration::ZERO).expect("free");
        let second = Instance::claim(&dir, Duration::ZERO).expect_err("held");
        assert!(second.to_string().contains(&format!("pid {}", std::process::id())), "{second}");
        let found = list(state.path()).expect("list");
        let pid = Some(std::process::id());
        assert_eq!(found, [Found { dir: dir.clone(), running: true, pid }]);
        drop(first);
        assert!(!list(state.path()).expect("list")[0].running);
        Instance::claim(&dir, Duration::ZERO).expect("free again");
    }

    #[test]
    fn the_second_waits_for_the_first_to_end() {
        let state = tempfile::tempdir().expect("tempdir");
        let dir = state.path().join("i");
        let first = Instance::claim(&dir, Duration::ZERO).expect("free");
        let waiting = {
            let dir = dir.clone();
            thread::spawn(move || Instance::claim(&dir, PATIENCE).map(drop))
        };
        drop(first);
        waiting.join().expect("join").expect("free in the end");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        assert!(matches!(Instance::claim(dir.path(), Duration::ZERO), Err(InstanceError::Shared { .. })));
    }

    #[test]
    fn a_place_where_nothing_can_be_made_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("write");
        let error = Instance::claim(&file.join("below"), Duration::ZERO).expect_err("no directory");
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }
}
