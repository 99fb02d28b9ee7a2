//! The network as the VRRP process sees and changes it, in network namespaces.

mod support;

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use support::namespace::{Lan, Namespace, allowed, cable};
use syncd::net::address::{Placed, Present, Put, Removed};
use syncd::net::advert::{AdvertSocket, LONGEST, VRRP};
use syncd::net::announce::{Announcer, is_router};
use syncd::net::frame::{gratuitous_arp, neighbour_advertisement};
use syncd::net::link::Link;
use syncd::net::monitor::{Event, Monitor};
use syncd::net::netlink::Netlink;
use syncd::vrrp::setup::{Address, Family};

const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

/// Waits until `socket` has something to read.
fn wait(socket: impl AsFd) {
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert!(poll(&mut fds, Some(&limit)).expect("poll") > 0, "nothing came in 20 s");
}

/// The next datagram on `socket`, as it came.
fn datagram(mut socket: &Socket) -> Vec<u8> {
    wait(socket);
    let mut buffer = vec![0; LONGEST];
    let length = socket.read(&mut buffer).expect("received");
    buffer.truncate(length);
    buffer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The events up to the first that `is` the last.
fn events_until(monitor: &mut Monitor, is: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        while let Some(event) = monitor.receive().expect("monitor") {
            let last = is(&event);
            events.push(event);
            if last {
                return events;
            }
        }
        wait(&*monitor);
    }
}

fn link(netlink: &mut Netlink, name: &str) -> Link {
    let links = netlink.links().expect("links");
    links.into_iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no interface {name}"))
}

fn address(text: &str) -> Address {
    let (ip, prefix) = text.split_once('/').expect("a prefix");
    Address::new(ip.parse().expect("an address"), prefix.parse().expect("a length"))
}

/// What is on interface number `interface`, without what the kernel put there.
fn present(netlink: &mut Netlink, interface: u32) -> Vec<Present> {
    let all = netlink.addresses().expect("addresses");
    all.into_iter().filter(|a| a.interface == interface && !a.ip.to_string().starts_with("fe80")).collect()
}

/// Two hosts with interface `eth0` each, on one cable: 10.97.1.11 and .12, fd97::11 and ::12.
fn pair() -> (Namespace, Namespace) {
    let (one, two) = (Namespace::new("one"), Namespace::new("two"));
    cable(&one, "eth0", &two, "eth0");
    for (host, number) in [(&one, 11), (&two, 12)] {
        host.ip(&format!("addr add 10.97.1.{number}/24 dev eth0"));
        host.ip(&format!("addr add fd97::{number}/64 dev eth0"));
        host.ip(&format!("addr add fe80::{number}/64 dev eth0"));
    }
    (one, two)
}

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

#[test]
fn an_advertisement_leaves_with_keepalived_s_header() {
    if !allowed("an_advertisement_leaves_with_keepalived_s_header") {
        return;
    }
    let (one, two) = pair();
    let payload = *b"\x21\x33\x96\x01\x01\x01\xd9\xd4\x0a\x61\x01\x32\x31\x31\x31\x31\0\0\0\0";
    let other = two.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(VRRP)))).expect("raw");
        let index = link(&mut Netlink::open().expect("netlink"), "eth0").index;
        let group = Ipv4Addr::new(224, 0, 0, 18);
        socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)).expect("join");
        socket
    });
    one.run(|| {
        let eth0 = link(&mut Netlink::open().expect("netlink"), "eth0");
        let mut socket = AdvertSocket::multicast(eth0.index, "eth0", Family::V4).expect("socket");
        let from = IpAddr::from([10, 97, 1, 11]);
        socket.send(from, GROUP, None, &payload).expect("sent");
        socket.send(from, GROUP, None, &payload).expect("sent");
    });
    let headers = [
        "45c00028 00010000 ff70cf26 0a61010b e0000012",
        // The next one: the number counts up, the checksum follows.
        "45c00028 00020000 ff70cf25 0a61010b e0000012",
    ];
    for header in headers {
        let bytes = datagram(&other);
        let words: Vec<_> = bytes[..20].chunks(4).map(hex).collect();
        assert_eq!(words.join(" "), header);
        assert_eq!(bytes[20..], payload);
    }
}

/// What came, but for the bytes.
fn summary(socket: &mut AdvertSocket) -> (String, String, u8, u32, Vec<u8>) {
    wait(&*socket);
    let mut buffer = vec![0; LONGEST];
    let got = socket.receive(&mut buffer).expect("received").expect("something");
    (got.from.to_string(), got.to.to_string(), got.ttl, got.interface, got.payload.to_vec())
}

fn nothing(socket: &mut AdvertSocket) {
    assert_eq!(socket.receive(&mut [0; LONGEST]).expect("no error"), None);
}

#[test]
fn a_group_is_heard_by_those_that_joined_it_and_not_by_the_sender() {
    if !allowed("a_group_is_heard_by_those_that_joined_it_and_not_by_the_sender") {
        return;
    }
    let (one, two) = pair();
    for (family, group, other, from) in [
        (Family::V4, GROUP, "224.0.0.19", "10.97.1.11"),
        (Family::V6, "ff02::12".parse().expect("a group"), "ff02::13", "fe80::11"),
    ] {
        let open = || {
            let eth0 = link(&mut Netlink::open().expect("netlink"), "eth0");
            let mut socket = AdvertSocket::multicast(eth0.index, "eth0", family).expect("socket");
            socket.join(group).expect("joined");
            socket.join(group).expect("joined already");
            (socket, eth0.index)
        };
        let (mut sender, _) = one.run(open);
        let (mut hearer, index) = two.run(open);
        let mut for_one = two.run(|| AdvertSocket::unicast(Some((index, "eth0")), family).expect("socket"));
        let from: IpAddr = from.parse().expect("an address");
        sender.send(from, other.parse().expect("a group"), None, b"to others").expect("sent");
        sender.send(from, group, None, b"to the group").expect("sent");
        let expected = (from.to_string(), group.to_string(), 255, index, b"to the group".to_vec());
        assert_eq!(summary(&mut hearer), expected);
        nothing(&mut hearer);
        nothing(&mut for_one);
        nothing(&mut sender);
    }
}

