//! The QUIC link between two nodes: sockets, connections, frames on streams. It knows nothing of sets.
//!
//! | question | file |
//! |---|---|
//! | which UDP socket, and how large are its buffers? | `socket` |
//! | how is QUIC set up: windows, MTU, timeouts, limits? | `tuning` |
//! | one socket to dial from and to serve on | `endpoint` |
//! | how is a peer reached? | `dial` |
//! | who gets in, and how many at once? | `serve`, `gate` |
//! | a connection, and what it may do before it is authorised | `connection` |
//! | messages on a stream | `stream` |
//! | what went wrong, in one line | `error` |

mod connection;
mod dial;
mod endpoint;
mod error;
mod gate;
mod reset;
mod serve;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tuning;

pub use connection::{Link, LinkStats};
pub use dial::HANDSHAKE_TIMEOUT;
pub use endpoint::Endpoint;
pub use error::LinkError;
pub use gate::Limits;
pub use serve::{ServeStats, Server};
pub use stream::{FrameReader, FrameWriter};
