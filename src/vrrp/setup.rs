//! What the VRRP module of a node is to do: the only form in which anything but `config` knows it.
//!
//! It crosses from the supervisor to the VRRP process, and two of them compared say what a reload changes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet::{Auth, Version};

/// Everything.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Setup {
    /// For people (`router_id`).
    pub router_id: String,
    /// Virtual routers, each name once, each VRID once for an interface and family.
    pub instances: Vec<Instance>,
    /// Which of them go together.
    pub groups: Vec<SyncGroup>,
    /// Programs whose result counts.
    pub scripts: Vec<Script>,
    /// Processes that have to run.
    pub processes: Vec<Process>,
    /// Files whose number counts.
    pub files: Vec<TrackFile>,
    /// Named pipes that are told of every transition.
    pub fifos: Vec<Fifo>,
    /// Pipes are told of every state after a reload (`fifo_write_vrrp_states_on_reload`).
    pub fifo_states_on_reload: bool,
    /// What root runs is looked at before each start (`enable_script_security`): others than root may write nothing of it.
    #[serde(default)]
    pub script_security: bool,
    /// Between two gratuitous ARPs on one interface (`vrrp_garp_interval`); 0 is at once.
    pub garp_interval: Duration,
    /// The same for unsolicited neighbour advertisements (`vrrp_gna_interval`).
    pub gna_interval: Duration,
    /// From the start of the process to that of the instances (`vrrp_startup_delay`).
    pub startup_delay: Duration,
    /// An interface that is missing is a fault of its instances, and not of the file (`dynamic_interfaces`).
    pub dynamic_interfaces: bool,
    /// How long the kernel keeps an address that nobody refreshes, at least 1 s; none is for ever.
    pub lease: Option<Duration>,
    /// How the process runs.
    pub scheduling: Scheduling,
}

/// How the VRRP process runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Scheduling {
    /// SCHED_RR at this priority, 1 to 99 (`vrrp_rt_priority`).
    pub realtime: Option<u8>,
    /// The most CPU time in one go at that priority, in µs (`vrrp_rlimit_rttime`); RLIMIT_RTTIME.
    pub realtime_limit: Option<u64>,
    /// nice(2), -20 to 19 (`vrrp_priority`).
    pub nice: i8,
    /// All memory stays in memory (`vrrp_no_swap`); mlockall(2).
    pub no_swap: bool,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// One virtual router (`vrrp_instance`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Instance {
    /// Its name, for people and scripts.
    pub name: String,
    /// The interface that it runs on.
    pub interface: String,
    /// Virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// The version that it speaks.
    pub version: Version,
    /// The family of its advertisements.
    pub family: Family,
    /// Priority before any tracker, 1 to 255; 255 owns the addresses.
    pub priority: u8,
    /// The interval between advertisements: whole seconds in version 2, whole 10 ms in version 3.
    pub interval: Duration,
    /// Whether it takes over from a master of lower priority (`preempt`).
    pub preempt: bool,
    /// How long it lets such a master be at first (`preempt_delay`).
    pub preempt_delay: Duration,
    /// What proves an advertisement of version 2.
    pub auth: Auth,
    /// The addresses that are advertised, in this order (`virtual_ipaddress`).
    pub addresses: Vec<Address>,
    /// Addresses that move with them and are not advertised (`virtual_ipaddress_excluded`).
    pub excluded: Vec<Address>,
    /// Routes that move with them (`virtual_routes`).
    pub routes: Vec<Route>,
    /// Rules that move with them (`virtual_rules`).
    pub rules: Vec<Rule>,
    /// Where advertisements go.
    pub transport: Transport,
    /// What advertisements come from; none takes the interface's first address.
    pub source: Option<IpAddr>,
    /// It is a fault that `source` is not on the interface (`track_src_ip`).
    pub track_source: bool,
    /// After how many intervals without an advertisement the master is gone (`down_timer_adverts`), from 1.
    pub down_adverts: u32,
    /// A master does not answer an advertisement of lower priority (`lower_prio_no_advert`).
    pub lower_priority_no_advert: bool,
    /// The checksum of version 3 over IPv4 leaves the pseudo-header out (`v3_checksum_as_v2`).
    pub checksum_without_pseudo_header: bool,
    /// How neighbours are told whose the addresses are.
    pub garp: Garp,
    /// The interface of its own that it makes for its addresses (`use_vmac`).
    pub vmac: Option<Vmac>,
    /// Whether a master answers on addresses that it does not own (`accept`, `no_accept`).
    pub accept: bool,
    /// What moves its priority or is a fault.
    pub track: Tracking,
    /// Its own interface being down is no fault (`dont_track_primary`).
    pub ignore_interface: bool,
    /// Who is told.
    pub notify: Notify,
    /// A change of priority is told too (`notify_priority_changes`).
    pub notify_priority: bool,
}

