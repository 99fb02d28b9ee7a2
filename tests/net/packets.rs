//! Advertisements, gratuitous ARP and neighbour advertisements on the wire.

use std::net::{IpAddr, Ipv4Addr};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use syncd::net::address::Placed;
use syncd::net::advert::{AdvertSocket, VRRP};
use syncd::net::announce::{Announcer, is_router};
use syncd::net::frame::{gratuitous_arp, neighbour_advertisement};
use syncd::net::netlink::Netlink;
use syncd::vrrp::setup::Family;

use crate::bed::{GROUP, address, datagram, hex, link, nothing, pair, sniffer, summary, until};
use crate::support::namespace::allowed;

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
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    until("its address", || two.ip("neigh show 10.97.1.50").contains(&format!("lladdr {mac}")));
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
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    until("its address", || two.ip("neigh show fd97::50").contains(&format!("lladdr {text}")));
    one.set("net.ipv6.conf.eth0.forwarding", "1");
    assert!(one.run(|| is_router("eth0")));
}
