//! The task of one peer: connects, opens sets, compares, sends, for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::compare;
use super::fallback::Fallback;
use super::open;
use super::rsync::Traffic;
use super::send;
use super::set::{SourceSet, Target};
use super::up::{Event, Up, dial, moved, read_control};
use crate::config::Transport;
use crate::engine::{Found, lock, stopped};
use crate::link::{Endpoint, Link, LinkError};
use crate::model::{Epoch, NodeKey, RelPath};
use crate::observe::{Counter, FailLog, Failure};
use crate::session::{self, Action, CloseReason, Fault, Pace, PeerAction, PeerState, Sending};
use crate::store::{Store, Writer};
use crate::wire::{Message, Refusal};

/// How soon the channels are looked at again at the latest, whatever their timers say.
const AT_LATEST: Duration = Duration::from_secs(30);

/// One peer, with every set that goes there.
#[derive(Debug)]
pub struct Peer {
    /// Host name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// What carries changes there.
    pub transport: Transport,
    /// What rsync carried.
    pub(crate) traffic: Traffic,
    /// The sets that go there; the position is the channel's number.
    pub channels: Vec<(Arc<SourceSet>, Arc<Target>)>,
    standing: Mutex<Standing>,
    /// What every peer of this node shares.
    pub shared: Arc<Shared>,
    wake: Arc<Notify>,
    /// The bound on what goes there in a second, where a set has one: the lowest counts for all.
    pace: Option<Arc<Mutex<Pace>>>,
    /// An operator wants an attempt now.
    replay: AtomicBool,
    verifications: mpsc::UnboundedSender<Verification>,
    asked: Mutex<Option<mpsc::UnboundedReceiver<Verification>>>,
}

/// A compare that an operator asked for, and that repairs nothing.
#[derive(Debug)]
struct Verification {
    channel: usize,
    reply: oneshot::Sender<Result<Vec<Found>, String>>,
}

/// What every peer of a node shares.
#[derive(Debug)]
pub struct Shared {
    /// The node's key.
    pub key: NodeKey,
    /// The node's name.
    pub name: String,
    /// Makes connections.
    pub endpoint: Endpoint,
    /// Epochs.
    pub store: Arc<Store>,
    /// The retry log.
    pub writer: Arc<Writer>,
    /// How long something may be unacknowledged before it is recorded durably.
    pub record_after: Duration,
    /// The ceiling of the backoff.
    pub ceiling: Duration,
    /// A line for each failure, where a legacy file asks for it.
    pub fail_log: Option<Mutex<FailLog>>,
}

/// How a connection stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Bytes sent since the start.
    pub bytes_sent: u64,
    /// Bytes received since the start.
    pub bytes_received: u64,
    /// Its state.
    pub state: PeerState,
    /// The name that the peer gave itself.
    pub name: Option<String>,
    /// The last failure.
    pub fault: Option<Fault>,
    /// Whether rsync serves the peer now.
    pub rsync: bool,
}

impl Peer {
    /// A peer that nothing is known of yet.
    #[must_use]
    pub fn new(
        host: String,
        port: u16,
        transport: Transport,
        channels: Vec<(Arc<SourceSet>, Arc<Target>)>,
        shared: Arc<Shared>,
        wake: Arc<Notify>,
    ) -> Self {
        let standing = Standing {
            bytes_sent: 0,
            bytes_received: 0,
            state: PeerState::Down,
            name: None,
            fault: None,
            rsync: false,
        };
        let (verifications, asked) = mpsc::unbounded_channel();
        let rate = channels.iter().filter_map(|(set, _)| set.config.options.bandwidth).min();
        let pace = rate.map(|rate| Arc::new(Mutex::new(Pace::new(rate))));
        Self {
            pace,
            host,
            port,
            transport,
            traffic: Traffic::default(),
            channels,
            standing: Mutex::new(standing),
            shared,
            wake,
            replay: AtomicBool::new(false),
            verifications,
            asked: Mutex::new(Some(asked)),
        }
    }

