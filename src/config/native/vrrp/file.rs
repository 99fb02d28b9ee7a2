//! The grammar of virtual addresses in `syncd.toml`.

use serde::Deserialize;
use toml::Spanned;

/// A text and its place.
type Text = Spanned<String>;

/// `[vrrp-global]`: what holds for all of them.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct GlobalTable {
    /// For people; the node's name by default.
    pub(super) router_id: Option<String>,
    /// How long the kernel keeps an address that nobody refreshes: at least `"1s"`, `"3s"` by default; `"off"` is for ever.
    pub(super) lease: Option<Text>,
    /// From the start of the process to that of the instances.
    pub(super) startup_delay: Option<Text>,
    /// Between two gratuitous ARPs on one interface.
    pub(super) garp_interval: Option<Text>,
    /// The same for unsolicited neighbour advertisements.
    pub(super) gna_interval: Option<Text>,
    /// An interface that is missing is a fault of its instances, and not of the file.
    #[serde(default)]
    pub(super) dynamic_interfaces: bool,
    /// Pipes are told of every state after a reload.
    #[serde(default)]
    pub(super) fifo_states_on_reload: bool,
    /// SCHED_RR at this priority, 1 to 99.
    pub(super) realtime: Option<Spanned<u8>>,
    /// The most CPU time in one go at that priority.
    pub(super) realtime_limit: Option<Text>,
    /// nice(2).
    pub(super) nice: Option<Spanned<i8>>,
    /// All memory stays in memory.
    #[serde(default)]
    pub(super) no_swap: bool,
}

/// `[[vrrp]]`: one virtual router.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct InstanceTable {
    /// For people, groups and scripts.
    pub(super) name: Text,
    /// Where it runs.
    pub(super) interface: Text,
    /// 1 to 255, the same on all nodes.
    pub(super) vrid: Spanned<u8>,
    /// 2 or 3; 3 by default.
    pub(super) version: Option<Spanned<u8>>,
    /// `ipv4` or `ipv6`, where no address says it.
    pub(super) family: Option<Text>,
    /// 1 to 255; 100 by default.
    pub(super) priority: Option<Spanned<u8>>,
    /// Between advertisements; `"1s"` by default.
    pub(super) interval: Option<Text>,
    /// `always`, the default, or `never`.
    pub(super) preempt: Option<Text>,
    /// How long a master of lower priority may be at first.
    pub(super) preempt_delay: Option<Text>,
    /// Version 2: its first line is the password, of which eight bytes count.
    pub(super) password_file: Option<Text>,
    /// `ADDRESS/BITS`, and behind it words as of ip-address(8).
    #[serde(default)]
    pub(super) addresses: Vec<Text>,
    /// The same, moved and not advertised.
    #[serde(default)]
    pub(super) excluded: Vec<Text>,
    /// As of ip-route(8).
    #[serde(default)]
    pub(super) routes: Vec<Text>,
    /// As of ip-rule(8).
    #[serde(default)]
    pub(super) rules: Vec<Text>,
    /// `ADDRESS`, and behind it `min_ttl N` and `max_ttl N`: who is told, in place of a group.
    #[serde(default)]
    pub(super) peers: Vec<Text>,
    /// With `peers`: 255 by default, over IPv6 the kernel's.
    pub(super) ttl: Option<Spanned<u8>>,
    /// With `peers`: only they may send.
    pub(super) check_source: Option<bool>,
    /// The multicast group.
    pub(super) group: Option<Text>,
    /// What advertisements come from; the interface's first address by default.
    pub(super) source: Option<Text>,
    /// It is a fault that `source` is not there.
    #[serde(default)]
    pub(super) track_source: bool,
    /// After how many intervals the master is gone; 3 by default.
    pub(super) down_adverts: Option<Spanned<u32>>,
    /// A master does not answer a lower priority.
    #[serde(default)]
    pub(super) lower_priority_no_advert: bool,
    /// The checksum of version 3 over IPv4 is that of RFC 9568.
    #[serde(default)]
    pub(super) checksum_without_pseudo_header: bool,
    /// How neighbours are told.
    #[serde(default)]
    pub(super) garp: GarpTable,
    /// An interface of its own.
    pub(super) vmac: Option<VmacTable>,
    /// Whether a master answers on the addresses; it does by default.
    pub(super) accept: Option<bool>,
    /// Its own interface being down is no fault.
    #[serde(default)]
    pub(super) ignore_interface: bool,
    /// What moves its priority, or is a fault.
    #[serde(default)]
    pub(super) track: Vec<TrackTable>,
    /// Who is told.
    #[serde(default)]
    pub(super) notify: Vec<NotifyTable>,
    /// A change of priority is told too.
    #[serde(default)]
    pub(super) notify_priority: bool,
}

/// `[vrrp.garp]`.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct GarpTable {
    pub(super) delay: Option<Text>,
    pub(super) repeat: Option<u32>,
    pub(super) refresh: Option<Text>,
    pub(super) refresh_repeat: Option<u32>,
    pub(super) lower_delay: Option<Text>,
    pub(super) lower_repeat: Option<u32>,
}

/// `[vrrp.vmac]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct VmacTable {
    /// `vrrp.VRID` by default.
    pub(super) name: Option<Text>,
    /// That of the standard by default.
    pub(super) mac: Option<Text>,
    /// Advertisements leave by the interface below.
    #[serde(default)]
    pub(super) transmit_base: bool,
}

