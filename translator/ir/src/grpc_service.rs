//! Services of gRPC that proxies send something to.

use std::time::Duration;

use serde::Serialize;

use crate::ClusterName;

/// A service that proxies send something to by gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrpcServiceIr {
    /// Its cluster, which is spoken to by HTTP/2.
    pub cluster: ClusterName,
    /// `:authority` of requests.
    pub authority: String,
    /// How long a request may take; for ever if absent.
    pub timeout: Option<Duration>,
    /// Headers of requests, as they are.
    pub metadata: Vec<(String, String)>,
    /// The longest message in bytes that is taken from it.
    pub max_receive_message_length: Option<u32>,
    /// Whether Envoy's own headers are left out.
    pub skip_envoy_headers: bool,
    /// When a stream that ended is begun again.
    pub retry: Option<GrpcRetry>,
}

impl GrpcServiceIr {
    /// A service of which nothing else is said.
    pub fn plain(cluster: ClusterName, authority: String, timeout: Option<Duration>) -> Self {
        Self {
            cluster,
            authority,
            timeout,
            metadata: Vec::new(),
            max_receive_message_length: None,
            skip_envoy_headers: false,
            retry: None,
        }
    }
}

/// When a stream that ended is begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GrpcRetry {
    /// How often at most; Envoy's default if absent.
    pub retries: Option<u32>,
    /// The shortest and the longest time between attempts; Envoy's default if absent.
    pub back_off: Option<(Duration, Duration)>,
}
