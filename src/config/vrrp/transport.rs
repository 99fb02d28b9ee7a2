//! Where advertisements of an instance go, and what they come from.

use std::net::IpAddr;

use syncd_compat::keepalived::{Instance, Located};

use super::Context;
use crate::vrrp::setup::{Family, Peer, Transport};

/// Where they go; none where that cannot be, which has been said.
pub(super) fn transport(cx: &mut Context<'_>, said: &Instance, family: Family) -> Option<Transport> {
    let peers: Vec<Peer> = said
        .unicast
        .peers
        .iter()
        .filter(|peer| of_family(cx, &peer.address, family, "peer"))
        .map(|peer| Peer {
            address: peer.address.value,
            min_ttl: peer.min_ttl.unwrap_or(0),
            max_ttl: peer.max_ttl.unwrap_or(u8::MAX),
        })
        .collect();
    if !peers.is_empty() {
        let ttl = said.unicast.ttl.as_ref().map(|ttl| ttl.value);
        let usual = (family == Family::V4).then_some(u8::MAX);
        return Some(Transport::Unicast {
            peers,
            ttl: ttl.or(usual),
            check_source: said.common.check_unicast_src.value,
        });
    }
    if let Some(flag) = said.unicast.fault_no_peer.as_ref().filter(|flag| flag.value) {
        let message = "`unicast_fault_no_peer`, and there is no peer: the instance does not run".to_owned();
        cx.error("keepalived-unicast", flag.at, message, "write `unicast_peer { ADDRESS }`");
        return None;
    }
    let globals = &cx.conf.globals;
    let general = match family {
        Family::V4 => IpAddr::V4(globals.group4.value),
        Family::V6 => IpAddr::V6(globals.group6.value),
    };
    let own = said.mcast_dst.as_ref().filter(|group| of_family(cx, group, family, "group"));
    Some(Transport::Multicast { group: own.map_or(general, |group| group.value) })
}

/// What they come from, where the file says it.
pub(super) fn source(cx: &mut Context<'_>, said: &Instance, family: Family) -> Option<IpAddr> {
    let source = said.unicast.source.as_ref().or(said.mcast_src.as_ref());
    source.filter(|source| of_family(cx, source, family, "source")).map(|source| source.value)
}

/// Whether it is of the instance's family; what is not is left out.
fn of_family(cx: &mut Context<'_>, ip: &Located<IpAddr>, family: Family, what: &str) -> bool {
    let fits = Family::of(ip.value) == family;
    if !fits {
        let message = format!("the {what} `{}` is of another family than the instance: it is left out", ip.value);
        cx.warn("keepalived-family", ip.at, message, "write one of the same family as the addresses");
    }
    fits
}
