//! One connection of a source: hello, the sets it opens, and the streams that follow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use syncd_certs::password::Verifier;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::set::{ReplicaSet, Session};
use super::{Receiver, authorise, compare, incoming};
use crate::engine::lock;
use crate::link::{FrameReader, FrameWriter, Link, LinkError};
use crate::observe::Counter;
use crate::wire::{self, Hello, Message, Open, Opened, Proof, Refusal, Refused};

/// How long a connection may take until it has opened its first set.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a source that waits for a set to be opened is told that it is not forgotten.
const STILL_WAITING: Duration = Duration::from_secs(5);

/// The sets that one connection may write, by channel.
type Channels = Arc<Mutex<BTreeMap<u32, Channel>>>;

/// A set that is open on a connection.
#[derive(Clone, Debug)]
struct Channel {
    set: Arc<ReplicaSet>,
    session: Session,
}

/// Why a connection or a stream of it is at an end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The link is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It broke the protocol.
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    /// What was written may not be on disk: the source connects anew and compares in full.
    #[error("the set has to be compared in full: {0}")]
    MustCompare(String),
    /// It did not prove its right to any set in time.
    #[error("it was not authorised within {} s", PATIENCE.as_secs())]
    Slow,
}

impl Ended {
    /// Whether a stream of it was given up since nothing came on it.
    fn is_stalled(&self) -> bool {
        matches!(self, Self::Link(LinkError::Stalled { .. }))
    }

    /// Whether the peer did what no honest one does.
    fn is_hostile(&self) -> bool {
        match self {
            Self::Link(e) => matches!(e, LinkError::Frame { .. } | LinkError::Budget { .. }),
            Self::Protocol(_) | Self::Slow => true,
            Self::MustCompare(_) => false,
        }
    }

    /// Whether the whole connection goes with the stream.
    fn ends_connection(&self) -> bool {
        self.is_hostile() || matches!(self, Self::MustCompare(_))
    }
}

/// An authorisation that waits for the peer's confirmation.
struct Asked {
    open: Open,
    user: String,
    set: Arc<ReplicaSet>,
    verifier: Box<Verifier>,
}

/// Serves `link` until it closes.
pub(crate) async fn serve(node: Arc<Receiver>, link: Link, number: u64) {
    let address = link.remote_address();
    let channels = Channels::default();
    let mut streams = JoinSet::new();
    let (asked, of) = (BTreeMap::new(), &mut streams);
    let (tell, told) = mpsc::unbounded_channel();
    let connection = Connection { node: &node, link: &link, channels: &channels, number, asked, streams: of, tell };
    let ended = connection.run(told).await;
    let cause = match &ended {
        Ok(()) => "it closed the connection".to_owned(),
        Err(e) => e.to_string(),
    };
    for (channel, open) in std::mem::take(&mut *lock(&channels)) {
        open.set.close_for((number, channel));
        tracing::info!(set = open.set.config.name, source = open.session.name, %address, "source gone: {}", cause);
    }
    if let Err(e) = ended {
        if e.is_hostile() {
            node.monitor.count(Counter::Refused, 1);
            tracing::warn!(%address, "closing the connection: {e}");
        }
        link.close(&e.to_string());
    }
    link.close("the control stream has ended");
    // A commit that is under way ends as it would: whoever waits for this may open the tree anew.
    while streams.join_next().await.is_some() {}
}

struct Connection<'a> {
    node: &'a Arc<Receiver>,
    link: &'a Link,
    channels: &'a Channels,
    number: u64,
    asked: BTreeMap<u32, Asked>,
    /// What serves its compares and change sets.
    streams: &'a mut JoinSet<()>,
    /// What others have to say on its control stream.
    tell: mpsc::UnboundedSender<Message>,
}

