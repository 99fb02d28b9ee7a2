//! A process and all that it starts.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A process that leads a process group: dropped before it was waited for, all of the group is killed.
#[derive(Debug)]
pub struct Group(pub Child);

impl Group {
    /// Kills all of it, unless it has been waited for: its number may be another's by then.
    pub fn kill(&mut self) {
        let leader = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Whoever is gone need not be killed.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
