//! Messages as a stream of bytes: the length in four bytes, little-endian, then postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::MAX_MESSAGE;

/// Why what came is no message: the other side is another program, or broken.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than any may be.
    #[error("a message of {0} bytes is longer than {MAX_MESSAGE}")]
    Long(usize),
    /// It is none of ours.
    #[error("a message cannot be read: {0}")]
    Unreadable(#[from] postcard::Error),
}

/// One message as it travels.
///
/// # Errors
/// [`FrameError::Long`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = postcard::to_extend(message, vec![0; 4])?;
    let len = bytes.len() - 4;
    let length = u32::try_from(len).ok().filter(|_| len <= MAX_MESSAGE).ok_or(FrameError::Long(len))?;
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length.to_le_bytes();
    }
    Ok(bytes)
}

/// Takes bytes as they come and gives messages.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// More bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What came of a message that is not whole yet.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.bytes
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// [`FrameError`]; nothing that follows can be read.
    pub fn poll<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some((head, rest)) = self.bytes.split_first_chunk() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > MAX_MESSAGE {
            return Err(FrameError::Long(len));
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let message = postcard::from_bytes(body)?;
        self.bytes.drain(..4 + len);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::message::ToVrrp;

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let sent = [ToVrrp::Status, ToVrrp::Reload(Default::default()), ToVrrp::Stop];
        let bytes: Vec<u8> = sent.iter().flat_map(|message| encode(message).expect("short")).collect();
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for part in bytes.chunks(size) {
                decoder.push(part);
                while let Some(message) = decoder.poll::<ToVrrp>().expect("ours") {
                    got.push(message);
                }
            }
            assert_eq!(got, sent);
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_it_is_waited_for() {
        let mut decoder = Decoder::default();
        decoder.push(&[0xff; 4]);
        assert!(matches!(decoder.poll::<ToVrrp>(), Err(FrameError::Long(_))));
    }
}
