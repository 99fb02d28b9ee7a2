//! A link to a peer: how it is made, what comes on it, how it ends.

use std::collections::HashMap;
use std::net::SocketAddr;

use syncd_certs::password::Prover;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::compare::CompareError;
use super::merge::Difference;
use super::peer::Peer;
use super::rsync::{Compared, Failure};
use super::send::{Outcome, SendError, Settled};
use crate::config::Family;
use crate::link::{FrameReader, FrameWriter, Link, LinkError};
use crate::wire::Message;

/// Something that happened. The number names the link it happened on: what comes late from an
/// earlier one counts for nothing.
pub(super) enum Event {
    Dialled(Result<Link, String>),
    Control(u64, Result<Option<Message>, LinkError>),
    Compared(u64, usize, Result<Vec<Difference>, CompareError>),
    Sent(u64, usize, Result<(Outcome, Vec<Settled>), SendError>),
    /// What rsync was asked for; the numbers are those of its session and of the channel.
    Rsync(u64, usize, Told),
}

/// What rsync has to tell.
pub(super) enum Told {
    /// Whether it may write the set there.
    Probed(Result<(), Failure>),
    Compared(Result<Compared, Failure>),
    Sent(Result<(Outcome, Vec<Settled>), SendError>),
}

/// A link that is up.
pub(super) struct Up {
    pub(super) link: Link,
    pub(super) control: FrameWriter,
    pub(super) provers: HashMap<usize, Prover>,
    pub(super) reading: JoinHandle<()>,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.reading.abort();
        self.link.close("the source closes the connection");
    }
}

/// Bytes sent and received on `link`.
pub(super) fn moved(link: &Link) -> (u64, u64) {
    let stats = link.stats();
    (stats.sent_bytes, stats.received_bytes)
}

/// Connects to the first address of the peer's name that answers; resolved anew each time.
pub(super) async fn dial(peer: &Peer) -> Result<Link, String> {
    let name = format!("{}:{}", peer.host, peer.port);
    let addresses = tokio::net::lookup_host(&name).await.map_err(|e| format!("{name}: cannot be resolved: {e}"))?;
    let mut last = format!("{name}: has no address");
    let family = peer.channels.iter().find_map(|(_, target)| target.config.family);
    let wanted = |address: &SocketAddr| match family {
        None => true,
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
    };
    for address in addresses.filter(wanted) {
        match peer.shared.endpoint.dial(address).await {
            Ok(link) => return Ok(link),
            Err(e) => last = e.to_string(),
        }
    }
    Err(last)
}

/// Tells `tx` what comes on the control stream of link `number`.
pub(super) async fn read_control(mut reader: FrameReader, number: u64, tx: mpsc::UnboundedSender<Event>) {
    loop {
        let message = reader.read().await;
        let last = !matches!(message, Ok(Some(_)));
        if tx.send(Event::Control(number, message)).is_err() || last {
            return;
        }
    }
}
