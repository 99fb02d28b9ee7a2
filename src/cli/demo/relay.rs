//! A UDP relay whose link can be broken and healed: the network between the demo's two nodes.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::UdpSocket;

/// The largest datagram that UDP carries.
const DATAGRAM: usize = 65_535;

/// Forwards datagrams to one address and its answers back, while the link is whole.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    broken: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Relay {
    /// A relay to `target` on a free port of the loopback interface.
    ///
    /// # Errors
    /// As bind(2).
    pub(super) async fn start(target: SocketAddr) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let relay = Self { address: socket.local_addr()?, broken: Arc::default(), bytes: Arc::default() };
        tokio::spawn(relay.clone().outbound(socket, target));
        Ok(relay)
    }

    /// Where the relay takes datagrams.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops everything from now on.
    pub(super) fn cut(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Lets everything pass from now on.
    pub(super) fn heal(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    /// How many bytes passed, in both directions.
    #[must_use]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn passes(&self, len: usize) -> bool {
        let whole = !self.broken.load(Ordering::Relaxed);
        if whole {
            self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        }
        whole
    }

    async fn outbound(self, socket: Arc<UdpSocket>, target: SocketAddr) {
        let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut buf = vec![0; DATAGRAM];
        while let Ok((len, from)) = socket.recv_from(&mut buf).await {
            let way = match ways.get(&from) {
                Some(way) => way.clone(),
                None => match self.way_back(&socket, from, target).await {
                    Ok(way) => ways.entry(from).or_insert(way).clone(),
                    Err(_) => continue,
                },
            };
            if self.passes(len) {
                // A datagram that cannot be sent is one that the network lost.
                let _ = way.send(&buf[..len]).await;
            }
        }
    }

    async fn way_back(
        &self,
        socket: &Arc<UdpSocket>,
        from: SocketAddr,
        target: SocketAddr,
    ) -> io::Result<Arc<UdpSocket>> {
        let way = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        way.connect(target).await?;
        let (relay, socket, back) = (self.clone(), socket.clone(), way.clone());
        tokio::spawn(async move {
            let mut buf = vec![0; DATAGRAM];
            loop {
                match back.recv(&mut buf).await {
                    Ok(len) if relay.passes(len) => drop(socket.send_to(&buf[..len], from).await),
                    Ok(_) => {}
                    // Nobody listens there now (ICMP): a later datagram may find somebody.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(_) => return,
                }
            }
        });
        Ok(way)
    }
}
