//! What a file comes to, with keepalived's defaults, and what is refused of it.

use std::time::Duration;

use syncd_compat::{Finding, Severity, SourceText};

use super::{Host, LEASE, read};
use crate::config::ConfigError;
use crate::config::machine::Machine;
use crate::vrrp::packet::{Auth, Version};
use crate::vrrp::setup::{Family, Garp, Instance, Setup, Transport, User};

fn host() -> Host {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww:x:33:33::/:/bin/false\n";
    let group = "root:x:0:\nnogroup:x:65534:\nwww:x:33:\n";
    Host::of(Machine::made_of(0, passwd, group).with_interfaces(&["lo", "eth0", "eth1", "eth2", "ens3"]))
}

fn on(host: &Host, text: &str) -> Result<(Setup, Vec<Finding>), ConfigError> {
    let source = SourceText::decode("k.conf", text.as_bytes());
    read(&source, host, &mut |_, _| Ok(Vec::new()))
}

fn of(text: &str) -> (Setup, Vec<String>) {
    let (setup, findings) = on(&host(), text).unwrap_or_else(|e| panic!("{e}"));
    (setup, findings.iter().map(shown).collect())
}

/// `line:column severity code`.
fn shown(finding: &Finding) -> String {
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{}:{} ", place.line, place.column));
    format!("{place}{} {}", finding.severity, finding.code)
}

/// An instance with these lines in it, on a line of its own each from line 5.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {{ 10.0.0.1/24 }}\n{lines}\n}}\n"
    )
}

fn one(lines: &str) -> Instance {
    let (setup, _) = of(&instance(lines));
    setup.instances.into_iter().next().expect("an instance")
}

fn refused(text: &str) -> Vec<String> {
    let errors = |findings: &[Finding]| {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|error| format!("{} — {}", error.summary(), error.place.is_some())).collect::<Vec<_>>()
    };
    match on(&host(), text) {
        Ok((_, findings)) => errors(&findings),
        Err(error) => errors(error.findings()),
    }
}

#[test]
fn a_plain_file_is_an_instance_with_the_defaults_of_keepalived() {
    let (setup, said) = of(&instance(""));
    assert_eq!(said, Vec::<String>::new());
    assert_eq!((setup.router_id.as_str(), setup.lease, setup.instances.len()), ("host", Some(LEASE), 1));
    let instance = setup.instances.into_iter().next().expect("one");
    assert_eq!((instance.version, instance.family, instance.priority), (Version::V2, Family::V4, 100));
    assert_eq!(
        (instance.interval, instance.preempt, instance.preempt_delay),
        (Duration::from_secs(1), true, Duration::ZERO)
    );
    assert_eq!(instance.transport, Transport::Multicast { group: "224.0.0.18".parse().expect("ip") });
    assert_eq!((instance.auth, instance.garp, instance.down_adverts), (Auth::None, Garp::default(), 3));
    assert_eq!((instance.accept, instance.source, instance.ignore_interface), (true, None, false));
}

#[test]
fn an_instance_says_all_that_it_can_say() {
    let text = "global_defs {\nvrrp_version 3\nscript_user www nogroup\nvrrp_rt_priority 50\nvrrp_garp_interval 0.5\n}\n\
        vrrp_script chk {\nscript \"/bin/chk 'a b'\"\ninterval 2\ntimeout 1\nweight -20\nrise 2\nfall 3\nuser nobody\ninit_fail\n}\n\
        vrrp_track_process nginx {\nprocess nginx -g x\nparam_match initial\nquorum 2\ndelay 0.5\n}\n\
        track_file f {\nfile \"/run/f\"\nweight 2\ninit_file 5 overwrite\n}\n\
        vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\npriority 150\nadvert_int 0.256\npreempt_delay 1.5\nstate BACKUP\n\
        unicast_src_ip 10.0.0.5\nunicast_peer {\n10.0.0.6\n10.0.0.7 min_ttl 3\n}\ncheck_unicast_src\n\
        virtual_ipaddress {\n10.0.0.1/24 brd + dev eth1 scope link label eth1:1\n}\n\
        virtual_ipaddress_excluded {\nfe80::7\n}\n\
        virtual_routes {\ndefault via 10.0.0.254 metric 5 table 100\nblackhole 10.9.0.0/16\n}\n\
        virtual_rules {\nfrom 10.0.0.0/24 table 100 priority 7\nfwmark 0x10/0xff lookup main\n}\n\
        use_vmac\nvmac_xmit_base\ntrack_src_ip\n\
        track_script {\nchk\n}\ntrack_process {\nnginx weight 9 reverse\n}\ntrack_file {\nf\n}\ntrack_interface {\neth0\neth2 weight -3\n}\n\
        notify_master /bin/m\nnotify \"/bin/n x\" root\n}\n";
    let (setup, said) = of(text);
    assert_eq!(said, ["68:1 note keepalived-own-interface"]);
    insta::assert_debug_snapshot!("whole", setup);
}

