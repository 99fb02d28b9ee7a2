//! What is asked and answered over the control socket. The JSON of [`Status`] is what
//! `syncd status --json` prints: names once published stay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::vrrp::message::InstanceStatus;

/// The longest request in bytes.
pub(super) const MAX_REQUEST: usize = 64 * 1024;

/// What is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How things stand: [`Response::Status`].
    Status,
    /// Compare by content: [`Response::Progress`], [`Response::Difference`]s, [`Response::Verified`].
    Verify {
        /// The set; none for all.
        set: Option<String>,
    },
    /// Send what is pending now instead of at the next attempt: [`Response::Done`].
    Replay,
    /// What is pending: [`Response::Pending`] for each name, then [`Response::Done`].
    ReplayList,
    /// Release a halted set without its deletions: [`Response::Done`].
    Resume {
        /// The set.
        set: String,
    },
    /// Release a halted set with its deletions: [`Response::Done`].
    Approve {
        /// The set.
        set: String,
    },
    /// Read the configuration again: [`Response::Done`].
    Reload,
    /// Let the program that is on disk now go on in this process, and keep the virtual addresses: [`Response::Done`]
    /// once it is about to.
    Upgrade,
    /// Own and pinned keys: [`Response::Certificates`].
    CertsList,
    /// Forget a pinned key, so that the next one is pinned: [`Response::Done`].
    CertsForget {
        /// The set.
        set: String,
        /// The user; empty where a key alone is the proof.
        user: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Not final: how far it is.
    Progress {
        /// What is going on, for people.
        doing: String,
        /// How much is done.
        done: u64,
        /// How much there is, where that is known.
        total: Option<u64>,
    },
    /// Not final: a path that is not the same on both sides.
    Difference(Difference),
    /// Not final: a name of the retry log.
    Pending(PendingName),
    /// How things stand.
    Status(Box<Status>),
    /// The end of a verification.
    Verified(Vec<VerifyResult>),
    /// Keys.
    Certificates(Certificates),
    /// It is done.
    Done {
        /// What was done, for people.
        message: String,
    },
    /// It could not be done.
    Failed {
        /// Cause, what is affected, and the next command, for people.
        message: String,
    },
}

impl Response {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Progress { .. } | Self::Difference(_) | Self::Pending(_))
    }
}

/// How a node stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Its key, as shown everywhere.
    pub key: String,
    /// Version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// The configuration file.
    pub config: String,
    /// Where it listens, on UDP.
    pub listen: Option<String>,
    /// Since when it runs, in seconds.
    pub uptime_seconds: u64,
    /// Its sets.
    pub sets: Vec<SetStatus>,
    /// What was counted since the start: `observe::Counter` by name.
    pub counters: BTreeMap<String, u64>,
    /// Why the store cannot be written, while it cannot: a restart then compares in full.
    pub store_fault: Option<String>,
    /// The file that it logs to, of a daemon (`-d`).
    #[serde(default)]
    pub log: Option<String>,
    /// Its virtual routers.
    #[serde(default)]
    pub vrrp: Vec<InstanceStatus>,
    /// Why nothing is known of its virtual routers, while that is so.
    #[serde(default)]
    pub vrrp_fault: Option<String>,
    /// Why nothing is known of its sets, while that is so though a process for them runs.
    #[serde(default)]
    pub engine_fault: Option<String>,
    /// Its processes, where there is more than one.
    #[serde(default)]
    pub processes: Vec<ProcessStatus>,
    /// How often the program was replaced while it ran.
    #[serde(default)]
    pub upgrades: u64,
    /// Why the program was not replaced when that was asked for last.
    #[serde(default)]
    pub upgrade_fault: Option<String>,
}

/// How a process of a node stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProcessStatus {
    /// `vrrp` or `engine`.
    pub name: String,
    /// The process, while it runs.
    pub pid: Option<u32>,
    /// Since when it runs, in seconds.
    pub up_seconds: u64,
    /// How often it was started again since it ended unasked.
    pub restarts: u64,
    /// How it ended last, where it did.
    pub last_end: Option<String>,
    /// How long ago that was, in seconds.
    pub last_end_seconds: Option<u64>,
}

impl Status {
    /// Whether every set is served, every target is connected, every virtual router could be master, every process
    /// runs, and nothing waits for an operator.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let routers = self.vrrp_fault.is_none() && self.vrrp.iter().all(|router| router.state != "fault");
        let processes = self.processes.iter().all(|process| process.pid.is_some());
        let faults = [&self.store_fault, &self.engine_fault];
        routers
            && processes
            && faults.iter().all(|fault| fault.is_none())
            && self.sets.iter().all(SetStatus::is_healthy)
    }
}

/// What a node is for a set.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetRole {
    /// It watches and sends.
    #[default]
    Primary,
    /// It receives.
    Replica,
}

/// How a set stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SetStatus {
    /// Its name on this node.
    pub name: String,
    /// Its root directory.
    pub path: String,
    /// What this node is for it.
    pub role: SetRole,
    /// The epoch as `counter@node`; a replica's is the newest it has seen.
    pub epoch: String,
    /// The generation as `epoch.number`; none where a replica does not know, since nothing went live
    /// there yet, or since a crash.
    pub generation: Option<String>,
    /// The Merkle root in hexadecimal, where all content has been read.
    pub root: Option<String>,
    /// Entries below the root.
    pub entries: u64,
    /// Why it cannot be served, while it cannot: its root is gone, say.
    pub fault: Option<String>,
    /// Why deletions are halted until an operator resumes or approves.
    pub halted: Option<String>,
    /// How it is watched; primaries only.
    pub watch: Option<WatchStatus>,
    /// Its receivers; primaries only.
    pub targets: Vec<TargetStatus>,
    /// Its sources; replicas only.
    pub sources: Vec<SourceStatus>,
    /// Paths that somebody else than syncd changed here.
    pub drift: u64,
    /// Operations that were refused here since the start: escapes, wrong hashes, older epochs.
    pub rejected: u64,
    /// Paths that cannot be kept equal now.
    pub problems: Vec<ProblemPath>,
}

