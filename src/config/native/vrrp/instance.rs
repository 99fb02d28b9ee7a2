//! `[[vrrp]]`: one virtual router.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::file::{GarpTable, InstanceTable};
use super::track::{self, Track};
use super::{Context, count, fault, interface, path, time, value, words};
use crate::config::places::{RouterPlaces, TrackPlace};
use crate::config::vrrp::{interval, is_interface};
use crate::vrrp::packet::{Auth, Version};
use crate::vrrp::setup::{Address, Family, Garp, Instance, Peer, Transport, Vmac};

/// How many addresses one advertisement can count.
const MOST: usize = 255;

/// The priority of who owns the addresses.
const OWNER: u8 = 255;

/// The instance that `table` says; where none is, that has been said.
pub(super) fn instance(
    cx: &mut Context<'_>,
    table: &InstanceTable,
    dynamic: bool,
    tracked: &mut Track,
    passwords: &mut BTreeMap<String, PathBuf>,
) -> Option<Instance> {
    let name = table.name.get_ref().clone();
    cx.places.add_router(&name, places(table));
    interface(cx, table.interface.get_ref(), table.interface.span(), dynamic);
    if table.interface.get_ref() == "lo" {
        let message = "nobody hears an instance on the loopback `lo`".to_owned();
        fault(cx, table.interface.span(), "toml-vrrp", message, "name the interface of the LAN");
    }
    let addresses = addresses(cx, &table.addresses, dynamic);
    let excluded = self::addresses(cx, &table.excluded, dynamic);
    let family = family(cx, table, &addresses);
    let version = version(cx, table, family);
    let priority = positive(cx, table.priority.as_ref(), 100);
    let vrid = positive(cx, Some(&table.vrid), 1);
    if addresses.len() > MOST {
        let message = format!("more than {MOST} addresses cannot be advertised");
        fault(cx, table.name.span(), "toml-vrrp", message, "put the rest into `excluded`");
    }
    if let Some(file) = &table.password_file {
        let file_path = path(cx, file);
        if version == Version::V3 {
            let message = "version 3 has no passwords".to_owned();
            fault(cx, file.span(), "toml-vrrp", message, "write version = 2, or remove it");
        }
        passwords.insert(name.clone(), file_path);
    }
    let machine = cx.machine;
    let routes: Vec<_> = table.routes.iter().map(|said| value(cx, said, |text| words::route(machine, text))).collect();
    let rules: Vec<_> = table.rules.iter().map(|said| value(cx, said, |text| words::rule(machine, text))).collect();
    let (preempt, preempt_delay) = preemption(cx, table, priority);
    let interval = intervals(cx, table, version);
    let source = table.source.as_ref().and_then(|said| ip_of(cx, said, family));
    Some(Instance {
        interface: table.interface.get_ref().clone(),
        vrid,
        version,
        family,
        priority,
        interval,
        preempt,
        preempt_delay,
        // Its file is read when the node starts.
        auth: Auth::None,
        addresses,
        excluded,
        routes: routes.into_iter().collect::<Option<_>>()?,
        rules: rules.into_iter().collect::<Option<_>>()?,
        transport: transport(cx, table, family),
        source,
        track_source: table.track_source,
        down_adverts: count(cx, table.down_adverts.as_ref(), 3),
        lower_priority_no_advert: table.lower_priority_no_advert,
        checksum_without_pseudo_header: table.checksum_without_pseudo_header,
        garp: garp(cx, &table.garp),
        vmac: vmac(cx, table, family, vrid),
        accept: table.accept.unwrap_or(true),
        track: tracked.tracking(cx, &name, &table.track),
        ignore_interface: table.ignore_interface,
        notify: track::notify(cx, &table.notify),
        notify_priority: table.notify_priority,
        name,
    })
}

