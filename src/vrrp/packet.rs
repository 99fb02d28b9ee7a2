//! VRRP advertisements as bytes: version 2 (RFC 3768) and version 3 (RFC 5798, RFC 9568).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;

/// What stands before the addresses, in bytes.
const HEADER: usize = 8;

/// The authentication data behind the addresses of version 2, in bytes: also where there is none.
const AUTH: usize = 8;

/// The type of an advertisement, the only one there is.
const ADVERTISEMENT: u8 = 1;

/// The longest interval that fits: version 3 has twelve bits of centiseconds.
pub const MAX_CENTISECONDS: u16 = 4095;

/// The version of the protocol.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, authentication as keepalived keeps it.
    V2,
    /// RFC 5798: IPv4 and IPv6, centiseconds.
    V3,
}

/// What proves a version 2 advertisement.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
pub enum Auth {
    /// Nothing (type 0).
    None,
    /// A password in clear text, padded with zeros (type 1).
    Pass([u8; AUTH]),
}

/// Never the password itself.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::None) { "None" } else { "Pass(…)" })
    }
}

/// One advertisement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advert {
    /// Its version.
    pub version: Version,
    /// Virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// Priority: 255 owns the addresses, 0 gives them up.
    pub priority: u8,
    /// The interval between advertisements in centiseconds; version 2 has whole seconds.
    pub centiseconds: u16,
    /// What proves it; none in version 3.
    pub auth: Auth,
    /// The virtual addresses, all of one family.
    pub addresses: Vec<IpAddr>,
}

/// Between whom a packet travels: what a checksum with a pseudo-header covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Path {
    /// IPv4 source and destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6 source and destination.
    V6(Ipv6Addr, Ipv6Addr),
}

/// Why a packet is none that counts. It changes nothing but a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Reject {
    /// Another length than its count of addresses makes.
    #[error("its length is not that of its addresses")]
    Length,
    /// Neither version 2 nor 3, or version 2 over IPv6.
    #[error("its version is unknown")]
    Version,
    /// No advertisement.
    #[error("it is no advertisement")]
    Type,
    /// Virtual router identifier 0.
    #[error("its virtual router identifier is 0")]
    Vrid,
    /// Authentication that is neither none nor a password.
    #[error("its authentication is of an unknown type")]
    AuthType,
    /// Its bytes changed on the way.
    #[error("its checksum is wrong")]
    Checksum,
}

impl Advert {
    /// The bytes behind the IP header. More addresses than 255 do not fit and are left out.
    ///
    /// The checksum of version 3 over IPv4 covers a pseudo-header, as keepalived sends it; RFC 9568
    /// leaves it out, and [`Self::decode`] takes both.
    #[must_use]
    pub fn encode(&self, path: Path) -> Vec<u8> {
        self.summed(|len| self.pseudo_header(path, len))
    }

    /// The same with a checksum of version 3 that leaves the pseudo-header out (`v3_checksum_as_v2`): IPv4 alone.
    #[must_use]
    pub fn encode_without_pseudo_header(&self) -> Vec<u8> {
        self.summed(|_| 0)
    }

    fn summed(&self, begin: impl Fn(usize) -> u32) -> Vec<u8> {
        let addresses = self.addresses.iter().take(usize::from(u8::MAX));
        let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(HEADER + AUTH + 16 * addresses.len());
        let (number, third) = match self.version {
            Version::V2 => (2, [auth_type(self.auth), u8::try_from(self.centiseconds / 100).unwrap_or(u8::MAX)]),
            Version::V3 => (3, self.centiseconds.min(MAX_CENTISECONDS).to_be_bytes()),
        };
        out.extend([number << 4 | ADVERTISEMENT, self.vrid, self.priority, count]);
        out.extend(third);
        out.extend([0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(v4) => out.extend(v4.octets()),
                IpAddr::V6(v6) => out.extend(v6.octets()),
            }
        }
        if self.version == Version::V2 {
            out.extend(if let Auth::Pass(password) = self.auth { password } else { [0; AUTH] });
        }
        let sum = checksum(&out, begin(out.len()));
        if let Some(field) = out.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out
    }

