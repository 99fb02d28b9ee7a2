//! What lets a node that was killed and started again end the connections of its earlier life: it
//! answers their packets by stateless resets (RFC 9000, section 10.3), signed by a key that
//! outlives the process.

use std::time::Duration;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator};
use syncd_certs::Identity;

/// As long as what BLAKE3 yields; quinn takes the first 16 bytes for the token.
const LEN: usize = blake3::OUT_LEN;

/// BLAKE3 keyed by a secret of the node's identity.
pub(super) struct ResetKey([u8; LEN]);

impl ResetKey {
    pub(super) fn of(identity: &Identity) -> Self {
        Self(identity.reset_secret())
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let signature = blake3::keyed_hash(&self.0, data);
        let len = signature_out.len().min(LEN);
        signature_out[..len].copy_from_slice(&signature.as_bytes()[..len]);
    }

    fn signature_len(&self) -> usize {
        LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let Ok(signature) = <[u8; LEN]>::try_from(signature) else { return Err(CryptoError) };
        // Compares in constant time.
        if blake3::keyed_hash(&self.0, data) == signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection IDs of nothing but randomness: quinn's own carry a key of the process, and packets to
/// the IDs of another process would be dropped without a word.
pub(super) struct RandomIds;

/// As with quinn's own, in bytes.
const ID_LEN: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_LEN]>())
    }

    fn cid_len(&self) -> usize {
        ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
