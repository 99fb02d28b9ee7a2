//! The interfaces of the host as far as VRRP knows them: up or not, hardware address, addresses.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::setup::Family;

/// An interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// Its number (ifindex).
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up and has a carrier.
    pub running: bool,
    /// Its hardware address.
    pub mac: [u8; 6],
}

/// All interfaces, by number.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    links: BTreeMap<u32, Link>,
    addresses: BTreeMap<u32, Addresses>,
}

/// The addresses of an interface: there may be thousands, all of which are told of whenever leases are refreshed.
#[derive(Clone, Debug, Default)]
struct Addresses {
    /// In the order in which they came: the first of a family is what an interface sends from.
    in_order: BTreeMap<u64, IpAddr>,
    /// The place of each, and its prefixes: one may be there with several.
    places: HashMap<IpAddr, (u64, Vec<u8>)>,
    next: u64,
}

impl Addresses {
    /// Returns whether it is new.
    fn add(&mut self, ip: IpAddr, prefix: u8) -> bool {
        let place = self.next;
        let (at, prefixes) = self.places.entry(ip).or_insert((place, Vec::new()));
        let new = *at == place;
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
        if new {
            self.in_order.insert(place, ip);
            self.next += 1;
        }
        new
    }

    fn remove(&mut self, ip: IpAddr, prefix: u8) {
        let Some((place, prefixes)) = self.places.get_mut(&ip) else { return };
        prefixes.retain(|known| *known != prefix);
        if prefixes.is_empty() {
            self.in_order.remove(place);
            self.places.remove(&ip);
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.places.contains_key(&ip)
    }
}

impl Interfaces {
    /// Replaces what is known of an interface.
    pub fn set_link(&mut self, link: Link) {
        self.links.insert(link.index, link);
    }

    /// It is no more.
    pub fn remove_link(&mut self, index: u32) {
        self.links.remove(&index);
        self.addresses.remove(&index);
    }

    /// An address is on an interface. Returns whether that is news: a lease that is refreshed is none.
    pub fn add_address(&mut self, index: u32, ip: IpAddr, prefix: u8) -> bool {
        self.addresses.entry(index).or_default().add(ip, prefix)
    }

    /// An address is on it no longer with this prefix.
    pub fn remove_address(&mut self, index: u32, ip: IpAddr, prefix: u8) {
        if let Some(known) = self.addresses.get_mut(&index) {
            known.remove(ip, prefix);
        }
    }

    /// The interface of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// The numbers of those that are not there any more in `later`, or have another name.
    #[must_use]
    pub fn gone(&self, later: &Self) -> Vec<u32> {
        let stays = |link: &&Link| later.name(link.index) == Some(link.name.as_str());
        self.links.values().filter(|link| !stays(link)).map(|link| link.index).collect()
    }

    /// The name of an interface.
    #[must_use]
    pub fn name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str())
    }

    /// Whether the interface of this name is there, up and has a carrier.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.by_name(name).is_some_and(|link| link.running)
    }

    /// Whether `ip` is on any interface.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        self.addresses.values().any(|known| known.contains(ip))
    }

    /// Whether `ip` is on the interface of this name.
    #[must_use]
    pub fn is_on(&self, name: &str, ip: IpAddr) -> bool {
        let known = self.by_name(name).and_then(|link| self.addresses.get(&link.index));
        known.is_some_and(|known| known.contains(ip))
    }

    /// What the interface of this name sends from: its first address of that family that is none of `virtual_ones`;
    /// of IPv6 a link-local one.
    #[must_use]
    pub fn source(&self, name: &str, family: Family, virtual_ones: &dyn Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let link = self.by_name(name)?;
        let fits = |ip: &&IpAddr| match ip {
            IpAddr::V4(_) => family == Family::V4,
            IpAddr::V6(v6) => family == Family::V6 && v6.is_unicast_link_local(),
        };
        self.addresses.get(&link.index)?.in_order.values().filter(fits).find(|ip| !virtual_ones(**ip)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_made_anew_or_renamed_is_another() {
        let all = |links: &[(u32, &str)]| {
            let mut interfaces = Interfaces::default();
            for (index, name) in links {
                interfaces.set_link(Link { index: *index, name: (*name).to_owned(), ..Link::default() });
            }
            interfaces
        };
        let before = all(&[(1, "lo"), (2, "eth0"), (3, "eth1"), (4, "eth2")]);
        assert_eq!(before.gone(&all(&[(1, "lo"), (3, "eth9"), (4, "eth2"), (5, "eth0")])), [2, 3]);
    }

    #[test]
    fn a_virtual_address_is_no_source() {
        let mut interfaces = Interfaces::default();
        interfaces.set_link(Link { index: 2, name: "eth0".to_owned(), running: true, mac: [0; 6] });
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for address in ["10.0.0.50", "10.0.0.1", "2001:db8::1", "fe80::1"] {
            interfaces.add_address(2, ip(address), 24);
        }
        let virtual_ones = |address| address == ip("10.0.0.50");
        assert_eq!(interfaces.source("eth0", Family::V4, &virtual_ones), Some(ip("10.0.0.1")));
        assert_eq!(interfaces.source("eth0", Family::V6, &virtual_ones), Some(ip("fe80::1")));
        interfaces.add_address(2, ip("10.0.0.2"), 24);
        interfaces.remove_address(2, ip("10.0.0.1"), 24);
        assert!(interfaces.add_address(2, ip("10.0.0.1"), 24) && !interfaces.add_address(2, ip("10.0.0.1"), 24));
        assert_eq!(interfaces.source("eth0", Family::V4, &virtual_ones), Some(ip("10.0.0.2")), "it came first");
        interfaces.remove_address(2, ip("10.0.0.1"), 24);
        interfaces.remove_address(2, ip("10.0.0.2"), 24);
        assert_eq!(interfaces.source("eth0", Family::V4, &virtual_ones), None);
        assert_eq!(interfaces.source("eth1", Family::V4, &virtual_ones), None);
    }
    #[test]
    fn an_address_whose_prefix_changes_is_there_all_the_time() {
        let mut interfaces = Interfaces::default();
        let ip = IpAddr::from([10, 0, 0, 1]);
        assert!(interfaces.add_address(2, ip, 24) && !interfaces.add_address(2, ip, 16));
        interfaces.remove_address(2, ip, 24);
        assert!(interfaces.has(ip));
        interfaces.remove_address(2, ip, 16);
        assert!(!interfaces.has(ip));
    }
}
