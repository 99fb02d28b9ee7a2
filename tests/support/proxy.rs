//! A userspace UDP proxy that does to datagrams what networks do: loses, delays, reorders, doubles, corrupts, cuts.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::seed::Seed;

/// How long a reordered datagram is held back beyond the delay.
const HOLD: Duration = Duration::from_millis(15);
/// How soon a change of the settings, or the end, is noticed at the latest.
const TICK: Duration = Duration::from_millis(5);
/// How many datagrams are taken from a socket before others have their turn.
const BATCH: usize = 64;
/// Kernel buffers: the proxy itself loses nothing in a burst.
const SOCKET_BUFFER: usize = 8 << 20;

/// What happens to datagrams, in both directions alike. Probabilities are 0.0 to 1.0.
#[derive(Clone, Debug, Default)]
pub struct Network {
    pub loss: f64,
    pub duplicate: f64,
    /// Held back so that later ones overtake.
    pub reorder: f64,
    /// One bit is turned.
    pub corrupt: f64,
    /// On the way, each way.
    pub delay: Duration,
    /// Nothing gets through.
    pub blackhole: bool,
    /// Longer payloads vanish without a word (an MTU hole).
    pub max_payload: Option<usize>,
}

/// Counted since the start, over both directions.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    dropped: AtomicU64,
    duplicated: AtomicU64,
    reordered: AtomicU64,
    corrupted: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

/// What the counters said at a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Datagrams that came in.
    pub received: u64,
    /// Of them, those that vanished by loss, blackhole or size.
    pub dropped: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    /// Payload bytes passed on towards the target.
    pub bytes_up: u64,
    /// Payload bytes passed on towards the clients.
    pub bytes_down: u64,
}

struct Shared {
    network: Mutex<Network>,
    counters: Counters,
    rebind: AtomicBool,
    stop: AtomicBool,
}

