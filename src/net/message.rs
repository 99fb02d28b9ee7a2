//! Netlink messages as they come: cut up by hand, since a single attribute that a newer kernel changed must
//! not hide a whole interface.

use netlink_packet_core::NlasIterator;

/// The length of the header of a message.
const HEADER: usize = 16;

/// A message from the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The messages in a datagram; what is cut off ends them.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length).filter(|message| message.len() >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16_at(message, 4)?,
            flags: u16_at(message, 6)?,
            sequence: u32_at(message, 8)?,
            payload: message.get(HEADER..)?,
        })
    })
}

/// The attributes behind the `fixed` first bytes of a message; what is broken ends them.
pub(super) fn attributes(payload: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let attributes = NlasIterator::new(payload.get(fixed..).unwrap_or_default());
    attributes.map_while(Result::ok).map(|nla| (nla.kind(), whole(nla.into_inner())))
}

/// The value of an attribute with its header; padding is none of it.
fn whole(attribute: &[u8]) -> &[u8] {
    let length = u16_at(attribute, 0).map_or(0, usize::from);
    attribute.get(4..length).unwrap_or_default()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// A name that ends with a zero byte.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_off_ends_the_messages() {
        let mut bytes = Vec::new();
        for (kind, payload) in [(16_u16, &b"abcd"[..]), (20, b"xyz")] {
            let length = u32::try_from(16 + payload.len()).expect("short");
            bytes.extend_from_slice(&length.to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&[0; 10]);
            bytes.extend_from_slice(payload);
        }
        let got: Vec<_> = messages(&bytes).map(|message| (message.kind, message.payload)).collect();
        assert_eq!(got, [(16, &b"abcd"[..]), (20, b"xyz")]);
        assert_eq!(messages(&bytes[..bytes.len() - 1]).count(), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_cut_up_or_left(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                attributes(message.payload, 16).for_each(|(_, value)| assert!(value.len() <= bytes.len()));
            }
        }
    }
}