/// Where `table` says what it says.
fn places(table: &InstanceTable) -> RouterPlaces {
    let all = |list: &[Spanned<String>]| list.iter().map(|said| said.span().into()).collect();
    let text = |said: &Option<Spanned<String>>| said.as_ref().map(|said| said.span().into());
    let number = |said: &Option<Spanned<u8>>| said.as_ref().map(|said| said.span().into());
    let mut places = RouterPlaces {
        name: table.name.span().into(),
        interface: table.interface.span().into(),
        vrid: table.vrid.span().into(),
        version: number(&table.version),
        priority: number(&table.priority),
        interval: text(&table.interval),
        preempt: text(&table.preempt),
        password: text(&table.password_file),
        group: text(&table.group),
        addresses: all(&table.addresses),
        excluded: all(&table.excluded),
        peers: all(&table.peers),
        ..RouterPlaces::default()
    };
    for track in &table.track {
        let weight = track.weight.as_ref().map(|weight| weight.span().into());
        let command = track.command.as_ref().map(Spanned::span);
        let (list, name) = match (&track.interface, &track.process, &track.file) {
            (Some(name), ..) => (&mut places.interfaces, Some(name.span())),
            (_, Some(name), _) => (&mut places.processes, Some(name.span())),
            (.., Some(name)) => (&mut places.files, Some(name.span())),
            _ => (&mut places.scripts, track.script.as_ref().map(Spanned::span).or(command)),
        };
        list.push(TrackPlace { name: name.unwrap_or_default().into(), weight });
    }
    places
}

fn addresses(cx: &mut Context<'_>, said: &[Spanned<String>], dynamic: bool) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in said {
        let Some(address) = value(cx, text, words::address) else { continue };
        if let Some(device) = &address.device {
            interface(cx, device, text.span(), dynamic);
        }
        addresses.push(address);
    }
    addresses
}

/// The family of the first address, else the one that is said.
fn family(cx: &mut Context<'_>, table: &InstanceTable, addresses: &[Address]) -> Family {
    let said = table.family.as_ref().and_then(|said| {
        value(cx, said, |text| match text {
            "ipv4" => Ok(Family::V4),
            "ipv6" => Ok(Family::V6),
            _ => Err(format!("`{text}` is no family: there are ipv4 and ipv6")),
        })
    });
    let family = said.or_else(|| addresses.first().map(|first| Family::of(first.ip))).unwrap_or(Family::V4);
    for (address, text) in addresses.iter().zip(&table.addresses) {
        if Family::of(address.ip) != family {
            let message = format!("`{}` is of another family than the instance", address.ip);
            let help = "put it into `excluded`, or into an instance of its own";
            fault(cx, text.span(), "toml-vrrp", message, help);
        }
    }
    family
}

fn version(cx: &mut Context<'_>, table: &InstanceTable, family: Family) -> Version {
    let Some(said) = &table.version else { return Version::V3 };
    match (said.get_ref(), family) {
        (2, Family::V4) => return Version::V2,
        (3, _) => {}
        (2, Family::V6) => {
            let message = "IPv6 is always version 3".to_owned();
            fault(cx, said.span(), "toml-vrrp", message, "remove the version");
        }
        _ => fault(cx, said.span(), "toml-value", "there are version 2 and 3".to_owned(), "write 3"),
    }
    Version::V3
}

/// A number from 1 to 255.
fn positive(cx: &mut Context<'_>, said: Option<&Spanned<u8>>, default: u8) -> u8 {
    let Some(said) = said else { return default };
    if *said.get_ref() == 0 {
        fault(cx, said.span(), "toml-value", "this is a number from 1 to 255".to_owned(), "write one");
    }
    *said.get_ref()
}

fn preemption(cx: &mut Context<'_>, table: &InstanceTable, priority: u8) -> (bool, Duration) {
    let known = |text: &str| match text {
        "always" => Ok(true),
        "never" => Ok(false),
        "when-synced" => Err("`when-synced` is not supported yet: write always or never".to_owned()),
        _ => Err(format!("`{text}` is neither always nor never")),
    };
    let preempt = table.preempt.as_ref().and_then(|said| value(cx, said, known)).unwrap_or(true);
    let delay = time(cx, table.preempt_delay.as_ref(), Duration::ZERO);
    if let Some(said) = table.preempt.as_ref().filter(|_| priority == OWNER && !preempt) {
        let message = "priority 255 owns the addresses and always takes over".to_owned();
        fault(cx, said.span(), "toml-vrrp", message, "remove it, or take a lower priority");
    }
    if let Some(said) =
        table.preempt_delay.as_ref().filter(|_| delay > Duration::ZERO && (!preempt || priority == OWNER))
    {
        let message = "there is nothing that this delay could be of".to_owned();
        fault(cx, said.span(), "toml-vrrp", message, "remove it, or write preempt = \"always\" and a lower priority");
    }
    (preempt, delay)
}

