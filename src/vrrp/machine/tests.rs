//! What a whole node does: tracking, groups, addresses, reloads, lives.

mod groups;
mod ways;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::*;
use crate::vrrp::message::{InstanceStatus, Notice, Subject};
use crate::vrrp::packet::{Advert, Auth, Path, Version};
use crate::vrrp::router::Cause;
use crate::vrrp::setup::{Address, Command, Notify, Script, SyncGroup, Track, Tracking};

const MS: Duration = Duration::from_millis(1);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn instance(name: &str, vrid: u8, priority: u8) -> Instance {
    let address = Address::new(ip(vrid), 24);
    Instance { version: Version::V2, priority, auth: PASS, ..Instance::new(name, "eth0", vrid, vec![address]) }
}

fn on(interface: &str, instance: Instance) -> Instance {
    Instance { interface: interface.to_owned(), ..instance }
}

fn setup(instances: Vec<Instance>) -> Setup {
    Setup { instances, lease: Some(Duration::from_secs(3)), ..Setup::default() }
}

fn link(index: u32, running: bool) -> Link {
    Link { index, name: format!("eth{}", index - 1), running, mac: [2, 0, 0, 0, 0, 1] }
}

/// A node with two interfaces, and a kernel that does what it is told.
struct Node {
    machine: Machine,
    now: Instant,
    /// What was sent: interfaces are told apart by the instance.
    sent: Vec<(Id, u8)>,
    /// What is on interfaces.
    there: Vec<Held>,
    announced: usize,
    /// What became of routes and rules.
    ways: Vec<Ways>,
    refreshed: usize,
    told: Vec<FromVrrp>,
}

impl Node {
    fn new(setup: Setup) -> Self {
        Self::after(setup, Before::default(), Vec::new())
    }

    fn after(setup: Setup, before: Before, there: Vec<Held>) -> Self {
        let now = Instant::now();
        let mut interfaces = Interfaces::default();
        for index in 1..=2 {
            interfaces.set_link(link(index, true));
            interfaces.add_address(index, IpAddr::from([10, 0, u8::try_from(index).expect("small") - 1, 200]), 24);
        }
        for held in &there {
            interfaces.add_address(1, held.address.ip, 24);
        }
        let clock = Clock { at: now, monotonic: 1_000_000_000_000, unix_ms: 1_700_000_000_000 };
        let machine = Machine::new(clock, setup, before, interfaces);
        let mut node = Self {
            machine,
            now,
            sent: Vec::new(),
            there,
            announced: 0,
            ways: Vec::new(),
            refreshed: 0,
            told: Vec::new(),
        };
        node.machine.handle_timeout(now);
        node.act();
        node
    }

    fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Send { instance, bytes, .. } => self.sent.push((instance, bytes[2])),
                Action::Put { instance, held } => {
                    for held in held {
                        let put = if self.there.contains(&held) { Put::There } else { Put::New };
                        if put == Put::New {
                            self.there.push(held.clone());
                        }
                        self.machine.handle_puts(self.now, instance, vec![(&held, put, None)]);
                    }
                }
                Action::Refresh { .. } => self.refreshed += 1,
                Action::Take { held, .. } => self.there.retain(|there| !held.contains(there)),
                Action::Announce(_) => self.announced += 1,
                Action::Tell(told) => self.told.push(told),
                Action::Routes { ways, .. } => self.ways.push(ways),
                Action::Open { .. } | Action::Close { .. } => {}
            }
        }
    }

    /// Lets `time` pass.
    fn after_time(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.machine.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.machine.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn with(&mut self, happen: impl FnOnce(&mut Machine, Instant)) {
        happen(&mut self.machine, self.now);
        self.act();
    }

    fn hears(&mut self, interface: u32, vrid: u8, from: u8, priority: u8, auth: Auth) {
        let from = Ipv4Addr::from([10, 0, 0, from]);
        let group = Ipv4Addr::from([224, 0, 0, 18]);
        let addresses = vec![ip(vrid)];
        let advert = Advert { version: Version::V2, vrid, priority, centiseconds: 100, auth, addresses };
        let payload = advert.encode(Path::V4(from, group));
        let packet = Packet { interface, from: from.into(), to: group.into(), ttl: 255, payload: &payload };
        self.machine.handle_packet(self.now, &packet);
        self.act();
    }

    fn states(&self) -> Vec<String> {
        self.status().into_iter().map(|status| status.state).collect()
    }

    fn status(&self) -> Vec<InstanceStatus> {
        self.machine.status(self.now)
    }

    /// What programs were told, and forgets it.
    fn notices(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        let notices = told.into_iter().filter_map(|told| match told {
            FromVrrp::Notice(Notice { of: Subject::Instance(name), what, .. }) => Some(format!("{name} {what:?}")),
            FromVrrp::Notice(Notice { of: Subject::Group(name), what, .. }) => Some(format!("group {name} {what:?}")),
            _ => None,
        });
        notices.collect()
    }
}

