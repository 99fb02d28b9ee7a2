//! What travels: frames of bounded size around typed messages. Bytes in, messages out; no IO.
//!
//! One QUIC connection joins two nodes. Its first stream is the control stream: hello, then one
//! authorisation for each set. Every compare and every change set has a bidirectional stream of
//! its own, which begins with [`Message::Compare`] or [`Message::ChangeSet`].
//!
//! ```text
//!  source                                          receiver
//!  ── control stream ─────────────────────────────────────────
//!  Hello                                    →
//!                                           ←      Hello
//!  Open{channel, set, proof}                →
//!                                           ←      Challenge        (password only)
//!  Confirm                                  →
//!                                           ←      Opened{newest epoch, generation} | Refused
//!                                           ←      Released         (whenever its operator approves)
//!  ── a compare ──────────────────────────────────────────────
//!  Compare                                  →
//!                                           ←      DirDigests … End
//!  WantDirs … End                           →
//!                                           ←      Entries … End
//!  ── a change set ───────────────────────────────────────────
//!  ChangeSet                                →
//!  Ops … (small files inside)               →
//!  FileBegin, Data|Hole|Copy …, FileEnd …   →
//!     WantSignature                         →      (only for a delta without warm hashes)
//!                                           ←      Signature … End
//!  ChangeSetEnd                             →
//!                                           ←      Ack | Nack
//! ```
//!
//! Each side says `Working` where it has nothing else to say for a while: silence on a stream that
//! has begun means that nobody is at work any more, however well the connection is.

mod frame;
mod limits;
mod message;

pub use frame::{Decoder, FrameError, encode, encode_compressed, encode_data, encode_uncopied};
pub use limits::{INLINE_MAX, MAX_BODY, MAX_DATA, UNAUTHORISED_BYTES, UNAUTHORISED_FRAMES, WORKING_EVERY};
pub use message::{
    Ack, ChangeSet, Compare, Failed, FileBegin, Hello, Message, Nack, NackCode, Open, Opened, Proof, Refusal, Refused,
};

/// The protocol's major version: nodes that differ here refuse each other by name.
pub const VERSION: u16 = 1;

/// The feature of a receiver that understands [`crate::model::Attrs::SELECTION`].
pub const SELECTION: &str = "selection";
