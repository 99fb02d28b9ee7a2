//! What a file says that hardly anybody means: each is legal, or passed over by keepalived in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::place::At;
use super::tree::{AuthKind, Instance, KeepalivedConf, State, Tracking};
use super::weight::{self, Kind, Names};
use crate::diag::Severity;
use crate::findings::Findings;
use crate::nearest;

/// The number that every tutorial has.
const EVERYBODYS_VRID: u8 = 51;

/// The password that goes with it.
const EVERYBODYS_PASSWORD: &[u8] = b"1111";

/// The longest interval that the twelve bits of version 3 hold.
const LONGEST_V3: Duration = Duration::from_millis(40_950);

/// How many of a list are compared with each other, so that a hostile file costs no more than a long one.
const FEW: usize = 200;

/// All that is to be said about one configuration, and which instances an error is about.
pub(super) fn find(conf: &KeepalivedConf) -> (Findings, BTreeSet<usize>) {
    let statics = conf.static_addresses.iter().map(|address| (address.ip.value, address.at)).collect();
    let mut traps = Traps {
        conf,
        names: Names::of(conf),
        statics,
        found: Findings::default(),
        now: None,
        refused: BTreeSet::new(),
    };
    for (at, instance) in conf.instances.iter().enumerate() {
        traps.now = Some(at);
        traps.needs(instance);
        traps.roles(instance);
        traps.identity(instance);
        traps.addresses(instance);
        traps.unicast(instance);
        traps.tracked(&instance.track);
        traps.weights(instance);
    }
    traps.now = None;
    if let (true, Some(at)) = (conf.globals.common.strict.value, conf.globals.common.strict.at) {
        traps.strict(at);
    }
    traps.repeated();
    traps.groups();
    traps.unused();
    (traps.found, traps.refused)
}

struct Traps<'a> {
    conf: &'a KeepalivedConf,
    names: Names<'a>,
    /// Addresses that stay.
    statics: BTreeMap<IpAddr, At>,
    found: Findings,
    /// The instance that is being looked at.
    now: Option<usize>,
    /// Those that an error is about.
    refused: BTreeSet<usize>,
}

/// An address of an instance, the interface that it moves on, and where it is written.
#[derive(Clone, Copy)]
struct Vip<'a> {
    instance: usize,
    link: Option<&'a str>,
    at: At,
}

/// Whether `ip` means something on its own link alone.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

