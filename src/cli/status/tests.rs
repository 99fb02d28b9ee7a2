//! What `syncd status` prints of each state.

use super::*;
use crate::control::{LastError, ProblemPath, WatchStatus};

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
        generation: "3.12".to_owned(),
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
        generation: "9.4".to_owned(),
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
    }
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
