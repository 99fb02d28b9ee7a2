//! What `syncd status` prints of each state.

use super::*;
use crate::control::{LastError, ProblemPath, ProcessStatus, WatchStatus};
use crate::vrrp::message::{InstanceStatus, RejectedStatus};

fn idle() -> TargetStatus {
    TargetStatus {
        peer: "10.193.1.132:873".to_owned(),
        address: Some("10.193.1.132:873".to_owned()),
        set: "nginx".to_owned(),
        state: TargetState::Idle,
        connected: true,
        proof: Some("password and pinned key".to_owned()),
        transport: "quic".to_owned(),
        acknowledged: Some("3.12".to_owned()),
        bytes_sent: 1_300_000,
        ..Default::default()
    }
}

fn unreachable() -> TargetStatus {
    TargetStatus {
        peer: "10.193.1.133:873".to_owned(),
        set: "nginx".to_owned(),
        transport: "rsync".to_owned(),
        pending: 1204,
        oldest_seconds: Some(330),
        deletions_held: 7,
        last_error: Some(LastError {
            cause: "no answer \x1b[2J from UDP 873".to_owned(),
            at_unix_ms: 1_795_251_600_000,
            ago_seconds: 3,
        }),
        ..Default::default()
    }
}

fn primary() -> SetStatus {
    let limited = "fs.inotify.max_user_watches is 8192, 51000 are needed".to_owned();
    SetStatus {
        name: "nginx".to_owned(),
        path: "/etc/nginx".to_owned(),
        role: SetRole::Primary,
        epoch: "3@0707070707070707".to_owned(),
        generation: Some("3.12".to_owned()),
        entries: 1204,
        halted: Some("602 of 1,203 entries are gone at once".to_owned()),
        watch: Some(WatchStatus { watches: 8192, limited: Some(limited), overflows: 1, polled: 42_808 }),
        targets: vec![idle(), unreachable()],
        problems: (0..12)
            .map(|n| ProblemPath {
                path: format!("secret-{n}"),
                peer: (n == 1).then(|| "10.193.1.133:873/nginx".to_owned()),
                cause: "permission denied".to_owned(),
            })
            .collect(),
        ..Default::default()
    }
}

fn replica() -> SetStatus {
    SetStatus {
        name: "www".to_owned(),
        path: "/srv/www".to_owned(),
        role: SetRole::Replica,
        epoch: "9@0101010101010101".to_owned(),
        generation: Some("9.4".to_owned()),
        entries: 1,
        drift: 2,
        rejected: 1,
        sources: vec![SourceStatus {
            name: "web3".to_owned(),
            address: "10.193.1.134:40112".to_owned(),
            key: "0101010101010101".to_owned(),
            proof: "password and pinned key".to_owned(),
            connected_seconds: 7500,
            generation: Some("9.4".to_owned()),
            bytes_received: 2048,
        }],
        ..Default::default()
    }
}

fn sample() -> Status {
    Status {
        log: Some("/var/lib/syncd/source-a/syncd.log".to_owned()),
        node: "web1".to_owned(),
        key: "0707070707070707".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4711,
        config: "/etc/confxml.xml".to_owned(),
        listen: Some("0.0.0.0:873".to_owned()),
        uptime_seconds: 100_000,
        sets: vec![primary(), replica()],
        counters: [("events".to_owned(), 12)].into(),
        store_fault: Some("no space left on device".to_owned()),
        ..Default::default()
    }
}

fn master() -> InstanceStatus {
    InstanceStatus {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        vrid: 51,
        version: 2,
        state: "master".to_owned(),
        since_seconds: 7500,
        cause: "the master 10.0.0.2 is silent".to_owned(),
        priority: 90,
        priority_why: "150, script check_nginx -60".to_owned(),
        addresses: vec!["10.0.0.50/24".to_owned(), "10.0.0.51/24".to_owned()],
        held: vec!["10.0.0.50/24".to_owned()],
        transitions: 3,
        adverts_sent: 7501,
        adverts_received: 12,
        rejected: vec![
            RejectedStatus {
                from: Some(std::net::Ipv4Addr::new(10, 0, 0, 7).into()),
                reason: "another password".to_owned(),
                count: 1204,
                last_seconds: 1,
            },
            RejectedStatus { from: None, reason: "malformed".to_owned(), count: 1, last_seconds: 60 },
        ],
        warnings: vec!["VRID 51 is also used by 10.0.0.7".to_owned()],
        ..Default::default()
    }
}

fn faulty() -> InstanceStatus {
    InstanceStatus {
        name: "VI_2".to_owned(),
        interface: "eth1".to_owned(),
        vrid: 52,
        version: 3,
        state: "fault".to_owned(),
        since_seconds: 4,
        cause: "it cannot be master".to_owned(),
        priority: 100,
        priority_why: "100".to_owned(),
        faults: vec!["interface eth1 is down".to_owned()],
        master: Some(std::net::Ipv4Addr::new(10, 0, 1, 2).into()),
        master_priority: Some(120),
        addresses: vec!["10.0.1.50/24".to_owned()],
        ..Default::default()
    }
}

fn supervised() -> Status {
    let running = ProcessStatus { name: "vrrp".to_owned(), pid: Some(4712), up_seconds: 100_000, ..Default::default() };
    let killed = ProcessStatus {
        name: "engine".to_owned(),
        restarts: 3,
        last_end: Some("killed by signal 9 (by hand, or out of memory)".to_owned()),
        last_end_seconds: Some(12),
        ..Default::default()
    };
    Status {
        node: "web1".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4711,
        config: "/etc/keepalived/keepalived.conf".to_owned(),
        uptime_seconds: 100_000,
        vrrp: vec![master(), faulty()],
        processes: vec![running, killed],
        upgrades: 1,
        upgrade_fault: Some("Permission denied (os error 13): the program is not replaced".to_owned()),
        ..Default::default()
    }
}

#[test]
fn people_see_each_virtual_router_and_each_process() {
    insta::assert_snapshot!(text(&supervised()).expect("text"));
}

#[test]
fn a_virtual_router_at_fault_a_process_that_does_not_run_and_silence_are_unhealthy() {
    let healthy = || Status { vrrp: vec![master()], ..Default::default() };
    assert!(healthy().is_healthy());
    assert!(!Status { vrrp: vec![master(), faulty()], ..Default::default() }.is_healthy());
    assert!(!Status { vrrp_fault: Some("no answer".to_owned()), ..healthy() }.is_healthy());
    assert!(!Status { processes: vec![ProcessStatus::default()], ..healthy() }.is_healthy());
}

#[test]
fn people_see_what_is_wrong_and_what_to_do() {
    insta::assert_snapshot!(text(&sample()).expect("text"));
}

#[test]
fn programs_get_one_line_with_names_that_stay() {
    let mut out = Vec::new();
    print(&[&sample()], true, &mut out).expect("print");
    let line = String::from_utf8(out).expect("text");
    assert_eq!(line.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_str(&line).expect("json");
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).expect("json"));
    assert_eq!(serde_json::from_str::<Status>(&line).expect("decode"), sample());
}
