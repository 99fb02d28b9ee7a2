//! The blocks, and the keywords of the smaller ones.

use super::Block::{Authentication, File, Globals, Group, Instance, Process, Script, Top};
use super::Shape::{Any, Block, Command, Flag, List, Number, Seconds, Skipped, Word, Words};
use super::{Keyword, word};
use crate::standing::Standing;
use crate::standing::Standing::{Differs, Harmless, Honoured, NotHonoured};

const LVS: Standing = NotHonoured("this block is skipped whole: syncd moves addresses and balances no load (LVS)");
const BFD: Standing = NotHonoured("this block is skipped whole: syncd speaks no BFD; use `track_script`");
const MAIL: Standing = NotHonoured("no mail is sent; call a mailer by `notify`");
/// The longest that keepalived waits for anything: a day.
const LONGEST: f64 = 86_400.0;

/// What stands outside of all blocks.
pub(super) const TOP: &[Keyword] = &[
    word(Top, "global_defs", Block(Globals), "", Honoured("defaults of all instances")),
    word(
        Top,
        "vrrp_instance",
        Block(Instance),
        "",
        Honoured("a virtual router; one that is faulty does not stop the others"),
    ),
    word(Top, "vrrp_script", Block(Script), "", Honoured("a program whose result counts, run by no shell")),
    word(
        Top,
        "vrrp_sync_group",
        Block(Group),
        "",
        Honoured("its members are master together; where one cannot run, none does"),
    ),
    word(Top, "vrrp_track_process", Block(Process), "", Honoured("processes that have to run")),
    word(Top, "vrrp_track_file", Block(File), "", Honoured("a file whose first number counts")),
    word(Top, "track_file", Block(File), "", Honoured("a file whose first number counts")),
    word(
        Top,
        "static_ipaddress",
        List,
        "",
        NotHonoured("syncd sets what moves alone; give them to the interface where the system configures it"),
    ),
    word(
        Top,
        "static_routes",
        List,
        "",
        NotHonoured("syncd sets what moves alone; set them where the system configures the network"),
    ),
    word(
        Top,
        "static_rules",
        List,
        "",
        NotHonoured("syncd sets what moves alone; set them where the system configures the network"),
    ),
    word(Top, "static_track_group", Skipped, "", NotHonoured("syncd sets no static addresses and routes")),
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
    word(
        Authentication,
        "auth_type",
        Word,
        "none",
        Honoured("PASS in version 2; an instance with AH is refused, since its nodes would not hear each other"),
    ),
    word(Authentication, "auth_pass", Word, "", Honoured("eight bytes of it, as they are")),
    word(
        Script,
        "script",
        Command(0),
        "",
        Honoured("the program and its arguments; one that is not there is not tracked"),
    ),
    word(Script, "interval", Seconds(0.001, LONGEST), "1 s", Honoured("from one start to the next, at least 10 ms")),
    word(
        Script,
        "timeout",
        Seconds(0.001, LONGEST),
        "the interval",
        Honoured("what takes longer is ended and has failed"),
    ),
    word(Script, "weight", Words, "0: a failure is a fault", Honoured("moves the priority; 0 makes a failure a fault")),
    word(Script, "rise", Number(1, i32::MAX as i64), "1", Honoured("successes in a row")),
    word(Script, "fall", Number(1, i32::MAX as i64), "1", Honoured("failures in a row")),
    word(Script, "user", Words, "script_user", Honoured("whom it runs as; a user that is not there is an error")),
    word(Script, "init_fail", Flag, "no", Honoured("it has failed until it succeeds")),
    word(
        Group,
        "group",
        List,
        "",
        Honoured("instances that are master together; of one alone what it tracks and whom it tells"),
    ),
    word(Group, "track_interface", List, "", Honoured("for all members")),
    word(Group, "track_script", List, "", Honoured("for all members")),
    word(Group, "track_process", List, "", Honoured("for all members")),
    word(Group, "track_file", List, "", Honoured("for all members")),
    word(Group, "track_bfd", Skipped, "", BFD),
    word(
        Group,
        "notify_master",
        Command(2),
        "",
        Honoured("run when the group has become master, behind those of its members"),
    ),
    word(Group, "notify_backup", Command(2), "", Honoured("run when it has become backup")),
    word(Group, "notify_fault", Command(2), "", Honoured("run when it has a fault")),
    word(Group, "notify_stop", Command(2), "", Honoured("run when the service ends")),
    word(
        Group,
        "notify",
        Command(2),
        "",
        Honoured("run for each, with `GROUP NAME STATE PRIORITY` behind its arguments"),
    ),
    word(Group, "notify_priority_changes", Flag, "no", Harmless("a group has no priority of its own")),
    word(Group, "smtp_alert", Flag, "no", MAIL),
    word(Group, "global_tracking", Flag, "no", Differs("no meaning since keepalived 1.2")),
    word(
        Group,
        "sync_group_tracking_weight",
        Flag,
        "no",
        Honoured("weights of members count; without it they are ignored, and interfaces are a fault"),
    ),
    word(Process, "process", Words, "", Honoured("the name of the program, and parameters where they count")),
    word(
        Process,
        "param_match",
        Any,
        "",
        Honoured("`partial`: begins with these; `initial`: the last may be longer; alone: exactly these"),
    ),
    word(
        Process,
        "weight",
        Words,
        "0: a missing process is a fault",
        Honoured("moves the priority; 0 makes a missing process a fault"),
    ),
    word(Process, "quorum", Number(0, 65535), "1", Honoured("how many there must be")),
    word(Process, "quorum_max", Number(0, 65535), "", Honoured("how many there may be")),
    word(Process, "fork_delay", Seconds(0.0, 3600.0), "0 s", Honoured("how long there must be enough")),
    word(Process, "terminate_delay", Seconds(0.0, 3600.0), "0 s", Honoured("how long there must be too few")),
    word(Process, "delay", Seconds(0.0, 3600.0), "0 s", Honoured("both of these")),
    word(Process, "full_command", Flag, "no", Honoured("the command line is compared, and not the name alone")),
    word(File, "file", Words, "", Honoured("an absolute path")),
    word(File, "weight", Words, "1", Honoured("the number times this is added; 0 makes a number other than 0 a fault")),
    word(File, "init_file", Any, "", Honoured("written at the start, with `overwrite` also where there is one")),
];
