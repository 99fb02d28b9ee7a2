//! The frames that tell neighbours whose an address is now: gratuitous ARP, unsolicited neighbour advertisements.

use std::net::{Ipv4Addr, Ipv6Addr};

/// To everybody on the link.
const BROADCAST: [u8; 6] = [0xff; 6];

/// Where ff02::1, all nodes, is heard on Ethernet (RFC 2464 §7).
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// All nodes on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The next header of ICMPv6.
const ICMPV6: u8 = 58;

/// A gratuitous ARP request: `mac` asks everybody for `ip`, which is its own (RFC 5227 §3).
#[must_use]
pub fn gratuitous_arp(mac: [u8; 6], ip: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, 0x0806);
    // Ethernet and IPv4, addresses of 6 and of 4 bytes, a request.
    frame.extend_from_slice(&[0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ip.octets());
    frame.extend_from_slice(&BROADCAST);
    frame.extend_from_slice(&ip.octets());
    frame
}

/// An unsolicited neighbour advertisement: `ip` is at `mac` from now on, and is a `router` (RFC 4861 §7.2.6).
#[must_use]
pub fn neighbour_advertisement(mac: [u8; 6], ip: Ipv6Addr, router: bool) -> Vec<u8> {
    let message = advertisement(mac, ip, router);
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut frame = ethernet(ALL_NODES_MAC, mac, 0x86dd);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    // Whoever gets it with another hop limit than 255 knows that it passed a router.
    frame.extend_from_slice(&[ICMPV6, 255]);
    frame.extend_from_slice(&ip.octets());
    frame.extend_from_slice(&ALL_NODES.octets());
    frame.extend_from_slice(&message);
    frame
}

/// The ICMPv6 message with its checksum.
fn advertisement(mac: [u8; 6], ip: Ipv6Addr, router: bool) -> Vec<u8> {
    // Not solicited; what neighbours knew is overridden.
    let flags = if router { 0xa0 } else { 0x20 };
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&ip.octets());
    // The option that says the hardware address, one unit of 8 bytes.
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(&mac);
    let sum = checksum(ip, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The checksum of an ICMPv6 message to all nodes (RFC 8200 §8.1).
fn checksum(from: Ipv6Addr, message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let parts: [&[u8]; 5] = [&from.octets(), &ALL_NODES.octets(), &length, &[0, 0, 0, ICMPV6], message];
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes
            .chunks(2)
            .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect::<String>())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_gratuitous_arp_has_the_bytes_of_keepalived() {
        // What keepalived 2.2.7 sent for 10.9.0.53.
        let frame = gratuitous_arp([0x72, 0x8d, 0xae, 0x96, 0x4d, 0x57], Ipv4Addr::new(10, 9, 0, 53));
        insta::assert_snapshot!(hex(&frame), @"ffff ffff ffff 728d ae96 4d57 0806 0001 0800 0604 0001 728d ae96 4d57 0a09 0035 ffff ffff ffff 0a09 0035");
    }

    #[test]
    fn a_neighbour_advertisement_overrides_and_says_where() {
        let ip: Ipv6Addr = "fd00::52".parse().expect("an address");
        let frame = neighbour_advertisement([0, 0, 0x5e, 0, 2, 0x34], ip, false);
        insta::assert_snapshot!(hex(&frame), @"3333 0000 0001 0000 5e00 0234 86dd 6000 0000 0020 3aff fd00 0000 0000 0000 0000 0000 0000 0052 ff02 0000 0000 0000 0000 0000 0000 0001 8800 fbc5 2000 0000 fd00 0000 0000 0000 0000 0000 0000 0052 0201 0000 5e00 0234");
        assert_eq!(frame.len(), 86);
        // A right checksum makes the sum of all zero.
        assert_eq!(checksum(ip, &frame[54..]), 0);
    }

    #[test]
    fn a_router_says_that_it_is_one() {
        let frame = neighbour_advertisement([2; 6], Ipv6Addr::LOCALHOST, true);
        assert_eq!(frame[58], 0xa0);
        assert_eq!(checksum(Ipv6Addr::LOCALHOST, &frame[54..]), 0);
    }
}
