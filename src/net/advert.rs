//! Sockets that advertisements leave and come by.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::NetError;
use super::ip_header::{self, Ipv4Header};
use crate::vrrp::setup::Family;

/// The number of VRRP among the protocols of IP.
pub const VRRP: u8 = 112;

/// No advertisement is longer, its IP header included: 255 addresses of IPv6, and the longest header of IPv4.
pub const LONGEST: usize = 8 << 10;

/// Type of service: internet control (RFC 791), as keepalived has it.
const CONTROL: u32 = 0xc0;

/// Among the packets that wait to leave, these go first.
pub(super) const FIRST: u32 = 6;

/// The hop limit of what must not pass a router.
const LINK_ONLY: u8 = 255;

/// What may wait to be received, in bytes: a process that was stopped for a while still learns who is master.
const RECEIVE_BUFFER: usize = 1 << 20;

/// An advertisement that came, or something that only says it is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received<'a> {
    /// Who sent it, as it says itself.
    pub from: IpAddr,
    /// Where it was sent to: a group, or an address of this host.
    pub to: IpAddr,
    /// Its TTL or hop limit on arrival.
    pub ttl: u8,
    /// The number of the interface that it came in by.
    pub interface: u32,
    /// What stands behind the IP header: as long as that says, and no longer than what came.
    pub payload: &'a [u8],
}

/// A socket for the advertisements of one family, on one interface or on all.
///
/// A socket for a group hears what is sent to addresses of its interface as well; one for unicast hears no group.
/// An instance is to look at its own socket alone, or it gets an advertisement twice.
#[derive(Debug)]
pub struct AdvertSocket {
    socket: Socket,
    family: Family,
    interface: u32,
    groups: BTreeSet<IpAddr>,
    identification: u16,
}

impl AdvertSocket {
    /// One that sends to groups on the interface of this number and name, and hears those that it [joins](Self::join).
    ///
    /// # Errors
    /// Rights are missing, or the interface.
    pub fn multicast(interface: u32, name: &str, family: Family) -> Result<Self, NetError> {
        Self::open(Some((interface, name)), family, true)
    }

    /// One for unicast, on one interface or on all.
    ///
    /// # Errors
    /// Rights are missing, or the interface.
    pub fn unicast(interface: Option<(u32, &str)>, family: Family) -> Result<Self, NetError> {
        Self::open(interface, family, false)
    }

    fn open(interface: Option<(u32, &str)>, family: Family, multicast: bool) -> Result<Self, NetError> {
        Self::try_open(interface, family, multicast).map_err(|cause| {
            let place = interface.map_or(String::new(), |(_, name)| format!(" on {name}"));
            NetError::new(format!("a socket for VRRP cannot be made{place}"), cause)
        })
    }

    fn try_open(interface: Option<(u32, &str)>, family: Family, multicast: bool) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(domain, kind, Some(Protocol::from(i32::from(VRRP))))?;
        if let Some((_, name)) = interface {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        // Without CAP_NET_ADMIN it stays as it is: no reason to do nothing.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
        let index = interface.map_or(0, |(index, _)| index);
        match family {
            Family::V4 => prepare_v4(&socket, index, multicast)?,
            Family::V6 => prepare_v6(&socket, index, multicast)?,
        }
        // Last: the type of service sets it too.
        socket.set_priority(FIRST)?;
        Ok(Self { socket, family, interface: index, groups: BTreeSet::new(), identification: 0 })
    }

    /// Hears what is sent to `group` from now on. A group that it hears already is no error.
    ///
    /// # Errors
    /// It is no group of its family, or the interface is gone.
    pub fn join(&mut self, group: IpAddr) -> Result<(), NetError> {
        self.join_on(group, self.interface)?;
        self.groups.insert(group);
        Ok(())
    }

