//! Policies, and what routes tell about them.

use std::sync::Arc;

use crds::ObjectKey;
use crds::policy::Content;
use crds::policy::http::{Limit, RetryContent, Setting};
use ir::{
    AccessLogIr, ClientHttp, Coding, Compressor, Cors, Csrf, DirectResponse, Fault, FollowedRedirects,
    HeaderModifier, Mirror, MirrorHost, PathMatch, PathRewrite, RateLimit, TokenBucket, TracingIr,
};

use super::asked_service::{AskedLimit, AskedProcessor};
use super::ext_auth::FaceQuestion;
use super::identity::FaceIdentity;
use super::key::{BackendKey, GatewayKey};
use crate::status::{Detail, Rejection};

/// What of a policy routes and listeners may know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyFace {
    pub key: ObjectKey,
    /// When it was made, in nanoseconds since 1970; absent counts as oldest.
    pub created: Option<i64>,
    /// What it says, or why nothing that it applies to can be served.
    pub content: Result<Content, Rejection>,
    /// What was understood although it is not written as it should be.
    pub notes: Vec<Detail>,
    /// What is left out of what it says about routes, and why.
    pub faults: Vec<Detail>,
    /// Where it has requests of listeners logged.
    pub access_logs: Vec<WrittenLog>,
    /// Where it has the spans of listeners' requests sent.
    pub tracing: Option<WrittenTracing>,
    /// How it has listeners speak HTTP with clients.
    pub client_http: ClientHttp,
    /// What is done with requests of routes to any backend.
    pub http: HttpPolicy,
    /// Who clients are and what they may do.
    pub identity: FaceIdentity,
    /// Who is asked whether a request may pass.
    pub ext_auth: Option<FaceQuestion>,
    /// What it has requests answered with.
    pub answer: Option<DirectResponse>,
}

impl PolicyFace {
    /// Whether it says what can be said for a whole rule alone, and not for one of its backends.
    pub(crate) fn is_for_rules(&self) -> bool {
        self.answer.is_some()
            || self.http != HttpPolicy::default()
            || self.identity != FaceIdentity::default()
            || self.ext_auth.is_some()
    }

    /// A policy without which nothing can be served that it applies to.
    pub(crate) fn unusable(key: ObjectKey, created: Option<i64>, why: Rejection) -> Self {
        Self {
            key,
            created,
            content: Err(why),
            notes: Vec::new(),
            faults: Vec::new(),
            access_logs: Vec::new(),
            tracing: None,
            client_http: ClientHttp::default(),
            http: HttpPolicy::default(),
            identity: FaceIdentity::default(),
            ext_auth: None,
            answer: None,
        }
    }
}

/// What a policy says about requests to any backend, read and checked. A field that is absent is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HttpPolicy {
    pub request_timeout: Option<Limit>,
    pub idle_timeout: Option<Limit>,
    pub retry: Option<RetryContent>,
    pub request_headers: Option<HeaderModifier>,
    /// The `Host` to send, which the edits of the request's headers set.
    pub host: Option<String>,
    pub auto_host_rewrite: Option<bool>,
    pub host_rewrite: Option<String>,
    pub response_headers: Option<HeaderModifier>,
    pub cors: Option<Setting<Cors>>,
    pub csrf: Option<Csrf>,
    pub buffer: Option<Setting<u32>>,
    pub rate_limit: Option<Setting<TokenBucket>>,
    pub shared_limits: Option<Vec<RateLimit>>,
    pub global_limit: Option<Setting<AskedLimit>>,
    pub processing: Option<Setting<AskedProcessor>>,
    pub compresses_responses: Option<Setting<Arc<Compressor>>>,
    pub decompresses_requests: Option<Setting<Vec<Coding>>>,
    pub fault: Option<Setting<Fault>>,
    pub path: Option<PolicyPath>,
    pub follows: Option<FollowedRedirects>,
    pub mirror: Option<PolicyMirror>,
    pub mirror_host: Option<MirrorHost>,
    pub websocket: Option<bool>,
}

/// Where a policy has copies of requests go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyMirror {
    pub mirror: Mirror,
    pub backend: BackendKey,
}

/// What a policy has paths become.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PolicyPath {
    /// The same for all matches.
    Whole(PathRewrite),
    /// What the match takes becomes this: a prefix, or the whole path.
    Matched(String),
}

impl PolicyPath {
    /// What it is for the requests that a match takes.
    pub(crate) fn at(&self, matched: &PathMatch) -> PathRewrite {
        match (self, matched) {
            (Self::Whole(rewrite), _) => rewrite.clone(),
            (Self::Matched(to), PathMatch::Prefix(from)) => {
                PathRewrite::Prefix { from: from.clone(), to: to.clone() }
            }
            (Self::Matched(to), PathMatch::Exact(_) | PathMatch::Regex(_)) => PathRewrite::Full(to.clone()),
        }
    }
}

/// An access log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WrittenLog {
    /// The field of the sink.
    pub field: String,
    /// The log, or why there is no service that it can go to.
    pub log: Result<AccessLogIr, Rejection>,
    /// The service that it goes to.
    pub backend: Option<BackendKey>,
}

/// Traces.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WrittenTracing {
    /// Where they go, or why they cannot go there. Without a name of the service, it has that of the Gateway.
    pub tracing: Result<TracingIr, Rejection>,
    /// The collector.
    pub backend: Option<BackendKey>,
}

/// One thing that a route tells about a policy that applies to it, at a Gateway. Facts are counted over all routes, so
/// that a policy of many routes has a status without anybody looking at all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PolicyFact {
    pub policy: ObjectKey,
    pub gateway: GatewayKey,
    pub what: PolicyEffect,
}

/// What a policy comes to somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PolicyEffect {
    /// It applies to a rule of a route.
    Applies,
    /// Something that it says is done with requests.
    InEffect,
    /// So is something that another policy says, for the same requests.
    MergedWith(ObjectKey),
    /// A field of it yields to that of another policy, or to what the route itself says.
    Overridden {
        /// Below `spec`.
        field: Box<str>,
        by: ObjectKey,
    },
    /// A field of it has no effect on requests to AI backends.
    NotForAi(&'static str),
    /// A rule that it applies to answers 500 because of another policy.
    BlockedBy(ObjectKey),
    /// An AI backend cannot do what it says, since the proxies have no AI engine.
    NoEngine,
    /// A backend to which it was attached by name is not an AI backend.
    NoAiBackend(Box<str>),
}
