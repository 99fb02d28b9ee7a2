//! The floor as a subject: `xtask floor` on both sides.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;

use super::{Subject, free_tcp_port};
use crate::bench::lab::Lab;
use crate::bench::process::Process;
use crate::cargo;

pub(super) struct Floor {
    fsync: bool,
    addrs: Vec<SocketAddr>,
    replicas: Vec<Process>,
    source: Option<Process>,
}

impl Floor {
    pub(super) fn new(fsync: bool) -> Self {
        Self { fsync, addrs: Vec::new(), replicas: Vec::new(), source: None }
    }
}

/// The optimised build, which the bench makes before it starts.
fn command() -> Result<Command> {
    let mut command = Command::new(cargo::target_dir()?.join("release/xtask"));
    command.arg("floor");
    Ok(command)
}

impl Subject for Floor {
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()> {
        for root in &lab.replicas {
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_tcp_port()?));
            let mut receive = command()?;
            receive.args(["receive", "--listen", &addr.to_string(), "--root"]).arg(root);
            if self.fsync {
                receive.arg("--fsync");
            }
            let mut process = Process::start(&mut receive, &lab.scratch().join("floor.log"))?;
            process.wait_ready()?;
            self.addrs.push(addr);
            self.replicas.push(process);
        }
        Ok(())
    }

    fn begin(&mut self, lab: &Lab<'_>) -> Result<()> {
        let mut send = command()?;
        send.args(["send", "--root"]).arg(&lab.src);
        for addr in &self.addrs {
            send.args(["--to", &addr.to_string()]);
        }
        self.source = Some(Process::start(&mut send, &lab.scratch().join("floor.log"))?);
        Ok(())
    }

    fn end_source(&mut self) {
        self.source = None;
    }

    fn source_pid(&self) -> Option<u32> {
        self.source.as_ref().map(Process::pid)
    }

    fn replica_pid(&self) -> Option<u32> {
        self.replicas.first().map(Process::pid)
    }
}