impl SetStatus {
    fn is_healthy(&self) -> bool {
        let connected = |t: &TargetStatus| t.state != TargetState::Disconnected && t.state != TargetState::Refused;
        self.fault.is_none() && self.halted.is_none() && self.targets.iter().all(connected)
    }
}

/// How a root is watched.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct WatchStatus {
    /// Watched directories.
    pub watches: u64,
    /// The limit was reached: the rest is polled. Names the sysctl and the number that is needed.
    pub limited: Option<String>,
    /// Times that the event queue overflowed, each followed by a scan.
    pub overflows: u64,
    /// Directories that are polled since they cannot be watched.
    pub polled: u64,
}

/// Where a target is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// No connection; attempts go on.
    #[default]
    Disconnected,
    /// Connected and refused; attempts go on.
    Refused,
    /// Connected; the proof is under way.
    Opening,
    /// Connected; the trees are compared.
    Comparing,
    /// Connected; changes are being sent.
    Sending,
    /// Connected; everything is acknowledged.
    Idle,
}

/// How a receiver of a set stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct TargetStatus {
    /// As the configuration names it.
    pub peer: String,
    /// The address that was last used, with its port.
    pub address: Option<String>,
    /// The set's name there.
    pub set: String,
    /// Where it is.
    pub state: TargetState,
    /// Whether the set is open there.
    pub connected: bool,
    /// What the session rests on: `password and pinned key`, …, `rsync, not encrypted`.
    pub proof: Option<String>,
    /// What carries changes there now: `quic`, `rsync` or `ssh`.
    #[serde(default)]
    pub transport: String,
    /// Names that it has not acknowledged.
    pub pending: u64,
    /// Age of the oldest of them.
    pub oldest_seconds: Option<u64>,
    /// The last generation that it acknowledged, as `epoch.number`.
    pub acknowledged: Option<String>,
    /// Deletions that its guard holds back.
    pub deletions_held: u64,
    /// Bytes sent to it since the start.
    pub bytes_sent: u64,
    /// What went wrong last; stays when it is well again.
    pub last_error: Option<LastError>,
}

/// What went wrong last.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastError {
    /// Why.
    pub cause: String,
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The same as an age.
    pub ago_seconds: u64,
}

/// How a source of a replica stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The name that it gave, for people: nothing rests on it.
    pub name: String,
    /// Its address with its port.
    pub address: String,
    /// Its key, as shown everywhere.
    pub key: String,
    /// What the session rests on.
    pub proof: String,
    /// Since when it is connected, in seconds.
    pub connected_seconds: u64,
    /// The last generation that it made live, as `epoch.number`.
    pub generation: Option<String>,
    /// Bytes received from it on this connection.
    pub bytes_received: u64,
}

/// A path that cannot be kept equal now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProblemPath {
    /// The path, escaped for people.
    pub path: String,
    /// The receiver, and the set there, that could not make it; none when the trouble is here.
    #[serde(default)]
    pub peer: Option<String>,
    /// Why.
    pub cause: String,
}

/// A path that is not the same on both sides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// The set.
    pub set: String,
    /// The receiver.
    pub peer: String,
    /// The path, escaped for people.
    pub path: String,
    /// What differs: `content`, `mode`, `missing there`, …
    pub what: String,
}

/// How a set compares with one receiver.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VerifyResult {
    /// The set.
    pub set: String,
    /// The receiver.
    pub peer: String,
    /// Entries that were compared.
    pub entries: u64,
    /// How many differ.
    pub differences: u64,
    /// Why it could not be compared, if so: that it is the same is then not known.
    pub error: Option<String>,
}

/// A name that a target has not acknowledged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PendingName {
    /// The receiver, and the set there.
    pub target: String,
    /// The path, escaped for people.
    pub path: String,
    /// How long it has been waiting.
    pub age_seconds: u64,
    /// Why, if for another reason than that it is on its way.
    pub cause: Option<String>,
}

/// Keys of a node.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Certificates {
    /// The node's own key; none when only the store was asked.
    pub own: Option<String>,
    /// Keys that are pinned.
    pub pins: Vec<PinnedKey>,
}

/// A pinned key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PinnedKey {
    /// The set it may write.
    pub set: String,
    /// The user that it proved; empty where a key alone is the proof.
    pub user: String,
    /// The key, as shown everywhere.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_plain_json() {
        let text = |r: &Request| serde_json::to_string(r).expect("encode");
        assert_eq!(text(&Request::Status), r#""status""#);
        assert_eq!(text(&Request::Approve { set: "nginx".to_owned() }), r#"{"approve":{"set":"nginx"}}"#);
        assert!(serde_json::from_str::<Request>(r#"{"approve":{"set":"nginx","all":true}}"#).is_err());
    }

    #[test]
    fn one_target_out_of_reach_is_unhealthy() {
        let target = |state| TargetStatus { state, ..Default::default() };
        let with = |state| Status {
            sets: vec![SetStatus { targets: vec![target(TargetState::Idle), target(state)], ..Default::default() }],
            ..Default::default()
        };
        assert!(with(TargetState::Sending).is_healthy());
        assert!(!with(TargetState::Disconnected).is_healthy());
        assert!(!with(TargetState::Refused).is_healthy());
        let mut halted = with(TargetState::Idle);
        halted.sets[0].halted = Some("more than half".to_owned());
        assert!(!halted.is_healthy());
    }
}
