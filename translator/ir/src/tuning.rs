//! How proxies connect to a backend and choose among its endpoints, as far as a policy says it.

use std::time::Duration;

use serde::Serialize;

/// What a policy says about a cluster. What is absent is the proxy's usual way.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tuning {
    /// How long a new connection may take, with TLS; above zero.
    pub connect_timeout: Option<Duration>,
    /// How much is held of what comes and goes on a connection, in bytes; zero is no limit.
    pub connection_buffer_bytes: Option<u32>,
    /// When connections are probed on which nothing happens.
    pub keepalive: Option<Keepalive>,
    /// How connections of HTTP are used.
    pub connections: ConnectionUse,
    /// How HTTP/1.1 is spoken.
    pub http1: Http1Tuning,
    /// How HTTP/2 is spoken.
    pub http2: Http2Tuning,
    /// How an endpoint is chosen.
    pub balancing: Option<Balancing>,
    /// Of how many endpoints in a hundred at least those that are well get the requests alone; at most 100.
    pub panic_percent: Option<u32>,
    /// How long changes of endpoints' health may wait to be applied together.
    pub merge_window: Option<Duration>,
    /// Whether connections are closed whenever endpoints come or go.
    pub closes_connections: bool,
    /// What endpoints are asked whether they are well.
    pub health_check: Option<HealthCheck>,
    /// Which endpoints get no requests for some time because of their answers.
    pub outliers: Option<Outliers>,
    /// How much may be under way at the same time.
    pub breakers: Breakers,
    /// How each connection tells the addresses of the client's, before TLS; absent: not at all.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

/// When connections are probed. What is absent is the proxy's usual way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Keepalive {
    /// After how many probes without an answer a connection is closed.
    pub probes: Option<u32>,
    /// After which time the first one is sent; whole seconds.
    pub after: Option<Duration>,
    /// The time between two probes; whole seconds.
    pub interval: Option<Duration>,
}

/// How connections of HTTP are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionUse {
    /// After which time without requests a connection is closed; zero is never.
    pub idle_timeout: Option<Duration>,
    /// After which time a connection gets no more requests; above zero.
    pub max_duration: Option<Duration>,
    /// How many headers an answer may have; above zero.
    pub max_headers: Option<u32>,
    /// How long a request and its answer may take together; above zero.
    pub max_stream_duration: Option<Duration>,
    /// How many requests a connection gets; above zero.
    pub max_requests: Option<u32>,
}

/// How HTTP/1.1 is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Http1Tuning {
    /// Whether trailers are sent and read.
    pub trailers: bool,
    /// Whether names of headers keep the case in which the backend has written them.
    pub keeps_case: bool,
    /// Whether a connection stays open after an answer that is not one of HTTP.
    pub survives_errors: Option<bool>,
}

/// How HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Http2Tuning {
    /// How much of an answer may be under way, in bytes; from 65535 to 2147483647.
    pub stream_window: Option<u32>,
    /// How much of all answers of a connection may be; likewise.
    pub connection_window: Option<u32>,
    /// How many requests may be under way on a connection; above zero.
    pub max_streams: Option<u32>,
    /// Whether a connection stays open after an answer that is not one of HTTP.
    pub survives_errors: Option<bool>,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Balancing {
    /// The one of so many, drawn at random, that has the fewest requests; at least two.
    LeastRequest {
        /// Of how many; two, if absent.
        choices: Option<u32>,
        /// How endpoints begin.
        slow_start: Option<SlowStart>,
    },
    /// One after the other.
    RoundRobin(Option<SlowStart>),
    /// Any.
    Random,
    /// The same for requests that have something in common.
    Hash {
        /// How it is found.
        table: HashTable,
        /// Whether names of hosts count, and not addresses.
        by_hostname: bool,
        /// What requests must have in common; those that have nothing go anywhere.
        keys: Vec<HashKey>,
    },
}

/// How the endpoint of a request is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HashTable {
    /// By a ring of this size at least and at most; from 1 to 8388608.
    Ring(Option<u64>, Option<u64>),
    /// By the table of Maglev.
    Maglev,
}

/// How endpoints begin: with few requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SlowStart {
    /// For how long they get fewer than others; above zero.
    pub window: Duration,
    /// How fast they get more; above zero.
    pub aggression: Option<f64>,
    /// How many requests in a hundred of another's they get at least; at most 100.
    pub min_percent: Option<u32>,
}

/// What requests must have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HashKey {
    /// What it is.
    pub of: HashSource,
    /// Whether nothing that comes later counts for requests that have this.
    pub is_last: bool,
}

/// Something that requests have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum HashSource {
    /// The value of a header.
    Header(String),
    /// The value of a cookie.
    Cookie {
        /// Its name.
        name: String,
        /// The path of one that clients are given.
        path: String,
        /// How long one lasts that clients are given; zero is their session. They are given none if absent.
        lifetime: Option<Duration>,
        /// What else is said of it: names and values, of which some are empty.
        attributes: Vec<(String, String)>,
    },
    /// The client's address.
    Address,
}

/// What endpoints are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// How long an answer may take; above zero.
    pub timeout: Duration,
    /// The time between two questions; above zero.
    pub interval: Duration,
    /// After how many bad answers in a row an endpoint gets no more requests; above zero.
    pub unhealthy: u32,
    /// After how many good ones it gets requests again; above zero.
    pub healthy: u32,
    /// The question.
    pub question: HealthQuestion,
}

/// A question whether an endpoint is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum HealthQuestion {
    /// By HTTP.
    Http {
        /// `Host`.
        host: String,
        /// The path.
        path: String,
        /// The method, in capitals; GET, if absent.
        method: Option<&'static str>,
    },
    /// By gRPC.
    Grpc {
        /// The service that is asked about; the whole server if empty.
        service: String,
        /// `:authority`.
        authority: String,
    },
}

/// Which endpoints get no requests for some time because of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outliers {
    /// After how many errors in a row, and in how many cases of a hundred; never if absent.
    pub errors: Option<(u32, u32)>,
    /// The same of broken connections, where they are counted apart.
    pub broken_connections: Option<Option<(u32, u32)>>,
    /// How often it is looked whose time is over; above zero.
    pub interval: Duration,
    /// For how long the first time; above zero.
    pub time: Duration,
    /// How many endpoints of a hundred at most at the same time.
    pub max_percent: u32,
}

/// How much may be under way at the same time. What is absent is the proxy's usual way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Breakers {
    /// Connections.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub waiting: Option<u32>,
    /// Requests.
    pub requests: Option<u32>,
    /// Requests that are sent again.
    pub retries: Option<u32>,
    /// Whether proxies tell how much is left.
    pub tells_rest: bool,
}
