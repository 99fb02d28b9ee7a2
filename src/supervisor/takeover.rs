//! What a program that replaces a running supervisor has to know of it, and how it gets there: through the execve(2)
//! of one and the same process, in a file without a name, with descriptors that a socket carries.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::fifo::Pipe;
use super::worker::Released;
use crate::vrrp::message::{FromVrrp, Life, Observed};
use crate::vrrp::setup::Setup;

/// The variable that tells a program that it goes on where another one was, in the same process; its value is the
/// number of that process.
pub(super) const MARK: &str = "SYNCD_TAKEOVER";

/// The program that runs, as the kernel names it; behind the name it says so where the file was replaced.
const EXE: &str = "/proc/self/exe";
const REPLACED: &str = " (deleted)";

/// Most pipes that travel; readers of others see an end.
const PIPES: usize = 16;

/// Most descriptors that travel: the state, the lock, the VRRP process, pipes.
const DESCRIPTORS: usize = 3 + PIPES;

/// What is known of a supervisor. It is JSON: the program that reads it may be a later one.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct State {
    /// What is in force, for a program that cannot read the configuration any more.
    pub(super) setup: Setup,
    pub(super) lives: Vec<Life>,
    pub(super) observed: Vec<Observed>,
    /// What the VRRP process said and nobody has heard.
    pub(super) unheard: Vec<FromVrrp>,
    /// How often the program was replaced, this time included.
    pub(super) upgrades: u64,
    /// The VRRP process that runs.
    pub(super) vrrp: Option<Running>,
    /// The named pipes; the descriptors of those that are open follow in this order.
    pub(super) pipes: Vec<Written>,
}

/// A named pipe that transitions are written to.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) made: bool,
    pub(super) open: bool,
}

/// A VRRP process that the other program started, and that is to hand over.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Running {
    pub(super) pid: u32,
    /// What came of a message that has not come whole.
    pub(super) rest: Vec<u8>,
    /// What has it hand over, in its own language.
    pub(super) hand_over: Vec<u8>,
}

/// A supervisor's place, taken over.
#[derive(Debug)]
pub struct Taken {
    pub(super) state: State,
    /// The lock of the instance's directory.
    pub(super) lock: OwnedFd,
    /// The conversation with the VRRP process.
    pub(super) vrrp: Option<UnixStream>,
    /// The named pipes.
    pub(super) pipes: Vec<Pipe>,
}

impl Taken {
    /// Whether this program goes on where another one was.
    #[must_use]
    pub fn is_there() -> bool {
        std::env::var_os(MARK).is_some_and(|pid| pid == OsString::from(std::process::id().to_string()))
    }

    /// What the program before this one left in this process; none where there was none.
    ///
    /// # Errors
    /// What it left cannot be read.
    pub fn find() -> io::Result<Option<Self>> {
        if !Self::is_there() {
            return Ok(None);
        }
        let stream = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        receive(&stream).map(Some)
    }

    /// What was in force.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.state.setup
    }

    /// The lock of the instance's directory, which has been held all the time.
    ///
    /// # Errors
    /// The kernel gives no other descriptor.
    pub fn lock(&self) -> io::Result<File> {
        Ok(self.lock.try_clone()?.into())
    }
}

/// Replaces this program by the one at `path`, which is told `state` and given `lock`, `vrrp` and `pipes`. It comes back
/// only where that fails.
pub(super) fn exec(
    path: &Path,
    state: &mut State,
    lock: impl AsFd,
    vrrp: Option<&Released>,
    pipes: &[Pipe],
) -> io::Error {
    match replace(path, state, lock, vrrp.map(|vrrp| &vrrp.stream), pipes) {
        Ok(never) => match never {},
        Err(e) => e,
    }
}

fn replace(
    path: &Path,
    state: &mut State,
    lock: impl AsFd,
    vrrp: Option<&UnixStream>,
    pipes: &[Pipe],
) -> io::Result<Infallible> {
    let stdin = send(state, lock, vrrp, pipes)?;
    let mut argv = std::env::args_os();
    let mut command = Command::new(path);
    command.arg0(argv.next().unwrap_or_else(|| "syncd".into())).args(argv);
    command.env(MARK, std::process::id().to_string()).stdin(stdin);
    Err(command.exec())
}

/// The file of the program that runs, or of the one that took its place.
pub(super) fn program() -> io::Result<PathBuf> {
    let path = std::fs::read_link(EXE)?.into_os_string();
    let path = path.to_string_lossy();
    Ok(PathBuf::from(path.strip_suffix(REPLACED).unwrap_or(&path)))
}

