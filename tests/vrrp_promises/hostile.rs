//! Packets that somebody crafts: each is counted by its reason and its sender, the log hears of it seldom, and
//! nothing moves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use syncd::vrrp::packet::{Advert, Auth, Path, Version};

use crate::support::frames;
use crate::support::injector::{GROUP, GROUP6, Injector, Packet};
use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, Router};

/// The address of whoever sends all this over IPv4: the client's, which its injector sends by.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 97, 1, 100);

/// A family of addresses: what is virtual in it, and who sends all this.
#[derive(Clone, Copy)]
struct Over {
    vip: &'static str,
    prefix: u8,
    stranger: IpAddr,
    group: IpAddr,
}

const IPV4: Over = Over { vip: "10.97.1.50", prefix: 24, stranger: IpAddr::V4(STRANGER), group: IpAddr::V4(GROUP) };

const IPV6: Over = Over {
    vip: "fe80::97",
    prefix: 64,
    stranger: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100)),
    group: IpAddr::V6(GROUP6),
};

/// How much a flood makes up for, when it was held up: what the queue of a router holds.
const CATCH_UP: Duration = Duration::from_millis(20);

/// Slow enough that nobody takes over falsely on a busy machine.
const STEADY: &str = "version 3\n advert_int 0.3";

impl Over {
    fn config(self, priority: u8, more: &str) -> String {
        format!(
            "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
             {more}\n virtual_ipaddress {{\n {}/{}\n }}\n}}\n",
            self.vip, self.prefix
        )
    }

    fn pair(self, more: &str) -> Lab {
        let mut lab = Lab::new(2);
        lab.routers[0].start(Kind::Syncd, &self.config(150, more));
        lab.routers[1].start(Kind::Syncd, &self.config(100, more));
        lab.wait_holder(self.vip, 0);
        lab
    }

    /// An advertisement that would take over if it counted.
    fn advert(self, version: Version) -> Advert {
        let centiseconds = if version == Version::V2 { 100 } else { 30 };
        let addresses = vec![self.vip.parse().expect("an address")];
        Advert { version, vrid: 51, priority: 254, centiseconds, auth: Auth::None, addresses }
    }

    /// One that the stranger says to all.
    fn said(self, advert: &Advert) -> Packet {
        Packet::new(self.stranger, encoded(advert, self.stranger, self.group))
    }

    /// The address of router `n` that is its own in this family.
    fn own(self, lab: &Lab, n: usize) -> IpAddr {
        let v4 = lab.routers[n].address;
        let v6 = || format!("fd97::{}", v4.octets()[3]).parse().expect("an address");
        if self.stranger.is_ipv4() { v4.into() } else { v6() }
    }
}

fn encoded(advert: &Advert, from: IpAddr, to: IpAddr) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => advert.encode(Path::V4(from, to)),
        (IpAddr::V6(from), IpAddr::V6(to)) => advert.encode(Path::V6(from, to)),
        _ => panic!("two families"),
    }
}

/// What is wrong with version 3, and the packet.
fn malformed(over: Over, lab: &Lab) -> Vec<(&'static str, Packet)> {
    let right = over.said(&over.advert(Version::V3));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = right.clone();
        change(&mut packet.payload);
        packet
    };
    let to = |n| {
        let to = over.own(lab, n);
        Packet { to, ..Packet::new(over.stranger, encoded(&over.advert(Version::V3), over.stranger, to)) }
    };
    const LENGTH: &str = "its length is not that of its addresses";
    const VERSION: &str = "its version is unknown";
    let mut all = vec![
        ("its TTL is not what it has to be", Packet { ttl: 254, ..right.clone() }),
        ("its TTL is not what it has to be", Packet { ttl: 1, ..right.clone() }),
        ("multicast and unicast do not fit", to(0)),
        ("multicast and unicast do not fit", to(1)),
        (VERSION, with(&|bytes| bytes[0] = 0x11)),
        (VERSION, with(&|bytes| bytes[0] = 0x41)),
        (VERSION, with(&|bytes| bytes[0] = 0xf1)),
        ("it is no advertisement", with(&|bytes| bytes[0] = 0x30)),
        ("it is no advertisement", with(&|bytes| bytes[0] = 0x3f)),
        ("its checksum is wrong", with(&|bytes| bytes[6] ^= 1)),
        ("its checksum is wrong", with(&|bytes| bytes[2] = 253)),
        ("its checksum is wrong", with(&|bytes| bytes[4] |= 0x10)),
        ("its checksum is wrong", with(&|bytes| bytes[11] ^= 1)),
        (LENGTH, with(&|bytes| bytes.truncate(11))),
        (LENGTH, with(&|bytes| bytes.truncate(8))),
        (LENGTH, with(&|bytes| bytes.truncate(3))),
        (LENGTH, with(&|bytes| bytes.push(0))),
        (LENGTH, with(&|bytes| bytes[3] = 0)),
        (LENGTH, with(&|bytes| bytes[3] = 255)),
    ];
    if over.stranger.is_ipv4() {
        all.push((LENGTH, with(&|bytes| bytes.resize(8000, 0x31))));
        all.push((LENGTH, with(&|bytes| bytes.resize(60_000, 0x31))));
        all.push(("it is of another VRRP version", over.said(&over.advert(Version::V2))));
    } else {
        all.push((LENGTH, with(&|bytes| bytes.resize(1400, 0x31))));
        // An address of the other family.
        all.push((LENGTH, with(&|bytes| bytes.truncate(12))));
        // Of a checksum that its sender's address is not part of.
        let elsewhere = Ipv6Addr::new(0xfd97, 0, 0, 0, 0, 0, 0, 0x100).into();
        all.push(("its checksum is wrong", Packet { from: elsewhere, ..right.clone() }));
        all.push((VERSION, over.said(&over.advert(Version::V2))));
    }
    all.sort_by_key(|(reason, _)| *reason);
    all
}

