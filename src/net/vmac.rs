//! Interfaces with the hardware address of a virtual router (`use_vmac`): a macvlan on top of a real one.

use std::fs;
use std::io;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, MacVlanMode,
};
use rustix::io::Errno;

use super::NetError;
use super::link::Link;
use super::netlink::Netlink;
use crate::vrrp::setup::{Family, Vmac};

/// What hardware addresses of virtual routers begin with (RFC 5798 §7.3): such a macvlan is nobody else's.
const VIRTUAL_ROUTER: [u8; 4] = [0, 0, 0x5e, 0];

/// The attribute with settings of IPv4.
const INET_CONF: u16 = 1;

// Numbers of those settings (`IPV4_DEVCONF_…`).
const RP_FILTER: u16 = 8;
const ARP_ANNOUNCE: u16 = 18;
const ARP_IGNORE: u16 = 19;
const PROMOTE_SECONDARIES: u16 = 20;
const ACCEPT_LOCAL: u16 = 23;

/// An interface with a virtual router's hardware address.
#[derive(Debug)]
pub struct VmacLink {
    /// The interface.
    pub link: Link,
    /// Whether it was made now; false when an earlier life had left it.
    pub new: bool,
    /// Settings that could not be made, with what that affects.
    pub warnings: Vec<NetError>,
}

impl Netlink {
    /// Makes the interface of `vmac` on `parent`, and switches it on; one that an earlier life left is taken over.
    ///
    /// As keepalived does: `private`, so that no other interface of this host hears it. The parent no longer
    /// answers ARP for what is not its own (`arp_ignore`) nor, unlike with keepalived, asks in its name
    /// (`arp_announce`): either would teach neighbours the wrong hardware address. It goes on like that. For IPv6 the kernel puts no
    /// address on it: two hosts would have the same. Whoever is to send from it puts one there, when it is master.
    ///
    /// What comes with this hardware address is heard here alone, not by the parent: an instance listens on its VMAC.
    ///
    /// # Errors
    /// The kernel has no macvlan, rights are missing, or the name is another interface's.
    pub fn make_vmac(&mut self, vmac: &Vmac, parent: &Link, family: Family) -> Result<VmacLink, NetError> {
        let failed =
            |cause: io::Error| NetError::new(format!("{} cannot be made on {}", vmac.name, parent.name), cause);
        let new = self.make_macvlan(vmac, parent).map_err(failed)?;
        let mut warnings = self.quieten(vmac, parent, family);
        let up = change(&vmac.name, |message| {
            message.header.flags = LinkFlags::Up;
            message.header.change_mask = LinkFlags::Up;
        });
        self.ask_one(RouteNetlinkMessage::SetLink(up), 0).map_err(failed)?;
        warnings.extend(strict_filter(&vmac.name));
        let link = self.find_link(&vmac.name)?.ok_or_else(|| failed(Errno::NODEV.into()))?;
        Ok(VmacLink { link, new, warnings })
    }

    /// Takes the interface of `vmac` away. One that is not there, or is another's, is left.
    ///
    /// # Errors
    /// The kernel does not let go of it.
    pub fn remove_vmac(&mut self, vmac: &Vmac) -> Result<(), NetError> {
        let Some(link) = self.find_link(&vmac.name)?.filter(is_virtual_router) else { return Ok(()) };
        match self.ask_one(RouteNetlinkMessage::DelLink(by_index(link.index)), 0) {
            Err(cause) if cause.raw_os_error() != Some(libc::ENODEV) => {
                Err(NetError::new(format!("{} cannot be taken away", vmac.name), cause))
            }
            _ => Ok(()),
        }
    }

