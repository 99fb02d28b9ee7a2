//! What went wrong last, and when.

use std::time::Instant;

use crate::wire::Refusal;

/// A failure as status shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// When it happened.
    pub at: Instant,
    /// The cause, for people.
    pub cause: String,
}

/// What an operator reads when a peer refuses.
pub(super) fn refusal(code: Refusal) -> &'static str {
    match code {
        Refusal::Busy => "the peer refused: too many connections, or too many failed proofs lately",
        Refusal::KeyChanged => "the peer refused: the password is right, but another key is pinned for it",
        Refusal::Myself => {
            "the remote is this very directory on this host, or one lies within the other; it is left alone"
        }
        Refusal::NoProofConfigured => {
            "the peer refused: its set has no password and no pinned key; give it `auth users` and a \
             `secrets file`, or start the peer with --trust-first-use"
        }
        Refusal::NotAllowed => "the peer refused: this host is not allowed (hosts allow, hosts deny)",
        Refusal::NotServed => "the peer refused: it cannot serve the set now; its log says why",
        Refusal::ReadOnly => "the peer refused: the set is read only there",
        Refusal::UnknownSet => "the peer refused: it has no such set",
        Refusal::Version => "the peer refused: its protocol version or a needed feature differs",
        Refusal::WrongPassword => "the peer refused: unknown user or wrong password",
    }
}
