//! A certificate authority that lives as long as a test.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate authority whose key never leaves memory.
pub struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestAuthority {
    /// Makes a new authority with a key of its own.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Chancery test authority");
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's certificate, to be trusted by the client under test.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the authority's certificate to `path` as PEM.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_certificate(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.certificate_pem())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// A fresh certificate for a server or a client with these names: DNS names, or URIs (`spiffe://…`).
    ///
    /// # Errors
    /// A name that is neither.
    pub fn issue(&self, names: &[&str]) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| name.contains("://"));
        let mut params = CertificateParams::new(hosts.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { chain: vec![leaf.der().clone(), self.issuer.der().clone()], pem: leaf.pem(), key })
    }

    /// A TLS server with a fresh certificate for `dns_names`, which speaks HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// A name that is not a DNS name.
    pub fn server_config(&self, dns_names: &[&str]) -> Result<Arc<ServerConfig>> {
        self.server(dns_names, WebPkiClientVerifier::no_client_auth())
    }

    /// The same, which speaks with clients alone that show a certificate of `clients`.
    ///
    /// # Errors
    /// A name that is not a DNS name.
    pub fn server_config_for(&self, dns_names: &[&str], clients: &Self) -> Result<Arc<ServerConfig>> {
        let roots = Arc::new(clients.roots()?);
        self.server(dns_names, WebPkiClientVerifier::builder_with_provider(roots, crypto_provider()).build()?)
    }

    fn server(
        &self,
        dns_names: &[&str],
        clients: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>> {
        let issued = self.issue(dns_names)?;
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(issued.chain.clone(), issued.key_der())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        Ok(roots)
    }

    /// A TLS client that trusts this authority alone, and speaks HTTP/1.1.
    ///
    /// # Errors
    /// Never for a generated authority.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>> {
        self.client(None, &[])
    }

    /// A TLS client that trusts this authority alone, shows that certificate if it is asked for one, and speaks these
    /// protocols (ALPN), the first one best.
    ///
    /// # Errors
    /// Never for a generated authority.
    pub fn client(&self, identity: Option<&Issued>, protocols: &[&str]) -> Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        let mut config = match identity {
            Some(issued) => builder.with_client_auth_cert(issued.chain.clone(), issued.key_der())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// A certificate with its key.
pub struct Issued {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Issued {
    /// The certificate alone, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The private key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate alone, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf.as_ref())
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

/// Chosen explicitly: no process-wide default that tests could race to install.
fn crypto_provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
