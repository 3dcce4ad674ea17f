//! The HTTP connection manager: what the gateway accepts from clients, and for how long.
//!
//! The values are those of a gateway that faces clients which nobody vouches for. They are the same
//! for every listener but where a policy of listeners says otherwise, so that a route never changes a listener.

use std::time::Duration;

use ir::{ClientHttp, EscapedSlashes, HttpChain, ListenerIr, ServerHeader};
use proto::core::http_protocol_options::HeadersWithUnderscoresAction;
use proto::core::scheme_header_transformation::Transformation;
use proto::core::{
    CidrRange, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, SchemeHeaderTransformation,
};
use proto::hcm::http_connection_manager::{
    CodecType, InternalAddressConfig, PathWithEscapedSlashesAction, RouteSpecifier,
    ServerHeaderTransformation, UpgradeConfig,
};
use proto::hcm::{HttpConnectionManager, HttpFilter, Rds, http_filter};
use proto::health_check::HealthCheck;
use proto::router::Router;
use proto::types::Percent;
use proto::{bool_value, duration, pack, u32_value};

use super::config_source::ads;
use super::header_case::kept_case;
use super::matcher::{exact, header_matcher};
use super::optional_filters::build_optional_filters;
use super::{access_log, engine, listener_auth, tracing};
use crate::Settings;

/// From a request's first byte to the end of its headers (slow clients, on purpose or not).
const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// For a client to take the rest of a response that is ready.
const STREAM_FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection without a request.
const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A connection at all, so that clients come to new proxies in the end.
const MAX_CONNECTION_DURATION: Duration = Duration::from_secs(60 * 60);
/// Added at random, so that connections made together do not end together.
const MAX_CONNECTION_DURATION_JITTER_PERCENT: f64 = 10.0;
const MAX_REQUEST_HEADERS_KB: u32 = 32;
const MAX_HEADERS: u32 = 100;
const MAX_CONCURRENT_STREAMS: u32 = 100;
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// The connection manager of a listener.
pub(super) fn build_connection_manager(
    ir: &ListenerIr,
    chain: &HttpChain,
    settings: &Settings,
) -> HttpConnectionManager {
    let client = &chain.client;
    HttpConnectionManager {
        // HTTP/1.1 and HTTP/2, the latter with prior knowledge.
        codec_type: CodecType::Auto.into(),
        stat_prefix: ir.name.to_string(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: chain.table.name().to_string(),
        })),
        http_filters: http_filters(chain, settings),
        access_log: access_log::build_access_logs(&chain.observability, settings),
        tracing: chain.observability.tracing.as_deref().map(tracing::build_tracing),
        common_http_protocol_options: Some(connection_limits(client)),
        // At the end of a connection's time, HTTP/1 clients are told with a response instead of being
        // cut off between two requests.
        http1_safe_max_connection_duration: true,
        http_protocol_options: Some(http1(client)),
        http2_protocol_options: Some(http2_limits()),
        max_request_headers_kb: Some(u32_value(client.max_headers_kb.unwrap_or(MAX_REQUEST_HEADERS_KB))),
        request_headers_timeout: Some(duration(REQUEST_HEADERS_TIMEOUT)),
        stream_idle_timeout: Some(duration(settings.stream_idle_timeout)),
        stream_flush_timeout: Some(duration(STREAM_FLUSH_TIMEOUT)),
        // Routes see one form of each path; what stays ambiguous goes back to the client.
        normalize_path: Some(bool_value(true)),
        merge_slashes: true,
        path_with_escaped_slashes_action: escaped_slashes_action(chain.escaped_slashes).into(),
        strip_trailing_host_dot: true,
        // The client is who connects, whatever `x-forwarded-for` says, unless a policy says otherwise.
        use_remote_address: Some(bool_value(client.use_remote_address.unwrap_or(true))),
        xff_num_trusted_hops: client.trusted_hops.unwrap_or_default(),
        // Nobody is internal: Envoy drops the headers by which internal clients steer it (`x-envoy-retry-on` and others).
        internal_address_config: Some(nobody_internal()),
        // Clients of HTTP/2 and of absolute-form targets write a scheme of their choice; redirects show it
        // and backends believe it.
        scheme_header_transformation: Some(SchemeHeaderTransformation {
            transformation: Some(Transformation::SchemeToOverwrite(ir.scheme().as_str().to_owned())),
            ..SchemeHeaderTransformation::default()
        }),
        server_header_transformation: server_header(client).into(),
        upgrade_configs: client.websockets.unwrap_or_default().then(websocket).into_iter().collect(),
        ..HttpConnectionManager::default()
    }
}