#[test]
fn what_the_role_forbids_is_not_in_force() {
    let preemption = |lines| {
        let one = one(lines);
        (one.priority, one.preempt, one.preempt_delay.as_secs())
    };
    assert_eq!(preemption("preempt_delay 9"), (100, true, 9));
    assert_eq!(preemption("state MASTER\npriority 90\nnopreempt\npreempt_delay 9"), (90, true, 0));
    assert_eq!(preemption("state BACKUP\nnopreempt\npreempt_delay 9"), (100, false, 0));
    assert_eq!(preemption("state MASTER"), (255, true, 0));
    assert_eq!(preemption("priority 255\nnopreempt"), (255, true, 0));
    assert_eq!(preemption("strict_mode\npreempt_delay 9"), (100, true, 0));
}

#[test]
fn strict_mode_leaves_out_what_keepalived_leaves_out() {
    let strict = one("strict_mode\nauthentication {\nauth_type PASS\nauth_pass x\n}\nuse_vmac\nvmac_xmit_base");
    assert_eq!((strict.auth, strict.accept, strict.lower_priority_no_advert), (Auth::None, false, true));
    assert_eq!((strict.garp.lower_delay, strict.garp.lower_repeat, strict.garp.repeat), (Duration::ZERO, 0, 5));
    assert_eq!(strict.vmac.map(|vmac| (vmac.transmit_base, vmac.mac)), Some((false, [0, 0, 0x5e, 0, 1, 7])));
    let errors = refused(&instance("strict_mode\nunicast_peer {\n10.0.0.9\n}"));
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn garp_is_what_keepalived_2_2_7_has_of_it() {
    // Measured by its dump: an instance's own repeat does not change what follows a lower priority.
    let all = |text: &str| of(text).0.instances.iter().map(|one| one.garp).collect::<Vec<_>>();
    let general = "global_defs {\nvrrp_min_garp\nvrrp_garp_master_refresh 60\n}\n";
    let [garp] = all(&format!("{general}{}", instance("garp_master_repeat 3")))[..] else { panic!("one") };
    assert_eq!((garp.delay, garp.repeat, garp.refresh), (Duration::ZERO, 3, Duration::from_secs(60)));
    assert_eq!((garp.lower_delay, garp.lower_repeat), (Duration::ZERO, 1));
    let [garp] = all(&instance("garp_master_repeat 3\ngarp_master_delay 1"))[..] else { panic!("one") };
    assert_eq!((garp.lower_delay, garp.lower_repeat), (Duration::from_secs(5), 5));
}

#[test]
fn one_bad_instance_does_not_stop_the_others() {
    let bad = "vrrp_instance BAD {\ninterface eth7\nvirtual_router_id 8\nvirtual_ipaddress { 10.0.0.8 }\n}\n";
    let (setup, said) = of(&format!("{bad}{}", instance("")));
    assert_eq!(setup.instances.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["V"]);
    assert_eq!(said, ["2:11 error keepalived-interface"]);
    let alone = on(&host(), bad).expect_err("nothing to run");
    assert!(alone.to_string().starts_with("k.conf:2:11: error: there is no interface `eth7`"), "{alone}");
    let late = format!("global_defs {{\ndynamic_interfaces\n}}\n{bad}");
    assert_eq!(of(&late).0.instances.len(), 1);
}

#[test]
fn every_refusal_has_its_line_and_column() {
    let two = |second: &str| format!("{}vrrp_instance W {{\ninterface eth0\n{second}\n}}\n", instance(""));
    let texts = [
        two("virtual_router_id 7\nvirtual_ipaddress { 10.0.0.2 }"),
        two("virtual_router_id 8\nvirtual_ipaddress { 10.0.0.1 }"),
        two("virtual_router_id 256"),
        instance("authentication {\nauth_type AH\nauth_pass x\n}"),
        instance("interface lo"),
        instance("use_ipvlan"),
        instance("virtual_ipaddress { 10.0.0.300 }"),
        instance("virtual_routes {\n10.1.0.0/16 via 10.0.0.9 nexthop via 10.0.0.8\n}"),
        instance("virtual_rules {\nfrom 10.1.0.0/16 blackhole\n}"),
        instance("unicast_fault_no_peer"),
        instance("track_interface { eth9 }"),
        instance("use_vmac 00:00:5e:00:01"),
        "vrrp_instance A {\nvirtual_router_id 1\nunicast_peer { 10.0.0.2 }\nvirtual_ipaddress { 10.0.0.1 }\n}\n"
            .to_owned(),
    ];
    let all: Vec<String> = texts.iter().map(|text| refused(text).join("\n")).collect();
    assert!(all.iter().all(|said| said.lines().all(|line| line.ends_with(" — true"))), "{all:#?}");
    insta::assert_snapshot!("refusals", all.join("\n\n"));
}

#[test]
fn a_group_runs_whole_or_not_at_all() {
    let instance = |name: &str, interface: &str, vrid: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface {interface}\nvirtual_router_id {vrid}\nvirtual_ipaddress {{ 10.0.{vrid}.1 }}\n{more}\n}}\n"
        )
    };
    let group = "vrrp_sync_group G {\ngroup { A\nB }\n}\n";
    let script = "vrrp_script s {\nscript /bin/s\nweight 5\n}\n";
    let both = |of_b: &str| {
        let (a, b) = (
            instance("A", "eth0", 1, ""),
            instance("B", of_b, 2, "track_script { s }\ntrack_interface { eth2 weight 9 }"),
        );
        of(&format!("{group}{script}{a}{b}{}", instance("C", "eth0", 3, "")))
    };
    let (setup, said) = both("eth7");
    assert_eq!(setup.instances.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["C"]);
    assert!(setup.groups.is_empty() && said.contains(&"3:1 error keepalived-group".to_owned()), "{said:?}");
    let (setup, said) = both("eth1");
    assert_eq!((setup.groups.len(), setup.scripts.len()), (1, 0));
    assert_eq!(setup.instances[1].track.interfaces[0].weight, 0);
    assert!(said.iter().any(|said| said.ends_with("warning keepalived-group-weight")), "{said:?}");
}

