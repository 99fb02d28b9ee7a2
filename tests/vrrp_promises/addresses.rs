//! Addresses: what was there before stays, and what syncd put there goes, whatever became of syncd.

use crate::support::namespace::allowed;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE};

const VIP: &str = "10.97.1.50";

/// A `syncd.toml` of one instance, with these addresses and this lease.
fn config(priority: u8, interval: &str, lease: &str, addresses: &[&str]) -> String {
    format!(
        "[vrrp-global]\nlease = \"{lease}\"\n[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\n\
         priority = {priority}\ninterval = \"{interval}\"\naddresses = {addresses:?}\n"
    )
}

/// One router that is master.
fn alone(config: &str) -> Lab {
    let mut lab = Lab::new(1);
    lab.routers[0].start(Kind::Syncd, config);
    lab.wait_holder(VIP, 0);
    lab
}

/// Waits until router `n` has written down that it holds `ip`: one that is killed earlier leaves nothing for the next.
fn recorded(lab: &mut Lab, n: usize, ip: &str) {
    let file = lab.routers[n].syncd().state_dir().join("vrrp-lives.json");
    let written = || std::fs::read_to_string(&file).is_ok_and(|lives| lives.contains(ip));
    assert!(wait_until(PATIENCE, written), "{}", lab.logs());
}

/// What ip(8) says of an address; nothing where it is not there.
fn shown(lab: &Lab, ip: &str) -> String {
    let all = lab.routers[0].host.ip("-o addr show");
    all.lines().find(|line| line.contains(&format!(" {ip}/"))).unwrap_or_default().to_owned()
}

#[test]
fn an_address_that_was_there_before_stays_and_is_no_lease() {
    if !allowed("an_address_that_was_there_before_stays_and_is_no_lease") {
        return;
    }
    let other = "10.97.1.51";
    let both = config(150, "100ms", "1s", &["10.97.1.50/24", "10.97.1.51/24"]);
    let mut lab = Lab::new(1);
    lab.routers[0].host.ip(&format!("addr add {other}/24 dev eth0"));
    lab.routers[0].start(Kind::Syncd, &both);
    lab.wait_holder(VIP, 0);
    let before = shown(&lab, other);
    assert!(before.contains("forever") && !shown(&lab, VIP).contains("forever"), "{before}");
    // A reload forgets it, and knows it again.
    lab.routers[0].write(&config(150, "100ms", "1s", &["10.97.1.50/24"]));
    lab.routers[0].reload();
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains("is in force")), "{}", lab.logs());
    assert_eq!(shown(&lab, other), before);
    lab.routers[0].write(&both);
    lab.routers[0].reload();
    assert!(wait_until(PATIENCE, || lab.routers[0].log().matches("is in force").count() == 2), "{}", lab.logs());
    lab.routers[0].stop();
    assert_eq!((shown(&lab, VIP), shown(&lab, other)), (String::new(), before.clone()));
    lab.routers[0].start(Kind::Syncd, &both);
    lab.wait_holder(VIP, 0);
    lab.routers[0].kill_all();
    assert!(wait_until(PATIENCE, || !lab.routers[0].has(VIP)), "the lease does not end");
    assert_eq!(shown(&lab, other), before);
}

#[test]
fn without_a_lease_an_address_stays_after_a_crash_and_the_next_life_takes_it_away() {
    if !allowed("without_a_lease_an_address_stays_after_a_crash_and_the_next_life_takes_it_away") {
        return;
    }
    let of = |priority| config(priority, "100ms", "off", &["10.97.1.50/24"]);
    let mut lab = Lab::new(2);
    lab.routers[0].start(Kind::Syncd, &of(150));
    lab.wait_holder(VIP, 0);
    assert!(shown(&lab, VIP).contains("forever"), "{}", shown(&lab, VIP));
    recorded(&mut lab, 0, VIP);
    lab.routers[0].kill_all();
    lab.routers[1].start(Kind::Syncd, &of(200));
    assert!(wait_until(PATIENCE, || lab.holders(VIP) == [0, 1]), "{}", lab.logs());
    lab.routers[0].start(Kind::Syncd, &of(150));
    lab.wait_holder(VIP, 1);
    assert!(!lab.routers[0].log().contains("goes on"), "{}", lab.logs());
}

