//! Frames: a header of eight bytes around a body of bounded length.
//!
//! ```text
//!  0               2       3       4                               8
//! ┌───────────────┬───────┬───────┬───────────────────────────────┐
//! │ kind (u16 LE) │ flags │   0   │ length of the body (u32 LE)   │ body …
//! └───────────────┴───────┴───────┴───────────────────────────────┘
//!  flags: 1 critical (an unknown kind is refused, not skipped), 2 body is zstd
//! ```

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::{MAX_BODY, MAX_DATA};
use super::message::Message;

const HEADER: usize = 8;
const CRITICAL: u8 = 1;
const ZSTD: u8 = 2;

/// The least room in bytes that a stream is read into.
const MIN_ROOM: usize = 16 * 1024;

/// What is wrong with a frame. The connection that sent it cannot be trusted with another.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// The body is no message of its kind.
    #[error("a frame of kind {0} cannot be decoded")]
    Body(u16),
    /// The body does not decompress, or to more than it may.
    #[error("a compressed frame of kind {0} is damaged or too large")]
    Compressed(u16),
    /// The announced length is beyond the limit.
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(usize),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// A critical frame of a kind that this version does not know.
    #[error("a critical frame of unknown kind {0}: the peer speaks a newer protocol")]
    UnknownCritical(u16),
    /// Header bytes that must be zero are not.
    #[error("a frame header has unknown flags")]
    Flags,
}

/// The wire number of each kind; never reused.
mod kind {
    pub(super) const HELLO: u16 = 1;
    pub(super) const OPEN: u16 = 2;
    pub(super) const CHALLENGE: u16 = 3;
    pub(super) const CONFIRM: u16 = 4;
    pub(super) const OPENED: u16 = 5;
    pub(super) const REFUSED: u16 = 6;
    // 7 was never sent by anybody.
    pub(super) const WORKING: u16 = 8;
    pub(super) const RELEASED: u16 = 9;
    pub(super) const COMPARE: u16 = 16;
    pub(super) const DIR_DIGESTS: u16 = 17;
    pub(super) const WANT_DIRS: u16 = 18;
    pub(super) const ENTRIES: u16 = 19;
    pub(super) const END: u16 = 20;
    pub(super) const CHANGE_SET: u16 = 32;
    pub(super) const OPS: u16 = 33;
    pub(super) const FILE_BEGIN: u16 = 34;
    pub(super) const WANT_SIGNATURE: u16 = 35;
    pub(super) const SIGNATURE: u16 = 36;
    pub(super) const DATA: u16 = 37;
    pub(super) const HOLE: u16 = 38;
    pub(super) const COPY: u16 = 39;
    pub(super) const FILE_END: u16 = 40;
    pub(super) const FILE_ABORT: u16 = 41;
    pub(super) const CHANGE_SET_END: u16 = 42;
    pub(super) const ACK: u16 = 43;
    pub(super) const NACK: u16 = 44;
}

/// The frame of `message`, uncompressed, in one piece.
///
/// # Errors
/// [`FrameError::TooLong`] when the message is beyond the limits: the caller split it wrongly.
pub fn encode(message: &Message) -> Result<Bytes, FrameError> {
    let [head, content] = encode_uncopied(message)?;
    Ok(if content.is_empty() { head } else { [head, content].concat().into() })
}

/// The frame of `message` in two pieces, which follow each other on the stream: the second is the
/// content of [`Message::Data`] and [`Message::Signature`] as it is, and empty for all others.
///
/// # Errors
/// As [`encode`].
pub fn encode_uncopied(message: &Message) -> Result<[Bytes; 2], FrameError> {
    let (kind, body) = body(message)?;
    match body {
        Body::Content(content) => Ok([Bytes::copy_from_slice(&header(kind, 0, content.len())?), content]),
        Body::Encoded(mut frame) => {
            let header = header(kind, 0, frame.len() - HEADER)?;
            frame[..HEADER].copy_from_slice(&header);
            Ok([frame.into(), Bytes::new()])
        }
    }
}

/// The frame of [`Message::Data`] with a copy of `content`.
///
/// # Errors
/// [`FrameError::TooLong`] beyond [`MAX_DATA`].
pub fn encode_data(content: &[u8]) -> Result<Bytes, FrameError> {
    if content.len() > MAX_DATA {
        return Err(FrameError::TooLong(content.len()));
    }
    Ok([&header(kind::DATA, 0, content.len())?[..], content].concat().into())
}

/// The frame of `message`, compressed at `level` (zstd's, 1 to 19) where that makes it smaller.
///
/// # Errors
/// As [`encode`].
pub fn encode_compressed(message: &Message, level: i32) -> Result<Bytes, FrameError> {
    let (kind, body) = body(message)?;
    match zstd::bulk::compress(body.bytes(), level) {
        Ok(small) if small.len() < body.bytes().len() => {
            Ok([&header(kind, ZSTD, small.len())?[..], &small].concat().into())
        }
        _ => Ok([&header(kind, 0, body.bytes().len())?[..], body.bytes()].concat().into()),
    }
}

