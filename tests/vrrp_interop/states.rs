//! What moves a virtual address besides silence: priorities, delays, groups, and a reload.

use crate::bed::{FAST, STEADY, VIP, in_both_places, instance, pair, plain};
use crate::support::frames;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, with_keepalived};

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
    let config = |_: usize, priority| plain(priority, &format!("{STEADY}\n {more}"));
    let mut lab = Lab::new(2);
    lab.routers[1].start(kinds[1], &config(1, 100));
    lab.wait_holder(VIP, 1);
    let ear = Ear::new(&lab, 1);
    lab.routers[0].start(kinds[0], &config(0, 150));
    lab.wait_holder(VIP, 0);
    ear.adverts(lab.routers[1].address).len()
}

#[test]
fn a_better_one_lets_the_master_be_for_as_long_as_it_is_told() {
    if !with_keepalived("a_better_one_lets_the_master_be_for_as_long_as_it_is_told") {
        return;
    }
    in_both_places(|kinds| {
        let heard = patience(kinds, "preempt_delay 6");
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