    /// How the connection stands.
    pub fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    /// Drives the peer until `stop` turns true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let Some(mut asked) = lock(&self.asked).take() else { return };
        let machine = session::Peer::new(self.shared.key, self.shared.ceiling, rand::random());
        let mut task = Task {
            peer: self.clone(),
            machine,
            link: None,
            up: None,
            number: 0,
            before: (0, 0),
            dialling: None,
            tx,
            fallback: Fallback::default(),
        };
        task.begin_where_rsync_is_configured();
        loop {
            task.drive().await;
            let due = task.due();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                event = rx.recv() => if let Some(event) = event { task.handle(event).await },
                () = self.wake.notified() => {}
                Some(verification) = asked.recv() => task.verify(verification),
                () = sleep_until(due.into()) => task.machine.handle_timeout(Instant::now()),
            }
        }
        for (_, target) in &self.channels {
            self.shared.writer.send(target.unrecorded());
        }
    }

    /// Every path at which `target` differs by content or metadata; repairs nothing.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    pub async fn verify(&self, target: &Arc<Target>) -> Result<Vec<Found>, String> {
        let position = self.channels.iter().position(|(_, t)| Arc::ptr_eq(t, target));
        let channel = position.ok_or("this peer does not have that set")?;
        let (reply, answer) = oneshot::channel();
        self.verifications.send(Verification { channel, reply }).map_err(|_| "syncd is stopping")?;
        answer.await.map_err(|_| "syncd is stopping".to_owned())?
    }

    /// Tries everything that waits, now, and looks at both trees once more.
    pub fn replay_now(&self) {
        for (set, target) in &self.channels {
            let mut channel = target.channel();
            channel.replay_now();
            if set.config.options.full_compare {
                channel.request_compare();
            }
        }
        self.replay.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    pub(super) fn monitor_count(&self, counter: Counter, more: u64) {
        // All sets of a node count at one place.
        if let Some((set, _)) = self.channels.first() {
            set.monitor.count(counter, more);
        }
    }

    pub(super) fn complain(&self, target: &Target, cause: &str) {
        self.complain_of(target, None, cause);
    }

    pub(super) fn complain_of(&self, target: &Target, path: Option<&RelPath>, cause: &str) {
        if let Some(log) = &self.shared.fail_log {
            let failure = Failure { peer: &target.config.host, set: &target.config.set, path, cause };
            lock(log).record(Timestamp::now(), &failure);
        }
    }
}

/// The state of the task.
pub(super) struct Task {
    pub(super) peer: Arc<Peer>,
    pub(super) machine: session::Peer,
    /// A link whose hello is under way.
    link: Option<Link>,
    up: Option<Up>,
    number: u64,
    /// Bytes sent and received on links that are gone.
    before: (u64, u64),
    dialling: Option<JoinHandle<()>>,
    pub(super) tx: mpsc::UnboundedSender<Event>,
    pub(super) fallback: Fallback,
}

impl Task {
    /// Does what the machines ask for.
    async fn drive(&mut self) {
        let now = Instant::now();
        if self.peer.replay.swap(false, Ordering::Relaxed) {
            self.machine.replay_now();
        }
        let by_quic = self.peer.transport != Transport::Rsync;
        while by_quic && let Some(action) = self.machine.poll_action(now) {
            match action {
                PeerAction::Dial => self.dial(),
                PeerAction::SendHello => self.greet().await,
                PeerAction::Close(reason) => {
                    self.close(&reason.to_string());
                    match reason {
                        CloseReason::NoAnswer => self.unanswered(&reason.to_string()),
                        CloseReason::Myself => self.end_rsync(now),
                        CloseReason::NoHello | CloseReason::Version { .. } => {}
                    }
                }
            }
        }
        if self.machine.is_up() || self.fallback.serves() {
            for channel in 0..self.peer.channels.len() {
                self.drive_channel(channel).await;
            }
        }
        self.record(now);
        let mut standing = lock(&self.peer.standing);
        let now = self.up.as_ref().map_or((0, 0), |up| moved(&up.link));
        let rsync = self.peer.traffic.moved();
        standing.bytes_sent = self.before.0 + now.0 + rsync.0;
        standing.bytes_received = self.before.1 + now.1 + rsync.1;
        standing.state = self.machine.state();
        standing.fault = self.machine.fault().cloned();
        standing.name = self.machine.hello().map(|h| h.name.clone());
        standing.rsync = self.fallback.serves();
        if standing.rsync {
            standing.state = self.fallback.state();
            standing.fault = None;
        }
    }

