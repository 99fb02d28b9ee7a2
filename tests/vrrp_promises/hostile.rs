//! Packets that somebody crafts: each is counted by its reason and its sender, the log hears of it seldom, and
//! nothing moves.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use syncd::vrrp::packet::{Advert, Auth, Path, Version};

use crate::support::injector::{GROUP, Injector, Packet};
use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE};

const VIP: &str = "10.97.1.50";

/// The address of whoever sends all this.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 97, 1, 100);

fn config(priority: u8, more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n {more}\n \
         virtual_ipaddress {{\n {VIP}/24\n }}\n}}\n"
    )
}

/// Slow enough that nobody takes over falsely on a busy machine.
const STEADY: &str = "version 3\n advert_int 0.2";

fn pair(more: &str) -> Lab {
    let mut lab = Lab::new(2);
    lab.routers[0].start(Kind::Syncd, &config(150, more));
    lab.routers[1].start(Kind::Syncd, &config(100, more));
    lab.wait_holder(VIP, 0);
    lab
}

/// An advertisement that would take over if it counted.
fn advert(version: Version) -> Advert {
    let centiseconds = if version == Version::V2 { 100 } else { 20 };
    let addresses = vec![VIP.parse().expect("an address")];
    Advert { version, vrid: 51, priority: 254, centiseconds, auth: Auth::None, addresses }
}

fn bytes(advert: &Advert) -> Vec<u8> {
    advert.encode(Path::V4(STRANGER, GROUP))
}

/// What is wrong with version 3, and the packet.
fn malformed() -> Vec<(&'static str, Packet)> {
    let right = bytes(&advert(Version::V3));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = right.clone();
        change(&mut bytes);
        Packet::new(STRANGER, bytes)
    };
    let to = |to: Ipv4Addr| {
        let payload = advert(Version::V3).encode(Path::V4(STRANGER, to));
        Packet { to: to.into(), ..Packet::new(STRANGER, payload) }
    };
    const LENGTH: &str = "its length is not that of its addresses";
    const VERSION: &str = "its version is unknown";
    vec![
        ("its TTL is not what it has to be", Packet { ttl: 254, ..with(&|_| {}) }),
        ("its TTL is not what it has to be", Packet { ttl: 1, ..with(&|_| {}) }),
        ("multicast and unicast do not fit", to(Ipv4Addr::new(10, 97, 1, 11))),
        ("multicast and unicast do not fit", to(Ipv4Addr::new(10, 97, 1, 12))),
        ("it is of another VRRP version", Packet::new(STRANGER, bytes(&advert(Version::V2)))),
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
        (LENGTH, with(&|bytes| bytes.resize(8000, 0x31))),
        (LENGTH, with(&|bytes| bytes.resize(60_000, 0x31))),
    ]
}

/// What is said to nobody here, and counts nowhere.
fn unheard() -> Vec<Packet> {
    let other = |vrid| Packet::new(STRANGER, bytes(&Advert { vrid, ..advert(Version::V3) }));
    let short = |length| Packet::new(STRANGER, vec![0x31; length]);
    vec![other(52), other(0), other(255), short(0), short(1), short(2)]
}

/// How many packets a router rejected for `reason`, or for any.
fn rejected(lab: &mut Lab, n: usize, reason: Option<&str>) -> u64 {
    let status = lab.routers[n].syncd().status();
    let all = status["vrrp"][0]["rejected"].as_array().cloned().unwrap_or_default();
    let fits = |one: &&serde_json::Value| reason.is_none_or(|reason| one["reason"].as_str() == Some(reason));
    all.iter().filter(fits).filter_map(|one| one["count"].as_u64()).sum()
}

/// The states of both, how often they changed, and who has the address.
fn standing(lab: &mut Lab) -> Vec<String> {
    let of = |router: &mut crate::support::vrrp::Router| {
        let status = router.syncd().status();
        format!(
            "{} after {} changes, {}",
            status["vrrp"][0]["state"],
            status["vrrp"][0]["transitions"],
            router.has(VIP)
        )
    };
    lab.routers.iter_mut().map(of).collect()
}

/// How many lines of the log are about packets that do not count.
fn lines(lab: &Lab, n: usize) -> usize {
    lab.routers[n].log().lines().filter(|line| line.contains("does not count") || line.contains("also used")).count()
}

