//! The intermediate representation: all that one Envoy fleet needs, fully resolved.
//!
//! The translator's first half turns Kubernetes objects into these types, its second half turns
//! these types into Envoy's messages. Nothing here is looked up any more: a name that stands here
//! exists, a match that stands here is valid, a secret that stands here may be used.
//!
//! May not depend on anything but std and serde: no Kubernetes type, so that a second source of
//! routes needs no change here; no Envoy type, so that routing can be tested without protobuf.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod access;
mod access_log;
mod client_http;
mod cluster;
mod compression;
mod cors;
mod credentials;
mod external_auth;
mod families;
mod filter;
mod gateway;
mod grpc_service;
mod hostname;
mod infra;
mod keys;
mod limit_service;
mod matcher;
mod name;
mod processor;
mod rate_limit;
mod route;
mod route_policy;
mod secret;
mod tracing;
mod tuning;

pub use access::{
    Access, CelExpr, ClaimRule, ClaimValue, Rights, RightsRule, Sender, Stage, TokenDemand, TokenKeys,
    TokenMode, TokenProvider, TokenSet, TokenStage, issued_by_key,
};
pub use access_log::{
    AccessLogIr, ClientHeader, Comparison, ComparisonOp, GrpcLogIr, LogFilter, LogFormat, LogSink, LogValue,
    OtelLogIr,
};
pub use client_http::{ClientHttp, ServerHeader};
pub use cluster::{
    AwsSigning, ClusterIr, Credential, Discovery, Endpoint, Engine, HostPort, ModuleSource, RemoteModule,
    SubjectAltName, Trust, UpstreamHttp, UpstreamProtocol, UpstreamTls, bracketed,
};
pub use compression::{Coding, Compressor};
pub use cors::{Cors, NameList, Origins};
pub use credentials::{ApiKey, Credentials, KeyList, KeyPlace, USER_HEADER, UserList};
pub use external_auth::{
    AnswerHeaders, AuthBody, AuthProtocol, AuthQuestion, AuthService, HttpAuth, ListenerAuthIr,
    ListenerPlaces, ListenerQuestion,
};
pub use families::IpFamilies;
pub use filter::{HeaderModifier, HostRewrite, PathRewrite, Redirect, RedirectPath, Rewrite, Scheme};
pub use gateway::{
    Bind, ClientValidation, DownstreamTls, EscapedSlashes, FilterChainIr, HttpChain, ListenerIr,
    Observability, Protocol, RouteTableId, Transport,
};
pub use grpc_service::{GrpcRetry, GrpcServiceIr};
pub use hostname::Hostname;
pub use infra::{
    COMPONENT_LABEL, CONFIG_HASH_ANNOTATION, CONTROLLER_LABEL, DRAIN_PORT, GATEWAY_NAME_LABEL,
    INSTANCE_LABEL, InfraPort, MANAGED_BY_LABEL, METRICS_PORT, PROXY_NAME_LABEL, PortProtocol, ProxyInfra,
    READINESS_PORT, RESERVED_LABELS, RESERVED_PORTS, X_BACKEND_LABEL, is_reserved_annotation,
    is_reserved_label,
};
pub use keys::{ClaimBudget, ClaimDemand, ClaimSet, ClientKey, KeyDemand, KeySet};
pub use limit_rule::Counted;
pub use limit_service::{DescriptorEntry, GlobalLimit, LimitService};
pub use matcher::{
    GrpcMethodPrecedence, HeaderMatch, MAX_REGEX_PROGRAM_SIZE, PathMatch, Precedence, QueryParamMatch,
    RouteMatch, StringMatch,
};
pub use name::{
    AuthServiceName, BucketName, ClaimSetName, ClusterName, CredentialsName, FilterName, GatewayName,
    KeySetName, LimitServiceName, ListenerName, ProcessorName, RouteConfigName, RouteName, SecretName,
    TokenSetName, VirtualHostName,
};
pub use processor::{BodyMode, MessageMode, Processing, ProcessingMode, Processor, RouteAfter};
pub use rate_limit::{LimitEntry, LimitHeader, RateLimit};
pub use route::{
    AnswerBody, Clusters, Destination, DirectResponse, FollowedRedirects, Forward, L4FilterIr, L4Share,
    Mirror, MirrorHost, Retry, RouteAction, RouteIr, Target, Timeouts, WaitAsTold, WaitFormat,
};
pub use route_policy::{
    Abort, Csrf, Fault, FilterPart, Injected, RoutePolicy, TextMatch, TextPattern, TokenBucket,
};
pub use secret::{Certificate, Redacted, SecretIr, SecretValue};
pub use tracing::{MetadataOf, SpanAttribute, SpanExport, SpanSampler, SpanShares, SpanValue, TracingIr};
pub use tuning::{
    Balancing, Breakers, ConnectionUse, HashKey, HashSource, HashTable, HealthCheck, HealthQuestion,
    Http1Tuning, Http2Tuning, Keepalive, Outliers, ProxyProtocol, SlowStart, Tuning,
};
