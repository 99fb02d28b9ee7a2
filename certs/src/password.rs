//! Proves a password over a connection that anybody may stand in the middle of.
//!
//! ```text
//!  source (Prover)                                 receiver (Verifier)
//!  X = x·B + w·M                     ── pake ──▷
//!                                    ◁─ pake ──    Y = y·B + w·N
//!                                    ◁─ confirm ─  proves the key first
//!  checks, then proves it as well    ─ confirm ─▷  checks
//! ```
//!
//! SPAKE2 (RFC 9382, as RustCrypto has it over edwards25519) with explicit key confirmation in both
//! directions. The identities of both sides are hashes over the [`Context`]: the TLS exporter, both
//! node keys, the set and the user. A man in the middle has two exporters, so that his two ends
//! never derive the same key, and what he sees does not tell one password from another: he has one
//! guess for each connection, which [`crate::throttle`] counts.

use spake2::{Ed25519Group, Identity, Password, Spake2};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Length of a confirmation in bytes.
pub const CONFIRM_LEN: usize = 32;

/// Length of a PAKE message in bytes.
pub const PAKE_LEN: usize = 33;

/// The other side does not know the password, is not whom it seems, or spoke nonsense: which of
/// them, nobody can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the password is not the one that the other side has")]
pub struct WrongPassword;

/// What a proof is good for, and for nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Exporter of the TLS connection that carries the proof.
    pub exporter: [u8; 32],
    /// Node key of the source, as the connection shows it.
    pub source_key: [u8; 32],
    /// Node key of the receiver, as the connection shows it.
    pub receiver_key: [u8; 32],
    /// The set that is asked for.
    pub set: &'a str,
    /// The user that the password belongs to.
    pub user: &'a str,
}

impl Context<'_> {
    /// A hash of everything, unambiguous because each part carries its length.
    fn binding(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("syncd 2025-11 password proof: context");
        let parts: [&[u8]; 5] =
            [&self.exporter, &self.source_key, &self.receiver_key, self.set.as_bytes(), self.user.as_bytes()];
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// The side that wants to write: the source.
pub struct Prover {
    spake: Spake2<Ed25519Group>,
    binding: [u8; 32],
    pake: Vec<u8>,
}

impl Prover {
    /// Begins a proof; the second value is the PAKE message for the receiver.
    #[must_use]
    pub fn start(password: &[u8], context: &Context<'_>) -> (Self, Vec<u8>) {
        let binding = context.binding();
        let (source, receiver) = identities(&binding);
        let (spake, pake) = Spake2::<Ed25519Group>::start_a(&secret(password), &source, &receiver);
        (Self { spake, binding, pake: pake.clone() }, pake)
    }

    /// Takes the receiver's PAKE message and confirmation; gives the confirmation for the receiver.
    ///
    /// # Errors
    /// [`WrongPassword`]: the receiver has not proven that it knows the password, and learns
    /// nothing more.
    pub fn finish(self, pake: &[u8], confirm: &[u8]) -> Result<Vec<u8>, WrongPassword> {
        let key = Zeroizing::new(self.spake.finish(pake).map_err(|_| WrongPassword)?);
        let expected = confirmation(RECEIVER, &key, &self.binding, &self.pake, pake);
        same(&expected, confirm)?;
        Ok(confirmation(SOURCE, &key, &self.binding, &self.pake, pake).to_vec())
    }
}

/// The side that is written to: the receiver.
pub struct Verifier {
    expected: Zeroizing<[u8; 32]>,
}

impl Verifier {
    /// Answers the source's PAKE message `pake`; gives its own PAKE message and confirmation.
    ///
    /// # Errors
    /// [`WrongPassword`] when `pake` is no such message.
    pub fn respond(
        password: &[u8],
        context: &Context<'_>,
        pake: &[u8],
    ) -> Result<(Self, Vec<u8>, Vec<u8>), WrongPassword> {
        let binding = context.binding();
        let (source, receiver) = identities(&binding);
        let (spake, answer) = Spake2::<Ed25519Group>::start_b(&secret(password), &source, &receiver);
        let key = Zeroizing::new(spake.finish(pake).map_err(|_| WrongPassword)?);
        let confirm = confirmation(RECEIVER, &key, &binding, pake, &answer).to_vec();
        let expected = confirmation(SOURCE, &key, &binding, pake, &answer);
        Ok((Self { expected }, answer, confirm))
    }

    /// The same for a user that does not exist: a password that nobody knows, so that the source
    /// cannot tell the two apart.
    ///
    /// # Errors
    /// As [`Verifier::respond`].
    pub fn respond_decoy(context: &Context<'_>, pake: &[u8]) -> Result<(Self, Vec<u8>, Vec<u8>), WrongPassword> {
        Self::respond(&*Zeroizing::new(rand::random::<[u8; 32]>()), context, pake)
    }

    /// Checks the source's confirmation.
    ///
    /// # Errors
    /// [`WrongPassword`].
    pub fn check(self, confirm: &[u8]) -> Result<(), WrongPassword> {
        same(&self.expected, confirm)
    }
}

const SOURCE: &str = "syncd 2025-11 password proof: the source confirms";
const RECEIVER: &str = "syncd 2025-11 password proof: the receiver confirms";

/// The password for spake2, which does not wipe what it is given: a hash instead of the original.
fn secret(password: &[u8]) -> Password {
    let mut hasher = blake3::Hasher::new_derive_key("syncd 2025-11 password proof: password");
    hasher.update(password);
    let hash = Zeroizing::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    Password::new(*hash)
}

fn identities(binding: &[u8; 32]) -> (Identity, Identity) {
    (Identity::new(&[b"source", &binding[..]].concat()), Identity::new(&[b"receiver", &binding[..]].concat()))
}

/// A hash of the whole exchange under the key that it agreed on. Both PAKE messages have a fixed
/// length by now: spake2 took or made them.
fn confirmation(side: &str, key: &[u8], binding: &[u8; 32], source: &[u8], receiver: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = Zeroizing::new(blake3::derive_key(side, key));
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(binding).update(source).update(receiver);
    let confirm = Zeroizing::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    confirm
}

fn same(expected: &[u8; 32], confirm: &[u8]) -> Result<(), WrongPassword> {
    if bool::from(expected[..].ct_eq(confirm)) { Ok(()) } else { Err(WrongPassword) }
}

#[cfg(test)]
mod tests;
