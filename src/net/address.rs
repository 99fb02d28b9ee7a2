//! Addresses on interfaces: put there as a lease, kept, taken off, listed.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::message::{Message, attributes, text, u32_at};
use super::{NetError, link::Link, netlink::Netlink};
use crate::vrrp::setup::Address;

/// Bytes before the attributes of an address (`struct ifaddrmsg`).
const FIXED: usize = 8;

/// What the kernel takes for ever.
const FOR_EVER: u32 = u32::MAX;

/// An address and the interface that it is, or is to be, on.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The number of the interface.
    pub interface: u32,
    /// Its name, for people.
    pub name: &'a str,
    /// The address.
    pub address: &'a Address,
}

impl<'a> Placed<'a> {
    /// `address` on `link`.
    #[must_use]
    pub fn on(link: &'a Link, address: &'a Address) -> Self {
        Self { interface: link.index, name: &link.name, address }
    }

    fn failed(&self, what: &str, cause: Errno) -> NetError {
        NetError::new(format!("{}/{} cannot be {what} {}", self.address.ip, self.address.prefix, self.name), cause)
    }
}

/// What became of an address that was to be put on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It is there now.
    New,
    /// It had been there before, and was left as it is.
    AlreadyThere,
}

/// What became of an address that was to be taken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removed {
    /// It is gone now.
    Gone,
    /// It was not there.
    NotThere,
}

/// An address that is on an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Present {
    /// The number of the interface.
    pub interface: u32,
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix in bits.
    pub prefix: u8,
    /// Its scope: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// Its label, IPv4 alone.
    pub label: Option<String>,
    /// IPv4: another address of that network came before it.
    pub secondary: bool,
    /// IPv6: it cannot be used yet (or at all), since another host may have it.
    pub tentative: bool,
    /// In how many seconds it goes by itself; none where it stays.
    pub valid: Option<u32>,
}