fn header(kind: u16, flags: u8, body: usize) -> Result<[u8; HEADER], FrameError> {
    let len = u32::try_from(body).ok().filter(|_| body <= MAX_BODY).ok_or(FrameError::TooLong(body))?;
    let ([k0, k1], [l0, l1, l2, l3]) = (kind.to_le_bytes(), len.to_le_bytes());
    // Who does not know what it means that the other side is at work need not.
    let critical = if kind == kind::WORKING { 0 } else { CRITICAL };
    Ok([k0, k1, critical | flags, 0, l0, l1, l2, l3])
}

/// The body of a frame.
enum Body {
    /// Encoded, behind as much room as the header takes.
    Encoded(Vec<u8>),
    /// The message's own bytes.
    Content(Bytes),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Content(bytes) => bytes,
            Self::Encoded(frame) => &frame[HEADER..],
        }
    }
}

fn body(message: &Message) -> Result<(u16, Body), FrameError> {
    fn post<T: Serialize>(kind: u16, value: &T) -> Result<(u16, Body), FrameError> {
        let frame = postcard::to_extend(value, vec![0; HEADER]).map_err(|_| FrameError::Body(kind))?;
        Ok((kind, Body::Encoded(frame)))
    }
    let empty = |kind| Ok((kind, Body::Content(Bytes::new())));
    match message {
        Message::Ack(m) => post(kind::ACK, m),
        Message::Challenge { channel, pake, confirm } => post(kind::CHALLENGE, &(channel, pake, confirm)),
        Message::ChangeSet(m) => post(kind::CHANGE_SET, m),
        Message::ChangeSetEnd { ops, root } => post(kind::CHANGE_SET_END, &(ops, root)),
        Message::Compare(m) => post(kind::COMPARE, m),
        Message::Confirm { channel, confirm } => post(kind::CONFIRM, &(channel, confirm)),
        Message::Copy { offset, len } => post(kind::COPY, &(offset, len)),
        Message::Data(bytes) if bytes.len() > MAX_DATA => Err(FrameError::TooLong(bytes.len())),
        Message::Data(bytes) => Ok((kind::DATA, Body::Content(bytes.clone()))),
        Message::DirDigests(m) => post(kind::DIR_DIGESTS, m),
        Message::Released { channel } => post(kind::RELEASED, channel),
        Message::End => empty(kind::END),
        Message::Entries { dir, entries } => post(kind::ENTRIES, &(dir, entries)),
        Message::FileAbort => empty(kind::FILE_ABORT),
        Message::FileBegin(m) => post(kind::FILE_BEGIN, m),
        Message::FileEnd { hash, entry } => post(kind::FILE_END, &(hash, entry)),
        Message::Hello(m) => post(kind::HELLO, m),
        Message::Hole { len } => post(kind::HOLE, len),
        Message::Nack(m) => post(kind::NACK, m),
        Message::Open(m) => post(kind::OPEN, m),
        Message::Opened(m) => post(kind::OPENED, m),
        Message::Ops(m) => post(kind::OPS, m),
        Message::Refused(m) => post(kind::REFUSED, m),
        Message::Signature(bytes) => Ok((kind::SIGNATURE, Body::Content(bytes.clone()))),
        Message::Unknown(kind) => Err(FrameError::UnknownCritical(*kind)),
        Message::WantDirs(m) => post(kind::WANT_DIRS, m),
        Message::WantSignature { path, base, block } => post(kind::WANT_SIGNATURE, &(path, base, block)),
        Message::Working => empty(kind::WORKING),
    }
}

/// Cuts a stream of bytes into messages.
///
/// Feed it with [`Decoder::feed`], or read into [`Decoder::room`]; then call [`Decoder::poll`]
/// until it has none; at the end of the stream call [`Decoder::finish`]. It holds at most one body
/// and what came beyond it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// Length of the last frame: content comes in many frames of one length.
    last: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that came off the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer, with room to read into at its end: what comes there is fed without a copy.
    ///
    /// The room grows with what has come, never by what a header announces alone.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(self.buffer.len().max(self.last).clamp(MIN_ROOM, HEADER + MAX_BODY));
        }
        &mut self.buffer
    }

    /// The next message, none while its frame is incomplete.
    ///
    /// # Errors
    /// [`FrameError`]; the stream is of no more use then.
    pub fn poll(&mut self) -> Result<Option<Message>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [k0, k1, flags, zero, l0, l1, l2, l3] = *header;
        let kind = u16::from_le_bytes([k0, k1]);
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if zero != 0 || flags & !(CRITICAL | ZSTD) != 0 {
            return Err(FrameError::Flags);
        }
        if len > MAX_BODY {
            return Err(FrameError::TooLong(len));
        }
        if self.buffer.len() < HEADER + len {
            return Ok(None);
        }
        self.last = HEADER + len;
        self.buffer.advance(HEADER);
        let mut body = self.buffer.split_to(len).freeze();
        if flags & ZSTD != 0 {
            body = decompress(kind, &body)?;
        }
        match message(kind, body)? {
            Message::Unknown(kind) if flags & CRITICAL != 0 => Err(FrameError::UnknownCritical(kind)),
            message => Ok(Some(message)),
        }
    }

    /// Checks that the stream did not end inside a frame.
    ///
    /// # Errors
    /// [`FrameError::Truncated`].
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }
}