    fn pseudo_header(&self, path: Path, len: usize) -> u32 {
        match self.version {
            Version::V2 => 0,
            Version::V3 => pseudo_header(path, len),
        }
    }

    /// Reads what stands behind the IP header of a packet that came along `path`.
    ///
    /// # Errors
    /// [`Reject`]: it is no advertisement that anybody should act upon.
    pub fn decode(bytes: &[u8], path: Path) -> Result<Self, Reject> {
        let &[first, vrid, priority, count, third, fourth, _, _] = bytes.get(..HEADER).ok_or(Reject::Length)? else {
            return Err(Reject::Length);
        };
        let version = match (first >> 4, path) {
            (2, Path::V4(..)) => Version::V2,
            (3, _) => Version::V3,
            _ => return Err(Reject::Version),
        };
        if first & 0xf != ADVERTISEMENT {
            return Err(Reject::Type);
        }
        let each = if matches!(path, Path::V4(..)) { 4 } else { 16 };
        let end = HEADER + usize::from(count) * each;
        let auth_len = if version == Version::V2 { AUTH } else { 0 };
        if bytes.len() != end + auth_len {
            return Err(Reject::Length);
        }
        if vrid == 0 {
            return Err(Reject::Vrid);
        }
        let auth = match (version, third) {
            (Version::V3, _) | (Version::V2, 0) => Auth::None,
            (Version::V2, 1) => Auth::Pass(bytes.get(end..).and_then(|b| b.try_into().ok()).ok_or(Reject::Length)?),
            (Version::V2, _) => return Err(Reject::AuthType),
        };
        // All bits set is what a sum comes to that holds its own complement.
        let whole = |start| checksum(bytes, start) == 0;
        let right = whole(0) && !matches!(path, Path::V6(..));
        if !(right || version == Version::V3 && whole(pseudo_header(path, bytes.len()))) {
            return Err(Reject::Checksum);
        }
        let centiseconds = match version {
            Version::V2 => u16::from(fourth) * 100,
            Version::V3 => u16::from_be_bytes([third & 0xf, fourth]),
        };
        let addresses = bytes.get(HEADER..end).unwrap_or(&[]).chunks_exact(each).filter_map(address).collect();
        Ok(Self { version, vrid, priority, centiseconds, auth, addresses })
    }
}

