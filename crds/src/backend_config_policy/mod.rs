//! `gateway.kgateway.dev/v1alpha1` BackendConfigPolicy: how proxies connect to backends and choose among their endpoints.
//!
//! Members that are not carried out are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

mod health;
mod load_balancer;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{PolicyStatus, with_opaque_members};

pub use health::{
    CircuitBreakers, GrpcHealthCheck, HealthCheck, HttpHealthCheck, HttpMethod, OutlierDetection,
};
pub use load_balancer::{
    HashCookie, HashHeader, HashPolicy, LeastRequest, LoadBalancer, Maglev, Random, RingHash, RoundRobin,
    SameSite, SlowStart, SourceIp,
};

/// API group of BackendConfigPolicy.
pub const GROUP: &str = "gateway.kgateway.dev";

/// Kind of BackendConfigPolicy.
pub const KIND: &str = "BackendConfigPolicy";

with_opaque_members! {
    /// How proxies connect to backends and choose among their endpoints.
    #[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
    #[kube(
        group = "gateway.kgateway.dev",
        version = "v1alpha1",
        kind = "BackendConfigPolicy",
        plural = "backendconfigpolicies",
        namespaced,
        status = "PolicyStatus",
        derive = "PartialEq",
        category = "kgateway",
        label("app", "kgateway"),
        label("gateway.networking.k8s.io/policy", "Direct"),
        doc = "How proxies connect to backends and choose among their endpoints.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.ancestors[*].conditions[?(@.type=='Accepted')].status",
            description = "Whether the policy is in effect, at each Gateway"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    #[serde(rename_all = "camelCase")]
    #[x_kube(
        validation = Rule::new("!(has(self.http1ProtocolOptions) && has(self.http2ProtocolOptions))")
            .message("at most one of http1ProtocolOptions and http2ProtocolOptions may be set"),
        validation = Rule::new("!has(self.targetRefs) || self.targetRefs.all(r, ((!has(r.group) || r.group == '') && r.kind == 'Service') || (has(r.group) && r.group == 'gateway.kgateway.dev' && r.kind == 'Backend') || (has(r.group) && r.group == 'gateway.networking.x-k8s.io' && r.kind == 'XBackend'))")
            .message("targetRefs may name Services, Backends and XBackends"),
        validation = Rule::new("!has(self.targetSelectors) || self.targetSelectors.all(r, ((!has(r.group) || r.group == '') && r.kind == 'Service') || (has(r.group) && r.group == 'gateway.kgateway.dev' && r.kind == 'Backend') || (has(r.group) && r.group == 'gateway.networking.x-k8s.io' && r.kind == 'XBackend'))")
            .message("targetSelectors may select Services, Backends and XBackends")
    )]
    pub struct BackendConfigPolicySpec {
        /// The backends that it applies to, in its own namespace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_refs: Vec<BackendTargetRef>,
        /// Backends of its namespace that it applies to, by their labels.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_selectors: Vec<BackendTargetSelector>,
        /// How long a new connection may take, with TLS; 5s, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub connect_timeout: Option<String>,
        /// How much is held of what comes and goes on a connection before the sender has to wait, in bytes; 32Ki, and 1Mi for AI
        /// backends, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 0))]
        pub per_connection_buffer_limit_bytes: Option<i32>,
        /// When connections are probed on which nothing happens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tcp_keepalive: Option<TcpKeepalive>,
        /// How connections of HTTP are used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub common_http_protocol_options: Option<CommonHttpProtocolOptions>,
        /// How HTTP/1.1 is spoken. It has no effect on backends that are spoken to by HTTP/2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub http1_protocol_options: Option<Http1ProtocolOptions>,
        /// How HTTP/2 is spoken. It has no effect on backends that are spoken to by HTTP/1.1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub http2_protocol_options: Option<Http2ProtocolOptions>,
        /// TLS towards the backends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tls: Option<Box<BackendTls>>,
        /// How an endpoint is chosen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub load_balancer: Option<Box<LoadBalancer>>,
        /// What endpoints are asked whether they are well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub health_check: Option<Box<HealthCheck>>,
        /// Which endpoints get no requests for some time because of their answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub outlier_detection: Option<OutlierDetection>,
        /// How much may be under way at the same time; what goes beyond is answered with 503.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub circuit_breakers: Option<CircuitBreakers>,
        /// Each connection begins with the addresses of the client's connection (PROXY protocol), before TLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub upstream_proxy_protocol: Option<UpstreamProxyProtocol>,
    }
    ignored {
        dns "dns",
    }
}

