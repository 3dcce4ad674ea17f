//! The listener that says whether a proxy in a cluster has its configuration.

use std::time::Duration;

use ir::{IpFamilies, READINESS_PORT};
use proto::core::HttpProtocolOptions;
use proto::hcm::http_connection_manager::{CodecType, RouteSpecifier};
use proto::hcm::{HttpConnectionManager, HttpFilter, http_filter};
use proto::health_check::HealthCheck;
use proto::listener::{Filter, FilterChain, Listener, filter};
use proto::route::RouteConfiguration;
use proto::router::Router;
use proto::{bool_value, duration, pack, u32_value};

use super::endpoint::{address, bound_address};
use super::keepalive::tcp_keepalive;
use super::matcher::{exact, header_matcher};

/// Its name, as a resource and in statistics. No listener of a Gateway is named so.
const NAME: &str = "chancery/readiness";

/// The path that is asked for.
const PATH: &str = "/ready";

/// For a probe to send its request, and between two probes of one connection. The port is open to the whole
/// cluster and its connections are not counted: with Envoy's defaults each could stay for an hour, and together
/// they could use up the files that the process may open.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_BUFFER_BYTES: u32 = 8 * 1024;
const MAX_REQUEST_HEADERS_KB: u32 = 8;

/// Answers 200 at [`READINESS_PORT`] from the moment that all listeners of the first configuration are
/// there (Envoy accepts no connection before), and 503 once the proxy is told to drain.
pub(super) fn build_readiness_listener(families: IpFamilies) -> Listener {
    let health_check = HealthCheck {
        pass_through_mode: Some(bool_value(false)),
        headers: vec![header_matcher(":path", exact(PATH))],
        ..HealthCheck::default()
    };
    let connection_manager = HttpConnectionManager {
        // Probes speak HTTP/1; of HTTP/2 there is nothing to limit then.
        codec_type: CodecType::Http1.into(),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: Some(duration(TIMEOUT)),
            ..HttpProtocolOptions::default()
        }),
        request_headers_timeout: Some(duration(TIMEOUT)),
        stream_idle_timeout: Some(duration(TIMEOUT)),
        max_request_headers_kb: Some(u32_value(MAX_REQUEST_HEADERS_KB)),
        stat_prefix: NAME.to_owned(),
        // Without a route, all but the path is 404.
        route_specifier: Some(RouteSpecifier::RouteConfig(RouteConfiguration {
            name: NAME.to_owned(),
            ..RouteConfiguration::default()
        })),
        http_filters: vec![
            http_filter("envoy.filters.http.health_check", pack(&health_check)),
            http_filter("envoy.filters.http.router", pack(&Router::default())),
        ],
        ..HttpConnectionManager::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack(&connection_manager))),
    };
    Listener {
        name: NAME.to_owned(),
        address: Some(address(bound_address(families.every_interface(), READINESS_PORT))),
        stat_prefix: NAME.to_owned(),
        filter_chains: vec![FilterChain { filters: vec![filter], ..FilterChain::default() }],
        per_connection_buffer_limit_bytes: Some(u32_value(CONNECTION_BUFFER_BYTES)),
        tcp_keepalive: Some(tcp_keepalive()),
        // Probes are answered also when clients have all the connections that there are.
        ignore_global_conn_limit: true,
        ..Listener::default()
    }
}

fn http_filter(name: &str, config: proto::wkt::Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}
