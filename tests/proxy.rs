//! The proxy does what it says: each fault by itself, on numbered datagrams.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use support::node::wait_until;
use support::proxy::Proxy;

/// How long a datagram may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one is looked for that must not come.
const QUIET: Duration = Duration::from_millis(100);
/// So many small datagrams fit into a socket buffer of Linux's default size, doubles included: what is missing was lost
/// by the network that is tested.
const COUNT: u32 = 180;

struct Line {
    client: UdpSocket,
    server: UdpSocket,
    proxy: Proxy,
}

fn line(seed: u64) -> Line {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = UdpSocket::bind(any).expect("bind");
    let proxy = Proxy::start(any, server.local_addr().expect("addr"), seed).expect("proxy");
    let client = UdpSocket::bind(any).expect("bind");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    client.connect(proxy.addr()).expect("connect");
    Line { client, server, proxy }
}

impl Line {
    fn send(&self, number: u32) {
        self.client.send(&[number.to_be_bytes().as_slice(), &[0xaa; 60]].concat()).expect("send");
    }

    /// Sends all and returns what arrived: as many as the proxy says, and no more.
    fn send_all(&self) -> Vec<Vec<u8>> {
        let before = self.proxy.count();
        for number in 0..COUNT {
            self.send(number);
        }
        let taken = || self.proxy.count().received - before.received == u64::from(COUNT);
        assert!(wait_until(PATIENCE, taken), "{:?}", self.proxy.count());
        let count = self.proxy.count();
        let passed = u64::from(COUNT) + (count.duplicated - before.duplicated) - (count.dropped - before.dropped);
        let arrived = (0..passed).map(|number| match self.receive() {
            Some((payload, _)) => payload,
            None => panic!("{number} of {passed} arrived: {count:?}"),
        });
        let arrived = arrived.collect();
        assert_eq!(self.receive_within(QUIET), None, "{count:?}");
        arrived
    }

    fn receive(&self) -> Option<(Vec<u8>, SocketAddr)> {
        self.receive_within(PATIENCE)
    }

    fn receive_within(&self, timeout: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        self.server.set_read_timeout(Some(timeout)).expect("timeout");
        let mut buffer = [0; 2048];
        let (len, from) = self.server.recv_from(&mut buffer).ok()?;
        Some((buffer[..len].to_vec(), from))
    }
}

fn numbers(payloads: &[Vec<u8>]) -> Vec<u32> {
    payloads.iter().map(|p| u32::from_be_bytes([p[0], p[1], p[2], p[3]])).collect()
}

#[test]
fn a_healthy_network_passes_everything_on_both_ways() {
    let line = line(1);
    let arrived = line.send_all();
    assert_eq!(numbers(&arrived), (0..COUNT).collect::<Vec<_>>());
    line.send(7);
    let (payload, from) = line.receive().expect("a datagram");
    line.server.send_to(&payload, from).expect("send");
    let mut buffer = [0; 2048];
    assert_eq!(line.client.recv(&mut buffer).expect("an answer"), payload.len());
    let count = line.proxy.count();
    assert_eq!((count.bytes_up, count.bytes_down), (64 * u64::from(COUNT + 1), 64));
    assert_eq!((count.dropped, count.corrupted, count.duplicated, count.reordered), (0, 0, 0, 0));
}

#[test]
fn loss_takes_about_its_share_and_the_same_with_the_same_seed() {
    let run = |seed| {
        let line = line(seed);
        line.proxy.set(|network| network.loss = 0.25);
        let arrived = numbers(&line.send_all());
        assert_eq!(arrived.len() as u64 + line.proxy.count().dropped, u64::from(COUNT));
        arrived
    };
    let arrived = run(2);
    assert!((105..165).contains(&arrived.len()), "{} of {COUNT}", arrived.len());
    assert_eq!(arrived, run(2));
    assert_ne!(arrived, run(3));
}

#[test]
fn duplicates_arrive_twice() {
    let line = line(4);
    line.proxy.set(|network| network.duplicate = 0.3);
    let arrived = numbers(&line.send_all());
    let distinct: BTreeSet<_> = arrived.iter().collect();
    assert_eq!(distinct.len() as u32, COUNT);
    assert_eq!(arrived.len() as u64 - u64::from(COUNT), line.proxy.count().duplicated);
    assert!(arrived.len() as u32 > COUNT);
}

#[test]
fn reordering_loses_nothing_and_changes_the_order() {
    let line = line(5);
    line.proxy.set(|network| network.reorder = 0.2);
    let arrived = numbers(&line.send_all());
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len() as u32, COUNT);
    assert!(!arrived.is_sorted());
}

#[test]
fn corruption_turns_one_bit() {
    let line = line(6);
    line.proxy.set(|network| network.corrupt = 1.0);
    let arrived = line.send_all();
    assert_eq!(arrived.len() as u32, COUNT);
    for (number, payload) in (0..COUNT).zip(arrived) {
        let sent = [number.to_be_bytes().as_slice(), &[0xaa; 60]].concat();
        let turned: u32 = sent.iter().zip(&payload).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(turned, 1);
    }
}

#[test]
fn a_delayed_datagram_is_overtaken_by_one_that_is_not() {
    let line = line(7);
    line.proxy.set(|network| network.delay = Duration::from_secs(3));
    line.send(0);
    assert!(wait_until(PATIENCE, || line.proxy.count().received == 1));
    line.proxy.set(|network| network.delay = Duration::ZERO);
    line.send(1);
    let arrived: Vec<_> = (0..2).filter_map(|_| line.receive()).map(|(payload, _)| payload).collect();
    assert_eq!(numbers(&arrived), [1, 0]);
}

#[test]
fn a_blackhole_swallows_until_it_is_healed() {
    let line = line(8);
    line.proxy.set(|network| network.blackhole = true);
    assert!(line.send_all().is_empty());
    assert_eq!(line.proxy.count().dropped, u64::from(COUNT));
    line.proxy.heal();
    assert_eq!(line.send_all().len() as u32, COUNT);
}

#[test]
fn an_mtu_hole_swallows_what_is_too_long() {
    let line = line(9);
    line.proxy.set(|network| network.max_payload = Some(63));
    assert!(line.send_all().is_empty());
    line.client.send(b"short").expect("send");
    assert_eq!(line.receive().expect("short enough").0, b"short");
}

#[test]
fn a_rebind_shows_the_server_another_port_and_keeps_the_client() {
    let line = line(10);
    line.send(0);
    let (_, before) = line.receive().expect("a datagram");
    line.proxy.rebind();
    line.send(1);
    let (payload, after) = line.receive().expect("a datagram");
    assert_ne!(before, after);
    line.server.send_to(&payload, after).expect("send");
    let mut buffer = [0; 2048];
    line.client.recv(&mut buffer).expect("the answer still finds the client");
}
