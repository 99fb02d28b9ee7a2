//! Routes and rules that move with addresses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use netlink_packet_core::{Emitable, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::NetError;
use super::address::{Put, Removed};
use super::message::{Message, attributes, text, u32_at};
use super::netlink::Netlink;
use crate::vrrp::setup::{Family, Route, RouteKind, Rule};

/// Who made a route (`RTPROT_KEEPALIVED`): programs that clean up after keepalived find ours too.
const KEEPALIVED: u8 = 18;

/// Bytes before the attributes of a route or a rule (`struct rtmsg`, `struct fib_rule_hdr`).
const FIXED: usize = 12;

/// Attributes of a rule (linux/fib_rules.h).
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_OIFNAME: u16 = 17;

/// How often the same rule is taken away at most.
const TWICE: usize = 1000;

/// A route, and the number of the interface that it leads out by, where one is said.
#[derive(Clone, Copy, Debug)]
pub struct Routed<'a> {
    /// The route.
    pub route: &'a Route,
    /// The number of `route.device`, or of the instance's own interface.
    pub interface: Option<u32>,
}

/// A route or a rule that is no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gone {
    /// A route that [`Netlink::put_routes`] or keepalived made.
    Route {
        /// Its family.
        family: Family,
        /// The length of the prefix that it led to.
        prefix: u8,
        /// The table that it was in.
        table: u32,
    },
    /// A rule, whoever made it: not every kernel says who did.
    Rule {
        /// Its family.
        family: Family,
        /// The table that it named.
        table: u32,
    },
}

impl Gone {
    /// What a message says of one that is gone; none where it is about something else, or a route of others.
    pub(super) fn parse(message: &Message<'_>) -> Option<Self> {
        let &[family, prefix, _, _, short_table, protocol] = message.payload.first_chunk()?;
        let family = match i32::from(family) {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return None,
        };
        // `RTA_TABLE` and `FRA_TABLE` are the same number.
        let said = attributes(message.payload, FIXED).find(|(kind, _)| *kind == libc::RTA_TABLE);
        let table = said.and_then(|(_, value)| u32_at(value, 0)).unwrap_or(u32::from(short_table));
        match message.kind {
            libc::RTM_DELROUTE if protocol == KEEPALIVED => Some(Self::Route { family, prefix, table }),
            libc::RTM_DELRULE => Some(Self::Rule { family, table }),
            _ => None,
        }
    }
}

