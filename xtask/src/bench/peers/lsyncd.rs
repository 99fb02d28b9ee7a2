//! lsyncd at its best: no delay, an rsync daemon as its target, no Nagle.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::Subject;
use super::rsync::{BEST, Daemon};
use crate::bench::lab::Lab;
use crate::bench::process::Process;

#[derive(Default)]
pub(super) struct Lsyncd {
    daemon: Option<Daemon>,
    source: Option<Process>,
}

impl Subject for Lsyncd {
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.daemon = Some(Daemon::start(lab)?);
        Ok(())
    }

    fn begin(&mut self, lab: &Lab<'_>) -> Result<()> {
        let port = self.daemon.as_ref().context("served before")?.port;
        let mut text = String::from("settings { nodaemon = true, inotifyMode = \"CloseWrite or Modify\" }\n");
        let extra = BEST.map(|option| format!("{option:?}")).join(", ");
        for module in 0..lab.replicas.len() {
            writeln!(
                text,
                "sync {{ default.rsync, source = {:?}, target = \"rsync://127.0.0.1:{port}/m{module}/\", delay = 0, \
                 delete = true, rsync = {{ archive = true, _extra = {{ {extra} }} }} }}",
                lab.src
            )?;
        }
        let config = lab.scratch().join("lsyncd.conf.lua");
        fs::write(&config, text)?;
        let log = lab.scratch().join("lsyncd.log");
        self.source = Some(Process::start(Command::new("lsyncd").arg(&config), &log)?);
        Ok(())
    }

    fn end_source(&mut self) {
        self.source = None;
    }

    fn source_pid(&self) -> Option<u32> {
        self.source.as_ref().map(Process::pid)
    }

    fn replica_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(|daemon| daemon.process.pid())
    }
}
