//! The ways to speak: unicast, IPv6, very fast, by a hardware address of its own, and with many addresses.

use crate::bed::{FAST, VIP, in_both_places, instance, live, pair, plain};
use crate::support::frames;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, PATIENCE, Probe, with_keepalived};

/// A password.
const AUTH: &str = "authentication {\n auth_type PASS\n auth_pass 1234\n }";

/// The lines of unicast for a place.
fn unicast(place: usize) -> String {
    let (own, other) = if place == 0 { (11, 12) } else { (12, 11) };
    format!("unicast_src_ip 10.97.1.{own}\n unicast_peer {{\n 10.97.1.{other}\n }}")
}

#[test]
fn version_2_to_a_group_with_a_password() {
    if with_keepalived("version_2_to_a_group_with_a_password") {
        in_both_places(|kinds| live(kinds, VIP, &|_, priority| plain(priority, AUTH)));
    }
}

#[test]
fn version_3_to_a_group() {
    if with_keepalived("version_3_to_a_group") {
        in_both_places(|kinds| live(kinds, VIP, &|_, priority| plain(priority, FAST)));
    }
}

#[test]
fn version_3_to_peers() {
    if with_keepalived("version_3_to_peers") {
        let config = |place: usize, priority| plain(priority, &format!("{FAST}\n {}", unicast(place)));
        in_both_places(|kinds| live(kinds, VIP, &config));
    }
}

#[test]
fn version_2_to_peers_with_a_password() {
    if !with_keepalived("version_2_to_peers_with_a_password") {
        return;
    }
    let config = |place: usize, priority| plain(priority, &format!("{AUTH}\n {}", unicast(place)));
    in_both_places(|kinds| {
        let mut lab = pair(kinds, VIP, &config);
        lab.routers[0].stop();
        lab.wait_holder(VIP, 1);
        lab.routers[0].start(kinds[0], &config(0, 150));
        lab.wait_holder(VIP, 0);
    });
}

#[test]
fn a_hundred_times_a_second() {
    if with_keepalived("a_hundred_times_a_second") {
        let config = |_, priority| plain(priority, "version 3\n advert_int 0.01");
        in_both_places(|kinds| live(kinds, VIP, &config));
    }
}

#[test]
fn ipv6_and_its_addresses_are_usable_at_once() {
    if !with_keepalived("ipv6_and_its_addresses_are_usable_at_once") {
        return;
    }
    let vip = "fd97::50";
    let config =
        |_, priority| instance("VI_6", "eth0", 56, priority, "advert_int 0.1", &format!("fe80::97\n {vip}/64"));
    in_both_places(|kinds| {
        live(kinds, vip, &config);
        let mut lab = pair(kinds, vip, &config);
        for router in &lab.routers {
            router.host.set("net.ipv6.conf.eth0.accept_dad", "1");
        }
        let probe = Probe::new(&lab, vip);
        probe.wait(10);
        let ear = Ear::new(&lab, 1);
        lab.routers[0].stop();
        lab.wait_holder(vip, 1);
        let addresses = lab.routers[1].host.ip("-6 addr show dev eth0");
        assert!(!addresses.contains("tentative") && !addresses.contains("dadfailed"), "{addresses}");
        assert!(lab.routers[1].has("fe80::97"), "{addresses}");
        probe.wait(20);
        for ip in ["fe80::97", vip] {
            let told = || {
                let frames = ear.frames();
                let said = frames.iter().filter_map(|frame| frames::read(&frame.bytes));
                said.filter(|said| said.announced().is_some_and(|of| of.to_string() == ip)).count()
            };
            assert!(wait_until(PATIENCE, || told() >= 5), "{ip} was told {} times\n{}", told(), lab.logs());
        }
    });
}

/// The life of a pair whose `vip` is at the hardware address `mac`, wherever it is, and a client that goes on.
fn by_its_own_address(kinds: [Kind; 2], vip: &str, mac: [u8; 6], config: &dyn Fn(usize, u8) -> String) {
    live(kinds, vip, config);
    let mut lab = pair(kinds, vip, config);
    let shown = mac.map(|byte| format!("{byte:02x}")).join(":");
    let probe = Probe::new(&lab, vip);
    probe.wait(10);
    for (n, priority) in [(0, 150), (1, 100)] {
        lab.wait_holder(vip, n);
        assert!(lab.routers[n].host.ip("-d link show").contains(&shown), "{}", lab.logs());
        let ear = Ear::new(&lab, n);
        let heard = || {
            let frames = ear.frames();
            let said: Vec<_> = frames.iter().filter_map(|frame| frames::read(&frame.bytes)).collect();
            let own = said.iter().filter(|said| said.priority() == Some(priority));
            let macs: Vec<_> = own.map(|said| said.mac).collect();
            assert!(macs.iter().all(|from| *from == mac), "{macs:?}");
            macs.len() >= 3
        };
        assert!(wait_until(PATIENCE, heard), "{:?} sends nothing by its own address\n{}", kinds[n], lab.logs());
        // The client learned where the address is, and asks nobody else.
        probe.wait(20);
        let neighbours = lab.client.ip(&format!("neigh show {vip}"));
        assert!(neighbours.contains(&shown), "{neighbours}");
        lab.routers[n].stop();
        let left = lab.routers[n].host.ip("-o link show");
        assert!(!left.contains("macvlan") && !left.contains("vrrp"), "it left its interface behind: {left}");
    }
}

#[test]
fn a_hardware_address_of_its_own() {
    if with_keepalived("a_hardware_address_of_its_own") {
        let config = |_: usize, priority| plain(priority, &format!("{FAST}\n use_vmac"));
        in_both_places(|kinds| by_its_own_address(kinds, VIP, [0, 0, 0x5e, 0, 1, 51], &config));
    }
}

#[test]
fn a_hardware_address_of_its_own_over_ipv6() {
    if with_keepalived("a_hardware_address_of_its_own_over_ipv6") {
        let vips = "fe80::97\n fd97::50/64";
        let config = |_: usize, priority| instance("VI_6", "eth0", 56, priority, "advert_int 0.1\n use_vmac", vips);
        in_both_places(|kinds| by_its_own_address(kinds, "fd97::50", [0, 0, 0x5e, 0, 2, 56], &config));
    }
}

#[test]
fn twenty_five_addresses_in_one_advertisement() {
    if !with_keepalived("twenty_five_addresses_in_one_advertisement") {
        return;
    }
    let vips: Vec<String> = (150..175).map(|last| format!("10.97.1.{last}")).collect();
    let lines = vips.iter().map(|vip| format!("{vip}/24")).collect::<Vec<_>>().join("\n ");
    let config = |_, priority| instance("VI_1", "eth0", 51, priority, FAST, &lines);
    in_both_places(|kinds| {
        let mut lab = pair(kinds, &vips[24], &config);
        let ear = Ear::new(&lab, 0);
        let full = || ear.adverts(lab.routers[0].address).iter().any(|(_, bytes)| bytes[3] == 25);
        assert!(wait_until(PATIENCE, full), "{}", lab.logs());
        vips.iter().for_each(|vip| lab.wait_holder(vip, 0));
        lab.routers[0].stop();
        for vip in &vips {
            lab.wait_holder(vip, 1);
        }
        if kinds[1] == Kind::Syncd {
            assert!(!lab.routers[1].log().contains("advertises other addresses"), "{}", lab.logs());
        }
    });
}
