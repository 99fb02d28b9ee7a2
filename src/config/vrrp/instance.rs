//! One `vrrp_instance` as a virtual router.

use std::collections::BTreeSet;
use std::time::Duration;

use syncd_compat::keepalived::{AuthKind, Globals, Instance, Located, State};
use syncd_compat::nearest;

use super::command::Commands;
use super::track::{self, Tracked};
use super::{Context, address, notify, route, timing, transport};
use crate::vrrp::packet::{Auth, Version};
use crate::vrrp::setup::{self, Family, Garp, Vmac};

/// The longest name of an interface.
const LONGEST_NAME: usize = 15;

/// The priority of who owns the addresses.
const OWNER: u8 = 255;

/// Those that can run, in the order of the file.
pub(super) fn all(cx: &mut Context<'_>, commands: &mut Commands, tracked: &Tracked<'_>) -> Vec<setup::Instance> {
    let conf = cx.conf;
    let mut names = BTreeSet::new();
    let mut instances = Vec::new();
    for said in &conf.instances {
        // All is said of one that is refused, so that nothing is left to be found at the next attempt.
        let made = instance(cx, commands, tracked, said, &mut names);
        instances.extend(made.filter(|_| !said.refused));
    }
    instances
}

fn instance(
    cx: &mut Context<'_>,
    commands: &mut Commands,
    tracked: &Tracked<'_>,
    said: &Instance,
    names: &mut BTreeSet<String>,
) -> Option<setup::Instance> {
    let family = if said.is_v6() { Family::V6 } else { Family::V4 };
    let version = if said.version.value == 3 { Version::V3 } else { Version::V2 };
    let strict = said.common.strict.value;
    let interface = interface(cx, said);
    let fits = devices(cx, said);
    let auth = auth(cx, said, version);
    let transport = transport::transport(cx, said, family);
    let source = transport::source(cx, said, family);
    let (addresses, excluded) = address::addresses(cx, said, family, version);
    let routes = route::routes(cx, said);
    let rules = route::rules(cx, said);
    let vmac = match &said.vmac {
        Some(_) => vmac(cx, said, family, names).map(Some),
        None => Some(None),
    };
    let notify = notify::notify(cx, commands, &said.notify);
    let mut tracking = tracked.tracking(&said.track);
    let own = said.interface.as_ref().map(|own| own.value.as_str());
    // Its own is tracked anyway.
    tracking.interfaces.retain(|track| track.weight != 0 || Some(track.name.as_str()) != own);
    if said.priority.value == OWNER {
        track::retain_faults(&mut tracking, false);
    }
    let (preempt, preempt_delay) = preemption(said);
    let allowed = unicast_in_strict(cx, said);
    fits.then_some(())?;
    allowed.then_some(())?;
    Some(setup::Instance {
        name: said.name.value.clone(),
        interface: interface?,
        vrid: said.vrid.as_ref()?.value,
        version,
        family,
        priority: said.priority.value,
        interval: timing::interval(version, said.advert_int.value),
        preempt,
        preempt_delay,
        auth: auth?,
        addresses,
        excluded,
        routes: routes?,
        rules: rules?,
        transport: transport?,
        source,
        track_source: said.track_src_ip.value && source.is_some(),
        down_adverts: said.common.down_timer_adverts.value.into(),
        lower_priority_no_advert: said.common.lower_prio_no_advert.value || strict,
        checksum_without_pseudo_header: said.v3_checksum_as_v2.value,
        garp: garp(said, &cx.conf.globals),
        vmac: vmac?,
        accept: accept(said, version),
        track: tracking,
        ignore_interface: said.dont_track_primary.value,
        notify,
        notify_priority: said.common.notify_priority_changes.value,
    })
}

