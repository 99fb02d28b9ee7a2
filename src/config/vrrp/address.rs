//! The addresses that move, as the kernel takes them.

use std::net::{IpAddr, Ipv4Addr};

use syncd_compat::keepalived::{self, Instance, Located, address::Broadcast};

use super::Context;
use crate::vrrp::packet::Version;
use crate::vrrp::setup::{Address, Family};

/// How many addresses one advertisement can count.
const MOST: usize = 255;

/// What `ip link` and keepalived call the scopes.
const SCOPES: [(&str, u8); 5] = [("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];

/// What is advertised and what only moves along: of the other family, or one too many for a packet.
pub(super) fn addresses(
    cx: &mut Context<'_>,
    said: &Instance,
    family: Family,
    version: Version,
) -> (Vec<Address>, Vec<Address>) {
    // The grammar has said of the others that they are left out.
    let own = said.addresses.iter().filter(|address| Family::of(address.ip.value) == family);
    let mut advertised: Vec<Address> = own.map(|address| one(cx, address)).collect();
    let room =
        said.interface.as_ref().map_or(MOST, |interface| room(cx.host.machine.mtu(&interface.value), family, version));
    let surplus = advertised.split_off(advertised.len().min(room));
    if !surplus.is_empty() {
        let message = format!(
            "{} addresses are more than the {room} that a packet holds: the last {} move along without being advertised",
            room + surplus.len(),
            surplus.len()
        );
        let help = "put them into `virtual_ipaddress_excluded`, or into an instance of their own";
        cx.warn("keepalived-many-addresses", said.name.at, message, help);
    }
    let excluded = surplus.into_iter().chain(said.excluded.iter().map(|address| one(cx, address))).collect();
    (advertised, excluded)
}

/// How many addresses fit into one packet, by keepalived's arithmetic, which counts the header of Ethernet.
fn room(mtu: u32, family: Family, version: Version) -> usize {
    let (headers, size) = match (family, version) {
        (Family::V4, Version::V2) => (14 + 20 + 8 + 8, 4),
        (Family::V4, Version::V3) => (14 + 20 + 8, 4),
        (Family::V6, _) => (14 + 40 + 8, 16),
    };
    usize::try_from(mtu.saturating_sub(headers) / size).unwrap_or(MOST).clamp(1, MOST)
}

fn one(cx: &mut Context<'_>, said: &keepalived::Address) -> Address {
    let ip = said.ip.value;
    let mut address = Address::new(ip, said.prefix.value);
    address.device = said.device.as_ref().map(|device| device.value.clone());
    address.scope = said.scope.as_ref().map_or(0, |scope| scope_of(&scope.value).unwrap_or(0));
    address.label = said.label.as_ref().filter(|label| fits(cx, label, ip)).map(|label| label.value.clone());
    address.peer = said.peer.as_ref().map(|peer| peer.value);
    address.broadcast = match (ip, said.broadcast) {
        (IpAddr::V4(_), Some(Broadcast::Address(broadcast))) => Some(broadcast),
        (IpAddr::V4(ip), Some(Broadcast::Computed)) => Some(IpAddr::V4(last_of(ip, said.prefix.value))),
        (IpAddr::V4(ip), Some(Broadcast::First)) => Some(IpAddr::V4(first_of(ip, said.prefix.value))),
        _ => None,
    };
    // An address of one host alone is not to be picked as a source, as with keepalived.
    let alone = (ip.is_ipv6() && said.prefix.value == 128).then_some(0);
    address.preferred = match &said.preferred {
        Some(seconds) => Some(seconds.value).filter(|seconds| *seconds != u32::MAX),
        None => alone,
    };
    address.ignore_interface = said.no_track;
    for flag in &said.flags {
        match flag.value.as_str() {
            "home" => address.home = true,
            "mngtmpaddr" => address.manage_temporary = true,
            "noprefixroute" => address.no_prefix_route = true,
            "-nodad" => address.detect_duplicates = true,
            other => {
                let message = format!("`{other}` of an address is not supported: the address moves without it");
                cx.warn("setting-not-honoured", flag.at, message, "remove it");
            }
        }
    }
    address
}

/// Whether the kernel takes it; the grammar has said so of one that is too long.
fn fits(cx: &mut Context<'_>, label: &Located<String>, ip: IpAddr) -> bool {
    if ip.is_ipv6() {
        cx.warn("keepalived-label", label.at, "an IPv6 address has no label: it is left out".to_owned(), "remove it");
    }
    let blank = label.value.contains(|c: char| c.is_whitespace() || c.is_control());
    if blank || label.value.is_empty() {
        cx.warn("keepalived-label", label.at, "this is no label: it is left out".to_owned(), "write one word");
    }
    ip.is_ipv4() && !blank && (1..=15).contains(&label.value.len())
}

/// The number of a scope.
pub(in crate::config) fn scope_of(text: &str) -> Option<u8> {
    text.parse().ok().or_else(|| SCOPES.iter().find(|(name, _)| *name == text).map(|(_, scope)| *scope))
}

/// The last address of the network that `ip` is in.
fn last_of(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from(u32::from(ip) | hosts)
}

/// The first address of that network.
fn first_of(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from(u32::from(ip) & !hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_holds_what_keepalived_puts_into_it() {
        assert_eq!(room(1500, Family::V4, Version::V2), 255);
        assert_eq!(room(1500, Family::V6, Version::V3), 89);
        assert_eq!(room(576, Family::V4, Version::V2), 131);
        assert_eq!(room(0, Family::V6, Version::V3), 1);
    }

    #[test]
    fn scopes_and_broadcasts_are_those_of_the_kernel() {
        assert_eq!(["global", "link", "7", "moon", "256"].map(scope_of), [Some(0), Some(253), Some(7), None, None]);
        let last = |bits| last_of(Ipv4Addr::new(10, 0, 0, 1), bits).to_string();
        assert_eq!((last(24), last(32), last(0)), ("10.0.0.255".into(), "10.0.0.1".into(), "255.255.255.255".into()));
        let first = |bits| first_of(Ipv4Addr::new(10, 0, 0, 1), bits).to_string();
        assert_eq!((first(24), first(32), first(0)), ("10.0.0.0".into(), "10.0.0.1".into(), "0.0.0.0".into()));
    }
}