#[test]
fn a_peer_is_reached_by_unicast_with_the_ttl_that_is_asked_for() {
    if !allowed("a_peer_is_reached_by_unicast_with_the_ttl_that_is_asked_for") {
        return;
    }
    let (one, two) = pair();
    for (family, from, to, without) in
        [(Family::V4, "10.97.1.11", "10.97.1.12", 255), (Family::V6, "fd97::11", "fd97::12", 64)]
    {
        let index = two.run(|| link(&mut Netlink::open().expect("netlink"), "eth0").index);
        let mut sender = one.run(|| AdvertSocket::unicast(None, family).expect("socket"));
        let mut hearer = two.run(|| AdvertSocket::unicast(Some((index, "eth0")), family).expect("socket"));
        let (from, to) = (from.parse::<IpAddr>().expect("an address"), to.parse::<IpAddr>().expect("an address"));
        for (ttl, arrives) in [(Some(7), 7), (Some(255), 255), (None, without)] {
            sender.send(from, to, ttl, b"hello").expect("sent");
            assert_eq!(summary(&mut hearer), (from.to_string(), to.to_string(), arrives, index, b"hello".to_vec()));
        }
        nothing(&mut hearer);
        let error = sender
            .send(from, IpAddr::from([0; 16]), None, b"")
            .err()
            .or(sender.send(from, IpAddr::from([0; 4]), None, b"").err());
        assert!(error.is_some(), "families do not mix");
    }
}

#[test]
fn the_longest_advertisements_arrive_whole() {
    if !allowed("the_longest_advertisements_arrive_whole") {
        return;
    }
    let (one, two) = pair();
    for (family, group, from, length) in [
        (Family::V4, GROUP, "10.97.1.11", 8 + 4 * 255 + 8),
        (Family::V6, "ff02::12".parse().expect("a group"), "fe80::11", 8 + 16 * 255),
    ] {
        let open = || {
            let eth0 = link(&mut Netlink::open().expect("netlink"), "eth0");
            let mut socket = AdvertSocket::multicast(eth0.index, "eth0", family).expect("socket");
            socket.join(group).expect("joined");
            socket
        };
        let (mut sender, mut hearer) = (one.run(open), two.run(open));
        let payload: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).expect("small")).collect();
        sender.send(from.parse().expect("an address"), group, None, &payload).expect("sent");
        assert_eq!(summary(&mut hearer).4, payload);
    }
}

/// Sees all frames of `protocol`.
fn sniffer(protocol: u16) -> Socket {
    Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol.to_be())))).expect("packet socket")
}

#[test]
fn a_gratuitous_arp_moves_an_address_in_the_neighbour_s_table() {
    if !allowed("a_gratuitous_arp_moves_an_address_in_the_neighbour_s_table") {
        return;
    }
    let (one, two) = pair();
    two.ip("neigh add 10.97.1.50 lladdr 02:00:00:00:00:99 dev eth0 nud stale");
    let seen = two.run(|| sniffer(0x0806));
    let ip = Ipv4Addr::new(10, 97, 1, 50);
    let mac = one.run(|| {
        let eth0 = link(&mut Netlink::open().expect("netlink"), "eth0");
        let mac = eth0.mac.expect("Ethernet");
        Announcer::open().expect("socket").announce(eth0.index, mac, ip.into(), false).expect("sent");
        mac
    });
    while datagram(&seen) != gratuitous_arp(mac, ip) {}
    let table = two.ip("neigh show 10.97.1.50");
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    assert!(table.contains(&format!("lladdr {mac}")), "{table}");
}

#[test]
fn a_neighbour_advertisement_moves_an_address_at_once_after_it_was_put() {
    if !allowed("a_neighbour_advertisement_moves_an_address_at_once_after_it_was_put") {
        return;
    }
    let (one, two) = pair();
    two.ip("neigh add fd97::50 lladdr 02:00:00:00:00:99 dev eth0 nud stale");
    let seen = two.run(|| sniffer(0x86dd));
    let wanted = address("fd97::50/64");
    let IpAddr::V6(ip) = wanted.ip else { panic!("it is IPv6") };
    let mac = one.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let announcer = Announcer::open().expect("socket");
        netlink.put_addresses(&[Placed::on(&eth0, &wanted)], None).remove(0).expect("put");
        let mac = eth0.mac.expect("Ethernet");
        assert!(!is_router("eth0"));
        announcer.announce(eth0.index, mac, wanted.ip, false).expect("sent");
        mac
    });
    while datagram(&seen) != neighbour_advertisement(mac, ip, false) {}
    let table = two.ip("neigh show fd97::50");
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    assert!(table.contains(&format!("lladdr {text}")), "{table}");
    one.set("net.ipv6.conf.eth0.forwarding", "1");
    assert!(one.run(|| is_router("eth0")));
}