/// The interface, where there is one that can be used.
fn interface(cx: &mut Context<'_>, said: &Instance) -> Option<String> {
    let Some(name) = &said.interface else {
        // Without peers the grammar has said so.
        if !said.unicast.peers.is_empty() {
            let message =
                format!("the instance `{}` has no `interface`, which unicast needs too here", said.name.value);
            cx.error("keepalived-no-interface", said.name.at, message, "write `interface NAME` on a line of its own");
        }
        return None;
    };
    if name.value == "lo" {
        let message = "nobody hears an instance on the loopback `lo`".to_owned();
        cx.error("keepalived-interface", name.at, message, "name the interface of the LAN");
        return None;
    }
    exists(cx, name).then(|| name.value.clone())
}

/// Whether all interfaces that it names besides its own are there.
fn devices(cx: &mut Context<'_>, said: &Instance) -> bool {
    let own = said.vmac.as_ref().and_then(|vmac| vmac.name.as_ref()).map(|name| name.value.as_str());
    let addresses = said.addresses.iter().chain(&said.excluded).filter_map(|address| address.device.as_ref());
    let tracked = said.track.interfaces.iter().map(|track| &track.name);
    let named: Vec<_> = addresses.chain(tracked).filter(|name| Some(name.value.as_str()) != own).collect();
    let mut fits = true;
    for name in named {
        fits &= exists(cx, name);
    }
    fits
}

/// Whether the kernel would take it for the name of an interface.
pub(in crate::config) fn is_interface(name: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(wrong) && !matches!(name, "." | "..")
}

/// Whether there is such an interface, or need not be one yet.
pub(super) fn exists(cx: &mut Context<'_>, name: &Located<String>) -> bool {
    if !is_interface(&name.value) {
        let message = format!("`{}` is no name of an interface", name.value);
        cx.error("keepalived-interface", name.at, message, "write at most 15 bytes without blanks, `/` and `:`");
        return false;
    }
    if cx.conf.globals.dynamic_interfaces.value || cx.host.machine.has_interface(&name.value) {
        return true;
    }
    let known: Vec<&str> = cx.host.machine.interfaces().collect();
    let listed = format!("there are {}", known.join(", "));
    let help = match nearest(&name.value, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {listed}"),
        None => format!("{listed}; for one that comes later write `dynamic_interfaces` in `global_defs`"),
    };
    let message = format!("there is no interface `{}`: the instance does not run", name.value);
    cx.error("keepalived-interface", name.at, message, &help);
    false
}

/// What proves an advertisement; none where its peers would want what syncd has not.
fn auth(cx: &mut Context<'_>, said: &Instance, version: Version) -> Option<Auth> {
    let Some(auth) = said.auth.as_ref().filter(|_| version == Version::V2 && !said.common.strict.value) else {
        return Some(Auth::None);
    };
    match (auth.kind.value, &auth.password) {
        (AuthKind::Ah, _) => {
            let message = "`auth_type AH` is not supported: its nodes would not hear each other, and both be master";
            let help = "write `auth_type PASS` on all nodes, or remove `authentication` there";
            cx.error("setting-refused", auth.kind.at, message.to_owned(), help);
            None
        }
        (AuthKind::Pass, Some(password)) if !password.value.is_empty() => Some(Auth::Pass(password.value.wire())),
        _ => Some(Auth::None),
    }
}

/// Whether it takes over from a lower priority.
pub(in crate::config) fn preempts(said: &Instance) -> bool {
    preemption(said).0
}

/// Whether it takes over from a lower priority, and how long it waits with it: keepalived's order of what cancels what.
fn preemption(said: &Instance) -> (bool, Duration) {
    let owner = said.priority.value == OWNER;
    let strict = said.common.strict.value;
    // In strict mode who owns the addresses is MASTER, and nobody else.
    let master = owner || (said.state.value == State::Master && !strict);
    let preempt = said.preempt.value || master;
    let waits = preempt && !master && !strict && said.preempt.value;
    (preempt, if waits { said.preempt_delay.value } else { Duration::ZERO })
}

