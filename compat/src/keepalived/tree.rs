//! What a `keepalived.conf` says about addresses that move, typed and with places.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::address::Address;
use super::place::{At, Located, Setting, Sources};
use super::word::Word;

/// The whole configuration, with all that it includes.
#[derive(Clone, Debug, Default)]
pub struct KeepalivedConf {
    /// The files.
    pub sources: Sources,
    /// `global_defs`.
    pub globals: Globals,
    /// Every `vrrp_instance`, also those that lack something.
    pub instances: Vec<Instance>,
    /// Every `vrrp_sync_group`.
    pub groups: Vec<Group>,
    /// Every `vrrp_script`.
    pub scripts: Vec<Script>,
    /// Every `vrrp_track_process`.
    pub processes: Vec<Process>,
    /// Every `vrrp_track_file`.
    pub files: Vec<TrackFile>,
    /// `static_ipaddress`.
    pub static_addresses: Vec<Address>,
    /// `static_routes`, word by word as ip-route(8) takes them.
    pub static_routes: Vec<Vec<Word>>,
    /// `static_rules`, word by word as ip-rule(8) takes them.
    pub static_rules: Vec<Vec<Word>>,
}

/// `global_defs`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Globals {
    /// `router_id`; the host's name where it is absent.
    pub router_id: Option<Located<String>>,
    /// `script_user`.
    pub script_user: Option<User>,
    /// `enable_script_security`.
    pub script_security: Setting<bool>,
    /// `vrrp_version`: 2 or 3.
    pub version: Setting<u8>,
    /// `vrrp_mcast_group4`.
    pub group4: Setting<Ipv4Addr>,
    /// `vrrp_mcast_group6`.
    pub group6: Setting<Ipv6Addr>,
    /// `vrrp_garp_*`.
    pub garp: Garp,
    /// `vrrp_garp_interval`: between two gratuitous ARPs on one interface.
    pub garp_interval: Setting<Duration>,
    /// `vrrp_gna_interval`: the same for unsolicited neighbour advertisements.
    pub gna_interval: Setting<Duration>,
    /// `vrrp_min_garp`: one, and no second burst.
    pub min_garp: Setting<bool>,
    /// What instances can also say for themselves.
    pub common: Common,
    /// `notify_fifo` and its script.
    pub notify_fifo: Fifo,
    /// `vrrp_notify_fifo` and its script.
    pub vrrp_notify_fifo: Fifo,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_states_on_reload: Setting<bool>,
    /// `vrrp_startup_delay` or `vrrp_delay_after_boot`.
    pub startup_delay: Setting<Duration>,
    /// `dynamic_interfaces`: a missing interface is no fault of the file.
    pub dynamic_interfaces: Setting<bool>,
    /// `default_interface`.
    pub default_interface: Setting<String>,
    /// `vrrp_priority`: nice(2).
    pub nice: Setting<i8>,
    /// `vrrp_rt_priority`: SCHED_RR.
    pub rt_priority: Option<Located<u8>>,
    /// `vrrp_no_swap`.
    pub no_swap: Setting<bool>,
    /// `vrrp_rlimit_rttime`, µs.
    pub rttime: Setting<u64>,
}

/// Switches that `global_defs` sets for all instances, and an instance for itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Common {
    /// `vrrp_skip_check_adv_addr`, `skip_check_adv_addr`.
    pub skip_check_adv_addr: Setting<bool>,
    /// `vrrp_check_unicast_src`, `check_unicast_src`.
    pub check_unicast_src: Setting<bool>,
    /// `vrrp_strict`, `strict_mode`.
    pub strict: Setting<bool>,
    /// `vrrp_lower_prio_no_advert`, `lower_prio_no_advert`.
    pub lower_prio_no_advert: Setting<bool>,
    /// `vrrp_higher_prio_send_advert`, `higher_prio_send_advert`.
    pub higher_prio_send_advert: Setting<bool>,
    /// `vrrp_notify_priority_changes`, `notify_priority_changes`.
    pub notify_priority_changes: Setting<bool>,
    /// `vrrp_down_timer_adverts`, `down_timer_adverts`: 1 to 100.
    pub down_timer_adverts: Setting<u8>,
}

/// Gratuitous ARP and unsolicited neighbour advertisements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Garp {
    /// `garp_master_delay`: from taking over to the second burst.
    pub master_delay: Setting<Duration>,
    /// `garp_master_repeat`: how many in a burst.
    pub master_repeat: Setting<u32>,
    /// `garp_master_refresh`: between bursts for as long as it is master; 0 is never.
    pub master_refresh: Setting<Duration>,
    /// `garp_master_refresh_repeat`: how many in each of those.
    pub master_refresh_repeat: Setting<u32>,
    /// `garp_lower_prio_delay`: as `master_delay`, after an advert of a lower priority.
    pub lower_prio_delay: Setting<Duration>,
    /// `garp_lower_prio_repeat`.
    pub lower_prio_repeat: Setting<u32>,
}

