//! Addresses, peers, users and hardware addresses as one text each, and back.

use std::fmt::Write as _;
use std::net::IpAddr;

use syncd_compat::keepalived::{At, Word};

use crate::config::machine::Machine;
use crate::config::vrrp::{route, scope_of};
use crate::vrrp::setup::{Address, Family, Peer, Route, RouteKind, Rule, User};

/// The length of the prefix of one address alone.
fn whole(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// `ADDRESS/BITS` and words of ip-address(8).
pub(super) fn address(text: &str) -> Result<Address, String> {
    let mut words = text.split_whitespace();
    let first = words.next().ok_or("an address is missing")?;
    let (ip, bits) = first.split_once('/').map_or((first, None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = ip.parse().map_err(|_| format!("`{ip}` is no address: write ADDRESS/BITS"))?;
    let prefix = match bits {
        None => whole(ip),
        Some(bits) => bits
            .parse()
            .ok()
            .filter(|bits| *bits <= whole(ip))
            .ok_or_else(|| format!("`/{bits}` is no length of a prefix: there are /0 to /{}", whole(ip)))?,
    };
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
        return Err(format!("`{ip}` is no address that a host can be reached by"));
    }
    let mut address = Address::new(ip, prefix);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` says nothing"));
        match word {
            "dev" => address.device = Some(value()?.to_owned()),
            "scope" => address.scope = parsed(value()?, "scope", scope_of)?,
            "label" if ip.is_ipv4() => address.label = Some(parsed(value()?, "label of at most 15 bytes", label)?),
            "brd" if ip.is_ipv4() => address.broadcast = Some(parsed(value()?, "IPv4 address", of_v4)?),
            "peer" => address.peer = Some(parsed(value()?, "address", |text| text.parse().ok())?),
            "preferred_lft" => address.preferred = Some(parsed(value()?, "number of seconds", |t| t.parse().ok())?),
            "home" => address.home = true,
            "mngtmpaddr" => address.manage_temporary = true,
            "noprefixroute" => address.no_prefix_route = true,
            "dad" => address.detect_duplicates = true,
            "no_track" => address.ignore_interface = true,
            other => {
                return Err(format!(
                    "`{other}` says nothing of this address: there are dev, scope, label, brd, peer, preferred_lft, \
                     home, mngtmpaddr, noprefixroute, dad and no_track"
                ));
            }
        }
    }
    Ok(address)
}

fn parsed<T>(text: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    parse(text).ok_or_else(|| format!("`{text}` is no {what}"))
}

fn label(text: &str) -> Option<String> {
    (1..=15).contains(&text.len()).then(|| text.to_owned())
}

fn of_v4(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(IpAddr::V4)
}

/// What [`address`] reads.
pub(in crate::config::native) fn of_address(said: &Address) -> String {
    let Address {
        ip,
        prefix,
        device,
        scope,
        label,
        broadcast,
        peer,
        preferred,
        home,
        manage_temporary,
        no_prefix_route,
        detect_duplicates,
        ignore_interface,
    } = said;
    let mut text = format!("{ip}/{prefix}");
    add(&mut text, "dev", device.as_ref());
    add(&mut text, "scope", Some(scope).filter(|scope| **scope != 0));
    add(&mut text, "label", label.as_ref());
    add(&mut text, "brd", broadcast.as_ref());
    add(&mut text, "peer", peer.as_ref());
    add(&mut text, "preferred_lft", preferred.as_ref());
    let flags = [
        ("home", home),
        ("mngtmpaddr", manage_temporary),
        ("noprefixroute", no_prefix_route),
        ("dad", detect_duplicates),
        ("no_track", ignore_interface),
    ];
    flags.iter().filter(|(_, on)| **on).for_each(|(flag, _)| {
        let _ = write!(text, " {flag}");
    });
    text
}

fn add<T: std::fmt::Display>(text: &mut String, word: &str, value: Option<&T>) {
    if let Some(value) = value {
        let _ = write!(text, " {word} {value}");
    }
}

/// The words of a text as those of a legacy file.
fn split(text: &str) -> Vec<Word> {
    let word = |word: &str| Word { text: word.to_owned(), at: At::default(), quoted: false };
    text.split_whitespace().map(word).collect()
}

/// A route as ip-route(8) takes it.
pub(super) fn route(machine: &Machine, text: &str) -> Result<Route, String> {
    route::route(machine, &split(text)).map_err(said)
}

/// A rule as ip-rule(8) takes it.
pub(super) fn rule(machine: &Machine, text: &str) -> Result<Rule, String> {
    route::rule(machine, &split(text)).map_err(said)
}

fn said(fault: Option<route::Fault<'_>>) -> String {
    match fault {
        Some((_, message, help)) => format!("{message} — {help}"),
        None => "it is empty".to_owned(),
    }
}

/// What [`route`] reads.
pub(in crate::config::native) fn of_route(said: &Route) -> String {
    let Route { kind, to: (ip, bits), gateway, device, source, metric, table, scope, mtu, on_link } = said;
    let kind = match kind {
        RouteKind::Unicast => "",
        RouteKind::Blackhole => "blackhole ",
        RouteKind::Unreachable => "unreachable ",
        RouteKind::Prohibit => "prohibit ",
    };
    let mut text = format!("{kind}{ip}/{bits}");
    add(&mut text, "via", gateway.as_ref());
    add(&mut text, "dev", device.as_ref());
    add(&mut text, "src", source.as_ref());
    add(&mut text, "metric", metric.as_ref());
    add(&mut text, "table", Some(table).filter(|table| **table != route::MAIN));
    add(&mut text, "scope", scope.as_ref());
    add(&mut text, "mtu", mtu.as_ref());
    if *on_link {
        text.push_str(" onlink");
    }
    text
}

/// What [`rule`] reads.
pub(in crate::config::native) fn of_rule(said: &Rule) -> String {
    let Rule { family, from, to, input, output, mark, priority, table } = said;
    let network = |(ip, bits): &(IpAddr, u8)| format!("{ip}/{bits}");
    let mut text = String::new();
    if *family == Family::V6 && from.is_none() && to.is_none() {
        text.push_str(" inet6");
    }
    add(&mut text, "from", from.as_ref().map(network).as_ref());
    add(&mut text, "to", to.as_ref().map(network).as_ref());
    add(&mut text, "iif", input.as_ref());
    add(&mut text, "oif", output.as_ref());
    add(&mut text, "fwmark", mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")).as_ref());
    add(&mut text, "priority", priority.as_ref());
    add(&mut text, "table", Some(table));
    text.trim_start().to_owned()
}

/// `ADDRESS`, `min_ttl N`, `max_ttl N`.
pub(super) fn peer(text: &str) -> Result<Peer, String> {
    let mut words = text.split_whitespace();
    let first = words.next().ok_or("an address is missing")?;
    let address = parsed(first, "address", |text| text.parse().ok())?;
    let mut peer = Peer { address, min_ttl: 0, max_ttl: u8::MAX };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("`{word}` says nothing"))?;
        let ttl = parsed(value, "TTL: there are 0 to 255", |text| text.parse().ok())?;
        match word {
            "min_ttl" => peer.min_ttl = ttl,
            "max_ttl" => peer.max_ttl = ttl,
            other => return Err(format!("`{other}` says nothing of a peer: there are min_ttl and max_ttl")),
        }
    }
    Ok(peer)
}

/// What [`peer`] reads.
pub(in crate::config::native) fn of_peer(said: &Peer) -> String {
    let Peer { address, min_ttl, max_ttl } = said;
    let mut text = address.to_string();
    add(&mut text, "min_ttl", Some(min_ttl).filter(|ttl| **ttl != 0));
    add(&mut text, "max_ttl", Some(max_ttl).filter(|ttl| **ttl != u8::MAX));
    text
}

/// `USER`, `USER:GROUP`, each a name or a number.
pub(super) fn user(machine: &Machine, text: &str) -> Result<User, String> {
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    // A machine of which nothing is known has no number for it.
    let known = machine.user(name).filter(|user| user.owner.id != u32::MAX);
    let user = known.ok_or_else(|| format!("there is no user `{name}` in /etc/passwd"))?;
    let gid = match group {
        None => user.primary_group,
        Some(group) => {
            let known = machine.group(group).map(|group| group.id).filter(|id| *id != u32::MAX);
            known.ok_or_else(|| format!("there is no group `{group}` in /etc/group"))?
        }
    };
    Ok(User { uid: user.owner.id, gid })
}

/// What [`user`] reads.
pub(in crate::config::native) fn of_user(user: User) -> String {
    format!("{}:{}", user.uid, user.gid)
}

/// `00:00:5e:00:01:33`.
pub(super) fn mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || format!("`{text}` is no hardware address: write 00:00:5e:00:01:NN");
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() <= 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() { Err(wrong()) } else { Ok(bytes) }
}

/// What [`mac`] reads.
pub(in crate::config::native) fn of_mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn ips() -> impl Strategy<Value = IpAddr> {
        // None that no host can be reached by.
        prop_oneof![
            any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::V4(Ipv4Addr::new(10, a, b, c))),
            any::<u64>().prop_map(|low| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low)))),
        ]
    }

    prop_compose! {
        fn addresses()(
            ip in ips(), bits in 0u8..=32, device in proptest::option::of("[a-z]{1,9}"), scope: u8,
            label in proptest::option::of("[a-z]{1,4}:[0-9]"), peer in proptest::option::of(ips()),
            preferred: Option<u32>, flags: [bool; 5], brd: bool,
        ) -> Address {
            let four = ip.is_ipv4();
            let [home, manage_temporary, no_prefix_route, detect_duplicates, ignore_interface] = flags;
            let broadcast = (four && brd).then_some(ip);
            let label = label.filter(|_| four);
            Address {
                device, scope, label, broadcast, peer, preferred, home, manage_temporary, no_prefix_route,
                detect_duplicates, ignore_interface, ..Address::new(ip, bits)
            }
        }
    }

    prop_compose! {
        fn routes()(
            ip in ips(), bits in 0u8..=32, kind in 0usize..4, via: bool, device in proptest::option::of("[a-z]{1,9}"),
            metric: Option<u32>, table: u32, scope: Option<u8>, mtu: Option<u32>, on_link: bool,
        ) -> Route {
            let kind = [RouteKind::Unicast, RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit][kind];
            let (gateway, source) = (via.then_some(ip), (!via).then_some(ip));
            Route { kind, to: (ip, bits), gateway, device, source, metric, table, scope, mtu, on_link }
        }
    }

    prop_compose! {
        fn rules()(
            ip in ips(), bits in 0u8..=32, which in 0..3, input in proptest::option::of("[a-z]{1,9}"),
            output in proptest::option::of("[a-z]{1,9}"), mark: Option<(u32, u32)>, priority: Option<u32>, table: u32,
        ) -> Rule {
            let network = |at| (which == at).then_some((ip, bits));
            Rule { family: Family::of(ip), from: network(0), to: network(1), input, output, mark, priority, table }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same(
            one in addresses(), over in routes(), by in rules(), ip in ips(), min_ttl: u8, max_ttl: u8, bytes: [u8; 6],
            uid in 0..u32::MAX, gid in 0..u32::MAX,
        ) {
            let machine = Machine::default();
            prop_assert_eq!(address(&of_address(&one)), Ok(one));
            prop_assert_eq!(route(&machine, &of_route(&over)), Ok(over));
            prop_assert_eq!(rule(&machine, &of_rule(&by)), Ok(by));
            let to = Peer { address: ip, min_ttl, max_ttl };
            prop_assert_eq!(peer(&of_peer(&to)), Ok(to));
            prop_assert_eq!(mac(&of_mac(&bytes)), Ok(bytes));
            let as_user = User { uid, gid };
            prop_assert_eq!(user(&machine, &of_user(as_user)), Ok(as_user));
        }

        #[test]
        fn no_text_panics(text in "[ a-z0-9:./]{0,30}") {
            let machine = Machine::default();
            let _ = (address(&text), route(&machine, &text), rule(&machine, &text), peer(&text), mac(&text));
            let _ = user(&machine, &text);
        }
    }
}
