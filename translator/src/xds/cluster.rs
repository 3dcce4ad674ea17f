//! Clusters.

use std::time::Duration;

use ir::{ClusterIr, ClusterName, Discovery, HostPort, IpFamilies, UpstreamProtocol};
use proto::cluster::circuit_breakers::{Thresholds, thresholds::RetryBudget};
use proto::cluster::cluster::{
    ClusterDiscoveryType, CommonLbConfig, CustomClusterType, DiscoveryType, EdsClusterConfig,
};
use proto::cluster::{
    CircuitBreakers, Cluster, LoadBalancingPolicy, UpstreamConnectionOptions, load_balancing_policy::Policy,
};
use proto::core::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, TypedExtensionConfig};
use proto::dns_cluster::{DnsCluster, dns_cluster::RefreshRate};
use proto::dns_common::DnsLookupFamily;
use proto::hcm::HttpFilter;
use proto::least_request::LeastRequest;
use proto::types::Percent;
use proto::upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
use proto::upstream_http::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions,
};
use proto::{duration, pack, u32_value};

use super::config_source::ads;
use super::endpoint::build_dns_assignment;
use super::keepalive::tcp_keepalive;
use super::tuning;
use super::upstream_filter::{upstream_codec, upstream_filters};
use super::upstream_tls::build_transport_socket;

/// For TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the time after which common servers close an idle connection (60 s and more), so that they
/// do not close one just as a request goes out on it.
const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const MAX_RESPONSE_HEADERS_KB: u32 = 32;
/// Of connections, waiting requests and active requests each, per cluster and proxy. Far above any
/// load that one backend is meant for, and a limit nevertheless.
const CIRCUIT_BREAKER: u32 = 10_000;
/// Retries at one time, as a share of the requests at that time.
const RETRY_BUDGET_PERCENT: f64 = 20.0;
/// Retries that are always allowed.
const MIN_RETRY_CONCURRENCY: u32 = 3;
/// Draining endpoints get requests only when (almost) no other is left; Envoy's default is below half.
const PANIC_THRESHOLD_PERCENT: f64 = 1.0;
/// For names whose records carry no lifetime.
const DNS_REFRESH: Duration = Duration::from_secs(30);
/// For records with a very short lifetime.
const DNS_MIN_REFRESH: Duration = Duration::from_secs(5);
/// Between attempts at a name that does not resolve, at first and at most.
const DNS_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
const DNS_JITTER: Duration = Duration::from_secs(1);
/// Under this name Envoy looks for a cluster's HTTP options.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Sizes of buffers towards a backend, in bytes.
struct BufferSizes {
    connection: u32,
    http2_stream_window: u32,
    http2_connection_window: u32,
}

const SMALL_MESSAGES: BufferSizes = BufferSizes {
    connection: 32 * 1024,
    http2_stream_window: 64 * 1024,
    http2_connection_window: 1024 * 1024,
};

const LARGE_MESSAGES: BufferSizes = BufferSizes {
    connection: 1024 * 1024,
    http2_stream_window: 1024 * 1024,
    http2_connection_window: 8 * 1024 * 1024,
};

/// The cluster of one backend.
pub(super) fn build_cluster(ir: &ClusterIr, families: IpFamilies) -> Cluster {
    let sizes = if ir.http.large_messages { &LARGE_MESSAGES } else { &SMALL_MESSAGES };
    let http_options = protocol_options(ir, sizes)
        .map(|protocol| (HTTP_OPTIONS.to_owned(), pack(&build_http_options(ir, protocol))));
    let mut cluster = Cluster {
        name: ir.name.to_string(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        per_connection_buffer_limit_bytes: Some(u32_value(sizes.connection)),
        load_balancing_policy: Some(least_request()),
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: PANIC_THRESHOLD_PERCENT }),
            ..CommonLbConfig::default()
        }),
        circuit_breakers: Some(circuit_breakers(ir.http.in_pool)),
        upstream_connection_options: Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(tcp_keepalive()),
            ..UpstreamConnectionOptions::default()
        }),
        // An endpoint that is gone is gone, whatever its health was.
        ignore_health_on_host_removal: true,
        typed_extension_protocol_options: http_options.into_iter().collect(),
        transport_socket: ir.tls.as_ref().map(|tls| build_transport_socket(tls, ir.http.protocol)),
        ..Cluster::default()
    };
    if let Some(tuning) = &ir.tuning {
        tuning::apply(tuning, ir.http.protocol, &mut cluster);
    }
    match &ir.discovery {
        Discovery::Endpoints => with_eds(cluster, &ir.name),
        Discovery::Dns(hosts) => with_dns(cluster, &ir.name, hosts, families),
    }
}

/// A cluster that nobody can reach anything by, with these filters and the codec behind them.
pub(super) fn without_endpoints(name: &str, mut http_filters: Vec<HttpFilter>) -> Cluster {
    http_filters.push(upstream_codec());
    let explicit = ExplicitHttpConfig {
        protocol_config: Some(ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())),
    };
    let options = proto::upstream_http::HttpProtocolOptions {
        http_filters,
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..proto::upstream_http::HttpProtocolOptions::default()
    };
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        load_balancing_policy: Some(least_request()),
        typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), pack(&options))].into(),
        ..Cluster::default()
    }
}