/// A user, and perhaps a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The user.
    pub name: Located<String>,
    /// The group; the user's own where it is absent.
    pub group: Option<Located<String>>,
}

/// A named pipe for events, and a program that reads it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fifo {
    /// The pipe.
    pub path: Option<Located<String>>,
    /// Whom it is given to where it has to be made.
    pub user: Option<User>,
    /// The program.
    pub script: Option<Command>,
}

/// A program with its arguments; no shell sees them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// The program and its arguments; at least the program.
    pub argv: Vec<String>,
    /// Whom it runs as, where that is said.
    pub user: Option<User>,
    /// Where it is written.
    pub at: At,
}

/// What a node wants to be when it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// `MASTER`.
    Master,
    /// `BACKUP`.
    Backup,
}

/// One `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name.
    pub name: Located<String>,
    /// `state`.
    pub state: Setting<State>,
    /// `interface`; an instance without one does not run.
    pub interface: Option<Located<String>>,
    /// `virtual_router_id`: 1 to 255; an instance without one does not run.
    pub vrid: Option<Located<u8>>,
    /// `priority`: 1 to 255.
    pub priority: Setting<u8>,
    /// `advert_int`, as written: version 2 rounds it to whole seconds.
    pub advert_int: Setting<Duration>,
    /// `version`: 2 or 3; an instance of IPv6 addresses is always 3.
    pub version: Setting<u8>,
    /// `authentication`.
    pub auth: Option<Auth>,
    /// `virtual_ipaddress`, in order.
    pub addresses: Vec<Address>,
    /// `virtual_ipaddress_excluded`.
    pub excluded: Vec<Address>,
    /// `virtual_routes`, word by word.
    pub routes: Vec<Vec<Word>>,
    /// `virtual_rules`, word by word.
    pub rules: Vec<Vec<Word>>,
    /// `no_virtual_ipaddress`: it is meant to have none.
    pub no_addresses: Setting<bool>,
    /// Whether a higher priority takes over: `preempt`, or not: `nopreempt`.
    pub preempt: Setting<bool>,
    /// `preempt_delay`.
    pub preempt_delay: Setting<Duration>,
    /// `unicast_src_ip`, `unicast_peer` and their kin.
    pub unicast: Unicast,
    /// `mcast_src_ip`.
    pub mcast_src: Option<Located<IpAddr>>,
    /// `mcast_dst_ip`.
    pub mcast_dst: Option<Located<IpAddr>>,
    /// `track_src_ip`.
    pub track_src_ip: Setting<bool>,
    /// What changes the priority, or is a fault.
    pub track: Tracking,
    /// `dont_track_primary`.
    pub dont_track_primary: Setting<bool>,
    /// `notify_*`.
    pub notify: Notify,
    /// `garp_*`.
    pub garp: Garp,
    /// What `global_defs` can say too.
    pub common: Common,
    /// `accept`, `no_accept`: whether a master answers on addresses that it does not own.
    pub accept: Setting<bool>,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `promote_secondaries`.
    pub promote_secondaries: Setting<bool>,
    /// `timer_expired_backup`.
    pub timer_expired_backup: Setting<bool>,
    /// `v3_checksum_as_v2`.
    pub v3_checksum_as_v2: Setting<bool>,
    /// An error is about it: it does not run, and the others do.
    pub refused: bool,
}

/// `authentication`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// `auth_type`.
    pub kind: Located<AuthKind>,
    /// `auth_pass`, of which eight bytes count.
    pub password: Option<Located<Secret>>,
}

/// `auth_type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthKind {
    /// `PASS`.
    Pass,
    /// `AH`.
    Ah,
    /// Anything else.
    None,
}

/// A password; it can be compared, and does not show itself.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(pub(super) Vec<u8>);

impl Secret {
    /// The eight bytes that are sent: what is longer is cut, what is shorter filled with zeros.
    #[must_use]
    pub fn wire(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(&self.0).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// How many bytes are written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Adverts to one address each in place of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unicast {
    /// `unicast_src_ip`.
    pub source: Option<Located<IpAddr>>,
    /// `unicast_peer`.
    pub peers: Vec<Peer>,
    /// `unicast_ttl`; 255 over IPv4 and the kernel's own over IPv6 where it is absent.
    pub ttl: Option<Located<u8>>,
    /// `unicast_fault_no_peer`.
    pub fault_no_peer: Option<Located<bool>>,
}

/// One `unicast_peer`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address.
    pub address: Located<IpAddr>,
    /// The least TTL that an advert of it may have.
    pub min_ttl: Option<u8>,
    /// The largest.
    pub max_ttl: Option<u8>,
}

