//! The native configuration as typed data: everything that a node does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::filter::Rule;
use crate::model::{Attrs, Digest};
use crate::rewrite::{Chmod, Rewrite};
use crate::vrrp::setup::Setup;

/// Everything that one running syncd does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, which names the instance.
    pub file: PathBuf,
    /// This node.
    pub node: NodeConfig,
    /// Sets that this node is primary of.
    pub sources: Vec<SourceSet>,
    /// Sets that this node receives.
    pub replicas: Vec<ReplicaSet>,
    /// Pin the first key that comes for a set without a password (`--trust-first-use`).
    pub trust_first_use: bool,
    /// A human-readable line for each failure, where a legacy file asks for one.
    pub fail_log: Option<FailLog>,
    /// What hardly anybody changes.
    pub tuning: Tuning,
    /// Virtual addresses that move between nodes.
    pub vrrp: Option<Vrrp>,
}

impl Config {
    /// One of a node of that name that does nothing.
    #[must_use]
    pub fn of(file: &Path, name: &str) -> Self {
        Self {
            file: file.to_owned(),
            node: NodeConfig { name: name.to_owned(), listen: None, pid_file: None, debug: false },
            sources: Vec::new(),
            replicas: Vec::new(),
            trust_first_use: false,
            fail_log: None,
            tuning: Tuning::default(),
            vrrp: None,
        }
    }
}

/// Virtual addresses, and where the passwords stand that are to be filled in before they are used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vrrp {
    /// What the VRRP module is to do.
    pub setup: Setup,
    /// The password file of each instance of version 2 that has one.
    pub passwords: BTreeMap<String, PathBuf>,
}

/// This node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, for people; the host's name by default.
    pub name: String,
    /// Where it listens, on UDP; none when it receives nothing. Default port 873.
    pub listen: Option<SocketAddr>,
    /// A file that holds the number of the process while it runs.
    pub pid_file: Option<PathBuf>,
    /// Whether each event and what is done about it is logged.
    pub debug: bool,
}

/// One tree that this node is primary of, and where it goes.
#[derive(Clone, Debug)]
pub struct SourceSet {
    /// Unique on this node, for people and commands.
    pub name: String,
    /// The root directory.
    pub path: PathBuf,
    /// What is kept equal, and how.
    pub options: SetOptions,
    /// When changes are sent.
    pub coalesce: Coalesce,
    /// Which events are changes that are sent.
    pub events: Events,
    /// Full compares by the clock, and what compares leave alone.
    pub compare: Compare,
    /// Paths that match are neither sent nor removed: regular expressions in sersync's dialect.
    pub exclude_regex: Vec<String>,
    /// Rules of what is included and excluded, as rsync's; the first that matches decides.
    pub filter: Vec<Rule>,
    /// The receivers; none for a tree that only plugins are told of.
    pub targets: Vec<Target>,
    /// What is done after a change was mirrored.
    pub plugins: Vec<Plugin>,
}

impl SourceSet {
    /// Tells this configuration from every other: what was agreed upon under one says little under
    /// another.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }
}

/// Something that is done for each change of a set, once every target has it or has failed to take it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plugin {
    /// For people.
    pub name: String,
    /// What is done.
    pub action: PluginAction,
    /// How long one change may take.
    pub timeout: Duration,
    /// How many changes are told at once.
    pub at_once: usize,
}

impl Plugin {
    /// One with the times that its action needs.
    #[must_use]
    pub fn new(name: &str, action: PluginAction) -> Self {
        let seconds = match &action {
            PluginAction::Command { .. } => 300,
            PluginAction::Socket { .. } => 5,
            PluginAction::RefreshCdn { .. } => 10,
        };
        Self { name: name.to_owned(), action, timeout: Duration::from_secs(seconds), at_once: 4 }
    }
}

/// What a plugin does with the absolute path of a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PluginAction {
    /// Runs a program: `before`, the path, `after`.
    Command {
        /// The program, and arguments before the path.
        before: Vec<String>,
        /// Arguments after the path.
        after: Vec<String>,
        /// Only where one of these regular expressions matches the whole path.
        include: Option<Vec<String>>,
    },
    /// Sends the path over a TCP connection of its own, and nothing else.
    Socket {
        /// Where to.
        address: SocketAddr,
    },
    /// Asks a cache of ChinaCache's kind to fetch it anew.
    RefreshCdn {
        /// The cache's host, which is also named in the request.
        host: String,
        /// Its port.
        port: u16,
        /// The account.
        user: String,
        /// Its password.
        password: CdnPassword,
        /// The address that the root of the set has on the web.
        base: String,
        /// Makes the rest of the address from the absolute path: its first group and what follows.
        rewrite: Option<String>,
    },
}

/// The password of an account at a cache.
#[derive(Clone, Eq, PartialEq)]
pub enum CdnPassword {
    /// As a legacy file has it.
    Said(String),
    /// The first line of a file.
    File(PathBuf),
}

