//! Access logs of listeners.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::HeaderMatch;

/// Where requests are logged, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessLogIr {
    /// The file, as the proxy sees it.
    pub path: String,
    /// What a line holds.
    pub format: LogFormat,
    /// Which requests are logged; all if absent.
    pub filter: Option<LogFilter>,
    /// The headers of clients that the format reads, by what reads them.
    pub client_headers: BTreeSet<ClientHeader>,
}

/// What a line of a log holds. Texts are in Envoy's language, and valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

impl ClientHeader {
    /// The key of filter state under which its value stands.
    pub fn state_key(&self) -> String {
        // A colon would separate the key from what comes after it.
        format!("chancery.client/{}", self.expression.replace(':', "/"))
    }
}
