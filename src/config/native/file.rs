//! The grammar of `syncd.toml`. All durations are texts with a unit, as `"10s"`.

use serde::Deserialize;
use toml::Spanned;

use super::vrrp::file::{FifoTable, FileTable, GlobalTable, GroupTable, InstanceTable, ProcessTable, ScriptTable};

/// A text and its place.
type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    /// `[node]`
    #[serde(default)]
    pub(super) node: Node,
    /// `[[peer]]`
    #[serde(default)]
    pub(super) peer: Vec<Peer>,
    /// `[[set]]`
    #[serde(default)]
    pub(super) set: Vec<Set>,
    /// `[[plugin]]`
    #[serde(default)]
    pub(super) plugin: Vec<PluginTable>,
    /// `[tuning]`
    #[serde(default)]
    pub(super) tuning: TuningTable,
    /// `[vrrp-global]`
    #[serde(default)]
    pub(super) vrrp_global: GlobalTable,
    /// `[[vrrp]]`
    #[serde(default)]
    pub(super) vrrp: Vec<InstanceTable>,
    /// `[[vrrp-group]]`
    #[serde(default)]
    pub(super) vrrp_group: Vec<GroupTable>,
    /// `[[vrrp-script]]`
    #[serde(default)]
    pub(super) vrrp_script: Vec<ScriptTable>,
    /// `[[vrrp-process]]`
    #[serde(default)]
    pub(super) vrrp_process: Vec<ProcessTable>,
    /// `[[vrrp-file]]`
    #[serde(default)]
    pub(super) vrrp_file: Vec<FileTable>,
    /// `[[vrrp-fifo]]`
    #[serde(default)]
    pub(super) vrrp_fifo: Vec<FifoTable>,
}

/// This node.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Node {
    /// The host's name by default.
    pub(super) name: Option<String>,
    /// `ADDRESS:PORT`, on UDP; `0.0.0.0:873` by default.
    pub(super) listen: Option<Text>,
    /// Pin the first key that comes for a set without `auth`.
    #[serde(default)]
    pub(super) trust_first_use: bool,
    /// A line for people for each failure, behind what is in it.
    pub(super) fail_log: Option<Text>,
    /// Holds the number of the process while it runs.
    pub(super) pid_file: Option<Text>,
    /// The same of `syncd peer`, where one file serves both.
    pub(super) peer_pid_file: Option<Text>,
    /// Log each event and what is done about it.
    #[serde(default)]
    pub(super) debug: bool,
}

/// Another node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Peer {
    /// The name that sets use for it.
    pub(super) name: Text,
    /// `HOST` or `HOST:PORT`.
    pub(super) address: Text,
    /// `quic`, the default; `rsync` to an rsyncd, not encrypted; `auto`: rsync until a syncd
    /// answers; `ssh`: rsync over ssh.
    pub(super) transport: Option<Text>,
    /// With `ssh`: the user there.
    pub(super) user: Option<String>,
    /// `ipv4` or `ipv6`: only such addresses, where the host is a name.
    pub(super) family: Option<Text>,
}

