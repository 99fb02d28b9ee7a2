//! Every kind of frame that is sent for a file, whole, is what keepalived sends for the same file.

use crate::bed::{FAST, VIP, instance, plain};
use crate::support::frames::{self, Kind as Said};
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, with_keepalived};

const MAC: &str = "02:00:0a:61:01:0b";

/// What a router that is alone with `config` says from its start to its end: each different frame, as they came first.
fn said(kind: Kind, config: &str, vip: &str) -> Vec<String> {
    let mut lab = Lab::new(1);
    lab.routers[0].set_mac(MAC);
    // Of a peer too: what is sent to it is the same then.
    lab.client.ip("link set eth0 address 02:00:0a:61:01:64");
    let ear = Ear::new(&lab, 0);
    lab.routers[0].start(kind, config);
    lab.wait_holder(vip, 0);
    let of = |ear: &Ear, kind| {
        let frames = ear.frames();
        frames.iter().filter_map(|frame| frames::read(&frame.bytes)).filter(|said| said.kind == kind).count()
    };
    assert!(wait_until(PATIENCE, || of(&ear, Said::Advert) >= 3), "no advertisements\n{}", lab.logs());
    lab.routers[0].stop();
    let left = || {
        let frames = ear.frames();
        let said: Vec<_> = frames.iter().filter_map(|frame| frames::read(&frame.bytes)).collect();
        said.iter().any(|said| said.priority() == Some(0))
    };
    assert!(wait_until(PATIENCE, left), "it did not say that it leaves\n{}", lab.logs());
    let frames = ear.frames();
    let mut all: Vec<String> = Vec::new();
    for frame in &frames {
        let Some(said) = frames::read(&frame.bytes) else { continue };
        let text = frames::comparable(&frame.bytes);
        if !all.contains(&text) {
            let times = frames.iter().filter(|other| other.bytes == frame.bytes).count();
            assert!(said.announced().is_none() || times >= 5, "{kind:?} told {times} times: {text}");
            all.push(text);
        }
    }
    all
}

/// Both say the same for `config`, and it has `parts` different frames.
fn the_same(config: &str, vip: &str, parts: usize) {
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| said(Kind::Syncd, config, vip));
        let theirs = scope.spawn(|| said(Kind::Keepalived, config, vip));
        (ours.join().expect("done"), theirs.join().expect("done"))
    });
    assert_eq!(ours, theirs, "{config}");
    assert_eq!(ours.len(), parts, "{config}: {ours:#?}");
}

#[test]
fn version_2_frames() {
    if !with_keepalived("version_2_frames") {
        return;
    }
    let auth = "advert_int 1\n authentication {\n auth_type PASS\n auth_pass geheim\n }";
    the_same(&plain(150, auth), VIP, 3);
    the_same(&plain(150, "advert_int 1"), VIP, 3);
}

#[test]
fn version_3_frames() {
    if !with_keepalived("version_3_frames") {
        return;
    }
    let two = instance("VI_1", "eth0", 51, 150, FAST, &format!("10.97.1.51/24\n {VIP}/24 dev eth0"));
    the_same(&two, VIP, 4);
    the_same(&plain(150, &format!("{FAST}\n mcast_src_ip 10.97.1.11")), VIP, 3);
    let group = format!("global_defs {{\n vrrp_mcast_group4 224.0.0.77\n}}\n{}", plain(150, FAST));
    the_same(&group, VIP, 3);
}

#[test]
fn unicast_frames() {
    if !with_keepalived("unicast_frames") {
        return;
    }
    let peer = "unicast_src_ip 10.97.1.11\n unicast_peer {\n 10.97.1.100\n }";
    the_same(&plain(150, &format!("{FAST}\n {peer}")), VIP, 3);
    the_same(&plain(150, &format!("{FAST}\n unicast_ttl 17\n {peer}")), VIP, 3);
    let auth = "authentication {\n auth_type PASS\n auth_pass 1234\n }";
    the_same(&plain(150, &format!("advert_int 1\n {auth}\n {peer}")), VIP, 3);
    let six = "advert_int 0.1\n unicast_src_ip fd97::11\n unicast_peer {\n fd97::100\n }";
    the_same(&instance("VI_6", "eth0", 56, 150, six, "fd97::50/64"), "fd97::50", 3);
}

#[test]
fn ipv6_frames() {
    if !with_keepalived("ipv6_frames") {
        return;
    }
    let config = instance("VI_6", "eth0", 56, 150, "advert_int 0.1", "fe80::97\n fd97::50/64");
    the_same(&config, "fd97::50", 4);
}

#[test]
fn frames_of_a_hardware_address_of_its_own() {
    if !with_keepalived("frames_of_a_hardware_address_of_its_own") {
        return;
    }
    the_same(&plain(150, &format!("{FAST}\n use_vmac")), VIP, 3);
    the_same(&plain(150, &format!("{FAST}\n use_vmac\n vmac_xmit_base")), VIP, 3);
    let six = instance("VI_6", "eth0", 56, 150, "advert_int 0.1\n use_vmac", "fe80::97\n fd97::50/64");
    the_same(&six, "fd97::50", 4);
}