/// Output beyond [`MAX_BODY`] is an error before it is memory: the buffer never grows past it.
fn decompress(kind: u16, body: &[u8]) -> Result<Bytes, FrameError> {
    zstd::bulk::decompress(body, MAX_BODY).map(Bytes::from).map_err(|_| FrameError::Compressed(kind))
}

fn message(kind: u16, body: Bytes) -> Result<Message, FrameError> {
    fn post<T: DeserializeOwned>(kind: u16, body: &[u8]) -> Result<T, FrameError> {
        match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            _ => Err(FrameError::Body(kind)),
        }
    }
    fn empty(kind: u16, body: &[u8], message: Message) -> Result<Message, FrameError> {
        if body.is_empty() { Ok(message) } else { Err(FrameError::Body(kind)) }
    }
    Ok(match kind {
        kind::ACK => Message::Ack(post(kind, &body)?),
        kind::CHALLENGE => {
            let (channel, pake, confirm) = post(kind, &body)?;
            Message::Challenge { channel, pake, confirm }
        }
        kind::CHANGE_SET => Message::ChangeSet(post(kind, &body)?),
        kind::CHANGE_SET_END => {
            let (ops, root) = post(kind, &body)?;
            Message::ChangeSetEnd { ops, root }
        }
        kind::COMPARE => Message::Compare(post(kind, &body)?),
        kind::CONFIRM => {
            let (channel, confirm) = post(kind, &body)?;
            Message::Confirm { channel, confirm }
        }
        kind::COPY => {
            let (offset, len) = post(kind, &body)?;
            Message::Copy { offset, len }
        }
        kind::DATA if body.len() > MAX_DATA => return Err(FrameError::TooLong(body.len())),
        kind::DATA => Message::Data(body),
        kind::DIR_DIGESTS => Message::DirDigests(post(kind, &body)?),
        kind::RELEASED => Message::Released { channel: post(kind, &body)? },
        kind::END => empty(kind, &body, Message::End)?,
        kind::ENTRIES => {
            let (dir, entries) = post(kind, &body)?;
            Message::Entries { dir, entries }
        }
        kind::FILE_ABORT => empty(kind, &body, Message::FileAbort)?,
        kind::FILE_BEGIN => Message::FileBegin(post(kind, &body)?),
        kind::FILE_END => {
            let (hash, entry) = post(kind, &body)?;
            Message::FileEnd { hash, entry }
        }
        kind::HELLO => Message::Hello(post(kind, &body)?),
        kind::HOLE => Message::Hole { len: post(kind, &body)? },
        kind::NACK => Message::Nack(post(kind, &body)?),
        kind::OPEN => Message::Open(post(kind, &body)?),
        kind::OPENED => Message::Opened(post(kind, &body)?),
        kind::OPS => Message::Ops(post(kind, &body)?),
        kind::REFUSED => Message::Refused(post(kind, &body)?),
        kind::SIGNATURE => Message::Signature(body),
        kind::WANT_DIRS => Message::WantDirs(post(kind, &body)?),
        kind::WANT_SIGNATURE => {
            let (path, base, block) = post(kind, &body)?;
            Message::WantSignature { path, base, block }
        }
        kind::WORKING => empty(kind, &body, Message::Working)?,
        unknown => Message::Unknown(unknown),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Digest, RelPath};
    use crate::wire::{Hello, VERSION};

    fn hello() -> Message {
        Message::Hello(Hello { version: VERSION, features: vec!["zstd".into()], name: "a".into(), agent: "t".into() })
    }

    /// A header that nobody checked, unlike the one that is sent.
    fn header(kind: u16, flags: u8, len: u32) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &[flags, 0], &len.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Option<Message>, FrameError> {
        let mut decoder = Decoder::new();
        decoder.feed(bytes);
        decoder.poll()
    }

    #[test]
    fn a_long_frame_is_refused_by_its_header_alone() {
        assert_eq!(decode(&header(kind::DATA, 1, u32::MAX)), Err(FrameError::TooLong(u32::MAX as usize)));
    }

    #[test]
    fn an_unknown_kind_is_skipped_unless_critical() {
        assert_eq!(decode(&header(999, 0, 0)), Ok(Some(Message::Unknown(999))));
        assert_eq!(decode(&header(999, CRITICAL, 0)), Err(FrameError::UnknownCritical(999)));
    }

    #[test]
    fn a_decompression_bomb_stops_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).expect("compress");
        let mut bytes = header(kind::OPS, CRITICAL | ZSTD, u32::try_from(bomb.len()).expect("small"));
        bytes.extend_from_slice(&bomb);
        assert_eq!(decode(&bytes), Err(FrameError::Compressed(kind::OPS)));
    }

    #[test]
    fn a_path_that_escapes_does_not_decode() {
        for evil in ["../x", "/etc/passwd", "a//b", "a/./b", ""] {
            let body = postcard::to_stdvec(&vec![evil.as_bytes()]).expect("encode");
            let mut bytes = header(kind::WANT_DIRS, CRITICAL, u32::try_from(body.len()).expect("small"));
            bytes.extend_from_slice(&body);
            assert_eq!(decode(&bytes), Err(FrameError::Body(kind::WANT_DIRS)), "{evil}");
        }
    }

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut body = postcard::to_stdvec(&7u32).expect("encode");
        body.push(0);
        let mut bytes = header(kind::RELEASED, CRITICAL, u32::try_from(body.len()).expect("small"));
        bytes.extend_from_slice(&body);
        assert_eq!(decode(&bytes), Err(FrameError::Body(kind::RELEASED)));
    }

    #[test]
    fn content_is_sent_without_a_copy_and_in_the_same_frame() {
        let content = Bytes::from(vec![7; MAX_DATA]);
        let [head, sent] = encode_uncopied(&Message::Data(content.clone())).expect("encode");
        assert_eq!(sent.as_ptr(), content.as_ptr());
        let whole = encode(&Message::Data(content.clone())).expect("encode");
        assert_eq!([&head[..], &sent].concat(), whole);
        assert_eq!(encode_data(&content), Ok(whole));
        assert_eq!(encode_data(&[0; MAX_DATA + 1]), Err(FrameError::TooLong(MAX_DATA + 1)));
    }

    #[test]
    fn room_grows_with_what_came_and_not_with_what_is_announced() {
        let mut decoder = Decoder::new();
        decoder.feed(&header(kind::OPS, CRITICAL, u32::try_from(MAX_BODY).expect("small")));
        assert_eq!(decoder.poll(), Ok(None));
        assert!(decoder.room().capacity() <= 2 * MIN_ROOM);
        while decoder.buffer.len() < HEADER + MAX_BODY / 2 {
            let len = decoder.buffer.len();
            let room = decoder.room();
            assert!(room.capacity() > len && room.capacity() <= 4 * len.max(MIN_ROOM), "{} for {len}", room.capacity());
            let free = room.capacity() - len;
            room.extend_from_slice(&vec![0; free]);
            assert_eq!(decoder.poll(), Ok(None));
        }
    }

    #[test]
    fn frames_of_one_length_are_read_into_one_piece_each() {
        let frame = encode_data(&[7; MAX_DATA]).expect("encode");
        let mut decoder = Decoder::new();
        decoder.feed(&frame);
        assert!(matches!(decoder.poll(), Ok(Some(Message::Data(_)))));
        let room = decoder.room();
        assert!(room.capacity() - room.len() >= frame.len());
    }

    #[test]
    fn compression_is_invisible_to_the_reader() {
        let message = Message::Data(Bytes::from(vec![7; 100_000]));
        let small = encode_compressed(&message, 1).expect("encode");
        assert!(small.len() < 1000);
        assert_eq!(decode(&small), Ok(Some(message)));
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting_of_the_stream(cuts in prop::collection::vec(1usize..40, 1..40)) {
            let path = RelPath::parse(b"a/b").expect("valid");
            let sent = vec![
                hello(),
                Message::WantSignature { path, base: Digest([7; 32]), block: 4096 },
                Message::Data(Bytes::from_static(b"content")),
                Message::End,
            ];
            let bytes: Vec<u8> = sent.iter().flat_map(|m| encode(m).expect("encode")).collect();
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            let (mut at, mut cut) = (0, cuts.iter().cycle());
            while at < bytes.len() {
                let to = bytes.len().min(at + cut.next().expect("endless"));
                decoder.feed(&bytes[at..to]);
                at = to;
                while let Some(message) = decoder.poll().expect("valid") {
                    got.push(message);
                }
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let mut decoder = Decoder::new();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.poll() {}
        }
    }
}