/// Runs on a thread of its own until it is dropped.
pub struct Proxy {
    listen: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at `listen` and passes on to `target`; `seed` decides whom misfortune strikes.
    ///
    /// # Errors
    /// As bind(2).
    pub fn start(listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        let front = socket(listen)?;
        let listen = front.local_addr()?;
        let shared = Arc::new(Shared {
            network: Mutex::default(),
            counters: Counters::default(),
            rebind: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let relay = Relay {
            front,
            target,
            flows: Vec::new(),
            seed: Seed::new(seed),
            waiting: BTreeMap::new(),
            sequence: 0,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name("udp-proxy".into()).spawn(move || relay.run())?;
        Ok(Self { listen, shared, thread: Some(thread) })
    }

    /// Where clients send to.
    pub fn addr(&self) -> SocketAddr {
        self.listen
    }

    /// Changes the network from the next datagram on.
    pub fn set(&self, change: impl FnOnce(&mut Network)) {
        change(&mut self.shared.network());
    }

    /// A network without faults.
    pub fn heal(&self) {
        self.set(|network| *network = Network::default());
    }

    /// Gives every flow a new port towards the target, as a NAT that forgot does.
    /// Returns when it is done; what was under way to the old port is lost.
    pub fn rebind(&self) {
        self.shared.rebind.store(true, Ordering::SeqCst);
        while self.shared.rebind.load(Ordering::SeqCst) && self.thread.as_ref().is_some_and(|t| !t.is_finished()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn count(&self) -> Count {
        let counters = &self.shared.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Count {
            // First, since it is counted last.
            received: of(&counters.received),
            dropped: of(&counters.dropped),
            duplicated: of(&counters.duplicated),
            reordered: of(&counters.reordered),
            corrupted: of(&counters.corrupted),
            bytes_up: of(&counters.bytes_up),
            bytes_down: of(&counters.bytes_down),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; a second one here would hide the test's own.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client and the socket that stands for it at the target.
struct Flow {
    client: SocketAddr,
    back: UdpSocket,
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

struct Datagram {
    flow: usize,
    way: Way,
    payload: Vec<u8>,
}

struct Relay {
    front: UdpSocket,
    target: SocketAddr,
    flows: Vec<Flow>,
    seed: Seed,
    /// By the time when it is due, then in the order of arrival.
    waiting: BTreeMap<(Instant, u64), Datagram>,
    sequence: u64,
    shared: Arc<Shared>,
}

impl Relay {
    fn run(mut self) {
        let mut buffer = vec![0_u8; 64 << 10];
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.shared.rebind.load(Ordering::SeqCst) {
                self.rebind();
                self.shared.rebind.store(false, Ordering::SeqCst);
            }
            self.wait();
            self.take_from_clients(&mut buffer);
            self.take_from_target(&mut buffer);
            self.deliver(Instant::now());
        }
    }

    fn rebind(&mut self) {
        for flow in &mut self.flows {
            flow.back = back_socket(self.target).expect("a socket");
        }
    }

    fn wait(&self) {
        let due = self.waiting.keys().next().map_or(TICK, |(due, _)| due.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(due.min(TICK)).expect("short");
        let mut fds: Vec<_> = self.flows.iter().map(|flow| PollFd::new(&flow.back, PollFlags::IN)).collect();
        fds.push(PollFd::new(&self.front, PollFlags::IN));
        // Interrupted or not, the sockets are looked at next.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn take_from_clients(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Ok((len, client)) = self.front.recv_from(buffer) else { return };
            let flow = self.flow_of(client);
            self.meet(flow, Way::Up, &buffer[..len]);
        }
    }

    fn take_from_target(&mut self, buffer: &mut [u8]) {
        for flow in 0..self.flows.len() {
            for _ in 0..BATCH {
                // An error besides EAGAIN is a port that does not listen (ECONNREFUSED): to a client that is silence.
                let Ok(len) = self.flows[flow].back.recv(buffer) else { break };
                self.meet(flow, Way::Down, &buffer[..len]);
            }
        }
    }

    fn flow_of(&mut self, client: SocketAddr) -> usize {
        if let Some(known) = self.flows.iter().position(|flow| flow.client == client) {
            return known;
        }
        self.flows.push(Flow { client, back: back_socket(self.target).expect("a socket") });
        self.flows.len() - 1
    }

    /// Every datagram draws the same number of random numbers, so that one setting does not move the luck of another.
    fn meet(&mut self, flow: usize, way: Way, payload: &[u8]) {
        let network = self.shared.network().clone();
        let counters = &self.shared.counters;
        let luck = [network.loss, network.duplicate, network.reorder, network.corrupt].map(|p| self.seed.chance(p));
        let [lost, doubled, held, corrupted] = luck;
        let bit = self.seed.below(payload.len() * 8);
        if lost || network.blackhole || network.max_payload.is_some_and(|max| payload.len() > max) {
            counters.dropped.fetch_add(1, Ordering::SeqCst);
            counters.received.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let mut payload = payload.to_vec();
        if corrupted && !payload.is_empty() {
            payload[bit / 8] ^= 1 << (bit % 8);
            counters.corrupted.fetch_add(1, Ordering::SeqCst);
        }
        if held {
            counters.reordered.fetch_add(1, Ordering::SeqCst);
        }
        let due = Instant::now() + network.delay + if held { HOLD } else { Duration::ZERO };
        if doubled {
            counters.duplicated.fetch_add(1, Ordering::SeqCst);
            self.queue(due, Datagram { flow, way, payload: payload.clone() });
        }
        self.queue(due, Datagram { flow, way, payload });
        // Last: who reads that it came in finds the rest counted.
        self.shared.counters.received.fetch_add(1, Ordering::SeqCst);
    }

    fn queue(&mut self, due: Instant, datagram: Datagram) {
        self.sequence += 1;
        self.waiting.insert((due, self.sequence), datagram);
    }

    fn deliver(&mut self, now: Instant) {
        while self.waiting.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            let Some((_, Datagram { flow, way, payload })) = self.waiting.pop_first() else { return };
            let Flow { client, back } = &self.flows[flow];
            let counters = &self.shared.counters;
            // Counted before it can be seen to arrive. What the kernel does not take is lost, as on any network.
            let _ = match way {
                Way::Up => {
                    counters.bytes_up.fetch_add(payload.len() as u64, Ordering::SeqCst);
                    back.send(&payload)
                }
                Way::Down => {
                    counters.bytes_down.fetch_add(payload.len() as u64, Ordering::SeqCst);
                    self.front.send_to(&payload, *client)
                }
            };
        }
    }
}

fn back_socket(target: SocketAddr) -> io::Result<UdpSocket> {
    let back = socket(SocketAddr::new(target.ip(), 0))?;
    back.connect(target)?;
    Ok(back)
}

fn socket(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addr)?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}
