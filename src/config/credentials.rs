//! Who a remote is told that writes: `<auth>`, and the user that stands before its address.

use std::path::PathBuf;

use syncd_compat::Spanned;
use syncd_compat::confxml::{Auth, Remote};

use super::SourceAuth;
use super::load::Context;

/// What `<auth>` of one block comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    /// `users`.
    user: Option<String>,
    /// `passwordfile`.
    file: Option<PathBuf>,
}

/// The user before the last `@` of an address, where rsync(1) looks for it, and the host behind it.
pub(super) fn parts(address: &str) -> (Option<&str>, &str) {
    address.rsplit_once('@').map_or((None, address), |(user, host)| (Some(user), host))
}

impl Credentials {
    /// What `auth` says, its file by `path`.
    pub(super) fn of(auth: Option<&Auth>, path: impl FnOnce(&Spanned<String>) -> PathBuf) -> Self {
        let user = auth.and_then(|auth| auth.users.as_ref()).map(|user| user.value.clone());
        Self { user, file: auth.and_then(|auth| auth.password_file.as_ref()).map(path) }
    }

    /// The user that `remote` is told of.
    pub(super) fn user(&self, remote: &Remote) -> Option<String> {
        self.user.clone().or_else(|| parts(&remote.ip.value).0.map(str::to_owned))
    }

    /// What proves the right to write to `remote`, a module; what is missing goes to the findings.
    pub(super) fn proof(&self, cx: &mut Context<'_>, auth: Option<&Auth>, remote: &Remote) -> SourceAuth {
        let user = self.user(remote);
        let (span, what) = match auth {
            Some(auth) => (auth.span, "`<auth>` is on"),
            None => (remote.ip.span, "the address names a user"),
        };
        let (user, message, help) = match (&self.file, user) {
            (Some(file), Some(user)) => return SourceAuth::Password { user, file: file.clone() },
            (Some(_), None) => {
                let user = cx.machine.login.clone();
                let message = format!(
                    "{what} and has no `users`: the user is `{user}`, whom rsync takes then ($USER, $LOGNAME or nobody)"
                );
                (Some(user), message, "write users=\"USER\"")
            }
            (None, None) if auth.is_none() => return SourceAuth::Key,
            (None, _) => {
                let message = format!(
                    "{what} and there is no `passwordfile`: no password is sent, as by sersync2; a `syncd peer` knows the \
                     node by its key"
                );
                (None, message, "write users=\"USER\" passwordfile=\"/FILE\", or switch it off")
            }
        };
        let finding = cx.source.warning("xml-auth", span, message).help(help);
        // Several remotes share one `<auth>`.
        if !cx.findings.contains(&finding) {
            cx.findings.push(finding);
        }
        match (user, &self.file) {
            (Some(user), Some(file)) => SourceAuth::Password { user, file: file.clone() },
            _ => SourceAuth::Key,
        }
    }
}
