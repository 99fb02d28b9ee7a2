//! Tells neighbours whose an address is now.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Socket, Type};

use super::NetError;
use super::advert::FIRST;
use super::frame::{gratuitous_arp, neighbour_advertisement};
use super::packet_address::packet_address;

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// Sends gratuitous ARP and unsolicited neighbour advertisements on any interface; it hears nothing.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// A socket for all interfaces.
    ///
    /// # Errors
    /// The kernel gives none: that takes CAP_NET_RAW.
    pub fn open() -> Result<Self, NetError> {
        // Frames of no protocol come to it.
        let failed = |cause| NetError::new("a packet socket cannot be made", cause);
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None).map_err(failed)?;
        socket.set_priority(FIRST).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Says once, on interface number `interface`, that `ip` is at `mac`; of IPv6 whether that is a `router`.
    /// The address need not be on the interface, nor be usable there yet.
    ///
    /// # Errors
    /// The interface is down or gone, or its queue is full.
    pub fn announce(&self, interface: u32, mac: [u8; 6], ip: IpAddr, router: bool) -> io::Result<()> {
        let (frame, protocol) = match ip {
            IpAddr::V4(ip) => (gratuitous_arp(mac, ip), ARP),
            IpAddr::V6(ip) => (neighbour_advertisement(mac, ip, router), IPV6),
        };
        self.socket.send_to(&frame, &packet_address(interface, protocol)).map(drop)
    }
}

impl AsFd for Announcer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether the host forwards what comes in by the interface `name`: whether its IPv6 addresses are a router's.
#[must_use]
pub fn is_router(name: &str) -> bool {
    let setting = std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/forwarding"));
    setting.is_ok_and(|value| value.trim() != "0")
}
