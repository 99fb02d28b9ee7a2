//! Control groups: processes that share a limit of memory, or an end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::{Node, wait_until};

/// Where the kernel shows the groups of version 2: alone, and beside those of version 1.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A group of its own, gone with this value.
pub struct Cgroup {
    dir: PathBuf,
    /// The file that has its limit of memory.
    limit: &'static str,
}

impl Cgroup {
    /// One whose processes have so much memory in all; none where this machine or user cannot have one.
    pub fn limited(name: &str, bytes: u64) -> Option<Self> {
        let one = "memory.limit_in_bytes";
        let unified = UNIFIED.iter().filter_map(|root| Self::below(root, name, "memory.max"));
        let all = unified.chain(Self::below("/sys/fs/cgroup/memory", name, one));
        let found = all.into_iter().find(|group| group.set_limit(bytes))?;
        // What is swapped out is beyond the limit: the one file is version 2's, the other one version 1's.
        for file in ["memory.swap.max", "memory.swappiness"].map(|name| found.dir.join(name)) {
            if file.exists() {
                fs::write(file, "0").ok()?;
            }
        }
        Some(found)
    }

    /// One whose processes can be killed at once (version 2); none where this machine or user cannot have one.
    pub fn killable(name: &str) -> Option<Self> {
        let mut all = UNIFIED.iter().filter_map(|root| Self::below(root, name, "memory.max"));
        all.find(|group| group.dir.join("cgroup.kill").exists())
    }

    /// None where `root` is no place for groups.
    fn below(root: &str, name: &str, limit: &'static str) -> Option<Self> {
        // At the root of version 1 there are hierarchies, and no groups.
        let root = Path::new(root);
        root.join("cgroup.procs").exists().then_some(())?;
        let dir = root.join(format!("syncd-test-{}-{name}", std::process::id()));
        fs::create_dir(&dir).ok()?;
        Some(Self { dir, limit })
    }

    /// Gives it another limit; false where that cannot be.
    pub fn set_limit(&self, bytes: u64) -> bool {
        let file = self.dir.join(self.limit);
        file.exists() && fs::write(file, bytes.to_string()).is_ok()
    }

    /// How many of its processes the kernel killed because the memory was not enough.
    pub fn oom_kills(&self) -> u64 {
        let read = |name| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        let both = read("memory.events") + &read("memory.oom_control");
        let count = both.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        count.expect("the kernel counts them")
    }

    /// From its next start on `node` is in it, and all that it starts.
    pub fn hold(&self, node: &mut Node) {
        let enter = format!("echo $$ > {} && exec \"$@\"", self.dir.join("cgroup.procs").display());
        node.run_within(["sh", "-c", &enter, "sh"]);
    }

    /// Whether the process is in it.
    pub fn holds(&self, pid: u32) -> bool {
        self.pids().contains(&pid)
    }

    /// The processes in it.
    pub fn pids(&self) -> Vec<u32> {
        let pids = fs::read_to_string(self.dir.join("cgroup.procs")).expect("it is there");
        pids.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Kills all of its processes at once, as the end of a container does.
    pub fn kill(&self) {
        fs::write(self.dir.join("cgroup.kill"), "1").expect("it can be killed");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Fails while a process is in it: the nodes are gone by then, though perhaps not quite.
        wait_until(Duration::from_secs(10), || fs::remove_dir(&self.dir).is_ok());
    }
}
