//! The keywords of `vrrp_instance`.

use super::Block::{Authentication, Instance};
use super::Shape::{Address, Any, Block, Command, Flag, List, Number, Seconds, Skipped, Word};
use super::{Keyword, Shape, word};
use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured, Refused};

const LVS: Standing = Differs("no meaning: it is about LVS, and syncd balances no load");

const fn row(name: &'static str, shape: Shape, default: &'static str, standing: Standing) -> Keyword {
    word(Instance, name, shape, default, standing)
}

/// All of them.
pub(super) const INSTANCE: &[Keyword] = &[
    row(
        "state",
        Word,
        "MASTER with priority 255, else BACKUP",
        Honoured("it decides nothing but that MASTER preempts at once, and is 255 where no priority is written"),
    ),
    row(
        "interface",
        Word,
        "none: an instance needs one",
        Honoured("needed, also with unicast; one that is not there refuses the instance"),
    ),
    row(
        "virtual_router_id",
        Number(1, 255),
        "none: an instance needs one",
        Honoured("1 to 255; twice on one interface the second is refused"),
    ),
    row(
        "priority",
        Number(1, 255),
        "100; 255 with `state MASTER`",
        Honoured("255 owns the addresses, and nothing moves it"),
    ),
    row(
        "advert_int",
        Seconds(0.01, 255.0),
        "1 s",
        Honoured("rounded as keepalived rounds: whole seconds in version 2, 10 ms up to 40.95 s in version 3"),
    ),
    row("authentication", Block(Authentication), "none", Honoured("in version 2")),
    row(
        "virtual_ipaddress",
        List,
        "",
        Honoured(
            "moved, advertised, and put back when somebody removes one; an address of two instances is refused in the second",
        ),
    ),
    row("virtual_ipaddress_excluded", List, "", Honoured("moved with them, of either family")),
    row(
        "virtual_routes",
        List,
        "",
        Honoured("kind, to, via, dev, src, metric, table, scope, mtu, onlink; another word refuses the instance"),
    ),
    row(
        "virtual_rules",
        List,
        "",
        Honoured("from, to, iif, oif, fwmark, priority, table; another word refuses the instance"),
    ),
    row("no_virtual_ipaddress", Flag, "no", Honoured("it is meant to have none")),
    row("preempt", Flag, "yes", Honoured("a higher priority takes over")),
    row("nopreempt", Flag, "no", Honoured("it does not; with `state MASTER` it has no effect, as with keepalived")),
    row(
        "preempt_delay",
        Seconds(0.0, 1000.0),
        "0 s",
        Honoured("how long a lower priority may be master at first; without effect with `state MASTER` or `nopreempt`"),
    ),
    row("version", Number(2, 3), "vrrp_version", Honoured("2 or 3; IPv6 is always 3")),
    row("unicast_src_ip", Address, "the interface's first address", Honoured("what adverts come from")),
    row("unicast_peer", List, "", Honoured("who is told, with `min_ttl` and `max_ttl` of what comes")),
    row("unicast_ttl", Number(0, 255), "255", Honoured("255 over IPv4, the kernel's own over IPv6")),
    row(
        "unicast_fault_no_peer",
        Flag,
        "no",
        Differs("an instance without a peer is refused, and not in fault for ever"),
    ),
    row("check_unicast_src", Flag, "vrrp_check_unicast_src", Honoured("only peers that are named may send")),
    row("old_unicast_checksum", Any, "no", Differs("either checksum is accepted")),
    row("v3_checksum_as_v2", Flag, "no", Honoured("sent so; either checksum is accepted")),
    row("mcast_src_ip", Address, "the interface's first address", Honoured("what adverts come from")),
    row("mcast_dst_ip", Address, "vrrp_mcast_group4", Honoured("a group of its own")),
    row("track_src_ip", Flag, "no", Honoured("it is a fault that the source is not on the interface")),
    row("track_interface", List, "", Honoured("the kernel tells of it; one that is not there refuses the instance")),
    row("track_script", List, "", Honoured("by the name of a `vrrp_script`")),
    row("track_process", List, "", Honoured("by the name of a `vrrp_track_process`")),
    row("track_file", List, "", Honoured("by the name of a `track_file`")),
    row("track_bfd", Skipped, "", NotHonoured("syncd speaks no BFD; use `track_script`")),
    row("dont_track_primary", Flag, "no", Honoured("its own interface being down is no fault")),
    row(
        "notify_master",
        Command(2),
        "",
        Honoured("run when it has become master; all programs of one instance in order"),
    ),
    row("notify_backup", Command(2), "", Honoured("run when it has become backup")),
    row("notify_fault", Command(2), "", Honoured("run when it has a fault")),
    row("notify_stop", Command(2), "", Honoured("run when the service ends")),
    row("notify_deleted", Any, "", Honoured("run when a reload removes the instance; without it `notify_fault` is")),
    row("notify", Command(2), "", Honoured("run for each, with `INSTANCE NAME STATE PRIORITY` behind its arguments")),
    row("notify_master_rx_lower_pri", Command(2), "", Honoured("run when a master hears a lower priority")),
    row("notify_priority_changes", Flag, "vrrp_notify_priority_changes", Honoured("changes of priority are told too")),
    row(
        "garp_master_delay",
        Number(0, 86_400),
        "vrrp_garp_master_delay",
        Honoured("from taking over to the second burst"),
    ),
    row(
        "garp_master_repeat",
        Number(1, i32::MAX as i64),
        "vrrp_garp_master_repeat",
        Honoured("how many of each address in a burst"),
    ),
    row("garp_master_refresh", Number(0, 86_400), "vrrp_garp_master_refresh", Honoured("between bursts of a master")),
    row(
        "garp_master_refresh_repeat",
        Number(1, i32::MAX as i64),
        "vrrp_garp_master_refresh_repeat",
        Honoured("how many of each address in such a burst"),
    ),
    row(
        "garp_lower_prio_delay",
        Number(0, 86_400),
        "vrrp_garp_lower_prio_delay",
        Honoured("from a lower priority to the second burst after it"),
    ),
    row(
        "garp_lower_prio_repeat",
        Number(0, i32::MAX as i64),
        "vrrp_garp_lower_prio_repeat",
        Honoured("how many of each address in those"),
    ),
    row("garp_extra_if", Any, "no", NotHonoured("gratuitous ARP goes out where the address is")),
    row(
        "lower_prio_no_advert",
        Flag,
        "vrrp_lower_prio_no_advert",
        Honoured("a master does not answer a lower priority"),
    ),
    row(
        "higher_prio_send_advert",
        Flag,
        "vrrp_higher_prio_send_advert",
        Differs("always: a master sends one advert before it yields, so that the other announces itself anew"),
    ),
    row(
        "down_timer_adverts",
        Number(1, 100),
        "vrrp_down_timer_adverts",
        Honoured("after how many intervals the master is gone; the same on all nodes"),
    ),
    row("timer_expired_backup", Flag, "no", Harmless("what came is read before any timer is looked at")),
    row(
        "skip_check_adv_addr",
        Flag,
        "vrrp_skip_check_adv_addr",
        Harmless("another list of addresses is never a reason to drop an advert, but said"),
    ),
    row(
        "strict_mode",
        Flag,
        "vrrp_strict",
        Honoured("what it forbids is left out; with unicast the instance is refused"),
    ),
    row("accept", Flag, "yes unless strict", Honoured("a master answers on the addresses")),
    row("no_accept", Flag, "no", Honoured("it does not, unless it owns them: by a table of its own in nftables")),
    row(
        "use_vmac",
        Any,
        "no",
        Honoured("a macvlan of its own: name and hardware address as written, or vrrp.VRID and 00:00:5e:00:01:VRID"),
    ),
    row("use_vmac_addr", Flag, "no", NotHonoured("addresses on other interfaces have the hardware addresses of those")),
    row("vmac_xmit_base", Flag, "no", Honoured("adverts leave by the interface below")),
    row("use_ipvlan", Any, "no", Refused("syncd makes no ipvlan; use `use_vmac`, or remove it")),
    row(
        "promote_secondaries",
        Flag,
        "no",
        Harmless("syncd sets it, where it may, on every interface that it puts an IPv4 address on"),
    ),
    row("native_ipv6", Flag, "no", Harmless("it changes nothing that counts here")),
    row("debug", Any, "0", Differs("no meaning: syncd says more with SYNCD_LOG=debug")),
    row("linkbeat_use_polling", Flag, "no", Differs("no meaning: the kernel tells of a link that goes")),
    row("kernel_rx_buf_size", Number(0, i32::MAX as i64), "", Differs("no meaning: syncd sizes its sockets itself")),
    row("smtp_alert", Flag, "no", NotHonoured("no mail is sent; call a mailer by `notify`")),
    row("lvs_sync_daemon_interface", Word, "", LVS),
    row("auth_hmac", Skipped, "", Refused("adverts are not signed yet: a peer that wants it would drop them")),
];
