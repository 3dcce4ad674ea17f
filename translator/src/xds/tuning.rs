//! What policies say about clusters: how connections are made, and how endpoints are chosen.

use std::time::Duration;

use ir::{
    Balancing, Breakers, HashKey, HashSource, HashTable, HealthCheck, HealthQuestion, Outliers,
    ProxyProtocol, SlowStart, Tuning, UpstreamProtocol,
};
use proto::cluster::circuit_breakers::Thresholds;
use proto::cluster::load_balancing_policy::Policy;
use proto::cluster::{Cluster, LoadBalancingPolicy, OutlierDetection};
use proto::core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck};
use proto::core::proxy_protocol_config::Version;
use proto::core::{
    HealthCheck as EnvoyCheck, ProxyProtocolConfig, RequestMethod, RuntimeDouble, TransportSocket,
    TypedExtensionConfig,
};
use proto::lb_common::{ConsistentHashingLbConfig, SlowStartConfig};
use proto::least_request::LeastRequest;
use proto::maglev::Maglev;
use proto::proxy_protocol_upstream::ProxyProtocolUpstreamTransport;
use proto::random::Random;
use proto::raw_buffer::RawBuffer;
use proto::ring_hash::RingHash;
use proto::ring_hash::ring_hash::HashFunction;
use proto::round_robin::RoundRobin;
use proto::route::route_action::HashPolicy;
use proto::route::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier,
};
use proto::types::{CodecClientType, Percent};
use proto::{bool_value, duration, pack, u32_value, u64_value};

use super::NO_RUNTIME_KEY;
use super::header_case::kept_case;
use super::tls_socket::named_socket;

