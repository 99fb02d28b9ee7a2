//! Virtual routers as the rules see them, of whatever file: what each says, and where.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncd_compat::keepalived::weight::{Kind, Names, Weighed};
use syncd_compat::keepalived::{At, AuthKind, Instance, KeepalivedConf, Located, Setting, State, Track, Weight};
use syncd_compat::{Finding, Severity, SourceText, Span};

use crate::config::load::Loaded;
use crate::config::places::{RouterPlaces, TrackPlace};
use crate::config::vrrp;
use crate::vrrp::packet::Version;
use crate::vrrp::setup::{self, Family, Transport};

/// The virtual routers of one file.
#[derive(Debug)]
pub(super) struct Node {
    /// The file that was named.
    pub(super) file: PathBuf,
    /// It and all that it includes, as [`At`] counts them.
    pub(super) sources: Vec<SourceText>,
    /// What its grammar calls things.
    pub(super) words: &'static Words,
    /// An interface may come later.
    pub(super) dynamic_interfaces: bool,
    pub(super) routers: Vec<Router>,
}

/// What a grammar calls things.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) version: &'static str,
    pub(super) vrid: &'static str,
    pub(super) auth: &'static str,
    pub(super) interval: &'static str,
    pub(super) peers: &'static str,
    /// What becomes of adverts with other addresses.
    pub(super) unequal: &'static str,
    /// How a node is kept from taking over.
    pub(super) patience: &'static str,
}

const KEEPALIVED: Words = Words {
    version: "vrrp_version",
    vrid: "virtual_router_id",
    auth: "auth_type and auth_pass",
    interval: "advert_int",
    peers: "unicast_peer",
    unequal: "keepalived 2.2 drops the other's adverts",
    patience: "write `state BACKUP` and `nopreempt` on every node",
};

const NATIVE: Words = Words {
    version: "version",
    vrid: "vrid",
    auth: "version and password",
    interval: "interval",
    peers: "peers",
    unequal: "what one node lacks does not move to it",
    patience: "write preempt = \"never\" on every node",
};

/// One virtual router.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) name: Located<String>,
    pub(super) vrid: Option<Located<u8>>,
    pub(super) family: Family,
    pub(super) version: Setting<u8>,
    /// Where `state MASTER` is said.
    pub(super) master: Option<At>,
    pub(super) priority: Setting<u8>,
    /// As an advertisement carries it.
    pub(super) interval: Setting<Duration>,
    /// Whether it takes over from a lower priority, whatever cancels what.
    pub(super) preempts: Setting<bool>,
    pub(super) proof: Proof,
    pub(super) proof_at: Option<At>,
    /// The file itself holds a password, whether it counts or not.
    pub(super) password_here: bool,
    pub(super) addresses: Vec<Located<IpAddr>>,
    pub(super) excluded: Vec<Located<IpAddr>>,
    pub(super) peers: Vec<Located<IpAddr>>,
    /// What it is known to send from.
    pub(super) source: Option<IpAddr>,
    /// The multicast group, where there are no peers.
    pub(super) group: Setting<IpAddr>,
    /// The interfaces that it needs.
    pub(super) interfaces: Vec<Located<String>>,
    tracked: Vec<(Kind, Track)>,
}

/// What proves an advertisement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    /// Nothing.
    None,
    /// `auth_type AH`.
    Ah,
    /// A password.
    Pass([u8; 8]),
    /// The password in this file.
    File(PathBuf),
}

impl Node {
    /// Those of a `keepalived.conf`.
    pub(super) fn of_keepalived(file: &Path, conf: &KeepalivedConf) -> Self {
        let names = Names::of(conf);
        Self {
            file: file.to_owned(),
            sources: conf.sources.iter().cloned().collect(),
            words: &KEEPALIVED,
            dynamic_interfaces: conf.globals.dynamic_interfaces.value,
            routers: conf.instances.iter().map(|instance| Router::of_keepalived(conf, &names, instance)).collect(),
        }
    }

    /// Those of a `syncd.toml`, where it has any.
    pub(super) fn of_native(source: &SourceText, loaded: &Loaded) -> Option<Self> {
        let vrrp = loaded.config.vrrp.as_ref()?;
        let none = RouterPlaces::default();
        let router = |instance: &setup::Instance| {
            let places = loaded.places.router(&instance.name).unwrap_or(&none);
            Router::of_native(instance, places, vrrp.passwords.get(&instance.name))
        };
        Some(Self {
            file: source.file().to_owned(),
            sources: vec![source.clone()],
            words: &NATIVE,
            dynamic_interfaces: vrrp.setup.dynamic_interfaces,
            routers: vrrp.setup.instances.iter().map(router).collect(),
        })
    }

