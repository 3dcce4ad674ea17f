//! Envoy's API as the product sees it: the generated messages under short module names, one place that
//! packs and unpacks `Any`, and readable JSON through the descriptors of the Envoy release that
//! `.envoy-version` pins.
//!
//! Nothing here knows Kubernetes, our IR or the network; this crate depends on no other crate of the
//! workspace.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod any;
mod deprecated;
pub mod descriptors;
mod deterministic;
mod json;
mod presence;
pub mod priority_group;
mod wrappers;

pub use any::{UnpackError, pack, type_url, unpack};
pub use deprecated::deprecated_fields;
pub use descriptors::{DescribeError, ENVOY_VERSION};
pub use deterministic::encode;
pub use json::{
    REDACTED, from_json, message_from_json, message_to_json, message_to_json_unredacted, to_json,
    to_json_unredacted,
};
pub use presence::{FieldPresence, Presence, presence};
pub use wrappers::{
    MAX_DURATION_SECONDS, bool_value, bytes_value, double_value, duration, empty, string_value, struct_value,
    u32_value, u64_value,
};

use envoy_types::pb;

// Resources and what they are made of.
pub use pb::envoy::config::bootstrap::v3 as bootstrap;
pub use pb::envoy::config::cluster::v3 as cluster;
pub use pb::envoy::config::common::mutation_rules::v3 as mutation_rules;
pub use pb::envoy::config::core::v3 as core;
pub use pb::envoy::config::endpoint::v3 as endpoint;
pub use pb::envoy::config::listener::v3 as listener;
pub use pb::envoy::config::metrics::v3 as metrics;
pub use pb::envoy::config::overload::v3 as overload;
pub use pb::envoy::config::rbac::v3 as rbac;
pub use pb::envoy::config::route::v3 as route;
pub use pb::envoy::config::trace::v3 as trace;

// Types shared by many messages.
pub use pb::envoy::r#type::http::v3 as http_types;
pub use pb::envoy::r#type::matcher::v3 as matcher;
pub use pb::envoy::r#type::metadata::v3 as metadata;
pub use pb::envoy::r#type::tracing::v3 as tracing;
pub use pb::envoy::r#type::v3 as types;
pub use pb::google::api::expr::v1alpha1 as cel;
pub use pb::xds::core::v3 as xds_core;
pub use pb::xds::r#type::matcher::v3 as xds_matcher;

// Access logs.
pub use pb::envoy::config::accesslog::v3 as access_log;
pub use pb::envoy::extensions::access_loggers::file::v3 as file_access_log;
pub use pb::envoy::extensions::access_loggers::filters::cel::v3 as cel_access_log_filter;
pub use pb::envoy::extensions::access_loggers::grpc::v3 as grpc_access_log;
pub use pb::envoy::extensions::access_loggers::open_telemetry::v3 as otel_access_log;
pub use pb::envoy::extensions::access_loggers::stream::v3 as stream_access_log;

// Clusters and load balancing.
pub use pb::envoy::extensions::clusters::common::dns::v3 as dns_common;
pub use pb::envoy::extensions::clusters::dns::v3 as dns_cluster;
pub use pb::envoy::extensions::clusters::dynamic_forward_proxy::v3 as dynamic_forward_proxy_cluster;
pub use pb::envoy::extensions::load_balancing_policies::client_side_weighted_round_robin::v3 as client_side_weighted_round_robin;
pub use pb::envoy::extensions::load_balancing_policies::cluster_provided::v3 as cluster_provided;
pub use pb::envoy::extensions::load_balancing_policies::common::v3 as lb_common;
pub use pb::envoy::extensions::load_balancing_policies::least_request::v3 as least_request;
pub use pb::envoy::extensions::load_balancing_policies::maglev::v3 as maglev;
pub use pb::envoy::extensions::load_balancing_policies::override_host::v3 as override_host;
pub use pb::envoy::extensions::load_balancing_policies::random::v3 as random;
pub use pb::envoy::extensions::load_balancing_policies::ring_hash::v3 as ring_hash;
pub use pb::envoy::extensions::load_balancing_policies::round_robin::v3 as round_robin;
pub use pb::envoy::extensions::load_balancing_policies::subset::v3 as subset;
pub use pb::envoy::extensions::load_balancing_policies::wrr_locality::v3 as wrr_locality;
pub use pb::envoy::extensions::network::dns_resolver::cares::v3 as cares_dns_resolver;
pub use pb::envoy::extensions::network::dns_resolver::getaddrinfo::v3 as getaddrinfo_dns_resolver;
pub use pb::envoy::extensions::tracers::opentelemetry::resource_detectors::v3 as otel_resource_detectors;
pub use pb::envoy::extensions::tracers::opentelemetry::samplers::v3 as otel_samplers;
pub use pb::envoy::extensions::upstreams::http::v3 as upstream_http;
pub use pb::opentelemetry::proto::common::v1 as otel_common;