/// Never the password itself.
impl std::fmt::Debug for CdnPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said(_) => f.write_str("Said(…)"),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
        }
    }
}

/// A receiver of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// The set's name there.
    pub set: String,
    /// Only addresses of this kind, where the host is a name.
    pub family: Option<Family>,
    /// How this node proves that it may write there.
    pub auth: SourceAuth,
    /// What carries changes there.
    pub transport: Transport,
    /// How rsync gets there, where it carries them.
    pub reach: Reach,
}

impl Target {
    /// A receiver that runs `syncd peer`.
    #[must_use]
    pub fn new(host: String, port: u16, set: String, auth: SourceAuth) -> Self {
        Self { host, port, set, family: None, auth, transport: Transport::default(), reach: Reach::default() }
    }

    /// Whether `other` is the same set on the same host, however it is reached.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.set) == (&other.host, other.port, &other.set)
    }
}

/// What carries changes to a receiver.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// QUIC to a `syncd peer`, encrypted. Nothing else starts by itself.
    #[default]
    Quic,
    /// The installed rsync, to a host that runs rsyncd or sshd still.
    Rsync,
    /// QUIC; rsync as long as no syncd answers there.
    Auto,
}

/// How rsync gets to a receiver.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reach {
    /// To an rsyncd on the target's port, on TCP: not encrypted. The set's name is a module.
    #[default]
    Daemon,
    /// Through ssh, whose keys are the proof. The set's name is a directory there.
    Ssh {
        /// The user there; none leaves it to ssh.
        user: Option<String>,
    },
}

/// A kind of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4 (`-4`).
    V4,
    /// IPv6 (`-6`).
    V6,
}

/// How a source proves its right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceAuth {
    /// By its node key, which the receiver pinned or trusts on first use.
    Key,
    /// By a password, and the key that the receiver pinned with it.
    Password {
        /// The user that `auth users` names.
        user: String,
        /// The file whose first line is the password.
        file: PathBuf,
    },
}

/// What a set keeps equal, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetOptions {
    /// Attributes (`-p -o -g -t -X -A -H`).
    pub attrs: Attrs,
    /// Symlinks travel (`-l`).
    pub symlinks: bool,
    /// Devices travel (`-D`, `--devices`), where the receiver allows it.
    pub devices: bool,
    /// Pipes and sockets travel (`-D`, `--specials`).
    pub specials: bool,
    /// Owners are numbers (`--numeric-ids`).
    pub numeric_ids: bool,
    /// zstd on the wire (`-z`).
    pub compression: Compression,
    /// Never send deltas (`-W`).
    pub whole_file: bool,
    /// What happens on the receiver to what is gone here.
    pub delete: DeletePolicy,
    /// Look at the whole tree, on both sides, whenever a peer connects.
    pub full_compare: bool,
    /// How often the whole tree is looked at for changes that inotify(7) cannot see.
    pub scan_interval: Duration,
    /// Larger files, in bytes, neither travel nor are removed (`--max-size`).
    pub max_size: Option<u64>,
    /// Smaller files, in bytes, neither travel nor are removed (`--min-size`).
    pub min_size: Option<u64>,
    /// What is mounted below the root neither travels nor is removed (`-x`).
    pub one_file_system: bool,
    /// What is said of entries instead of what stat(2) says (`--chmod`, `--chown`, …).
    pub rewrite: Rewrite,
    /// The most bytes in a second to one peer (`--bwlimit`).
    pub bandwidth: Option<u64>,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self {
            attrs: Attrs::ARCHIVE,
            symlinks: true,
            devices: false,
            specials: true,
            numeric_ids: false,
            compression: Compression::Off,
            whole_file: false,
            delete: DeletePolicy::Guarded,
            full_compare: true,
            scan_interval: Duration::from_secs(600),
            max_size: None,
            min_size: None,
            one_file_system: false,
            rewrite: Rewrite::default(),
            bandwidth: None,
        }
    }
}

/// Compression of what travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// None: best on a LAN.
    Off,
    /// zstd at this level, 1 to 19.
    Zstd(i32),
}

/// What happens to what is gone at the source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeletePolicy {
    /// It goes, without a limit.
    Always,
    /// It goes, but a root that lost more than half of its entries halts deletions.
    Guarded,
    /// Nothing is ever removed.
    Never,
}

/// When changes are sent: see `coalesce`. All bounds count from the first event of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coalesce {
    /// How long nothing may happen before a batch goes out; 0 sends a first event at once.
    pub quiet: Duration,
    /// How long a new name must live before it travels, so that probes and temporary names do not.
    pub settle: Duration,
    /// How long a name must be gone before its removal travels, so that a save that removes and
    /// makes anew is one change.
    pub gone: Duration,
    /// How long a file that is still open for writing must be left alone before it travels.
    pub open_quiet: Duration,
    /// How long after a batch the next one may come, so that a burst is one change set.
    pub linger: Duration,
    /// The longest that anything is held back.
    pub bound: Duration,
}

