//! Routes and rules that move, as ip-route(8) and ip-rule(8) take them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use syncd_compat::keepalived::{Instance, Word};
use syncd_compat::nearest;

use super::address::scope_of;
use super::{Context, instance};
use crate::config::machine::Machine;
use crate::vrrp::setup::{Family, Route, RouteKind, Rule};

/// The table that routes are in unless they say another.
pub(in crate::config) const MAIN: u32 = 254;

/// Words with a value that a route may have here.
const ROUTE_WORDS: [&str; 12] =
    ["via", "gw", "dev", "oif", "src", "metric", "priority", "preference", "table", "scope", "mtu", "protocol"];

/// The same of a rule.
const RULE_WORDS: [&str; 11] =
    ["from", "to", "iif", "dev", "oif", "fwmark", "priority", "preference", "order", "table", "lookup"];

/// What is wrong with an entry: the word, what is so, and what to do.
pub(in crate::config) type Fault<'a> = (&'a Word, String, String);

/// `virtual_routes`; none where one of them cannot be set as it is written, which has been said.
pub(super) fn routes(cx: &mut Context<'_>, said: &Instance) -> Option<Vec<Route>> {
    let routes: Vec<Option<Route>> = said
        .routes
        .iter()
        .map(|words| {
            let route = route(&cx.host.machine, words);
            let route = refused(cx, route)?;
            let device = words.iter().skip_while(|word| word.text != "dev" && word.text != "oif").nth(1);
            device.is_none_or(|device| instance::exists(cx, &device.located())).then_some(route)
        })
        .collect();
    routes.into_iter().collect()
}

/// `virtual_rules`, likewise.
pub(super) fn rules(cx: &mut Context<'_>, said: &Instance) -> Option<Vec<Rule>> {
    let rules: Vec<Option<Rule>> = said
        .rules
        .iter()
        .map(|words| {
            let rule = rule(&cx.host.machine, words);
            refused(cx, rule)
        })
        .collect();
    rules.into_iter().collect()
}

/// Says what is wrong; none for what is.
fn refused<T>(cx: &mut Context<'_>, read: Result<T, Option<Fault<'_>>>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(fault) => {
            if let Some((word, message, help)) = fault {
                cx.error("keepalived-route", word.at, message, &help);
            }
            None
        }
    }
}

/// The words of an entry, one after the other.
struct Words<'a> {
    rest: std::slice::Iter<'a, Word>,
    last: &'a Word,
}

impl<'a> Words<'a> {
    fn of(words: &'a [Word]) -> Option<Self> {
        Some(Self { rest: words.iter(), last: words.last()? })
    }

    fn value(&mut self, of: &'a Word) -> Result<&'a Word, Option<Fault<'a>>> {
        let missing = || Some((of, format!("`{}` says nothing", of.text), "write its value behind it".to_owned()));
        self.rest.next().ok_or_else(missing)
    }

