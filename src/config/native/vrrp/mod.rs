//! `[[vrrp]]` and its kin: virtual addresses in `syncd.toml`.

pub(super) mod file;
mod instance;
#[cfg(test)]
mod tests;
mod track;
pub(super) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use syncd_compat::{Severity, nearest};
use toml::Spanned;

use super::file::File;
use super::{Context, fault, path, value};
use crate::config::value::duration;
use crate::config::vrrp::{LEASE, is_interface};
use crate::config::{Vrrp, native};
use crate::vrrp::setup::{Family, Fifo, Scheduling, Setup, SyncGroup, Tracking, User};
use file::{GlobalTable, GroupTable, InstanceTable};

/// The shortest lease: the kernel counts in seconds.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// The virtual addresses of the file, where it has any; what is wrong with them goes to the findings.
pub(super) fn read(cx: &mut Context<'_>, file: &File) -> Option<Vrrp> {
    let mut passwords = BTreeMap::new();
    let mut track = track::Track::new(cx, file);
    let mut instances = Vec::new();
    for table in &file.vrrp {
        // What is wrong is said of all of them.
        instances.extend(instance::instance(
            cx,
            table,
            file.vrrp_global.dynamic_interfaces,
            &mut track,
            &mut passwords,
        ));
    }
    let groups: Vec<SyncGroup> = file.vrrp_group.iter().map(|table| group(cx, table, &mut track)).collect();
    unique(cx, file, &instances);
    members(cx, file);
    weights(cx, file, &instances, &groups);
    let fifos: Vec<Fifo> = file.vrrp_fifo.iter().filter_map(|table| fifo(cx, table)).collect();
    let setup = Setup { instances, groups, fifos, ..global(cx, &file.vrrp_global, file) };
    let setup = Setup { scripts: track.scripts, processes: track.processes, files: track.files, ..setup };
    let said = setup.groups.len() + setup.scripts.len() + setup.processes.len() + setup.files.len() + setup.fifos.len();
    if file.vrrp.is_empty() && (said > 0 || file.vrrp_global != GlobalTable::default()) {
        let message = "there is no `[[vrrp]]`, and so nothing that the other tables about it could be for".to_owned();
        fault(cx, 0..0, "toml-vrrp", message, "write one, or remove them");
    }
    (!file.vrrp.is_empty()).then_some(Vrrp { setup, passwords })
}

fn global(cx: &mut Context<'_>, table: &GlobalTable, file: &File) -> Setup {
    let name = file.node.name.clone().unwrap_or_else(|| cx.machine.name.clone());
    let lease = |text: &str| match text {
        "off" => Ok(None),
        text => match duration(text)? {
            time if time >= SHORTEST_LEASE => Ok(Some(time)),
            _ => Err(format!("`{text}` is shorter than 1s: write at least 1s, or off")),
        },
    };
    let time = |cx: &mut Context<'_>, said: &Option<Spanned<String>>| {
        said.as_ref().and_then(|said| value(cx, said, duration)).unwrap_or_default()
    };
    let realtime = table.realtime.as_ref().filter(|said| {
        let fits = (1..=99).contains(said.get_ref());
        if !fits {
            fault(cx, said.span(), "toml-value", "a real-time priority is from 1 to 99".to_owned(), "write 50");
        }
        fits
    });
    let realtime = realtime.map(|said| *said.get_ref());
    let nice = table.nice.as_ref().map_or(0, |said| {
        if !(-20..=19).contains(said.get_ref()) {
            fault(cx, said.span(), "toml-value", "nice is from -20 to 19".to_owned(), "write 0");
        }
        *said.get_ref()
    });
    let realtime_limit = table.realtime_limit.as_ref().and_then(|said| value(cx, said, duration));
    Setup {
        router_id: table.router_id.clone().unwrap_or(name),
        fifo_states_on_reload: table.fifo_states_on_reload,
        garp_interval: time(cx, &table.garp_interval),
        gna_interval: time(cx, &table.gna_interval),
        startup_delay: time(cx, &table.startup_delay),
        dynamic_interfaces: table.dynamic_interfaces,
        lease: table.lease.as_ref().and_then(|said| value(cx, said, lease)).unwrap_or(Some(LEASE)),
        scheduling: Scheduling {
            realtime,
            realtime_limit: realtime_limit.and_then(|limit| u64::try_from(limit.as_micros()).ok()),
            nice,
            no_swap: table.no_swap,
        },
        ..Setup::default()
    }
}