fn auth_type(auth: Auth) -> u8 {
    match auth {
        Auth::None => 0,
        Auth::Pass(_) => 1,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// The sum of what RFC 1071 and RFC 8200 put before the packet.
fn pseudo_header(path: Path, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let ends = match path {
        Path::V4(from, to) => words(&from.octets()) + words(&to.octets()),
        Path::V6(from, to) => words(&from.octets()) + words(&to.octets()),
    };
    ends + u32::from(PROTOCOL) + (len >> 16) + (len & 0xffff)
}

/// The Internet checksum (RFC 1071) of `bytes`, begun with the sum `start`; 0 where it holds itself.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn words(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    };
    bytes.chunks(2).map(word).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MULTICAST: Path = Path::V4(Ipv4Addr::new(10, 97, 1, 11), Ipv4Addr::new(224, 0, 0, 18));
    const UNICAST: Path = Path::V4(Ipv4Addr::new(10, 97, 1, 11), Ipv4Addr::new(10, 97, 1, 12));
    const LINK: Path =
        Path::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

    fn advert(version: Version, centiseconds: u16, auth: Auth) -> Advert {
        let addresses = vec![IpAddr::from([10, 97, 1, 50])];
        Advert { version, vrid: 51, priority: 150, centiseconds, auth, addresses }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes that keepalived 2.2.7 sends.
    #[test]
    fn what_is_sent_is_what_keepalived_sends() {
        let pass = Auth::Pass(*b"1111\0\0\0\0");
        let cases = [
            (advert(Version::V2, 100, pass), MULTICAST, "213396010101d9d40a6101323131313100000000"),
            (advert(Version::V2, 100, Auth::None), MULTICAST, "2133960100013d370a6101320000000000000000"),
            (advert(Version::V3, 50, Auth::None), MULTICAST, "313396010032410b0a610132"),
            (advert(Version::V3, 100, Auth::None), UNICAST, "313396010064157f0a610132"),
        ];
        for (advert, path, bytes) in cases {
            assert_eq!(hex(&advert.encode(path)), bytes);
            assert_eq!(Advert::decode(&advert.encode(path), path), Ok(advert));
        }
        let leaving = Advert { priority: 0, ..advert(Version::V2, 100, pass) };
        assert!(hex(&leaving.encode(MULTICAST)).starts_with("2133000101016fd5"));
    }

    #[test]
    fn a_version_3_checksum_is_taken_with_and_without_the_pseudo_header() {
        let advert = advert(Version::V3, 100, Auth::None);
        let mut bytes = advert.encode(MULTICAST);
        bytes[6..8].fill(0);
        let plain = checksum(&bytes, 0).to_be_bytes();
        bytes[6..8].copy_from_slice(&plain);
        assert_eq!(Advert::decode(&bytes, MULTICAST), Ok(advert));
        assert_eq!(Advert::decode(&bytes, LINK), Err(Reject::Length));
    }

    #[test]
    fn each_fault_has_its_name() {
        let good = advert(Version::V2, 100, Auth::None).encode(MULTICAST);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Advert::decode(&bytes, MULTICAST)
        };
        assert_eq!(changed(0, 0x11), Err(Reject::Version));
        assert_eq!(changed(0, 0x22), Err(Reject::Type));
        assert_eq!(changed(1, 0), Err(Reject::Vrid));
        assert_eq!(changed(2, 151), Err(Reject::Checksum));
        assert_eq!(changed(3, 2), Err(Reject::Length));
        assert_eq!(changed(4, 2), Err(Reject::AuthType));
        assert_eq!(Advert::decode(&good[..7], MULTICAST), Err(Reject::Length));
        assert_eq!(Advert::decode(&good, LINK), Err(Reject::Version));
    }

    #[test]
    fn more_than_twenty_addresses_travel() {
        let addresses: Vec<IpAddr> = (0..255).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let advert = Advert { addresses, ..advert(Version::V2, 100, Auth::None) };
        assert_eq!(Advert::decode(&advert.encode(MULTICAST), MULTICAST), Ok(advert));
    }

    proptest! {
        #[test]
        fn every_advertisement_survives(
            v3: bool, vrid in 1u8.., priority: u8, seconds in 1u16..=40, pass: Option<[u8; 8]>,
            v4 in prop::collection::vec(any::<[u8; 4]>(), 0..30), v6 in prop::collection::vec(any::<[u8; 16]>(), 0..30),
            over_v6: bool,
        ) {
            let over_v6 = over_v6 && v3;
            let version = if v3 { Version::V3 } else { Version::V2 };
            let auth = pass.filter(|_| !v3).map_or(Auth::None, Auth::Pass);
            let addresses: Vec<IpAddr> =
                if over_v6 { v6.into_iter().map(IpAddr::from).collect() } else { v4.into_iter().map(IpAddr::from).collect() };
            let advert = Advert { version, vrid, priority, centiseconds: seconds * 100, auth, addresses };
            let path = if over_v6 { LINK } else { MULTICAST };
            prop_assert_eq!(Advert::decode(&advert.encode(path), path), Ok(advert));
        }

        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_again(bytes in prop::collection::vec(any::<u8>(), 0..60), over_v6: bool) {
            let path = if over_v6 { LINK } else { MULTICAST };
            if let Ok(advert) = Advert::decode(&bytes, path) {
                prop_assert_eq!(Advert::decode(&advert.encode(path), path), Ok(advert));
            }
        }
    }
}