/// What is said to nobody here, and counts nowhere.
fn unheard(over: Over) -> Vec<Packet> {
    let other = |vrid| over.said(&Advert { vrid, ..over.advert(Version::V3) });
    let short = |length| Packet::new(over.stranger, vec![0x31; length]);
    vec![other(52), other(0), other(255), short(0), short(1), short(2)]
}

/// How many packets a router rejected for `reason`, or for any.
fn rejected(lab: &mut Lab, n: usize, reason: Option<&str>) -> u64 {
    let status = lab.routers[n].syncd().status_of_vrrp();
    let all = status["vrrp"][0]["rejected"].as_array().cloned().unwrap_or_default();
    let fits = |one: &&serde_json::Value| reason.is_none_or(|reason| one["reason"].as_str() == Some(reason));
    all.iter().filter(fits).filter_map(|one| one["count"].as_u64()).sum()
}

/// The states of both, how often they changed, and who has the address.
fn standing(lab: &mut Lab) -> Vec<String> {
    let of = |router: &mut Router| {
        let status = router.syncd().status_of_vrrp();
        format!(
            "{} after {} changes, {}",
            status["vrrp"][0]["state"],
            status["vrrp"][0]["transitions"],
            router.has(IPV4.vip) || router.has(IPV6.vip)
        )
    };
    lab.routers.iter_mut().map(of).collect()
}

/// How many lines of the log are about packets that do not count.
fn lines(lab: &Lab, n: usize) -> usize {
    lab.routers[n].log().lines().filter(|line| line.contains("does not count") || line.contains("also used")).count()
}