/// `[[vrrp.track]]`, `[[vrrp-group.track]]`: one of what, and its weight.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TrackTable {
    /// A program of this entry alone.
    pub(super) command: Option<Spanned<Vec<String>>>,
    /// Or a `[[vrrp-script]]`.
    pub(super) script: Option<Text>,
    /// Or an interface.
    pub(super) interface: Option<Text>,
    /// Or a `[[vrrp-process]]`.
    pub(super) process: Option<Text>,
    /// Or a `[[vrrp-file]]`.
    pub(super) file: Option<Text>,
    /// 0, the default, makes it a fault.
    pub(super) weight: Option<Spanned<i32>>,
    /// The other way round.
    #[serde(default)]
    pub(super) reverse: bool,
    // With `command`:
    /// `USER` or `USER:GROUP`; the service's own by default.
    pub(super) user: Option<Text>,
    /// `"1s"` by default.
    pub(super) interval: Option<Text>,
    /// The interval by default.
    pub(super) timeout: Option<Text>,
    /// Successes in a row.
    pub(super) rise: Option<Spanned<u32>>,
    /// Failures in a row.
    pub(super) fall: Option<Spanned<u32>>,
    /// It has failed until it succeeds.
    #[serde(default)]
    pub(super) init_fail: bool,
}

/// How a program is run again and again, wherever that is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) user: Option<&'a Text>,
    pub(super) interval: Option<&'a Text>,
    pub(super) timeout: Option<&'a Text>,
    pub(super) rise: Option<&'a Spanned<u32>>,
    pub(super) fall: Option<&'a Spanned<u32>>,
    pub(super) init_fail: bool,
}

/// `[[vrrp.notify]]`, `[[vrrp-group.notify]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NotifyTable {
    /// `master`, `backup`, `fault`, `stop`, `deleted`, `lower-priority`, or `any`.
    pub(super) on: Text,
    /// The program and its arguments.
    pub(super) command: Spanned<Vec<String>>,
    /// `USER` or `USER:GROUP`.
    pub(super) user: Option<Text>,
}

/// `[[vrrp-group]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct GroupTable {
    pub(super) name: Text,
    /// Names of `[[vrrp]]`.
    pub(super) members: Vec<Text>,
    #[serde(default)]
    pub(super) track: Vec<TrackTable>,
    #[serde(default)]
    pub(super) notify: Vec<NotifyTable>,
    /// Weights of members count.
    #[serde(default)]
    pub(super) member_weights: bool,
}

/// `[[vrrp-script]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct ScriptTable {
    pub(super) name: Text,
    pub(super) command: Spanned<Vec<String>>,
    /// `USER` or `USER:GROUP`; the service's own by default.
    pub(super) user: Option<Text>,
    /// `"1s"` by default.
    pub(super) interval: Option<Text>,
    /// The interval by default.
    pub(super) timeout: Option<Text>,
    /// Successes in a row.
    pub(super) rise: Option<Spanned<u32>>,
    /// Failures in a row.
    pub(super) fall: Option<Spanned<u32>>,
    /// It has failed until it succeeds.
    #[serde(default)]
    pub(super) init_fail: bool,
}

/// `[[vrrp-process]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct ProcessTable {
    pub(super) name: Text,
    /// The name of the program.
    pub(super) program: Text,
    /// Its parameters, where they count.
    pub(super) parameters: Option<Vec<String>>,
    /// `exact`, the default, `partial` or `initial`.
    #[serde(rename = "match")]
    pub(super) how: Option<Text>,
    #[serde(default)]
    pub(super) full_command: bool,
    /// 1 by default.
    pub(super) least: Option<u32>,
    pub(super) most: Option<u32>,
    pub(super) up_delay: Option<Text>,
    pub(super) down_delay: Option<Text>,
}

/// `[[vrrp-file]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct FileTable {
    pub(super) name: Text,
    pub(super) file: Text,
    /// The number that is written to it at the start, where there is none.
    pub(super) init: Option<i32>,
    /// Also where there is one.
    #[serde(default)]
    pub(super) init_overwrite: bool,
}

/// `[[vrrp-fifo]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config::native) struct FifoTable {
    pub(super) path: Text,
    /// `user` or `user:group`, whose it is where it has to be made.
    pub(super) owner: Option<Text>,
    /// A program that reads it.
    pub(super) script: Option<Spanned<Vec<String>>>,
    pub(super) user: Option<Text>,
}

impl TrackTable {
    pub(super) fn run(&self) -> Run<'_> {
        Run {
            user: self.user.as_ref(),
            interval: self.interval.as_ref(),
            timeout: self.timeout.as_ref(),
            rise: self.rise.as_ref(),
            fall: self.fall.as_ref(),
            init_fail: self.init_fail,
        }
    }
}

impl ScriptTable {
    pub(super) fn run(&self) -> Run<'_> {
        Run {
            user: self.user.as_ref(),
            interval: self.interval.as_ref(),
            timeout: self.timeout.as_ref(),
            rise: self.rise.as_ref(),
            fall: self.fall.as_ref(),
            init_fail: self.init_fail,
        }
    }
}
