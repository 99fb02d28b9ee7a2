//! Routes and rules come and go.

use std::net::IpAddr;

use syncd::net::address::{Put, Removed};
use syncd::net::netlink::Netlink;
use syncd::net::route::Routed;
use syncd::vrrp::setup::{Family, Route, RouteKind, Rule};

use crate::bed::{address, link, pair};
use crate::support::namespace::allowed;

#[test]
fn routes_and_rules_come_and_go_and_those_of_others_stay() {
    if !allowed("routes_and_rules_come_and_go_and_those_of_others_stay") {
        return;
    }
    let (host, _other) = pair();
    host.ip("route add 10.70.0.0/16 via 10.97.1.12");
    let to = |text: &str| {
        let a = address(text);
        (a.ip, a.prefix)
    };
    let plain = |text: &str| Route {
        kind: RouteKind::Unicast,
        to: to(text),
        gateway: None,
        device: None,
        source: None,
        metric: None,
        table: 254,
        scope: None,
        mtu: None,
        on_link: false,
    };
    let via = |text: &str, gateway: &str| Route { gateway: Some(gateway.parse().expect("an address")), ..plain(text) };
    let routes = [
        Route { source: Some(IpAddr::from([10, 97, 1, 11])), mtu: Some(1400), ..via("10.71.0.0/16", "10.97.1.12") },
        Route { metric: Some(7), table: 1000, ..plain("10.72.0.0/16") },
        Route { kind: RouteKind::Blackhole, ..plain("10.73.0.0/16") },
        via("0.0.0.0/0", "10.97.1.12"),
        via("fd71::/64", "fd97::12"),
        Route { kind: RouteKind::Unreachable, ..plain("fd73::/64") },
        via("10.74.0.0/16", "fe80::12"),
        Route { on_link: true, ..via("10.75.0.0/16", "192.0.2.1") },
        via("10.70.0.0/16", "10.97.1.12"),
    ];
    let rules = [
        Rule {
            family: Family::V4,
            from: Some(to("10.97.1.50/32")),
            to: Some(to("10.0.0.0/8")),
            input: None,
            output: Some("eth0".into()),
            mark: Some((1, 0xff)),
            priority: Some(100),
            table: 1000,
        },
        Rule {
            family: Family::V6,
            from: None,
            to: None,
            input: Some("eth0".into()),
            output: None,
            mark: None,
            priority: Some(101),
            table: 77,
        },
    ];
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let interface = Some(link(&mut netlink, "eth0").index);
        let routed: Vec<_> = routes.iter().map(|route| Routed { route, interface }).collect();
        let put: Vec<_> = netlink.put_routes(&routed).into_iter().map(|put| put.expect("put")).collect();
        let (others, ours) = put.split_last().expect("some");
        assert_eq!(*others, Put::AlreadyThere, "somebody else's");
        assert!(ours.iter().all(|put| *put == Put::New), "{put:?}");
        assert!(netlink.put_routes(&routed).into_iter().all(|put| put.expect("put") == Put::AlreadyThere));
        for (rule, text) in rules.iter().zip(["100", "101"]) {
            assert_eq!(netlink.put_rules(&[rule]).remove(0).expect("put"), Put::New, "{text}");
            assert_eq!(netlink.put_rules(&[rule]).remove(0).expect("put"), Put::AlreadyThere, "{text}");
        }
        let nowhere = via("10.76.0.0/16", "192.0.2.1");
        let error = netlink.put_routes(&[Routed { route: &nowhere, interface }]).remove(0).expect_err("no way");
        assert_eq!(error.to_string(), "the route to 10.76.0.0/16 via 192.0.2.1 cannot be made: Network is unreachable");
    });
    let said = host.ip("route show table all") + &host.ip("-6 route show table all");
    for line in [
        "10.71.0.0/16 via 10.97.1.12 dev eth0 proto keepalived src 10.97.1.11 mtu 1400",
        "10.72.0.0/16 dev eth0 table 1000 proto keepalived scope link metric 7",
        "blackhole 10.73.0.0/16 proto keepalived",
        "default via 10.97.1.12 dev eth0 proto keepalived",
        "fd71::/64 via fd97::12 dev eth0 proto keepalived",
        "unreachable fd73::/64 dev lo proto keepalived",
        "10.74.0.0/16 via inet6 fe80::12 dev eth0 proto keepalived",
        "10.75.0.0/16 via 192.0.2.1 dev eth0 proto keepalived onlink",
    ] {
        assert!(said.lines().any(|found| found.trim().starts_with(line)), "{line} is not in\n{said}");
    }
    let rules_said = host.ip("rule show") + &host.ip("-6 rule show");
    for line in [
        "100:\tfrom 10.97.1.50 to 10.0.0.0/8 fwmark 0x1/0xff oif eth0 lookup 1000 proto keepalived",
        "101:\tfrom all iif eth0 lookup 77 proto keepalived",
    ] {
        assert!(rules_said.lines().any(|found| found.trim() == line), "{line} is not in\n{rules_said}");
    }
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let interface = Some(link(&mut netlink, "eth0").index);
        let routed: Vec<_> = routes.iter().map(|route| Routed { route, interface }).collect();
        let ours = &routed[..routed.len() - 1];
        assert!(netlink.remove_routes(ours).into_iter().all(|done| done.expect("removed") == Removed::Gone));
        assert!(netlink.remove_routes(&routed).into_iter().all(|done| done.expect("not there") == Removed::NotThere));
        let rules: Vec<_> = rules.iter().collect();
        assert!(netlink.remove_rules(&rules).into_iter().all(|done| done.expect("removed") == Removed::Gone));
        assert!(netlink.remove_rules(&rules).into_iter().all(|done| done.expect("not there") == Removed::NotThere));
    });
    let left = host.ip("route show table all") + &host.ip("rule show") + &host.ip("-6 route show table all");
    assert!(!left.contains("keepalived") && left.contains("10.70.0.0/16 via 10.97.1.12"), "{left}");
}

