//! A source of our own that speaks to a real peer.

use std::net::SocketAddr;
use std::time::Duration;

use syncd::link::{Endpoint, FrameReader, FrameWriter, Link};
use syncd::model::{Attrs, Epoch, Generation};
use syncd::wire::{self, ChangeSet, Hello, Message, Open, Opened, Proof};
use syncd_certs::Identity;

/// The channel on which the set is open.
pub const CHANNEL: u32 = 1;
/// How long a single answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A connection that has the set open.
pub struct Client {
    pub link: Link,
    pub newest: Epoch,
    pub generation: Generation,
    _endpoint: Endpoint,
    _control: (FrameWriter, FrameReader),
}

impl Client {
    pub async fn connect(identity: &Identity, peer: SocketAddr) -> Self {
        Self::connect_idle(identity, peer, Duration::from_secs(30)).await
    }

    /// The same to a peer that gives a silent connection up after `idle`: it is kept alive often enough for that.
    pub async fn connect_idle(identity: &Identity, peer: SocketAddr, idle: Duration) -> Self {
        let endpoint = Endpoint::dialling(identity, idle, None).unwrap();
        let link = endpoint.dial(peer).await.unwrap();
        let (mut writer, mut reader) = link.open_stream().await.unwrap();
        writer.write(&hello("client")).await.unwrap();
        writer.write(&open()).await.unwrap();
        loop {
            match reader.read_timeout(ANSWER_WITHIN).await.unwrap() {
                Some(Message::Hello(_) | Message::Working) => {}
                Some(Message::Opened(Opened { newest, generation, .. })) => {
                    link.authorised();
                    return Self { link, newest, generation, _endpoint: endpoint, _control: (writer, reader) };
                }
                other => panic!("not opened: {other:?}"),
            }
        }
    }

    /// The head of the change set that follows what the peer has.
    pub fn head(&self, epoch: Epoch) -> Message {
        Message::ChangeSet(ChangeSet {
            channel: CHANNEL,
            epoch,
            number: self.generation.number + 1,
            deletions_approved: true,
            users: Vec::new(),
            groups: Vec::new(),
        })
    }
}

pub fn hello(name: &str) -> Message {
    let (version, features) = (wire::VERSION, vec!["zstd".to_owned()]);
    Message::Hello(Hello { version, features, name: name.into(), agent: "test".into() })
}

/// Asks for the set on [`CHANNEL`].
pub fn open() -> Message {
    let (set, attrs) = ("data".into(), Attrs::ARCHIVE);
    Message::Open(Open { channel: CHANNEL, set, proof: Proof::Key, attrs, numeric_ids: true, places: Vec::new() })
}