impl Present {
    /// What a message says of an address; none where it is about something else.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let &[family, prefix, short_flags, scope] = payload.first_chunk()?;
        let mut present = Self {
            interface: u32_at(payload, 4)?,
            ip: IpAddr::from([0, 0, 0, 0]),
            prefix,
            scope,
            label: None,
            secondary: false,
            tentative: false,
            valid: None,
        };
        let mut flags = u32::from(short_flags);
        let (mut address, mut local) = (None, None);
        for (kind, value) in attributes(payload, FIXED) {
            match kind {
                libc::IFA_ADDRESS => address = ip(value),
                libc::IFA_LOCAL => local = ip(value),
                libc::IFA_LABEL => present.label = Some(text(value)),
                libc::IFA_FLAGS => flags = u32_at(value, 0)?,
                libc::IFA_CACHEINFO => present.valid = u32_at(value, 4).filter(|valid| *valid != FOR_EVER),
                _ => {}
            }
        }
        // On a point-to-point link `IFA_ADDRESS` is the other end.
        present.ip = local.or(address)?;
        let flags = AddressFlags::from_bits_retain(flags);
        let v6 = i32::from(family) == libc::AF_INET6;
        present.secondary = !v6 && flags.contains(AddressFlags::Secondary);
        present.tentative = v6 && flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
        Some(present)
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

impl Netlink {
    /// All addresses of this network namespace, those of an interface in its order.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn addresses(&mut self) -> Result<Vec<Present>, NetError> {
        let mut addresses = Vec::new();
        let mut see = |message: Option<Message<'_>>| match message {
            Some(message) if message.kind == libc::RTM_NEWADDR => addresses.extend(Present::parse(message.payload)),
            Some(_) => {}
            None => addresses.clear(),
        };
        self.list(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), &mut see)
            .map_err(|cause| NetError::new("the addresses cannot be listed", cause))?;
        Ok(addresses)
    }

    /// Puts addresses on interfaces, for `lease` (in whole seconds, rounded up) or for ever. What is there already
    /// is left as it is: whoever may keep it [refreshes](Self::refresh_addresses) it.
    pub fn put_addresses(&mut self, placed: &[Placed<'_>], lease: Option<Duration>) -> Vec<Result<Put, NetError>> {
        keep_others(placed);
        let request = |p: &Placed<'_>| (RouteNetlinkMessage::NewAddress(wanted(p, lease)), NLM_F_CREATE | NLM_F_EXCL);
        self.for_each(placed, request, |p, answer| match answer {
            Ok(()) => Ok(Put::New),
            Err(Errno::EXIST) => Ok(Put::AlreadyThere),
            Err(cause) => Err(p.failed("put on", cause)),
        })
    }

    /// Begins the lease of addresses anew. One that is gone is put there again.
    pub fn refresh_addresses(&mut self, placed: &[Placed<'_>], lease: Option<Duration>) -> Vec<Result<(), NetError>> {
        let request =
            |p: &Placed<'_>| (RouteNetlinkMessage::NewAddress(wanted(p, lease)), NLM_F_CREATE | NLM_F_REPLACE);
        self.for_each(placed, request, |p, answer| answer.map_err(|cause| p.failed("kept on", cause)))
    }

    /// Takes addresses off. One that is not there, or whose interface is gone, is no error.
    pub fn remove_addresses(&mut self, placed: &[Placed<'_>]) -> Vec<Result<Removed, NetError>> {
        let request = |p: &Placed<'_>| (RouteNetlinkMessage::DelAddress(named(p)), 0);
        self.for_each(placed, request, |p, answer| match answer {
            Ok(()) => Ok(Removed::Gone),
            Err(Errno::ADDRNOTAVAIL | Errno::NODEV) => Ok(Removed::NotThere),
            Err(cause) => Err(p.failed("taken off", cause)),
        })
    }

    fn for_each<T>(
        &mut self,
        placed: &[Placed<'_>],
        request: impl Fn(&Placed<'_>) -> (RouteNetlinkMessage, u16),
        judge: impl Fn(&Placed<'_>, Result<(), Errno>) -> T,
    ) -> Vec<T> {
        let answers = self.ask_all(placed.iter().map(request).collect());
        placed.iter().zip(answers).map(|(placed, answer)| judge(placed, answer)).collect()
    }
}

/// Has the other addresses of a network stay on the interface when its first one goes, taken off or with its lease: the
/// kernel otherwise takes them along, the host's own as well (`promote_secondaries` in ip-sysctl, which systemd
/// switches on everywhere). It stays so. Where it may not be set, the kernel goes on as it is.
fn keep_others(placed: &[Placed<'_>]) {
    let names: BTreeSet<&str> = placed.iter().filter(|p| p.address.ip.is_ipv4()).map(|p| p.name).collect();
    for name in names {
        let setting = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
        if fs::read(&setting).is_ok_and(|value| value.trim_ascii() == b"0") {
            drop(fs::write(setting, "1"));
        }
    }
}

/// The message that names an address.
fn named(placed: &Placed<'_>) -> AddressMessage {
    let address = placed.address;
    let mut message = AddressMessage::default();
    message.header.family = if address.ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix;
    message.header.scope = address.scope.into();
    message.header.index = placed.interface;
    message.attributes.push(AddressAttribute::Local(address.ip));
    message.attributes.push(AddressAttribute::Address(address.peer.unwrap_or(address.ip)));
    if let Some(label) = &address.label {
        message.attributes.push(AddressAttribute::Label(label.clone()));
    }
    message
}

/// The message that says all of an address.
fn wanted(placed: &Placed<'_>, lease: Option<Duration>) -> AddressMessage {
    let address = placed.address;
    let mut message = named(placed);
    if let Some(IpAddr::V4(broadcast)) = address.broadcast {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    message.attributes.push(AddressAttribute::Flags(flags(address)));
    message.attributes.push(AddressAttribute::CacheInfo(lifetimes(address, lease)));
    message
}

fn flags(address: &Address) -> AddressFlags {
    let v6 = address.ip.is_ipv6();
    let mut flags = AddressFlags::empty();
    flags.set(AddressFlags::Nodad, v6 && !address.detect_duplicates);
    flags.set(AddressFlags::Homeaddress, v6 && address.home);
    flags.set(AddressFlags::Managetempaddr, v6 && address.manage_temporary);
    flags.set(AddressFlags::Noprefixroute, address.no_prefix_route);
    flags
}

/// How long an address is there, and how long it may be picked as a source.
fn lifetimes(address: &Address, lease: Option<Duration>) -> CacheInfo {
    let valid = lease.map_or(FOR_EVER, |lease| {
        let whole = u32::try_from(lease.as_secs()).unwrap_or(FOR_EVER);
        whole.saturating_add(u32::from(lease.subsec_nanos() > 0)).max(1)
    });
    let preferred = match address.preferred {
        _ if address.ip.is_ipv4() => FOR_EVER,
        Some(preferred) => preferred,
        // As keepalived has it: such an address serves, and nothing is sent from it unasked.
        None if address.prefix == 128 => 0,
        None => FOR_EVER,
    };
    let mut times = CacheInfo::default();
    times.ifa_valid = valid;
    times.ifa_preferred = preferred.min(valid);
    times
}
