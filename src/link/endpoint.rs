//! One UDP socket to dial from and, where asked for, to serve on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use syncd_certs::{Identity, tls};

use super::{LinkError, socket, tuning};
use crate::model::NodeKey;

/// A socket with the node's identity. Clones share it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(super) quinn: quinn::Endpoint,
    pub(super) client: ClientConfig,
    pub(super) own: NodeKey,
    /// How long a stream of its connections may be silent.
    pub(super) patience: Duration,
}

impl Endpoint {
    /// A socket to dial from, on any port of the address `from`, or of any address. Connections
    /// count as dead after `idle_timeout` of silence.
    ///
    /// # Errors
    /// [`LinkError::Bind`], [`LinkError::Identity`].
    pub fn dialling(identity: &Identity, idle_timeout: Duration, from: Option<IpAddr>) -> Result<Self, LinkError> {
        let any = |ip: IpAddr| SocketAddr::new(ip, 0);
        let (v6, v4) = (Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into());
        match from {
            Some(ip) => Self::new(identity, idle_timeout, any(ip), false),
            // A host may have no IPv6 at all.
            None => Self::new(identity, idle_timeout, any(v6), false)
                .or_else(|_| Self::new(identity, idle_timeout, any(v4), false)),
        }
    }

    /// A socket that listens on `listen` and can be dialled from as well; `[::]` takes IPv4 too.
    ///
    /// # Errors
    /// As [`Endpoint::dialling`].
    pub fn serving(identity: &Identity, idle_timeout: Duration, listen: SocketAddr) -> Result<Self, LinkError> {
        Self::new(identity, idle_timeout, listen, true)
    }

    fn new(identity: &Identity, idle_timeout: Duration, address: SocketAddr, serve: bool) -> Result<Self, LinkError> {
        let server =
            if serve { Some(server_config(identity, Arc::new(tuning::transport(idle_timeout)))?) } else { None };
        let client = client_config(identity, Arc::new(tuning::dialling(idle_timeout)))?;
        let failed = |source| LinkError::Bind { address, source };
        let socket = socket::bind(address).map_err(failed)?;
        let runtime = Arc::new(TokioRuntime);
        let quinn = quinn::Endpoint::new(tuning::endpoint(identity), server, socket, runtime).map_err(failed)?;
        let patience = tuning::patience(idle_timeout);
        Ok(Self { quinn, client, own: NodeKey(identity.node_key()), patience })
    }

    /// Where the socket is bound; the port is the real one where 0 was asked for.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// Moves to a new socket on the same address, any port: connections that were dialled here go
    /// on, after the host's addresses have changed as well.
    ///
    /// # Errors
    /// [`LinkError::Bind`]; the old socket stays in use.
    pub fn rebind(&self) -> Result<(), LinkError> {
        let mut address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let failed = |address| move |source| LinkError::Bind { address, source };
        address.set_ip(self.quinn.local_addr().map_err(failed(address))?.ip());
        let socket = socket::bind(address).map_err(failed(address))?;
        self.quinn.rebind(socket).map_err(failed(address))
    }

    /// Closes all connections, telling peers `reason`, and takes no more.
    pub fn close(&self, reason: &str) {
        self.quinn.close(VarInt::from_u32(0), reason.as_bytes());
    }

    /// Waits until the peers of closed connections had a chance to hear of it.
    pub async fn idle(&self) {
        self.quinn.wait_idle().await;
    }
}

fn server_config(identity: &Identity, transport: Arc<TransportConfig>) -> Result<ServerConfig, LinkError> {
    let tls = tls::server_config(identity).map_err(|e| LinkError::Identity(e.to_string()))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|e| LinkError::Identity(e.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport);
    tuning::server(&mut config);
    Ok(config)
}

fn client_config(identity: &Identity, transport: Arc<TransportConfig>) -> Result<ClientConfig, LinkError> {
    let tls = tls::client_config(identity).map_err(|e| LinkError::Identity(e.to_string()))?;
    let crypto = QuicClientConfig::try_from(tls).map_err(|e| LinkError::Identity(e.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport);
    Ok(config)
}