impl Default for Coalesce {
    fn default() -> Self {
        Self {
            quiet: Duration::ZERO,
            settle: Duration::from_millis(10),
            gone: Duration::from_millis(50),
            open_quiet: Duration::from_millis(500),
            linger: Duration::from_millis(5),
            bound: Duration::from_secs(2),
        }
    }
}

/// Which kinds of events mark a name dirty: sersync2's `<inotify>`. What is left out travels with
/// the next full compare. Changes of attributes, links, special files and removals always do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Events {
    /// A file was made.
    pub create_file: bool,
    /// A directory was made.
    pub create_folder: bool,
    /// A file was closed by its writer.
    pub close_write: bool,
    /// A file was written, and may still be open.
    pub modify: bool,
    /// A name was moved away.
    pub move_from: bool,
    /// A name was moved here.
    pub move_to: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { create_file: true, create_folder: true, close_write: true, modify: true, move_from: true, move_to: true }
    }
}

impl Events {
    /// Whether there are changes that no event makes travel. Where a file's close counts, its
    /// creation and its writing add nothing.
    #[must_use]
    pub fn leave_something_out(&self) -> bool {
        !(self.close_write && self.create_folder && self.move_from && self.move_to)
    }
}

/// Full compares with every target: sersync2's `crontab`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Compare {
    /// How often, counted from the start of the process; none for only when a peer connects.
    pub every: Option<Duration>,
    /// rsync's globs, each of which excludes: what no compare sends or removes; an event does all the same.
    pub exclude: Vec<Rule>,
}

/// One tree that this node receives.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// The set's name on the wire (rsyncd's module).
    pub name: String,
    /// The root directory.
    pub path: PathBuf,
    /// Refuse every write.
    pub read_only: bool,
    /// Who may write.
    pub auth: ReplicaAuth,
    /// Only these hosts, if any is named.
    pub hosts_allow: Vec<HostPattern>,
    /// Never these, unless also allowed.
    pub hosts_deny: Vec<HostPattern>,
    /// The user that files are written as; none keeps the process's own.
    pub uid: Option<Owner>,
    /// The group, likewise; the first is primary.
    pub gid: Vec<Owner>,
    /// How many sources at once; 0 has no limit.
    pub max_connections: u32,
    /// Owners are numbers even where the source sends names.
    pub numeric_ids: bool,
    /// Let set-user-id, set-group-id and devices through.
    pub privileged: bool,
    /// The guard of the receiver itself against mass deletion.
    pub delete: DeletePolicy,
    /// Rules of what no source sees, writes or removes; the first that matches decides.
    pub filter: Vec<Rule>,
    /// What becomes of the permission bits that come (`incoming chmod`).
    pub incoming_chmod: Chmod,
    /// Commands around each change set.
    pub xfer_exec: XferExec,
}

impl ReplicaSet {
    /// As [`SourceSet::digest`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }
}

/// rsyncd's commands around a transfer; each is a line for a shell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct XferExec {
    /// `pre-xfer exec`: a change set goes live only if it ends with status 0.
    pub before: Option<String>,
    /// `post-xfer exec`: runs when a change set is live.
    pub after: Option<String>,
}

/// Who may write a replica set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplicaAuth {
    /// A pinned key, or the first one where first use is trusted.
    Key,
    /// One of these users, by the password that the file holds for it (`user:password` lines).
    Password {
        /// Names as in `auth users`.
        users: Vec<String>,
        /// `secrets file`.
        file: PathBuf,
        /// Refuse a file that others can read (`strict modes`).
        strict: bool,
    },
}

/// A user or group, by number and as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The number.
    pub id: u32,
    /// As the file names it.
    pub name: String,
}

/// A host in `hosts allow` or `hosts deny`; names are refused when the file is read, because an
/// access decision must not depend on a resolver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostPattern {
    /// Every host (`*`).
    Any,
    /// An address and how many of its leading bits count.
    Net(std::net::IpAddr, u8),
}

/// `failLog` of a legacy file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailLog {
    /// Where the lines go.
    pub path: PathBuf,
}

/// What hardly anybody changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tuning {
    /// The ceiling of the backoff between attempts to reach a peer, at most 10 s.
    pub retry_ceiling: Duration,
    /// How long a peer may be silent before the connection counts as dead.
    pub idle_timeout: Duration,
    /// How long something may be unacknowledged before it is recorded durably.
    pub record_after: Duration,
    /// Threads for file work on each side; 0 takes one for each core.
    pub threads: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            retry_ceiling: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(8),
            record_after: Duration::from_millis(100),
            threads: 0,
        }
    }
}