/// A replicated tree.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Set {
    /// The same on both sides.
    pub(super) name: Text,
    /// The root directory, absolute.
    pub(super) path: Text,
    /// `primary` or `replica`.
    pub(super) role: Text,
    /// Names of `[[peer]]`s: where a primary goes to (all by default; `PEER::NAME` where the set has
    /// another name there), who may write a replica.
    pub(super) peers: Option<Vec<Text>>,
    /// Primary: the set's name at its peers, where that is another: a module, or over ssh a directory.
    pub(super) remote: Option<Text>,
    /// A password; without it the nodes' keys count.
    pub(super) auth: Option<Spanned<Auth>>,
    /// `guarded`, `always` or `never`.
    pub(super) delete: Option<Text>,
    /// `in-place`.
    pub(super) apply: Option<Text>,
    /// Globs of what is left alone.
    #[serde(default)]
    pub(super) exclude: Vec<Text>,
    /// Primary: the same as regular expressions in sersync2's dialect.
    #[serde(default)]
    pub(super) exclude_regex: Vec<Text>,
    /// rsync's filter rules, behind `exclude`; the first that matches decides.
    #[serde(default)]
    pub(super) filter: Vec<Text>,
    /// Primary: what is kept equal, and how.
    #[serde(default)]
    pub(super) options: Options,
    /// Primary: when changes are sent.
    #[serde(default)]
    pub(super) coalesce: Times,
    /// Primary: which events are changes that are sent.
    #[serde(default)]
    pub(super) events: EventTable,
    /// Primary: full compares by the clock.
    #[serde(default)]
    pub(super) compare: CompareTable,
    /// Replica: refuse every write.
    pub(super) read_only: Option<bool>,
    /// Replica: addresses and networks that may write.
    #[serde(default)]
    pub(super) hosts_allow: Vec<Text>,
    /// Replica: those that may not.
    #[serde(default)]
    pub(super) hosts_deny: Vec<Text>,
    /// Replica: the user that files are written as, where root runs syncd.
    pub(super) uid: Option<Text>,
    /// Replica: the groups, the first being primary.
    #[serde(default)]
    pub(super) gid: Vec<Text>,
    /// Replica: how many sources at once; 0, the default, has no limit.
    pub(super) max_connections: Option<u32>,
    /// Replica: owners are numbers even where names are sent.
    pub(super) numeric_ids: Option<bool>,
    /// Replica: let set-user-id, set-group-id and devices through.
    pub(super) privileged: Option<bool>,
    /// Replica: a line for a shell that says whether a change set may go live.
    pub(super) pre_xfer_exec: Option<Text>,
    /// Replica: a line for a shell that runs when a change set is live.
    pub(super) post_xfer_exec: Option<Text>,
    /// Replica: what becomes of the permission bits that come.
    pub(super) incoming_chmod: Option<Text>,
}

impl Set {
    /// Keys that only a primary has, and whether they are there.
    pub(super) fn primary_keys(&self) -> [(&'static str, bool); 6] {
        [
            ("remote", self.remote.is_some()),
            ("exclude-regex", !self.exclude_regex.is_empty()),
            ("options", self.options != Options::default()),
            ("coalesce", self.coalesce != Times::default()),
            ("events", self.events != EventTable::default()),
            ("compare", self.compare != CompareTable::default()),
        ]
    }

    /// Keys that only a replica has, and whether they are there.
    pub(super) fn replica_keys(&self) -> [(&'static str, bool); 11] {
        [
            ("read-only", self.read_only.is_some()),
            ("hosts-allow", !self.hosts_allow.is_empty()),
            ("hosts-deny", !self.hosts_deny.is_empty()),
            ("uid", self.uid.is_some()),
            ("gid", !self.gid.is_empty()),
            ("max-connections", self.max_connections.is_some()),
            ("numeric-ids", self.numeric_ids.is_some()),
            ("privileged", self.privileged.is_some()),
            ("pre-xfer-exec", self.pre_xfer_exec.is_some()),
            ("post-xfer-exec", self.post_xfer_exec.is_some()),
            ("incoming-chmod", self.incoming_chmod.is_some()),
        ]
    }
}

/// A password: of a primary one user with its file, of a replica users with the file of them all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Auth {
    /// Primary.
    pub(super) user: Option<Text>,
    /// Primary: its first line is the password.
    pub(super) password_file: Option<Text>,
    /// Replica.
    pub(super) users: Option<Vec<String>>,
    /// Replica: lines of `user:password`.
    pub(super) secrets_file: Option<Text>,
    /// Replica: refuse a secrets file that others can read; on by default.
    pub(super) strict_modes: Option<bool>,
}

/// What is kept equal. What is not named has the value of [`super::SetOptions`]'s default.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Options {
    pub(super) mode: Option<bool>,
    pub(super) owner: Option<bool>,
    pub(super) group: Option<bool>,
    pub(super) mtime: Option<bool>,
    pub(super) xattrs: Option<bool>,
    pub(super) hard_links: Option<bool>,
    pub(super) symlinks: Option<bool>,
    pub(super) devices: Option<bool>,
    pub(super) specials: Option<bool>,
    pub(super) numeric_ids: Option<bool>,
    pub(super) whole_file: Option<bool>,
    pub(super) full_compare: Option<bool>,
    /// `off`, `zstd` or `zstd:LEVEL`.
    pub(super) compression: Option<Text>,
    pub(super) scan_interval: Option<Text>,
    /// Sizes as `"10M"`.
    pub(super) max_size: Option<Text>,
    pub(super) min_size: Option<Text>,
    pub(super) one_file_system: Option<bool>,
    pub(super) omit_dir_times: Option<bool>,
    pub(super) omit_link_times: Option<bool>,
    pub(super) existing_only: Option<bool>,
    pub(super) new_only: Option<bool>,
    /// As rsync's `--chmod`.
    pub(super) chmod: Option<Text>,
    /// `FROM:TO` each.
    #[serde(default)]
    pub(super) user_map: Vec<Text>,
    /// `FROM:TO` each.
    #[serde(default)]
    pub(super) group_map: Vec<Text>,
    /// In a second, as `"10M"`.
    pub(super) bandwidth: Option<Text>,
}