fn group(cx: &mut Context<'_>, table: &GroupTable, track: &mut track::Track) -> SyncGroup {
    let name = table.name.get_ref().clone();
    SyncGroup {
        members: table.members.iter().map(|member| member.get_ref().clone()).collect(),
        track: track.tracking(cx, &format!("group-{name}"), &table.track),
        notify: track::notify(cx, &table.notify),
        member_weights: table.member_weights,
        name,
    }
}

fn fifo(cx: &mut Context<'_>, table: &file::FifoTable) -> Option<Fifo> {
    if !table.path.get_ref().starts_with('/') {
        let message = format!("`{}` is no absolute path", table.path.get_ref());
        fault(cx, table.path.span(), "toml-value", message, "write it from `/` on");
    }
    let script = match &table.script {
        Some(script) => Some(track::command(cx, script, table.user.as_ref())?),
        None => None,
    };
    let owner = match &table.owner {
        Some(owner) => Some(user(cx, owner)?),
        None => None,
    };
    Some(Fifo { path: path(cx, &table.path), owner, script })
}

/// Names, VRIDs and addresses that may stand only once.
fn unique(cx: &mut Context<'_>, file: &File, instances: &[crate::vrrp::setup::Instance]) {
    let mut names: BTreeSet<(bool, &str)> = BTreeSet::new();
    let of_instances = file.vrrp.iter().map(|table| (false, &table.name));
    for (of, said) in of_instances.chain(file.vrrp_group.iter().map(|table| (true, &table.name))) {
        if said.get_ref().is_empty() || !names.insert((of, said.get_ref())) {
            let message = format!("`{}` is no name, or another's already", said.get_ref());
            fault(cx, said.span(), "toml-vrrp", message, "give each instance and each group a name of its own");
        }
    }
    let (mut vrids, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let table_of: BTreeMap<&str, &InstanceTable> =
        file.vrrp.iter().map(|table| (table.name.get_ref().as_str(), table)).collect();
    for instance in instances {
        let Some(table) = table_of.get(instance.name.as_str()) else { continue };
        let family = instance.family == Family::V6;
        if let Some(other) = vrids.insert((&instance.interface, instance.vrid, family), &instance.name) {
            let message = format!("VRID {} is also that of `{other}`", instance.vrid);
            fault(cx, table.vrid.span(), "toml-vrrp", message, "take another: one for each instance of an interface");
        }
        let said = table.addresses.iter().chain(&table.excluded);
        for (address, said) in instance.addresses.iter().chain(&instance.excluded).zip(said) {
            let link = address.device.as_ref().unwrap_or(&instance.interface);
            // Twice in one instance it is advertised twice, as a keepalived beside it may want it.
            let other = addresses.insert((address.ip, link), &instance.name).filter(|other| **other != instance.name);
            if let Some(other) = other {
                let message = format!("`{}` is also an address of `{other}`", address.ip);
                fault(cx, said.span(), "toml-vrrp", message, "let one instance move it, once");
            }
        }
    }
}

/// What groups name.
fn members(cx: &mut Context<'_>, file: &File) {
    let known: Vec<&str> = file.vrrp.iter().map(|table| table.name.get_ref().as_str()).collect();
    let known_set: BTreeSet<&str> = known.iter().copied().collect();
    let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
    for table in &file.vrrp_group {
        if table.members.is_empty() {
            let message = format!("the group `{}` has no members", table.name.get_ref());
            fault(cx, table.name.span(), "toml-vrrp", message, "name its instances, or remove it");
        }
        for member in &table.members {
            let name = member.get_ref().as_str();
            if !known_set.contains(name) {
                unknown(cx, member.span(), "[[vrrp]]", name, &known);
            } else if let Some(other) = group_of.insert(name, table.name.get_ref()) {
                let message = format!("`{name}` is in the group `{other}` already");
                fault(cx, member.span(), "toml-vrrp", message, "remove one of the two");
            }
        }
    }
}

/// Weights that nothing would be added to: of an owner, and of a member whose group does without.
fn weights(cx: &mut Context<'_>, file: &File, instances: &[crate::vrrp::setup::Instance], groups: &[SyncGroup]) {
    let weightless: BTreeSet<&str> = groups
        .iter()
        .filter(|group| !group.member_weights)
        .flat_map(|group| &group.members)
        .map(String::as_str)
        .collect();
    let weighed = |tracking: &Tracking| {
        let Tracking { interfaces, scripts, processes, files } = tracking;
        [interfaces, scripts, processes, files].into_iter().flatten().any(|track| track.weight != 0)
    };
    let table_of: BTreeMap<&str, &InstanceTable> =
        file.vrrp.iter().map(|table| (table.name.get_ref().as_str(), table)).collect();
    for instance in instances.iter().filter(|instance| weighed(&instance.track)) {
        let why = match (instance.priority, weightless.contains(instance.name.as_str())) {
            (255, _) => "priority 255 is an owner's and never changes",
            (_, true) => "its group does without: write member-weights = true there",
            _ => continue,
        };
        if let Some(table) = table_of.get(instance.name.as_str()) {
            let message = format!("weights of `{}` do nothing: {why}", instance.name);
            fault(cx, table.name.span(), "toml-vrrp", message, "write no weight, which is a fault");
        }
    }
}

/// `USER` or `USER:GROUP`. Of a file that may be another machine's one that is not here stands for it.
fn user(cx: &mut Context<'_>, said: &Spanned<String>) -> Option<User> {
    let why = match words::user(cx.machine, said.get_ref()) {
        Ok(user) => return Some(user),
        Err(why) => why,
    };
    native::lack(cx, said, why);
    (cx.machine.lack() == Severity::Warning).then_some(User { uid: u32::MAX, gid: u32::MAX })
}

/// Says that nothing has that name.
fn unknown(cx: &mut Context<'_>, span: Range<usize>, what: &str, name: &str, known: &[&str]) {
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write a `{what}` of that name"),
    };
    fault(cx, span, "toml-vrrp", format!("there is no `{what}` called `{name}`"), &help);
}

