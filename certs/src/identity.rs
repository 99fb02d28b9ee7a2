//! The key that a node makes on its first start and is known by ever after.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PublicKeyData};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with, unlink};
use rustix::io::Errno;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::secret_file::{Rule, SecretFileError, read};
use crate::tls;

/// The name of the key's file in the state directory: PKCS #8 in PEM, mode 0600.
pub const KEY_FILE: &str = "node.key";

/// The name in the certificate. Nobody looks at it: a node is its key.
const SUBJECT: &str = "syncd";

/// Why a node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key is there and not to be trusted, or cannot be read.
    #[error("the node key cannot be used: {0}")]
    File(#[from] SecretFileError),
    /// The file holds no key.
    #[error(
        "{path}: holds no Ed25519 key ({cause}); restore it, or move it away for a new key, which peers must pin again"
    )]
    Damaged {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A new key cannot be stored.
    #[error("{path}: the new node key cannot be stored: {source}")]
    Create {
        /// What could not be made.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The cryptography failed by itself.
    #[error("the node key cannot be made into a certificate: {0}")]
    Crypto(String),
}

/// A node's private key and the certificate that carries its public one.
pub struct Identity {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    node_key: [u8; 32],
}

impl Identity {
    /// The identity kept in `dir`, made and stored durably there when there is none.
    ///
    /// The key appears whole or not at all, and never replaces another: of two processes that
    /// start at once, both have the same one.
    ///
    /// # Errors
    /// [`IdentityError`]: others can read the key, it is a symlink, damaged, or cannot be stored.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(KEY_FILE);
        match read(&path, Rule::Key) {
            Ok(pem) => Self::parse(&path, &pem),
            Err(SecretFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(dir, &path).map_err(|source| IdentityError::Create { path: path.clone(), source })?;
                Self::parse(&path, &read(&path, Rule::Key)?)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// A new identity that is stored nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when the system has no randomness to give.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::of(KeyPair::generate_for(&PKCS_ED25519).map_err(crypto)?)
    }

    fn parse(path: &Path, pem: &[u8]) -> Result<Self, IdentityError> {
        let damaged = |cause: String| IdentityError::Damaged { path: path.to_owned(), cause };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|e| damaged(e.to_string()))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(|e| damaged(e.to_string()))?;
        Self::of(key)
    }

    /// The certificate is made anew at every start: its key is all that counts.
    fn of(key: KeyPair) -> Result<Self, IdentityError> {
        let params = CertificateParams::new([SUBJECT.to_owned()]).map_err(crypto)?;
        let certificate = params.self_signed(&key).map_err(crypto)?.der().clone();
        let node_key = *blake3::hash(&key.subject_public_key_info()).as_bytes();
        debug_assert_eq!(tls::node_key_of(&certificate).ok(), Some(node_key));
        Ok(Self { key, certificate, node_key })
    }

    /// The BLAKE3 hash of the public key (SubjectPublicKeyInfo, DER): what this node is known by.
    #[must_use]
    pub fn node_key(&self) -> [u8; 32] {
        self.node_key
    }

    /// The certificate that this node shows.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The secret behind the tokens by which this node, after it was killed and started again, tells peers that it
    /// knows nothing of their connections any more (RFC 9000, section 10.3). It follows from the private key, which
    /// it does not tell.
    #[must_use]
    pub fn reset_secret(&self) -> [u8; 32] {
        let key = Zeroizing::new(self.key.serialize_der());
        blake3::derive_key("syncd 2026-11-21 QUIC stateless reset", &key)
    }

    /// The private key, for TLS alone.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

/// Without the private key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("node_key", &blake3::Hash::from(self.node_key).to_hex())
            .finish_non_exhaustive()
    }
}

fn crypto(error: rcgen::Error) -> IdentityError {
    IdentityError::Crypto(error.to_string())
}

/// Puts a new key at `path` unless there is one by now, whole and durable.
fn create(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut pem = Zeroizing::new(KeyPair::generate_for(&PKCS_ED25519).map_err(io::Error::other)?.serialize_pem());
    let temp = dir.join(format!(".{KEY_FILE}.{:016x}", rand::random::<u64>()));
    let made = write_new(&temp, pem.as_bytes()).and_then(|()| put(&temp, path));
    pem.zeroize();
    if made.is_err() {
        // What failed is told; that the temporary name may stay behind would only hide it.
        let _ = unlink(&temp);
    }
    made?;
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, path, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(content)?;
    file.sync_all()
}

/// Gives `temp` its name, unless another process was faster.
fn put(temp: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temp, CWD, path, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Ok(unlink(temp)?),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_stays() {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path().join("a/state");
        let first = Identity::load_or_create(&state).expect("create").node_key();
        assert_eq!(Identity::load_or_create(&state).expect("load").node_key(), first);
        let names: Vec<_> = std::fs::read_dir(&state).expect("list").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(names, [KEY_FILE]);
        let mode = |path: &Path| std::fs::metadata(path).expect("stat").permissions().mode() & 0o7777;
        assert_eq!((mode(&state.join(KEY_FILE)), mode(&state)), (0o600, 0o700));
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_key() {
        let dir = tempfile::tempdir().expect("tempdir");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || Identity::load_or_create(dir.path()).expect("identity").node_key();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_key_that_others_read_or_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        Identity::load_or_create(dir.path()).expect("create");
        let path = dir.path().join(KEY_FILE);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("chmod");
        let error = Identity::load_or_create(dir.path()).expect_err("exposed").to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
        std::fs::rename(&path, dir.path().join("elsewhere")).expect("rename");
        symlink("elsewhere", &path).expect("symlink");
        let error = Identity::load_or_create(dir.path()).expect_err("link").to_string();
        assert!(error.contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join(KEY_FILE);
        write_new(&path, b"nonsense").expect("write");
        let error = Identity::load_or_create(dir.path()).expect_err("damaged").to_string();
        assert!(error.contains("holds no Ed25519 key"), "{error}");
        assert_eq!(std::fs::read(&path).expect("read"), b"nonsense");
    }

    #[test]
    fn nobody_sees_the_private_key_by_debugging() {
        let identity = Identity::ephemeral().expect("identity");
        let key = blake3::Hash::from(identity.node_key()).to_hex();
        assert_eq!(format!("{identity:?}"), format!("Identity {{ node_key: {key:?}, .. }}"));
        assert_ne!(identity.node_key(), Identity::ephemeral().expect("identity").node_key());
    }
}
