//! Interfaces of virtual routers, and what the packet filter keeps in.

use std::net::{IpAddr, UdpSocket};

use syncd::net::address::Placed;
use syncd::net::advert::AdvertSocket;
use syncd::net::firewall::Rules;
use syncd::net::netlink::Netlink;
use syncd::vrrp::setup::{Family, Vmac};

use crate::bed::{GROUP, address, datagram, hex, link, nothing, pair, sniffer, summary, until, wait};
use crate::support::namespace::allowed;

fn vmac(name: &str, mac: [u8; 6]) -> Vmac {
    Vmac { name: name.into(), mac, transmit_base: false }
}

#[test]
fn a_vmac_has_its_own_address_on_the_wire_and_answers_for_its_addresses_alone() {
    if !allowed("a_vmac_has_its_own_address_on_the_wire_and_answers_for_its_addresses_alone") {
        return;
    }
    let (one, two) = pair();
    let mac = [0, 0, 0x5e, 0, 1, 51];
    let vmac = vmac("vrrp.51", mac);
    let open = |vmac: &Vmac| {
        let mut netlink = Netlink::open().expect("netlink");
        let parent = link(&mut netlink, "eth0");
        let made = netlink.make_vmac(vmac, &parent, Family::V4).expect("made");
        assert!(made.warnings.is_empty(), "{:?}", made.warnings);
        assert!(made.new && made.link.up && made.link.mac == Some(mac), "{made:?}");
        let again = netlink.make_vmac(vmac, &parent, Family::V4).expect("taken over");
        assert_eq!((again.new, again.link.index), (false, made.link.index));
        let mut socket = AdvertSocket::multicast(made.link.index, &vmac.name, Family::V4).expect("socket");
        socket.join(GROUP).expect("joined");
        socket.join_on(GROUP, parent.index).expect("joined below");
        (socket, made.link)
    };
    let seen = two.run(|| sniffer(0x0800));
    let ((mut sender, on), (mut hearer, _)) = (one.run(|| open(&vmac)), two.run(|| open(&vmac)));
    sender.send(IpAddr::from([10, 97, 1, 11]), GROUP, None, b"hello").expect("sent");
    // The other host has an interface with the same address, as a backup has.
    assert_eq!(summary(&mut hearer).4, b"hello");
    while datagram(&seen).get(6..12) != Some(&mac) {}
    let vip = address("10.97.1.50/24");
    one.run(|| Netlink::open().expect("netlink").put_addresses(&[Placed::on(&on, &vip)], None).remove(0)).expect("put");
    two.run(|| UdpSocket::bind("0.0.0.0:0").expect("bound").send_to(b"hello", "10.97.1.50:9").expect("sent"));
    until("the VMAC answers", || two.ip("neigh show 10.97.1.50").contains("lladdr 00:00:5e:00:01:33"));
    for (key, value) in [("arp_ignore", "1"), ("accept_local", "1"), ("rp_filter", "0"), ("promote_secondaries", "1")] {
        assert_eq!(one.get(&format!("net/ipv4/conf/vrrp.51/{key}")), value, "{key}");
    }
    assert_eq!(
        (one.get("net.ipv4.conf.eth0.arp_ignore"), one.get("net.ipv4.conf.eth0.arp_announce")),
        ("1".into(), "2".into())
    );
    assert_eq!(one.get("net/ipv6/conf/vrrp.51/disable_ipv6"), "1");
    one.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        netlink.remove_vmac(&vmac).expect("removed");
        netlink.remove_vmac(&vmac).expect("gone already");
        assert!(!netlink.links().expect("links").iter().any(|link| link.name == "vrrp.51"));
    });
}

#[test]
fn a_vmac_of_an_earlier_life_is_replaced_and_another_interface_of_that_name_is_not() {
    if !allowed("a_vmac_of_an_earlier_life_is_replaced_and_another_interface_of_that_name_is_not") {
        return;
    }
    let (host, _other) = pair();
    host.ip("link add link eth0 name vrrp6.52 address 00:00:5e:00:02:99 type macvlan mode private");
    host.ip("link add link eth0 name mine type macvlan mode private");
    host.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let mac = [0, 0, 0x5e, 0, 2, 52];
        let made = netlink.make_vmac(&vmac("vrrp6.52", mac), &eth0, Family::V6).expect("made");
        assert_eq!((made.new, made.link.mac, made.link.parent), (true, Some(mac), Some(eth0.index)));
        let index = made.link.index;
        // Two hosts would have the same address, made from the hardware's.
        assert!(!netlink.addresses().expect("addresses").iter().any(|a| a.interface == index));
        let error = netlink.make_vmac(&vmac("mine", mac), &eth0, Family::V6).expect_err("not ours");
        assert_eq!(error.to_string(), "mine cannot be made on eth0: File exists");
        netlink.remove_vmac(&vmac("mine", mac)).expect("left");
        assert!(netlink.links().expect("links").iter().any(|link| link.name == "mine"));
    });
    for key in ["accept_ra", "autoconf", "accept_dad"] {
        assert_eq!(host.get(&format!("net/ipv6/conf/vrrp6.52/{key}")), "0", "{key}");
    }
}

