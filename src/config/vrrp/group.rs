//! `vrrp_sync_group`: instances that are master together.

use std::collections::{BTreeMap, BTreeSet};

use syncd_compat::keepalived::{At, Group, Located};

use super::command::Commands;
use super::track::{self, Tracked};
use super::{Context, instance, notify};
use crate::vrrp::setup::{Instance, SyncGroup};

/// The groups, of which none has a member that cannot run: `instances` loses the others of such a group.
pub(super) fn all(
    cx: &mut Context<'_>,
    commands: &mut Commands,
    tracked: &Tracked<'_>,
    instances: &mut Vec<Instance>,
) -> Vec<SyncGroup> {
    let conf = cx.conf;
    let written: BTreeSet<&str> = conf.instances.iter().map(|said| said.name.value.as_str()).collect();
    let mut running: BTreeSet<String> = instances.iter().map(|instance| instance.name.clone()).collect();
    let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
    let mut groups = Vec::new();
    for said in &conf.groups {
        let members = members(cx, said, &written, &mut group_of);
        let mut runs = true;
        for track in &said.track.interfaces {
            runs &= instance::exists(cx, &track.name);
        }
        runs &= all_run(cx, said, &members, &running);
        let names: Vec<String> = members.iter().map(|member| member.value.clone()).collect();
        let notify = notify::notify(cx, commands, &said.notify);
        if !runs {
            names.iter().for_each(|name| {
                running.remove(name);
            });
        } else if !names.is_empty() {
            // One alone is tracked and told of as a group is.
            let track = tracked.tracking(&said.track);
            let member_weights = said.tracking_weight.value;
            groups.push(SyncGroup { name: said.name.value.clone(), members: names, track, notify, member_weights });
        }
    }
    instances.retain(|instance| running.contains(&instance.name));
    ignore_weights(cx, &groups, instances);
    groups
}

/// The instances that the group names and that no group before it has.
fn members<'a>(
    cx: &mut Context<'_>,
    said: &'a Group,
    written: &BTreeSet<&str>,
    group_of: &mut BTreeMap<&'a str, &'a str>,
) -> Vec<&'a Located<String>> {
    let mut members = Vec::new();
    for member in said.members.iter().filter(|member| written.contains(member.value.as_str())) {
        match group_of.get(member.value.as_str()) {
            Some(other) => {
                let message = format!("`{}` is in the group `{other}` already, where it stays", member.value);
                cx.warn("keepalived-group", member.at, message, "remove one of the two");
            }
            None => {
                group_of.insert(&member.value, &said.name.value);
                members.push(member);
            }
        }
    }
    members
}

/// Whether all of them run: one that does not is never master, and so the others must not be.
fn all_run(cx: &mut Context<'_>, said: &Group, members: &[&Located<String>], running: &BTreeSet<String>) -> bool {
    let runs = |member: &&&Located<String>| running.contains(&member.value);
    let Some(absent) = members.iter().find(|member| !runs(member)) else { return true };
    let others = members.iter().filter(runs).map(|member| format!("`{}`", member.value)).collect::<Vec<_>>();
    if !others.is_empty() {
        let message = format!(
            "`{}` does not run, and so {} of the group `{}` must not be master: none of them runs",
            absent.value,
            others.join(", "),
            said.name.value
        );
        cx.error("keepalived-group", absent.at, message, "correct it, or take it out of the group");
    }
    false
}

/// Without `sync_group_tracking_weight` priorities of members do not move: an interface with a weight is
/// a fault without it, as is a file with the usual weight; all else that has a weight is not tracked.
fn ignore_weights(cx: &mut Context<'_>, groups: &[SyncGroup], instances: &mut [Instance]) {
    let conf = cx.conf;
    let places: BTreeMap<&str, At> = conf.instances.iter().map(|one| (one.name.value.as_str(), one.name.at)).collect();
    let weightless = groups.iter().filter(|group| !group.member_weights);
    let group_of: BTreeMap<&str, &SyncGroup> =
        weightless.flat_map(|group| group.members.iter().map(move |member| (member.as_str(), group))).collect();
    for instance in instances {
        let Some(group) = group_of.get(instance.name.as_str()) else { continue };
        if !track::retain_faults(&mut instance.track, true) {
            continue;
        }
        let message = format!(
            "weights of `{}` are ignored, since it is in the group `{}`: interfaces are a fault instead",
            instance.name, group.name
        );
        let help = "write `sync_group_tracking_weight` in the group, or weight 0, which is a fault";
        let at = places.get(instance.name.as_str()).copied().unwrap_or_default();
        cx.warn("keepalived-group-weight", at, message, help);
    }
}