    async fn drive_channel(&mut self, number: usize) {
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        if self.must_wait(number) {
            return;
        }
        loop {
            let action = target.channel().poll_action(Instant::now());
            match action {
                None => return,
                Some(Action::Open) if self.fallback.serves() => self.rsync_probe(number),
                Some(Action::Open) => self.open(number, set, target).await,
                Some(Action::Compare) if self.fallback.serves() => self.rsync_compare(number),
                Some(Action::Send(sending)) if self.fallback.serves() => self.rsync_send(number, sending),
                Some(Action::Compare) => self.compare(number, set),
                Some(Action::Send(sending)) => self.send(number, set, target, sending),
                Some(Action::TakeEpoch { newest }) => self.take_epoch(set, newest),
                Some(Action::CloseLink { cause }) if self.fallback.serves() => {
                    target.channel().handle_failed(Instant::now(), &cause);
                }
                Some(Action::CloseLink { cause }) => {
                    self.close(&cause);
                    self.machine.handle_closed(Instant::now(), &cause);
                    return;
                }
            }
        }
    }

    /// Until one set is open the peer takes only a few frames: sets are asked for one by one.
    fn must_wait(&self, number: usize) -> bool {
        let authorised = self.fallback.serves() || self.up.as_ref().is_some_and(|up| up.link.is_authorised());
        let opening = |(_, target): &(_, Arc<Target>)| target.channel().phase() == session::Phase::Opening;
        let others = self.peer.channels.iter().enumerate().filter(|(n, _)| *n != number);
        !authorised && others.map(|(_, channel)| channel).any(opening)
    }

    /// When to look again.
    fn due(&self) -> Instant {
        let latest = Instant::now() + AT_LATEST;
        let channels = self.peer.channels.iter().filter_map(|(_, target)| {
            let channel = target.channel();
            let record = target.record_due(&channel, self.peer.shared.record_after);
            let open = self.machine.is_up() || self.fallback.serves();
            let send = if open { channel.poll_timeout() } else { None };
            record.into_iter().chain(send).min()
        });
        channels.chain(self.machine.poll_timeout()).fold(latest, Instant::min)
    }

