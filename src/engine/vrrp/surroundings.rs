//! The interfaces and addresses of this host, as the pure half knows them.

use crate::net::NetError;
use crate::net::link::Link;
use crate::net::netlink::Netlink;
use crate::vrrp::interfaces::{Interfaces, Link as Known};

/// Reads all of them.
pub(super) fn read(netlink: &mut Netlink) -> Result<Interfaces, NetError> {
    let mut interfaces = Interfaces::default();
    for link in netlink.links()? {
        interfaces.set_link(known(&link));
    }
    for address in netlink.addresses()? {
        // What is looked for elsewhere still cannot be sent from yet.
        if !address.tentative {
            interfaces.add_address(address.interface, address.ip, address.prefix);
        }
    }
    Ok(interfaces)
}

/// An interface as the pure half knows it.
pub(super) fn known(link: &Link) -> Known {
    Known { index: link.index, name: link.name.clone(), running: link.is_usable(), mac: link.mac.unwrap_or_default() }
}
