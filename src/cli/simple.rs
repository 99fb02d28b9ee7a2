//! Commands that are one request with one answer: `reload`, `resume`, `approve`.

use std::io::Write;
use std::path::Path;

use super::{Fault, find, render};
use crate::control::{Client, Request, Response};

/// `syncd reload`.
pub(super) fn reload(dir: Option<&Path>, out: &mut impl Write) -> Result<(), Fault> {
    done(find::one(dir, "a configuration", |_| true)?, &Request::Reload, out)
}

/// `syncd resume SET`.
pub(super) fn resume(dir: Option<&Path>, set: String, out: &mut impl Write) -> Result<(), Fault> {
    done(having(dir, &set)?, &Request::Resume { set }, out)
}

/// `syncd approve SET`.
pub(super) fn approve(dir: Option<&Path>, set: String, out: &mut impl Write) -> Result<(), Fault> {
    done(having(dir, &set)?, &Request::Approve { set }, out)
}

/// The running syncd that has `set`.
pub(super) fn having(dir: Option<&Path>, set: &str) -> Result<Client, Fault> {
    find::one(dir, &format!("a set named {set}"), |status| status.sets.iter().any(|s| s.name == set))
}

/// Asks and prints what was done.
pub(super) fn done(mut client: Client, request: &Request, out: &mut impl Write) -> Result<(), Fault> {
    match client.ask(request, |_| ())? {
        Response::Done { message } => Ok(writeln!(out, "{}", render::plain(&message))?),
        other => Err(find::unexpected(&other).into()),
    }
}
