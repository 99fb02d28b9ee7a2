//! Reaching a peer, and telling quickly and clearly when there is none.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::connection::Admission;
use super::{Endpoint, Link, LinkError};

/// How long a handshake may take, on either side.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The name that TLS wants for a peer. It is neither sent nor looked at: a peer is its key.
const NAME: &str = "syncd";

impl Endpoint {
    /// Connects to the node at `peer` within [`HANDSHAKE_TIMEOUT`].
    ///
    /// # Errors
    /// [`LinkError`] in one line; [`LinkError::Myself`] when the node there has our own key.
    pub async fn dial(&self, peer: SocketAddr) -> Result<Link, LinkError> {
        self.dial_within(peer, HANDSHAKE_TIMEOUT).await
    }

    /// The same with another limit.
    ///
    /// # Errors
    /// As [`Endpoint::dial`].
    pub async fn dial_within(&self, peer: SocketAddr, limit: Duration) -> Result<Link, LinkError> {
        let connecting = self
            .quinn
            .connect_with(self.client.clone(), peer, NAME)
            .map_err(|e| LinkError::Address { peer, cause: e.to_string() })?;
        tokio::select! {
            done = timeout(limit, connecting) => match done {
                Ok(Ok(connection)) => Link::new(connection, self.own, self.patience, Admission::ours()),
                Ok(Err(e)) => Err(LinkError::connection(peer, &e)),
                Err(_) => Err(LinkError::NoAnswer { peer, after: limit }),
            },
            error = self.refusal(peer) => Err(LinkError::unreachable(peer, error)),
        }
    }

    /// Waits for the host at `peer` or a router on the way to say that nobody is there.
    ///
    /// Only a connected socket is told of an ICMP error (udp(7)), which quinn's is not. So one byte,
    /// which is no QUIC and dropped by whoever listens, goes there from a socket of its own.
    async fn refusal(&self, peer: SocketAddr) -> io::Error {
        match self.probe(peer).await {
            Err(error) => error,
            // Somebody answered, or the probe could not be made: the handshake will tell.
            Ok(()) => std::future::pending().await,
        }
    }

    async fn probe(&self, peer: SocketAddr) -> io::Result<()> {
        let from = match (self.quinn.local_addr()?.ip(), peer) {
            (ip, _) if !ip.is_unspecified() => ip,
            (_, SocketAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (_, SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let Ok(socket) = UdpSocket::bind((from, 0)).await else { return Ok(()) };
        socket.connect(peer).await?;
        socket.send(&[0]).await?;
        socket.recv(&mut [0; 1]).await?;
        Ok(())
    }
}
