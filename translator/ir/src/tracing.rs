//! Traces of requests.

use std::time::Duration;

use serde::Serialize;

use crate::{ClientHeader, ClusterName, GrpcServiceIr};

/// Where the spans of a listener's requests go, which requests are traced, and what spans hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TracingIr {
    /// How spans are sent.
    pub export: SpanExport,
    /// `service.name` of the spans.
    pub service_name: String,
    /// Which requests are traced; if absent, a client decides for its own, and `shares` for others.
    pub sampler: Option<SpanSampler>,
    /// Of how many requests traces can be made.
    pub shares: SpanShares,
    /// Whether spans tell of events.
    pub is_verbose: bool,
    /// The longest path in the URL of a span, in bytes.
    pub max_path_bytes: Option<u32>,
    /// Whether each attempt at a backend has a span of its own.
    pub has_attempts: bool,
    /// Whether spans tell what stands in the proxy's environment for them.
    pub tells_environment: bool,
    /// More attributes.
    pub attributes: Vec<SpanAttribute>,
}

/// A protocol of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SpanExport {
    /// gRPC.
    Grpc(GrpcServiceIr),
    /// HTTP with protobuf.
    Http {
        /// The cluster of the collector.
        cluster: ClusterName,
        /// The URL that is asked.
        url: String,
        /// How long an export may take.
        timeout: Duration,
    },
}

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SpanSampler {
    /// All.
    All,
    /// A share.
    Share {
        /// Whether a request whose client has decided is traced as the client has decided.
        follows_client: bool,
        /// How many of a million other requests are traced.
        per_million: u32,
    },
}

/// Of how many requests in a hundred traces can be made; of all if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpanShares {
    /// Of those that ask for it by `x-client-trace-id`.
    pub client: Option<u8>,
    /// Of others.
    pub random: Option<u8>,
    /// Of what the former two have come to.
    pub overall: Option<u8>,
}

/// An attribute of spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpanAttribute {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: SpanValue,
}

/// Where the value of an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SpanValue {
    /// A text.
    Literal(String),
    /// An environment variable of the proxy.
    Environment {
        /// Its name.
        name: String,
        /// The value if there is none.
        default: String,
    },
    /// A header of the client's request.
    Header(ClientHeader),
    /// Metadata.
    Metadata {
        /// Of what.
        of: MetadataOf,
        /// The namespace.
        namespace: String,
        /// The members that lead to the value.
        path: Vec<String>,
        /// The value if there is none.
        default: String,
    },
}

/// Of what metadata are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MetadataOf {
    /// Of the request, written by filters.
    Request,
    /// Of its route.
    Route,
    /// Of the backend's cluster.
    Cluster,
    /// Of the backend's endpoint.
    Host,
}

impl TracingIr {
    /// The cluster of the collector.
    pub fn collector(&self) -> &ClusterName {
        match &self.export {
            SpanExport::Grpc(service) => &service.cluster,
            SpanExport::Http { cluster, .. } => cluster,
        }
    }

    /// The headers of clients that attributes tell.
    pub fn client_headers(&self) -> impl Iterator<Item = &ClientHeader> {
        self.attributes.iter().filter_map(|attribute| match &attribute.value {
            SpanValue::Header(header) => Some(header),
            SpanValue::Literal(_) | SpanValue::Environment { .. } | SpanValue::Metadata { .. } => None,
        })
    }
}
