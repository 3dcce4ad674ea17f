//! `gateway.networking.x-k8s.io/v1alpha1` XBackend, an experimental kind: a destination of routes that says itself where
//! it is and how it is spoken to (GEP-4894).
//!
//! Releases 1.6 and 1.7 of Gateway API have it in different forms under the same version: 1.6 writes the port as
//! `port.port` and has its status in `status.parents`, 1.7 as `port.number` and `status.ancestors`. Both are read.
#![allow(unreachable_pub, reason = "the derive makes a hidden copy of the struct")]

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backendtlspolicies::BackendTlsPolicyValidation;

/// API group of XBackend.
pub const GROUP: &str = "gateway.networking.x-k8s.io";

/// What an XBackend says.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "gateway.networking.x-k8s.io",
    version = "v1alpha1",
    kind = "XBackend",
    plural = "xbackends",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct XBackendSpec {
    /// Which of the members below says where it is.
    pub r#type: XBackendType,
    /// The port of its endpoints.
    pub port: XBackendPort,
    /// A host outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_hostname: Option<ExternalHostname>,
    /// Pods of its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_selector: Option<EndpointSelector>,
    /// Which endpoint a client comes back to. Kept as it is written: it is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<Value>,
    /// What is spoken to it; what the route says, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<XBackendProtocol>,
    /// TLS towards it; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<XBackendTls>,
}

/// Where an XBackend is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum XBackendType {
    /// A host that DNS finds.
    ExternalHostname,
    /// Pods, by their labels.
    EndpointSelector,
}

/// The port of an XBackend.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct XBackendPort {
    /// Its number, as 1.7 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// Its number, as 1.6 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its name (1.6). Nothing can refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A host outside of the cluster.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ExternalHostname {
    /// Its DNS name.
    pub hostname: String,
}

/// Pods of the XBackend's namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSelector {
    /// The labels that they all have.
    pub match_labels: BTreeMap<String, String>,
}

/// What is spoken to an XBackend.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "each is named as it is written")]
pub enum XBackendProtocol {
    Tcp,
    /// HTTP in a version that the TLS handshake negotiates; HTTP/1.1 without TLS.
    Http,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 without TLS.
    H2c,
    /// The Model Context Protocol, which is HTTP.
    Mcp,
    Grpc,
    /// WebSocket over TLS.
    Wss,
}

/// TLS towards an XBackend.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct XBackendTls {
    /// Who shows a certificate.
    pub mode: XBackendTlsMode,
    /// The Secret with the certificate that it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretReference>,
    /// What its own certificate must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<BackendTlsPolicyValidation>,
}

/// Who shows a certificate.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum XBackendTlsMode {
    /// Nobody: there is no TLS.
    None,
    /// The backend.
    ServerOnly,
    /// The backend and the proxy.
    ClientAndServer,
}

/// A reference to a Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// API group; that of Secret, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; Secret, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace; that of the XBackend, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