impl Instance {
    /// One of which nothing but where it is and what it moves is said: version 3 every second, to the group of RFC 5798.
    #[must_use]
    pub fn new(name: &str, interface: &str, vrid: u8, addresses: Vec<Address>) -> Self {
        let family = addresses.first().map_or(Family::V4, |address| Family::of(address.ip));
        let group = match family {
            Family::V4 => IpAddr::from([224, 0, 0, 18]),
            Family::V6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
        };
        Self {
            name: name.to_owned(),
            interface: interface.to_owned(),
            vrid,
            version: Version::V3,
            family,
            priority: 100,
            interval: Duration::from_secs(1),
            preempt: true,
            preempt_delay: Duration::ZERO,
            auth: Auth::None,
            addresses,
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            transport: Transport::Multicast { group },
            source: None,
            track_source: false,
            down_adverts: 3,
            lower_priority_no_advert: false,
            checksum_without_pseudo_header: false,
            garp: Garp::default(),
            vmac: None,
            accept: true,
            track: Tracking::default(),
            ignore_interface: false,
            notify: Notify::default(),
            notify_priority: false,
        }
    }
}

/// An address that moves.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix in bits.
    pub prefix: u8,
    /// The interface that it is put on; none takes the instance's own.
    pub device: Option<String>,
    /// Its scope, a number of rt_addrprotos: 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// Its label, for ifconfig(8); at most 15 bytes, IPv4 alone.
    pub label: Option<String>,
    /// Its broadcast address (`brd`), IPv4 alone.
    pub broadcast: Option<IpAddr>,
    /// The other end of a point-to-point link (`peer`).
    pub peer: Option<IpAddr>,
    /// IPv6: how long it may be picked as a source, in seconds (`preferred_lft`); none is for ever.
    pub preferred: Option<u32>,
    /// IPv6: `home`.
    pub home: bool,
    /// IPv6: `mngtmpaddr`.
    pub manage_temporary: bool,
    /// The kernel makes no route for its prefix (`noprefixroute`).
    pub no_prefix_route: bool,
    /// IPv6: whether the kernel looks for duplicates before it uses it (`-nodad` in keepalived's inverted sense).
    pub detect_duplicates: bool,
    /// Its interface being down is no fault (`no_track`).
    pub ignore_interface: bool,
}

impl Address {
    /// One of which nothing but address and prefix is said.
    #[must_use]
    pub fn new(ip: IpAddr, prefix: u8) -> Self {
        Self {
            ip,
            prefix,
            device: None,
            scope: 0,
            label: None,
            broadcast: None,
            peer: None,
            preferred: None,
            home: false,
            manage_temporary: false,
            no_prefix_route: false,
            detect_duplicates: false,
            ignore_interface: false,
        }
    }
}

/// A route that moves, as ip-route(8) takes it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Route {
    /// What kind of route it is.
    pub kind: RouteKind,
    /// Where it leads and the length of that prefix; of length 0 for `default`.
    pub to: (IpAddr, u8),
    /// `via`.
    pub gateway: Option<IpAddr>,
    /// `dev`; none leaves it to the gateway, or takes the instance's own.
    pub device: Option<String>,
    /// `src`.
    pub source: Option<IpAddr>,
    /// `metric`.
    pub metric: Option<u32>,
    /// `table`; 254 is main.
    pub table: u32,
    /// `scope`.
    pub scope: Option<u8>,
    /// `mtu`.
    pub mtu: Option<u32>,
    /// `onlink`.
    pub on_link: bool,
}

/// The kind of a route.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum RouteKind {
    /// It leads there.
    #[default]
    Unicast,
    /// What goes there is dropped.
    Blackhole,
    /// What goes there is answered by host unreachable.
    Unreachable,
    /// What goes there is answered by prohibited.
    Prohibit,
}

/// A rule that moves, as ip-rule(8) takes it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// `from`, with the length of the prefix.
    pub from: Option<(IpAddr, u8)>,
    /// `to`, with the length of the prefix.
    pub to: Option<(IpAddr, u8)>,
    /// `iif`.
    pub input: Option<String>,
    /// `oif`.
    pub output: Option<String>,
    /// `fwmark` and its mask.
    pub mark: Option<(u32, u32)>,
    /// `priority`, `preference`: the lower the earlier.
    pub priority: Option<u32>,
    /// `table`, `lookup`.
    pub table: u32,
}

/// Where advertisements go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Transport {
    /// To a group on the link; what comes must not have passed a router.
    Multicast {
        /// The group.
        group: IpAddr,
    },
    /// To each peer.
    Unicast {
        /// The peers.
        peers: Vec<Peer>,
        /// TTL or hop limit of what is sent; none leaves it to the kernel.
        ttl: Option<u8>,
        /// Only peers that are named may send (`check_unicast_src`).
        check_source: bool,
    },
}

/// A router that advertisements are sent to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The least TTL that an advertisement of it may have (`min_ttl`).
    pub min_ttl: u8,
    /// The largest (`max_ttl`).
    pub max_ttl: u8,
}

