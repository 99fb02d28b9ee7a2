//! Virtual addresses between two that run syncd: through crashes of its processes, partitions, and interfaces that
//! change. `vrrp_interop` has the same beside the real keepalived.

mod support;

use rustix::process::{Signal, kill_process};
use support::node::wait_until;
use support::vrrp::{Ear, Frame, Kind, Lab, PATIENCE, Probe, V2, VIP, config};

const FAST: &str = "    version 3\n    advert_int 0.1";

/// Starts both and waits until the first holds the address.
fn pair(kinds: [Kind; 2], globals: &str, more: &str) -> Lab {
    let mut lab = Lab::new(2);
    let [high, low] = kinds;
    lab.routers[0].start(high, &config(150, globals, more));
    lab.routers[1].start(low, &config(100, globals, more));
    lab.wait_holder(VIP, 0);
    lab
}

/// keepalived is without the address for 0.4 s.
#[test]
fn an_address_that_is_deleted_by_hand_is_back_at_once() {
    if !support::namespace::allowed("an_address_that_is_deleted_by_hand_is_back_at_once") {
        return;
    }
    let lab = pair([Kind::Syncd, Kind::Syncd], "", V2);
    lab.routers[0].host.ip(&format!("addr del {VIP}/24 dev eth0"));
    lab.wait_holder(VIP, 0);
    let told = || lab.routers[0].log().contains("was taken away from eth0 by somebody else");
    assert!(wait_until(PATIENCE, told), "{}", lab.logs());
    assert_eq!(lab.holders(VIP), [0]);
    assert!(!lab.routers[1].log().contains("MASTER"), "{}", lab.logs());
}

#[test]
fn a_killed_vrrp_process_goes_on_and_the_second_time_gives_up() {
    if !support::namespace::allowed("a_killed_vrrp_process_goes_on_and_the_second_time_gives_up") {
        return;
    }
    let lab = pair([Kind::Syncd, Kind::Syncd], "", V2);
    let kill = || {
        let processes = lab.routers[0].processes();
        kill_process(processes[1], Signal::KILL).expect("it runs");
        assert!(wait_until(PATIENCE, || lab.routers[0].processes().get(1).is_some_and(|pid| *pid != processes[1])));
    };
    kill();
    let goes_on = "VI_1: INIT -> MASTER (it goes on where the process before it ended)";
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains(goes_on)), "{}", lab.logs());
    assert_eq!(lab.holders(VIP), [0]);
    assert!(!lab.routers[1].log().contains("MASTER"), "{}", lab.logs());
    kill();
    lab.wait_holder(VIP, 1);
    // It is the better one still, and takes over again once it has lived for a while.
    lab.wait_holder(VIP, 0);
}

#[test]
fn when_the_supervisor_is_killed_the_addresses_are_given_up_politely() {
    if !support::namespace::allowed("when_the_supervisor_is_killed_the_addresses_are_given_up_politely") {
        return;
    }
    let mut lab = pair([Kind::Syncd, Kind::Syncd], "", V2);
    let ear = Ear::new(&lab, 0);
    lab.routers[0].syncd().kill9();
    lab.wait_holder(VIP, 1);
    let from = lab.routers[0].address;
    let left = || ear.adverts(from).iter().any(|(_, bytes)| bytes[2] == 0);
    assert!(wait_until(PATIENCE, left), "it did not say that it leaves");
}

/// keepalived leaves the address where it was.
#[test]
fn when_everything_is_stopped_at_once_the_kernel_takes_the_address_away() {
    if !support::namespace::allowed("when_everything_is_stopped_at_once_the_kernel_takes_the_address_away") {
        return;
    }
    let lab = pair([Kind::Syncd, Kind::Syncd], "", V2);
    let all = lab.routers[0].processes();
    for pid in &all {
        kill_process(*pid, Signal::STOP).expect("it runs");
    }
    lab.wait_holder(VIP, 1);
    for pid in &all {
        kill_process(*pid, Signal::CONT).expect("it runs");
    }
    // The better one again, and never both for long.
    lab.wait_holder(VIP, 0);
}

/// keepalived: the client is without an answer for up to 4.9 s in a third of all cases.
#[test]
fn after_a_partition_the_client_is_answered_by_the_one_that_stays() {
    if !support::namespace::allowed("after_a_partition_the_client_is_answered_by_the_one_that_stays") {
        return;
    }
    let lab = pair([Kind::Syncd, Kind::Syncd], "", FAST);
    let probe = Probe::new(&lab, VIP);
    let mac = lab.routers[0].mac();
    for _ in 0..5 {
        lab.partition(0);
        assert!(wait_until(PATIENCE, || lab.holders(VIP) == [0, 1]), "{}", lab.logs());
        let ear = Ear::new(&lab, 0);
        lab.heal();
        lab.wait_holder(VIP, 0);
        let vip = VIP.parse().expect("an address");
        // The port carries what the other one says as well.
        let own = |frame: &Frame| frame.bytes.get(6..12) == Some(&mac[..]);
        let announced = || ear.find(|frame| own(frame) && frame.gratuitous_arp() == Some(vip)).is_some();
        assert!(wait_until(PATIENCE, announced), "the one that stays did not announce the address\n{}", lab.logs());
        probe.wait(20);
    }
}