const PASS: Auth = Auth::Pass(*b"1111\0\0\0\0");

#[test]
fn a_node_alone_becomes_master_and_its_end_is_polite() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    assert_eq!(node.states(), ["backup"]);
    node.after_time(3500 * MS);
    assert_eq!((node.states(), node.there.len(), node.sent.len()), (vec!["master".to_owned()], 1, 1));
    assert_eq!(node.announced, 5);
    node.after_time(6000 * MS);
    assert_eq!((node.announced, node.sent.len()), (10, 7));
    assert_eq!(node.notices(), ["VI_1 Backup", "VI_1 Master"]);
    node.with(Machine::handle_stop);
    assert_eq!((node.sent.last().map(|sent| sent.1), node.there.len()), (Some(0), 0));
    assert_eq!(node.notices(), ["VI_1 Stop"]);
}

#[test]
fn a_rejected_packet_moves_no_timer_and_is_counted_by_its_sender() {
    // Without a lease to refresh, the next advertisement is what comes next.
    let mut node = Node::new(Setup { lease: None, ..setup(vec![instance("VI_1", 50, 150)]) });
    node.after_time(3500 * MS);
    let due = node.machine.poll_timeout();
    for n in 0..100 {
        node.hears(1, 50, 7, 200, Auth::Pass(*b"2222\0\0\0\0"));
        node.hears(1, 50, 8, 200, Auth::None);
        node.hears(2, 50, 9, 200, PASS);
        node.hears(1, 51, 9, 200, PASS);
        assert_eq!((node.machine.poll_timeout(), node.states()[0].as_str()), (due, "master"), "{n}");
    }
    let status = &node.status()[0];
    assert_eq!(status.adverts_received, 0);
    let rejected: Vec<_> = status.rejected.iter().map(|one| (one.from, one.count)).collect();
    assert_eq!(rejected, [(Some(ip(7)), 100), (Some(ip(8)), 100)]);
    assert!(status.warnings[0].starts_with("VRID 50 is also used by 10.0.0.7"), "{:?}", status.warnings);
    let warnings = node.told.iter().filter(|told| matches!(told, FromVrrp::Report(Report::Warning { .. }))).count();
    assert_eq!(warnings, 2, "the log hears of each sender once");
}

#[test]
fn an_address_that_somebody_took_away_is_back_at_once_and_announced() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(10_000 * MS);
    let announced = node.announced;
    node.there.clear();
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(50), 24));
    assert_eq!((node.there.len(), node.states()[0].as_str()), (1, "master"));
    assert!(node.announced > announced || node.machine.poll_timeout() <= Some(node.now));
    // What was a mistake costs nothing.
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(99), 24));
    assert_eq!(node.there.len(), 1);
}

#[test]
fn an_address_that_comes_back_changes_no_life_and_one_that_goes_for_good_does() {
    let two = |last: u8| {
        let addresses = (50..=last).map(|n| Address::new(ip(n), 24)).collect();
        Instance { priority: 150, auth: PASS, version: Version::V2, ..Instance::new("VI_1", "eth0", 50, addresses) }
    };
    let lives = |node: &mut Node| {
        let told = std::mem::take(&mut node.told);
        let lives = told.into_iter().filter_map(|told| if let FromVrrp::Life(life) = told { Some(life) } else { None });
        lives.map(|life| life.held.len()).collect::<Vec<_>>()
    };
    let mut node = Node::new(setup(vec![two(51)]));
    node.after_time(4000 * MS);
    assert_eq!(lives(&mut node).last(), Some(&2));
    node.there.clear();
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(50), 24));
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(51), 24));
    assert_eq!((node.there.len(), lives(&mut node)), (2, vec![]));
    node.with(|machine, now| machine.handle_reload(now, setup(vec![two(50)])));
    assert_eq!((node.there.len(), lives(&mut node)), (1, vec![1]));
}

