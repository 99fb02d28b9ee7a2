//! What a router follows besides the network: scripts, files, processes and other interfaces move an address.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use crate::bed::{FAST, VIP, in_both_places, plain};
use crate::support::namespace::Lan;
use crate::support::node::wait_until;
use crate::support::vrrp::{Ear, Kind, Lab, PATIENCE, Router, with_keepalived};

/// The file by which a router is told that it is not well.
fn broken(lab: &Lab, place: usize) -> PathBuf {
    lab.routers[place].dir().join("broken")
}

/// A pair with the files that `config` makes of a place. `change` makes the first router unwell, or well again.
fn followed(
    kinds: [Kind; 2],
    config: impl Fn(&Lab, usize) -> String,
    is_fault: bool,
    mut change: impl FnMut(&Lab, bool),
) {
    let mut lab = Lab::new(2);
    for place in [0, 1] {
        let config = config(&lab, place);
        lab.routers[place].start(kinds[place], &config);
    }
    lab.wait_holder(VIP, 0);
    let ear = Ear::new(&lab, 0);
    change(&lab, false);
    lab.wait_holder(VIP, 1);
    let left = || ear.adverts(lab.routers[0].address).iter().any(|(_, bytes)| bytes[2] == 0);
    if is_fault {
        assert!(wait_until(PATIENCE, left), "a fault is said by priority 0\n{}", lab.logs());
    } else {
        assert!(!left(), "a lesser priority is said by itself\n{}", lab.logs());
    }
    change(&lab, true);
    lab.wait_holder(VIP, 0);
}

/// What defines something to be followed, and an instance that has `track`, of which the first has the better priority.
fn following(place: usize, definition: &str, track: &str) -> String {
    definition.to_owned() + &plain([150, 100][place], &format!("{FAST}\n {track}"))
}

/// A script of this weight that is well as long as a file is not there.
fn scripted(kinds: [Kind; 2], weight: i32) {
    let config = |lab: &Lab, place| {
        let script = format!(
            "global_defs {{\n script_user root\n enable_script_security\n}}\n\
             vrrp_script check {{\n script \"/usr/bin/test ! -e {}\"\n interval 1\n weight {weight}\n}}\n",
            broken(lab, place).display()
        );
        following(place, &script, "track_script {\n check\n }")
    };
    followed(kinds, config, weight == 0, |lab, well| {
        let file = broken(lab, 0);
        if well { fs::remove_file(file) } else { fs::write(file, "") }.expect("changed");
    });
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

/// A file of this weight that says `unwell` or 0.
fn filed(kinds: [Kind; 2], weight: i32, unwell: i32) {
    let config = |lab: &Lab, place| {
        let file = broken(lab, place);
        fs::write(&file, "0\n").expect("written");
        let load = format!("vrrp_track_file load {{\n file {}\n weight {weight}\n}}\n", file.display());
        following(place, &load, "track_file {\n load\n }")
    };
    followed(kinds, config, weight == 0, |lab, well| {
        let said = if well { 0 } else { unwell };
        fs::write(broken(lab, 0), format!("{said}\n")).expect("written");
    });
}

#[test]
fn a_file_that_says_something_is_a_fault_where_it_has_no_weight() {
    if with_keepalived("a_file_that_says_something_is_a_fault_where_it_has_no_weight") {
        in_both_places(|kinds| filed(kinds, 0, 1));
    }
}

#[test]
fn a_file_adds_what_it_says_times_its_weight() {
    if with_keepalived("a_file_adds_what_it_says_times_its_weight") {
        in_both_places(|kinds| filed(kinds, 2, -30));
    }
}

/// A process that ends with this value.
struct Ends(Child);

impl Ends {
    /// One by a name that no other test's process has.
    fn start(router: &Router) -> Self {
        let program = router.dir().join(Self::name(router));
        if !program.exists() {
            // The kernel takes the name from the path. Nobody can have a link open for writing, and so it can be run.
            std::os::unix::fs::symlink("/bin/sleep", &program).expect("linked");
        }
        Self(Command::new(&program).arg("1000").spawn().expect("it starts"))
    }

    /// Its host's, without the first word: short enough for a process.
    fn name(router: &Router) -> String {
        router.host.name().replacen("syncd-", "", 1)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What makes an instance of `router` follow its process with this weight.
fn own_process(router: &Router, priority: u8, weight: i32) -> String {
    let name = Ends::name(router);
    format!("vrrp_track_process own {{\n process {name}\n weight {weight}\n}}\n")
        + &plain(priority, &format!("{FAST}\n track_process {{\n own\n }}"))
}

/// A process of this weight that syncd follows beside a keepalived, with these priorities.
fn with_process(weight: i32, priorities: [u8; 2]) {
    let first = RefCell::new(None);
    let config = |lab: &Lab, place: usize| {
        if place == 1 {
            return plain(priorities[1], FAST);
        }
        *first.borrow_mut() = Some(Ends::start(&lab.routers[0]));
        own_process(&lab.routers[0], priorities[0], weight)
    };
    followed([Kind::Syncd, Kind::Keepalived], config, weight == 0, |lab, well| {
        *first.borrow_mut() = well.then(|| Ends::start(&lab.routers[0]));
    });
}

#[test]
fn a_process_that_ends_is_a_fault_where_it_has_no_weight() {
    if with_keepalived("a_process_that_ends_is_a_fault_where_it_has_no_weight") {
        with_process(0, [150, 100]);
    }
}

#[test]
fn a_process_that_ends_takes_its_weight_away() {
    if with_keepalived("a_process_that_ends_takes_its_weight_away") {
        std::thread::scope(|scope| {
            scope.spawn(|| with_process(-60, [150, 100]));
            scope.spawn(|| with_process(60, [60, 100]));
        });
    }
}

/// keepalived hears of processes by the proc connector, which is the first network namespace's alone: elsewhere, as in
/// a container, it is at fault for good.
#[test]
fn a_process_is_followed_in_any_network_namespace_but_not_by_keepalived() {
    if !with_keepalived("a_process_is_followed_in_any_network_namespace_but_not_by_keepalived") {
        return;
    }
    let mut lab = Lab::new(2);
    let mut processes = [0, 1].map(|n| Some(Ends::start(&lab.routers[n])));
    for (n, kind, priority) in [(0, Kind::Keepalived, 150), (1, Kind::Syncd, 100)] {
        let config = own_process(&lab.routers[n], priority, 0);
        lab.routers[n].start(kind, &config);
    }
    lab.wait_holder(VIP, 1);
    let fault = || lab.routers[0].log().contains("tracked process own quorum not achieved");
    assert!(wait_until(PATIENCE, fault), "{}", lab.logs());
    processes[1] = None;
    assert!(wait_until(PATIENCE, || lab.holders(VIP).is_empty()), "{}", lab.logs());
    processes[1] = Some(Ends::start(&lab.routers[1]));
    lab.wait_holder(VIP, 1);
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
