//! A process and all that it starts.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;

/// A process that leads a process group: dropped before it was waited for, all of the group is killed.
#[derive(Debug)]
pub struct Group(pub Child);

impl Group {
    /// Kills all of it, unless it has been waited for: its number may be another's by then.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Asks all of it to end, unless it has been waited for.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Whether its leader has ended. It is not waited for thereby: what is left of the group can be killed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that somebody has waited for it.
        self.leader().is_none_or(|leader| !matches!(waitid(WaitId::Pid(leader), look), Ok(None)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader() {
            // Whoever is gone need not be told.
            let _ = kill_process_group(leader, signal);
        }
    }

    fn leader(&self) -> Option<Pid> {
        self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