/// When changes are sent: see [`super::Coalesce`].
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Times {
    pub(super) quiet: Option<Text>,
    pub(super) settle: Option<Text>,
    pub(super) gone: Option<Text>,
    pub(super) open_quiet: Option<Text>,
    pub(super) linger: Option<Text>,
    pub(super) bound: Option<Text>,
}

/// Which events are changes that are sent: see [`super::Events`].
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EventTable {
    pub(super) create_file: Option<bool>,
    pub(super) create_folder: Option<bool>,
    pub(super) close_write: Option<bool>,
    pub(super) modify: Option<bool>,
    pub(super) move_from: Option<bool>,
    pub(super) move_to: Option<bool>,
}

/// Full compares by the clock: see [`super::Compare`].
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CompareTable {
    pub(super) every: Option<Text>,
    #[serde(default)]
    pub(super) exclude: Vec<Text>,
}

/// Something that is told of changes: see [`super::Plugin`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PluginTable {
    /// For people, and for `-m`.
    pub(super) name: Text,
    /// `command`, `socket` or `refresh-cdn`.
    pub(super) kind: Text,
    /// The set whose changes it is told of.
    pub(super) set: Option<Text>,
    /// Or the directory, absolute.
    pub(super) path: Option<Text>,
    /// How long one change may take.
    pub(super) timeout: Option<Text>,
    /// How many are told at once.
    pub(super) at_once: Option<usize>,
    /// `command`: the program, and arguments before the path.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// `command`: arguments after the path.
    #[serde(default)]
    pub(super) after: Vec<String>,
    /// `command`: only where one of these regular expressions matches the whole absolute path.
    pub(super) include: Option<Vec<Text>>,
    /// `socket`: `IP:PORT`; `refresh-cdn`: `HOST` or `HOST:PORT`.
    pub(super) address: Option<Text>,
    /// `refresh-cdn`: the account.
    pub(super) user: Option<String>,
    /// `refresh-cdn`: its first line is the account's password.
    pub(super) password_file: Option<Text>,
    /// `refresh-cdn`: the address that the root of the set has on the web.
    pub(super) base: Option<String>,
    /// `refresh-cdn`: makes the rest of the address from the absolute path.
    pub(super) rewrite: Option<Text>,
}

/// What hardly anybody changes: see [`super::Tuning`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TuningTable {
    pub(super) retry_ceiling: Option<Text>,
    pub(super) idle_timeout: Option<Text>,
    pub(super) record_after: Option<Text>,
    pub(super) threads: Option<usize>,
}