#[test]
fn what_is_due_anyway_is_put_back_with_what_somebody_took_away() {
    let addresses = [50, 51].map(|n| Address::new(ip(n), 24)).to_vec();
    let mut node = Node::new(setup(vec![Instance { priority: 150, ..Instance::new("VI_1", "eth0", 50, addresses) }]));
    node.after_time(4000 * MS);
    let [one, two] = [0, 1].map(|n| node.there[n].clone());
    node.machine.handle_puts(node.now, Id(0), vec![(&two, Put::Failed, None)]);
    node.act();
    // The kernel is looked at before the timers.
    node.now += 1100 * MS;
    node.machine.handle_address_gone(node.now, 1, one.address.ip, 24);
    let put = std::iter::from_fn(|| node.machine.poll_action()).find_map(|action| match action {
        Action::Put { held, .. } => Some(held),
        _ => None,
    });
    assert_eq!(put, Some(vec![one, two]));
}

#[test]
fn a_source_that_is_tracked_is_a_fault_as_soon_as_it_is_gone() {
    let source = Some(ip(200));
    let mut node = Node::new(setup(vec![Instance { source, track_source: true, ..instance("VI_1", 50, 150) }]));
    node.after_time(4000 * MS);
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(200), 24));
    assert_eq!(node.states(), ["fault"]);
    node.with(|machine, now| machine.handle_address(now, 1, ip(200), 24));
    assert_eq!(node.states(), ["backup"]);
}

#[test]
fn what_had_been_there_before_stays_when_the_master_goes() {
    let held = Held { interface: "eth0".to_owned(), address: Address::new(ip(50), 24) };
    let mut node = Node::after(setup(vec![instance("VI_1", 50, 150)]), Before::default(), vec![held.clone()]);
    let warned = node.told.iter().any(|told| {
        matches!(told, FromVrrp::Report(Report::Warning { message, .. }) if message.contains("10.0.0.50 on eth0 was there"))
    });
    assert!(warned, "{:?}", node.told);
    node.after_time(3500 * MS);
    node.with(Machine::handle_stop);
    assert_eq!(node.there, [held]);
}

#[test]
fn an_interface_that_goes_down_is_a_fault_and_one_that_comes_back_a_new_beginning() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(3500 * MS);
    node.with(|machine, now| machine.handle_link(now, link(1, false)));
    assert_eq!((node.states(), node.there.len()), (vec!["fault".to_owned()], 0));
    assert_eq!(node.status()[0].cause, "interface eth0 is down");
    node.with(|machine, now| machine.handle_link(now, link(1, true)));
    assert_eq!(node.states(), ["backup"]);
    node.with(|machine, now| machine.handle_link_gone(now, 1));
    assert_eq!(node.status()[0].faults[0], "interface eth0 is not there");
}

fn script(name: &str, weight: i32) -> (Script, Tracking) {
    let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
    let second = Duration::from_secs(1);
    let script = Script {
        name: name.to_owned(),
        command,
        interval: second,
        timeout: second,
        rise: 1,
        fall: 2,
        init_fail: false,
    };
    let track = Track { name: name.to_owned(), weight, reverse: false };
    (script, Tracking { scripts: vec![track], ..Tracking::default() })
}

fn result(name: &str, success: bool) -> Observed {
    Observed::Script { name: name.to_owned(), success }
}

