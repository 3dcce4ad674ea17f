//! TLS of the xDS port: version 1.3 alone, with whatever certificate is newest.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;

/// The certificate that the next handshake shows; a clone is the same one. Handshakes fail until there is one.
#[derive(Clone, Default)]
pub struct ServerCertificate(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl ServerCertificate {
    pub(super) fn replace(&self, key: Arc<CertifiedKey>) {
        // A lock is held for an assignment only, which cannot be torn.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    pub(super) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether handshakes can succeed.
    pub fn is_ready(&self) -> bool {
        self.current().is_some()
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// TLS 1.3 and HTTP/2 alone. Sessions are not resumed, so that each connection shows the newest certificate.
pub fn server_config(certificate: ServerCertificate) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites of TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    Arc::new(config)
}
