//! Whether a packet that came is an advertisement that an instance has to act upon.
//!
//! What is rejected is counted by its sender, and changes nothing else: it moves no timer.

use std::net::IpAddr;
use std::time::Duration;

use super::packet::{Advert, Auth, Path, Reject, Version};
use super::setup::{Family, Instance, Transport};

/// A packet of protocol 112, as a socket gave it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The interface that it came by (ifindex).
    pub interface: u32,
    /// Its source.
    pub from: IpAddr,
    /// Its destination.
    pub to: IpAddr,
    /// Its TTL or hop limit.
    pub ttl: u8,
    /// What stands behind the IP header.
    pub payload: &'a [u8],
}

impl Packet<'_> {
    /// The virtual router identifier that it seems to be for.
    #[must_use]
    pub fn vrid(&self) -> Option<u8> {
        self.payload.get(1).copied()
    }

    /// The ends that its checksum covers; none where they are of two families.
    fn path(&self) -> Option<Path> {
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Some(Path::V4(from, to)),
            (IpAddr::V6(from), IpAddr::V6(to)) => Some(Path::V6(from, to)),
            _ => None,
        }
    }
}

/// Why a packet does not count.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Rejected {
    /// It is no advertisement at all.
    #[error("{0}")]
    Malformed(Reject),
    /// It passed a router, or comes from further away than its sender may be.
    #[error("its TTL is not what it has to be")]
    Ttl,
    /// It is of the other version.
    #[error("it is of another VRRP version")]
    Version,
    /// Its authentication is of another type.
    #[error("its authentication is of another type")]
    AuthType,
    /// Its password is another.
    #[error("its password is another")]
    Password,
    /// Version 2: its interval is another.
    #[error("its advertisement interval is another")]
    Interval,
    /// It was sent to a group and the instance has peers, or the other way round.
    #[error("multicast and unicast do not fit")]
    Transport,
    /// Its sender is no peer.
    #[error("its sender is no unicast_peer")]
    Sender,
    /// It was sent from here.
    #[error("its sender has this node's own address")]
    Own,
}

impl Rejected {
    /// Whether the sender seems to run another virtual router by the same identifier.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Version | Self::AuthType | Self::Password | Self::Interval)
    }
}

/// What a packet that counts says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The advertisement.
    pub advert: Advert,
    /// It names other addresses than this node has: no reason to have two masters, and one to warn.
    pub other_addresses: bool,
}

impl Accepted {
    /// The interval that its sender announces.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.advert.centiseconds.max(1)) * 10)
    }
}

/// Looks at `packet`, which came for the identifier of `instance`, which sends from `source`.
///
/// # Errors
/// [`Rejected`]: it does not count.
pub fn check(instance: &Instance, source: Option<IpAddr>, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
    let path = packet.path().filter(|_| Family::of(packet.from) == instance.family);
    let path = path.ok_or(Rejected::Malformed(Reject::Version))?;
    let advert = Advert::decode(packet.payload, path).map_err(Rejected::Malformed)?;
    if source == Some(packet.from) {
        return Err(Rejected::Own);
    }
    transport(&instance.transport, packet)?;
    if advert.version != instance.version {
        return Err(Rejected::Version);
    }
    if instance.version == Version::V2 {
        match (advert.auth, instance.auth) {
            (Auth::None, Auth::None) => {}
            (Auth::Pass(said), Auth::Pass(known)) if said == known => {}
            (Auth::Pass(_), Auth::Pass(_)) => return Err(Rejected::Password),
            _ => return Err(Rejected::AuthType),
        }
        if Duration::from_millis(u64::from(advert.centiseconds) * 10) != instance.interval {
            return Err(Rejected::Interval);
        }
    }
    let known = |ip: &IpAddr| instance.addresses.iter().any(|address| address.ip == *ip);
    let other_addresses = advert.addresses.len() != instance.addresses.len() || !advert.addresses.iter().all(known);
    Ok(Accepted { advert, other_addresses })
}

fn transport(transport: &Transport, packet: &Packet<'_>) -> Result<(), Rejected> {
    match transport {
        Transport::Multicast { group } if *group == packet.to => {
            if packet.ttl == 255 {
                Ok(())
            } else {
                Err(Rejected::Ttl)
            }
        }
        Transport::Unicast { peers, check_source, .. } if !packet.to.is_multicast() => {
            match peers.iter().find(|peer| peer.address == packet.from) {
                Some(peer) if (peer.min_ttl..=peer.max_ttl).contains(&packet.ttl) => Ok(()),
                Some(_) => Err(Rejected::Ttl),
                None if *check_source => Err(Rejected::Sender),
                None => Ok(()),
            }
        }
        _ => Err(Rejected::Transport),
    }
}
