//! rsync to a daemon at its best: no password, no Nagle, run the moment that something changed.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Subject, free_tcp_port};
use crate::bench::lab::{self, Lab};
use crate::bench::process::Process;

/// A daemon with a module for each replica: `m0`, `m1`, …
pub(super) struct Daemon {
    pub(super) process: Process,
    pub(super) port: u16,
}

impl Daemon {
    pub(super) fn start(lab: &Lab<'_>) -> Result<Self> {
        let port = free_tcp_port()?;
        let mut text = String::from("use chroot = no\nread only = no\nsocket options = TCP_NODELAY\n");
        if rustix::process::geteuid().is_root() {
            text.push_str("uid = root\ngid = root\n");
        }
        for (index, root) in lab.replicas.iter().enumerate() {
            writeln!(text, "[m{index}]\npath = {}", root.display())?;
        }
        let config = lab.scratch().join("rsyncd.conf");
        fs::write(&config, text)?;
        let mut command = Command::new("rsync");
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}"), "--config"]);
        let process = Process::start(command.arg(&config), &lab.scratch().join("rsyncd.log"))?;
        lab::poll(lab::deadline(), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        Ok(Self { process, port })
    }
}

/// What makes rsync quick and right: no Nagle, and mtimes compared to the nanosecond. By default it compares whole
/// seconds, and never sends a file that was rewritten within the second at the same size.
pub(super) const BEST: [&str; 2] = ["--sockopts=TCP_NODELAY", "--modify-window=-1"];

/// One run of the client to a module.
pub(super) fn run(src: &Path, port: u16, module: usize, log: &Path) -> Result<Process> {
    let mut command = Command::new("rsync");
    command.args(["--archive", "--delete"]).args(BEST);
    command.arg(src.join("")).arg(format!("rsync://127.0.0.1:{port}/m{module}/"));
    Process::start(&mut command, log)
}

#[derive(Default)]
pub(super) struct Rsync {
    daemon: Option<Daemon>,
    clients: Vec<Process>,
}

impl Subject for Rsync {
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.daemon = Some(Daemon::start(lab)?);
        Ok(())
    }

    fn begin(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.changed(lab)
    }

    fn changed(&mut self, lab: &Lab<'_>) -> Result<()> {
        let log = lab.scratch().join("rsync.log");
        for (daemon, module) in self.daemon.iter().flat_map(|d| (0..lab.replicas.len()).map(move |m| (d, m))) {
            self.clients.push(run(&lab.src, daemon.port, module, &log)?);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.clients.drain(..).try_for_each(|mut client| client.wait_end())
    }

    fn end_source(&mut self) {
        self.clients.clear();
    }

    fn replica_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(|daemon| daemon.process.pid())
    }
}
