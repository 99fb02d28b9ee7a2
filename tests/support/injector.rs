//! Somebody on the network who sends packets of protocol 112 with whatever they say, as whoever he likes.

use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;

/// Where VRRP is heard.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// How many bytes of a payload fit into one fragment.
const FRAGMENT: usize = 1400;

/// Sends by `eth0` of a host.
pub struct Injector {
    socket: Socket,
}

/// A packet before it is sent.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sends it, as it says.
    pub from: Ipv4Addr,
    /// Where to.
    pub to: Ipv4Addr,
    /// Its TTL.
    pub ttl: u8,
    /// What stands behind the header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// One to the group that passed no router.
    pub fn new(from: Ipv4Addr, payload: Vec<u8>) -> Self {
        Self { from, to: GROUP, ttl: 255, payload }
    }
}

impl Injector {
    /// One on `host`, whose own address is `own`.
    pub fn new(host: &Namespace, own: Ipv4Addr) -> Self {
        let socket = host.run(|| {
            // The header is the sender's: IPPROTO_RAW.
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
            socket.set_multicast_if_v4(&own).expect("an address of the host");
            socket.set_multicast_loop_v4(false).expect("set");
            socket
        });
        Self { socket }
    }

    /// Sends it, in pieces where it is long. What does not fit into a queue is lost, as on any network.
    pub fn send(&self, packet: &Packet) {
        let pieces: Vec<&[u8]> = packet.payload.chunks(FRAGMENT).collect();
        let pieces = if pieces.is_empty() { vec![&[][..]] } else { pieces };
        let last = pieces.len() - 1;
        for (n, piece) in pieces.into_iter().enumerate() {
            let offset = u16::try_from(n * FRAGMENT / 8).expect("a packet is at most 64 KiB");
            let more = if n < last { 0x2000 } else { 0 };
            let mut bytes = vec![0x45, 0xc0, 0, 0, 0, if last > 0 { 77 } else { 0 }];
            bytes.extend((offset | more).to_be_bytes());
            bytes.extend([packet.ttl, 112, 0, 0]);
            bytes.extend(packet.from.octets());
            bytes.extend(packet.to.octets());
            bytes.extend(piece);
            let _ = self.socket.send_to(&bytes, &SocketAddrV4::new(packet.to, 0).into());
        }
    }
}
