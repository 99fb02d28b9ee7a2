//! Addresses come and go, leases end, and the monitor tells.

use std::net::IpAddr;
use std::time::Duration;

use syncd::net::address::{Placed, Put, Removed};
use syncd::net::advert::AdvertSocket;
use syncd::net::monitor::{Event, Monitor};
use syncd::net::netlink::Netlink;
use syncd::vrrp::setup::{Address, Family};

use crate::bed::{address, events_until, link, pair, present};
use crate::support::namespace::{Lan, Namespace, allowed};

#[test]
fn an_address_is_put_once_and_taken_off_once() {
    if !allowed("an_address_is_put_once_and_taken_off_once") {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let mut monitor = Monitor::open().expect("monitor");
        for text in ["10.97.1.50/24", "10.98.0.1/32", "fd97::50/64", "fd98::1/128"] {
            let wanted = address(text);
            let placed = [Placed::on(&eth0, &wanted)];
            assert_eq!(netlink.put_addresses(&placed, None)[0].as_ref().expect("put"), &Put::New, "{text}");
            assert_eq!(netlink.put_addresses(&placed, None)[0].as_ref().expect("put"), &Put::AlreadyThere);
            let found = present(&mut netlink, eth0.index).into_iter().find(|a| a.ip == wanted.ip).expect("is there");
            assert_eq!((found.prefix, found.valid, found.tentative), (wanted.prefix, None, false), "{text}");
            events_until(&mut monitor, |event| *event == Event::AddressCame(found.clone()));
            assert_eq!(netlink.remove_addresses(&placed)[0].as_ref().expect("removed"), &Removed::Gone);
            assert_eq!(netlink.remove_addresses(&placed)[0].as_ref().expect("not there"), &Removed::NotThere);
            events_until(&mut monitor, |event| matches!(event, Event::AddressGone(gone) if gone.ip == wanted.ip));
        }
    });
}

#[test]
fn all_that_is_said_of_an_address_is_on_it() {
    if !allowed("all_that_is_said_of_an_address_is_on_it") {
        return;
    }
    let (host, _other) = pair();
    // Another network than that of eth0 itself: the kernel takes no two scopes in one.
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let mut four = address("10.96.1.50/24");
        four.scope = 253;
        four.label = Some("eth0:vip".into());
        four.broadcast = Some(IpAddr::from([10, 96, 1, 255]));
        four.no_prefix_route = true;
        let mut peer = address("10.99.0.1/32");
        peer.peer = Some(IpAddr::from([10, 99, 0, 2]));
        let mut home = address("fd98::1/64");
        home.home = true;
        home.preferred = Some(50);
        let wanted = [four, peer, home, address("fd98::2/128")];
        let placed: Vec<_> = wanted.iter().map(|a| Placed::on(&eth0, a)).collect();
        for put in netlink.put_addresses(&placed, Some(Duration::from_millis(99_500))) {
            assert_eq!(put.expect("put"), Put::New);
        }
    });
    let said = host.ip("addr show dev eth0");
    for line in [
        "inet 10.96.1.50/24 brd 10.96.1.255 scope link dynamic noprefixroute eth0:vip",
        "inet 10.99.0.1 peer 10.99.0.2/32 scope global dynamic eth0",
        "inet6 fd98::1/64 scope global dynamic nodad home",
        "inet6 fd98::2/128 scope global deprecated dynamic nodad",
    ] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert!(said.lines().any(|found| words(line).is_subset(&words(found))), "{line} is not in\n{said}");
    }
}

#[test]
fn a_lease_that_nobody_refreshes_ends_and_is_told() {
    if !allowed("a_lease_that_nobody_refreshes_ends_and_is_told") {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let mut monitor = Monitor::open().expect("monitor");
        let (kept, left, left_v6) = (address("10.97.1.50/24"), address("10.97.1.51/24"), address("fd97::51/64"));
        let second = Some(Duration::from_secs(1));
        let placed = [&kept, &left, &left_v6].map(|a| Placed::on(&eth0, a));
        netlink.put_addresses(&placed, second).into_iter().for_each(|put| assert_eq!(put.expect("put"), Put::New));
        for refreshed in netlink.refresh_addresses(&placed[..1], Some(Duration::from_secs(1000))) {
            refreshed.expect("refreshed");
        }
        for ip in [left.ip, left_v6.ip] {
            let gone = |event: &Event| matches!(event, Event::AddressGone(gone) if gone.ip == ip);
            if present(&mut netlink, eth0.index).iter().any(|a| a.ip == ip) {
                events_until(&mut monitor, gone);
            }
        }
        let there = present(&mut netlink, eth0.index);
        assert!(!there.iter().any(|a| a.ip == left.ip || a.ip == left_v6.ip), "{there:?}");
        let kept = there.iter().find(|a| a.ip == kept.ip).expect("is there");
        assert!(kept.valid.is_some_and(|valid| valid > 1), "{kept:?}");
        // What is gone is put there again by a refresh.
        netlink.refresh_addresses(&placed[1..], None).into_iter().for_each(|done| done.expect("put back"));
        assert_eq!(present(&mut netlink, eth0.index).iter().filter(|a| a.valid.is_none()).count(), 4);
    });
}

