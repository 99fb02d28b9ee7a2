//! Programs of the operator's: whom each runs as, and whether it may run.

use syncd_compat::keepalived::{self, At};

use super::Context;
use crate::vrrp::setup::{Command, User};

/// The user that scripts run as where there is one and nothing else is said.
const SCRIPT_USER: &str = "keepalived_script";

/// What is lost where a command's user is unknown.
const RUNS: &str = "what it would run is not run";

/// How a command that cannot be run is dealt with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Use {
    /// It is asked again and again, and its failure would be taken for the service's.
    Track,
    /// It is told of something; should it come to be, it is run.
    Notify,
}

/// Turns the commands of a file into those that are run.
#[derive(Debug)]
pub(super) struct Commands {
    /// Whom a command runs as that says nothing; an error where nobody is known.
    default: Result<Option<User>, ()>,
    /// Whether what others may write is refused (`enable_script_security`).
    secure: bool,
    /// Whether it has been said whom scripts run as.
    said: bool,
}

impl Commands {
    pub(super) fn new(cx: &mut Context<'_>) -> Self {
        let globals = &cx.conf.globals;
        let default = match &globals.script_user {
            Some(said) => user(cx, said, RUNS).map(Some),
            None => Ok(named(cx, SCRIPT_USER)),
        };
        Self { default, secure: globals.script_security.value, said: globals.script_user.is_some() }
    }

    /// The command as it is run; none where it is not, which has been said.
    pub(super) fn get(&mut self, cx: &mut Context<'_>, said: &keepalived::Command, how: Use) -> Option<Command> {
        let user = match &said.user {
            Some(own) => user(cx, own, RUNS).map(Some),
            None => {
                self.say_default(cx, said.at);
                self.default
            }
        };
        let user = user.ok()?;
        let judgement = cx.host.judge(&said.argv);
        let runs_as_root = user.is_none_or(|user| user.uid == 0);
        if let (Some(why), true) = (&judgement.insecure, runs_as_root) {
            let program = said.argv.first().map_or("", String::as_str);
            if self.secure {
                let message = format!("{why}: `{program}`, which root would run, is not run");
                let help = "give it and every directory above it to root, and let nobody else write there";
                cx.error("keepalived-script-security", said.at, message, help);
                return None;
            }
            let message = format!("{why}, and root runs `{program}`");
            let help = "give it to root alone, or write `script_user` and `enable_script_security`";
            cx.warn("keepalived-script-security", said.at, message, help);
        }
        if let Some(why) = judgement.unusable {
            match how {
                Use::Track => {
                    let message = format!("{why}: nothing is tracked by it, as with keepalived");
                    cx.warn("keepalived-script", said.at, message, "put it there and reload, or remove its block");
                    return None;
                }
                Use::Notify => {
                    let help = "put it there, executable; nobody is told by it meanwhile";
                    cx.warn("keepalived-script", said.at, why, help);
                }
            }
        }
        Some(Command { argv: said.argv.clone(), user })
    }

    /// Whom a pipe is given to: as said, else whoever runs scripts; an error where nobody of that name is known, which has
    /// been said.
    pub(super) fn owner(&self, cx: &mut Context<'_>, said: Option<&keepalived::User>) -> Result<Option<User>, ()> {
        match said {
            Some(said) => user(cx, said, "nothing is written to the pipe").map(Some),
            None => Ok(self.default.unwrap_or_default()),
        }
    }

    /// Whom scripts run as where nothing says it, once.
    fn say_default(&mut self, cx: &mut Context<'_>, at: At) {
        if self.said {
            return;
        }
        self.said = true;
        let (message, help) = match self.default {
            Ok(Some(_)) => (format!("scripts run as the user `{SCRIPT_USER}`"), "write `script_user` for another"),
            _ => (
                format!("scripts run as whoever runs syncd, since there is no user `{SCRIPT_USER}`"),
                "write `script_user USER` in `global_defs` for another",
            ),
        };
        cx.note("keepalived-script-user", at, message, help);
    }
}

fn named(cx: &Context<'_>, name: &str) -> Option<User> {
    cx.host.user(name).map(|user| User { uid: user.owner.id, gid: user.primary_group })
}

/// The numbers of a user and perhaps a group; without them `lost`.
fn user(cx: &mut Context<'_>, said: &keepalived::User, lost: &str) -> Result<User, ()> {
    let unknown = |cx: &mut Context<'_>, what: &str, name: &keepalived::Located<String>| {
        let message = format!("there is no {what} `{}` on this machine: {lost}", name.value);
        cx.error("keepalived-user", name.at, message, "create it, or name another");
    };
    let Some(mut user) = named(cx, &said.name.value) else {
        unknown(cx, "user", &said.name);
        return Err(());
    };
    if let Some(group) = &said.group {
        let Some(gid) = cx.host.group(&group.value) else {
            unknown(cx, "group", group);
            return Err(());
        };
        user.gid = gid;
    }
    Ok(user)
}