/// Gratuitous ARP and unsolicited neighbour advertisements.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Garp {
    /// From taking over to the second burst; 0 is for none.
    pub delay: Duration,
    /// How many of each address in a burst.
    pub repeat: u32,
    /// Between bursts for as long as it is master; 0 is for none.
    pub refresh: Duration,
    /// How many of each address in such a burst.
    pub refresh_repeat: u32,
    /// From an advertisement of lower priority to the second burst after it; 0 is for none.
    pub lower_delay: Duration,
    /// How many of each address in those.
    pub lower_repeat: u32,
}

impl Default for Garp {
    fn default() -> Self {
        let five = Duration::from_secs(5);
        Self { delay: five, repeat: 5, refresh: Duration::ZERO, refresh_repeat: 1, lower_delay: five, lower_repeat: 5 }
    }
}

/// An interface with the hardware address of the virtual router.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Vmac {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its hardware address; 00:00:5e:00:01:VRID, of IPv6 00:00:5e:00:02:VRID.
    pub mac: [u8; 6],
    /// Advertisements leave by the interface below (`vmac_xmit_base`).
    pub transmit_base: bool,
}

/// What an instance or a group looks at. Weights: positive adds while it is well, negative takes away
/// while it is not, 0 makes it a fault; reversed the other way round.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tracking {
    /// Interfaces besides its own.
    pub interfaces: Vec<Track>,
    /// [`Script`]s by name.
    pub scripts: Vec<Track>,
    /// [`Process`]es by name.
    pub processes: Vec<Track>,
    /// [`TrackFile`]s by name.
    pub files: Vec<Track>,
}

/// One thing that is looked at, with its weight here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Track {
    /// What.
    pub name: String,
    /// -253 to 253; of a file any number.
    pub weight: i32,
    /// `reverse`.
    pub reverse: bool,
}

/// Who is told of transitions, by programs that are run in order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Command>,
    /// `notify_backup`.
    pub backup: Option<Command>,
    /// `notify_fault`.
    pub fault: Option<Command>,
    /// `notify_stop`.
    pub stop: Option<Command>,
    /// `notify_deleted`; without it a removed instance tells `notify_fault`.
    pub deleted: Option<Command>,
    /// `notify`: for each, with `INSTANCE NAME STATE PRIORITY` as arguments.
    pub any: Option<Command>,
    /// `notify_master_rx_lower_pri`.
    pub lower_priority: Option<Command>,
}

/// A program of the operator's; no shell is involved unless it is the program.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Command {
    /// The program and its arguments, at least the program.
    pub argv: Vec<String>,
    /// Whom it runs as; none keeps the service's own.
    pub user: Option<User>,
}

/// Whom a program runs as.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Instances that are master together (`vrrp_sync_group`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// Its instances by name, at least one, none of them in two groups.
    pub members: Vec<String>,
    /// What makes all of them fault, or moves the priority of all.
    pub track: Tracking,
    /// Who is told.
    pub notify: Notify,
    /// Weights of its members count (`sync_group_tracking_weight`).
    pub member_weights: bool,
}

/// A program whose result counts (`vrrp_script`).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is run.
    pub command: Command,
    /// From one start to the next, at least 10 ms.
    pub interval: Duration,
    /// When it is ended, which counts as a failure.
    pub timeout: Duration,
    /// After how many successes in a row it is well again, from 1.
    pub rise: u32,
    /// After how many failures in a row it is not, from 1.
    pub fall: u32,
    /// It is not well before its first success (`init_fail`).
    pub init_fail: bool,
}

/// Processes that have to run (`vrrp_track_process`).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// The name of the program: of its file, or with a `/` its whole path.
    pub program: String,
    /// Its parameters, and how they are compared; none where they do not count.
    pub parameters: Option<(ParameterMatch, Vec<String>)>,
    /// The command line is looked at, and not the name that the process has (`full_command`).
    pub full_command: bool,
    /// How many there must be; 0 where only too many of them count.
    pub least: u32,
    /// How many there may be.
    pub most: Option<u32>,
    /// How long there must be enough of them.
    pub up_delay: Duration,
    /// How long there must be too few or too many.
    pub down_delay: Duration,
}

/// How parameters of a process are compared (`param_match`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ParameterMatch {
    /// They are these.
    Exact,
    /// They begin with these.
    Partial,
    /// They begin with these; the last of them may be the beginning of one.
    Initial,
}

/// A file whose first number times the weight is added (`vrrp_track_file`); 0 where it is not there.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// The number that is written to it at the start, and whether one that is there is replaced.
    pub init: Option<(i32, bool)>,
}

/// A named pipe that is told of every transition, a line each.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Fifo {
    /// The pipe; made where it is not.
    pub path: PathBuf,
    /// Whose it is where it has to be made; of nobody in particular it is the program's.
    #[serde(default)]
    pub owner: Option<User>,
    /// A program that reads it, with the pipe's path as its last argument.
    pub script: Option<Command>,
}