#[test]
fn a_rule_without_a_priority_is_there_once_and_goes_however_often_it_was_made() {
    if !allowed("a_rule_without_a_priority_is_there_once_and_goes_however_often_it_was_made") {
        return;
    }
    let (host, _other) = pair();
    let none = Rule {
        family: Family::V4,
        from: None,
        to: None,
        input: None,
        output: None,
        mark: None,
        priority: None,
        table: 77,
    };
    let vip = address("10.97.1.60/32");
    let rules = [
        Rule { from: Some((vip.ip, vip.prefix)), ..none.clone() },
        Rule { mark: Some((1, 0xff)), output: Some("eth0".into()), table: 1000, ..none.clone() },
        Rule { family: Family::V6, input: Some("eth0".into()), ..none.clone() },
        Rule { to: Some((std::net::Ipv4Addr::UNSPECIFIED.into(), 0)), table: 1001, ..none },
    ];
    let shown = || host.ip("rule show") + &host.ip("-6 rule show");
    // What a life before this one made a second time, and somebody else's.
    host.ip("rule add from 10.97.1.60 table 77 protocol keepalived priority 200");
    host.ip("rule add from 10.97.1.60 table 77 priority 201");
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let rules: Vec<_> = rules.iter().collect();
        let mut put = || netlink.put_rules(&rules).into_iter().map(|put| put.expect("put")).collect::<Vec<_>>();
        assert_eq!(put(), [Put::AlreadyThere, Put::New, Put::New, Put::New]);
        assert_eq!(put(), [Put::AlreadyThere; 4]);
        assert_eq!(shown().matches("proto keepalived").count(), 4, "{}", shown());
        host.ip("rule add from 10.97.1.60 table 77 protocol keepalived priority 202");
        assert!(netlink.remove_rules(&rules).into_iter().all(|done| done.expect("removed") == Removed::Gone));
        assert!(netlink.remove_rules(&rules).into_iter().all(|done| done.expect("not there") == Removed::NotThere));
    });
    let left = shown();
    assert!(!left.contains("keepalived") && left.contains("201:\tfrom 10.97.1.60 lookup 77"), "{left}");
}
