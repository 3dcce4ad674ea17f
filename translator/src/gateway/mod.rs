//! From Kubernetes objects to the intermediate representation: validity, attachment, references.
//!
//! Every stage is a pure function of what it looks up in the [`View`](view::View); the engine decides when it
//! is evaluated. In the order of work: which classes are ours; what each Gateway says; which addresses it gets; what
//! backends and routes mean; where routes attach; which virtual hosts there are and what stands in them.

mod access_log;
pub(crate) mod address;
mod answer;
mod answer_body;
pub(crate) mod attach;
pub(crate) mod backend;
pub(crate) mod budget;
mod cel;
pub(crate) mod claim;
pub(crate) mod class;
mod collector;
mod cors;
mod counted;
mod destinations;
mod escaped_slashes;
mod exposure;
mod ext_auth;
pub(crate) mod extension;
pub(crate) mod face;
pub(crate) mod facts;
mod filter;
mod grpc_match;
mod header_modifier;
pub(crate) mod host;
mod http_match;
mod http_route;
mod identity;
mod infra;
mod l4_route;
mod limit_service;
pub(crate) mod listener;
mod listener_filters;
mod listener_http;
pub(crate) mod listener_set;
mod listener_tracing;
mod mirror;
mod model_list;
pub(crate) mod parameters;
mod path;
pub(crate) mod policy;
pub(crate) mod port;
pub(crate) mod price_list;
mod processor;
pub(crate) mod rate_limit;
pub(crate) mod report;
mod reserved_metadata;
mod retry;
pub(crate) mod route;
mod server;
mod target_address;
mod time_limits;
pub(crate) mod tls;
mod validate;
pub(crate) mod view;
pub(crate) mod virtual_key;
pub(crate) mod wanted_address;
