//! Frames at a switch: what kind each is, what it says, and how those of two runs are compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds that a virtual router sends.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// VRRP over IPv4 or IPv6.
    Advert,
    /// An ARP in which somebody speaks of its own address.
    GratuitousArp,
    /// A neighbour advertisement to all nodes.
    Neighbour,
}

/// A frame that a virtual router sends.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The hardware address that it came from.
    pub mac: [u8; 6],
    /// Who sent it; of an ARP the address that it is about.
    pub from: IpAddr,
    /// What stands behind the IP header; of an ARP all of it.
    pub payload: &'a [u8],
}

/// What `frame` says; none where it is of no such kind.
pub fn read(frame: &[u8]) -> Option<Said<'_>> {
    let mac = <[u8; 6]>::try_from(frame.get(6..12)?).ok()?;
    let behind = frame.get(14..)?;
    match frame.get(12..14)? {
        [8, 0] if behind.get(9) == Some(&112) => {
            let from = Ipv4Addr::from(<[u8; 4]>::try_from(behind.get(12..16)?).ok()?);
            let length = usize::from(u16::from_be_bytes([behind[2], behind[3]]));
            Some(Said { kind: Kind::Advert, mac, from: from.into(), payload: behind.get(20..length)? })
        }
        [8, 6] if behind.get(14..18)? == behind.get(24..28)? => {
            let ip = Ipv4Addr::from(<[u8; 4]>::try_from(behind.get(14..18)?).ok()?);
            Some(Said { kind: Kind::GratuitousArp, mac, from: ip.into(), payload: behind })
        }
        [0x86, 0xdd] => {
            let from = Ipv6Addr::from(<[u8; 16]>::try_from(behind.get(8..24)?).ok()?);
            let payload = behind.get(40..)?;
            let all_nodes = behind.get(24..40)? == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
            let kind = match (behind.get(6)?, payload.first()?) {
                (112, _) => Kind::Advert,
                (58, 136) if all_nodes => Kind::Neighbour,
                _ => return None,
            };
            Some(Said { kind, mac, from: from.into(), payload })
        }
        _ => None,
    }
}

impl Said<'_> {
    /// The priority of an advertisement.
    pub fn priority(&self) -> Option<u8> {
        self.payload.get(2).copied().filter(|_| self.kind == Kind::Advert)
    }

    /// The address that neighbours are told of.
    pub fn announced(&self) -> Option<IpAddr> {
        (self.kind != Kind::Advert).then_some(self.from)
    }
}

/// All of `frame` as text, but for what is another in each packet: the identification of its IPv4 header, and that
/// header's checksum, which has to be right.
pub fn comparable(frame: &[u8]) -> String {
    let mut bytes = frame.to_vec();
    if bytes.get(12..14) == Some(&[8, 0]) {
        let sum: u32 = bytes[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum of its header is wrong: {frame:02x?}");
        bytes[18..20].fill(0);
        bytes[24..26].fill(0);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
