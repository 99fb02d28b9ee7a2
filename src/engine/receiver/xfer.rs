//! rsyncd's `pre-xfer exec` and `post-xfer exec`, around each change set that goes live.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::set::Session;
use crate::config::{ReplicaSet, XferExec};
use crate::engine::lock;
use crate::process::{Program, ProgramError, run};

/// How long a command may run.
const LIMIT: Duration = Duration::from_secs(300);

/// The commands of one set.
#[derive(Debug)]
pub(super) struct Xfer {
    set: String,
    path: std::path::PathBuf,
    exec: XferExec,
    after: Mutex<After>,
}

/// Where the command that follows change sets stands. However many go live while it runs, it runs once
/// more.
#[derive(Debug, Default)]
struct After {
    running: bool,
    again: Option<Program>,
}

impl Xfer {
    pub(super) fn new(config: &ReplicaSet) -> Self {
        let (set, path, exec) = (config.name.clone(), config.path.clone(), config.xfer_exec.clone());
        Self { set, path, exec, after: Mutex::default() }
    }

    /// Asks `pre-xfer exec` whether a staged change set of `session` may go live.
    ///
    /// # Errors
    /// [`ProgramError`]: it may not.
    pub(super) async fn before(&self, session: &Session) -> Result<(), ProgramError> {
        match &self.exec.before {
            Some(command) => run(&self.program(command, session, None)).await,
            None => Ok(()),
        }
    }

    /// Has `post-xfer exec` run, since a change set of `session` is live.
    pub(super) fn after(self: &Arc<Self>, session: &Session) {
        let Some(command) = &self.exec.after else { return };
        let program = self.program(command, session, Some(0));
        let mut after = lock(&self.after);
        if after.running {
            after.again = Some(program);
            return;
        }
        after.running = true;
        tokio::spawn(self.clone().follow(program));
    }

    async fn follow(self: Arc<Self>, mut program: Program) {
        loop {
            if let Err(cause) = run(&program).await {
                tracing::warn!(set = self.set, "post-xfer exec: {cause}; the change set is live all the same");
            }
            let mut after = lock(&self.after);
            match after.again.take() {
                Some(next) => program = next,
                None => {
                    after.running = false;
                    return;
                }
            }
        }
    }

    /// The command with the environment that rsyncd.conf(5) describes, but for arguments of rsync, of which there are
    /// none, and the host's name, since hosts are known by address. The user is there where a password proved it; what
    /// a peer says of itself is not.
    fn program(&self, command: &str, session: &Session, exit_status: Option<i32>) -> Program {
        let peer = session.address.ip();
        let mut env = vec![
            ("RSYNC_MODULE_NAME", self.set.clone().into()),
            ("RSYNC_MODULE_PATH", self.path.clone().into()),
            ("RSYNC_HOST_ADDR", peer.to_string().into()),
            ("RSYNC_HOST_NAME", peer.to_string().into()),
            ("RSYNC_USER_NAME", session.user.clone().unwrap_or_default().into()),
            ("RSYNC_PID", std::process::id().to_string().into()),
        ];
        match exit_status {
            Some(status) => {
                env.push(("RSYNC_EXIT_STATUS", status.to_string().into()));
                env.push(("RSYNC_RAW_STATUS", (status << 8).to_string().into()));
            }
            None => env.push(("RSYNC_REQUEST", self.set.clone().into())),
        }
        // The operator's own line, meant for a shell: rsyncd hands it to one, too.
        Program { argv: vec!["/bin/sh".into(), "-c".into(), command.into()], env, limit: LIMIT, ..Program::default() }
    }
}