#[test]
fn a_script_that_could_be_a_fault_is_waited_for() {
    let (script, track) = script("web", 0);
    let one = Instance { track, ..instance("VI_1", 50, 150) };
    let mut node = Node::new(Setup { scripts: vec![script], ..setup(vec![one]) });
    node.after_time(10_000 * MS);
    assert_eq!((node.states(), node.notices()), (vec!["init".to_owned()], vec![]));
    node.with(|machine, now| machine.handle_observed(now, &result("web", true)));
    assert_eq!(node.states(), ["backup"]);
    node.after_time(3500 * MS);
    node.with(|machine, now| machine.handle_observed(now, &result("web", false)));
    assert_eq!(node.states(), ["master"]);
    node.with(|machine, now| machine.handle_observed(now, &result("web", false)));
    assert_eq!((node.states(), node.status()[0].cause.as_str()), (vec!["fault".to_owned()], "script web"));
}

#[test]
fn who_follows_a_killed_master_does_not_wait_for_a_script() {
    let (script, track) = script("web", 0);
    let one = setup(vec![Instance { track, ..instance("VI_1", 50, 150) }]);
    let one = Setup { scripts: vec![script], ..one };
    let mut node = Node::new(one.clone());
    node.with(|machine, now| machine.handle_observed(now, &result("web", true)));
    node.after_time(4000 * MS);
    let before = Before { lives: node.machine.lives(), ..Before::default() };
    let mut next = Node::after(one, before, node.there.clone());
    assert_eq!(next.states(), ["master"]);
    next.with(|machine, now| machine.handle_observed(now, &result("web", false)));
    assert_eq!((next.states(), next.there.len()), (vec!["fault".to_owned()], 0));
}

#[test]
fn a_weight_moves_the_priority_and_says_why() {
    let (script, track) = script("web", -60);
    let one = Instance { track, notify_priority: true, ..instance("VI_1", 50, 150) };
    let mut node = Node::new(Setup { scripts: vec![script], ..setup(vec![one]) });
    node.after_time(3500 * MS);
    node.with(|machine, now| machine.handle_observed(now, &result("web", false)));
    node.after_time(1000 * MS);
    assert_eq!(node.sent.last().map(|sent| sent.1), Some(90));
    let status = &node.status()[0];
    assert_eq!((status.priority, status.priority_why.as_str()), (90, "150, script web -60"));
    assert_eq!(node.notices().last().map(String::as_str), Some("VI_1 Priority(Master)"));
}

fn grouped() -> Setup {
    let instances = vec![instance("VI_1", 50, 100), on("eth1", instance("VI_2", 51, 100))];
    let members = vec!["VI_1".to_owned(), "VI_2".to_owned()];
    let (track, notify) = (Tracking::default(), Notify::default());
    let group = SyncGroup { name: "G".to_owned(), members, track, notify, member_weights: false };
    Setup { groups: vec![group], ..setup(instances) }
}

#[test]
fn a_group_is_master_together_and_stops_together() {
    let mut node = Node::new(grouped());
    // Somebody is master of one of the two: of none, then.
    for _ in 0..10 {
        node.hears(1, 50, 1, 150, PASS);
        node.after_time(1000 * MS);
    }
    assert_eq!(node.states(), ["backup", "backup"]);
    node.after_time(4000 * MS);
    assert_eq!(node.states(), ["master", "master"]);
    assert_eq!(
        node.notices(),
        ["VI_1 Backup", "VI_2 Backup", "group G Backup", "VI_1 Master", "VI_2 Master", "group G Master"]
    );
    node.hears(1, 50, 1, 150, PASS);
    assert_eq!((node.states(), node.there.len()), (vec!["backup".to_owned(); 2], 0));
    assert_eq!(node.sent.last().map(|sent| sent.1), Some(0));
    node.after_time(4000 * MS);
    node.with(|machine, now| machine.handle_link(now, link(2, false)));
    assert_eq!(node.states(), ["fault", "fault"]);
    assert_eq!(node.status()[0].cause, "VI_2 of the same sync group: interface eth1 is down");
}