#[test]
fn a_closed_address_is_found_by_neighbours_and_answers_nothing_else() {
    const TEST: &str = "a_closed_address_is_found_by_neighbours_and_answers_nothing_else";
    if !allowed(TEST) || !crate::support::skip::have(TEST, "nft") {
        return;
    }
    let (one, two) = pair();
    let vips = [address("10.97.1.50/24"), address("fd97::50/64")];
    let server = one.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        for vip in &vips {
            netlink.put_addresses(&[Placed::on(&eth0, vip)], None).remove(0).expect("put");
        }
        UdpSocket::bind("[::]:7777").expect("bound")
    });
    let say = |to: &str| {
        two.run(|| UdpSocket::bind("[::]:0").expect("bound").send_to(to.as_bytes(), (to, 7777)).expect("sent"));
    };
    let heard = || {
        wait(&server);
        let mut buffer = [0; 100];
        let length = server.recv(&mut buffer).expect("received");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let both = [("::ffff:10.97.1.50", "::ffff:10.97.1.11"), ("fd97::50", "fd97::11")];
    for (vip, _) in both {
        say(vip);
        assert_eq!(heard(), vip, "it is open at first");
    }
    let mut rules = Rules::default();
    vips.iter().for_each(|vip| rules.close(vip.ip));
    one.run(|| rules.install().expect("installed"));
    one.run(|| rules.install().expect("again"));
    two.ip("neigh flush dev eth0");
    for ((vip, own), plain) in both.into_iter().zip(["10.97.1.50", "fd97::50"]) {
        say(vip);
        until("neighbours find it", || two.ip(&format!("neigh show {plain}")).contains("lladdr"));
        say(own);
        assert_eq!(heard(), own);
    }
    let list = || one.command("nft").args(["list", "ruleset"]).output().expect("nft runs").stdout;
    until("both were counted", || String::from_utf8_lossy(&list()).matches("counter packets 1 ").count() == 2);
    one.run(|| Rules::default().install().expect("taken away"));
    assert!(list().is_empty());
    for (vip, _) in both {
        say(vip);
        assert_eq!(heard(), vip, "it is open again");
    }
}

#[test]
fn a_muted_vmac_reports_no_group() {
    const TEST: &str = "a_muted_vmac_reports_no_group";
    if !allowed(TEST) || !crate::support::skip::have(TEST, "nft") {
        return;
    }
    let (host, other) = pair();
    let seen = other.run(|| sniffer(0x0800));
    let mac = [0, 0, 0x5e, 0, 1, 51];
    let _open = host.run(|| {
        let mut rules = Rules::default();
        rules.mute(Family::V4, "vrrp.51");
        rules.install().expect("installed");
        let mut netlink = Netlink::open().expect("netlink");
        let parent = link(&mut netlink, "eth0");
        let made = netlink.make_vmac(&vmac("vrrp.51", mac), &parent, Family::V4).expect("made");
        let mut socket = AdvertSocket::multicast(made.link.index, "vrrp.51", Family::V4).expect("socket");
        socket.join(GROUP).expect("joined");
        socket.join_on(GROUP, parent.index).expect("joined below");
        socket
    });
    let list = || one_line(&host.command("nft").args(["list", "ruleset"]).output().expect("nft runs").stdout);
    until("a report was dropped", || list().contains("igmp counter packets ") && !list().contains("packets 0 "));
    // The interface below reports in its place: IGMP is number 2.
    loop {
        let frame = datagram(&seen);
        let igmp = frame.get(23) == Some(&2);
        assert!(!igmp || frame[6..12] != mac, "{}", hex(&frame));
        if igmp {
            break;
        }
    }
}

fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_comes_from_the_same_hardware_address_is_heard_on_the_vmac_alone_and_all_else_too() {
    if !allowed("what_comes_from_the_same_hardware_address_is_heard_on_the_vmac_alone_and_all_else_too") {
        return;
    }
    let (one, two) = pair();
    let vmac = vmac("vrrp6.51", [0, 0, 0x5e, 0, 2, 51]);
    let group: IpAddr = "ff02::12".parse().expect("a group");
    let open = || {
        let mut netlink = Netlink::open().expect("netlink");
        let below = link(&mut netlink, "eth0");
        let above = netlink.make_vmac(&vmac, &below, Family::V6).expect("made").link;
        let [above, below] = [above, below].map(|link| {
            let mut socket = AdvertSocket::multicast(link.index, &link.name, Family::V6).expect("socket");
            socket.join(group).expect("joined");
            (socket, link)
        });
        (above, below)
    };
    let ((mut sender, _), (mut sender_below, _)) = one.run(open);
    let ((mut hearer, _), (mut hearer_below, _)) = two.run(open);
    let from: IpAddr = "fe80::11".parse().expect("an address");
    sender.send(from, group, None, b"no").expect_err("the kernel put no address on it");
    // That of the interface below, without which switches would not learn where the hardware address is.
    sender.send_from_elsewhere().expect("allowed");
    sender.send(from, group, None, b"by the VMAC").expect("sent");
    assert_eq!(summary(&mut hearer).4, b"by the VMAC");
    sender_below.send(from, group, None, b"from below").expect("sent");
    assert_eq!(summary(&mut hearer).4, b"from below");
    assert_eq!(summary(&mut hearer_below).4, b"from below", "and not what came from the VMAC");
    nothing(&mut hearer_below);
}
