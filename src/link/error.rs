//! What goes wrong on a link, in one line that names the peer, the cause and the remedy.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quinn::{ConnectionError, TransportErrorCode};

use crate::wire::FrameError;

/// `no_application_protocol` (RFC 7301, section 3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The longest cause in characters that a peer may put into our log.
const MAX_CAUSE: usize = 200;

/// Why a link could not be made, or is no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket cannot be bound.
    #[error("{address}: UDP port cannot be bound: {source}{}", bind_remedy(source))]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The own key is of no use for TLS.
    #[error("the node key cannot be used for TLS: {0}")]
    Identity(String),
    /// The address cannot be dialled at all.
    #[error("{peer}: cannot be dialled: {cause}")]
    Address {
        /// The address.
        peer: SocketAddr,
        /// Why not.
        cause: String,
    },
    /// Nothing came back.
    #[error(
        "{peer}: no answer within {} s; is UDP port {} open there (a firewall that lets TCP through may drop UDP), \
         and is `syncd peer` running?", .after.as_secs_f32(), .peer.port()
    )]
    NoAnswer {
        /// Who was called.
        peer: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The host, or a firewall in its name, answered that nobody listens.
    #[error(
        "{peer}: nobody listens on UDP port {} there, or a firewall rejects it; is `syncd peer` running?", .peer.port()
    )]
    Refused {
        /// Who was called.
        peer: SocketAddr,
    },
    /// No way there.
    #[error("{peer}: cannot be reached: {source}")]
    Unreachable {
        /// Who was called.
        peer: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The peer turned out to be this node.
    #[error("{peer}: is this node itself (same key); it is left alone")]
    Myself {
        /// Who was called, or called.
        peer: SocketAddr,
    },
    /// The peer takes no more connections now.
    #[error("{peer}: takes no more connections for the moment")]
    Busy {
        /// Who was called.
        peer: SocketAddr,
    },
    /// The peer speaks QUIC but not this protocol.
    #[error("{peer}: does not speak syncd/1; is another program, or an incompatible version of syncd, on that port?")]
    Protocol {
        /// The peer.
        peer: SocketAddr,
    },
    /// TLS failed, or the peer broke QUIC's rules.
    #[error("{peer}: the connection failed: {cause}")]
    Transport {
        /// The peer.
        peer: SocketAddr,
        /// What QUIC says of it.
        cause: String,
    },
    /// The peer closed the connection.
    #[error("{peer}: closed the connection: {cause}")]
    ClosedByPeer {
        /// The peer.
        peer: SocketAddr,
        /// What it said, escaped and shortened.
        cause: String,
    },
    /// This node closed the connection.
    #[error("{peer}: the connection was closed here")]
    Closed {
        /// The peer.
        peer: SocketAddr,
    },
    /// The peer has forgotten the connection.
    #[error("{peer}: lost the connection, most likely because it was restarted")]
    Restarted {
        /// The peer.
        peer: SocketAddr,
    },
    /// The peer has been silent for the idle timeout.
    #[error("{peer}: has not been heard of for too long; the host or the network between is down")]
    Silent {
        /// The peer.
        peer: SocketAddr,
    },
    /// A message did not come in time.
    #[error("{peer}: no message within {} s", .after.as_secs_f32())]
    ReadTimeout {
        /// The peer.
        peer: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The connection lives, and nothing came on a stream on which the peer has something to say.
    #[error("{peer}: went silent in the middle of its work, for {} s", .after.as_secs_f32())]
    Stalled {
        /// The peer.
        peer: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The peer gave a stream up.
    #[error("{peer}: gave the stream up (code {code})")]
    StreamReset {
        /// The peer.
        peer: SocketAddr,
        /// Its reason, as the two sides agreed.
        code: u64,
    },
    /// The peer sent what is no frame.
    #[error("{peer}: {source}")]
    Frame {
        /// The peer.
        peer: SocketAddr,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The peer sent more than it may before it is authorised.
    #[error("{peer}: sent more than it may before it was authorised")]
    Budget {
        /// The peer.
        peer: SocketAddr,
    },
    /// The own message cannot be sent.
    #[error("{peer}: a message cannot be sent: {source}")]
    Encode {
        /// The peer.
        peer: SocketAddr,
        /// What is wrong with it.
        source: FrameError,
    },
}

impl LinkError {
    /// What `error` of a connection with `peer` means.
    pub(super) fn connection(peer: SocketAddr, error: &ConnectionError) -> Self {
        match error {
            ConnectionError::VersionMismatch => Self::Protocol { peer },
            ConnectionError::TransportError(e) => Self::transport(peer, e.code, &e.to_string()),
            ConnectionError::ConnectionClosed(e) if e.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                Self::Busy { peer }
            }
            ConnectionError::ConnectionClosed(e) => Self::transport(peer, e.error_code, &e.to_string()),
            ConnectionError::ApplicationClosed(e) => {
                Self::ClosedByPeer { peer, cause: shown(&String::from_utf8_lossy(&e.reason)) }
            }
            ConnectionError::Reset => Self::Restarted { peer },
            ConnectionError::TimedOut => Self::Silent { peer },
            ConnectionError::LocallyClosed => Self::Closed { peer },
            ConnectionError::CidsExhausted => Self::Transport { peer, cause: error.to_string() },
        }
    }

    fn transport(peer: SocketAddr, code: TransportErrorCode, cause: &str) -> Self {
        if code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) {
            Self::Protocol { peer }
        } else {
            Self::Transport { peer, cause: shown(cause) }
        }
    }

    /// What the system's answer to a datagram for `peer` means.
    pub(super) fn unreachable(peer: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { peer },
            _ => Self::Unreachable { peer, source },
        }
    }
}

/// What a peer said, so that it can neither forge a log line nor flood the log.
fn shown(cause: &str) -> String {
    let shown: String = cause.chars().take(MAX_CAUSE).flat_map(char::escape_debug).collect();
    if shown.is_empty() { "no reason given".to_owned() } else { shown }
}

fn bind_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another program has it, `ss -ulpn` shows which",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has the address",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_names_address_cause_and_firewall() {
        let peer = "10.0.0.2:873".parse().expect("address");
        let line = LinkError::NoAnswer { peer, after: Duration::from_secs(5) }.to_string();
        assert!(line.starts_with("10.0.0.2:873: no answer within 5 s; is UDP port 873 open there"), "{line}");
        assert!(line.ends_with("and is `syncd peer` running?"), "{line}");
    }

    #[test]
    fn a_peers_words_are_escaped_and_short() {
        assert_eq!(shown("bye\n\x1b[31m"), r"bye\n\u{1b}[31m");
        assert_eq!(shown(&"ä".repeat(500)).chars().count(), MAX_CAUSE);
        assert_eq!(shown(""), "no reason given");
    }
}