impl Connection<'_> {
    async fn run(mut self, mut told: mpsc::UnboundedReceiver<Message>) -> Result<(), Ended> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let (mut writer, mut reader) =
            tokio::time::timeout_at(deadline, self.link.accept_stream()).await.map_err(|_| Ended::Slow)??;
        let name = match tokio::time::timeout_at(deadline, reader.read()).await.map_err(|_| Ended::Slow)?? {
            Some(Message::Hello(hello)) if hello.version == wire::VERSION => hello.name,
            Some(Message::Hello(hello)) => {
                tracing::warn!(address = %self.link.remote_address(), "refused: it speaks protocol {}, this node {}; upgrade the older one", hello.version, wire::VERSION);
                self.node.monitor.count(Counter::Refused, 1);
                writer.write(&Message::Hello(self.hello())).await?;
                return Ok(writer.write(&Message::Refused(Refused { channel: None, code: Refusal::Version })).await?);
            }
            _ => return Err(Ended::Protocol("the first frame is no hello")),
        };
        writer.write(&Message::Hello(self.hello())).await?;
        while lock(self.channels).is_empty() {
            match tokio::time::timeout_at(deadline, reader.read()).await.map_err(|_| Ended::Slow)?? {
                Some(message) => self.control(message, &name, &mut writer).await?,
                None => return Ok(()),
            }
        }
        self.link.authorised();
        loop {
            tokio::select! {
                message = reader.read() => match message? {
                    Some(message) => self.control(message, &name, &mut writer).await?,
                    None => return Ok(()),
                },
                Some(message) = told.recv() => writer.write(&message).await?,
                Some(_) = self.streams.join_next() => {}
                stream = self.link.accept_stream() => {
                    let (writer, reader) = stream?;
                    let (link, channels, node) = (self.link.clone(), self.channels.clone(), self.node.clone());
                    self.streams.spawn(async move {
                        if let Err(e) = stream_of(&channels, reader, writer).await {
                            give_up(&node, &link, &e);
                        }
                    });
                }
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            version: wire::VERSION,
            features: vec!["zstd".to_owned(), wire::SELECTION.to_owned()],
            name: self.node.name.clone(),
            agent: crate::AGENT.to_owned(),
        }
    }

    async fn control(&mut self, message: Message, name: &str, writer: &mut FrameWriter) -> Result<(), Ended> {
        match message {
            Message::Open(open) => self.open(open, name, writer).await,
            Message::Confirm { channel, confirm } => {
                let Some(asked) = self.asked.remove(&channel) else {
                    return Err(Ended::Protocol("a confirmation that nobody asked for"));
                };
                let Asked { open, user, set, verifier } = asked;
                match authorise::confirm(self.node, &set, self.link, &user, *verifier, &confirm) {
                    Ok(proof) => self.grant(open, set, (name, Some(user)), proof, writer).await,
                    Err(denied) => self.deny(&open, name, denied, writer).await,
                }
            }
            Message::Working | Message::Unknown(_) => Ok(()),
            _ => Err(Ended::Protocol("a frame that does not belong on the control stream")),
        }
    }

    async fn open(&mut self, open: Open, name: &str, writer: &mut FrameWriter) -> Result<(), Ended> {
        let Some(set) = self.node.set(&open.set).cloned() else {
            let modules: Vec<&str> = self.node.sets.iter().map(|s| s.config.name.as_str()).collect();
            let cause = format!("there is no such module here (there are: {})", modules.join(", "));
            return self.deny(&open, name, authorise::Denied { code: Refusal::UnknownSet, cause }, writer).await;
        };
        match authorise::begin(self.node, &set, self.link, &open, Instant::now()) {
            Ok(authorise::Step::Granted(proof)) => self.grant(open, set, (name, None), proof, writer).await,
            Ok(authorise::Step::Challenge { pake, confirm, verifier }) => {
                let user = if let Proof::Password { user, .. } = &open.proof { user.clone() } else { String::new() };
                let channel = open.channel;
                self.asked.insert(channel, Asked { open, user, set, verifier });
                Ok(writer.write(&Message::Challenge { channel, pake, confirm }).await?)
            }
            Err(denied) => self.deny(&open, name, denied, writer).await,
        }
    }

    async fn grant(
        &mut self,
        open: Open,
        set: Arc<ReplicaSet>,
        (name, user): (&str, Option<String>),
        proof: String,
        writer: &mut FrameWriter,
    ) -> Result<(), Ended> {
        let session = Session {
            id: self.node.next_session(),
            since: Instant::now(),
            address: self.link.remote_address(),
            key: self.link.node_key(),
            name: name.to_owned(),
            user,
            proof: proof.clone(),
            attrs: open.attrs,
            link: self.link.clone(),
            tell: self.tell.clone(),
        };
        self.node.forget_refusals(session.address.ip(), &open.set);
        tracing::info!(set = open.set, source = name, address = %session.address, "source connected, by {proof}");
        // It may have to wait for a commit, longer than a stranger may stay.
        self.link.authorised();
        let opening = set.clone();
        let opened = opening.open_for((self.number, open.channel), session.clone());
        tokio::pin!(opened);
        let (newest, generation) = loop {
            match timeout(STILL_WAITING, &mut opened).await {
                Ok(opened) => break opened,
                Err(_) => writer.write(&Message::Working).await?,
            }
        };
        lock(self.channels).insert(open.channel, Channel { set, session });
        Ok(writer.write(&Message::Opened(Opened { channel: open.channel, newest, generation, proof })).await?)
    }

    async fn deny(
        &self,
        open: &Open,
        name: &str,
        denied: authorise::Denied,
        writer: &mut FrameWriter,
    ) -> Result<(), Ended> {
        self.node.monitor.count(Counter::Refused, 1);
        let address = self.link.remote_address();
        if self.node.is_news(Instant::now(), address.ip(), &open.set, &denied.cause) {
            tracing::warn!(set = open.set, source = name, %address, "refused: {}", denied.cause);
        }
        self.link.renew_budget();
        Ok(writer.write(&Message::Refused(Refused { channel: Some(open.channel), code: denied.code })).await?)
    }
}

/// What becomes of a connection when a stream of it came to a bad end.
fn give_up(node: &Receiver, link: &Link, ended: &Ended) {
    if ended.is_stalled() {
        node.monitor.count(Counter::Stalls, 1);
        tracing::warn!("{ended}: what it was sending is dropped, it has to send it again");
    }
    if ended.ends_connection() {
        node.monitor.count(Counter::Refused, u64::from(ended.is_hostile()));
        tracing::warn!(address = %link.remote_address(), "closing the connection: {ended}");
        link.close(&ended.to_string());
    }
}

/// A stream after authorisation: a compare or a change set of an open channel.
async fn stream_of(channels: &Channels, mut reader: FrameReader, writer: FrameWriter) -> Result<(), Ended> {
    let head = timeout(PATIENCE, reader.read()).await.map_err(|_| Ended::Slow)??;
    match head {
        Some(Message::ChangeSet(head)) => {
            let Channel { set, session } = channel(channels, head.channel)?;
            incoming::receive(&set, &session, head, reader, writer).await
        }
        Some(Message::Compare(head)) => {
            let Channel { set, session } = channel(channels, head.channel)?;
            compare::serve(&set, &session, &head, reader, writer).await
        }
        Some(_) => Err(Ended::Protocol("a stream that begins with neither a compare nor a change set")),
        None => Ok(()),
    }
}

fn channel(channels: &Channels, number: u32) -> Result<Channel, Ended> {
    lock(channels).get(&number).cloned().ok_or(Ended::Protocol("a channel that is not open"))
}
