//! What moves a virtual address besides silence: trackers, priorities, delays, groups, and a reload.

use crate::bed::{FAST, VIP, in_both_places, instance, pair, plain};
use crate::support::frames;
use crate::support::namespace::Lan;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, with_keepalived};

/// Slow enough that nobody takes over falsely on a busy machine, where that is looked for.
const STEADY: &str = "version 3\n advert_int 0.3";

/// A script that is well as long as the file `broken` is not there.
fn script(lab: &Lab, place: usize, weight: i32) -> String {
    let broken = broken(lab, place);
    format!(
        "global_defs {{\n script_user root\n enable_script_security\n}}\n\
         vrrp_script check {{\n script \"/usr/bin/test ! -e {broken}\"\n interval 1\n weight {weight}\n}}\n"
    )
}

fn broken(lab: &Lab, place: usize) -> String {
    lab.routers[place].dir().join("broken").display().to_string()
}

/// A pair whose first router has a script of this weight that begins to fail, and is well again.
fn scripted(kinds: [Kind; 2], weight: i32) {
    let mut lab = Lab::new(2);
    let more = format!("{FAST}\n track_script {{\n check\n }}");
    for (place, priority) in [(0, 150), (1, 100)] {
        let config = format!("{}{}", script(&lab, place, weight), plain(priority, &more));
        lab.routers[place].start(kinds[place], &config);
    }
    lab.wait_holder(VIP, 0);
    let ear = Ear::new(&lab, 0);
    std::fs::write(broken(&lab, 0), "").expect("written");
    lab.wait_holder(VIP, 1);
    let left = || ear.adverts(lab.routers[0].address).iter().any(|(_, bytes)| bytes[2] == 0);
    if weight == 0 {
        assert!(wait_until(PATIENCE, left), "a fault is said by priority 0\n{}", lab.logs());
    } else {
        assert!(!left(), "a lesser priority is said by itself\n{}", lab.logs());
    }
    std::fs::remove_file(broken(&lab, 0)).expect("removed");
    lab.wait_holder(VIP, 0);
}

#[test]
fn a_script_that_fails_is_a_fault_where_it_has_no_weight() {
    if with_keepalived("a_script_that_fails_is_a_fault_where_it_has_no_weight") {
        in_both_places(|kinds| scripted(kinds, 0));
    }
}

#[test]
fn a_script_that_fails_takes_its_weight_away() {
    if with_keepalived("a_script_that_fails_takes_its_weight_away") {
        in_both_places(|kinds| scripted(kinds, -60));
    }
}

#[test]
fn a_tracked_interface_that_is_down_is_a_fault() {
    if !with_keepalived("a_tracked_interface_that_is_down_is_a_fault") {
        return;
    }
    in_both_places(|kinds| {
        let mut lab = Lab::new(2);
        let other = Lan::new("other");
        let ports: Vec<String> = lab.routers.iter().map(|router| other.attach(&router.host, "eth1", &[])).collect();
        let more = format!("{FAST}\n track_interface {{\n eth1\n }}");
        lab.routers[0].start(kinds[0], &plain(150, &more));
        lab.routers[1].start(kinds[1], &plain(100, &more));
        lab.wait_holder(VIP, 0);
        other.set_port(&ports[0], false);
        lab.wait_holder(VIP, 1);
        other.set_port(&ports[0], true);
        lab.wait_holder(VIP, 0);
    });
}

#[test]
fn a_better_one_that_must_not_preempt_stays_backup() {
    if !with_keepalived("a_better_one_that_must_not_preempt_stays_backup") {
        return;
    }
    let config = |_: usize, priority| plain(priority, &format!("{STEADY}\n nopreempt"));
    in_both_places(|kinds| {
        // One after the other: whoever is master first stays it.
        let mut lab = Lab::new(2);
        lab.routers[0].start(kinds[0], &config(0, 150));
        lab.wait_holder(VIP, 0);
        lab.routers[1].start(kinds[1], &config(1, 100));
        lab.routers[0].stop();
        lab.wait_holder(VIP, 1);
        let ear = Ear::new(&lab, 1);
        let [better, master] = [0, 1].map(|n| lab.routers[n].address);
        lab.routers[0].start(kinds[0], &config(0, 150));
        let before = ear.adverts(master).len();
        // Three times as long as it would wait for a master that is gone.
        assert!(wait_until(PATIENCE, || ear.adverts(master).len() > before + 10), "{}", lab.logs());
        assert_eq!(lab.holders(VIP), [1]);
        assert_eq!(ear.adverts(better), [], "it speaks");
        lab.routers[1].stop();
        lab.wait_holder(VIP, 0);
    });
}

