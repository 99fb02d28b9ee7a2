//! A connection with a peer that has shown its key, and what it may do before it is authorised.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use syncd_certs::tls;

use super::serve::Pass;
use super::{FrameReader, FrameWriter, LinkError, tuning};
use crate::model::NodeKey;
use crate::wire::{UNAUTHORISED_BYTES, UNAUTHORISED_FRAMES};

/// The code that a connection is closed with; the reason says the rest.
const CLOSED: VarInt = VarInt::from_u32(0);

/// A connection. Clones are the same one; it closes when the last of them and of its streams goes.
#[derive(Clone, Debug)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    node_key: NodeKey,
    exporter: [u8; 32],
    patience: Duration,
    admission: Admission,
}

/// How a connection performs, now and since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkStats {
    /// Round trip time, smoothed.
    pub rtt: Duration,
    /// UDP payload that was sent, in bytes.
    pub sent_bytes: u64,
    /// UDP payload that was received, in bytes.
    pub received_bytes: u64,
    /// Packets that counted as lost.
    pub lost_packets: u64,
    /// The largest UDP payload that the path takes, in bytes.
    pub mtu: u16,
    /// Congestion window in bytes.
    pub congestion_window: u64,
}

impl Link {
    pub(super) fn new(
        connection: Connection,
        own: NodeKey,
        patience: Duration,
        admission: Admission,
    ) -> Result<Self, LinkError> {
        let peer = canonical(connection.remote_address());
        let failed = |cause: &str| LinkError::Transport { peer, cause: cause.to_owned() };
        let node_key = peer_key(&connection).ok_or_else(|| failed("the peer has shown no certificate"))?;
        if node_key == own {
            connection.close(CLOSED, b"this is the same node");
            return Err(LinkError::Myself { peer });
        }
        let mut exporter = [0; 32];
        connection
            .export_keying_material(&mut exporter, tls::EXPORTER_LABEL, b"")
            .map_err(|_| failed("TLS exports no key"))?;
        Ok(Self(Arc::new(Inner { connection, node_key, exporter, patience, admission })))
    }

    /// Whether both are the same connection.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How long any stream but the control stream may be silent while this node reads it.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    /// Where the peer is now; it may move. IPv4 addresses are shown as such.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        canonical(self.0.connection.remote_address())
    }

    /// The key that the peer has shown and signed with.
    #[must_use]
    pub fn node_key(&self) -> NodeKey {
        self.0.node_key
    }

    /// The secret that only the two ends of this connection share (RFC 8446, section 7.5).
    #[must_use]
    pub fn exporter(&self) -> [u8; 32] {
        self.0.exporter
    }

    /// The peer has proven its right to a set, or the receiver its identity to us: from now on the
    /// budget and the small windows no longer hold.
    pub fn authorised(&self) {
        self.0.admission.grant();
        self.0.connection.set_max_concurrent_bi_streams(tuning::STREAMS_AFTER);
        self.0.connection.set_receive_window(tuning::WINDOW_AFTER);
    }

    /// Whether [`Link::authorised`] has been called.
    #[must_use]
    pub fn is_authorised(&self) -> bool {
        self.0.admission.is_granted()
    }

    /// Gives a stranger a new budget: it was refused one set, and may ask for the next.
    ///
    /// Until [`Link::authorised`] a peer may send [`UNAUTHORISED_FRAMES`] frames and
    /// [`UNAUTHORISED_BYTES`] bytes in all; beyond that the link is closed.
    pub fn renew_budget(&self) {
        self.0.admission.renew();
    }

    /// Counts what the peer has sent; closes the link beyond the budget.
    pub(super) fn spend(&self, frames: usize, bytes: usize) -> Result<(), LinkError> {
        if self.0.admission.spend(frames, bytes) {
            return Ok(());
        }
        self.close("too much before being authorised");
        Err(LinkError::Budget { peer: self.remote_address() })
    }

    /// Opens a stream; the first one of a connection, the control stream, goes before all others.
    /// The peer learns of it with the first message.
    ///
    /// # Errors
    /// [`LinkError`] when the connection is gone.
    pub async fn open_stream(&self) -> Result<(FrameWriter, FrameReader), LinkError> {
        let opened = self.0.connection.open_bi().await;
        self.framed(opened.map_err(|e| LinkError::connection(self.remote_address(), &e))?)
    }

    /// The next stream that the peer opens. Cancel safe.
    ///
    /// # Errors
    /// [`LinkError`] when the connection is gone.
    pub async fn accept_stream(&self) -> Result<(FrameWriter, FrameReader), LinkError> {
        let opened = self.0.connection.accept_bi().await;
        self.framed(opened.map_err(|e| LinkError::connection(self.remote_address(), &e))?)
    }

    fn framed(&self, (send, receive): (SendStream, RecvStream)) -> Result<(FrameWriter, FrameReader), LinkError> {
        let is_control = send.id().index() == 0;
        if is_control {
            // Fails only where the stream is closed already, which the first write will tell.
            let _ = send.set_priority(1);
        }
        // On the control stream there may be nothing to say for days.
        let patience = (!is_control).then_some(self.0.patience);
        Ok((FrameWriter::new(send, self.clone()), FrameReader::new(receive, patience, self.clone())))
    }

    /// Closes the connection and tells the peer `reason`; what was sent may not arrive.
    pub fn close(&self, reason: &str) {
        self.0.connection.close(CLOSED, reason.as_bytes());
    }

    /// Waits for the end of the connection, and says why it came.
    pub async fn closed(&self) -> LinkError {
        let error = self.0.connection.closed().await;
        LinkError::connection(self.remote_address(), &error)
    }

    /// How the connection performs.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let stats = self.0.connection.stats();
        LinkStats {
            rtt: stats.path.rtt,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            mtu: stats.path.current_mtu,
            congestion_window: stats.path.cwnd,
        }
    }

    /// Closes the connection unless it is authorised within `grace`.
    pub(super) fn cut_off_after(&self, grace: Duration) {
        let link = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            if let Some(link) = link.upgrade().map(Self).filter(|link| !link.is_authorised()) {
                tracing::info!("{}: closed, not authorised within {} s", link.remote_address(), grace.as_secs_f32());
                link.close("not authorised in time");
            }
        });
    }
}

/// Whether a connection is authorised. A stranger holds a place at the door until then, and what
/// it sends is counted.
#[derive(Debug, Default)]
pub(super) struct Admission {
    granted: AtomicBool,
    pass: Mutex<Option<Pass>>,
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

impl Admission {
    /// For a connection that this node has dialled.
    pub(super) fn ours() -> Self {
        Self::default()
    }

    /// For a connection that came in.
    pub(super) fn stranger(pass: Pass) -> Self {
        Self { pass: Mutex::new(Some(pass)), ..Self::default() }
    }

    fn grant(&self) {
        self.granted.store(true, Ordering::Release);
        drop(self.pass.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_granted(&self) -> bool {
        self.granted.load(Ordering::Acquire)
    }

    fn renew(&self) {
        self.frames.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Whether what was sent, with this, is within the budget, or none holds any more.
    fn spend(&self, frames: usize, bytes: usize) -> bool {
        self.is_granted()
            || (self.frames.fetch_add(frames, Ordering::Relaxed) + frames <= UNAUTHORISED_FRAMES
                && self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= UNAUTHORISED_BYTES)
    }
}

fn peer_key(connection: &Connection) -> Option<NodeKey> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    tls::node_key_of(identity.first()?).ok().map(NodeKey)
}

/// An IPv4 address as such, also where an IPv6 socket saw it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