impl Netlink {
    /// Makes routes. One to the same place that is there already is left as it is, whoever made it.
    pub fn put_routes(&mut self, routes: &[Routed<'_>]) -> Vec<Result<Put, NetError>> {
        let request = |r: &Routed<'_>| (RouteNetlinkMessage::NewRoute(route(r)), NLM_F_CREATE | NLM_F_EXCL);
        let answers = self.ask_all(routes.iter().map(request).collect());
        let made = |(r, answer): (&Routed<'_>, _)| put(answer, || format!("{} cannot be made", route_text(r.route)));
        routes.iter().zip(answers).map(made).collect()
    }

    /// Takes routes away that [`put_routes`](Self::put_routes) or keepalived made; those of others stay.
    pub fn remove_routes(&mut self, routes: &[Routed<'_>]) -> Vec<Result<Removed, NetError>> {
        let request = |r: &Routed<'_>| (RouteNetlinkMessage::DelRoute(route(r)), 0);
        let answers = self.ask_all(routes.iter().map(request).collect());
        let gone =
            |(r, answer): (&Routed<'_>, _)| removed(answer, || format!("{} cannot be taken away", route_text(r.route)));
        routes.iter().zip(answers).map(gone).collect()
    }

    /// Makes rules. One that is there already is left as it is.
    pub fn put_rules(&mut self, rules: &[&Rule]) -> Vec<Result<Put, NetError>> {
        let there = self.rules_there(rules);
        let missing = rules.iter().zip(&there).filter(|(_, there)| !**there);
        let requests = missing.map(|(r, _)| (RouteNetlinkMessage::NewRule(rule(r)), NLM_F_CREATE | NLM_F_EXCL));
        let mut answers = self.ask_all(requests.collect()).into_iter();
        let made = |(r, there): (&&Rule, bool)| {
            let answer = if there { Err(Errno::EXIST) } else { answers.next().unwrap_or(Err(Errno::IO)) };
            put(answer, || format!("{} cannot be made", rule_text(r)))
        };
        rules.iter().zip(there).map(made).collect()
    }

    /// Which of `rules` need not be made. One without a priority is given another each time, so that the kernel never
    /// finds that it is there: after a crash it would be there twice.
    fn rules_there(&mut self, rules: &[&Rule]) -> Vec<bool> {
        let unnumbered = |rule: &&Rule| rule.priority.is_none();
        let present = if rules.iter().any(unnumbered) { self.rules() } else { Vec::new() };
        rules.iter().map(|r| unnumbered(r) && present.contains(&Selecting::by(r))).collect()
    }

    /// The rules that are there; as far as they can be listed, since those that are wanted are made then.
    fn rules(&mut self) -> Vec<Selecting> {
        let mut rules = Vec::new();
        let mut see = |message: Option<Message<'_>>| match message {
            Some(message) if message.kind == libc::RTM_NEWRULE => rules.extend(Selecting::parse(message.payload)),
            Some(_) => {}
            None => rules.clear(),
        };
        match self.list(&RouteNetlinkMessage::GetRule(RuleMessage::default()), &mut see) {
            Ok(()) => rules,
            Err(_) => Vec::new(),
        }
    }

    /// Takes rules away that [`put_rules`](Self::put_rules) or keepalived made; those of others stay.
    pub fn remove_rules(&mut self, rules: &[&Rule]) -> Vec<Result<Removed, NetError>> {
        let request = |r: &&Rule| (RouteNetlinkMessage::DelRule(rule(r)), 0);
        let answers = self.ask_all(rules.iter().map(request).collect());
        for (r, _) in rules.iter().zip(&answers).filter(|(r, answer)| r.priority.is_none() && answer.is_ok()) {
            // An earlier one may have made it more than once.
            (0..TWICE).find(|_| !matches!(self.ask_all(vec![request(r)]).as_slice(), [Ok(())]));
        }
        let gone = |(r, answer): (&&Rule, _)| removed(answer, || format!("{} cannot be taken away", rule_text(r)));
        rules.iter().zip(answers).map(gone).collect()
    }
}

/// All of a rule but its number: the head and the attributes, as the kernel shows them.
#[derive(Debug, Eq, PartialEq)]
struct Selecting {
    head: [u8; 5],
    attributes: BTreeMap<u16, Vec<u8>>,
}

impl Selecting {
    fn by(wanted: &Rule) -> Self {
        let message = rule(wanted);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        // What was just written has a head.
        Self::parse(&bytes).unwrap_or(Self { head: [0; 5], attributes: BTreeMap::new() })
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        // `struct fib_rule_hdr`: the family, lengths of both prefixes, the type of service, and the action.
        let &[family, to, from, service, _table, _, _, action] = payload.first_chunk()?;
        let value = |(kind, value): (u16, &[u8])| match kind {
            // That of a name may end with a zero or not.
            FRA_IIFNAME | FRA_OIFNAME => (kind, text(value).into_bytes()),
            _ => (kind, value.to_vec()),
        };
        let said = attributes(payload, FIXED).map(value);
        let counts = |(kind, value): &(u16, Vec<u8>)| match *kind {
            FRA_PRIORITY => false,
            // Of a network that is everything the kernel shows nothing.
            FRA_DST => to > 0,
            FRA_SRC => from > 0,
            // Shown where there is none.
            FRA_SUPPRESS_PREFIXLEN => value.iter().any(|byte| *byte != 0xff),
            // Not shown where there is none.
            FRA_FWMARK => value.iter().any(|byte| *byte != 0),
            _ => true,
        };
        Some(Self { head: [family, to, from, service, action], attributes: said.filter(counts).collect() })
    }
}

fn put(answer: Result<(), Errno>, what: impl FnOnce() -> String) -> Result<Put, NetError> {
    match answer {
        Ok(()) => Ok(Put::New),
        Err(Errno::EXIST) => Ok(Put::AlreadyThere),
        Err(cause) => Err(NetError::new(what(), cause)),
    }
}

fn removed(answer: Result<(), Errno>, what: impl FnOnce() -> String) -> Result<Removed, NetError> {
    match answer {
        Ok(()) => Ok(Removed::Gone),
        // Routes go with the address or the interface that they lead by.
        Err(Errno::SRCH | Errno::NOENT | Errno::NODEV) => Ok(Removed::NotThere),
        Err(cause) => Err(NetError::new(what(), cause)),
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// Tables beyond 255 are said by the attribute alone.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

fn route(routed: &Routed<'_>) -> RouteMessage {
    let route = routed.route;
    let (to, prefix) = route.to;
    let mut message = RouteMessage::default();
    message.header.address_family = family(to);
    message.header.destination_prefix_length = prefix;
    message.header.table = short_table(route.table);
    message.header.protocol = RouteProtocol::from(KEEPALIVED);
    message.header.scope = scope(route);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
    };
    message.header.flags.set(RouteFlags::Onlink, route.on_link);
    let mut add = |attribute| message.attributes.push(attribute);
    add(RouteAttribute::Table(route.table));
    if prefix > 0 {
        add(RouteAttribute::Destination(RouteAddress::from(to)));
    }
    match route.gateway {
        Some(IpAddr::V6(via)) if to.is_ipv4() => add(RouteAttribute::Via(RouteVia::Inet6(via))),
        Some(via) => add(RouteAttribute::Gateway(RouteAddress::from(via))),
        None => {}
    }
    // What leads nowhere leads out by no interface.
    if let Some(interface) = routed.interface.filter(|_| route.kind == RouteKind::Unicast) {
        add(RouteAttribute::Oif(interface));
    }
    if let Some(source) = route.source {
        add(RouteAttribute::PrefSource(RouteAddress::from(source)));
    }
    if let Some(metric) = route.metric {
        add(RouteAttribute::Priority(metric));
    }
    if let Some(mtu) = route.mtu {
        add(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    message
}

/// As ip-route(8) has it: what needs no gateway is on the link.
fn scope(route: &Route) -> RouteScope {
    let direct = route.kind == RouteKind::Unicast && route.gateway.is_none() && route.to.0.is_ipv4();
    let usual = if direct { RouteScope::Link } else { RouteScope::Universe };
    route.scope.map_or(usual, RouteScope::from)
}

fn rule(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match rule.family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message.header.action = RuleAction::ToTable;
    message.header.table = short_table(rule.table);
    message.attributes.push(RuleAttribute::Table(rule.table));
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(KEEPALIVED)));
    if let Some((from, prefix)) = rule.from {
        message.header.src_len = prefix;
        message.attributes.push(RuleAttribute::Source(from));
    }
    if let Some((to, prefix)) = rule.to {
        message.header.dst_len = prefix;
        message.attributes.push(RuleAttribute::Destination(to));
    }
    if let Some(name) = &rule.input {
        message.attributes.push(RuleAttribute::Iifname(name.clone()));
    }
    if let Some(name) = &rule.output {
        message.attributes.push(RuleAttribute::Oifname(name.clone()));
    }
    if let Some((mark, mask)) = rule.mark {
        message.attributes.push(RuleAttribute::FwMark(mark));
        message.attributes.push(RuleAttribute::FwMask(mask));
    }
    if let Some(priority) = rule.priority {
        message.attributes.push(RuleAttribute::Priority(priority));
    }
    message
}

/// A route, for people.
#[must_use]
pub fn route_text(route: &Route) -> String {
    let mut text = format!("the route to {}/{}", route.to.0, route.to.1);
    if let Some(gateway) = route.gateway {
        let _ = write!(text, " via {gateway}");
    }
    if let Some(device) = &route.device {
        let _ = write!(text, " dev {device}");
    }
    text
}

/// A rule, for people.
#[must_use]
pub fn rule_text(rule: &Rule) -> String {
    let mut text = String::from("the rule");
    if let Some((from, prefix)) = rule.from {
        let _ = write!(text, " from {from}/{prefix}");
    }
    if let Some((to, prefix)) = rule.to {
        let _ = write!(text, " to {to}/{prefix}");
    }
    let _ = write!(text, " lookup {}", rule.table);
    text
}
