//! What keepalived 2.2.7 does wrong, shown in a lab in which syncd does it right.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::process::{Signal, kill_process};
use syncd::vrrp::packet::{Advert, Auth, Path, Version};

use crate::bed::{FAST, STEADY, VIP, instance, plain, wait_backup};
use crate::support::ear::Frame;
use crate::support::frames;
use crate::support::injector::{GROUP, GROUP6, Injector, Packet};
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, Router, with_keepalived};

/// Who sends what is rejected: the client.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 97, 1, 100);

const BOTH: [Kind; 2] = [Kind::Syncd, Kind::Keepalived];

/// Does `work` with each kind at the same time, and gives what came of it: syncd first.
fn with_each<T: Send>(work: impl Fn(Kind) -> T + Sync) -> [T; 2] {
    std::thread::scope(|scope| {
        let running = BOTH.map(|kind| {
            let work = &work;
            scope.spawn(move || work(kind))
        });
        running.map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Two routers of `kind`, started one after the other; the first is master, and has `vip`.
fn one_after_the_other(kind: Kind, vip: &str, configs: &[String; 2]) -> Lab {
    let mut lab = Lab::new(2);
    for (n, config) in configs.iter().enumerate() {
        lab.routers[n].start(kind, config);
        wait_backup(&lab.routers[n]);
        lab.wait_holder(vip, 0);
    }
    lab
}

/// How often a router became master, as its log says.
fn takeovers(router: &Router) -> usize {
    let log = router.log();
    log.matches("BACKUP -> MASTER").count() + log.matches("Entering MASTER STATE").count()
}

/// Waits until `ear` has heard `more` further advertisements of router `n`.
fn wait_adverts(lab: &Lab, ear: &Ear, n: usize, more: usize) {
    let from = lab.routers[n].address;
    let goal = ear.adverts(from).len() + more;
    assert!(wait_until(PATIENCE, || ear.adverts(from).len() >= goal), "router {n} is silent\n{}", lab.logs());
}

/// Whether `frame` is one in which the owner of `mac` tells neighbours where `ip` is.
fn announces(frame: &Frame, mac: [u8; 6], ip: &str) -> bool {
    let said = frames::read(&frame.bytes);
    said.is_some_and(|said| said.mac == mac && said.announced().is_some_and(|of| of.to_string() == ip))
}

/// How often `router` said that it is master, and not that it leaves.
fn said(ear: &Ear, router: &Router) -> usize {
    let mac = router.mac();
    let frames = ear.frames();
    let own = frames.iter().filter_map(|frame| frames::read(&frame.bytes)).filter(|said| said.mac == mac);
    own.filter(|said| said.priority().is_some_and(|priority| priority > 0)).count()
}

/// Sends `packet` to a pair of each kind until keepalived's backup has taken over twice from a master that is well.
/// syncd's pair, which gets the same packets, does not move and counts them.
fn sent_to_both(config: &dyn Fn(u8) -> String, vip: &str, packet: &Packet) {
    let configs = [config(150), config(100)];
    let [mut ours, theirs] = with_each(|kind| one_after_the_other(kind, vip, &configs));
    let ear = Ear::new(&ours, 0);
    let injectors = [&ours, &theirs].map(|lab| Injector::new(&lab.client, STRANGER));
    let mut sent: u64 = 0;
    let moved = wait_until(PATIENCE, || {
        injectors.iter().for_each(|injector| injector.send(packet));
        sent += 1;
        takeovers(&theirs.routers[1]) >= 2
    });
    assert!(moved, "keepalived is better than it was: {packet:?}\n{}", theirs.logs());
    assert_eq!(takeovers(&ours.routers[1]), 0, "{}", ours.logs());
    assert_eq!(ours.holders(vip), [0]);
    // It spoke at its times, of which keepalived's backup let more than six pass.
    let adverts = said(&ear, &ours.routers[0]);
    assert!(adverts >= 4, "{adverts} advertisements\n{}", ours.logs());
    for router in &mut ours.routers {
        let counted = |status: &serde_json::Value| status["vrrp"][0]["rejected"][0]["count"].as_u64() > Some(sent / 2);
        router.syncd().wait_status(PATIENCE, "counting what it rejects", counted);
    }
}

/// Does each of these at the same time: they mostly wait.
fn together<const N: usize>(all: [&(dyn Fn() + Sync); N]) {
    std::thread::scope(|scope| {
        let running = all.map(|one| scope.spawn(one));
        running.into_iter().for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
}

#[test]
fn rejected_packets_silence_a_master_that_is_keepalived_and_no_other() {
    if !with_keepalived("rejected_packets_silence_a_master_that_is_keepalived_and_no_other") {
        return;
    }
    let packet = |password: &[u8; 8], vip: &str| {
        let (addresses, auth) = (vec![vip.parse().expect("an address")], Auth::Pass(*password));
        let advert = Advert { version: Version::V2, vrid: 51, priority: 200, centiseconds: 100, auth, addresses };
        Packet::new(STRANGER, advert.encode(Path::V4(STRANGER, GROUP)))
    };
    // Another cluster's, and one that was damaged on its way.
    let foreign = packet(b"4321\0\0\0\0", "10.97.1.60");
    let mut damaged = packet(b"1234\0\0\0\0", VIP);
    damaged.payload[7] ^= 1;
    let auth = "advert_int 1\n authentication {\n auth_type PASS\n auth_pass 1234\n }";
    let config = |priority| plain(priority, auth);
    together([&|| sent_to_both(&config, VIP, &foreign), &|| sent_to_both(&config, VIP, &damaged)]);
}

#[test]
fn rejected_packets_over_ipv6_silence_a_master_that_is_keepalived_and_no_other() {
    if !with_keepalived("rejected_packets_over_ipv6_silence_a_master_that_is_keepalived_and_no_other") {
        return;
    }
    let (from, vip) = (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100), "fe80::97");
    let (addresses, auth) = (vec![vip.parse().expect("an address")], Auth::None);
    let advert = Advert { version: Version::V3, vrid: 56, priority: 200, centiseconds: 100, auth, addresses };
    // It passed a router.
    let routed = Packet { ttl: 254, ..Packet::new(from, advert.encode(Path::V6(from, GROUP6))) };
    let config = |priority| instance("VI_6", "eth0", 56, priority, "advert_int 1", &format!("{vip}/64"));
    sent_to_both(&config, vip, &routed);
}

/// keepalived 2.2.7 rejects an advertisement with other addresses than its own.
#[test]
fn an_address_that_is_added_node_by_node_makes_two_masters_of_keepalived() {
    if !with_keepalived("an_address_that_is_added_node_by_node_makes_two_masters_of_keepalived") {
        return;
    }
    let second = "10.97.1.51";
    let configs = [plain(150, STEADY), plain(100, STEADY)];
    let [ours, theirs] = with_each(|kind| one_after_the_other(kind, VIP, &configs));
    let ear = Ear::new(&ours, 0);
    for lab in [&ours, &theirs] {
        let more = instance("VI_1", "eth0", 51, 150, STEADY, &format!("{VIP}/24\n {second}/24"));
        lab.routers[0].write(&more);
        lab.routers[0].reload();
        lab.wait_holder(second, 0);
    }
    assert!(wait_until(PATIENCE, || theirs.holders(VIP) == [0, 1]), "keepalived is better than it was");
    wait_adverts(&ours, &ear, 0, 10);
    assert_eq!([ours.holders(VIP), ours.holders(second)], [[0], [0]], "{}", ours.logs());
    assert_eq!(takeovers(&ours.routers[1]), 0, "{}", ours.logs());
}

/// keepalived waits for a second with nothing left to do.
#[test]
fn syncd_has_ended_while_keepalived_still_waits() {
    if !with_keepalived("syncd_has_ended_while_keepalived_still_waits") {
        return;
    }
    let first = || {
        let mut lab = Lab::new(2);
        for (n, vip) in [VIP, "10.97.1.60"].into_iter().enumerate() {
            let vrid = 51 + u8::try_from(n).expect("two");
            lab.routers[n].start(BOTH[n], &instance("VI_1", "eth0", vrid, 150, FAST, &format!("{vip}/24")));
            lab.wait_holder(vip, n);
        }
        // keepalived is asked first.
        lab.routers[1].signal(Signal::TERM);
        lab.routers[0].signal(Signal::TERM);
        let ended = wait_until(PATIENCE, || !(lab.routers[0].runs() && lab.routers[1].runs()));
        assert!(ended, "{}", lab.logs());
        lab.routers[1].runs()
    };
    // A machine may be so busy that it is later once.
    assert!((0..5).any(|_| first()), "it waits as long as keepalived");
}

/// keepalived is without it for its skew, here a second: it leaves, and takes over from nobody.
#[test]
fn an_address_that_is_deleted_by_hand_costs_keepalived_a_whole_skew() {
    if !with_keepalived("an_address_that_is_deleted_by_hand_costs_keepalived_a_whole_skew") {
        return;
    }
    let slow = "version 3\n advert_int 1\n garp_master_delay 1";
    let vips = [VIP, "10.97.1.60"];
    let mut lab = Lab::new(2);
    for (n, vip) in vips.into_iter().enumerate() {
        let vrid = 51 + u8::try_from(n).expect("two");
        lab.routers[n].start(BOTH[n], &instance("VI_1", "eth0", vrid, 1, slow, &format!("{vip}/24")));
    }
    let ears = [0, 1].map(|n| Ear::new(&lab, n));
    let announced = |n: usize| {
        let frames = ears[n].frames();
        let mac = lab.routers[n].mac();
        frames.into_iter().filter(|frame| announces(frame, mac, vips[n])).collect::<Vec<_>>()
    };
    // When it became master, and a second later.
    let settled = wait_until(PATIENCE, || [0, 1].iter().all(|n| announced(*n).len() >= 10));
    assert!(settled, "{}", lab.logs());
    for n in [1, 0] {
        lab.routers[n].host.ip(&format!("addr del {}/24 dev eth0", vips[n]));
    }
    assert!(wait_until(PATIENCE, || [0, 1].iter().all(|n| announced(*n).len() > 10)), "{}", lab.logs());
    let back = [0, 1].map(|n| announced(n)[10].came);
    assert!(back[0] < back[1], "keepalived, which was first to lose it, was first to have it back\n{}", lab.logs());
    let left = [0, 1].map(|n| ears[n].adverts(lab.routers[n].address).iter().any(|(_, bytes)| bytes[2] == 0));
    assert_eq!(left, [false, true], "who said that it leaves\n{}", lab.logs());
    assert_eq!(vips.map(|vip| lab.holders(vip)), [[0], [1]]);
}

/// keepalived's new process takes the address away and waits as a backup does. The other one is better and may only
/// take over from nobody: it waits for three intervals and a little, and the new process for almost four.
#[test]
fn a_vrrp_process_that_is_killed_costs_keepalived_the_address() {
    if !with_keepalived("a_vrrp_process_that_is_killed_costs_keepalived_the_address") {
        return;
    }
    let interval = "version 3\n advert_int 1";
    let configs = [plain(1, interval), plain(254, &format!("{interval}\n nopreempt"))];
    with_each(|kind| {
        let lab = one_after_the_other(kind, VIP, &configs);
        let ear = Ear::new(&lab, 0);
        // The other one has heard of it.
        wait_adverts(&lab, &ear, 0, 2);
        let process = *lab.routers[0].processes().get(1).expect("a VRRP process");
        kill_process(process, Signal::KILL).expect("it runs");
        if kind == Kind::Keepalived {
            lab.wait_holder(VIP, 1);
            return;
        }
        wait_adverts(&lab, &ear, 0, 6);
        assert_eq!(lab.holders(VIP), [0]);
        assert_eq!(takeovers(&lab.routers[1]), 0, "{}", lab.logs());
        assert!(lab.routers[0].processes().get(1).is_some_and(|new| *new != process), "it was not killed");
    });
}

/// With syncd the address is a lease.
#[test]
fn an_address_stays_where_keepalived_was_killed_and_goes_where_syncd_was() {
    if !with_keepalived("an_address_stays_where_keepalived_was_killed_and_goes_where_syncd_was") {
        return;
    }
    let configs = [plain(150, FAST), plain(100, FAST)];
    let [mut ours, mut theirs] = with_each(|kind| one_after_the_other(kind, VIP, &configs));
    theirs.routers[0].kill_all();
    ours.routers[0].kill_all();
    ours.wait_holder(VIP, 1);
    let ear = Ear::new(&theirs, 1);
    wait_adverts(&theirs, &ear, 1, 20);
    assert_eq!(theirs.holders(VIP), [0, 1], "keepalived is better than it was");
}

/// Heals a network of which the better half speaks first, and says whether the one that stays master tells where the
/// address is.
///
/// The lesser one speaks as it takes over, and then only each tenth second: what it hears first after the healing is the
/// better one.
fn told_after_healing(kinds: [Kind; 2]) -> bool {
    let mut lab = Lab::new(2);
    let config =
        |priority, interval: &str| plain(priority, &format!("version 3\n advert_int {interval}\n garp_master_delay 1"));
    lab.routers[0].start(kinds[0], &config(150, "0.5"));
    lab.wait_holder(VIP, 0);
    let [mac, lesser] = [0, 1].map(|n| lab.routers[n].mac());
    let ear = Ear::new(&lab, 0);
    lab.routers[1].start(kinds[1], &config(100, "10"));
    wait_backup(&lab.routers[1]);
    // Long enough for its second announcement to be over, and for the other one to know it.
    wait_adverts(&lab, &ear, 0, 5);
    lab.partition(0);
    assert!(wait_until(PATIENCE, || lab.holders(VIP) == [0, 1]), "{}", lab.logs());
    let heard = || ear.frames().iter().filter(|frame| announces(frame, lesser, VIP)).count();
    assert!(wait_until(PATIENCE, || heard() >= 10), "{}", lab.logs());
    let ear = Ear::new(&lab, 0);
    lab.heal();
    lab.wait_holder(VIP, 0);
    wait_adverts(&lab, &ear, 0, 4);
    ear.frames().iter().any(|frame| announces(frame, mac, VIP))
}

/// keepalived: nobody tells, and neighbours go on with the one that has the address no longer.
#[test]
fn a_lesser_master_that_is_keepalived_leaves_without_a_word_and_a_syncd_says_so() {
    if !with_keepalived("a_lesser_master_that_is_keepalived_leaves_without_a_word_and_a_syncd_says_so") {
        return;
    }
    let silent = || {
        let [ours, theirs] = with_each(|kind| told_after_healing([kind, kind]));
        assert!(ours, "the one that stays did not tell where the address is");
        !theirs
    };
    // Where a machine is so busy that one takes over falsely, keepalived tells for that reason.
    assert!((0..4).any(|_| silent()), "keepalived is better than it was");
    // The one that leaves makes it so, also beside a keepalived.
    assert!(told_after_healing([Kind::Keepalived, Kind::Syncd]), "keepalived was not made to tell");
}