    fn parse<T>(
        &mut self,
        of: &'a Word,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Option<Fault<'a>>> {
        let word = self.value(of)?;
        let wrong = || Some((word, format!("`{}` is not {wanted}", word.text), format!("write {wanted}")));
        parse(&word.text).ok_or_else(wrong)
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn device(text: &str) -> Option<String> {
    instance::is_interface(text).then(|| text.to_owned())
}

/// `ADDRESS` or `ADDRESS/BITS`.
fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = ip.parse().ok()?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some((ip, bits))
}

/// The whole network of a family, as `default` is.
fn whole(family: Family) -> (IpAddr, u8) {
    match family {
        Family::V4 => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Family::V6 => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}

/// Where a route leads, of which the family may not be known yet.
enum To {
    Nowhere,
    Default,
    Network((IpAddr, u8)),
}

pub(in crate::config) fn route<'a>(machine: &Machine, entry: &'a [Word]) -> Result<Route, Option<Fault<'a>>> {
    let mut words = Words::of(entry).ok_or(None)?;
    let mut to = To::Nowhere;
    let mut six = false;
    let mut route = Route {
        kind: RouteKind::Unicast,
        to: whole(Family::V4),
        gateway: None,
        device: None,
        source: None,
        metric: None,
        table: MAIN,
        scope: None,
        mtu: None,
        on_link: false,
    };
    while let Some(word) = words.rest.next() {
        match word.text.as_str() {
            "unicast" => route.kind = RouteKind::Unicast,
            "blackhole" => route.kind = RouteKind::Blackhole,
            "unreachable" => route.kind = RouteKind::Unreachable,
            "prohibit" => route.kind = RouteKind::Prohibit,
            "to" | "no_track" => {}
            "inet6" => six = true,
            "default" => to = To::Default,
            "via" | "gw" => {
                // `via inet6 ADDRESS` names the family of the gateway.
                let family = ["inet", "inet6"];
                let named = words.rest.as_slice().first().is_some_and(|next| family.contains(&next.text.as_str()));
                if named {
                    words.rest.next();
                }
                route.gateway = Some(words.parse(word, "an address", |text| text.parse().ok())?);
            }
            "dev" | "oif" => route.device = Some(words.parse(word, "an interface", device)?),
            "src" => route.source = Some(words.parse(word, "an address", |text| text.parse().ok())?),
            "metric" | "priority" | "preference" => route.metric = Some(words.parse(word, "a number", number)?),
            "table" => route.table = words.parse(word, "a routing table", |text| machine.table(text))?,
            "scope" => route.scope = Some(words.parse(word, "a scope", scope_of)?),
            "mtu" => {
                let locked = words.rest.as_slice().first().is_some_and(|next| next.text == "lock");
                if locked {
                    return Err(Some((
                        word,
                        "`mtu lock` is not supported".to_owned(),
                        "write `mtu NUMBER`".to_owned(),
                    )));
                }
                route.mtu = Some(words.parse(word, "a number", number)?);
            }
            "onlink" => route.on_link = true,
            text => match prefix(text) {
                Some(network) if matches!(to, To::Nowhere) => to = To::Network(network),
                _ => return Err(Some(unknown("route", word, &ROUTE_WORDS))),
            },
        }
    }
    let family = |ip: Option<IpAddr>| ip.map(Family::of);
    let other = family(route.gateway).or(family(route.source));
    let general = if six { Family::V6 } else { other.unwrap_or(Family::V4) };
    route.to = match to {
        To::Network(network) => network,
        To::Default => whole(general),
        To::Nowhere => {
            let message = "this route leads nowhere".to_owned();
            return Err(Some((words.last, message, "write NETWORK/BITS, or `default`".to_owned())));
        }
    };
    if other.is_some_and(|other| other != Family::of(route.to.0)) {
        let message = "the route is of another family than its gateway or source".to_owned();
        return Err(Some((words.last, message, "write addresses of one family".to_owned())));
    }
    Ok(route)
}

pub(in crate::config) fn rule<'a>(machine: &Machine, entry: &'a [Word]) -> Result<Rule, Option<Fault<'a>>> {
    let mut words = Words::of(entry).ok_or(None)?;
    let (mut six, mut table) = (false, None);
    let mut rule = Rule {
        family: Family::V4,
        from: None,
        to: None,
        input: None,
        output: None,
        mark: None,
        priority: None,
        table: MAIN,
    };
    while let Some(word) = words.rest.next() {
        match word.text.as_str() {
            "inet6" => six = true,
            "no_track" => {}
            "from" => rule.from = words.parse(word, "an address", network)?,
            "to" => rule.to = words.parse(word, "an address", network)?,
            "iif" | "dev" => rule.input = Some(words.parse(word, "an interface", device)?),
            "oif" => rule.output = Some(words.parse(word, "an interface", device)?),
            "fwmark" => rule.mark = Some(words.parse(word, "a mark", mark)?),
            "priority" | "preference" | "order" => rule.priority = Some(words.parse(word, "a number", number)?),
            "table" | "lookup" => table = Some(words.parse(word, "a routing table", |text| machine.table(text))?),
            _ => return Err(Some(unknown("rule", word, &RULE_WORDS))),
        }
    }
    let Some(table) = table else {
        let message = "this rule names no table, and others are not supported".to_owned();
        return Err(Some((words.last, message, "write `table NUMBER` at its end".to_owned())));
    };
    let families: Vec<Family> = [rule.from, rule.to].into_iter().flatten().map(|(ip, _)| Family::of(ip)).collect();
    if families.windows(2).any(|pair| pair.first() != pair.last()) {
        let message = "`from` and `to` are of two families".to_owned();
        return Err(Some((words.last, message, "write addresses of one family".to_owned())));
    }
    let general = if six { Family::V6 } else { Family::V4 };
    Ok(Rule { family: families.first().copied().unwrap_or(general), table, ..rule })
}

/// An address with the length of its prefix, where not all are meant.
#[expect(clippy::option_option, reason = "what is wrong is told from what means everything")]
fn network(text: &str) -> Option<Option<(IpAddr, u8)>> {
    if ["all", "any", "default"].contains(&text) { Some(None) } else { prefix(text).map(Some) }
}

/// `MARK` or `MARK/MASK`.
fn mark(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((mark, mask)) => Some((number(mark)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

/// A word that cannot be honoured: the packets would go another way than the file says.
fn unknown<'a>(what: &str, word: &'a Word, known: &[&'static str]) -> Fault<'a> {
    let message = format!("`{}` of a {what} is not supported", word.text);
    let help = match nearest(&word.text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("remove it, or set the {what} by `notify_master` and `notify_backup`"),
    };
    (word, message, help)
}