/// Sends each of `packets` three times, and waits until both have counted as many of each reason as came.
fn all_counted(lab: &mut Lab, packets: &[(&'static str, Packet)]) {
    let injector = Injector::new(&lab.client, STRANGER);
    for _ in 0..3 {
        packets.iter().for_each(|(_, packet)| injector.send(packet));
    }
    for n in [0, 1] {
        let own = lab.routers[n].address;
        let heard = |packet: &Packet| packet.to == GROUP || packet.to == own;
        let mut reasons: Vec<&str> = packets.iter().map(|(reason, _)| *reason).collect();
        reasons.dedup();
        for reason in reasons {
            let sent = packets.iter().filter(|(of, packet)| *of == reason && heard(packet)).count() as u64 * 3;
            let mut counted = 0;
            let all = wait_until(PATIENCE, || {
                counted = rejected(lab, n, Some(reason));
                counted == sent
            });
            assert!(all, "router {n} counted {counted} of {sent}: {reason}\n{}", lab.logs());
        }
    }
}

#[test]
fn each_malformed_packet_is_counted_by_its_reason_and_moves_nothing() {
    if !allowed("each_malformed_packet_is_counted_by_its_reason_and_moves_nothing") {
        return;
    }
    let mut lab = pair(STEADY);
    let before = standing(&mut lab);
    let injector = Injector::new(&lab.client, STRANGER);
    unheard().iter().for_each(|packet| injector.send(packet));
    all_counted(&mut lab, &malformed());
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    for n in [0, 1] {
        let status = lab.routers[n].syncd().status();
        let from = |one: &serde_json::Value| one["from"].as_str() == Some("10.97.1.100");
        assert!(status["vrrp"][0]["rejected"].as_array().is_some_and(|all| all.iter().all(from)), "{status:#}");
        let reasons = status["vrrp"][0]["rejected"].as_array().map_or(0, Vec::len);
        assert_eq!(lines(&lab, n), reasons, "a line for each reason\n{}", lab.logs());
    }
}

#[test]
fn version_2_of_another_password_type_or_interval_is_counted_and_moves_nothing() {
    if !allowed("version_2_of_another_password_type_or_interval_is_counted_and_moves_nothing") {
        return;
    }
    let mut lab = pair("advert_int 1\n authentication {\n auth_type PASS\n auth_pass 1234\n }");
    let before = standing(&mut lab);
    let password = |text: &[u8; 4]| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(text);
        Auth::Pass(bytes)
    };
    let with = |auth| Advert { auth, ..advert(Version::V2) };
    let packet = |advert: &Advert| Packet::new(STRANGER, bytes(advert));
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
        ("it is of another VRRP version", packet(&advert(Version::V3))),
    ];
    all_counted(&mut lab, &packets);
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    let warned = lab.routers[0].syncd().status()["vrrp"][0]["warnings"].to_string();
    assert!(warned.contains("VRID 51 is also used by 10.97.1.100"), "{warned}");
}

#[test]
fn what_was_said_before_and_what_seems_to_come_from_here_moves_nothing() {
    if !allowed("what_was_said_before_and_what_seems_to_come_from_here_moves_nothing") {
        return;
    }
    let mut lab = pair(STEADY);
    let before = standing(&mut lab);
    let injector = Injector::new(&lab.client, STRANGER);
    let said = |from: Ipv4Addr, priority| {
        let bytes = Advert { priority, ..advert(Version::V3) }.encode(Path::V4(from, GROUP));
        Packet::new(from, bytes)
    };
    let [master, backup] = [0, 1].map(|n| lab.routers[n].address);
    let ear = Ear::new(&lab, 0);
    // A priority that each of them once had, a lesser one of the other, and its own above all.
    for _ in 0..50 {
        for packet in [said(backup, 100), said(backup, 1), said(master, 100), said(STRANGER, 99)] {
            injector.send(&packet);
        }
    }
    let heard = || ear.adverts(master).iter().filter(|(_, bytes)| bytes[2] == 150).count();
    let so_far = heard();
    assert!(wait_until(PATIENCE, || heard() > so_far + 10), "{}", lab.logs());
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    // Said in the name of whoever hears it: its kernel takes no packet from an address of its own.
    injector.send(&Packet { to: master.into(), ..said(master, 254) });
    injector.send(&Packet { to: backup.into(), ..said(backup, 254) });
    let so_far = heard();
    assert!(wait_until(PATIENCE, || heard() > so_far + 10), "{}", lab.logs());
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
}

#[test]
fn ten_thousand_packets_of_garbage_a_second_do_not_hold_up_the_master() {
    if !allowed("ten_thousand_packets_of_garbage_a_second_do_not_hold_up_the_master") {
        return;
    }
    let mut lab = pair(STEADY);
    let before = standing(&mut lab);
    // One that nobody disturbs tells how many intervals have passed.
    let mut quiet = Lab::new(1);
    quiet.routers[0].start(Kind::Syncd, &config(150, STEADY));
    quiet.wait_holder(VIP, 0);
    let [ear, metronome] = [Ear::new(&lab, 0), Ear::new(&quiet, 0)];
    let master = lab.routers[0].address;
    let over = AtomicBool::new(false);
    let injector = Injector::new(&lab.client, STRANGER);
    let packets: Vec<Packet> = malformed().into_iter().map(|(_, packet)| packet).collect();
    let (heard, passed) = std::thread::scope(|scope| {
        let flood = || {
            let mut next = Instant::now();
            // Short ones: those in pieces make the kernel work, and not syncd.
            for (n, packet) in packets.iter().filter(|packet| packet.payload.len() < 100).cycle().enumerate() {
                let last = u8::try_from(100 + n % 150).expect("a byte");
                injector.send(&Packet { from: [10, 97, 1, last].into(), ..packet.clone() });
                next += Duration::from_micros(100);
                if n % 10 == 0 {
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        };
        scope.spawn(flood);
        let flooded = wait_until(PATIENCE, || rejected(&mut lab, 0, None) > 1000);
        let from = (ear.adverts(master).len(), metronome.adverts(master).len());
        let all = flooded && wait_until(PATIENCE, || rejected(&mut lab, 0, None) > 40_000);
        let to = (ear.adverts(master).len(), metronome.adverts(master).len());
        over.store(true, Ordering::Relaxed);
        assert!(all, "the garbage does not arrive\n{}", lab.logs());
        (to.0 - from.0, to.1 - from.1)
    });
    assert!(passed >= 10, "only {passed} intervals");
    // One more or less, as the two began.
    assert!((heard + 1) * 8 >= passed * 7, "{heard} adverts in {passed} intervals\n{}", lab.logs());
    assert_eq!(standing(&mut lab), before, "{}", lab.logs());
    assert!(lines(&lab, 0) < 100, "{} lines for 40,000 packets", lines(&lab, 0));
    let kept = lab.routers[0].syncd().status()["vrrp"][0]["rejected"].as_array().map_or(0, Vec::len);
    assert!(kept < 100, "{kept} senders are remembered");
}