/// Has a cluster do what a policy says, but for how HTTP is spoken.
pub(super) fn apply(tuning: &Tuning, protocol: UpstreamProtocol, cluster: &mut Cluster) {
    if let Some(timeout) = tuning.connect_timeout {
        cluster.connect_timeout = Some(duration(timeout));
    }
    if let Some(bytes) = tuning.connection_buffer_bytes {
        cluster.per_connection_buffer_limit_bytes = Some(u32_value(bytes));
    }
    if let Some(ir) = tuning.keepalive
        && let Some(options) = &mut cluster.upstream_connection_options
    {
        let keepalive = options.tcp_keepalive.get_or_insert_default();
        let seconds = |time: Duration| u32_value(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        keepalive.keepalive_probes = ir.probes.map(u32_value).or(keepalive.keepalive_probes);
        keepalive.keepalive_time = ir.after.map(seconds).or(keepalive.keepalive_time);
        keepalive.keepalive_interval = ir.interval.map(seconds).or(keepalive.keepalive_interval);
    }
    if let Some(balancing) = &tuning.balancing {
        cluster.load_balancing_policy = Some(load_balancing(balancing));
    }
    if let Some(common) = &mut cluster.common_lb_config {
        if let Some(percent) = tuning.panic_percent {
            common.healthy_panic_threshold = Some(Percent { value: percent.into() });
        }
        common.update_merge_window = tuning.merge_window.map(duration).or(common.update_merge_window);
        common.close_connections_on_host_set_change |= tuning.closes_connections;
    }
    if let Some(thresholds) =
        cluster.circuit_breakers.as_mut().and_then(|breakers| breakers.thresholds.first_mut())
    {
        limit(&tuning.breakers, thresholds);
    }
    cluster.health_checks = tuning.health_check.iter().map(|check| health_check(check, protocol)).collect();
    cluster.outlier_detection = tuning.outliers.as_ref().map(outliers);
    if let Some(version) = tuning.proxy_protocol {
        cluster.transport_socket = Some(told_addresses(version, cluster.transport_socket.take()));
    }
}

/// A transport socket that tells the addresses of the client's connection, and then does what another one does.
fn told_addresses(version: ProxyProtocol, socket: Option<TransportSocket>) -> TransportSocket {
    let plain = || named_socket("envoy.transport_sockets.raw_buffer", &RawBuffer::default());
    let version = match version {
        ProxyProtocol::V1 => Version::V1,
        ProxyProtocol::V2 => Version::V2,
    };
    let config = ProxyProtocolUpstreamTransport {
        config: Some(ProxyProtocolConfig { version: version.into(), ..ProxyProtocolConfig::default() }),
        transport_socket: Some(socket.unwrap_or_else(plain)),
        ..ProxyProtocolUpstreamTransport::default()
    };
    named_socket("envoy.transport_sockets.upstream_proxy_protocol", &config)
}

/// Has HTTP spoken as a policy says.
pub(super) fn apply_http(tuning: &Tuning, options: &mut proto::upstream_http::HttpProtocolOptions) {
    let Some(common) = &mut options.common_http_protocol_options else { return };
    let uses = tuning.connections;
    common.idle_timeout = uses.idle_timeout.map(duration).or(common.idle_timeout);
    common.max_connection_duration = uses.max_duration.map(duration);
    common.max_headers_count = uses.max_headers.map(u32_value);
    common.max_stream_duration = uses.max_stream_duration.map(duration);
    common.max_requests_per_connection = uses.max_requests.map(u32_value);
}

/// The options of HTTP/1.1 as a policy says them.
pub(super) fn http1(tuning: Option<&Tuning>) -> proto::core::Http1ProtocolOptions {
    let tuning = tuning.map(|tuning| tuning.http1).unwrap_or_default();
    proto::core::Http1ProtocolOptions {
        enable_trailers: tuning.trailers,
        header_key_format: tuning.keeps_case.then(kept_case),
        override_stream_error_on_invalid_http_message: tuning.survives_errors.map(bool_value),
        ..proto::core::Http1ProtocolOptions::default()
    }
}

/// The options of HTTP/2 as a policy says them, over those that a cluster has otherwise.
pub(super) fn http2(
    tuning: Option<&Tuning>,
    usual: proto::core::Http2ProtocolOptions,
) -> proto::core::Http2ProtocolOptions {
    let tuning = tuning.map(|tuning| tuning.http2).unwrap_or_default();
    proto::core::Http2ProtocolOptions {
        initial_stream_window_size: tuning.stream_window.map(u32_value).or(usual.initial_stream_window_size),
        initial_connection_window_size: tuning
            .connection_window
            .map(u32_value)
            .or(usual.initial_connection_window_size),
        max_concurrent_streams: tuning.max_streams.map(u32_value),
        override_stream_error_on_invalid_http_message: tuning.survives_errors.map(bool_value),
        ..usual
    }
}

fn load_balancing(ir: &Balancing) -> LoadBalancingPolicy {
    let (name, config) = match ir {
        Balancing::LeastRequest { choices, slow_start } => {
            let policy = LeastRequest {
                choice_count: choices.map(u32_value),
                slow_start_config: slow_start.map(build_slow_start),
                ..LeastRequest::default()
            };
            ("least_request", pack(&policy))
        }
        Balancing::RoundRobin(slow_start) => {
            let policy =
                RoundRobin { slow_start_config: slow_start.map(build_slow_start), ..RoundRobin::default() };
            ("round_robin", pack(&policy))
        }
        Balancing::Random => ("random", pack(&Random::default())),
        Balancing::Hash { table: HashTable::Ring(least, most), by_hostname, keys } => {
            let policy = RingHash {
                hash_function: HashFunction::XxHash.into(),
                minimum_ring_size: least.map(u64_value),
                maximum_ring_size: most.map(u64_value),
                consistent_hashing_lb_config: Some(hashing(*by_hostname, keys)),
                ..RingHash::default()
            };
            ("ring_hash", pack(&policy))
        }
        Balancing::Hash { table: HashTable::Maglev, by_hostname, keys } => {
            let hashing = hashing(*by_hostname, keys);
            let policy = Maglev { consistent_hashing_lb_config: Some(hashing), ..Maglev::default() };
            ("maglev", pack(&policy))
        }
    };
    let policy = TypedExtensionConfig {
        name: format!("envoy.load_balancing_policies.{name}"),
        typed_config: Some(config),
    };
    LoadBalancingPolicy { policies: vec![Policy { typed_extension_config: Some(policy) }] }
}

fn build_slow_start(ir: SlowStart) -> SlowStartConfig {
    let SlowStart { window, aggression, min_percent } = ir;
    SlowStartConfig {
        slow_start_window: Some(duration(window)),
        aggression: aggression
            .map(|value| RuntimeDouble { default_value: value, runtime_key: NO_RUNTIME_KEY.to_owned() }),
        min_weight_percent: min_percent.map(|percent| Percent { value: percent.into() }),
    }
}

fn hashing(by_hostname: bool, keys: &[HashKey]) -> ConsistentHashingLbConfig {
    ConsistentHashingLbConfig {
        use_hostname_for_hashing: by_hostname,
        hash_policy: keys.iter().map(hash_policy).collect(),
        ..ConsistentHashingLbConfig::default()
    }
}

fn hash_policy(HashKey { of, is_last }: &HashKey) -> HashPolicy {
    let specifier = match of {
        HashSource::Header(name) => {
            PolicySpecifier::Header(Header { header_name: name.clone(), ..Header::default() })
        }
        HashSource::Cookie { name, path, lifetime, attributes } => {
            let attributes = attributes
                .iter()
                .map(|(name, value)| CookieAttribute { name: name.clone(), value: value.clone() });
            PolicySpecifier::Cookie(Cookie {
                name: name.clone(),
                ttl: lifetime.map(duration),
                path: path.clone(),
                attributes: attributes.collect(),
            })
        }
        HashSource::Address => {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
        }
    };
    HashPolicy { terminal: *is_last, policy_specifier: Some(specifier) }
}

/// Retries that are counted by number are not counted by share.
fn limit(ir: &Breakers, thresholds: &mut Thresholds) {
    let Breakers { connections, waiting, requests, retries, tells_rest } = ir;
    thresholds.max_connections = connections.map(u32_value).or(thresholds.max_connections);
    thresholds.max_pending_requests = waiting.map(u32_value).or(thresholds.max_pending_requests);
    thresholds.max_requests = requests.map(u32_value).or(thresholds.max_requests);
    if let Some(retries) = retries {
        thresholds.max_retries = Some(u32_value(*retries));
        thresholds.retry_budget = None;
    }
    thresholds.track_remaining = *tells_rest;
}

fn health_check(ir: &HealthCheck, protocol: UpstreamProtocol) -> EnvoyCheck {
    let checker = match &ir.question {
        HealthQuestion::Http { host, path, method } => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            host: host.clone(),
            path: path.clone(),
            method: method.and_then(RequestMethod::from_str_name).unwrap_or_default().into(),
            codec_client_type: match protocol {
                UpstreamProtocol::Http2 => CodecClientType::Http2,
                _ => CodecClientType::Http1,
            }
            .into(),
            ..HttpHealthCheck::default()
        }),
        HealthQuestion::Grpc { service, authority } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            service_name: service.clone(),
            authority: authority.clone(),
            ..GrpcHealthCheck::default()
        }),
    };
    EnvoyCheck {
        timeout: Some(duration(ir.timeout)),
        interval: Some(duration(ir.interval)),
        unhealthy_threshold: Some(u32_value(ir.unhealthy)),
        healthy_threshold: Some(u32_value(ir.healthy)),
        // A backend without requests is asked as often, so that its first request finds an endpoint that is well.
        no_traffic_interval: Some(duration(ir.interval)),
        health_checker: Some(checker),
        ..EnvoyCheck::default()
    }
}

/// Nothing but what is asked for ends an endpoint's part: Envoy's own statistics are off.
fn outliers(ir: &Outliers) -> OutlierDetection {
    let (errors, share) = ir.errors.unwrap_or((u32::MAX, 0));
    let broken = ir.broken_connections.map(|broken| broken.unwrap_or((u32::MAX, 0)));
    OutlierDetection {
        consecutive_5xx: Some(u32_value(errors)),
        enforcing_consecutive_5xx: Some(u32_value(share)),
        split_external_local_origin_errors: broken.is_some(),
        consecutive_local_origin_failure: broken.map(|(failures, _)| u32_value(failures)),
        enforcing_consecutive_local_origin_failure: broken.map(|(_, share)| u32_value(share)),
        interval: Some(duration(ir.interval)),
        base_ejection_time: Some(duration(ir.time)),
        max_ejection_percent: Some(u32_value(ir.max_percent)),
        enforcing_success_rate: Some(u32_value(0)),
        enforcing_local_origin_success_rate: Some(u32_value(0)),
        ..OutlierDetection::default()
    }
}
