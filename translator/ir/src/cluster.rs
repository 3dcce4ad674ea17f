//! Backends: where they are, how they are spoken to, and what they need in a request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ClusterName, Redacted, SecretName, Tuning};

/// One backend: a port of a Service, a Backend or an Upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterIr {
    /// Derived from the backend's identity, never from a route.
    pub name: ClusterName,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// TLS towards it; `None` is plain text.
    pub tls: Option<UpstreamTls>,
    /// How HTTP is spoken to it.
    pub http: UpstreamHttp,
    /// What a policy says about it.
    pub tuning: Option<Arc<Tuning>>,
}

impl ClusterIr {
    /// The same, to which the Gateway shows its certificate.
    #[must_use]
    pub fn with_client_certificate(&self) -> Self {
        let mut cluster = self.clone();
        if let Some(tls) = &mut cluster.tls {
            tls.client_certificate = Some(SecretName::client_certificate());
        }
        cluster
    }
}

/// Where a cluster's endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discovery {
    /// From a list of addresses, delivered apart from the cluster under its name, so that a change of endpoints
    /// does not touch the cluster. While it is empty, requests are answered with 503.
    Endpoints,
    /// From DNS: Envoy resolves the names and uses every address. Never empty.
    Dns(Vec<HostPort>),
}

/// One address of a backend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its IP address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether it is on its way out: it takes new requests only when no other endpoint can.
    pub draining: bool,
}

/// A host (name or IP address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A host as it stands before a port: an IPv6 address in brackets (RFC 3986 §3.2.2).
pub fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

/// TLS towards a backend. The certificate is always verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// The server name to ask for; where it is an IP address, none is asked for.
    pub sni: String,
    /// The names of which the certificate must carry one. Never empty.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// Who may have signed the certificate.
    pub trust: SecretName,
    /// The certificate that is shown to the backend, if it asks for one.
    pub client_certificate: Option<SecretName>,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectAltName {
    /// A DNS name or an IP address.
    Host(String),
    /// A URI, such as a SPIFFE identity.
    Uri(String),
}

/// How HTTP is spoken to a backend, and what each request to it gets or loses on the way,
/// whichever route it came by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamHttp {
    /// The protocol version.
    pub protocol: UpstreamProtocol,
    /// Request headers that must not reach the backend (a client's own credentials), lower case.
    pub remove_request_headers: Vec<String>,
    /// Request headers, with their values, that requests get unless they have them; names in lower case.
    pub default_request_headers: Vec<(String, String)>,
    /// Query parameters that must not reach the backend.
    pub remove_query_params: Vec<String>,
    /// Response headers that must not reach the client, lower case.
    pub remove_response_headers: Vec<String>,
    /// The credential that each request gets.
    pub credential: Option<Credential>,
    /// The AWS credential that each request is signed with.
    pub signing: Option<AwsSigning>,
    /// What the AI engine does to each request and its answer.
    pub engine: Option<Engine>,
    /// Whether it is a member of a pool: another member's failure sends it attempts, which are no repetition here.
    pub in_pool: bool,
    /// Whether single messages are large (AI prompts and answers): buffers are sized for it.
    pub large_messages: bool,
}

impl UpstreamHttp {
    /// Requests and responses pass as they are.
    pub fn plain(protocol: UpstreamProtocol) -> Self {
        Self {
            protocol,
            remove_request_headers: Vec::new(),
            default_request_headers: Vec::new(),
            remove_query_params: Vec::new(),
            remove_response_headers: Vec::new(),
            credential: None,
            signing: None,
            engine: None,
            in_pool: false,
            large_messages: false,
        }
    }
}

/// The HTTP version spoken to a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, without negotiation.
    Http2,
    /// HTTP/2 or HTTP/1.1, as the TLS handshake negotiates.
    Alpn,
    /// No HTTP: connections or datagrams pass as they are.
    Raw,
}

/// A credential header. Its value travels by SDS alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The header's name, lower case.
    pub header: String,
    /// The secret that holds the header's whole value.
    pub secret: SecretName,
}

/// A signature with an AWS credential (AWS Signature Version 4). Its parts stand in the cluster, marked as sensitive:
/// the filter that signs has no other way to get them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AwsSigning {
    /// The service that is signed for, such as `bedrock`.
    pub service: String,
    /// The region that is signed for.
    pub region: String,
    /// The access key's identifier.
    pub access_key: Redacted<String>,
    /// The access key.
    pub secret_key: Redacted<String>,
    /// The token of a temporary credential.
    pub session_token: Option<Redacted<String>>,
}

/// The AI engine, as a filter of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// Where proxies get the module.
    pub module: ModuleSource,
    /// What it is configured with (`ai_config::ClusterConfig` as JSON).
    pub config: String,
}

/// Where proxies get the module of the AI engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleSource {
    /// From a file, as the proxy sees it.
    File(String),
    /// From a server; the proxy keeps what it has fetched.
    Remote(RemoteModule),
}

/// A module that proxies fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteModule {
    /// Where it is, with `https:`.
    pub uri: String,
    /// The cluster of the proxy's bootstrap that leads there.
    pub cluster: String,
    /// The SHA-256 of the file, in lower-case hexadecimal digits. A proxy loads nothing else.
    pub sha256: String,
}

/// Who may have signed the certificates of backends, or of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// The certificate authorities in this file, as the proxy sees it.
    File(String),
    /// These certificate authorities, PEM.
    Pem(String),
}