    /// Has the interface of this number report `group` to switches, though the socket is bound to another: for the
    /// interface below a VMAC, whose own reports would mislead them.
    ///
    /// # Errors
    /// It is no group of its family, or the interface is gone.
    pub fn join_on(&self, group: IpAddr, interface: u32) -> Result<(), NetError> {
        let joined = match group {
            IpAddr::V4(group) => self.socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface)),
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, interface),
        };
        match joined {
            Err(cause) if cause.raw_os_error() != Some(Errno::EADDRINUSE as i32) => {
                Err(NetError::new(format!("group {group} cannot be joined"), cause))
            }
            _ => Ok(()),
        }
    }

    /// May send from addresses that are not on its interface: a VMAC speaks from the address of the interface below,
    /// of which the kernel lets IPv4 be anyway.
    ///
    /// # Errors
    /// The kernel does not know of it.
    pub fn send_from_elsewhere(&self) -> Result<(), NetError> {
        let made = if self.family == Family::V6 { self.socket.set_freebind_v6(true) } else { Ok(()) };
        made.map_err(|cause| NetError::new("a VMAC cannot send from the address of the interface below", cause))
    }

    /// Sends `payload` from `from`, which is on the interface, to a group or a peer. Without `ttl` it is 255 to a
    /// group and over IPv4, and what the kernel has for the others.
    ///
    /// # Errors
    /// `from` is not on the interface (IPv6; but for [`Self::send_from_elsewhere`]), the interface is down, there is no way to a peer, or a queue is full.
    pub fn send(&mut self, from: IpAddr, to: IpAddr, ttl: Option<u8>, payload: &[u8]) -> io::Result<()> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.send_v4(from, to, ttl, payload),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.send_v6(from, to, ttl, payload),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{to} cannot be reached from {from}"))),
        }
    }

    fn send_v4(&mut self, from: Ipv4Addr, to: Ipv4Addr, ttl: Option<u8>, payload: &[u8]) -> io::Result<()> {
        // The kernel would choose where it is 0.
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        let header = Ipv4Header { identification: self.identification, ttl: ttl.unwrap_or(LINK_ONLY), from, to };
        let header = header.bytes(payload.len());
        let target = SockaddrIn::from(SocketAddrV4::new(to, 0));
        self.send_parts(&[IoSlice::new(&header), IoSlice::new(payload)], &[], to.is_multicast(), &target)
    }

    fn send_v6(&self, from: Ipv6Addr, to: Ipv6Addr, ttl: Option<u8>, payload: &[u8]) -> io::Result<()> {
        let source =
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: from.octets() }, ipi6_ifindex: self.interface };
        let mut control = vec![ControlMessage::Ipv6PacketInfo(&source)];
        let hops = ttl.or(to.is_multicast().then_some(LINK_ONLY)).map(i32::from);
        if let Some(hops) = &hops {
            control.push(ControlMessage::Ipv6HopLimit(hops));
        }
        let target = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, self.interface));
        self.send_parts(&[IoSlice::new(payload)], &control, to.is_multicast(), &target)
    }

    fn send_parts(
        &self,
        parts: &[IoSlice<'_>],
        control: &[ControlMessage<'_>],
        multicast: bool,
        target: &impl SockaddrLike,
    ) -> io::Result<()> {
        // A group is on the link, whatever the routes say.
        let flags = if multicast { MsgFlags::from_bits_retain(libc::MSG_DONTROUTE) } else { MsgFlags::empty() };
        loop {
            match sendmsg(self.socket.as_raw_fd(), parts, control, flags, Some(target)) {
                Err(Errno::EINTR) => {}
                Err(cause) => return Err(cause.into()),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The next packet, in `buffer` of [`LONGEST`] bytes; `None` where there is none.
    ///
    /// # Errors
    /// What the interface came to meanwhile: it is down or gone.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        loop {
            let got = match self.family {
                Family::V4 => self.receive_v4(buffer),
                Family::V6 => self.receive_v6(buffer),
            };
            match got {
                // The kernel shows IPv6 for each group that any program joined.
                Ok(Some(arrival)) if !arrival.to.is_multicast() || self.groups.contains(&arrival.to) => {
                    return Ok(Some(arrival.in_buffer(buffer)));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    fn receive_v4(&self, buffer: &mut [u8]) -> nix::Result<Option<Arrival>> {
        let mut space = cmsg_space!(libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let got = recvmsg::<SockaddrIn>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
        let interface = got.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_ifindex.cast_unsigned()),
            _ => None,
        });
        let length = got.bytes;
        Ok(ip_header::parse(buffer.get(..length).unwrap_or_default()).map(|parsed| Arrival {
            from: parsed.from.into(),
            to: parsed.to.into(),
            ttl: parsed.ttl,
            interface: interface.unwrap_or(self.interface),
            payload: parsed.payload,
        }))
    }

    fn receive_v6(&self, buffer: &mut [u8]) -> nix::Result<Option<Arrival>> {
        let mut space = cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let got = recvmsg::<SockaddrIn6>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
        let (mut target, mut hops) = (None, None);
        for message in got.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    target = Some((Ipv6Addr::from(info.ipi6_addr.s6_addr), info.ipi6_ifindex));
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => hops = u8::try_from(limit).ok(),
                _ => {}
            }
        }
        let length = got.bytes;
        let arrival = || {
            let (to, interface) = target?;
            let from = got.address?.ip();
            Some(Arrival { from: from.into(), to: to.into(), ttl: hops?, interface, payload: 0..length })
        };
        Ok(arrival())
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A packet whose bytes are in a buffer.
struct Arrival {
    from: IpAddr,
    to: IpAddr,
    ttl: u8,
    interface: u32,
    payload: std::ops::Range<usize>,
}

impl Arrival {
    fn in_buffer(self, buffer: &[u8]) -> Received<'_> {
        let payload = buffer.get(self.payload).unwrap_or_default();
        Received { from: self.from, to: self.to, ttl: self.ttl, interface: self.interface, payload }
    }
}

fn prepare_v4(socket: &Socket, interface: u32, multicast: bool) -> io::Result<()> {
    socket.set_header_included_v4(true)?;
    socket.set_tos_v4(CONTROL)?;
    socket.set_multicast_all_v4(false)?;
    setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    if multicast {
        socket.set_multicast_loop_v4(false)?;
        rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
            socket,
            &Ipv4Addr::UNSPECIFIED,
            &Ipv4Addr::UNSPECIFIED,
            interface,
        )?;
    }
    Ok(())
}

fn prepare_v6(socket: &Socket, interface: u32, multicast: bool) -> io::Result<()> {
    socket.set_tclass_v6(CONTROL)?;
    socket.set_multicast_all_v6(false)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?;
    if multicast {
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_if_v6(interface)?;
    }
    Ok(())
}