/// The filters, in the order in which a request passes them.
fn http_filters(chain: &HttpChain, settings: &Settings) -> Vec<HttpFilter> {
    let HttpChain { auth_filters, observability, client, .. } = chain;
    // Who balances the load asks nothing else.
    let health = client.health_path.as_deref().map(health_filter);
    // What clients have sent is taken down before anything is changed.
    let client_request = access_log::client_request_filter(observability);
    // What services change, routes are chosen by.
    let before_routes = listener_auth::listener_filters(auth_filters);
    // What tokens say is written down once they have been read.
    let labelling = engine::labelling_filter(observability, settings);
    let optional = build_optional_filters(settings);
    health
        .into_iter()
        .chain(client_request)
        .chain(before_routes)
        .chain(optional)
        .chain(labelling)
        .chain([router()])
        .collect()
}

fn escaped_slashes_action(ir: EscapedSlashes) -> PathWithEscapedSlashesAction {
    match ir {
        EscapedSlashes::Redirect => PathWithEscapedSlashesAction::UnescapeAndRedirect,
        EscapedSlashes::Reject => PathWithEscapedSlashesAction::RejectRequest,
        EscapedSlashes::Keep => PathWithEscapedSlashesAction::KeepUnchanged,
    }
}

/// Answers requests for a path: 200, and 503 once the proxy is told to drain.
fn health_filter(path: &str) -> HttpFilter {
    let check = HealthCheck {
        pass_through_mode: Some(bool_value(false)),
        headers: vec![header_matcher(":path", exact(path))],
        ..HealthCheck::default()
    };
    HttpFilter {
        name: "envoy.filters.http.health_check".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(&check))),
        ..HttpFilter::default()
    }
}

fn server_header(client: &ClientHttp) -> ServerHeaderTransformation {
    match client.server_header {
        Some(ServerHeader::Overwritten) => ServerHeaderTransformation::Overwrite,
        Some(ServerHeader::IfAbsent) => ServerHeaderTransformation::AppendIfAbsent,
        Some(ServerHeader::OfBackend) | None => ServerHeaderTransformation::PassThrough,
    }
}

/// WebSockets, whatever a route says, unless it says that it has none.
fn websocket() -> UpgradeConfig {
    UpgradeConfig { upgrade_type: "websocket".to_owned(), ..UpgradeConfig::default() }
}

fn http1(client: &ClientHttp) -> Http1ProtocolOptions {
    Http1ProtocolOptions {
        accept_http_10: client.http10.unwrap_or_default(),
        default_host_for_http_10: client.http10_host.clone().unwrap_or_default(),
        header_key_format: client.keeps_case.unwrap_or_default().then(kept_case),
        ..Http1ProtocolOptions::default()
    }
}

fn router() -> HttpFilter {
    let router = Router { suppress_envoy_headers: true, ..Router::default() };
    HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(&router))),
        ..HttpFilter::default()
    }
}

fn connection_limits(client: &ClientHttp) -> HttpProtocolOptions {
    HttpProtocolOptions {
        idle_timeout: Some(duration(client.idle_timeout.unwrap_or(CONNECTION_IDLE_TIMEOUT))),
        max_connection_duration: Some(duration(MAX_CONNECTION_DURATION)),
        max_connection_duration_jitter: Some(Percent { value: MAX_CONNECTION_DURATION_JITTER_PERCENT }),
        max_headers_count: Some(u32_value(MAX_HEADERS)),
        // Some backends read `a_b` and `a-b` as one header.
        headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest.into(),
        ..HttpProtocolOptions::default()
    }
}

fn http2_limits() -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: Some(u32_value(MAX_CONCURRENT_STREAMS)),
        initial_stream_window_size: Some(u32_value(STREAM_WINDOW_BYTES)),
        initial_connection_window_size: Some(u32_value(CONNECTION_WINDOW_BYTES)),
        ..Http2ProtocolOptions::default()
    }
}

/// A range in which no client can be. An empty list would not do: Envoy 1.40 takes it for the default,
/// by which loopback and private addresses are internal.
fn nobody_internal() -> InternalAddressConfig {
    let broadcast =
        CidrRange { address_prefix: "255.255.255.255".to_owned(), prefix_len: Some(u32_value(32)) };
    InternalAddressConfig { unix_sockets: false, cidr_ranges: vec![broadcast] }
}