/// Whether there is such an interface, or need not be one yet; what is not there is said.
fn interface(cx: &mut Context<'_>, name: &str, span: Range<usize>, dynamic: bool) {
    if !is_interface(name) {
        let message = format!("`{name}` is no name of an interface");
        return fault(cx, span, "toml-vrrp", message, "write at most 15 bytes without blanks, `/` and `:`");
    }
    if dynamic || cx.machine.has_interface(name) {
        return;
    }
    let known: Vec<&str> = cx.machine.interfaces().collect();
    let help = format!("there are {}; for one that comes later write dynamic-interfaces = true", known.join(", "));
    fault(cx, span, "toml-vrrp", format!("there is no interface `{name}`"), &help);
}

/// A time, or what is in force without it.
fn time(cx: &mut Context<'_>, said: Option<&Spanned<String>>, default: Duration) -> Duration {
    said.and_then(|said| value(cx, said, duration)).unwrap_or(default)
}

/// A number from 1 on, or what is in force without it.
fn count(cx: &mut Context<'_>, said: Option<&Spanned<u32>>, default: u32) -> u32 {
    let Some(said) = said else { return default };
    if *said.get_ref() == 0 {
        native::fault(cx, said.span(), "toml-value", "this is a number from 1 on".to_owned(), "write 1");
    }
    *said.get_ref()
}
