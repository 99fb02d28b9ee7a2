//! A reload that brings a member to a group.

use super::*;

/// A group that is master, and what a reload makes of it.
fn joined(other: Instance) -> (Node, Setup) {
    let mut node = Node::new(grouped());
    node.after_time(4000 * MS);
    assert_eq!((node.states(), node.there.len()), (vec!["master".to_owned(); 2], 2));
    node.notices();
    let mut more = grouped();
    more.groups[0].members.push(other.name.clone());
    more.instances.push(other);
    (node, more)
}

#[test]
fn a_member_that_a_reload_brings_joins_a_group_that_is_master() {
    let (mut node, more) = joined(instance("VI_3", 52, 100));
    node.sent.clear();
    node.with(|machine, now| machine.handle_reload(now, more));
    assert_eq!((node.states(), node.there.len()), (["master", "master", "backup"].map(str::to_owned).to_vec(), 2));
    // Whom it would not let be has no say.
    node.hears(1, 52, 1, 50, PASS);
    node.after_time(4000 * MS);
    assert_eq!((node.states(), node.there.len()), (vec!["master".to_owned(); 3], 3));
    assert!(node.sent.iter().all(|(_, priority)| *priority == 100), "{:?}", node.sent);
    assert_eq!(node.notices(), ["VI_3 Backup", "VI_3 Master"]);
    // From then on it is one of them.
    node.hears(1, 52, 1, 150, PASS);
    assert_eq!((node.states(), node.there.len()), (vec!["backup".to_owned(); 3], 0));
}

#[test]
fn a_group_is_where_the_master_of_a_new_member_is() {
    let (mut node, more) = joined(instance("VI_3", 52, 100));
    node.with(|machine, now| machine.handle_reload(now, more));
    node.hears(1, 52, 1, 150, PASS);
    assert_eq!((node.states(), node.there.len()), (vec!["backup".to_owned(); 3], 0));
}

#[test]
fn a_new_member_that_cannot_be_master_takes_the_group_along() {
    let (mut node, more) = joined(on("eth9", instance("VI_3", 52, 100)));
    node.with(|machine, now| machine.handle_reload(now, more));
    assert_eq!((node.states(), node.there.len()), (vec!["fault".to_owned(); 3], 0));
}
