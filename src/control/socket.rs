//! The socket file: where it is, and how to reach it through a path of any length.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

/// The socket in an instance's directory.
pub(super) const NAME: &str = "control.sock";

/// The socket beside it that the engine has where a supervisor has the other.
pub(super) const ENGINE: &str = "engine.sock";

/// Opens the socket `name` in `dir` for clients; replaces one that a crash left there.
pub(super) fn bind_in(dir: &Path, name: &str) -> io::Result<UnixListener> {
    match std::fs::remove_file(dir.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (_dir, path) = short(dir, name)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the socket's own mode, less the umask: closed to others from the first.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    listen(&socket, 64)?;
    Ok(UnixListener::from(socket))
}

/// Connects to the socket `name` in `dir`.
pub(super) fn connect_in(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let (_dir, path) = short(dir, name)?;
    UnixStream::connect(path)
}

/// The same where nobody may be held up: an error where so many wait to be answered already that one more would wait here.
pub(super) fn connect_at_once(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let (_dir, path) = short(dir, name)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(&path)?)?;
    Ok(UnixStream::from(socket))
}

/// A path to the socket that fits into the 108 bytes of unix(7), as long as the directory is open.
fn short(dir: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let dir = File::open(dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()));
    Ok((dir, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_nobody_holds_nobody_up_who_connects() {
        let dir = tempfile::tempdir().expect("tempdir");
        let _listener = bind_in(dir.path(), ENGINE).expect("a socket");
        let refused = (0..10_000).find_map(|_| connect_at_once(dir.path(), ENGINE).err());
        assert_eq!(refused.map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
