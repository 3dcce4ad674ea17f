//! Access logs of listeners.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{ClusterName, GrpcServiceIr, HeaderMatch};

/// Where requests are logged, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessLogIr {
    /// Where to.
    pub sink: LogSink,
    /// Which requests are logged; all if absent.
    pub filter: Option<LogFilter>,
    /// The headers of clients that the format reads, by what reads them.
    pub client_headers: BTreeSet<ClientHeader>,
}

/// Where requests are logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum LogSink {
    /// In a file.
    File {
        /// The file, as the proxy sees it.
        path: String,
        /// What a line holds.
        format: LogFormat,
    },
    /// At a service of Envoy's protocol.
    Grpc(Box<GrpcLogIr>),
    /// At a collector of OpenTelemetry.
    OpenTelemetry(Box<OtelLogIr>),
}

/// A log at a service of Envoy's protocol. Names of headers are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrpcLogIr {
    /// The service.
    pub service: GrpcServiceIr,
    /// The name of the log.
    pub log_name: String,
    /// More headers of requests, as they are when the log is written: none that can hold a credential.
    pub request_headers: Vec<String>,
    /// More headers of requests, as clients have sent them.
    pub tags: Vec<ClientHeader>,
    /// More headers of answers.
    pub response_headers: Vec<String>,
    /// More trailers of answers.
    pub response_trailers: Vec<String>,
}

/// A log at a collector of OpenTelemetry. Texts of the body and of attributes are formats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtelLogIr {
    /// The collector.
    pub service: GrpcServiceIr,
    /// The name of the log.
    pub log_name: String,
    /// What a record says.
    pub body: Option<String>,
    /// Attributes of a record.
    pub attributes: Vec<(String, LogValue)>,
    /// Attributes of what the records are about.
    pub resource: Vec<(String, LogValue)>,
    /// Whether Envoy says something of itself.
    pub has_builtin_labels: bool,
}

/// A value of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum LogValue {
    /// A text.
    Text(String),
    /// A list.
    List(Vec<LogValue>),
    /// Values under their names.
    Map(Vec<(String, LogValue)>),
}

/// What a line of a log, or another text, holds. Texts are in Envoy's language, and valid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogFormat {
    /// A text.
    Text(String),
    /// A JSON object, as text, whose texts are formats.
    Json(String),
}

/// A header of the client's request that a format reads. It is taken down when the request arrives: what a backend's
/// cluster does to a request, such as putting in the credential of a provider, would be seen by whoever reads it later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ClientHeader {
    /// The command's argument, as in `REQ(name?alternative)`; lower case.
    pub expression: String,
    /// What is taken down where the client has sent none; nothing if absent. Never empty.
    pub default: Option<String>,
}

/// Which requests are logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum LogFilter {
    /// Those that fit all of these; at least two.
    All(Vec<LogFilter>),
    /// Those that fit any of these; at least two.
    Any(Vec<LogFilter>),
    /// By the status of the answer.
    Status(Comparison),
    /// By the duration, in milliseconds.
    Duration(Comparison),
    /// Those that are no health checks.
    NotHealthCheck,
    /// Those that are traced.
    Traceable,
    /// By a header of the request.
    Header(HeaderMatch),
    /// By what Envoy notes about the answer; one of these.
    ResponseFlags(Vec<String>),
    /// By the status of a gRPC call.
    GrpcStatus {
        /// The statuses, by gRPC's names.
        statuses: Vec<String>,
        /// Whether all others are meant.
        exclude: bool,
    },
    /// Those for which an expression in CEL is true.
    Cel(String),
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// How.
    pub op: ComparisonOp,
    /// The number.
    pub value: u32,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ComparisonOp {
    /// Equal.
    Eq,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
}

impl LogSink {
    /// The cluster of the service that it goes to, if it goes to one.
    pub fn collector(&self) -> Option<&ClusterName> {
        match self {
            Self::File { .. } => None,
            Self::Grpc(log) => Some(&log.service.cluster),
            Self::OpenTelemetry(log) => Some(&log.service.cluster),
        }
    }
}

impl ClientHeader {
    /// The key of filter state under which its value stands.
    pub fn state_key(&self) -> String {
        // A colon would separate the key from what comes after it.
        let key = format!("chancery.client/{}", self.expression.replace(':', "/"));
        match &self.default {
            None => key,
            Some(default) => {
                let digits: String = default.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("{key}={digits}")
            }
        }
    }
}