/// Sends each of `packets` three times, and waits each time until both have counted as many of each reason as came: the
/// long ones are as much as their queues hold.
fn all_counted(lab: &mut Lab, packets: &[(&'static str, Packet)]) {
    let injector = Injector::new(&lab.client, STRANGER);
    for times in 1..=3 {
        packets.iter().for_each(|(_, packet)| injector.send(packet));
        counted(lab, packets, times);
    }
}

/// Waits until both have counted as many of each reason as came, where each of `packets` came so many times.
fn counted(lab: &mut Lab, packets: &[(&'static str, Packet)], times: u64) {
    for n in [0, 1] {
        let own = [IPV4, IPV6].map(|over| over.own(lab, n));
        let heard = |packet: &Packet| packet.is_for_all() || own.contains(&packet.to);
        let mut reasons: Vec<&str> = packets.iter().map(|(reason, _)| *reason).collect();
        reasons.dedup();
        for reason in reasons {
            let sent = packets.iter().filter(|(of, packet)| *of == reason && heard(packet)).count() as u64 * times;
            let mut counted = 0;
            let all = wait_until(PATIENCE, || {
                counted = rejected(lab, n, Some(reason));
                counted == sent
            });
            assert!(all, "router {n} counted {counted} of {sent}: {reason}\n{}", lab.logs());
        }
    }
}

/// Sends everything that is malformed to a pair, which counts it all, says so seldom and does nothing else.
fn all_malformed(over: Over, from: &[&str]) {
    let mut lab = over.pair(STEADY);
    let before = standing(&mut lab);
    let injector = Injector::new(&lab.client, STRANGER);
    unheard(over).iter().for_each(|packet| injector.send(packet));
    let packets = malformed(over, &lab);
    all_counted(&mut lab, &packets);
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    for n in [0, 1] {
        let status = lab.routers[n].syncd().status_of_vrrp();
        let known = |one: &serde_json::Value| one["from"].as_str().is_some_and(|one| from.contains(&one));
        assert!(status["vrrp"][0]["rejected"].as_array().is_some_and(|all| all.iter().all(known)), "{status:#}");
        let reasons = status["vrrp"][0]["rejected"].as_array().map_or(0, Vec::len);
        let is_said = || lines(&lab, n) == reasons;
        assert!(wait_until(PATIENCE, is_said), "not a line for each of {reasons} reasons\n{}", lab.logs());
    }
}

#[test]
fn each_malformed_packet_is_counted_by_its_reason_and_moves_nothing() {
    if allowed("each_malformed_packet_is_counted_by_its_reason_and_moves_nothing") {
        all_malformed(IPV4, &["10.97.1.100"]);
    }
}

#[test]
fn each_malformed_packet_over_ipv6_is_counted_by_its_reason_and_moves_nothing() {
    if allowed("each_malformed_packet_over_ipv6_is_counted_by_its_reason_and_moves_nothing") {
        all_malformed(IPV6, &["fe80::100", "fd97::100"]);
    }
}

#[test]
fn version_2_of_another_password_type_or_interval_is_counted_and_moves_nothing() {
    if !allowed("version_2_of_another_password_type_or_interval_is_counted_and_moves_nothing") {
        return;
    }
    let mut lab = IPV4.pair("advert_int 1\n authentication {\n auth_type PASS\n auth_pass 1234\n }");
    let before = standing(&mut lab);
    let password = |text: &[u8; 4]| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(text);
        Auth::Pass(bytes)
    };
    let with = |auth| Advert { auth, ..IPV4.advert(Version::V2) };
    let packet = |advert: &Advert| IPV4.said(advert);
    let mut unknown = packet(&with(password(b"1234")));
    unknown.payload[4] = 2;
    let mut damaged = packet(&with(password(b"1234")));
    damaged.payload[7] ^= 0x80;
    let mut cut = packet(&with(password(b"1234")));
    cut.payload.truncate(12);
    let packets = [
        ("its password is another", packet(&with(password(b"1235")))),
        ("its authentication is of another type", packet(&with(Auth::None))),
        ("its authentication is of an unknown type", unknown),
        ("its advertisement interval is another", packet(&Advert { centiseconds: 200, ..with(password(b"1234")) })),
        ("its checksum is wrong", damaged),
        ("its length is not that of its addresses", cut),
        ("it is of another VRRP version", packet(&IPV4.advert(Version::V3))),
    ];
    all_counted(&mut lab, &packets);
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    let warned = lab.routers[0].syncd().status_of_vrrp()["vrrp"][0]["warnings"].to_string();
    assert!(warned.contains("VRID 51 is also used by 10.97.1.100"), "{warned}");
}

/// Waits until router 0 said ten more times that it is master.
fn ten_intervals(lab: &Lab, ear: &Ear) {
    // By its own hardware address: somebody else speaks in its name.
    let mac = lab.routers[0].mac();
    let heard = || {
        let frames = ear.frames();
        let said = frames.iter().filter_map(|frame| frames::read(&frame.bytes));
        said.filter(|said| said.mac == mac && said.priority() == Some(150)).count()
    };
    let so_far = heard();
    assert!(wait_until(PATIENCE, || heard() > so_far + 10), "{}", lab.logs());
}

/// Says what was said before, and says it in the name of those who hear it, where the senders are `of` the routers.
fn replayed(over: Over, of: impl Fn(&Lab, usize) -> IpAddr) {
    let mut lab = over.pair(STEADY);
    let before = standing(&mut lab);
    let injector = Injector::new(&lab.client, STRANGER);
    let said = |from: IpAddr, to: IpAddr, priority| {
        let bytes = encoded(&Advert { priority, ..over.advert(Version::V3) }, from, to);
        Packet { to, ..Packet::new(from, bytes) }
    };
    let [master, backup] = [0, 1].map(|n| of(&lab, n));
    let ear = Ear::new(&lab, 0);
    let all = over.group;
    // A priority that each of them once had, a lesser one of the other, and its own above all.
    for _ in 0..50 {
        let lesser = [(backup, 100), (backup, 1), (master, 100), (over.stranger, 99)];
        for packet in lesser.map(|(from, priority)| said(from, all, priority)) {
            injector.send(&packet);
        }
    }
    ten_intervals(&lab, &ear);
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    // Said in the name of whoever hears it: over IPv4 its kernel takes no packet from an address of its own.
    for (n, own) in [master, backup].into_iter().enumerate() {
        injector.send(&said(own, over.own(&lab, n), 254));
    }
    ten_intervals(&lab, &ear);
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    if over.stranger.is_ipv6() {
        let own = "its sender has this node's own address";
        let mut counted = [0; 2];
        let all = wait_until(PATIENCE, || {
            counted = [0, 1].map(|n| rejected(&mut lab, n, Some(own)));
            counted == [51, 101]
        });
        assert!(all, "{counted:?}\n{}", lab.logs());
    }
}

#[test]
fn what_was_said_before_and_what_seems_to_come_from_here_moves_nothing() {
    if allowed("what_was_said_before_and_what_seems_to_come_from_here_moves_nothing") {
        replayed(IPV4, |lab, n| lab.routers[n].address.into());
    }
}

#[test]
fn what_was_said_before_over_ipv6_and_what_seems_to_come_from_here_moves_nothing() {
    if allowed("what_was_said_before_over_ipv6_and_what_seems_to_come_from_here_moves_nothing") {
        replayed(IPV6, |lab, n| link_local(&lab.routers[n]).into());
    }
}

/// What a router sends from over IPv6: the address that its hardware address makes (RFC 4291).
fn link_local(router: &Router) -> Ipv6Addr {
    let [a, b, c, d, e, f] = router.mac();
    let half = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&half);
    octets.into()
}

/// Sends 10,000 short ones of `packets` a second, by many senders, until it is `over`. Those in pieces make the kernel
/// work, and not syncd.
fn flood(injector: &Injector, packets: &[Packet], over: &AtomicBool) {
    let mut next = Instant::now();
    for (n, packet) in packets.iter().filter(|packet| packet.payload.len() < 100).cycle().enumerate() {
        let last = u8::try_from(100 + n % 150).expect("a byte");
        injector.send(&Packet { from: [10, 97, 1, last].into(), ..packet.clone() });
        next += Duration::from_micros(100);
        if n % 10 == 0 {
            let now = Instant::now();
            std::thread::sleep(next.saturating_duration_since(now));
            // What a pause of the machine kept from being sent is not made up for: it would be more than this in a second.
            next = next.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
fn ten_thousand_packets_of_garbage_a_second_do_not_hold_up_the_master() {
    if !allowed("ten_thousand_packets_of_garbage_a_second_do_not_hold_up_the_master") {
        return;
    }
    let mut lab = IPV4.pair(STEADY);
    let before = standing(&mut lab);
    // One that nobody disturbs tells how many intervals have passed.
    let mut quiet = Lab::new(1);
    quiet.routers[0].start(Kind::Syncd, &IPV4.config(150, STEADY));
    quiet.wait_holder(IPV4.vip, 0);
    let [ear, metronome] = [Ear::new(&lab, 0), Ear::new(&quiet, 0)];
    let master = lab.routers[0].address;
    let over = AtomicBool::new(false);
    let injector = Injector::new(&lab.client, STRANGER);
    let packets: Vec<Packet> = malformed(IPV4, &lab).into_iter().map(|(_, packet)| packet).collect();
    let (from, to) = std::thread::scope(|scope| {
        scope.spawn(|| flood(&injector, &packets, &over));
        let flooded = wait_until(PATIENCE, || rejected(&mut lab, 0, None) > 1000);
        let from = SystemTime::now();
        let passed = || metronome.adverts_since(master, from) >= 10;
        let all = flooded && wait_until(PATIENCE * 2, || passed() && rejected(&mut lab, 0, None) > 40_000);
        let to = SystemTime::now();
        over.store(true, Ordering::Relaxed);
        assert!(all, "the garbage does not arrive\n{}", lab.logs());
        (from, to)
    });
    // Whoever hears it may be late, and hears each in its turn.
    let caught_up = || [&ear, &metronome].iter().all(|ear| ear.adverts_since(master, to) > 0);
    assert!(wait_until(PATIENCE, caught_up), "{}", lab.logs());
    let [heard, passed] = [&ear, &metronome].map(|ear| ear.adverts_since(master, from) - ear.adverts_since(master, to));
    assert!(passed >= 10, "only {passed} intervals");
    // One more or less, as the two began.
    assert!((heard + 1) * 8 >= passed * 7, "{heard} adverts in {passed} intervals\n{}", lab.logs());
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    assert!(lines(&lab, 0) < 100, "{} lines for 40,000 packets", lines(&lab, 0));
    let kept = lab.routers[0].syncd().status_of_vrrp()["vrrp"][0]["rejected"].as_array().map_or(0, Vec::len);
    assert!(kept < 100, "{kept} senders are remembered");
}