    /// Records durably what has been unacknowledged for a moment.
    fn record(&self, now: Instant) {
        for (_, target) in &self.peer.channels {
            let due = target.record_due(&target.channel(), self.peer.shared.record_after);
            if due.is_some_and(|due| due <= now) {
                self.peer.shared.writer.send(target.unrecorded());
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Dialled(Ok(link)) => {
                self.link = Some(link);
                self.machine.handle_dialled(now);
            }
            Event::Dialled(Err(cause)) if self.peer.transport == Transport::Auto => {
                self.peer.monitor_count(Counter::ConnectFailures, 1);
                self.machine.handle_closed(now, &cause);
                self.unanswered(&cause);
            }
            Event::Dialled(Err(cause)) => self.down(now, &cause),
            Event::Control(number, _) | Event::Compared(number, ..) | Event::Sent(number, ..)
                if number != self.number => {}
            Event::Control(_, Ok(Some(message))) => self.control(now, message).await,
            Event::Control(_, Ok(None)) => self.down(now, "the peer closed the connection"),
            Event::Control(_, Err(e)) => self.down(now, &e.to_string()),
            Event::Compared(_, channel, result) => self.compared(now, channel, result),
            Event::Sent(_, channel, result) => self.sent(now, channel, result),
            Event::Rsync(session, channel, told) => self.rsync_told(now, session, channel, told),
        }
    }

    fn dial(&mut self) {
        let (peer, tx) = (self.peer.clone(), self.tx.clone());
        self.dialling = Some(tokio::spawn(async move {
            let dialled = dial(&peer).await;
            // Whoever asked has ended.
            let _ = tx.send(Event::Dialled(dialled));
        }));
    }

    async fn greet(&mut self) {
        let Some(link) = self.link.take() else { return };
        self.number += 1;
        let hello = Message::Hello(open::hello(&self.peer.shared.name));
        let greeted = async {
            let (mut control, reader) = link.open_stream().await?;
            control.write(&hello).await?;
            Ok::<_, LinkError>((control, reader))
        };
        match greeted.await {
            Ok((control, reader)) => {
                let reading = tokio::spawn(read_control(reader, self.number, self.tx.clone()));
                self.up = Some(Up { link, control, provers: HashMap::new(), reading });
            }
            Err(e) => self.down(Instant::now(), &e.to_string()),
        }
    }

    async fn control(&mut self, now: Instant, message: Message) {
        match message {
            Message::Hello(hello) => {
                let Some(up) = &self.up else { return };
                let key = up.link.node_key();
                tracing::debug!(peer = self.peer.host, name = hello.name, %key, "connected");
                self.machine.handle_hello(now, key, hello);
                if self.machine.is_up() {
                    self.taken_over(now);
                    self.peer.channels.iter().for_each(|(_, target)| target.channel().handle_link_up());
                }
            }
            Message::Challenge { channel, pake, confirm } => {
                self.challenge(now, channel as usize, &pake, &confirm).await;
            }
            Message::Opened(opened) => {
                if let Some(up) = &self.up {
                    up.link.authorised();
                }
                if let Some((set, target)) = self.peer.channels.get(opened.channel as usize) {
                    target.set_proof(Some(opened.proof.clone()));
                    tracing::info!(set = set.config.name, peer = %target, "connected; {}", opened.proof);
                    target.forget_left_out();
                    target.channel().handle_opened(opened.newest, opened.generation);
                }
            }
            Message::Refused(refused) => match refused.channel {
                Some(channel) => self.refused(now, channel as usize, refused.code),
                None => self.down(now, &format!("the peer refuses the connection: {:?}", refused.code)),
            },
            Message::Working => self.peer.channels.iter().for_each(|(_, t)| t.channel().handle_working(now)),
            Message::Released { channel } => {
                if let Some((set, target)) = self.peer.channels.get(channel as usize) {
                    tracing::info!(set = set.config.name, peer = %target, "deletions were approved there: sending them again");
                    target.channel().approve();
                    self.peer.shared.writer.send(target.acknowledged());
                }
            }
            _ => {}
        }
    }

    async fn open(&mut self, number: usize, set: &Arc<SourceSet>, target: &Target) {
        let Some(up) = &mut self.up else { return };
        if !open::is_understood(self.machine.hello(), set, target) {
            return target.channel().handle_refused(Instant::now(), Refusal::Version);
        }
        match open::open(&up.link, self.peer.shared.key, number, set, target) {
            Ok((open, prover)) => {
                up.provers.extend(prover.map(|p| (number, p)));
                if let Err(e) = up.control.write(&Message::Open(open)).await {
                    self.down(Instant::now(), &e.to_string());
                }
            }
            Err(cause) => {
                tracing::error!(set = set.config.name, peer = %target, "{cause}");
                target.channel().handle_refused(Instant::now(), Refusal::NotServed);
            }
        }
    }

    async fn challenge(&mut self, now: Instant, number: usize, pake: &[u8], confirm: &[u8]) {
        let Some(up) = &mut self.up else { return };
        let Some(prover) = up.provers.remove(&number) else { return };
        // The peer's operator has to read of a wrong password too: a confirmation that is none tells
        // the peer, which refuses.
        let confirm = prover.finish(pake, confirm).unwrap_or_default();
        let channel = u32::try_from(number).unwrap_or(u32::MAX);
        if let Err(e) = up.control.write(&Message::Confirm { channel, confirm }).await {
            self.down(now, &e.to_string());
        }
    }

    fn refused(&self, now: Instant, number: usize, code: Refusal) {
        if let Some((set, target)) = self.peer.channels.get(number) {
            let mut channel = target.channel();
            let before = channel.fault().map(|f| f.cause.clone());
            if channel.phase() == session::Phase::Opening
                && let Some(up) = &self.up
            {
                // An answer to what was asked: the next question has a budget of its own, here as there.
                up.link.renew_budget();
            }
            match code {
                Refusal::KeyChanged => channel.handle_failed(now, &open::another_key(target)),
                _ => channel.handle_refused(now, code),
            }
            let cause = channel.fault().map(|f| f.cause.clone()).unwrap_or_default();
            drop(channel);
            if before.as_ref() != Some(&cause) {
                tracing::warn!(set = set.config.name, peer = %target, "{cause}; trying again");
            }
            self.peer.complain(target, &cause);
            set.tell_plugins();
        }
    }

    fn verify(&mut self, verification: Verification) {
        let Verification { channel: number, reply } = verification;
        let peer = self.peer.clone();
        let Some((set, target)) = peer.channels.get(number) else { return };
        let open = matches!(target.channel().phase(), session::Phase::Live | session::Phase::Comparing);
        if open && self.fallback.serves() {
            return self.rsync_verify(number, reply);
        }
        let Some(up) = self.up.as_ref().filter(|_| open) else {
            let fault = target.channel().fault().map(|f| f.cause.clone());
            let cause = fault.unwrap_or_else(|| "it is not connected yet".to_owned());
            let _ = reply.send(Err(format!("{target} cannot be compared: {cause}")));
            return;
        };
        let (link, set, target) = (up.link.clone(), set.clone(), target.clone());
        let channel = u32::try_from(number).unwrap_or(u32::MAX);
        tokio::spawn(async move {
            let found = compare::verify(&set, &link, channel, set.epoch()).await;
            // What its own rules keep out was never to be there.
            let meant = |found: &Found| !target.leaves_out(&found.path);
            let found = found.map(|found| found.into_iter().filter(meant).collect());
            // Whoever asked may have gone.
            let _ = reply.send(found.map_err(|e| e.to_string()));
        });
    }

    fn compare(&self, number: usize, set: &Arc<SourceSet>) {
        let Some(up) = &self.up else { return };
        let (link, set, tx, on) = (up.link.clone(), set.clone(), self.tx.clone(), self.number);
        let channel = u32::try_from(number).unwrap_or(u32::MAX);
        tokio::spawn(async move {
            set.look_before_compare().await;
            let epoch = set.epoch();
            let result = compare::compare(&set, &link, channel, epoch).await;
            let _ = tx.send(Event::Compared(on, number, result));
        });
    }

    fn send(&self, number: usize, set: &Arc<SourceSet>, target: &Arc<Target>, sending: Sending) {
        let Some(up) = &self.up else { return };
        let (link, set, target, tx, on) = (up.link.clone(), set.clone(), target.clone(), self.tx.clone(), self.number);
        let channel = u32::try_from(number).unwrap_or(u32::MAX);
        let pace = self.peer.pace.clone();
        tokio::spawn(async move {
            let result = send::send(&set, &target, &link, pace.as_deref(), channel, sending).await;
            let _ = tx.send(Event::Sent(on, number, result));
        });
    }

    fn take_epoch(&self, set: &SourceSet, newest: Epoch) {
        let epoch = newest.max(set.epoch()).next(self.peer.shared.key);
        match self.peer.shared.store.set_epoch(&set.config.name, epoch) {
            Ok(_) => {
                tracing::info!(set = set.config.name, %epoch, "took a new epoch");
                set.set_epoch(epoch);
            }
            Err(e) => tracing::error!(set = set.config.name, "cannot take epoch {epoch}: {e}"),
        }
    }

    /// The connection is gone, or could not be made.
    pub(super) fn down(&mut self, now: Instant, cause: &str) {
        if self.fallback.serves() {
            // What answered there is of no use, and changes nothing for what serves meanwhile.
            tracing::debug!(peer = self.peer.host, "{cause}; rsync goes on");
            self.close(cause);
            return self.machine.handle_closed(now, cause);
        }
        self.peer.monitor_count(Counter::ConnectFailures, 1);
        let new = self.machine.fault().is_none_or(|f| f.cause != cause);
        let had_link = self.up.is_some();
        self.close(cause);
        self.machine.handle_closed(now, cause);
        for (set, target) in &self.peer.channels {
            target.set_proof(None);
            let mut channel = target.channel();
            if !had_link {
                channel.handle_unreachable(now, cause);
            }
            // A peer closes a connection on which it refused everything: why, was said.
            if channel.fault().is_some_and(|fault| fault.cause != cause) {
                continue;
            }
            drop(channel);
            if new {
                tracing::warn!(set = set.config.name, peer = %target, "{cause}; trying again");
            }
            self.peer.complain(target, cause);
        }
        self.peer.channels.iter().for_each(|(set, _)| set.tell_plugins());
    }

    fn close(&mut self, cause: &str) {
        if let Some(dialling) = self.dialling.take() {
            dialling.abort();
        }
        self.link = None;
        if let Some(up) = self.up.take() {
            let (sent, received) = moved(&up.link);
            self.before = (self.before.0 + sent, self.before.1 + received);
            self.number += 1;
            let by_quic = self.peer.channels.iter().filter(|_| !self.fallback.serves());
            by_quic.for_each(|(_, target)| target.channel().handle_link_down(Instant::now(), cause));
        }
    }
}