/// What an instance or a group looks at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tracking {
    /// `track_interface`.
    pub interfaces: Vec<Track>,
    /// `track_script`.
    pub scripts: Vec<Track>,
    /// `track_process`.
    pub processes: Vec<Track>,
    /// `track_file`.
    pub files: Vec<Track>,
}

/// One entry of `track_*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// What it looks at.
    pub name: Located<String>,
    /// Its weight here, where that is said.
    pub weight: Option<Weight>,
}

/// What a tracked thing does to the priority: positive adds while it is well, negative takes away
/// while it is not, 0 makes it a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Weight {
    /// -253 to 253; of a file -2147483647 to 2147483647.
    pub value: i32,
    /// `reverse`: the other way round.
    pub reverse: bool,
    /// Where it is written; none for a default.
    pub at: Option<At>,
}

/// `notify_*`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Command>,
    /// `notify_backup`.
    pub backup: Option<Command>,
    /// `notify_fault`.
    pub fault: Option<Command>,
    /// `notify_stop`.
    pub stop: Option<Command>,
    /// `notify_deleted`.
    pub deleted: Option<Command>,
    /// `notify`: called for each, with what happened as arguments.
    pub any: Option<Command>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Command>,
}

/// `use_vmac`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vmac {
    /// The name of the interface, where one is given.
    pub name: Option<Located<String>>,
    /// The hardware address, where one is given.
    pub mac: Option<Located<[u8; 6]>>,
    /// `vmac_xmit_base`: adverts leave by the interface below.
    pub transmit_base: Setting<bool>,
    /// `use_vmac_addr`: a VMAC for the addresses on other interfaces too.
    pub addresses: Setting<bool>,
    /// Where it is written.
    pub at: At,
}

/// One `vrrp_sync_group`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Located<String>,
    /// The instances that go together.
    pub members: Vec<Located<String>>,
    /// What makes all of them fault.
    pub track: Tracking,
    /// `notify_*`.
    pub notify: Notify,
    /// `sync_group_tracking_weight`: weights of members count.
    pub tracking_weight: Setting<bool>,
    /// `notify_priority_changes`.
    pub notify_priority_changes: Setting<bool>,
}

/// One `vrrp_script`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// Its name.
    pub name: Located<String>,
    /// What is run; without it nothing is.
    pub command: Option<Command>,
    /// `interval`.
    pub interval: Setting<Duration>,
    /// `timeout`.
    pub timeout: Setting<Duration>,
    /// `weight`.
    pub weight: Weight,
    /// `rise`: successes in a row.
    pub rise: Setting<u32>,
    /// `fall`: failures in a row.
    pub fall: Setting<u32>,
    /// `init_fail`: down until it succeeds.
    pub init_fail: Setting<bool>,
}

/// One `vrrp_track_process`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// Its name.
    pub name: Located<String>,
    /// The program and the parameters that are matched.
    pub command: Option<Command>,
    /// `weight`.
    pub weight: Weight,
    /// `quorum`: how many there must be.
    pub quorum: Setting<u32>,
    /// `quorum_max`: how many there may be.
    pub quorum_max: Option<Located<u32>>,
    /// `fork_delay`: how long there must be enough.
    pub fork_delay: Setting<Duration>,
    /// `terminate_delay`: how long there must be too few.
    pub terminate_delay: Setting<Duration>,
    /// `full_command`: the whole command line is matched, and not the name alone.
    pub full_command: Setting<bool>,
    /// `param_match`: `initial`, `partial` or, empty, exact; none where parameters do not count.
    pub param_match: Option<Located<String>>,
}

/// One `vrrp_track_file`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackFile {
    /// Its name.
    pub name: Located<String>,
    /// The file, whose first number times the weight is added.
    pub file: Option<Located<String>>,
    /// `weight`; with 0 a number other than 0 is a fault.
    pub weight: Weight,
    /// `init_file`: the words behind it (`VALUE`, `overwrite`).
    pub init: Option<Vec<Word>>,
}

impl Instance {
    /// Whether it is an instance of IPv6 addresses.
    #[must_use]
    pub fn is_v6(&self) -> bool {
        self.addresses.first().map_or_else(
            || self.unicast.peers.first().is_some_and(|peer| peer.address.value.is_ipv6()),
            |address| address.ip.value.is_ipv6(),
        )
    }

    /// The addresses that move: of `addresses` those of another family than the first are left out.
    pub fn moving(&self) -> impl Iterator<Item = &Address> {
        let own = self.addresses.iter().filter(|address| address.ip.value.is_ipv6() == self.is_v6());
        own.chain(&self.excluded)
    }
}