/// Strict mode forbids unicast, and keepalived ends because of it.
fn unicast_in_strict(cx: &mut Context<'_>, said: &Instance) -> bool {
    let Some(peer) = said.unicast.peers.first().filter(|_| said.common.strict.value) else { return true };
    let message = "strict mode has no unicast: keepalived does not start with it".to_owned();
    cx.error("keepalived-strict", peer.address.at, message, "remove `vrrp_strict` (or `strict_mode`)");
    false
}

fn accept(said: &Instance, version: Version) -> bool {
    let strict_v2 = said.common.strict.value && version == Version::V2;
    said.priority.value == OWNER || (said.accept.value && !strict_v2)
}

/// `garp_*`, with `vrrp_min_garp` where nothing else is written, and without what strict mode forbids.
fn garp(said: &Instance, globals: &Globals) -> Garp {
    let (own, general) = (&said.garp, &globals.garp);
    let mut garp = Garp {
        delay: own.master_delay.value,
        repeat: own.master_repeat.value,
        refresh: own.master_refresh.value,
        refresh_repeat: own.master_refresh_repeat.value,
        lower_delay: own.lower_prio_delay.value,
        lower_repeat: own.lower_prio_repeat.value,
    };
    if globals.min_garp.value {
        let delay_said = general.master_delay.is_written();
        let repeat_said = general.master_repeat.is_written();
        if !delay_said && !own.master_delay.is_written() {
            garp.delay = Duration::ZERO;
        }
        if !repeat_said && !own.master_repeat.is_written() {
            garp.repeat = 1;
        }
        if !delay_said && !own.lower_prio_delay.is_written() && !general.lower_prio_delay.is_written() {
            garp.lower_delay = Duration::ZERO;
        }
        if !repeat_said && !own.lower_prio_repeat.is_written() && !general.lower_prio_repeat.is_written() {
            garp.lower_repeat = 1;
        }
    }
    if said.common.strict.value {
        (garp.lower_delay, garp.lower_repeat) = (Duration::ZERO, 0);
    }
    garp
}

/// The interface of its own, under a name that no other instance has.
fn vmac(cx: &mut Context<'_>, said: &Instance, family: Family, names: &mut BTreeSet<String>) -> Option<Vmac> {
    let vmac = said.vmac.as_ref()?;
    let vrid = said.vrid.as_ref()?.value;
    let kind = if family == Family::V4 { 1 } else { 2 };
    let mac = vmac.mac.as_ref().map_or([0, 0, 0x5e, 0, kind, vrid], |mac| mac.value);
    let name = match &vmac.name {
        Some(name) if !is_interface(&name.value) => {
            let message = format!("`{}` is neither a name of an interface nor a MAC of six bytes", name.value);
            cx.error("keepalived-vmac", name.at, message, "write `use_vmac NAME 00:00:5e:00:01:NN`");
            return None;
        }
        Some(name) => name.value.clone(),
        None => free_name(vrid, family, names),
    };
    if !names.insert(name.clone()) {
        let message = format!("the interface `{name}` is another instance's already");
        cx.error("keepalived-vmac", vmac.at, message, "write another name behind `use_vmac`");
        return None;
    }
    let transmit_base = vmac.transmit_base.value && !said.common.strict.value;
    Some(Vmac { name, mac, transmit_base })
}

/// As keepalived names them: `vrrp.VRID`, and where that is taken `vrrp6.VRID` or `vrrpN.VRID`.
fn free_name(vrid: u8, family: Family, taken: &BTreeSet<String>) -> String {
    let six = (family == Family::V6).then(|| format!("vrrp6.{vrid}"));
    let numbered = (1..=u16::MAX).filter(|n| *n != 6).map(|n| format!("vrrp{n}.{vrid}"));
    let mut names = std::iter::once(format!("vrrp.{vrid}")).chain(six).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}
