//! The blocks, and the keywords of the smaller ones.

use super::Block::{Authentication, File, Globals, Group, Instance, Process, Script, Top};
use super::Shape::{Any, Block, Flag, List, Number, Seconds, Skipped, Word, Words};
use super::{Keyword, word};
use crate::standing::Standing;
use crate::standing::Standing::{Differs, Honoured, NotHonoured};

const LVS: Standing = NotHonoured("this block is skipped whole: syncd moves addresses and balances no load (LVS)");
const BFD: Standing = NotHonoured("this block is skipped whole: syncd speaks no BFD; use `track_script`");
const MAIL: Standing = NotHonoured("no mail is sent; call a mailer by `notify`");
/// The longest that keepalived waits for anything: a day.
const LONGEST: f64 = 86_400.0;

/// What stands outside of all blocks.
pub(super) const TOP: &[Keyword] = &[
    word(Top, "global_defs", Block(Globals), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "vrrp_instance", Block(Instance), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "vrrp_script", Block(Script), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "vrrp_sync_group", Block(Group), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "vrrp_track_process", Block(Process), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "vrrp_track_file", Block(File), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "track_file", Block(File), "", Honoured("as keepalived.conf(5) says")),
    word(Top, "static_ipaddress", List, "", Honoured("as keepalived.conf(5) says")),
    word(Top, "static_routes", List, "", Honoured("as keepalived.conf(5) says")),
    word(Top, "static_rules", List, "", Honoured("as keepalived.conf(5) says")),
    word(Top, "static_track_group", Skipped, "", NotHonoured("static addresses and routes are put back when they go")),
    word(Top, "linkbeat_use_polling", Flag, "no", Differs("no meaning: the kernel tells of a link that goes")),
    word(Top, "linkbeat_interfaces", Skipped, "", Differs("no meaning: the kernel tells of a link that goes")),
    word(Top, "garp_group", Skipped, "", NotHonoured("gratuitous ARP is paced for each interface alone")),
    word(Top, "virtual_server", Skipped, "", LVS),
    word(Top, "virtual_server_group", Skipped, "", LVS),
    word(Top, "SSL", Skipped, "", LVS),
    word(Top, "bfd_instance", Skipped, "", BFD),
    word(Top, "net_namespace", Word, "", NotHonoured("start syncd inside of the namespace")),
    word(Top, "net_namespace_ipvs", Word, "", LVS),
    word(Top, "instance", Word, "", Differs("no meaning: each instance has a state directory of its own")),
    word(Top, "use_pid_dir", Flag, "no", Differs("no meaning: syncd writes no pid file")),
    word(Top, "namespace_with_ipsets", Flag, "no", Differs("no meaning: syncd makes no sets of the firewall")),
];

/// What stands in the smaller blocks.
pub(super) const INNER: &[Keyword] = &[
    word(Authentication, "auth_type", Word, "none", Honoured("as keepalived.conf(5) says")),
    word(Authentication, "auth_pass", Word, "", Honoured("as keepalived.conf(5) says")),
    word(Script, "script", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Script, "interval", Seconds(0.001, LONGEST), "1 s", Honoured("as keepalived.conf(5) says")),
    word(Script, "timeout", Seconds(0.001, LONGEST), "the interval", Honoured("as keepalived.conf(5) says")),
    word(Script, "weight", Words, "0: a failure is a fault", Honoured("as keepalived.conf(5) says")),
    word(Script, "rise", Number(1, i32::MAX as i64), "1", Honoured("as keepalived.conf(5) says")),
    word(Script, "fall", Number(1, i32::MAX as i64), "1", Honoured("as keepalived.conf(5) says")),
    word(Script, "user", Words, "script_user", Honoured("as keepalived.conf(5) says")),
    word(Script, "init_fail", Flag, "no", Honoured("as keepalived.conf(5) says")),
    word(Group, "group", List, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "track_interface", List, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "track_script", List, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "track_process", List, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "track_file", List, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "track_bfd", Skipped, "", BFD),
    word(Group, "notify_master", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "notify_backup", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "notify_fault", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "notify_stop", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "notify", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Group, "notify_priority_changes", Flag, "no", Honoured("as keepalived.conf(5) says")),
    word(Group, "smtp_alert", Flag, "no", MAIL),
    word(Group, "global_tracking", Flag, "no", Differs("no meaning since keepalived 1.2")),
    word(Group, "sync_group_tracking_weight", Flag, "no", Honoured("as keepalived.conf(5) says")),
    word(Process, "process", Words, "", Honoured("as keepalived.conf(5) says")),
    word(Process, "param_match", Any, "", Honoured("as keepalived.conf(5) says")),
    word(Process, "weight", Words, "0: a missing process is a fault", Honoured("as keepalived.conf(5) says")),
    word(Process, "quorum", Number(0, 65535), "1", Honoured("as keepalived.conf(5) says")),
    word(Process, "quorum_max", Number(0, 65535), "", Honoured("as keepalived.conf(5) says")),
    word(Process, "fork_delay", Seconds(0.0, 3600.0), "0 s", Honoured("as keepalived.conf(5) says")),
    word(Process, "terminate_delay", Seconds(0.0, 3600.0), "0 s", Honoured("as keepalived.conf(5) says")),
    word(Process, "delay", Seconds(0.0, 3600.0), "0 s", Honoured("as keepalived.conf(5) says")),
    word(Process, "full_command", Flag, "no", Honoured("as keepalived.conf(5) says")),
    word(File, "file", Words, "", Honoured("as keepalived.conf(5) says")),
    word(File, "weight", Words, "1", Honoured("as keepalived.conf(5) says")),
    word(File, "init_file", Any, "", Honoured("as keepalived.conf(5) says")),
];