/// The addresses of clients' connections, as backends are told them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamProxyProtocol {
    /// The version of the protocol; V1, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ProxyProtocolVersion>,
}

/// A version of the PROXY protocol.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum ProxyProtocolVersion {
    V1,
    V2,
}

/// A backend that a policy applies to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct BackendTargetRef {
    /// API group; empty, which is that of Services, if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Backends that a policy applies to, by their labels.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackendTargetSelector {
    /// API group; empty, which is that of Services, if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The labels that an object must have, all of them.
    pub match_labels: BTreeMap<String, String>,
}

/// When connections are probed on which nothing happens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TcpKeepalive {
    /// After how many probes without an answer a connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub keep_alive_probes: Option<i32>,
    /// After which time the first one is sent; at least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub keep_alive_time: Option<String>,
    /// The time between two probes; at least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub keep_alive_interval: Option<String>,
}

/// How connections of HTTP are used.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CommonHttpProtocolOptions {
    /// After which time without requests a connection is closed; 50s, if absent; never, if 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub idle_timeout: Option<String>,
    /// After which time a connection gets no more requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub max_connection_duration: Option<String>,
    /// How many headers an answer may have; 100, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_headers_count: Option<i32>,
    /// How long a request and its answer may take together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub max_stream_duration: Option<String>,
    /// How many requests a connection gets; any number, if absent or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_requests_per_connection: Option<i32>,
}

/// How HTTP/1.1 is spoken.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Http1ProtocolOptions {
    /// Whether trailers are sent and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_trailers: Option<bool>,
    /// Whether names of headers of answers come to clients of HTTP/1.1 as the backend has written them, and not in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_http1_header_case: Option<bool>,
    /// Whether a connection stays open after an answer that is not one of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_stream_error_on_invalid_http_message: Option<bool>,
}

/// How HTTP/2 is spoken.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Http2ProtocolOptions {
    /// How much of an answer may be under way before the backend has to wait, in bytes or as a quantity such as 64Ki; from 65535 to
    /// 2147483647.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::traffic_policy::quantity")]
    pub initial_stream_window_size: Option<Value>,
    /// The same of all answers of a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::traffic_policy::quantity")]
    pub initial_connection_window_size: Option<Value>,
    /// How many requests may be under way on a connection at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_concurrent_streams: Option<i32>,
    /// Whether a connection stays open after an answer that is not one of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_stream_error_on_invalid_http_message: Option<bool>,
}

with_opaque_members! {
    /// TLS towards the backends. Their certificates are always verified.
    #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
    #[serde(rename_all = "camelCase")]
    pub struct BackendTls {
        /// Who may have signed the certificates; System, if absent.
        #[serde(default, rename = "wellKnownCACertificates", skip_serializing_if = "Option::is_none")]
        pub well_known_ca_certificates: Option<WellKnownAuthorities>,
        /// The server name that is asked for, which the certificate must carry unless verifySubjectAltNames says other ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 253))]
        pub sni: Option<String>,
        /// Names of which the certificate must carry one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
        pub verify_subject_alt_names: Vec<String>,
    }
    refused {
        allow_renegotiation "allowRenegotiation",
        alpn_protocols "alpnProtocols",
        files "files",
        insecure_skip_verify "insecureSkipVerify",
        parameters "parameters",
        secret_ref "secretRef",
        simple_tls "simpleTLS",
    }
}

/// Certificate authorities.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum WellKnownAuthorities {
    System,
}

impl BackendConfigPolicySpec {
    /// The fields that are set and must be carried out, and are not.
    pub fn refused(&self) -> Vec<String> {
        let tls = self.tls.iter().flat_map(|tls| tls.refused_members());
        tls.map(|name| format!("spec.tls.{name}")).collect()
    }

    /// The fields that are set and have no effect.
    pub fn ignored(&self) -> Vec<String> {
        let own = self.ignored_members().into_iter().map(|name| format!("spec.{name}"));
        let balancer = self.load_balancer.iter().flat_map(|balancer| balancer.ignored("spec.loadBalancer"));
        own.chain(balancer).collect()
    }
}