/// keepalived: four false takeovers in fifteen seconds.
#[test]
fn a_stranger_with_the_same_identifier_moves_nothing_and_is_named() {
    if !support::namespace::allowed("a_stranger_with_the_same_identifier_moves_nothing_and_is_named") {
        return;
    }
    let mut lab = Lab::new(3);
    lab.routers[0].start(Kind::Syncd, &config(150, "", V2));
    lab.routers[1].start(Kind::Syncd, &config(100, "", V2));
    lab.wait_holder(VIP, 0);
    let stranger = config(200, "", &V2.replace("1234", "4321")).replace(VIP, "10.97.1.60");
    lab.routers[2].start(Kind::Syncd, &stranger);
    let named = "VRID 51 is also used by 10.97.1.13";
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains(named)), "{}", lab.logs());
    // Long enough for three intervals to pass without an advert of the master, if the stranger held them up.
    let rejected = |status: &serde_json::Value| status["vrrp"][0]["rejected"][0]["count"].as_u64() > Some(4);
    lab.routers[1].syncd().wait_status(PATIENCE, "rejecting", rejected);
    assert_eq!(lab.holders(VIP), [0]);
    assert!(!lab.routers[1].log().contains("BACKUP -> MASTER"), "{}", lab.logs());
    let status = lab.routers[0].syncd().status_of_vrrp();
    assert_eq!(status["vrrp"][0]["rejected"][0]["from"].as_str(), Some("10.97.1.13"));
    assert!(status["vrrp"][0]["warnings"][0].as_str().is_some_and(|warning| warning.contains(named)), "{status:#}");
}

#[test]
fn a_native_file_moves_addresses_alone_and_beside_its_sets() {
    if !support::namespace::allowed("a_native_file_moves_addresses_alone_and_beside_its_sets") {
        return;
    }
    let vrrp = format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 150\ninterval = \"100ms\"\naddresses = [\"{VIP}/24\"]\n"
    );
    let tree = tempfile::tempdir().expect("a tree");
    let set = format!("[[set]]\nname = \"web\"\npath = \"{}\"\nrole = \"primary\"\n", tree.path().display());
    let peer = "[[peer]]\nname = \"other\"\naddress = \"127.0.0.1:9\"\n";
    for (words, sets) in [(&["vrrp"] as &[&str], String::new()), (&[], format!("{peer}{set}"))] {
        let lab = Lab::new(1);
        lab.routers[0].write(&format!("{sets}{vrrp}"));
        let mut node = lab.routers[0].node_of(words);
        node.start();
        lab.wait_holder(VIP, 0);
        node.stop();
        assert!(wait_until(PATIENCE, || !lab.routers[0].has(VIP)), "the address was left behind\n{}", lab.logs());
    }
}

#[test]
fn an_interface_that_is_renamed_leaves_no_address_and_serves_again_by_its_name() {
    if !support::namespace::allowed("an_interface_that_is_renamed_leaves_no_address_and_serves_again_by_its_name") {
        return;
    }
    let lab = pair([Kind::Syncd, Kind::Syncd], "", FAST);
    let host = &lab.routers[0].host;
    host.ip("link set eth0 name other0");
    lab.wait_holder(VIP, 1);
    // Another interface by that name is not the one that it was.
    host.ip("link add eth0 type veth peer name eth0peer");
    host.ip("addr add 10.97.1.111/24 dev eth0");
    host.ip("link set eth0 up");
    host.ip("link set eth0peer up");
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains("FAULT -> BACKUP")), "{}", lab.logs());
    host.ip("link del eth0");
    host.ip("link set other0 name eth0");
    lab.wait_holder(VIP, 0);
}

#[test]
fn an_interface_that_is_missing_after_a_crash_is_a_fault_of_its_instance_alone() {
    if !support::namespace::allowed("an_interface_that_is_missing_after_a_crash_is_a_fault_of_its_instance_alone") {
        return;
    }
    let mut lab = Lab::new(1);
    lab.routers[0].host.ip("link add eth9 type veth peer name eth9peer");
    lab.routers[0].host.ip("addr add 10.98.1.1/24 dev eth9");
    let other = "vrrp_instance VI_2 {\n interface eth9\n virtual_router_id 52\n version 3\n advert_int 0.1\n \
                 virtual_ipaddress {\n 10.98.1.50/24\n }\n}\n";
    lab.routers[0].start(Kind::Syncd, &(config(150, "", FAST) + other));
    lab.wait_holder(VIP, 0);
    lab.routers[0].host.ip("link del eth9");
    let processes = lab.routers[0].processes();
    kill_process(processes[1], Signal::KILL).expect("it runs");
    let goes_on = "VI_1: INIT -> MASTER (it goes on where the process before it ended)";
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains(goes_on)), "{}", lab.logs());
    let states = |status: &serde_json::Value| {
        (status["vrrp"][0]["state"] == "master") && (status["vrrp"][1]["state"] == "fault")
    };
    lab.routers[0].syncd().wait_status(PATIENCE, "master of one and at fault with the other", states);
}