    /// A finding at a place of the file, or of what it includes.
    pub(super) fn finding(&self, severity: Severity, code: &'static str, at: At, message: String) -> Finding {
        match self.sources.get(at.file) {
            Some(source) => source.finding(severity, code, at.span, message),
            None => Finding { severity, ..Finding::of_file(&self.file, code, message) },
        }
    }

    /// `file:line`, for a message about another place.
    pub(super) fn line_of(&self, at: At) -> String {
        let line = |source: &SourceText| format!("{}:{}", source.file().display(), source.position(at.span.start).0);
        self.sources.get(at.file).map_or_else(String::new, line)
    }
}

impl Router {
    /// All addresses that move with it.
    pub(super) fn moving(&self) -> impl Iterator<Item = &Located<IpAddr>> {
        self.addresses.iter().chain(&self.excluded)
    }

    /// What it tracks, with the weights that are in force.
    pub(super) fn weighed(&self) -> Vec<Weighed<'_>> {
        let none = Weight { value: 0, reverse: false, at: None };
        let tracked = self.tracked.iter();
        tracked.map(|(kind, track)| Weighed { kind: *kind, track, weight: track.weight.unwrap_or(none) }).collect()
    }

    fn of_keepalived(conf: &KeepalivedConf, names: &Names<'_>, said: &Instance) -> Self {
        let version = if said.version.value == 3 { Version::V3 } else { Version::V2 };
        let v6 = said.is_v6();
        let (globals, master) = (&conf.globals, said.state.value == State::Master);
        let group = match (&said.mcast_dst, v6) {
            (Some(group), _) => Setting { value: group.value, at: Some(group.at) },
            (None, true) => Setting { value: globals.group6.value.into(), at: globals.group6.at },
            (None, false) => Setting { value: globals.group4.value.into(), at: globals.group4.at },
        };
        let devices = said.addresses.iter().chain(&said.excluded).filter_map(|address| address.device.as_ref());
        let tracked = said.track.interfaces.iter().map(|track| &track.name);
        let own = said.vmac.as_ref().and_then(|vmac| vmac.name.as_ref()).map(|name| name.value.as_str());
        let interfaces = said.interface.iter().chain(devices).chain(tracked);
        let preempts = vrrp::preempts(said);
        let preempt_at = if master && preempts { said.state.at } else { said.preempt.at };
        let ips = |list: &[syncd_compat::keepalived::Address]| {
            list.iter().map(|address| Located::new(address.ip.value, address.at)).collect()
        };
        let weighed = |weighed: Weighed<'_>| {
            let (track, weight) = (weighed.track, weighed.weight);
            (weighed.kind, Track { name: track.name.clone(), weight: Some(weight) })
        };
        Self {
            name: said.name.clone(),
            vrid: said.vrid.clone(),
            family: if v6 { Family::V6 } else { Family::V4 },
            version: said.version.clone(),
            master: said.state.at.filter(|_| master),
            priority: said.priority.clone(),
            interval: Setting { value: vrrp::interval(version, said.advert_int.value), at: said.advert_int.at },
            preempts: Setting { value: preempts, at: preempt_at },
            proof: proof(said, version),
            proof_at: said.auth.as_ref().map(|auth| auth.kind.at),
            password_here: said
                .auth
                .as_ref()
                .is_some_and(|auth| auth.kind.value == AuthKind::Pass && auth.password.is_some()),
            addresses: ips(&said.addresses),
            excluded: ips(&said.excluded),
            peers: said.unicast.peers.iter().map(|peer| peer.address.clone()).collect(),
            source: said.unicast.source.as_ref().map(|source| source.value),
            group,
            interfaces: interfaces.filter(|name| own != Some(name.value.as_str())).cloned().collect(),
            tracked: names.weighed(said).into_iter().map(weighed).collect(),
        }
    }

    fn of_native(said: &setup::Instance, places: &RouterPlaces, password: Option<&PathBuf>) -> Self {
        let at = |span: Span| At { file: 0, span };
        let list = |addresses: &[setup::Address], spans: &[Span]| {
            let ips = addresses.iter().map(|address| address.ip);
            ips.zip(spans).map(|(ip, span)| Located::new(ip, at(*span))).collect::<Vec<_>>()
        };
        let device = |(address, span): (&setup::Address, &Span)| {
            address.device.clone().map(|device| Located::new(device, at(*span)))
        };
        let devices = said.addresses.iter().zip(&places.addresses).chain(said.excluded.iter().zip(&places.excluded));
        let own = said.vmac.as_ref().map(|vmac| vmac.name.as_str());
        let links = said.track.interfaces.iter().zip(&places.interfaces);
        let links = links.map(|(track, place)| Located::new(track.name.clone(), at(place.name)));
        let interface = Located::new(said.interface.clone(), at(places.interface));
        let interfaces = std::iter::once(interface).chain(devices.filter_map(device)).chain(links);
        let (peers, group) = match &said.transport {
            Transport::Unicast { peers, .. } => (peers.iter().map(|peer| peer.address).collect(), None),
            Transport::Multicast { group } => (Vec::new(), Some(*group)),
        };
        let version = if said.version == Version::V3 { 3 } else { 2 };
        Self {
            name: Located::new(said.name.clone(), at(places.name)),
            vrid: Some(Located::new(said.vrid, at(places.vrid))),
            family: said.family,
            version: Setting { value: version, at: places.version.map(at) },
            master: None,
            priority: Setting { value: said.priority, at: places.priority.map(at) },
            interval: Setting { value: said.interval, at: places.interval.map(at) },
            preempts: Setting { value: said.preempt, at: places.preempt.map(at) },
            proof: password.map_or(Proof::None, |file| Proof::File(file.clone())),
            proof_at: places.password.map(at),
            password_here: false,
            addresses: list(&said.addresses, &places.addresses),
            excluded: list(&said.excluded, &places.excluded),
            peers: peers.into_iter().zip(&places.peers).map(|(ip, span)| Located::new(ip, at(*span))).collect(),
            source: said.source,
            group: Setting { value: group.unwrap_or(IpAddr::from([0, 0, 0, 0])), at: places.group.map(at) },
            interfaces: interfaces.filter(|name| own != Some(name.value.as_str())).collect(),
            tracked: tracked(&said.track, places),
        }
    }
}

