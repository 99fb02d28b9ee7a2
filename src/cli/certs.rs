//! `syncd certs`: keys, asked of the running syncd, or read from the store of one that does not run.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::args::CertsCommand;
use super::{Fault, find, render};
use crate::control::{Certificates, Client, ClientError, PinnedKey, Request, Response};
use crate::store::Store;
use crate::store::instance::Instance;

/// `syncd certs list|forget`.
pub(super) fn run(dir: Option<&Path>, command: CertsCommand, out: &mut impl Write) -> Result<(), Fault> {
    match command {
        CertsCommand::List => list(dir, out),
        CertsCommand::Forget { set, user } => forget(dir, set, user, out),
    }
}

fn list(dir: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    let running = find::running(dir)?;
    if running.is_empty() {
        let at_rest = find::at_rest(dir)?;
        return at_rest.iter().try_for_each(|dir| print(&stored(dir)?, out));
    }
    running.into_iter().try_for_each(|(mut client, _)| print(&asked(&mut client)?, out))
}

fn forget(dir: Option<&Path>, set: String, user: String, out: &mut impl Write) -> Result<(), Fault> {
    let what = format!("the key of {} for {set}", if user.is_empty() { "any user" } else { &user });
    let running = find::running(dir)?;
    let mut gone = 0;
    if running.is_empty() {
        for dir in find::at_rest(dir)? {
            let _instance = Instance::claim(&dir, Duration::ZERO)?;
            gone += usize::from(Store::open(&dir)?.forget_pin(&set, &user)?);
        }
    }
    for (mut client, _) in running {
        if asked(&mut client)?.pins.iter().any(|pin| pin.set == set && pin.user == user) {
            client.ask(&Request::CertsForget { set: set.clone(), user: user.clone() }, |_| ())?;
            gone += 1;
        }
    }
    if gone == 0 {
        return Err(Fault::Local(format!("{what} is not pinned: `syncd certs list` shows what is")));
    }
    Ok(writeln!(out, "{what} is forgotten: the next one that proves itself is pinned.")?)
}

fn asked(client: &mut Client) -> Result<Certificates, ClientError> {
    match client.ask(&Request::CertsList, |_| ())? {
        Response::Certificates(certificates) => Ok(certificates),
        other => Err(find::unexpected(&other)),
    }
}

fn stored(dir: &Path) -> Result<Certificates, Fault> {
    let _instance = Instance::claim(dir, Duration::ZERO)?;
    let pins = Store::open(dir)?.pins()?.into_iter();
    let pins = pins.map(|pin| PinnedKey { set: pin.set, user: pin.user, key: pin.key.to_string() }).collect();
    Ok(Certificates { own: None, pins })
}

fn print(certificates: &Certificates, out: &mut impl Write) -> Result<(), Fault> {
    if let Some(own) = &certificates.own {
        writeln!(out, "{own}  this node")?;
    }
    for PinnedKey { set, user, key } in &certificates.pins {
        let user = if user.is_empty() { String::new() } else { format!(" as {}", render::plain(user)) };
        writeln!(out, "{key}  may write {}{user}", render::plain(set))?;
    }
    if certificates.pins.is_empty() {
        writeln!(out, "No key is pinned.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeKey;

    #[test]
    fn a_key_is_listed_until_it_is_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = Some(dir.path());
        Store::open(dir.path()).expect("open").set_pin("nginx", "user", NodeKey([0xab; 32])).expect("pin");
        let mut out = Vec::new();
        run(at, CertsCommand::List, &mut out).expect("list");
        let forget = || CertsCommand::Forget { set: "nginx".to_owned(), user: "user".to_owned() };
        run(at, forget(), &mut out).expect("forget");
        run(at, CertsCommand::List, &mut out).expect("list");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r"
        abababababababab  may write nginx as user
        the key of user for nginx is forgotten: the next one that proves itself is pinned.
        No key is pinned.
        ");
        assert!(matches!(run(at, forget(), &mut Vec::new()), Err(Fault::Local(_))));
    }
}
