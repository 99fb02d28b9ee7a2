//! A real rsyncd, as a host runs it before it is moved.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::node::wait_until;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An rsyncd in the foreground, killed when it is dropped.
pub struct Rsyncd {
    config: PathBuf,
    addr: SocketAddr,
    child: Option<Child>,
}

impl Rsyncd {
    /// Serves what `config` says, which makes it listen at `addr`, and waits until it does.
    pub fn start(config: &Path, addr: SocketAddr) -> Self {
        let mut daemon = Self { config: config.to_owned(), addr, child: None };
        daemon.start_again();
        daemon
    }

    /// After [`Rsyncd::stop`].
    pub fn start_again(&mut self) {
        let log = File::options().append(true).create(true).open(self.config.with_extension("log")).expect("log file");
        let mut command = Command::new("rsync");
        command.args(["--daemon", "--no-detach"]).arg(format!("--config={}", self.config.display()));
        command.arg(format!("--log-file={}", self.config.with_extension("rsyncd.log").display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("rsync --daemon"));
        let listens = || TcpStream::connect(self.addr).is_ok();
        assert!(wait_until(PATIENCE, listens), "rsyncd does not listen at {}:\n{}", self.addr, self.log());
    }

    /// Ends it; connections that it serves go on to their end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            child.wait().expect("a child can be waited for");
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.config.with_extension(name)).unwrap_or_default();
        format!("{}{}", read("log"), read("rsyncd.log"))
    }
}

impl Drop for Rsyncd {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("---- log of rsyncd ----\n{}", self.log());
        }
    }
}
