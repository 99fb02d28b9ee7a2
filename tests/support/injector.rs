//! Somebody on the network who sends packets of protocol 112 with whatever they say, as whoever he likes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;

/// Where VRRP is heard.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The same over IPv6.
pub const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// How many bytes of a payload fit into one fragment.
const FRAGMENT: usize = 1400;

/// Sends by `eth0` of a host.
pub struct Injector {
    v4: Socket,
    v6: Socket,
    interface: u32,
    /// The number of the last packet that was sent in pieces: each has its own, or they would be put together wrongly.
    in_pieces: AtomicU16,
}

/// A packet before it is sent.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sends it, as it says.
    pub from: IpAddr,
    /// Where to, in the same family.
    pub to: IpAddr,
    /// Its TTL or hop limit.
    pub ttl: u8,
    /// What stands behind the header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// One to the group that passed no router.
    pub fn new(from: impl Into<IpAddr>, payload: Vec<u8>) -> Self {
        let from = from.into();
        let to = if from.is_ipv4() { GROUP.into() } else { GROUP6.into() };
        Self { from, to, ttl: 255, payload }
    }

    /// Whether it is for all routers.
    pub fn is_for_all(&self) -> bool {
        self.to.is_multicast()
    }
}

impl Injector {
    /// One on `host`, whose own address is `own`.
    pub fn new(host: &Namespace, own: Ipv4Addr) -> Self {
        host.run(|| {
            // The header is the sender's: IPPROTO_RAW.
            let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
            let (v4, v6) = (raw(Domain::IPV4), raw(Domain::IPV6));
            let interface = nix::net::if_::if_nametoindex("eth0").expect("an interface");
            v4.set_multicast_if_v4(&own).expect("an address of the host");
            v4.set_multicast_loop_v4(false).expect("set");
            v6.set_multicast_if_v6(interface).expect("an interface");
            v6.set_multicast_loop_v6(false).expect("set");
            Self { v4, v6, interface, in_pieces: AtomicU16::new(0) }
        })
    }

    /// Sends it, over IPv4 in pieces where it is long. What does not fit into a queue is lost, as on any network.
    pub fn send(&self, packet: &Packet) {
        match (packet.from, packet.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.send_v4(from, to, packet),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.send_v6(from, to, packet),
            _ => panic!("two families: {packet:?}"),
        }
    }

    fn send_v4(&self, from: Ipv4Addr, to: Ipv4Addr, packet: &Packet) {
        let pieces: Vec<&[u8]> = packet.payload.chunks(FRAGMENT).collect();
        let pieces = if pieces.is_empty() { vec![&[][..]] } else { pieces };
        let last = pieces.len() - 1;
        // The kernel gives one that is whole a number where it has none.
        let number = if last > 0 { self.in_pieces.fetch_add(1, Ordering::Relaxed).wrapping_add(1) } else { 0 };
        for (n, piece) in pieces.into_iter().enumerate() {
            let offset = u16::try_from(n * FRAGMENT / 8).expect("a packet is at most 64 KiB");
            let more = if n < last { 0x2000 } else { 0 };
            let mut bytes = vec![0x45, 0xc0, 0, 0];
            bytes.extend(number.to_be_bytes());
            bytes.extend((offset | more).to_be_bytes());
            bytes.extend([packet.ttl, 112, 0, 0]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            bytes.extend(piece);
            let _ = self.v4.send_to(&bytes, &SocketAddrV4::new(to, 0).into());
        }
    }

    fn send_v6(&self, from: Ipv6Addr, to: Ipv6Addr, packet: &Packet) {
        let length = u16::try_from(packet.payload.len()).expect("it fits into a frame");
        let mut bytes = vec![0x6c, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([112, packet.ttl]);
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend(&packet.payload);
        let scope = if to.is_multicast() || to.is_unicast_link_local() { self.interface } else { 0 };
        let _ = self.v6.send_to(&bytes, &SocketAddrV6::new(to, 0, 0, scope).into());
    }
}
