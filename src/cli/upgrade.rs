//! `syncd reload --exec`: the program that is on disk now goes on where the running one is.

use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Fault, find, simple};
use crate::control::{Client, ClientError, Request, Status};

/// How long the other program may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// Asks for it, and waits until the other program answers.
pub(super) fn run(dir: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let mut client = find::one(dir, "a configuration", |_| true)?;
    let dir = client.dir().to_owned();
    let before = find::status(&mut client)?;
    simple::done(client, &Request::Upgrade, out)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match look(&dir) {
            Ok(now) if now.upgrades > before.upgrades => {
                return Ok(writeln!(out, "syncd {} goes on as pid {}", now.version, now.pid)?);
            }
            Ok(Status { upgrade_fault: Some(fault), .. }) => return Err(Fault::Local(fault)),
            // It is about to, or does it just now.
            Ok(_) | Err(_) if Instant::now() < end => thread::sleep(AGAIN),
            Ok(_) => return Err(Fault::Local("the running program goes on as it is; its log says why".to_owned())),
            Err(e) => return Err(e.into()),
        }
    }
}

fn look(dir: &Path) -> Result<Status, ClientError> {
    find::status(&mut Client::connect(dir)?)
}
