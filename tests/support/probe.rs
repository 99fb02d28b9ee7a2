//! Somebody who asks an address all the time, and those who answer.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::background::{Background, readable};
use super::node::wait_until;
use super::vrrp::{Lab, PATIENCE};

/// Where routers answer whoever asks.
const ECHO: u16 = 7007;

/// How often the client asks.
const ASK: Duration = Duration::from_millis(1);

/// Answers whoever asks, whatever address was asked, by `name`.
pub fn echo(name: u8) -> Background {
    let socket = UdpSocket::bind(("::", ECHO)).expect("a port");
    Background::new(move || {
        let asked = readable(&socket).then(|| socket.recv_from(&mut [0; 16]));
        if let Some(Ok((_, from))) = asked {
            // A client that is gone is no fault.
            let _ = socket.send_to(&[name], from);
        }
    })
}

/// An answer that a client got.
#[derive(Clone, Copy, Debug)]
struct Answer {
    at: Instant,
    /// The last number of the address of whoever answered.
    by: u8,
}

/// Asks the virtual address every millisecond.
pub struct Probe {
    answers: Arc<Mutex<Vec<Answer>>>,
    _asking: Background,
    _hearing: Background,
}

impl Probe {
    /// Begins to ask `ip`.
    pub fn new(lab: &Lab, ip: &str) -> Self {
        let target = SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), ECHO);
        let own = if target.is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = lab.client.run(|| UdpSocket::bind((own, 0)).expect("a port"));
        let hearing = socket.try_clone().expect("a socket");
        let answers = Arc::new(Mutex::new(Vec::new()));
        let heard = answers.clone();
        let mut next = Instant::now();
        let asking = Background::new(move || {
            match socket.send_to(b"?", target) {
                Err(e) if e.kind() == ErrorKind::InvalidInput => panic!("{e}"),
                _ => {}
            }
            next += ASK;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        });
        let hearing = Background::new(move || {
            let mut name = [0; 1];
            if readable(&hearing) && hearing.recv_from(&mut name).is_ok() {
                let answer = Answer { at: Instant::now(), by: name[0] };
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
        });
        Self { answers, _asking: asking, _hearing: hearing }
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers came so far.
    pub fn count(&self) -> usize {
        self.answers().len()
    }

    /// Waits until `more` further answers came.
    pub fn wait(&self, more: usize) {
        let goal = self.count() + more;
        assert!(wait_until(PATIENCE, || self.count() >= goal), "nobody answers");
    }

    /// Whether the last `count` answers came after `from`, and from the router with this `address` where one is given.
    pub fn is_answered(&self, from: Instant, count: usize, address: Option<Ipv4Addr>) -> bool {
        let answers = self.answers();
        let by = address.map(|address| address.octets()[3]);
        let fits = |answer: &Answer| answer.at > from && by.is_none_or(|by| by == answer.by);
        answers.len() >= count && answers.iter().rev().take(count).all(fits)
    }

    /// The longest time without an answer after `from`.
    pub fn outage(&self, from: Instant) -> Duration {
        let answers = self.answers();
        let mut last = answers.iter().map(|answer| answer.at).rfind(|at| *at <= from).unwrap_or(from);
        let mut longest = Duration::ZERO;
        for at in answers.iter().map(|answer| answer.at).filter(|at| *at > from) {
            longest = longest.max(at - last);
            last = at;
        }
        longest.max(Instant::now().saturating_duration_since(last))
    }
}
