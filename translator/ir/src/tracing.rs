//! Traces of requests.

use std::time::Duration;

use serde::Serialize;

use crate::ClusterName;

/// Where the spans of a listener's requests go, and which requests are traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TracingIr {
    /// The cluster of the collector.
    pub collector: ClusterName,
    /// How spans are sent.
    pub export: SpanExport,
    /// How long an export may take.
    pub timeout: Duration,
    /// `service.name` of the spans.
    pub service_name: String,
    /// Whether a request whose client has decided is traced as the client has decided.
    pub follows_client: bool,
    /// How many of a million other requests are traced.
    pub per_million: u32,
}

/// A protocol of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SpanExport {
    /// gRPC, with this `:authority`.
    Grpc(String),
    /// HTTP with protobuf, to this URL.
    Http(String),
}
