//! Interfaces: which are there, and how they are.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::message::{Message, attributes, text, u16_at, u32_at};
use super::{NetError, netlink::Netlink};

/// Bytes before the attributes of a link (`struct ifinfomsg`).
const FIXED: usize = 16;

/// An interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// Its number, from 1; none has it again as long as the host runs.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Somebody switched it on (`IFF_UP`).
    pub up: bool,
    /// It is on and can carry packets (`IFF_RUNNING`): there is a carrier, and nothing else holds it back.
    pub running: bool,
    /// Its Ethernet address; none where it is no Ethernet.
    pub mac: Option<[u8; 6]>,
    /// The longest packet in bytes.
    pub mtu: u32,
    /// What it is made of: `veth`, `macvlan`, `bond`; none for hardware.
    pub kind: Option<String>,
    /// The interface that it is a part of: a bridge, a bond, a VRF.
    pub master: Option<u32>,
    /// The interface below it.
    pub parent: Option<u32>,
    /// It is the loopback interface.
    pub loopback: bool,
    /// It can carry multicast.
    pub multicast: bool,
}

impl Link {
    /// Whether packets can pass: on, and with a carrier.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.up && self.running
    }

    /// What a message says of an interface; none where it is about something else.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        // Bridges tell of their ports in a family of their own: not of interfaces that come or go.
        if payload.first().is_none_or(|family| i32::from(*family) != libc::AF_UNSPEC) {
            return None;
        }
        let ethernet = u16_at(payload, 2)? == libc::ARPHRD_ETHER;
        let flags = u32_at(payload, 8)?.cast_signed();
        let has = |flag: libc::c_int| flags & flag != 0;
        let mut link = Self {
            index: u32_at(payload, 4)?,
            up: has(libc::IFF_UP),
            running: has(libc::IFF_RUNNING),
            loopback: has(libc::IFF_LOOPBACK),
            multicast: has(libc::IFF_MULTICAST),
            ..Self::default()
        };
        for (kind, value) in attributes(payload, FIXED) {
            match kind {
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_ADDRESS if ethernet => link.mac = value.try_into().ok(),
                libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
                libc::IFLA_MASTER => link.master = u32_at(value, 0),
                libc::IFLA_LINK => link.parent = u32_at(value, 0),
                libc::IFLA_LINKINFO => link.kind = kind_of(value),
                _ => {}
            }
        }
        Some(link)
    }
}

/// The kind in `IFLA_LINKINFO`.
fn kind_of(info: &[u8]) -> Option<String> {
    attributes(info, 0).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND).map(|(_, value)| text(value))
}

impl Netlink {
    /// All interfaces of this network namespace.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn links(&mut self) -> Result<Vec<Link>, NetError> {
        let mut asked = LinkMessage::default();
        // Hundreds of virtual functions would be said with each card otherwise.
        asked.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let mut links = Vec::new();
        let mut see = |message: Option<Message<'_>>| match message {
            Some(message) if message.kind == libc::RTM_NEWLINK => links.extend(Link::parse(message.payload)),
            Some(_) => {}
            None => links.clear(),
        };
        self.list(&RouteNetlinkMessage::GetLink(asked), &mut see)
            .map_err(|cause| NetError::new("the interfaces cannot be listed", cause))?;
        Ok(links)
    }
}
