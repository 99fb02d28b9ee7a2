//! The UDP socket under an endpoint.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Once;

use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel may hold for us while the runtime is busy, in bytes: less, and it drops packets
/// of a bulk transfer by the thousand.
const BUFFER: usize = 4 << 20;

/// A socket bound to `address`; one for all of IPv6 takes IPv4 as well.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.ip().is_unspecified() && address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    enlarge(&socket);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asks for large buffers, first beyond the sysctl limits, which CAP_NET_ADMIN allows.
fn enlarge(socket: &Socket) {
    if set_socket_recv_buffer_size_force(socket, BUFFER).is_err() {
        // Granted less than it asked for is no error, and looked at below.
        let _ = socket.set_recv_buffer_size(BUFFER);
    }
    if set_socket_send_buffer_size_force(socket, BUFFER).is_err() {
        let _ = socket.set_send_buffer_size(BUFFER);
    }
    // The kernel doubles what it grants, for its own bookkeeping (socket(7)).
    let granted = |size: io::Result<usize>| size.unwrap_or(0) / 2;
    let (receive, send) = (granted(socket.recv_buffer_size()), granted(socket.send_buffer_size()));
    if receive.min(send) < BUFFER {
        warn_once(receive, send);
    }
}

fn warn_once(receive: usize, send: usize) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "UDP buffers are {} KiB to receive and {} KiB to send instead of {} KiB: large transfers may be slower; \
             run `sysctl -w net.core.rmem_max={BUFFER} net.core.wmem_max={BUFFER}`",
            receive / 1024,
            send / 1024,
            BUFFER / 1024
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_all_of_ipv6_takes_ipv4() {
        let Ok(socket) = bind("[::]:0".parse().expect("address")) else {
            let v6 = Socket::new(Domain::IPV6, Type::DGRAM, None);
            assert!(v6.is_err(), "the host has IPv6, the socket could not be bound");
            return;
        };
        let port = socket.local_addr().expect("address").port();
        let sender = bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        sender.send_to(b"x", ("127.0.0.1", port)).expect("send");
        assert_eq!(socket.recv(&mut [0; 8]).expect("receive"), 1);
    }
}
