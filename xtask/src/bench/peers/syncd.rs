//! syncd as operators run it: confxml.xml at the source, rsyncd.conf at each peer, a password between them.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Subject, free_udp_port, loopback};
use crate::bench::lab::Lab;
use crate::bench::process::Process;
use crate::cargo;

const PASSWORD: &str = "bench";

#[derive(Default)]
pub(super) struct Syncd {
    port: u16,
    replicas: Vec<Process>,
    source: Option<Process>,
}

fn command() -> Result<Command> {
    Ok(Command::new(cargo::target_dir()?.join("release/syncd")))
}

impl Subject for Syncd {
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.port = free_udp_port(lab.replicas.len())?;
        let secrets = lab.scratch().join("rsyncd.secrets");
        write_secret(&secrets, &format!("bench:{PASSWORD}\n"))?;
        for (index, root) in lab.replicas.iter().enumerate() {
            let config = lab.scratch().join(format!("rsyncd-{index}.conf"));
            fs::write(&config, self.rsyncd_conf(index, root, &secrets)?)?;
            let mut peer = command()?;
            peer.args(["peer", "--config"]).arg(&config).arg("--state-dir").arg(lab.replica_state(index));
            let mut process = Process::start(&mut peer, &lab.scratch().join(format!("syncd-peer-{index}.log")))?;
            process.wait_ready()?;
            self.replicas.push(process);
        }
        Ok(())
    }

    fn begin(&mut self, lab: &Lab<'_>) -> Result<()> {
        let password = lab.scratch().join("rsync.pass");
        write_secret(&password, &format!("{PASSWORD}\n"))?;
        let config = lab.scratch().join("confxml.xml");
        fs::write(&config, self.confxml(lab, &password)?)?;
        let mut source = command()?;
        source.arg("--config").arg(&config).arg("--state-dir").arg(lab.source_state());
        self.source = Some(Process::start(&mut source, &lab.scratch().join("syncd-source.log"))?);
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

impl Syncd {
    fn rsyncd_conf(&self, index: usize, root: &Path, secrets: &Path) -> Result<String> {
        let mut text = format!("address = {}\nport = {}\n", loopback(index)?, self.port);
        if rustix::process::geteuid().is_root() {
            text.push_str("uid = root\ngid = root\n");
        }
        writeln!(text, "[bench]\npath = {}\nread only = no", root.display())?;
        writeln!(text, "auth users = bench\nsecrets file = {}", secrets.display())?;
        Ok(text)
    }

    fn confxml(&self, lab: &Lab<'_>, password: &Path) -> Result<String> {
        let mut remotes = String::new();
        for index in 0..lab.replicas.len() {
            write!(remotes, "<remote ip=\"{}\" name=\"bench\"/>", loopback(index)?)?;
        }
        let auth = format!(r#"<auth start="true" users="bench" passwordfile="{}"/>"#, password.display());
        Ok(confxml(&lab.src, &remotes, self.port, &auth))
    }
}

/// A `confxml.xml` that watches `src`, with these elements `remote` and this element `auth`.
pub(in crate::bench) fn confxml(src: &Path, remotes: &str, port: u16, auth: &str) -> String {
    let src = src.display();
    format!(
        r#"<?xml version="1.0"?>
<head version="2.5">
  <inotify>
    <delete start="true"/><createFolder start="true"/><createFile start="true"/><closeWrite start="true"/>
    <moveFrom start="true"/><moveTo start="true"/><attrib start="true"/><modify start="true"/>
  </inotify>
  <sersync>
    <localpath watch="{src}">{remotes}</localpath>
    <rsync>
      <commonParams params="-a"/>
      {auth}
      <userDefinedPort start="true" port="{port}"/>
      <timeout start="false" time="100"/>
      <ssh start="false"/>
    </rsync>
  </sersync>
</head>
"#
    )
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
