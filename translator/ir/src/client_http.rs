//! How a listener speaks HTTP with clients, as far as policies say it.

use std::time::Duration;

use serde::Serialize;

/// What policies say about it. What is absent is the proxy's usual way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientHttp {
    /// Whether the client is who connects, and not who `x-forwarded-for` says.
    pub use_remote_address: Option<bool>,
    /// How many addresses at the end of `x-forwarded-for` are those of proxies that can be trusted.
    pub trusted_hops: Option<u32>,
    /// What becomes of the header `server` of answers.
    pub server_header: Option<ServerHeader>,
    /// After which time without a request a connection is closed; zero is never.
    pub idle_timeout: Option<Duration>,
    /// The path that is answered by the proxy itself: whether it is well. In the form that requests have when routes are chosen.
    pub health_path: Option<String>,
    /// Whether names of headers of HTTP/1.1 keep their case.
    pub keeps_case: Option<bool>,
    /// Whether HTTP/1.0 is spoken.
    pub http10: Option<bool>,
    /// The host of requests of HTTP/1.0 that name none.
    pub http10_host: Option<String>,
    /// How large the headers of a request may be together, in KiB; from 1 to 8192.
    pub max_headers_kb: Option<u32>,
    /// Whether connections may become WebSockets, unless a route does not allow it.
    pub websockets: Option<bool>,
}

/// What becomes of the header `server` of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServerHeader {
    /// It names the proxy.
    Overwritten,
    /// It names the proxy where the backend names nothing.
    IfAbsent,
    /// It is the backend's.
    OfBackend,
}

impl ClientHttp {
    /// What stands here, and what stands there where nothing stands here.
    #[must_use]
    pub fn or(self, there: &Self) -> Self {
        Self {
            use_remote_address: self.use_remote_address.or(there.use_remote_address),
            trusted_hops: self.trusted_hops.or(there.trusted_hops),
            server_header: self.server_header.or(there.server_header),
            idle_timeout: self.idle_timeout.or(there.idle_timeout),
            health_path: self.health_path.or_else(|| there.health_path.clone()),
            keeps_case: self.keeps_case.or(there.keeps_case),
            http10: self.http10.or(there.http10),
            http10_host: self.http10_host.or_else(|| there.http10_host.clone()),
            max_headers_kb: self.max_headers_kb.or(there.max_headers_kb),
            websockets: self.websockets.or(there.websockets),
        }
    }
}
