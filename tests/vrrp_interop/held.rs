//! What a master puts on its host, and what it leaves there, is what keepalived does for the same file.

use std::time::Duration;

use crate::bed::{FAST, VIP, instance};
use crate::support::namespace::Lan;
use crate::support::node::wait_until;
use crate::support::vrrp::{Kind, Lab, PATIENCE, Probe, Router, said, with_keepalived};

/// The addresses, routes and rules of a host as ip(8) shows them, but for how long a lease has still to run.
fn seen(router: &Router) -> Vec<String> {
    let mut all = Vec::new();
    for what in ["-o addr show", "-4 route show table all", "-6 route show table all", "-4 rule show", "-6 rule show"] {
        let shown = router.host.ip(what);
        // A route that has expired leads nowhere, and is shown until the kernel cleans up.
        let lines = shown.lines().filter(|line| !line.contains("fe80::") && !line.contains("expires -"));
        let mut lines: Vec<String> = lines.map(comparable).collect();
        lines.sort();
        all.extend(lines);
    }
    all
}

/// A lease is `dynamic` and has a time; who made a route is not what it does.
fn comparable(line: &str) -> String {
    let line = line.split("valid_lft").next().unwrap_or(line);
    let mut words = line.split_whitespace().filter(|word| *word != "dynamic" && *word != "\\");
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "proto" | "expires" => drop(words.next()),
            word => kept.push(word.trim_end_matches('\\')),
        }
    }
    kept.join(" ")
}

/// What `config` makes of a host while `kind` is master, that many lines at least, and after its end.
fn life(kind: Kind, config: &str, lines: usize) -> (Vec<String>, Vec<String>) {
    let mut lab = Lab::new(1);
    lab.routers[0].set_mac("02:00:0a:61:01:0b");
    let other = Lan::new("other");
    other.attach(&lab.routers[0].host, "eth1", &["10.97.2.11/24", "fd98::11/64"]);
    let before = seen(&lab.routers[0]);
    lab.routers[0].start(kind, config);
    lab.wait_holder(VIP, 0);
    let new = |all: &[String]| all.iter().filter(|line| !before.contains(line)).cloned().collect::<Vec<_>>();
    let mut held = Vec::new();
    let all = wait_until(PATIENCE, || {
        held = new(&seen(&lab.routers[0]));
        held.len() >= lines
    });
    assert!(all, "{kind:?} has not all {lines}: {held:#?}\n{}", lab.logs());
    lab.routers[0].stop();
    // The kernel lets a route to the prefix of a leased IPv6 address end with the lease, and not before.
    let mut left = Vec::new();
    wait_until(if kind == Kind::Syncd { PATIENCE } else { Duration::ZERO }, || {
        left = seen(&lab.routers[0]);
        left == before
    });
    let gone = before.iter().filter(|line| !left.contains(line)).map(|line| format!("gone: {line}"));
    let after = new(&left).into_iter().chain(gone).collect();
    (held, after)
}

#[test]
fn addresses_routes_and_rules_are_those_of_keepalived() {
    if !with_keepalived("addresses_routes_and_rules_are_those_of_keepalived") {
        return;
    }
    let more = format!(
        "{FAST}\n virtual_ipaddress_excluded {{\n 10.97.1.60\n fd97::60/128\n fd97::61/64\n }}\n \
         virtual_routes {{\n 10.1.0.0/16 via 10.97.1.100\n 10.2.0.0/16 dev eth1 scope link metric 7 table 100\n \
         src {VIP} 10.3.0.0/16 via 10.97.1.100\n blackhole 10.4.0.0/16\n }}\n \
         virtual_rules {{\n from 10.97.1.50 table 100 priority 1000\n to 10.9.0.0/16 lookup 100 priority 1001\n }}"
    );
    let vips = format!(
        "{VIP}/24 brd + label eth0:1\n 10.97.1.51/32 scope host\n 10.97.1.52/25 brd 10.97.1.127\n \
         10.97.2.50/24 dev eth1\n 10.97.1.53 scope link label eth0:2"
    );
    let config = &instance("VI_1", "eth0", 51, 150, &more, &vips);
    let [ours, theirs] = std::thread::scope(|scope| {
        let lives = [Kind::Syncd, Kind::Keepalived].map(|kind| scope.spawn(move || life(kind, config, 25)));
        lives.map(|life| life.join().expect("done"))
    });
    assert_eq!(ours.0, theirs.0, "while it is master");
    assert_eq!(ours.1, Vec::<String>::new(), "it left something behind, or took something along");
}

#[test]
fn nothing_answers_where_nothing_is_to_be_accepted() {
    if !with_keepalived("nothing_answers_where_nothing_is_to_be_accepted") {
        return;
    }
    let config = crate::bed::plain(150, &format!("{FAST}\n no_accept"));
    for kind in [Kind::Syncd, Kind::Keepalived] {
        let mut lab = Lab::new(1);
        lab.routers[0].start(kind, &config);
        lab.wait_holder(VIP, 0);
        let tables = || said(lab.routers[0].host.command("nft").args(["list", "tables"]));
        if kind == Kind::Syncd {
            // The address does not wait for them.
            assert!(wait_until(PATIENCE, || !tables().is_empty()), "no rules\n{}", lab.logs());
        }
        let (own, closed) = (Probe::new(&lab, "10.97.1.11"), Probe::new(&lab, VIP));
        own.wait(100);
        let found = || lab.client.ip(&format!("neigh show {VIP}")).contains("lladdr");
        assert!(wait_until(PATIENCE, found), "{kind:?}: neighbours do not find it");
        own.wait(100);
        assert_eq!(closed.count(), 0, "{kind:?} answers");
        lab.routers[0].stop();
        let left = || said(lab.routers[0].host.command("nft").args(["list", "tables"]));
        assert!(wait_until(PATIENCE, || left().is_empty()), "{kind:?} left rules behind: {}", left());
    }
}
