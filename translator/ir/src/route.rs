//! Routes: a match and what is done with the requests that it takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ClusterName, Cors, FilterName, HeaderModifier, Hostname, LogFormat, Redirect, Rewrite, RouteMatch,
    RouteName, RoutePolicy,
};

/// One match of one rule. Routes stand in their virtual host in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteIr {
    /// Shown in access logs and config dumps.
    pub name: RouteName,
    /// The requests it takes.
    pub matches: RouteMatch,
    /// Edits of the request's headers.
    pub request_headers: HeaderModifier,
    /// Edits of the response's headers.
    pub response_headers: HeaderModifier,
    /// What browsers may do in pages of other origins; `None`: what the backend tells them.
    pub cors: Option<Cors>,
    /// What filters do with them.
    pub policy: RoutePolicy,
    /// What is done with them.
    pub action: RouteAction,
}

/// What is done with a request.
#[allow(clippy::large_enum_variant, reason = "nearly every route forwards")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteAction {
    /// It goes to a backend.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// It is answered here.
    Respond(DirectResponse),
    /// It is answered by the AI engine with these models.
    ListModels(Vec<String>),
}

/// An answer from the gateway itself, without contacting a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DirectResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Option<AnswerBody>,
}

/// The body of an answer from the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AnswerBody {
    /// This text; at most 4096 bytes.
    Text(String),
    /// What comes of a format.
    Format {
        /// The format.
        format: LogFormat,
        /// The `content-type`.
        content_type: String,
    },
}

impl DirectResponse {
    /// An answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, body: None }
    }
}

/// Forwarding to one or more destinations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where to, by weight; never empty, and at least one weight is above zero.
    pub destinations: Vec<Destination>,
    /// The rule's own rewrite. A destination's own rewrite has precedence, part by part.
    pub rewrite: Rewrite,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// When it is sent again; `None` is never, but for pools, which go on to the next group.
    pub retry: Option<Retry>,
    /// Where copies of the requests go, whichever destination they go to.
    pub mirrors: Vec<Mirror>,
    /// Whether a destination is a provider of large language models. No connection becomes a WebSocket then, whatever the
    /// listener allows: what comes by one could not be looked at.
    pub to_ai: bool,
    /// Which redirects of the destinations the proxy follows itself; none if absent.
    pub follows: Option<Box<FollowedRedirects>>,
    /// The `Host` of copies, those of destinations included.
    pub mirror_host: MirrorHost,
    /// Whether connections may become WebSockets, whatever a destination and the listener say; absent: as they say.
    pub websocket: Option<bool>,
}

/// Which redirects of destinations the proxy follows itself: those to an absolute URL, for which a route of the listener says what is
/// done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedRedirects {
    /// The statuses of those that are followed; never empty.
    pub codes: Vec<u16>,
    /// Whether also those are that lead from https to http, or back.
    pub crosses_schemes: bool,
    /// Headers that the next request gets from the redirect, in lower case.
    pub copied_headers: Vec<String>,
    /// How many are followed for a request; above zero.
    pub max: u32,
}

/// When a request is sent again: where it cannot have been processed (no connection, or refused before), and
/// where an answer says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retry {
    /// Further conditions of the proxy's under which it is (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`).
    pub on: Vec<String>,
    /// The status codes of answers after which it is.
    pub codes: Vec<u16>,
    /// How often at most, beside the first time; above zero.
    pub attempts: u32,
    /// The base of the waits, above zero; `None` is the proxy's own.
    pub backoff: Option<Duration>,
    /// The longest wait, at least the base; `None` is ten times the base.
    pub max_backoff: Option<Duration>,
    /// The wait after an answer that says itself how long to wait.
    pub as_told: Option<WaitAsTold>,
}

/// The wait after an answer that says itself how long to wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WaitAsTold {
    /// The headers that say it, in lower case and in the order in which they are looked for; never empty.
    pub headers: Vec<(String, WaitFormat)>,
    /// A longer wait is not taken from an answer; above zero.
    pub longest: Duration,
}

/// What the value of a header is that says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WaitFormat {
    /// Seconds from now.
    Seconds,
    /// Seconds since 1970.
    UnixTime,
}

/// Copies of requests for another cluster, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mirror {
    /// Where they go.
    pub cluster: ClusterName,
    /// How many requests of a million are copied.
    pub per_million: u32,
}

/// The `Host` of copies of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MirrorHost {
    /// That of the request.
    #[default]
    Same,
    /// That of the request with `-shadow` behind its name.
    Suffixed,
    /// This one.
    Literal(String),
}

/// A share of a rule's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its part of the sum of all weights of the rule.
    pub weight: u32,
    /// Where it goes.
    pub target: Target,
}

/// Where a share of a rule's traffic goes.
#[allow(clippy::large_enum_variant, reason = "nearly every target is a cluster")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// To a cluster.
    Cluster {
        /// Which one, or which ones.
        clusters: Clusters,
        /// Edits of the request's headers for this destination alone, after the route's.
        request_headers: HeaderModifier,
        /// Edits of the response's headers for this destination alone, before the route's.
        response_headers: HeaderModifier,
        /// What this destination needs, whatever the rule says (an AI provider's host and path).
        rewrite: Rewrite,
        /// Whether its connections may become WebSockets.
        websocket: bool,
        /// Where copies of the requests go that go here.
        mirrors: Vec<Mirror>,
        /// What the AI engine is asked for the requests that go here (`ai_config::RoutePolicy` as JSON).
        ai_policy: Option<Box<str>>,
    },
    /// Nowhere: the reference did not resolve, and this share is answered with an error.
    Respond(DirectResponse),
}

/// The clusters of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clusters {
    /// This one.
    One(ClusterName),
    /// Groups of clusters in the order of their use: an attempt goes to one of its group, and after a failure the next
    /// attempt goes to the next group. Never empty, nor is a group.
    Groups(Vec<Vec<ClusterName>>),
}

impl Clusters {
    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterName> {
        let (one, groups) = match self {
            Self::One(name) => (Some(name), [].as_slice()),
            Self::Groups(groups) => (None, groups.as_slice()),
        };
        one.into_iter().chain(groups.iter().flatten())
    }
}

/// Time limits of a forwarded request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the request's end to the response's end; `None` is no limit.
    pub request: Option<Duration>,
    /// One attempt's limit; `None` is no limit of its own.
    pub backend_request: Option<Duration>,
    /// The longest time without any byte in either direction; `None` is no limit.
    pub idle: Option<Duration>,
}

/// A share of the connections or datagrams of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L4Share {
    /// Its part of the sum of all weights; above zero.
    pub weight: u32,
    /// Where it goes; `None`: its connections are closed, its datagrams dropped.
    pub cluster: Option<ClusterName>,
}

/// Where the connections of a chain go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct L4FilterIr {
    /// By which the chain names it.
    pub name: FilterName,
    /// The server name (SNI) that the connections ask for; every host without TLS.
    pub server_name: Hostname,
    /// Where to, by weight; empty: nowhere.
    pub shares: Vec<L4Share>,
}
