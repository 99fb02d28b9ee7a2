//! Which running syncd a command means.

use std::path::{Path, PathBuf};

use super::Fault;
use crate::control::{Client, ClientError, Request, Response, Status};
use crate::store::{Store, instance};

/// All that run below the state directory, or the one in `dir`; empty when none does.
///
/// # Errors
/// [`Fault::Local`] when one runs and cannot be asked.
pub(super) fn running(dir: Option<&Path>) -> Result<Vec<(Client, Status)>, Fault> {
    let dirs = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => instance::list(&instance::state_dir()?)?.into_iter().filter(|i| i.running).map(|i| i.dir).collect(),
    };
    let mut found = Vec::new();
    for dir in dirs {
        match Client::connect(&dir).and_then(|mut client| Ok((status(&mut client)?, client))) {
            Ok((status, client)) => found.push((client, status)),
            // There is none, or it starts or ends just now.
            Err(ClientError::NotRunning { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(found)
}

/// The same where one is needed.
///
/// # Errors
/// [`Fault::Local`] when none runs.
pub(super) fn all(dir: Option<&Path>) -> Result<Vec<(Client, Status)>, Fault> {
    let found = running(dir)?;
    match dir {
        _ if !found.is_empty() => Ok(found),
        Some(dir) => Err(not_running(dir)),
        None => Err(Fault::Local(format!(
            "no syncd is running below {}: start one, or name its directory with --state-dir",
            instance::state_dir()?.display()
        ))),
    }
}

/// The one that `fits`, which is said in words by `what`.
///
/// # Errors
/// [`Fault::Local`] when there is none, [`Fault::Usage`] when there are several.
pub(super) fn one(dir: Option<&Path>, what: &str, fits: impl Fn(&Status) -> bool) -> Result<Client, Fault> {
    let mut found = all(dir)?;
    found.retain(|(_, status)| fits(status));
    match (found.pop(), found.is_empty()) {
        (Some((client, _)), true) => Ok(client),
        (Some((last, _)), false) => {
            let rest = found.iter().map(|(client, _)| client).chain([&last]);
            let dirs: Vec<String> = rest.map(|c| format!("  --state-dir {}", c.dir().display())).collect();
            Err(Fault::Usage(format!("several running syncds have {what}; name one:\n{}", dirs.join("\n"))))
        }
        (None, _) => Err(Fault::Local(format!("no running syncd has {what}: `syncd status` shows what there is"))),
    }
}

/// Asks one for how it stands.
pub(super) fn status(client: &mut Client) -> Result<Status, ClientError> {
    match client.ask(&Request::Status, |_| ())? {
        Response::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

/// An answer that is none to what was asked: another version runs.
pub(super) fn unexpected(response: &Response) -> ClientError {
    let message = format!("the running syncd answers with something else ({response:?}): is it another version?");
    ClientError::Failed(message)
}

/// Directories with the store of an instance that nobody runs: all, or `dir`.
///
/// # Errors
/// [`Fault::Local`] when `dir` has none.
pub(super) fn at_rest(dir: Option<&Path>) -> Result<Vec<PathBuf>, Fault> {
    let Some(dir) = dir else {
        let all = instance::list(&instance::state_dir()?)?.into_iter();
        return Ok(all.filter(|i| !i.running && Store::exists(&i.dir)).map(|i| i.dir).collect());
    };
    if Store::exists(dir) { Ok(vec![dir.to_owned()]) } else { Err(not_running(dir)) }
}

fn not_running(dir: &Path) -> Fault {
    ClientError::NotRunning { dir: dir.to_owned() }.into()
}