/// keepalived waits for the dead LAN's whole timer (3.4 s).
#[test]
fn in_a_group_the_living_lan_does_not_wait_for_the_dead_ones_timer() {
    let mut node = Node::new(grouped());
    for _ in 0..5 {
        node.hears(1, 50, 1, 150, PASS);
        node.hears(2, 51, 1, 150, PASS);
        node.after_time(1000 * MS);
    }
    node.hears(1, 50, 1, 150, PASS);
    node.hears(2, 51, 1, 150, PASS);
    node.after_time(500 * MS);
    // eth0's LAN dies; on eth1's the master says that it leaves.
    node.hears(2, 51, 1, 0, PASS);
    node.after_time(1120 * MS);
    assert_eq!(node.states(), ["master", "master"]);
}

#[test]
fn a_reload_keeps_what_stays() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150), instance("VI_2", 51, 150)]));
    node.after_time(4000 * MS);
    node.notices();
    let (sent, due) = (node.sent.len(), node.machine.poll_timeout());
    let mut first = instance("VI_1", 50, 150);
    first.addresses.push(Address::new(ip(60), 24));
    node.with(|machine, now| machine.handle_reload(now, setup(vec![first.clone(), instance("VI_3", 53, 150)])));
    assert_eq!(node.states(), ["master", "backup"]);
    let there: Vec<IpAddr> = node.there.iter().map(|held| held.address.ip).collect();
    assert_eq!(there, [ip(50), ip(60)]);
    assert_eq!(node.sent.get(sent..), Some(&[(Id(1), 0)][..]), "the one that went says so, and nobody else anything");
    assert!(node.machine.poll_timeout() <= due);
    node.after_time(1 * MS);
    assert_eq!(
        (node.states(), node.notices()),
        (vec!["master".to_owned(), "backup".to_owned()], vec!["VI_2 Deleted".to_owned(), "VI_3 Backup".to_owned()])
    );
    // Another VRID is another router.
    node.with(|machine, now| machine.handle_reload(now, setup(vec![instance("VI_1", 70, 150)])));
    node.after_time(1 * MS);
    assert_eq!((node.states(), node.there.len()), (vec!["backup".to_owned()], 0));
}

#[test]
fn an_address_that_a_reload_moves_to_another_instance_nobody_took_away() {
    let of = |moved: usize| {
        let mut both = vec![instance("VI_1", 50, 150), instance("VI_2", 51, 150)];
        both[moved].addresses.push(Address::new(ip(60), 24));
        setup(both)
    };
    let mut node = Node::new(of(0));
    node.after_time(4000 * MS);
    node.with(|machine, now| machine.handle_reload(now, of(1)));
    let said = |node: &Node| {
        let taken = |told: &&FromVrrp| matches!(told, FromVrrp::Report(Report::Warning { message, .. }) if message.contains("taken away"));
        node.told.iter().filter(taken).count()
    };
    let gone = |machine: &mut Machine, now| machine.handle_address_gone(now, 1, ip(60), 24);
    node.with(gone);
    assert_eq!((said(&node), node.there.len()), (0, 3));
    node.with(gone);
    assert_eq!(said(&node), 1);
}

#[test]
fn a_reload_begins_and_ends_what_neighbours_are_told_for_good_measure() {
    let of = |refresh: u32| {
        let mut one = instance("VI_1", 50, 150);
        (one.garp.refresh, one.garp.delay) = (refresh * MS, Duration::ZERO);
        setup(vec![one])
    };
    let mut node = Node::new(of(2000));
    node.after_time(4000 * MS);
    for (refresh, times) in [(0, 0), (1000, 10), (5000, 2), (0, 0)] {
        node.with(|machine, now| machine.handle_reload(now, of(refresh)));
        node.announced = 0;
        node.after_time(10_000 * MS);
        assert_eq!(node.announced, times, "{refresh} ms");
    }
}

