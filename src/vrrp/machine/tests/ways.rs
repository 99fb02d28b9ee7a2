//! Routes and rules that move.

use super::*;
use crate::vrrp::setup::{Route, RouteKind, Rule};

/// A master with a route and a rule.
fn master() -> Node {
    let mut node = Node::new(setup(vec![leading()]));
    node.after_time(4000 * MS);
    assert_eq!(node.ways, [Ways::Remove, Ways::Make], "what an earlier life left, and once after the addresses");
    node.ways.clear();
    node
}

fn leading() -> Instance {
    let route = Route {
        kind: RouteKind::Unicast,
        to: (IpAddr::from([10, 1, 0, 0]), 16),
        gateway: None,
        device: None,
        source: Some(ip(50)),
        metric: None,
        table: 254,
        scope: None,
        mtu: None,
        on_link: false,
    };
    let (from, to) = (Some((ip(50), 32)), None);
    let rule = Rule { family: Family::V4, from, to, input: None, output: None, mark: None, priority: None, table: 100 };
    Instance { routes: vec![route], rules: vec![rule], ..instance("VI_1", 50, 150) }
}

#[test]
fn what_leads_by_an_address_is_made_again_once_that_is_back() {
    let mut node = master();
    node.there.clear();
    node.with(|machine, now| machine.handle_address_gone(now, 1, ip(50), 24));
    assert_eq!((node.there.len(), std::mem::take(&mut node.ways)), (1, vec![Ways::Make]));
    // Of the same address a reload says something else.
    let mut labelled = leading();
    labelled.addresses[0].label = Some("eth0:1".to_owned());
    node.with(|machine, now| machine.handle_reload(now, setup(vec![labelled])));
    assert_eq!(node.ways, [Ways::Make]);
}

#[test]
fn a_reload_makes_another_route_after_the_address_that_it_leads_by() {
    let mut node = master();
    let mut other = leading();
    (other.addresses[0].ip, other.routes[0].source) = (ip(60), Some(ip(60)));
    node.machine.handle_reload(node.now, setup(vec![other]));
    let done = std::iter::from_fn(|| node.machine.poll_action()).filter_map(|action| match action {
        Action::Take { .. } => Some("take".to_owned()),
        Action::Put { .. } => Some("put".to_owned()),
        Action::Routes { ways, .. } => Some(format!("{ways:?}")),
        _ => None,
    });
    assert_eq!(done.collect::<Vec<_>>(), ["Remove", "take", "put", "Make"]);
}

#[test]
fn who_removes_a_route_or_a_rule_again_and_again_makes_it_wait() {
    let mut node = master();
    node.with(|machine, now| machine.handle_route_gone(now, Family::V4, 16, 254));
    node.with(|machine, now| machine.handle_rule_gone(now, Family::V4, 100));
    node.after_time(Duration::ZERO);
    assert_eq!(node.ways, [Ways::Repair]);
    node.with(|machine, now| machine.handle_rule_gone(now, Family::V4, 100));
    node.after_time(Duration::ZERO);
    assert_eq!((node.ways.len(), node.machine.poll_timeout()), (1, Some(node.now + 10 * MS)));
    // Those of others are nobody's business here.
    node.with(|machine, now| {
        machine.handle_route_gone(now, Family::V6, 16, 254);
        machine.handle_route_gone(now, Family::V4, 24, 254);
        machine.handle_route_gone(now, Family::V4, 16, 100);
        machine.handle_rule_gone(now, Family::V4, 254);
    });
    node.after_time(10 * MS);
    assert_eq!(node.ways, [Ways::Repair; 2]);
    for _ in 0..1000 {
        node.with(|machine, now| machine.handle_route_gone(now, Family::V4, 16, 254));
        node.after_time(10 * MS);
    }
    assert!((10..=15).contains(&node.ways.len()), "{} in ten seconds", node.ways.len());
}

#[test]
fn what_could_not_be_made_is_tried_again_and_only_by_a_master() {
    let mut node = master();
    let failed = |machine: &mut Machine, now| machine.handle_ways(now, Id(0), Some("no way".to_owned()));
    node.with(failed);
    node.after_time(999 * MS);
    assert_eq!(node.ways, []);
    node.after_time(1 * MS);
    assert_eq!(node.ways, [Ways::Repair]);
    node.with(failed);
    node.with(|machine, now| machine.handle_link(now, link(1, false)));
    node.with(Machine::handle_ways_lost);
    node.after_time(5000 * MS);
    assert_eq!(node.ways, [Ways::Repair, Ways::Remove]);
}

#[test]
fn an_interface_that_comes_back_has_lost_its_routes() {
    let mut node = master();
    node.with(|machine, now| machine.handle_link(now, link(2, false)));
    assert_eq!(node.ways, []);
    node.with(|machine, now| machine.handle_link(now, link(2, true)));
    node.after_time(Duration::ZERO);
    assert_eq!(node.ways, [Ways::Repair]);
}