fn with_eds(cluster: Cluster, name: &ClusterName) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ads()),
            // One name per cluster: Envoy asks only once for a name that two clusters share.
            service_name: name.to_string(),
        }),
        ..cluster
    }
}

fn with_dns(cluster: Cluster, name: &ClusterName, hosts: &[HostPort], families: IpFamilies) -> Cluster {
    let (base, max) = DNS_RETRY;
    let dns = DnsCluster {
        dns_refresh_rate: Some(duration(DNS_REFRESH)),
        dns_failure_refresh_rate: Some(RefreshRate {
            base_interval: Some(duration(base)),
            max_interval: Some(duration(max)),
        }),
        respect_dns_ttl: true,
        dns_min_refresh_rate: Some(duration(DNS_MIN_REFRESH)),
        dns_jitter: Some(duration(DNS_JITTER)),
        dns_lookup_family: lookup_family(families).into(),
        // Each address is an endpoint of its own, so that all are used.
        all_addresses_in_single_endpoint: false,
        ..DnsCluster::default()
    };
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: "envoy.clusters.dns".to_owned(),
            typed_config: Some(pack(&dns)),
        })),
        load_assignment: Some(build_dns_assignment(name, hosts)),
        ..cluster
    }
}

/// Which addresses of a name are used. Of a name with both, those of one family: which of the two reaches the host is not
/// known, and IPv4 does where there is any.
fn lookup_family(families: IpFamilies) -> DnsLookupFamily {
    match families {
        IpFamilies::V4 | IpFamilies::Both => DnsLookupFamily::V4Preferred,
        // IPv6, or else IPv4.
        IpFamilies::V6 => DnsLookupFamily::Auto,
    }
}

fn least_request() -> LoadBalancingPolicy {
    LoadBalancingPolicy {
        policies: vec![Policy {
            typed_extension_config: Some(TypedExtensionConfig {
                name: "envoy.load_balancing_policies.least_request".to_owned(),
                typed_config: Some(pack(&LeastRequest::default())),
            }),
        }],
    }
}

/// `takes_over`: for other clusters that fail, so that all its requests may be second attempts.
fn circuit_breakers(takes_over: bool) -> CircuitBreakers {
    let limit = Some(u32_value(CIRCUIT_BREAKER));
    let budget = RetryBudget {
        budget_percent: Some(Percent { value: RETRY_BUDGET_PERCENT }),
        min_retry_concurrency: Some(u32_value(MIN_RETRY_CONCURRENCY)),
        ..RetryBudget::default()
    };
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit,
            max_pending_requests: limit,
            max_requests: limit,
            max_retries: limit.filter(|_| takes_over),
            retry_budget: Some(budget).filter(|_| !takes_over),
            ..Thresholds::default()
        }],
        ..CircuitBreakers::default()
    }
}

fn build_http_options(
    ir: &ClusterIr,
    protocol: UpstreamProtocolOptions,
) -> proto::upstream_http::HttpProtocolOptions {
    let mut options = proto::upstream_http::HttpProtocolOptions {
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: Some(duration(CONNECTION_IDLE_TIMEOUT)),
            max_response_headers_kb: Some(u32_value(MAX_RESPONSE_HEADERS_KB)),
            ..HttpProtocolOptions::default()
        }),
        http_filters: upstream_filters(&ir.http),
        upstream_protocol_options: Some(protocol),
        ..proto::upstream_http::HttpProtocolOptions::default()
    };
    if let Some(tuning) = &ir.tuning {
        tuning::apply_http(tuning, &mut options);
    }
    options
}

/// How HTTP is spoken; `None` if it is not.
fn protocol_options(ir: &ClusterIr, sizes: &BufferSizes) -> Option<UpstreamProtocolOptions> {
    let tuning = ir.tuning.as_deref();
    let http1 = tuning::http1(tuning);
    let http2 = Http2ProtocolOptions {
        initial_stream_window_size: Some(u32_value(sizes.http2_stream_window)),
        initial_connection_window_size: Some(u32_value(sizes.http2_connection_window)),
        ..Http2ProtocolOptions::default()
    };
    let http2 = tuning::http2(tuning, http2);
    let protocol = match ir.http.protocol {
        UpstreamProtocol::Alpn if ir.tls.is_some() => {
            return Some(UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
                http_protocol_options: Some(http1),
                http2_protocol_options: Some(http2),
                ..AutoHttpConfig::default()
            }));
        }
        // Without TLS nothing is negotiated, and Envoy rejects a cluster that wants to.
        UpstreamProtocol::Http1 | UpstreamProtocol::Alpn => ProtocolConfig::HttpProtocolOptions(http1),
        UpstreamProtocol::Http2 => ProtocolConfig::Http2ProtocolOptions(http2),
        UpstreamProtocol::Raw => return None,
    };
    let explicit = ExplicitHttpConfig { protocol_config: Some(protocol) };
    Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit))
}