    fn find_link(&mut self, name: &str) -> Result<Option<Link>, NetError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// Whether it had to be made.
    fn make_macvlan(&mut self, vmac: &Vmac, parent: &Link) -> io::Result<bool> {
        let found = self.find_link(&vmac.name).map_err(|e| io::Error::other(e.to_string()))?;
        match found {
            Some(link) if is_virtual_router(&link) => {
                if link.mac == Some(vmac.mac) && link.parent == Some(parent.index) {
                    return Ok(false);
                }
                self.ask_one(RouteNetlinkMessage::DelLink(by_index(link.index)), 0)?;
            }
            Some(_) => return Err(Errno::EXIST.into()),
            None => {}
        }
        let made = change(&vmac.name, |message| {
            message.attributes.push(LinkAttribute::Link(parent.index));
            message.attributes.push(LinkAttribute::Address(vmac.mac.to_vec()));
            message.attributes.push(LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)])),
            ]));
        });
        self.ask_one(RouteNetlinkMessage::NewLink(made), NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(true)
    }

    /// Makes the settings that keep either interface from speaking for the other.
    fn quieten(&mut self, vmac: &Vmac, parent: &Link, family: Family) -> Vec<NetError> {
        let own: &[(u16, u32)] = &[(ARP_IGNORE, 1), (ACCEPT_LOCAL, 1), (RP_FILTER, 0), (PROMOTE_SECONDARIES, 1)];
        let no_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let mut settings = vec![(vmac.name.as_str(), no_address)];
        if family == Family::V4 {
            settings.push((&vmac.name, ipv4_settings(own)));
            settings.push((&parent.name, ipv4_settings(&[(ARP_IGNORE, 1), (ARP_ANNOUNCE, 2)])));
        }
        let mut warnings = Vec::new();
        for (name, setting) in settings {
            let message = change(name, |message| message.attributes.push(LinkAttribute::AfSpecUnspec(vec![setting])));
            match self.ask_one(RouteNetlinkMessage::SetLink(message), 0) {
                // A host without IPv6 makes no such addresses anyway.
                Err(cause) if cause.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(cause) => {
                    warnings.push(NetError::new(format!("{name} cannot be set up as a VMAC needs it"), cause));
                }
                Ok(()) => {}
            }
        }
        let files: &[(&str, &str)] = match family {
            Family::V4 => &[("disable_ipv6", "1")],
            Family::V6 => &[("accept_ra", "0"), ("autoconf", "0"), ("accept_dad", "0")],
        };
        warnings.extend(files.iter().filter_map(|(key, value)| write_ipv6_setting(&vmac.name, key, value)));
        warnings
    }

    /// Makes one request.
    fn ask_one(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let answers = self.ask(vec![(message, flags)])?;
        answers.into_iter().collect::<Result<(), Errno>>().map_err(io::Error::from)
    }
}

/// Whether it is a macvlan with a hardware address of virtual routers.
fn is_virtual_router(link: &Link) -> bool {
    let virtual_mac = link.mac.is_some_and(|mac| mac.starts_with(&VIRTUAL_ROUTER));
    link.kind.as_deref() == Some("macvlan") && virtual_mac
}

/// A message about the interface `name`.
fn change(name: &str, say: impl FnOnce(&mut LinkMessage)) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    say(&mut message);
    message
}

fn by_index(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// Settings of IPv4, each an attribute of its own: 0 is said as well, which the crate's own form leaves out.
fn ipv4_settings(settings: &[(u16, u32)]) -> AfSpecUnspec {
    let mut value = Vec::with_capacity(settings.len() * 8);
    for (setting, number) in settings {
        value.extend_from_slice(&8_u16.to_ne_bytes());
        value.extend_from_slice(&setting.to_ne_bytes());
        value.extend_from_slice(&number.to_ne_bytes());
    }
    AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(INET_CONF | NLA_F_NESTED, value))])
}

/// Sets what netlink cannot; the error, if any. A host without IPv6 has no such settings.
fn write_ipv6_setting(name: &str, key: &str, value: &str) -> Option<NetError> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/{key}");
    let error = fs::write(&path, value).err().filter(|error| error.kind() != io::ErrorKind::NotFound)?;
    Some(NetError::new(
        format!("{path} cannot be set to {value}, so that {name} may take addresses from routers"),
        error,
    ))
}

/// What the host as a whole forbids cannot be allowed on one interface.
fn strict_filter(name: &str) -> Option<NetError> {
    let value = fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter").ok()?;
    (value.trim() == "1").then(|| {
        let cause = io::Error::other("sysctl net.ipv4.conf.all.rp_filter is 1 (strict); set it to 2 or 0");
        NetError::new(format!("what is sent to addresses on {name} may be dropped"), cause)
    })
}