/// What proves an advertisement of version 2.
fn proof(said: &Instance, version: Version) -> Proof {
    let Some(auth) = said.auth.as_ref().filter(|_| version == Version::V2) else { return Proof::None };
    match (auth.kind.value, &auth.password) {
        (AuthKind::Ah, _) => Proof::Ah,
        (AuthKind::Pass, Some(password)) if !password.value.is_empty() => Proof::Pass(password.value.wire()),
        _ => Proof::None,
    }
}

fn tracked(said: &setup::Tracking, places: &RouterPlaces) -> Vec<(Kind, Track)> {
    let of = |kind: Kind, list: &[setup::Track], places: &[TrackPlace]| {
        let track = |(track, place): (&setup::Track, &TrackPlace)| {
            let at = |span| At { file: 0, span };
            let weight = Weight { value: track.weight, reverse: track.reverse, at: place.weight.map(at) };
            (kind, Track { name: Located::new(track.name.clone(), at(place.name)), weight: Some(weight) })
        };
        list.iter().zip(places).map(track).collect::<Vec<_>>()
    };
    [
        of(Kind::Interface, &said.interfaces, &places.interfaces),
        of(Kind::Script, &said.scripts, &places.scripts),
        of(Kind::Process, &said.processes, &places.processes),
        of(Kind::File, &said.files, &places.files),
    ]
    .concat()
}

/// The instance of `routers` that is meant to be `of` on another node: by its number, else by a shared address, else
/// by its name.
pub(super) fn partner<'a>(routers: &'a [Router], of: &Router) -> Option<&'a Router> {
    let same_family = || routers.iter().filter(|other| other.family == of.family);
    let vips: BTreeSet<IpAddr> = of.addresses.iter().map(|address| address.value).collect();
    let vrid = |one: &Router| one.vrid.as_ref().map(|vrid| vrid.value);
    let shares = |other: &&Router| other.addresses.iter().any(|address| vips.contains(&address.value));
    same_family()
        .find(|other| vrid(other).is_some() && vrid(other) == vrid(of))
        .or_else(|| same_family().find(shares))
        .or_else(|| same_family().find(|other| other.name.value == of.name.value))
}
