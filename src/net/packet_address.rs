//! The address of packet(7), which no crate here builds: an interface and a protocol.

use rustix::net::addr::SocketAddrLen;
use socket2::{SockAddr, SockAddrStorage};

/// Where a whole frame of `protocol` (its number in Ethernet) is to leave: at interface number `interface`.
pub(super) fn packet_address(interface: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let length = SocketAddrLen::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    // SAFETY: `sockaddr_ll` is one of the socket addresses, made of integers alone.
    #[allow(unsafe_code, reason = "socket2 knows no packet addresses")]
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = interface.cast_signed();
    // SAFETY: the storage holds a `sockaddr_ll` of that length, written above.
    #[allow(unsafe_code, reason = "socket2 knows no packet addresses")]
    unsafe {
        SockAddr::new(storage, length)
    }
}