#[test]
fn a_group_of_one_tracks_and_tells_for_it() {
    let group = |members: &str| {
        let group = format!(
            "vrrp_script s {{\nscript /bin/s\n}}\nvrrp_sync_group G {{\ngroup {{ {members} }}\ntrack_script {{ s }}\nnotify_fault /bin/n\n}}\n"
        );
        let (setup, said) = of(&format!("global_defs {{\nscript_user root\n}}\n{group}{}", instance("")));
        let groups = setup.groups.into_iter().map(|group| {
            assert_eq!((group.track.scripts.len(), group.notify.fault.is_some()), (1, true));
            group.members.join(" ")
        });
        (groups.collect::<Vec<_>>(), setup.scripts.len(), said)
    };
    let small = "7:17 warning keepalived-small-group".to_owned();
    assert_eq!(group("V"), (vec!["V".to_owned()], 1, vec![small.clone()]));
    let unknown = |place: &str| format!("{place} warning keepalived-unknown-name");
    assert_eq!(group("V W"), (vec!["V".to_owned()], 1, vec![small.clone(), unknown("8:11")]));
    let (groups, scripts, said) = group("W");
    assert_eq!((groups.len(), scripts), (0, 0));
    assert!(said.contains(&small) && said.contains(&unknown("8:9")), "{said:?}");
}

