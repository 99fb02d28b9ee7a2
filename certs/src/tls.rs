//! What TLS accepts: version 1.3, both sides with a certificate, this protocol, no second life.
//!
//! Any self-signed certificate passes whose key signs the handshake. Sessions are never resumed,
//! because a resumed one does not look at the certificate again, and no data precedes the
//! handshake, because it could be replayed.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig,
    SignatureScheme,
};

use crate::identity::Identity;

/// The protocol and its major version as TLS negotiates it.
pub const ALPN: &[u8] = b"syncd/1";

/// The label of the TLS exporter (RFC 8446, section 7.5) that passwords are bound to.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-syncd-password";

/// TLS for a node that is called.
///
/// # Errors
/// As rustls says, for a key that it cannot use.
pub fn server_config(identity: &Identity) -> Result<ServerConfig, Error> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey::new(&provider)))
        .with_single_cert(vec![identity.certificate().clone()], identity.private_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// TLS for a node that calls.
///
/// # Errors
/// As rustls says, for a key that it cannot use.
pub fn client_config(identity: &Identity) -> Result<ClientConfig, Error> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey::new(&provider)))
        .with_client_auth_cert(vec![identity.certificate().clone()], identity.private_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// The key that a certificate carries: BLAKE3 of its SubjectPublicKeyInfo (DER).
///
/// Parsed by the code that verifies the handshake signature, so that no certificate can show one
/// key here and sign with another.
///
/// # Errors
/// As rustls says, for what is no certificate.
pub fn node_key_of(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(*blake3::hash(&parsed.subject_public_key_info()).as_bytes())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Accepts every key that signs the handshake: what it may do is asked later.
#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl AnyKey {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

/// One certificate, and a key in it.
fn check(certificate: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
    node_key_of(certificate)?;
    if chain.is_empty() { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) }
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, ServerConnection};

    use super::*;

    fn identity() -> Identity {
        Identity::ephemeral().expect("identity")
    }

    /// A whole handshake in memory; the connections, or the first error of either side.
    fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(ClientConnection, ServerConnection), Error> {
        let name = ServerName::try_from("syncd").expect("name");
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("memory");
            server.read_tls(&mut &bytes[..]).expect("memory");
            server.process_new_packets()?;
            bytes.clear();
            server.write_tls(&mut bytes).expect("memory");
            client.read_tls(&mut &bytes[..]).expect("memory");
            client.process_new_packets()?;
        }
        Ok((client, server))
    }

    #[test]
    fn each_side_learns_the_others_key() {
        let (a, b) = (identity(), identity());
        let configs = (client_config(&a).expect("client"), server_config(&b).expect("server"));
        let (client, server) = handshake(configs.0, configs.1).expect("handshake");
        let key = |certs: Option<&[CertificateDer<'_>]>| node_key_of(&certs.expect("shown")[0]).expect("key");
        assert_eq!(key(client.peer_certificates()), b.node_key());
        assert_eq!(key(server.peer_certificates()), a.node_key());
        assert_eq!(client.alpn_protocol(), Some(ALPN));
    }

    #[test]
    fn a_certificate_without_its_private_key_is_of_no_use() {
        let (thief, victim) = (identity(), identity());
        let mut stolen = client_config(&thief).expect("client");
        let signer = ring::sign::any_supported_type(&thief.private_key()).expect("signer");
        // `CertifiedKey` does not check that the two belong together.
        let pair = rustls::sign::CertifiedKey::new(vec![victim.certificate().clone()], signer);
        stolen.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(pair));
        let error = handshake(stolen, server_config(&identity()).expect("server")).expect_err("refused");
        assert_eq!(error, Error::InvalidCertificate(CertificateError::BadSignature));
    }

    #[test]
    fn no_certificate_no_handshake() {
        let mut anonymous = client_config(&identity()).expect("client");
        anonymous.client_auth_cert_resolver = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyKey::new(&provider())))
            .with_no_client_auth()
            .client_auth_cert_resolver;
        let error = handshake(anonymous, server_config(&identity()).expect("server")).expect_err("refused");
        assert_eq!(error, Error::NoCertificatesPresented);
    }

    /// A ClientHello as in RFC 5246, without the extension that offers anything newer.
    #[test]
    fn tls_1_2_is_refused() {
        let suite = [0x00, 0x02, 0xc0, 0x2b];
        let extensions = [
            0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
            0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms: ecdsa_secp256r1_sha256
        ];
        let hello = [&[3, 3][..], &[7; 32], &[0], &suite, &[1, 0], &[0, 16], &extensions].concat();
        let body = u8::try_from(hello.len()).expect("short");
        let record = [&[22, 3, 1, 0, body + 4, 1, 0, 0, body][..], &hello].concat();
        let mut server = ServerConnection::new(Arc::new(server_config(&identity()).expect("server"))).expect("server");
        server.read_tls(&mut &record[..]).expect("memory");
        let error = server.process_new_packets().expect_err("refused");
        assert_eq!(error, Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired));
    }

    #[test]
    fn nothing_is_left_to_resume() {
        let server = server_config(&identity()).expect("server");
        assert!(!server.session_storage.can_cache() && !server.ticketer.enabled());
        assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
        assert!(!client_config(&identity()).expect("client").enable_early_data);
    }

    #[test]
    fn nonsense_is_no_certificate() {
        assert!(node_key_of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])).is_err());
    }
}
