//! The frame decoder: any bytes in any cutting are messages or an error, and messages survive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncd::wire::{Decoder, FrameError, MAX_BODY, Message, encode};

/// All messages of `chunks` until the first error, and that error.
fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<FrameError>) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk);
        loop {
            match decoder.poll() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, decoder.finish().err())
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else { return };
    let whole = decode(std::iter::once(stream));
    assert_eq!(decode(stream.chunks(usize::from(*cut) + 1)), whole, "the cutting must not matter");
    for message in whole.0 {
        // A message may be longer than its frame was, where that was compressed.
        let Ok(frame) = encode(&message) else {
            assert!(matches!(message, Message::Unknown(_)), "{message:?} came but cannot be sent");
            continue;
        };
        assert!(frame.len() <= MAX_BODY + 8);
        assert_eq!(decode(std::iter::once(&frame[..])), (vec![message], None));
    }
});