/// An end of a conversation in which all has been said.
fn send(state: &mut State, lock: impl AsFd, vrrp: Option<&UnixStream>, pipes: &[Pipe]) -> io::Result<OwnedFd> {
    let open = |(n, pipe): (usize, &Pipe)| Written {
        path: pipe.path.clone(),
        made: pipe.made,
        open: pipe.open.is_some() && n < PIPES,
    };
    state.pipes = pipes.iter().enumerate().map(open).collect();
    let pipes = pipes.iter().zip(&state.pipes).filter(|(_, written)| written.open);
    let pipes = pipes.filter_map(|(pipe, _)| pipe.open.as_ref()).map(AsFd::as_fd);
    let mut file = File::from(memfd_create("syncd-takeover", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(&mut file, state)?;
    file.flush()?;
    let (ours, theirs) = UnixStream::pair()?;
    let carried: Vec<_> = [file.as_fd(), lock.as_fd()].into_iter().chain(vrrp.map(AsFd::as_fd)).chain(pipes).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&carried));
    sendmsg(&ours, &[IoSlice::new(b"syncd")], &mut message, SendFlags::empty())?;
    Ok(theirs.into())
}

fn receive(stream: &OwnedFd) -> io::Result<Taken> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0; 5];
    recvmsg(stream, &mut [IoSliceMut::new(&mut word)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    let mut carried = message.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(carried) => carried.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let missing = || io::Error::other("the program before this one left nothing");
    let mut file = File::from(carried.next().ok_or_else(missing)?);
    let lock = carried.next().ok_or_else(missing)?;
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    let mut state: State = serde_json::from_slice(&text)?;
    let vrrp = if state.vrrp.is_some() { carried.next().map(UnixStream::from) } else { None };
    let written = std::mem::take(&mut state.pipes);
    let pipe = |Written { path, made, open }| Pipe { path, made, open: if open { carried.next() } else { None } };
    let pipes = written.into_iter().map(pipe).collect();
    Ok(Taken { state, lock, vrrp, pipes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::router::State as At;

    #[test]
    fn state_lock_and_conversation_arrive() {
        let dir = tempfile::tempdir().expect("tempdir");
        let lock = File::create(dir.path().join("lock")).expect("lock");
        let (ours, theirs) = UnixStream::pair().expect("pair");
        let life = Life {
            instance: "VI_1".to_owned(),
            state: At::Master,
            since_unix_ms: 1,
            due: Some(2),
            held: Vec::new(),
            transitions: 3,
        };
        let running = Running { pid: 7, rest: vec![1, 2], hand_over: vec![3] };
        let observed = Observed::File { name: "f".to_owned(), value: -1 };
        let mut state = State {
            lives: vec![life.clone()],
            observed: vec![observed.clone()],
            unheard: vec![FromVrrp::Ready],
            upgrades: 1,
            vrrp: Some(running),
            ..State::default()
        };
        let pipe = |name: &str, open| Pipe {
            path: name.into(),
            made: open,
            open: open.then(|| lock.try_clone().expect("fd").into()),
        };
        let pipes = [pipe("a", false), pipe("b", true)];
        let taken = receive(&send(&mut state, &lock, Some(&theirs), &pipes).expect("sent")).expect("received");
        let came = taken.pipes.iter().map(|pipe| (pipe.path.to_str(), pipe.made, pipe.open.is_some()));
        assert_eq!(came.collect::<Vec<_>>(), [(Some("a"), false, false), (Some("b"), true, true)]);
        assert_eq!((taken.state.lives, taken.state.observed), (vec![life], vec![observed]));
        assert_eq!((taken.state.unheard, taken.state.upgrades), (vec![FromVrrp::Ready], 1));
        assert_eq!(taken.state.vrrp.map(|vrrp| (vrrp.pid, vrrp.rest)), Some((7, vec![1, 2])));
        (&ours).write_all(b"x").expect("write");
        let mut byte = [0];
        taken.vrrp.expect("it came").read_exact(&mut byte).expect("the same conversation");
        let alone = receive(&send(&mut State::default(), &lock, None, &[]).expect("sent")).expect("received");
        assert!(alone.vrrp.is_none());
    }

    #[test]
    fn a_state_of_another_version_is_read_as_far_as_it_is_known() {
        let state: State = serde_json::from_str(r#"{"upgrades": 3, "of_a_later_release": {"x": 1}}"#).expect("read");
        assert_eq!(state.upgrades, 3);
    }
}