// Transport sockets. `tls` also holds the SDS resource `Secret`.
pub use pb::envoy::extensions::transport_sockets::proxy_protocol::v3 as proxy_protocol_upstream;
pub use pb::envoy::extensions::transport_sockets::quic::v3 as quic;
pub use pb::envoy::extensions::transport_sockets::raw_buffer::v3 as raw_buffer;
pub use pb::envoy::extensions::transport_sockets::tls::v3 as tls;

// Listener and network filters.
pub use pb::envoy::extensions::filters::listener::http_inspector::v3 as http_inspector;
pub use pb::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol_listener;
pub use pb::envoy::extensions::filters::listener::tls_inspector::v3 as tls_inspector;
pub use pb::envoy::extensions::filters::network::connection_limit::v3 as connection_limit;
pub use pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
pub use pb::envoy::extensions::filters::network::rbac::v3 as network_rbac;
pub use pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
pub use pb::envoy::extensions::filters::udp::udp_proxy::v3 as udp_proxy;
pub use pb::envoy::extensions::matching::common_inputs::network::v3 as network_inputs;
pub use pb::envoy::extensions::matching::input_matchers::runtime_fraction::v3 as runtime_fraction;

// HTTP filters.
pub use pb::envoy::config::ratelimit::v3 as ratelimit_config;
pub use pb::envoy::extensions::common::aws::v3 as aws_common;
pub use pb::envoy::extensions::common::ratelimit::v3 as ratelimit_common;
pub use pb::envoy::extensions::compression::brotli::compressor::v3 as brotli_compressor;
pub use pb::envoy::extensions::compression::brotli::decompressor::v3 as brotli_decompressor;
pub use pb::envoy::extensions::compression::gzip::compressor::v3 as gzip_compressor;
pub use pb::envoy::extensions::compression::gzip::decompressor::v3 as gzip_decompressor;
pub use pb::envoy::extensions::compression::zstd::compressor::v3 as zstd_compressor;
pub use pb::envoy::extensions::compression::zstd::decompressor::v3 as zstd_decompressor;
pub use pb::envoy::extensions::dynamic_modules::v3 as dynamic_modules;
pub use pb::envoy::extensions::filters::common::fault::v3 as fault_common;
pub use pb::envoy::extensions::filters::common::set_filter_state::v3 as filter_state;
pub use pb::envoy::extensions::filters::http::api_key_auth::v3 as api_key_auth;
pub use pb::envoy::extensions::filters::http::aws_request_signing::v3 as aws_request_signing;
pub use pb::envoy::extensions::filters::http::basic_auth::v3 as basic_auth;
pub use pb::envoy::extensions::filters::http::buffer::v3 as buffer;
pub use pb::envoy::extensions::filters::http::composite::v3 as composite;
pub use pb::envoy::extensions::filters::http::compressor::v3 as compressor;
pub use pb::envoy::extensions::filters::http::cors::v3 as cors;
pub use pb::envoy::extensions::filters::http::credential_injector::v3 as credential_injector;
pub use pb::envoy::extensions::filters::http::csrf::v3 as csrf;
pub use pb::envoy::extensions::filters::http::decompressor::v3 as decompressor;
pub use pb::envoy::extensions::filters::http::dynamic_forward_proxy::v3 as dynamic_forward_proxy_filter;
pub use pb::envoy::extensions::filters::http::dynamic_modules::v3 as dynamic_module_filter;
pub use pb::envoy::extensions::filters::http::ext_authz::v3 as ext_authz;
pub use pb::envoy::extensions::filters::http::ext_proc::v3 as ext_proc;
pub use pb::envoy::extensions::filters::http::fault::v3 as fault;
pub use pb::envoy::extensions::filters::http::grpc_stats::v3 as grpc_stats;
pub use pb::envoy::extensions::filters::http::grpc_web::v3 as grpc_web;
pub use pb::envoy::extensions::filters::http::header_mutation::v3 as header_mutation;
pub use pb::envoy::extensions::filters::http::health_check::v3 as health_check;
pub use pb::envoy::extensions::filters::http::jwt_authn::v3 as jwt_authn;
pub use pb::envoy::extensions::filters::http::local_ratelimit::v3 as local_ratelimit;
pub use pb::envoy::extensions::filters::http::lua::v3 as lua;
pub use pb::envoy::extensions::filters::http::oauth2::v3 as oauth2;
pub use pb::envoy::extensions::filters::http::ratelimit::v3 as ratelimit;
pub use pb::envoy::extensions::filters::http::rbac::v3 as http_rbac;
pub use pb::envoy::extensions::filters::http::router::v3 as router;
pub use pb::envoy::extensions::filters::http::set_filter_state::v3 as set_filter_state;
pub use pb::envoy::extensions::filters::http::set_metadata::v3 as set_metadata;
pub use pb::envoy::extensions::filters::http::stateful_session::v3 as stateful_session;
pub use pb::envoy::extensions::filters::http::upstream_codec::v3 as upstream_codec;
pub use pb::envoy::extensions::http::header_formatters::preserve_case::v3 as preserve_case;
pub use pb::envoy::extensions::http::injected_credentials::generic::v3 as generic_credential;
pub use pb::envoy::extensions::http::original_ip_detection::custom_header::v3 as original_ip_custom_header;
pub use pb::envoy::extensions::http::original_ip_detection::xff::v3 as original_ip_xff;
pub use pb::envoy::extensions::http::stateful_session::cookie::v3 as stateful_session_cookie;
pub use pb::envoy::extensions::http::stateful_session::header::v3 as stateful_session_header;
pub use pb::envoy::extensions::path::r#match::uri_template::v3 as uri_template_match;
pub use pb::envoy::extensions::path::rewrite::uri_template::v3 as uri_template_rewrite;
pub use pb::envoy::extensions::request_id::uuid::v3 as uuid_request_id;
pub use pb::envoy::extensions::retry::host::previous_hosts::v3 as retry_previous_hosts;
pub use pb::envoy::extensions::retry::priority::previous_priorities::v3 as retry_previous_priorities;
pub use pb::envoy::service::ratelimit::v3 as ratelimit_service;

// Overload manager and validators of configuration.
pub use pb::envoy::extensions::config::validators::minimum_clusters::v3 as validators;
pub use pb::envoy::extensions::resource_monitors::cgroup_memory::v3 as cgroup_memory;
pub use pb::envoy::extensions::resource_monitors::downstream_connections::v3 as downstream_connections;
pub use pb::envoy::extensions::resource_monitors::fixed_heap::v3 as fixed_heap;

// Services and the admin interface.
pub use pb::envoy::admin::v3 as admin;
pub use pb::envoy::service::accesslog::v3 as access_log_service;
pub use pb::envoy::service::auth::v3 as auth_service;
pub use pb::envoy::service::discovery::v3 as discovery;
pub use pb::envoy::service::ext_proc::v3 as ext_proc_service;

/// The well-known types of protobuf: `Any`, `Duration`, the value wrappers, `Struct`.
pub use pb::google::protobuf as wkt;
/// `google.rpc.Status`, which a discovery request carries as its error detail.
pub use pb::google::rpc;
