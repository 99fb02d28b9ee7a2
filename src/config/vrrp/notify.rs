//! Who is told of transitions.

use std::path::PathBuf;

use syncd_compat::keepalived;

use super::Context;
use super::command::{Commands, Use};
use crate::vrrp::setup::{Fifo, Notify};

/// `notify_*` of an instance or a group.
pub(super) fn notify(cx: &mut Context<'_>, commands: &mut Commands, said: &keepalived::Notify) -> Notify {
    let mut get = |command: &Option<keepalived::Command>| {
        command.as_ref().and_then(|command| commands.get(cx, command, Use::Notify))
    };
    Notify {
        master: get(&said.master),
        backup: get(&said.backup),
        fault: get(&said.fault),
        stop: get(&said.stop),
        deleted: get(&said.deleted),
        any: get(&said.any),
        lower_priority: get(&said.master_rx_lower_pri),
    }
}

/// `notify_fifo` and `vrrp_notify_fifo`, each pipe once.
pub(super) fn fifos(cx: &mut Context<'_>, commands: &mut Commands) -> Vec<Fifo> {
    let globals = &cx.conf.globals;
    let mut fifos: Vec<Fifo> = Vec::new();
    for said in [&globals.notify_fifo, &globals.vrrp_notify_fifo] {
        let Some(path) = &said.path else {
            if let Some(script) = &said.script {
                let message = "a script to read a pipe, and no pipe: it is not run".to_owned();
                cx.warn("keepalived-fifo", script.at, message, "write `notify_fifo /PIPE` above it");
            }
            continue;
        };
        if !path.value.starts_with('/') {
            let message = format!("`{}` is no absolute path: nothing is written there", path.value);
            cx.warn("keepalived-fifo", path.at, message, "write it from `/` on");
            continue;
        }
        let file = PathBuf::from(&path.value);
        if fifos.iter().any(|fifo| fifo.path == file) {
            let message = format!("`{}` is written once, although two keywords name it", path.value);
            cx.warn("keepalived-fifo", path.at, message, "remove one of them");
            continue;
        }
        let script = said.script.as_ref().and_then(|script| commands.get(cx, script, Use::Notify));
        let Ok(owner) = commands.owner(cx, said.user.as_ref()) else { continue };
        // Its reader has to be able to read it where nothing else is said.
        let owner = owner.filter(|_| said.user.is_some() || script.is_none());
        fifos.push(Fifo { path: file, owner, script });
    }
    fifos
}
