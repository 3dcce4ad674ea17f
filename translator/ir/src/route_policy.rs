//! What filters of the proxy do with the requests of a route, as policies ask for it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Access, AuthQuestion, AuthService, BucketName, ClaimSet, Coding, Compressor, GlobalLimit, KeyList,
    KeySet, LimitService, Processing, Processor, RateLimit, TokenSet, UserList,
};

/// What filters of the proxy do with the requests of a route. All that is absent is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePolicy {
    /// What requests must fulfil to pass. Its tokens are one of the Gateway's [`FilterPart::Tokens`], its keys one of its
    /// [`FilterPart::Keys`], its users and API keys of [`FilterPart::Users`] and [`FilterPart::ApiKeys`].
    pub access: Access,
    /// What a service is asked before a request passes. The service is one of the Gateway's [`FilterPart::Auth`].
    pub question: Option<AuthQuestion>,
    /// Requests that change something and come from pages of other origins.
    pub csrf: Option<Csrf>,
    /// The bucket of which each request takes a token; without one it is answered with 429. It is one of the Gateway's
    /// [`FilterPart::Bucket`].
    pub rate_limit: Option<BucketName>,
    /// What is asked of the service that counts for all proxies.
    pub shared_limits: Vec<RateLimit>,
    /// What a service of the user's counts. The service is one of the Gateway's [`FilterPart::LimitService`].
    pub global_limit: Option<GlobalLimit>,
    /// How large the body of a request may be, in bytes; above zero. Requests wait until all of it is there.
    pub max_request_bytes: Option<u32>,
    /// The forms of compression of which bodies of requests go on as they were before; sorted, each once.
    pub decompresses_requests: Vec<Coding>,
    /// How answers are compressed for clients that take it, by its name. It is one of the Gateway's [`FilterPart::Compressor`].
    pub compresses_responses: Option<String>,
    /// What a service sees, and may change. The service is one of the Gateway's [`FilterPart::Processor`].
    pub processing: Option<Processing>,
    /// Faults that are made for tests.
    pub fault: Option<Fault>,
}

/// Faults that are made for tests of what clients do then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How long requests wait before they go on.
    pub delay: Option<Injected<Duration>>,
    /// What requests are answered with in place of the backend's answer.
    pub abort: Option<Injected<Abort>>,
    /// How fast bodies of answers go at most, in kbit/s; above zero.
    pub kbits_per_second: Option<Injected<u64>>,
    /// How many requests have faults at the same time at most.
    pub max_active: Option<u32>,
}

/// A fault, and how often it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected<T> {
    /// The fault.
    pub what: T,
    /// For how many requests in a hundred.
    pub percentage: u32,
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Abort {
    /// This status of HTTP, from 200 to 599.
    Http(u16),
    /// This status of gRPC, from 0 to 16.
    Grpc(u32),
}

/// Requests that change something and come from pages of other origins (cross-site request forgery).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Csrf {
    /// Of how many requests in a million the origin is looked at.
    pub per_million: u32,
    /// Whether a request of another origin is refused with 403; else it is counted only.
    pub is_enforced: bool,
    /// Origins (host and port) beside the destination's own that are allowed.
    pub additional_origins: Vec<TextMatch>,
}

/// What a text must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextMatch {
    /// How it is compared.
    pub pattern: TextPattern,
    /// Whether the case of letters makes no difference; not for expressions.
    pub ignore_case: bool,
}

/// How a text is compared. All but the first and the last are never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextPattern {
    /// It is this text.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// It ends with this.
    Suffix(String),
    /// This stands in it.
    Contains(String),
    /// An RE2 expression fits all of it. It is not larger than Envoy takes.
    Regex(String),
}

/// A part of the configuration of a filter of which all listeners of a Gateway have the same, delivered by ECDS.
///
/// Most filters are configured by each route for itself (`typed_per_filter_config`). Some cannot be: Envoy takes what
/// they need, such as the providers of JSON Web Tokens, in the filter's own configuration alone, or forgets what it has
/// counted when a route table is replaced. A route names a part of it, and the Gateway's filter has the parts that its
/// routes name. So an edit of a policy changes no listener, and connections go on.
///
/// Parts reach Envoy before the route tables that name them (ECDS is pushed before RDS). A part that is no longer named
/// goes at the same time as the last route that names it, and so may be gone a moment before the route is: what a filter
/// does with a name that it does not know must be harmless, or safe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FilterPart {
    /// A bucket of the local rate limit. A route that names one that is not there is not limited.
    Bucket(BucketName, TokenBucket),
    /// What is asked of tokens. A route that names one that is not there answers 403.
    Tokens(Arc<TokenSet>),
    /// A service that is asked whether requests may pass. A route that names one that is not there answers 500.
    Auth(Arc<AuthService>),
    /// Virtual keys. A route that names a set that is not there answers 500.
    Keys(Arc<KeySet>),
    /// Budgets over claims. A route that names a set that is not there answers 500.
    Claims(Arc<ClaimSet>),
    /// Users of whom the sender of a request must be one. A route that names a list that is not there answers 500.
    Users(Arc<UserList>),
    /// API keys of which a request must have one. Likewise.
    ApiKeys(Arc<KeyList>),
    /// A service that counts requests. A route that names one that is not there answers 500.
    LimitService(Arc<LimitService>),
    /// A service that sees requests and answers. Likewise.
    Processor(Arc<Processor>),
    /// How answers are compressed. Likewise.
    Compressor(Arc<Compressor>),
}

/// A bucket of tokens. Each request takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenBucket {
    /// How many it holds at most, and at first; above zero.
    pub max_tokens: u32,
    /// How many come at each fill; above zero.
    pub tokens_per_fill: u32,
    /// The time between two fills; at least 50 ms.
    pub fill_interval: Duration,
}
