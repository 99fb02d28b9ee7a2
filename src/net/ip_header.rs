//! The header of IPv4, which a raw socket shows and takes as it is.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::advert::VRRP;

/// The length of a header without options.
pub(super) const HEADER: usize = 20;

/// What is not the same in each header that is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv4Header {
    pub(super) identification: u16,
    pub(super) ttl: u8,
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
}

impl Ipv4Header {
    /// Its bytes before `payload` bytes of VRRP; the kernel fills in the checksum.
    pub(super) fn bytes(self, payload: usize) -> [u8; HEADER] {
        let total = u16::try_from(HEADER + payload).unwrap_or(u16::MAX);
        let mut bytes = [0; HEADER];
        // Version 4, five words, internet control; not cut up, and it may be.
        bytes[0] = 0x45;
        bytes[1] = 0xc0;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.identification.to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = VRRP;
        bytes[12..16].copy_from_slice(&self.from.octets());
        bytes[16..20].copy_from_slice(&self.to.octets());
        bytes
    }
}

/// A header that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Parsed {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) ttl: u8,
    /// Where in the packet its payload is.
    pub(super) payload: Range<usize>,
}

/// What stands in front of `packet`; none where that is no header of IPv4.
pub(super) fn parse(packet: &[u8]) -> Option<Parsed> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let start = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || start < HEADER || start > packet.len() {
        return None;
    }
    // It may say more than what came, or less than its own length.
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let end = total.min(packet.len()).max(start);
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    Some(Parsed { from: address(12), to: address(16), ttl: header[8], payload: start..end })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_has_the_bytes_of_keepalived_but_for_the_checksum_of_the_kernel() {
        let (from, to) = (Ipv4Addr::new(10, 97, 1, 11), Ipv4Addr::new(224, 0, 0, 18));
        let bytes = Ipv4Header { identification: 1, ttl: 255, from, to }.bytes(20);
        let expected = [0x45, 0xc0, 0, 0x28, 0, 1, 0, 0, 0xff, 0x70, 0, 0, 10, 97, 1, 11, 0xe0, 0, 0, 0x12];
        assert_eq!(bytes, expected);
        let packet = [&bytes[..], &[7; 20]].concat();
        assert_eq!(parse(&packet), Some(Parsed { from, to, ttl: 255, payload: 20..40 }));
    }

    #[test]
    fn a_length_beyond_what_came_is_not_believed_and_options_are_passed_over() {
        let (from, to) = (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        let header = Ipv4Header { identification: 1, ttl: 1, from, to };
        let mut packet = [&header.bytes(1000)[..], &[7; 30]].concat();
        assert_eq!(parse(&packet).map(|p| p.payload), Some(20..50));
        packet[0] = 0x46;
        assert_eq!(parse(&packet).map(|p| p.payload), Some(24..50));
        // Shorter than its own header, and padded.
        packet[2..4].copy_from_slice(&[0, 3]);
        assert_eq!(parse(&packet).map(|p| p.payload), Some(24..24));
        packet[0] = 0x4f;
        assert_eq!(parse(&packet[..40]), None);
        packet[0] = 0x65;
        assert_eq!(parse(&packet), None);
    }

    proptest! {
        #[test]
        fn no_packet_leads_beyond_itself(packet in proptest::collection::vec(any::<u8>(), 0..90)) {
            if let Some(parsed) = parse(&packet) {
                prop_assert!(packet.get(parsed.payload).is_some());
            }
        }
    }
}
