//! rsync to a daemon through TLS by stunnel, both ends here.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::rsync::{Daemon, run};
use super::{Subject, free_tcp_port};
use crate::bench::lab::{self, Lab};
use crate::bench::process::Process;
use crate::tools;

#[derive(Default)]
pub(super) struct Stunnel {
    daemon: Option<Daemon>,
    tunnel: Option<(Process, u16)>,
    clients: Vec<Process>,
}

impl Subject for Stunnel {
    fn serve(&mut self, lab: &Lab<'_>) -> Result<()> {
        let daemon = Daemon::start(lab)?;
        self.tunnel = Some(tunnel(lab, daemon.port)?);
        self.daemon = Some(daemon);
        Ok(())
    }

    fn begin(&mut self, lab: &Lab<'_>) -> Result<()> {
        self.changed(lab)
    }

    fn changed(&mut self, lab: &Lab<'_>) -> Result<()> {
        let (_, port) = self.tunnel.as_ref().context("served before")?;
        for module in 0..lab.replicas.len() {
            self.clients.push(run(&lab.src, *port, module, &lab.scratch().join("rsync.log"))?);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.clients.drain(..).try_for_each(|mut client| client.wait_end())
    }

    fn end_source(&mut self) {
        self.clients.clear();
    }

    /// To the tunnel, through it, and from it.
    fn hops(&self) -> u64 {
        3
    }
}

/// client → TLS → server → the daemon, as two services of one stunnel; returns the port of the client's end.
fn tunnel(lab: &Lab<'_>, daemon: u16) -> Result<(Process, u16)> {
    let pem = lab.scratch().join("stunnel.pem");
    if !pem.exists() {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench"]);
        openssl.arg("-keyout").arg(&pem).arg("-out").arg(pem.with_extension("crt"));
        ensure!(openssl.stdin(Stdio::null()).output()?.status.success(), "openssl made no certificate");
    }
    let (tls, plain) = (free_tcp_port()?, free_tcp_port()?);
    let (key, cert) = (pem.display(), pem.with_extension("crt"));
    let text = format!(
        "foreground = yes\npid =\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\
         [server]\naccept = 127.0.0.1:{tls}\nconnect = 127.0.0.1:{daemon}\nkey = {key}\ncert = {}\n\
         [client]\nclient = yes\naccept = 127.0.0.1:{plain}\nconnect = 127.0.0.1:{tls}\n",
        cert.display()
    );
    let config = lab.scratch().join("stunnel.conf");
    fs::write(&config, text)?;
    let program = tools::find("stunnel").context("stunnel is installed")?;
    let process = Process::start(Command::new(program).arg(&config), &lab.scratch().join("stunnel.log"))?;
    lab::poll(lab::deadline(), || TcpStream::connect((Ipv4Addr::LOCALHOST, plain)).is_ok())?;
    Ok((process, plain))
}
