//! How QUIC is set up. Each figure was measured or follows from a limit of the design.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use syncd_certs::Identity;

use super::reset::{RandomIds, ResetKey};

use crate::wire::WORKING_EVERY;

/// The largest UDP payload in bytes. With segmentation offload the kernel takes ten packets as one
/// buffer of at most 64 KiB: beyond 6,550 it refuses, quinn does not notice, and whole batches are
/// lost.
const MAX_PAYLOAD: u16 = 6500;

/// How much of one stream may be on the way unread, in bytes: no more than the socket's buffer
/// holds. With 8 MiB a bulk transfer on loopback lost packets and was a fifth slower.
const STREAM_WINDOW: u32 = 4 << 20;

/// How much may be unsent or unacknowledged, in bytes.
const SEND_WINDOW: u64 = 16 << 20;

/// How much of all streams may be on the way unread before the peer is authorised, in bytes.
const WINDOW_BEFORE: u32 = 64 << 10;

/// The same afterwards: what one peer can make this node hold.
pub(super) const WINDOW_AFTER: VarInt = VarInt::from_u32(32 << 20);

/// How many streams a peer may have open before it is authorised: the control stream.
const STREAMS_BEFORE: u32 = 1;

/// The same afterwards.
pub(super) const STREAMS_AFTER: VarInt = VarInt::from_u32(16);

/// What a peer may send between its first packet and our decision about it, in bytes.
const BUFFER_BEFORE_ACCEPT: u64 = 64 << 10;

/// How many first packets wait for a decision at most; [`super::Server`] takes them at once.
const MAX_UNDECIDED: usize = 256;

/// The transport of a side that was dialled. A peer that is silent for `idle_timeout` is dead.
pub(super) fn transport(idle_timeout: Duration) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_PAYLOAD);
    let mut config = TransportConfig::default();
    // Too long for a QUIC integer is as good as never.
    config.max_idle_timeout(IdleTimeout::try_from(idle_timeout).ok());
    config.mtu_discovery_config(Some(mtu));
    config.congestion_controller_factory(Arc::new(CubicConfig::default()));
    config.stream_receive_window(VarInt::from_u32(STREAM_WINDOW));
    config.receive_window(VarInt::from_u32(WINDOW_BEFORE));
    config.send_window(SEND_WINDOW);
    config.max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_BEFORE));
    config.max_concurrent_uni_streams(VarInt::from_u32(0));
    config.datagram_receive_buffer_size(None);
    config
}

/// The transport of the side that dials. It asks for a sign of life, and what comes back is one for
/// the other side as well: two that ask wake both hosts twice as often. One that is lost is asked
/// for again after a round trip (RFC 9002, section 6.2), so that half the time leaves many attempts.
pub(super) fn dialling(idle_timeout: Duration) -> TransportConfig {
    let mut config = transport(idle_timeout);
    config.keep_alive_interval(Some(idle_timeout / 2));
    config
}

/// How long a stream may be silent while this node waits for what comes on it. The connection, which
/// is kept alive by itself, shows no more than that the host lives; and a disk may hang for a while.
pub(super) fn patience(idle_timeout: Duration) -> Duration {
    idle_timeout.max(WORKING_EVERY).saturating_mul(4)
}

/// What a socket receives at most, so that the peer's MTU discovery gets there; and how connections
/// of an earlier life of this node are told that they are dead, instead of waiting for silence.
pub(super) fn endpoint(identity: &Identity) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey::of(identity)));
    config.cid_generator(|| Box::new(RandomIds));
    // An error only outside of 1,200 to 65,527; the default is then the largest Ethernet payload.
    let _ = config.max_udp_payload_size(MAX_PAYLOAD);
    config
}

/// What strangers may cost.
pub(super) fn server(config: &mut ServerConfig) {
    config.max_incoming(MAX_UNDECIDED);
    config.incoming_buffer_size(BUFFER_BEFORE_ACCEPT);
    config.incoming_buffer_size_total(BUFFER_BEFORE_ACCEPT * MAX_UNDECIDED as u64 / 4);
    config.migration(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_packets_fit_into_one_offloaded_buffer() {
        let identity = Identity::ephemeral().expect("identity");
        assert!(u32::from(MAX_PAYLOAD) * 10 <= 65_507);
        assert_eq!(endpoint(&identity).get_max_udp_payload_size(), u64::from(MAX_PAYLOAD));
    }
}
