//! Traces as kgateway's HTTPListenerPolicy has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grpc_service::GrpcService;
use crate::schema;

/// Where the spans of requests go, which requests are traced, and what spans hold.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTracing {
    /// Where spans go.
    pub provider: TracingProvider,
    /// Of how many requests in a hundred that ask for it by x-client-trace-id a trace is made; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub client_sampling: Option<i32>,
    /// Of how many other requests in a hundred a trace is made; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub random_sampling: Option<i32>,
    /// How many of a hundred of these traces are made at most; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub overall_sampling: Option<i32>,
    /// Whether spans tell of the events of a stream; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose: Option<bool>,
    /// The longest path in bytes in http.url; any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::unsigned")]
    pub max_path_tag_length: Option<u32>,
    /// More attributes of spans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub attributes: Vec<CustomAttribute>,
    /// Whether each attempt at a backend has a span of its own; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawn_upstream_span: Option<bool>,
}

/// Where spans go.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TracingProvider {
    /// A collector of OpenTelemetry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_telemetry: Option<OpenTelemetryTracer>,
}

/// A collector of OpenTelemetry.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenTelemetryTracer {
    /// The collector.
    pub grpc_service: GrpcService,
    /// service.name of the spans; GATEWAY.NAMESPACE if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_name: Option<String>,
    /// What else spans tell of the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub resource_detectors: Vec<ResourceDetector>,
    /// Which requests are traced; if absent, the client decides by its traceparent, and for others the shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<TracingSampler>,
}

/// What else spans tell of the proxy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDetector {
    /// What stands in the proxy's environment variable OTEL_RESOURCE_ATTRIBUTES.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_resource_detector: Option<Nothing>,
}

/// Which requests are traced.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TracingSampler {
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always_on_config: Option<Nothing>,
}

/// An object without members: that it is there says all.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing {}

/// An attribute of spans: its name, and where its value comes from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CustomAttribute {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal: Option<LiteralValue>,
    /// An environment variable of the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<NamedValue>,
    /// A header of the client's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header: Option<NamedValue>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataValue>,
}

/// A text.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct LiteralValue {
    /// The text.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Something by its name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamedValue {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value where there is no such thing; no attribute, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub default_value: Option<String>,
}

/// A value in metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MetadataValue {
    /// Of what.
    pub kind: MetadataKind,
    /// Where it stands.
    pub metadata_key: MetadataKey,
    /// The value where there is none; no attribute, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub default_value: Option<String>,
}

/// Of what metadata are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Envoy's own words; a variant's doc would reach the CRD")]
pub enum MetadataKind {
    Request,
    Route,
    Cluster,
    Host,
}

/// Where a value stands in metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct MetadataKey {
    /// The namespace.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// The members that lead to it.
    #[schemars(length(min = 1, max = 16))]
    pub path: Vec<MetadataPathSegment>,
}

/// A member.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct MetadataPathSegment {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
}
