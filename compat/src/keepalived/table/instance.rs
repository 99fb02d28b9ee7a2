//! The keywords of `vrrp_instance`.

use super::Block::{Authentication, Instance};
use super::Shape::{Address, Any, Block, Flag, List, Number, Seconds, Skipped, Word, Words};
use super::{Keyword, Shape, word};
use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured, Refused};

const LVS: Standing = Differs("no meaning: it is about LVS, and syncd balances no load");

const fn row(name: &'static str, shape: Shape, default: &'static str, standing: Standing) -> Keyword {
    word(Instance, name, shape, default, standing)
}

/// All of them.
pub(super) const INSTANCE: &[Keyword] = &[
    row("state", Word, "MASTER with priority 255, else BACKUP", Honoured("as keepalived.conf(5) says")),
    row("interface", Word, "none: an instance needs one", Honoured("as keepalived.conf(5) says")),
    row("virtual_router_id", Number(1, 255), "none: an instance needs one", Honoured("as keepalived.conf(5) says")),
    row("priority", Number(1, 255), "100; 255 with `state MASTER`", Honoured("as keepalived.conf(5) says")),
    row("advert_int", Seconds(0.01, 255.0), "1 s", Honoured("as keepalived.conf(5) says")),
    row("authentication", Block(Authentication), "none", Honoured("as keepalived.conf(5) says")),
    row("virtual_ipaddress", List, "", Honoured("as keepalived.conf(5) says")),
    row("virtual_ipaddress_excluded", List, "", Honoured("as keepalived.conf(5) says")),
    row("virtual_routes", List, "", Honoured("as keepalived.conf(5) says")),
    row("virtual_rules", List, "", Honoured("as keepalived.conf(5) says")),
    row("no_virtual_ipaddress", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("preempt", Flag, "yes", Honoured("as keepalived.conf(5) says")),
    row("nopreempt", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("preempt_delay", Seconds(0.0, 1000.0), "0 s", Honoured("as keepalived.conf(5) says")),
    row("version", Number(2, 3), "vrrp_version", Honoured("as keepalived.conf(5) says")),
    row("unicast_src_ip", Address, "the interface's first address", Honoured("as keepalived.conf(5) says")),
    row("unicast_peer", List, "", Honoured("as keepalived.conf(5) says")),
    row("unicast_ttl", Number(0, 255), "255", Honoured("as keepalived.conf(5) says")),
    row("unicast_fault_no_peer", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("check_unicast_src", Flag, "vrrp_check_unicast_src", Honoured("as keepalived.conf(5) says")),
    row("old_unicast_checksum", Any, "no", Differs("either checksum is accepted")),
    row("v3_checksum_as_v2", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("mcast_src_ip", Address, "the interface's first address", Honoured("as keepalived.conf(5) says")),
    row("mcast_dst_ip", Address, "vrrp_mcast_group4", Honoured("as keepalived.conf(5) says")),
    row("track_src_ip", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("track_interface", List, "", Honoured("as keepalived.conf(5) says")),
    row("track_script", List, "", Honoured("as keepalived.conf(5) says")),
    row("track_process", List, "", Honoured("as keepalived.conf(5) says")),
    row("track_file", List, "", Honoured("as keepalived.conf(5) says")),
    row("track_bfd", Skipped, "", NotHonoured("syncd speaks no BFD; use `track_script`")),
    row("dont_track_primary", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("notify_master", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_backup", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_fault", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_stop", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_deleted", Any, "", Honoured("as keepalived.conf(5) says")),
    row("notify", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_master_rx_lower_pri", Words, "", Honoured("as keepalived.conf(5) says")),
    row("notify_priority_changes", Flag, "vrrp_notify_priority_changes", Honoured("as keepalived.conf(5) says")),
    row("garp_master_delay", Number(0, 86_400), "vrrp_garp_master_delay", Honoured("as keepalived.conf(5) says")),
    row(
        "garp_master_repeat",
        Number(1, i32::MAX as i64),
        "vrrp_garp_master_repeat",
        Honoured("as keepalived.conf(5) says"),
    ),
    row("garp_master_refresh", Number(0, 86_400), "vrrp_garp_master_refresh", Honoured("as keepalived.conf(5) says")),
    row(
        "garp_master_refresh_repeat",
        Number(1, i32::MAX as i64),
        "vrrp_garp_master_refresh_repeat",
        Honoured("as keepalived.conf(5) says"),
    ),
    row(
        "garp_lower_prio_delay",
        Number(0, 86_400),
        "vrrp_garp_lower_prio_delay",
        Honoured("as keepalived.conf(5) says"),
    ),
    row(
        "garp_lower_prio_repeat",
        Number(0, i32::MAX as i64),
        "vrrp_garp_lower_prio_repeat",
        Honoured("as keepalived.conf(5) says"),
    ),
    row("garp_extra_if", Any, "no", NotHonoured("gratuitous ARP goes out where the address is")),
    row("lower_prio_no_advert", Flag, "vrrp_lower_prio_no_advert", Honoured("as keepalived.conf(5) says")),
    row("higher_prio_send_advert", Flag, "vrrp_higher_prio_send_advert", Honoured("as keepalived.conf(5) says")),
    row("down_timer_adverts", Number(1, 100), "vrrp_down_timer_adverts", Honoured("as keepalived.conf(5) says")),
    row("timer_expired_backup", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("skip_check_adv_addr", Flag, "vrrp_skip_check_adv_addr", Honoured("as keepalived.conf(5) says")),
    row("strict_mode", Flag, "vrrp_strict", Honoured("as keepalived.conf(5) says")),
    row("accept", Flag, "yes unless strict", Honoured("as keepalived.conf(5) says")),
    row("no_accept", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("use_vmac", Any, "no", Honoured("as keepalived.conf(5) says")),
    row("use_vmac_addr", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("vmac_xmit_base", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("use_ipvlan", Any, "no", Refused("syncd makes no ipvlan; use `use_vmac`, or remove it")),
    row("promote_secondaries", Flag, "no", Honoured("as keepalived.conf(5) says")),
    row("native_ipv6", Flag, "no", Harmless("it changes nothing that counts here")),
    row("debug", Any, "0", Differs("no meaning: syncd says more with SYNCD_LOG=debug")),
    row("linkbeat_use_polling", Flag, "no", Differs("no meaning: the kernel tells of a link that goes")),
    row("kernel_rx_buf_size", Number(0, i32::MAX as i64), "", Differs("no meaning: syncd sizes its sockets itself")),
    row("smtp_alert", Flag, "no", NotHonoured("no mail is sent; call a mailer by `notify`")),
    row("lvs_sync_daemon_interface", Word, "", LVS),
    row("auth_hmac", Skipped, "", Refused("adverts are not signed yet: a peer that wants it would drop them")),
];
