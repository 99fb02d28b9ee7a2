//! Whatever comes as a packet of protocol 112: nothing panics, and what is rejected moves no timer and no state.
//!
//! The first byte says which instance it is aimed at and how it came; the rest stands behind the IP header.

#![no_main]

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use syncd::vrrp::clock::Clock;
use syncd::vrrp::inbound::Packet;
use syncd::vrrp::interfaces::{Interfaces, Link};
use syncd::vrrp::machine::{Before, Machine};
use syncd::vrrp::packet::{Auth, Version};
use syncd::vrrp::setup::{Address, Family, Instance, Peer, Setup, Transport};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn instance(vrid: u8, version: Version, family: Family, auth: Auth, transport: Transport) -> Instance {
    let address =
        if family == Family::V4 { Address::new(ip("10.0.0.50"), 24) } else { Address::new(ip("fe80::50"), 64) };
    Instance { version, auth, transport, ..Instance::new(&format!("VI_{vrid}"), "eth0", vrid, vec![address]) }
}

fn setup() -> Setup {
    let group = Transport::Multicast { group: ip("224.0.0.18") };
    let group6 = Transport::Multicast { group: ip("ff02::12") };
    let peer = Peer { address: ip("10.0.0.2"), min_ttl: 250, max_ttl: 255 };
    let unicast = Transport::Unicast { peers: vec![peer], ttl: None, check_source: true };
    let instances = vec![
        instance(51, Version::V2, Family::V4, Auth::Pass(*b"1111\0\0\0\0"), group.clone()),
        instance(52, Version::V2, Family::V4, Auth::None, group.clone()),
        instance(53, Version::V3, Family::V4, Auth::None, group),
        instance(54, Version::V3, Family::V4, Auth::None, unicast),
        instance(51, Version::V3, Family::V6, Auth::None, group6),
    ];
    let name = |(n, instance): (usize, Instance)| Instance { name: format!("VI_{n}"), ..instance };
    Setup { instances: instances.into_iter().enumerate().map(name).collect(), ..Setup::default() }
}

fn machine(now: Instant) -> Machine {
    let mut interfaces = Interfaces::default();
    interfaces.set_link(Link { index: 2, name: "eth0".to_owned(), running: true, mac: [2; 6] });
    interfaces.add_address(2, ip("10.0.0.1"), 24);
    interfaces.add_address(2, ip("fe80::1"), 64);
    let clock = Clock { at: now, monotonic: 0, unix_ms: 0 };
    let mut machine = Machine::new(clock, setup(), Before::default(), interfaces);
    machine.handle_timeout(now);
    machine
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, payload)) = data.split_first() else { return };
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let mut now = *BEGUN.get_or_init(Instant::now);
    let mut machine = machine(now);
    if how & 1 != 0 {
        now += Duration::from_secs(4);
        machine.handle_timeout(now);
    }
    while machine.poll_action().is_some() {}
    let from = if how & 2 != 0 { ip("10.0.0.2") } else { ip("fe80::2") };
    let to = match (how & 2 != 0, how & 4 != 0) {
        (true, true) => ip("224.0.0.18"),
        (true, false) => ip("10.0.0.1"),
        (false, true) => ip("ff02::12"),
        (false, false) => ip("fe80::1"),
    };
    let ttl = if how & 8 != 0 { 255 } else { how };
    let key = |machine: &Machine| {
        let status = machine.status(now);
        let counted: u64 = status.iter().map(|one| one.adverts_received).sum();
        (counted, machine.poll_timeout(), status.into_iter().map(|one| (one.state, one.master)).collect::<Vec<_>>())
    };
    let before = key(&machine);
    machine.handle_packet(now, &Packet { interface: 2, from, to, ttl, payload });
    let after = key(&machine);
    assert!(after.0 != before.0 || after == before, "it was rejected and changed something");
});