#[test]
fn a_restart_after_a_crash_of_everything_goes_on_as_long_as_nobody_took_over() {
    if !allowed("a_restart_after_a_crash_of_everything_goes_on_as_long_as_nobody_took_over") {
        return;
    }
    // An owner is master at once, and others would wait for half a minute.
    let owner = config(255, "10s", "20s", &["10.97.1.50/24"]);
    let mut lab = alone(&owner);
    let ear = Ear::new(&lab, 0);
    recorded(&mut lab, 0, VIP);
    lab.routers[0].kill_all();
    lab.routers[0].start(Kind::Syncd, &owner);
    let goes_on = "INIT -> MASTER (it goes on where the process before it ended)";
    assert!(wait_until(PATIENCE, || lab.routers[0].log().contains(goes_on)), "{}", lab.logs());
    assert!(lab.routers[0].has(VIP));
    assert!(!lab.routers[0].log().contains("taken away"), "{}", lab.logs());
    let left = ear.adverts(lab.routers[0].address).iter().any(|(_, bytes)| bytes[2] == 0);
    assert!(!left, "it said that it leaves");
    // At a tenth of a second others may have taken over long before the lease ends.
    let fast = config(150, "100ms", "20s", &["10.97.1.50/24"]);
    let mut lab = alone(&fast);
    recorded(&mut lab, 0, VIP);
    lab.routers[0].kill_all();
    assert!(lab.routers[0].has(VIP));
    lab.routers[0].start(Kind::Syncd, &fast);
    assert!(wait_until(PATIENCE, || lab.routers[0].log().matches("BACKUP -> MASTER").count() == 2), "{}", lab.logs());
    lab.wait_holder(VIP, 0);
}

#[test]
fn what_a_file_named_before_a_crash_and_no_longer_after_it_is_taken_away() {
    if !allowed("what_a_file_named_before_a_crash_and_no_longer_after_it_is_taken_away") {
        return;
    }
    let two = config(150, "100ms", "off", &["10.97.1.50/24", "10.97.1.51/24"]);
    let mut lab = alone(&two);
    recorded(&mut lab, 0, "10.97.1.51");
    lab.routers[0].kill_all();
    lab.routers[0].start(Kind::Syncd, &config(150, "100ms", "off", &["10.97.1.50/24"]));
    lab.wait_holder(VIP, 0);
    assert!(!lab.routers[0].has("10.97.1.51"), "{}", lab.logs());
    // The instance itself is gone from the file.
    recorded(&mut lab, 0, VIP);
    lab.routers[0].kill_all();
    let other = config(150, "100ms", "off", &["10.97.1.60/24"]).replace("VI_1", "VI_2").replace("= 51", "= 52");
    lab.routers[0].start(Kind::Syncd, &other);
    lab.wait_holder("10.97.1.60", 0);
    assert!(!lab.routers[0].has(VIP), "{}", lab.logs());
}

#[test]
fn a_reload_that_changes_only_how_an_address_is_there_is_nobody_elses_doing() {
    if !allowed("a_reload_that_changes_only_how_an_address_is_there_is_nobody_elses_doing") {
        return;
    }
    let mut lab = alone(&config(150, "100ms", "3s", &["10.97.1.50/24"]));
    let last = "10.97.1.50/25 brd 10.97.1.127";
    for (n, address) in ["10.97.1.50/32", "10.97.1.50/24 label eth0:7", last].iter().enumerate() {
        lab.routers[0].write(&config(150, "100ms", "3s", &[address]));
        lab.routers[0].reload();
        let known = || lab.routers[0].log().matches("is in force").count() == n + 1;
        assert!(wait_until(PATIENCE, known), "{}", lab.logs());
        lab.wait_holder(VIP, 0);
    }
    let line = shown(&lab, VIP);
    assert!(line.contains("/25 brd 10.97.1.127") && !line.contains("eth0:7"), "{line}");
    assert_eq!(lab.routers[0].host.ip("-o addr show").matches(" 10.97.1.50/").count(), 1);
    let log = lab.routers[0].log();
    assert!(!log.contains("taken away") && log.matches(" -> ").count() == 2, "{log}");
    lab.routers[0].stop();
    assert!(!lab.routers[0].has(VIP));
}