impl Traps<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, at: At, message: String, help: &str) {
        self.found.push(self.conf.sources.finding(severity, code, at, message).help(help));
    }

    fn warn(&mut self, code: &'static str, at: At, message: String, help: &str) {
        self.say(Severity::Warning, code, at, message, help);
    }

    fn error(&mut self, code: &'static str, at: At, message: String, help: &str) {
        self.refused.extend(self.now);
        self.say(Severity::Error, code, at, message, help);
    }

    /// What an instance cannot do without.
    fn needs(&mut self, instance: &Instance) {
        let (name, at) = (&instance.name.value, instance.name.at);
        if instance.interface.is_none() && instance.unicast.peers.is_empty() {
            let message = format!("the instance `{name}` has no `interface`: it does not run");
            self.error("keepalived-no-interface", at, message, "write `interface NAME` on a line of its own");
        }
        if instance.vrid.is_none() {
            let message = format!("the instance `{name}` has no `virtual_router_id`: it does not run");
            self.error("keepalived-no-vrid", at, message, "write `virtual_router_id N` with 1 to 255");
        }
        if instance.addresses.is_empty() && !instance.no_addresses.value {
            let message = format!("the instance `{name}` has no `virtual_ipaddress`");
            self.warn("keepalived-no-address", at, message, "write one, or `no_virtual_ipaddress` where none is meant");
        }
    }

    /// `state`, `priority` and who preempts whom.
    fn roles(&mut self, instance: &Instance) {
        let master = instance.state.value == State::Master;
        let state_at = instance.state.at.unwrap_or(instance.name.at);
        if master && !instance.priority.is_written() {
            let message =
                "`state MASTER` without a priority is priority 255: an owner that no check ever moves".to_owned();
            self.warn("keepalived-master-priority", state_at, message, "write `priority 150`, and less on the others");
        } else if master && instance.priority.value < 100 {
            let message = format!(
                "`state MASTER` with priority {}: `state` decides nothing, and a node with the default of 100 takes over",
                instance.priority.value
            );
            let at = instance.priority.at.unwrap_or(state_at);
            self.warn(
                "keepalived-master-priority",
                at,
                message,
                "give the node that is to be master the highest priority",
            );
        }
        if master && !instance.preempt.value {
            let message = "`nopreempt` has no effect with `state MASTER`: keepalived clears it".to_owned();
            let at = instance.preempt.at.unwrap_or(state_at);
            self.warn("keepalived-nopreempt-master", at, message, "write `state BACKUP` on every node");
        }
        if let (true, Some(at)) = (instance.preempt_delay.value > Duration::ZERO, instance.preempt_delay.at)
            && (master || !instance.preempt.value)
        {
            let with = if master { "state MASTER" } else { "nopreempt" };
            let message = format!("`preempt_delay` has no effect with `{with}`");
            self.warn("keepalived-preempt-delay", at, message, "remove one of the two");
        }
        if let (true, Some(at)) = (instance.common.strict.value, instance.common.strict.at) {
            self.strict(at);
        }
    }

    fn strict(&mut self, at: At) {
        let message =
            "strict mode: the virtual addresses answer nothing, and authentication and unicast are off".to_owned();
        let help = "remove it; it is in the sample file, and hardly ever meant";
        self.warn("keepalived-strict", at, message, help);
    }

    /// VRID, password, interval.
    fn identity(&mut self, instance: &Instance) {
        let auth = instance.auth.as_ref();
        if let (Some(vrid), Some(password)) = (&instance.vrid, auth.and_then(|auth| auth.password.as_ref()))
            && vrid.value == EVERYBODYS_VRID
            && password.value.0 == EVERYBODYS_PASSWORD
        {
            let message =
                "VRID 51 with the password 1111 is in every tutorial: two such pairs on one LAN fight each other"
                    .to_owned();
            self.warn(
                "keepalived-default-vrid",
                vrid.at,
                message,
                "take another VRID, the same on all nodes of this pair",
            );
        }
        let v3 = instance.version.value == 3;
        if let Some(auth) = auth.filter(|auth| v3 && auth.kind.value != AuthKind::None) {
            let message = "version 3 has no authentication: it is left out".to_owned();
            self.warn("keepalived-auth-v3", auth.kind.at, message, "remove it");
        }
        if let Some(auth) = auth.filter(|auth| auth.kind.value == AuthKind::Pass && auth.password.is_none()) {
            let message = "`auth_type PASS` without `auth_pass`: there is no authentication".to_owned();
            self.warn("keepalived-auth", auth.kind.at, message, "write `auth_pass PASSWORD` below it");
        }
        let Some(at) = instance.advert_int.at else { return };
        let interval = instance.advert_int.value;
        if !v3 && interval.subsec_nanos() > 0 {
            let rounded = interval.as_secs_f64().round().max(1.0);
            let message = format!("version 2 knows whole seconds only: this is {rounded} s");
            self.warn("keepalived-advert-int", at, message, "write `vrrp_version 3` on all nodes, or whole seconds");
        }
        if v3 && interval > LONGEST_V3 {
            let message = "version 3 knows no interval above 40.95 s".to_owned();
            self.warn("keepalived-advert-int", at, message, "write a shorter one, the same on all nodes");
        }
    }

    fn addresses(&mut self, instance: &Instance) {
        let v6 = instance.is_v6();
        for address in &instance.addresses {
            let ip = address.ip.value;
            if ip.is_ipv6() != v6 {
                let message = format!("`{ip}` is of another family than the first address: it is left out");
                let help = "put it into `virtual_ipaddress_excluded`, or into an instance of its own";
                self.warn("keepalived-family", address.at, message, help);
            }
        }
        for address in instance.moving() {
            let ip = address.ip.value;
            if let Some(own) = self.statics.get(&ip) {
                let place = self.conf.sources.line_of(*own);
                let message = format!("`{ip}` moves, and is also one that stays ({place}): two nodes have it");
                self.error("keepalived-vip-static", address.at, message, "remove one of the two");
            }
            if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
                let message = format!("`{ip}` is no address that a host can be reached by");
                self.error("keepalived-address", address.at, message, "write an address of the LAN");
            }
        }
    }

    fn unicast(&mut self, instance: &Instance) {
        let unicast = &instance.unicast;
        if let Some(source) = &unicast.source {
            if let Some(peer) = unicast.peers.iter().find(|peer| peer.address.value == source.value) {
                let message = format!("`{}` is this node's own `unicast_src_ip`", source.value);
                self.warn("keepalived-peer-self", peer.address.at, message, "name the other nodes only");
            }
            if unicast.peers.is_empty() {
                let message = "`unicast_src_ip` without `unicast_peer`: adverts go to the multicast group".to_owned();
                self.warn("keepalived-unicast", source.at, message, "write `unicast_peer { ADDRESS }`");
            }
        }
        let vips: BTreeSet<IpAddr> = instance.addresses.iter().map(|address| address.ip.value).collect();
        for peer in unicast.peers.iter().filter(|peer| vips.contains(&peer.address.value)) {
            let message = format!("the peer `{}` is a virtual address: it is sometimes this node", peer.address.value);
            self.error("keepalived-peer-vip", peer.address.at, message, "name the other node's own address");
        }
        let own = instance.interface.as_ref();
        for track in &instance.track.interfaces {
            if own.is_some_and(|own| own.value == track.name.value) && track.weight.is_none_or(|w| w.value == 0) {
                let message =
                    format!("`{}` is the instance's own interface, which is tracked anyway", track.name.value);
                self.say(Severity::Note, "keepalived-own-interface", track.name.at, message, "it can be removed");
            }
        }
    }

    /// Names that nothing has.
    fn tracked(&mut self, tracking: &Tracking) {
        for (kind, track) in tracking.iter() {
            let name = &track.name.value;
            if self.names.weight(kind, name).is_some() {
                continue;
            }
            let what = match kind {
                Kind::Interface | Kind::Script => "vrrp_script",
                Kind::Process => "vrrp_track_process",
                Kind::File => "vrrp_track_file",
            };
            // What was meant is not asked in vain for each of many lines.
            if self.found.skips(Severity::Warning) {
                continue;
            }
            let message = format!("there is no `{what} {name}`: nothing is tracked");
            let help = match nearest(name, self.names.all(kind).take(FEW)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write it, outside of the instance: `{what} {name} {{ … }}`"),
            };
            self.warn("keepalived-unknown-name", track.name.at, message, &help);
        }
    }

    /// Weights that do nothing whatever the other nodes are.
    fn weights(&mut self, instance: &Instance) {
        let weighed = self.names.weighed(instance);
        let well = weight::priority(instance.priority.value, &weighed);
        for w in weighed.iter().filter(|w| w.weight.value != 0).take(FEW) {
            let at = w.track.weight.and_then(|weight| weight.at).unwrap_or(w.track.name.at);
            let name = &w.track.name.value;
            let failed = weight::priority_without(instance.priority.value, &weighed, w);
            if instance.priority.value == 255 {
                let message =
                    format!("the weight of `{name}` does nothing: priority 255 is an owner's and never changes");
                self.warn("keepalived-weight-useless", at, message, "take a priority of at most 254");
            } else if !instance.preempt.value && instance.state.value == State::Backup {
                let message = format!(
                    "the weight of `{name}` moves nothing: with `nopreempt` a higher priority does not take over from a lower"
                );
                self.warn(
                    "keepalived-weight-nopreempt",
                    at,
                    message,
                    "write weight 0, which is a fault, or remove `nopreempt`",
                );
            } else if w.kind != Kind::File && well == failed {
                let message =
                    format!("the weight of `{name}` does nothing: the priority is {well} either way (1 to 254)");
                self.warn("keepalived-weight-useless", at, message, "take a priority farther from the end");
            }
        }
    }

    /// Names, numbers and addresses that may stand only once.
    fn repeated(&mut self) {
        let conf = self.conf;
        let (mut names, mut vrids) = (BTreeMap::new(), BTreeMap::new());
        // The last one on each link, and the first on any.
        let mut vips = BTreeMap::new();
        for (now, instance) in conf.instances.iter().enumerate() {
            self.now = Some(now);
            let (name, at) = (instance.name.value.as_str(), instance.name.at);
            if let Some(earlier) = names.insert(name, at) {
                let message = format!("there is another instance `{name}` ({})", conf.sources.line_of(earlier));
                self.error("keepalived-repeated-name", at, message, "rename one of them");
            }
            if let Some(vrid) = &instance.vrid {
                let interface = instance.interface.as_ref().map(|interface| interface.value.as_str());
                if let Some((other, place)) = vrids.insert((interface, vrid.value, instance.is_v6()), (name, at)) {
                    let place = conf.sources.line_of(place);
                    let message = format!("VRID {} is also that of `{other}` ({place})", vrid.value);
                    let help = "take another: one for each instance of an interface";
                    self.error("keepalived-duplicate-vrid", vrid.at, message, help);
                }
            }
            for address in instance.moving() {
                let ip = address.ip.value;
                let link = address.device.as_ref().or(instance.interface.as_ref()).map(|link| link.value.as_str());
                let vip = Vip { instance: now, link, at: address.at };
                // One on the same link says the most.
                if let Some(other) = vips.insert((ip, Some(link)), vip).or(vips.get(&(ip, None)).copied()) {
                    self.shared(ip, vip, other);
                }
                vips.entry((ip, None)).or_insert(vip);
            }
        }
        self.now = None;
    }

    /// An address that stands twice. On one link it is of one instance alone; keepalived takes it on two.
    fn shared(&mut self, ip: IpAddr, vip: Vip<'_>, other: Vip<'_>) {
        let conf = self.conf;
        let place = conf.sources.line_of(other.at);
        let owner = conf.instances.get(other.instance).map_or("", |instance| instance.name.value.as_str());
        match (vip.instance == other.instance, vip.link == other.link) {
            (true, true) => {
                let message = format!("`{ip}` stands twice in `{owner}` ({place}): advertisements count it twice");
                self.warn("keepalived-duplicate-vip", vip.at, message, "remove one of them, on all nodes at once");
            }
            (false, true) => {
                let message = format!("`{ip}` is also an address of `{owner}` ({place})");
                self.error("keepalived-duplicate-vip", vip.at, message, "let one instance move it, once");
            }
            // Each link has its own of these.
            (_, false) if is_link_local(ip) => {}
            (_, false) => {
                let message = format!("`{ip}` is also an address of `{owner}` on another interface ({place})");
                self.warn("keepalived-duplicate-vip", vip.at, message, "put it on one interface");
            }
        }
    }

    fn groups(&mut self) {
        let conf = self.conf;
        let names: BTreeSet<&str> = conf.instances.iter().map(|instance| instance.name.value.as_str()).collect();
        for group in &conf.groups {
            self.tracked(&group.track);
            for member in group.members.iter().filter(|member| !names.contains(&member.value.as_str())) {
                let message = format!("there is no `vrrp_instance {}`", member.value);
                let help = match nearest(&member.value, names.iter().copied().take(FEW)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "remove it".to_owned(),
                };
                self.warn("keepalived-unknown-name", member.at, message, &help);
            }
            let known: BTreeSet<&str> = group.members.iter().map(|member| member.value.as_str()).collect();
            let (message, help) = match known.intersection(&names).count() {
                0 => (
                    format!("the group `{}` has no instance: it is left out", group.name.value),
                    "name at least two instances, or remove it",
                ),
                1 => (
                    format!(
                        "the group `{}` has one instance: it keeps nothing together, and what it tracks and whom it tells is about that one",
                        group.name.value
                    ),
                    "name at least two instances, or write in that one what stands here",
                ),
                _ => continue,
            };
            self.warn("keepalived-small-group", group.name.at, message, help);
        }
    }

    /// What is checked and asked by nobody.
    fn unused(&mut self) {
        let conf = self.conf;
        let tracking = conf.instances.iter().map(|i| &i.track).chain(conf.groups.iter().map(|g| &g.track));
        let used: BTreeSet<(Kind, &str)> =
            tracking.flat_map(Tracking::iter).map(|(kind, track)| (kind, track.name.value.as_str())).collect();
        let scripts = conf.scripts.iter().map(|script| (Kind::Script, &script.name, "track_script"));
        let processes = conf.processes.iter().map(|process| (Kind::Process, &process.name, "track_process"));
        let files = conf.files.iter().map(|file| (Kind::File, &file.name, "track_file"));
        for (kind, name, keyword) in scripts.chain(processes).chain(files) {
            if !used.contains(&(kind, name.value.as_str())) {
                let message = format!("nothing tracks `{}`: what it finds changes nothing", name.value);
                let help = format!("name it in `{keyword}` of an instance, or remove it");
                self.warn("keepalived-unused", name.at, message, &help);
            }
        }
    }
}
