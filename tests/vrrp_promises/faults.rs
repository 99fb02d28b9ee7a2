//! What a node cannot do is a fault of that instance alone, for as long as it cannot.

use rustix::process::{Signal, kill_process};

use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::vrrp::{Kind, Lab, PATIENCE};

const VIP: &str = "10.97.1.50";

fn instance(name: &str, vrid: u8, vip: &str, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n version 3\n advert_int 0.1\n {more}\n \
         virtual_ipaddress {{\n {vip}/24\n }}\n}}\n"
    )
}

fn state(lab: &mut Lab, n: usize) -> String {
    lab.routers[0].syncd().status_of_vrrp()["vrrp"][n]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_interface_of_its_own_that_somebody_deletes_is_made_anew() {
    if !allowed("an_interface_of_its_own_that_somebody_deletes_is_made_anew") {
        return;
    }
    let mut lab = Lab::new(1);
    lab.routers[0].start(Kind::Syncd, &instance("VI_1", 51, VIP, "use_vmac"));
    lab.wait_holder(VIP, 0);
    lab.routers[0].host.ip("link del vrrp.51");
    let back = |lab: &Lab| lab.routers[0].host.ip("-o link show").contains("vrrp.51");
    assert!(wait_until(PATIENCE, || back(&lab) && lab.routers[0].has(VIP)), "{}", lab.logs());
    assert_eq!(state(&mut lab, 0), "master");
}

#[test]
fn an_instance_that_can_neither_send_nor_hear_is_no_master() {
    if !allowed("an_instance_that_can_neither_send_nor_hear_is_no_master") {
        return;
    }
    let mut lab = Lab::new(1);
    // Its interface's name is another's.
    lab.routers[0].host.ip("link add vrrp.51 type veth peer name other");
    let both = instance("VI_1", 51, VIP, "use_vmac") + &instance("VI_2", 52, "10.97.1.60", "");
    lab.routers[0].start(Kind::Syncd, &both);
    lab.wait_holder("10.97.1.60", 0);
    assert_eq!(state(&mut lab, 0), "fault");
    assert!(!lab.routers[0].has(VIP), "{}", lab.logs());
    lab.routers[0].host.ip("link del vrrp.51");
    lab.wait_holder(VIP, 0);
}

#[test]
fn an_interface_that_was_made_anew_unheard_is_another() {
    if !allowed("an_interface_that_was_made_anew_unheard_is_another") {
        return;
    }
    let mut lab = Lab::new(1);
    lab.routers[0].start(Kind::Syncd, &instance("VI_1", 51, VIP, ""));
    lab.wait_holder(VIP, 0);
    let vrrp = lab.routers[0].processes()[1];
    kill_process(vrrp, Signal::STOP).expect("it runs");
    // More than the kernel keeps for whoever listens.
    lab.routers[0].host.ip("link add noise type veth peer name noise1");
    let noise: String = (0..4000).map(|n| format!("link set noise mtu {}\n", 1400 + n % 2)).collect();
    let file = lab.routers[0].dir().join("noise");
    std::fs::write(&file, noise).expect("write");
    lab.routers[0].host.ip(&format!("-batch {}", file.display()));
    for change in ["link del eth0", "link add eth0 type veth peer name there", "addr add 10.97.1.11/24 dev eth0"] {
        lab.routers[0].host.ip(change);
    }
    ["eth0", "there"].iter().for_each(|name| drop(lab.routers[0].host.ip(&format!("link set {name} up"))));
    kill_process(vrrp, Signal::CONT).expect("it runs");
    lab.wait_holder(VIP, 0);
    let again = |lab: &mut Lab| lab.routers[0].log().matches("BACKUP -> MASTER").count() == 2;
    assert!(wait_until(PATIENCE, || again(&mut lab)), "its sockets are those of one that is gone: {}", lab.logs());
}