#[test]
fn who_follows_a_killed_master_goes_on_at_once_and_who_crashed_twice_gives_up() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(4000 * MS);
    let before = Before { lives: node.machine.lives(), ..Before::default() };
    let there = node.there.clone();
    let crashed = |give_up, earlier| Before { give_up, earlier, ..before.clone() };
    let mut next = Node::after(setup(vec![instance("VI_1", 50, 150)]), crashed(false, false), there.clone());
    assert_eq!((next.states(), next.there.len(), next.notices()), (vec!["master".to_owned()], 1, vec![]));
    next.with(Machine::handle_stop);
    assert_eq!(next.there.len(), 0, "what the process before put there is this one's");
    let given = Node::after(setup(vec![instance("VI_1", 50, 150)]), crashed(true, false), there.clone());
    assert_eq!(
        (given.states(), given.there.len(), given.sent.clone()),
        (vec!["backup".to_owned()], 0, vec![(Id(0), 0)])
    );
    // Long after: the addresses are there only if nobody can have taken over meanwhile.
    let later = Node::after(setup(vec![instance("VI_1", 50, 150)]), crashed(false, true), there.clone());
    assert_eq!(later.states(), ["master"]);
    let fast = Instance { interval: 1000 * MS / 10, version: Version::V3, ..instance("VI_1", 50, 150) };
    let mut later = Node::after(setup(vec![fast]), crashed(false, true), there);
    assert_eq!((later.states(), later.there.len()), (vec!["backup".to_owned()], 0));
    assert_eq!(later.notices(), ["VI_1 Backup"]);
}

#[test]
fn what_is_configured_no_longer_is_taken_away_at_the_start() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(4000 * MS);
    let before = Before { lives: node.machine.lives(), ..Before::default() };
    let next = Node::after(setup(vec![instance("VI_9", 59, 150)]), before, node.there.clone());
    assert_eq!(next.there.len(), 0);
}

#[test]
fn leases_are_refreshed_three_times_as_often_as_they_run_out() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(3500 * MS);
    node.refreshed = 0;
    node.after_time(10_000 * MS);
    assert!((9..=11).contains(&node.refreshed), "{}", node.refreshed);
}

#[test]
fn leases_of_addresses_that_were_all_away_for_a_while_are_refreshed_again() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(3500 * MS);
    let held = node.there[0].clone();
    // Often enough for it to be put back only a while later, and nothing is there when leases are due.
    while !node.there.is_empty() {
        node.there.clear();
        node.with(|machine, now| machine.handle_address_gone(now, 1, held.address.ip, 24));
    }
    node.with(Machine::refresh_leases);
    node.after_time(5000 * MS);
    assert_eq!(node.there, [held]);
    node.refreshed = 0;
    node.after_time(10_000 * MS);
    assert!((9..=11).contains(&node.refreshed), "{}", node.refreshed);
}

#[test]
fn a_lease_that_a_reload_brings_is_kept_and_one_that_it_ends_is_none_any_more() {
    let all = setup(vec![instance("VI_1", 50, 150)]);
    let mut node = Node::new(Setup { lease: None, ..all.clone() });
    node.after_time(3500 * MS);
    for (lease, times) in [(all.lease, 9..=11), (None, 1..=1)] {
        node.with(|machine, now| machine.handle_reload(now, Setup { lease, ..all.clone() }));
        node.refreshed = 0;
        node.after_time(10_000 * MS);
        assert!(times.contains(&node.refreshed), "{lease:?}: {}", node.refreshed);
    }
}

#[test]
fn nobody_wakes_up_for_a_lease_alone_where_an_advert_is_about_to_leave() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.after_time(3500 * MS);
    node.sent.clear();
    let (begun, mut wakes) = (node.now, 0_u32);
    while node.now < begun + 10_000 * MS {
        // A little late, and never by the same time, as a kernel is.
        node.now = node.machine.poll_timeout().expect("a master has plans") + MS * (7 - wakes % 5);
        node.machine.handle_timeout(node.now);
        node.act();
        wakes += 1;
    }
    // The second burst of announcements comes in between.
    assert!(wakes as usize <= node.sent.len() + 1, "{wakes} for {} adverts", node.sent.len());
}

#[test]
fn a_transition_tells_its_cause() {
    let mut node = Node::new(setup(vec![instance("VI_1", 50, 150)]));
    node.hears(1, 50, 1, 200, PASS);
    node.after_time(4000 * MS);
    let causes: Vec<Cause> = node
        .told
        .iter()
        .filter_map(|told| match told {
            FromVrrp::Report(Report::Transition { cause, .. }) => Some(*cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [Cause::Started, Cause::MasterSilent { master: Some(ip(1)) }]);
}