/// keepalived 2.2.7 ran the same files.
#[test]
fn commands_are_those_that_keepalived_runs() {
    let script = |line: &str| {
        let globals = "global_defs {\nscript_user www\n}\n";
        let text = format!("{globals}vrrp_script s {{\n{line}\n}}\n{}", instance("track_script { s }"));
        let (setup, said) = of(&text);
        (setup.scripts.first().map(|script| script.command.argv.join("|")), said)
    };
    let runs = |line: &str| (Some(line.to_owned()), Vec::<String>::new());
    assert_eq!(script("script '/usr/bin/test 1 = 1'"), runs("/usr/bin/test|1|=|1"));
    assert_eq!(script(r#"script "/bin/sh -c \"exit 0\"""#), runs("/bin/sh|-c|exit 0"));
    assert_eq!(script(r#"script "/bin/sh -c 'echo \"a\"'""#), runs(r#"/bin/sh|-c|echo "a""#));
    let (argv, said) = script("script /usr/bin/test 1 = 1");
    assert_eq!(
        (argv.as_deref(), said),
        (Some("/usr/bin/test"), vec!["5:22 warning keepalived-extra-words".to_owned()])
    );
    let (argv, said) = script(r#"script "/bin/echo it's""#);
    assert_eq!(argv, None);
    assert!(said.contains(&"5:8 error keepalived-quote".to_owned()), "{said:?}");

    let (setup, said) = of(&instance("notify_master /x/n.sh nobody nogroup"));
    let master = setup.instances[0].notify.master.as_ref().expect("a command");
    assert_eq!((master.argv.join("|"), master.user), ("/x/n.sh".to_owned(), Some(User { uid: 65534, gid: 65534 })));
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn one_address_may_stand_twice_where_keepalived_runs_it() {
    let two = |first: &str, second: &str, interface: &str| {
        let one = |name, interface, vrid, vips| {
            format!(
                "vrrp_instance {name} {{\ninterface {interface}\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n{vips}\n}}\n}}\n"
            )
        };
        let (setup, said) = of(&format!("{}{}", one("A", "eth0", 1, first), one("B", interface, 2, second)));
        (setup.instances.len(), said)
    };
    assert_eq!(two("fe80::1/64", "fe80::1/64", "eth1"), (2, vec![]));
    let family = "6:1 warning keepalived-family".to_owned();
    assert_eq!(two("10.0.0.1\nfd00:98::81/64", "fd00:98::81/64", "eth0"), (2, vec![family]));
    let said = |place: &str| vec![format!("{place} keepalived-duplicate-vip")];
    assert_eq!(two("10.0.0.1/24\n10.0.0.1/24", "10.0.0.2", "eth0"), (2, said("6:1 warning")));
    assert_eq!(two("10.0.0.1", "10.0.0.1", "eth1"), (2, said("12:1 warning")));
    assert_eq!(two("10.0.0.1", "10.0.0.1 dev eth0", "eth1"), (1, said("12:1 error")));
    assert_eq!(two("fe80::1", "fe80::1", "eth0"), (1, said("12:1 error")));
}

#[test]
fn programs_run_as_whom_the_file_says() {
    let user = |globals: &str, more: &str| {
        let text = format!("global_defs {{\n{globals}\n}}\n{}", instance(&format!("notify_master \"/bin/m\" {more}")));
        let (setup, said) = of(&text);
        (setup.instances[0].notify.master.as_ref().map(|command| command.user), said)
    };
    let www = User { uid: 33, gid: 33 };
    assert_eq!(user("script_user www", ""), (Some(Some(www)), vec![]));
    assert_eq!(user("script_user www nogroup", "root").0, Some(Some(User { uid: 0, gid: 0 })));
    assert_eq!(user("", ""), (Some(None), vec!["8:15 note keepalived-script-user".to_owned()]));
    assert_eq!(user("script_user none", ""), (None, vec!["2:13 error keepalived-user".to_owned()]));
    assert_eq!(user("", "www none"), (None, vec!["8:28 error keepalived-user".to_owned()]));
}

#[test]
fn a_pipe_is_given_to_whom_its_line_says_or_to_whoever_runs_scripts() {
    let fifo = |globals: &str| {
        let (setup, said) = of(&format!("global_defs {{\n{globals}\n}}\n{}", instance("")));
        (setup.fifos.first().map(|fifo| fifo.owner), said)
    };
    let owner = |uid, gid| (Some(Some(User { uid, gid })), vec![]);
    assert_eq!(fifo("vrrp_notify_fifo /run/p www"), owner(33, 33));
    assert_eq!(fifo("script_user nobody\nnotify_fifo /run/p www nogroup"), owner(33, 65534));
    assert_eq!(fifo("script_user nobody\nvrrp_notify_fifo /run/p"), owner(65534, 65534));
    assert_eq!(fifo("vrrp_notify_fifo /run/p"), (Some(None), vec![]));
    // keepalived writes nothing there either.
    assert_eq!(fifo("vrrp_notify_fifo /run/p none"), (None, vec!["2:25 error keepalived-user".to_owned()]));
    assert_eq!(fifo("vrrp_notify_fifo /run/p www none"), (None, vec!["2:29 error keepalived-user".to_owned()]));
    let read = "script_user root\nvrrp_notify_fifo /run/p\nvrrp_notify_fifo_script \"/bin/r\" www";
    assert_eq!(fifo(read), (Some(None), vec![]), "it is its reader's");
}

#[test]
fn a_script_that_is_not_there_is_not_tracked_and_one_that_others_may_write_is_not_run() {
    let dir = tempfile::tempdir().expect("directory");
    let script = dir.path().join("chk");
    std::fs::write(&script, "#!/bin/sh\n").expect("file");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("mode");
    let text = |globals: &str, script: &str| {
        let block = format!("vrrp_script chk {{\nscript {script}\n}}\n");
        format!("global_defs {{\nscript_user root\n{globals}\n}}\n{block}{}", instance("track_script { chk }"))
    };
    let seen = host().with_programs();
    let said = |text: &str| {
        let (setup, findings) = on(&seen, text).expect("usable");
        assert_eq!(setup.scripts.len(), setup.instances[0].track.scripts.len());
        (setup.scripts.len(), findings.iter().map(shown).collect::<Vec<_>>())
    };
    let named = script.to_str().expect("text");
    assert_eq!(said(&text("", "/no/such/chk")), (0, vec!["6:8 warning keepalived-script".to_owned()]));
    assert_eq!(said(&text("", named)), (1, vec!["6:8 warning keepalived-script-security".to_owned()]));
    assert_eq!(
        said(&text("enable_script_security", named)),
        (0, vec!["6:8 error keepalived-script-security".to_owned()])
    );
}

#[test]
fn ipv6_is_always_version_3_and_a_packet_holds_so_many_addresses() {
    let many: String = (1..=100).map(|n| format!("2001:db8::{n:x}/64\n")).collect();
    let text = format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\nversion 2\nvirtual_ipaddress {{\n{many}}}\n}}\n"
    );
    let (setup, said) = of(&text);
    let instance = &setup.instances[0];
    assert_eq!((instance.version, instance.family), (Version::V3, Family::V6));
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (89, 11));
    assert_eq!(said, ["1:15 warning keepalived-many-addresses"]);
    assert_eq!(instance.transport, Transport::Multicast { group: "ff02::12".parse().expect("ip") });
}
