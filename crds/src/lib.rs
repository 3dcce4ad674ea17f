//! The API objects that Chancery reads: our own CRDs (in the dialects of kgateway and Gloo), the Gateway
//! API, and the few built-in kinds that a route needs.
//!
//! Types and pure functions only. This crate may not depend on a Kubernetes client, on tokio, or do IO:
//! it turns a parsed document into a typed [`Object`], and the AI dialects into one [`ai::AiPool`].

pub mod access_log;
pub mod ai;
pub mod auth_token;
pub mod backend;
pub mod backend_config_policy;
pub mod backend_provider;
pub mod budget;
pub mod core;
pub mod direct_response;
pub mod ext_auth;
pub mod ext_proc;
pub mod gateway_api;
pub mod gateway_extension;
pub mod gateway_parameters;
pub mod grpc_service;
pub mod header;
pub mod http_listener_policy;
pub mod identity;
pub mod listener_http;
pub mod listener_option;
pub mod listener_tracing;
pub mod object;
pub mod object_ref;
pub mod policy;
pub mod price_list;
pub mod rate_limit_config;
pub mod rate_limit_service;
pub mod route_option;
pub mod traffic_policy;
pub mod upstream;
pub mod virtual_host_option;
pub mod virtual_key;

mod definitions;
mod http_url;
mod reference;
mod schema;
mod sensitive;
mod similar;
mod string_or;

pub use definitions::{Manifest, custom_resource_definition, custom_resource_definitions, manifests};
pub use http_url::HttpUrl;
pub use k8s_openapi::ByteString;
pub use object::{
    DecodeError, Decoded, InvalidObject, KINDS, Kind, KindInfo, Object, ObjectKey, RouteParts, Typed,
    claimed, decode_all, documents, is_builtin_group, is_dns_subdomain, label_problem, may_be_credential,
    meant_by, name_problem,
};
pub use object_ref::{GroupKind, NamespacedName, ObjectRef};
pub use reference::reference;
pub use sensitive::{Opaque, SensitiveString};
pub use similar::most_similar;
pub use string_or::StringOr;