#[test]
fn hundreds_of_addresses_come_and_go_in_order() {
    if !allowed("hundreds_of_addresses_come_and_go_in_order") {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let wanted: Vec<_> =
            (0..500_u32).map(|n| Address::new(IpAddr::from((0x0a62_0000 + n).to_be_bytes()), 32)).collect();
        let placed: Vec<_> = wanted.iter().map(|a| Placed::on(&eth0, a)).collect();
        netlink.put_addresses(&placed[100..101], None).remove(0).expect("put");
        let put: Vec<_> = netlink.put_addresses(&placed, None).into_iter().map(|put| put.expect("put")).collect();
        let there = put.iter().position(|put| *put == Put::AlreadyThere);
        assert_eq!((there, put.iter().filter(|put| **put == Put::New).count()), (Some(100), 499));
        assert_eq!(present(&mut netlink, eth0.index).len(), 502);
        for removed in netlink.remove_addresses(&placed) {
            assert_eq!(removed.expect("removed"), Removed::Gone);
        }
        assert_eq!(present(&mut netlink, eth0.index).len(), 2);
    });
}

/// As when the network is set up anew under a master: its address is then the first of the host's own network.
#[test]
fn the_first_address_of_a_network_goes_alone() {
    if !allowed("the_first_address_of_a_network_goes_alone") {
        return;
    }
    let (host, _other) = pair();
    host.ip("addr del 10.97.1.11/24 dev eth0");
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let wanted = address("10.97.1.50/24");
        let placed = [Placed::on(&eth0, &wanted)];
        assert_eq!(netlink.put_addresses(&placed, None).remove(0).expect("put"), Put::New);
        host.ip("addr add 10.97.1.11/24 dev eth0");
        assert!(present(&mut netlink, eth0.index).iter().any(|own| own.secondary));
        assert_eq!(netlink.remove_addresses(&placed).remove(0).expect("removed"), Removed::Gone);
        let left = present(&mut netlink, eth0.index);
        assert!(left.iter().any(|own| own.ip.to_string() == "10.97.1.11" && !own.secondary), "{left:?}");
    });
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    if !allowed("what_cannot_be_done_is_said_in_one_line") {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let wanted = address("10.97.1.50/24");
        let nowhere = Placed { interface: 4711, name: "eth7", address: &wanted };
        let error = netlink.put_addresses(&[nowhere], None).remove(0).expect_err("no interface");
        assert_eq!(error.to_string(), "10.97.1.50/24 cannot be put on eth7: No such device");
        let error = AdvertSocket::multicast(4711, "eth7", Family::V4).expect_err("no interface");
        assert_eq!(error.to_string(), "a socket for VRRP cannot be made on eth7: No such device");
    });
}

#[test]
fn the_monitor_tells_of_carriers_and_of_interfaces_that_come_and_go() {
    if !allowed("the_monitor_tells_of_carriers_and_of_interfaces_that_come_and_go") {
        return;
    }
    let (lan, host) = (Lan::new("lan"), Namespace::new("host"));
    let port = lan.attach(&host, "eth0", &["10.97.1.11/24"]);
    host.run(|| {
        let mut monitor = Monitor::open().expect("monitor");
        let mut netlink = Netlink::open().expect("netlink");
        let usable = |want: bool| move |event: &Event| matches!(event, Event::Link(l) if l.name == "eth0" && l.is_usable() == want);
        if !link(&mut netlink, "eth0").is_usable() {
            events_until(&mut monitor, usable(true));
        }
        let eth0 = link(&mut netlink, "eth0");
        assert_eq!((eth0.kind.as_deref(), eth0.mtu, eth0.up, eth0.loopback), (Some("veth"), 1500, true, false));
        assert!(eth0.mac.is_some() && eth0.multicast);
        assert!(link(&mut netlink, "lo").loopback);
        lan.set_port(&port, false);
        events_until(&mut monitor, usable(false));
        assert!(link(&mut netlink, "eth0").up, "it is on, without a carrier");
        lan.set_port(&port, true);
        events_until(&mut monitor, usable(true));
        host.ip("link set eth0 down");
        events_until(&mut monitor, |event| matches!(event, Event::Link(l) if l.name == "eth0" && !l.up));
        host.ip("link del eth0");
        let gone = Event::LinkGone { index: eth0.index, name: "eth0".into() };
        events_until(&mut monitor, |event| *event == gone);
    });
}

#[test]
fn a_monitor_that_is_not_read_says_that_something_got_lost_and_goes_on() {
    if !allowed("a_monitor_that_is_not_read_says_that_something_got_lost_and_goes_on") {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let mut monitor = Monitor::open().expect("monitor");
        let wanted = address("10.97.1.50/24");
        let placed = [Placed::on(&eth0, &wanted); 64];
        for _ in 0..100 {
            netlink.refresh_addresses(&placed, None);
        }
        events_until(&mut monitor, |event| *event == Event::Lost);
        while monitor.receive().expect("monitor").is_some() {}
        netlink.remove_addresses(&placed[..1]);
        events_until(&mut monitor, |event| matches!(event, Event::AddressGone(gone) if gone.ip == wanted.ip));
    });
}