/// How many adverts of the lesser master a better one heard before it took over.
fn patience(kinds: [Kind; 2], more: &str) -> usize {
    let config = |_: usize, priority| plain(priority, &format!("{FAST}\n {more}"));
    let mut lab = Lab::new(2);
    lab.routers[1].start(kinds[1], &config(1, 100));
    lab.wait_holder(VIP, 1);
    lab.routers[0].start(kinds[0], &config(0, 150));
    let ear = Ear::new(&lab, 1);
    lab.wait_holder(VIP, 0);
    ear.adverts(lab.routers[1].address).len()
}

#[test]
fn a_better_one_lets_the_master_be_for_as_long_as_it_is_told() {
    if !with_keepalived("a_better_one_lets_the_master_be_for_as_long_as_it_is_told") {
        return;
    }
    in_both_places(|kinds| {
        let heard = patience(kinds, "preempt_delay 2");
        assert!(heard >= 15, "{kinds:?}: it took over after {heard} adverts of the other");
    });
}

#[test]
fn a_reload_adds_and_removes_addresses_node_by_node_without_two_masters() {
    if !with_keepalived("a_reload_adds_and_removes_addresses_node_by_node_without_two_masters") {
        return;
    }
    let second = "10.97.1.51";
    let one = |_: usize, priority| plain(priority, STEADY);
    let two = |priority| instance("VI_1", "eth0", 51, priority, STEADY, &format!("{VIP}/24\n {second}/24"));
    in_both_places(|kinds| {
        let lab = pair(kinds, VIP, &one);
        // The one that accepts another list is first here: keepalived 2.2.7 does not, and would be a second master.
        let order = if kinds[0] == Kind::Syncd { [1, 0] } else { [0, 1] };
        let ear = Ear::new(&lab, 1);
        let steps = |config: &dyn Fn(usize) -> String, places: [usize; 2]| {
            for place in places {
                lab.routers[place].write(&config(place));
                lab.routers[place].reload();
                let heard = ear.adverts(lab.routers[0].address).len();
                let more = || ear.adverts(lab.routers[0].address).len() > heard + 3;
                assert!(wait_until(PATIENCE, more), "{}", lab.logs());
            }
        };
        let priority = |place| if place == 0 { 150 } else { 100 };
        steps(&|place| two(priority(place)), order);
        lab.wait_holder(second, 0);
        lab.wait_holder(VIP, 0);
        steps(&|place| one(place, priority(place)), [order[1], order[0]]);
        assert!(wait_until(PATIENCE, || lab.holders(second).is_empty()), "{}", lab.logs());
        lab.wait_holder(VIP, 0);
        let other: std::net::IpAddr = lab.routers[1].address.into();
        let frames = ear.frames();
        let said: Vec<_> = frames.iter().filter_map(|frame| frames::read(&frame.bytes)).collect();
        let second_master = said.iter().any(|said| said.from == other);
        assert!(!second_master || kinds[1] == Kind::Keepalived, "two masters\n{}", lab.logs());
    });
}

#[test]
fn instances_crosswise_on_one_interface_do_not_disturb_each_other() {
    if !with_keepalived("instances_crosswise_on_one_interface_do_not_disturb_each_other") {
        return;
    }
    let second = "10.97.1.51";
    let config = |own, other| {
        let one = instance("VI_1", "eth0", 51, own, FAST, &format!("{VIP}/24"));
        one + &instance("VI_2", "eth0", 52, other, FAST, &format!("{second}/24"))
    };
    in_both_places(|kinds| {
        let mut lab = Lab::new(2);
        lab.routers[0].start(kinds[0], &config(150, 100));
        lab.routers[1].start(kinds[1], &config(100, 150));
        lab.wait_holder(VIP, 0);
        lab.wait_holder(second, 1);
        lab.routers[0].kill_all();
        assert!(wait_until(PATIENCE, || lab.routers[1].has(VIP)), "{}", lab.logs());
        assert!(lab.routers[1].has(second));
        lab.routers[0].start(kinds[0], &config(150, 100));
        lab.wait_holder(VIP, 0);
        lab.wait_holder(second, 1);
    });
}