fn intervals(cx: &mut Context<'_>, table: &InstanceTable, version: Version) -> Duration {
    let written = time(cx, table.interval.as_ref(), Duration::from_secs(1));
    let carried = interval(version, written);
    if let Some(said) = table.interval.as_ref().filter(|_| carried != written) {
        let (message, help) = match version {
            Version::V2 => ("version 2 knows whole seconds from 1 to 255", "write \"1s\", or version = 3"),
            Version::V3 => ("version 3 knows whole 10 ms up to 40.95 s", "write \"1s\" or \"100ms\""),
        };
        fault(cx, said.span(), "toml-value", message.to_owned(), help);
    }
    carried
}

fn transport(cx: &mut Context<'_>, table: &InstanceTable, family: Family) -> Transport {
    let peers: Vec<Peer> = table
        .peers
        .iter()
        .filter_map(|said| {
            value(cx, said, |text| {
                let peer = words::peer(text)?;
                of_family(peer.address, family).map(|_| peer)
            })
        })
        .collect();
    if table.peers.is_empty() {
        if table.ttl.is_some() || table.check_source.is_some() {
            let message = "`ttl` and `check-source` are about peers, and there is none".to_owned();
            fault(cx, table.name.span(), "toml-vrrp", message, "write peers = [\"ADDRESS\"], or remove them");
        }
        let usual = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        };
        let group = table.group.as_ref().and_then(|said| {
            let group = ip_of(cx, said, family)?;
            if !group.is_multicast() {
                let message = format!("`{group}` is no multicast address");
                fault(cx, said.span(), "toml-vrrp", message, "an address of a node belongs into `peers`");
            }
            Some(group)
        });
        return Transport::Multicast { group: group.unwrap_or(usual) };
    }
    if let Some(group) = &table.group {
        let message = "there are `peers`, who are told in place of a group".to_owned();
        fault(cx, group.span(), "toml-vrrp", message, "remove one of the two");
    }
    let usual = (family == Family::V4).then_some(u8::MAX);
    let ttl = table.ttl.as_ref().map(|ttl| *ttl.get_ref()).or(usual);
    Transport::Unicast { peers, ttl, check_source: table.check_source.unwrap_or(false) }
}

fn ip_of(cx: &mut Context<'_>, said: &Spanned<String>, family: Family) -> Option<IpAddr> {
    value(cx, said, |text| {
        let ip = text.parse().map_err(|_| format!("`{text}` is no address"))?;
        of_family(ip, family)
    })
}

fn of_family(ip: IpAddr, family: Family) -> Result<IpAddr, String> {
    if Family::of(ip) == family { Ok(ip) } else { Err(format!("`{ip}` is of another family than the instance")) }
}

fn garp(cx: &mut Context<'_>, table: &GarpTable) -> Garp {
    let usual = Garp::default();
    Garp {
        delay: time(cx, table.delay.as_ref(), usual.delay),
        repeat: table.repeat.unwrap_or(usual.repeat),
        refresh: time(cx, table.refresh.as_ref(), usual.refresh),
        refresh_repeat: table.refresh_repeat.unwrap_or(usual.refresh_repeat),
        lower_delay: time(cx, table.lower_delay.as_ref(), usual.lower_delay),
        lower_repeat: table.lower_repeat.unwrap_or(usual.lower_repeat),
    }
}

fn vmac(cx: &mut Context<'_>, table: &InstanceTable, family: Family, vrid: u8) -> Option<Vmac> {
    let said = table.vmac.as_ref()?;
    let name = said.name.as_ref().map_or_else(|| format!("vrrp.{vrid}"), |name| name.get_ref().clone());
    if !is_interface(&name) {
        let span = said.name.as_ref().map_or_else(|| table.name.span(), Spanned::span);
        let message = format!("`{name}` is no name of an interface");
        fault(cx, span, "toml-value", message, "write at most 15 bytes without blanks, `/` and `:`");
    }
    let usual = [0, 0, 0x5e, 0, if family == Family::V4 { 1 } else { 2 }, vrid];
    let mac = said.mac.as_ref().and_then(|mac| value(cx, mac, words::mac)).unwrap_or(usual);
    Some(Vmac { name, mac, transmit_base: said.transmit_base })
}
