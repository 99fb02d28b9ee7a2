//! What these tests share: two hosts on a cable, and looks at them.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use syncd::net::address::Present;
use syncd::net::advert::{AdvertSocket, LONGEST};
use syncd::net::link::Link;
use syncd::net::monitor::{Event, Monitor};
use syncd::net::netlink::Netlink;
use syncd::vrrp::setup::Address;

use crate::support::namespace::{Namespace, cable};

pub(crate) const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

/// Waits until `socket` has something to read.
pub(crate) fn wait(socket: impl AsFd) {
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert!(poll(&mut fds, Some(&limit)).expect("poll") > 0, "nothing came in 20 s");
}

/// The next datagram on `socket`, as it came.
pub(crate) fn datagram(mut socket: &Socket) -> Vec<u8> {
    wait(socket);
    let mut buffer = vec![0; LONGEST];
    let length = socket.read(&mut buffer).expect("received");
    buffer.truncate(length);
    buffer
}

/// Waits until `holds`; what it looks at tells nobody when it changes.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The events up to the first that `is` the last.
pub(crate) fn events_until(monitor: &mut Monitor, is: impl Fn(&Event) -> bool) -> Vec<Event> {
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

pub(crate) fn link(netlink: &mut Netlink, name: &str) -> Link {
    let links = netlink.links().expect("links");
    links.into_iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no interface {name}"))
}

pub(crate) fn address(text: &str) -> Address {
    let (ip, prefix) = text.split_once('/').expect("a prefix");
    Address::new(ip.parse().expect("an address"), prefix.parse().expect("a length"))
}

/// What is on interface number `interface`, without what the kernel put there.
pub(crate) fn present(netlink: &mut Netlink, interface: u32) -> Vec<Present> {
    let all = netlink.addresses().expect("addresses");
    all.into_iter().filter(|a| a.interface == interface && !a.ip.to_string().starts_with("fe80")).collect()
}

/// Two hosts with interface `eth0` each, on one cable: 10.97.1.11 and .12, fd97::11 and ::12.
pub(crate) fn pair() -> (Namespace, Namespace) {
    let (one, two) = (Namespace::new("one"), Namespace::new("two"));
    cable(&one, "eth0", &two, "eth0");
    for (host, number) in [(&one, 11), (&two, 12)] {
        host.ip(&format!("addr add 10.97.1.{number}/24 dev eth0"));
        host.ip(&format!("addr add fd97::{number}/64 dev eth0"));
        host.ip(&format!("addr add fe80::{number}/64 dev eth0"));
    }
    [&one, &two].iter().for_each(|host| host.wait_ready("eth0"));
    (one, two)
}

/// Sees all frames of `protocol`.
pub(crate) fn sniffer(protocol: u16) -> Socket {
    Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol.to_be())))).expect("packet socket")
}

/// What came, but for the bytes.
pub(crate) fn summary(socket: &mut AdvertSocket) -> (String, String, u8, u32, Vec<u8>) {
    wait(&*socket);
    let mut buffer = vec![0; LONGEST];
    let got = socket.receive(&mut buffer).expect("received").expect("something");
    (got.from.to_string(), got.to.to_string(), got.ttl, got.interface, got.payload.to_vec())
}

pub(crate) fn nothing(socket: &mut AdvertSocket) {
    assert_eq!(socket.receive(&mut [0; LONGEST]).expect("no error"), None);
}
