//! Rights and scheduling of the process.

use syncd::net::address::Placed;
use syncd::net::advert::AdvertSocket;
use syncd::net::announce::Announcer;
use syncd::net::netlink::Netlink;
use syncd::net::{realtime, rights};
use syncd::vrrp::setup::{Family, Scheduling};

use crate::bed::{address, link, pair};
use crate::support::namespace::allowed;

#[test]
fn rights_that_are_not_needed_are_given_up_and_missing_ones_are_said() {
    const TEST: &str = "rights_that_are_not_needed_are_given_up_and_missing_ones_are_said";
    if !allowed(TEST) {
        return;
    }
    let (host, _other) = pair();
    host.run(|| {
        rights::check().expect("root has them");
        rights::drop_others(false).expect("dropped");
        rights::check().expect("those are left");
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
        for set in ["CapInh:\t0000000000000000", "CapPrm:\t0000000000003000", "CapEff:\t0000000000003000"] {
            assert!(status.contains(set), "{set} is not in\n{status}");
        }
        assert!(status.contains("CapBnd:\t0000000000003000"), "{status}");
        let mut netlink = Netlink::open().expect("netlink");
        let eth0 = link(&mut netlink, "eth0");
        let wanted = address("10.97.1.50/24");
        netlink.put_addresses(&[Placed::on(&eth0, &wanted)], None).remove(0).expect("still allowed");
        AdvertSocket::multicast(eth0.index, "eth0", Family::V4).expect("still allowed");
        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).expect("dropped");
        assert_eq!(rights::check().expect_err("none left").missing, ["CAP_NET_ADMIN", "CAP_NET_RAW"]);
        let error = netlink.put_addresses(&[Placed::on(&eth0, &address("10.97.1.51/24"))], None).remove(0);
        let error = error.expect_err("not allowed");
        assert!(error.is_not_permitted());
        assert_eq!(error.to_string(), "10.97.1.51/24 cannot be put on eth0: Operation not permitted");
        let error = AdvertSocket::multicast(eth0.index, "eth0", Family::V4).expect_err("not allowed");
        assert_eq!(error.to_string(), "a socket for VRRP cannot be made on eth0: Operation not permitted");
        let error = Announcer::open().expect_err("not allowed");
        assert_eq!(error.to_string(), "a packet socket cannot be made: Operation not permitted");
    });
}

#[test]
fn scheduling_is_as_asked_for_or_said_to_be_refused() {
    const TEST: &str = "scheduling_is_as_asked_for_or_said_to_be_refused";
    if !crate::support::skip::am_root(TEST) {
        return;
    }
    let asked = Scheduling { realtime: Some(3), realtime_limit: Some(500_000), nice: -3, no_swap: true };
    let (failed, stat, limits, status) = std::thread::spawn(move || {
        let failed = realtime::apply(&asked);
        let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/{name}")).expect("proc");
        let seen = (read("stat"), read("limits"), read("status"));
        rustix::mm::munlockall().expect("unlocked");
        (failed, seen.0, seen.1, seen.2)
    })
    .join()
    .expect("no panic");
    // The fields behind the name, from the third on: 18 priority, 19 nice, 40 real-time priority, 41 policy.
    let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let refused = failed.iter().any(|error| error.to_string().starts_with("real-time priority 3 cannot be had: "));
    let policy = fields[41 - 3].parse::<i32>().expect("a number") & 0xff;
    assert_eq!((fields[40 - 3], policy), if refused { ("0", 0) } else { ("3", libc::SCHED_RR) }, "{failed:?}");
    assert_eq!(fields[19 - 3], "-3");
    assert!(limits.lines().any(|line| line.starts_with("Max realtime timeout") && line.contains(" 500000 ")));
    assert!(!status.contains("VmLck:\t       0 kB"), "{status}");
    assert_eq!(failed.len(), usize::from(refused), "{failed:?}");
}
