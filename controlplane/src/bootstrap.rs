//! What an Envoy is started with: where its configuration comes from, and what protects the process.
//! Everything else reaches it by xDS.
//!
//! Written as the JSON that Envoy reads, with the field names of Envoy's documentation; a test holds
//! it against the descriptors of the pinned release.

use std::path::Path;

use ir::GatewayName;
use serde_json::{Value, json};

/// The static cluster that leads to us.
pub const XDS_CLUSTER: &str = translator::CONTROL_PLANE_CLUSTER;

/// Connections from clients that one proxy accepts at a time.
const MAX_DOWNSTREAM_CONNECTIONS: u32 = 50_000;

/// What differs between the bootstraps of two proxies.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    /// Whose proxy it is.
    pub gateway: &'a GatewayName,
    /// The Unix socket of its xDS server.
    pub xds_socket: &'a Path,
    /// The Unix socket for its admin interface.
    pub admin_socket: &'a Path,
}

/// Renders an Envoy bootstrap. Pure.
pub fn render_bootstrap(bootstrap: &Bootstrap<'_>) -> Value {
    let Bootstrap { gateway, xds_socket, admin_socket } = bootstrap;
    json!({
        // Both are for people and logs. Which configuration a proxy gets is decided by the socket.
        "node": { "id": gateway.to_string(), "cluster": gateway.to_string() },
        "admin": { "address": { "pipe": { "path": admin_socket, "mode": 0o600 } } },
        "dynamic_resources": dynamic_resources(),
        "static_resources": { "clusters": [xds_cluster(xds_socket)] },
        "stats_config": stats_config(),
        "overload_manager": overload_manager(),
        "layered_runtime": { "layers": [{ "name": "static", "static_layer": runtime() }] },
    })
}

/// Everything by one delta stream from [`XDS_CLUSTER`].
pub(crate) fn dynamic_resources() -> Value {
    json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{
                "envoy_grpc": {
                    "cluster_name": XDS_CLUSTER,
                    // Envoy's default grows to half a minute, in which edits would wait.
                    "retry_policy": {
                        "retry_back_off": { "base_interval": "0.5s", "max_interval": "5s" },
                    },
                },
            }],
        },
        "cds_config": ads(),
        "lds_config": ads(),
    })
}

/// Waits without end for the first clusters and listeners: before they come there is nothing that
/// the proxy could do instead.
fn ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" })
}

fn xds_cluster(socket: &Path) -> Value {
    json!({
        "name": XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{
                "lb_endpoints": [{ "endpoint": { "address": { "pipe": { "path": socket } } } }],
            }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "connection_keepalive": { "interval": "30s", "timeout": "10s" },
                    },
                },
            },
        },
    })
}

/// Boundaries of the AI engine's histograms: those that OpenTelemetry recommends, with times in milliseconds.
pub(crate) fn stats_config() -> Value {
    let buckets =
        |name: &str, boundaries: Vec<f64>| json!({ "match": { "contains": name }, "buckets": boundaries });
    let powers = |base: f64, factor: f64| (0..14).map(move |exponent| base * factor.powi(exponent)).collect();
    let first_token = [1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];
    json!({
        "histogram_bucket_settings": [
            buckets("gen_ai_client_token_usage", powers(1.0, 4.0)),
            buckets("gen_ai_server_request_duration", powers(10.0, 2.0)),
            buckets("gen_ai_server_time_to_first_token", first_token.map(f64::from).into()),
        ],
    })
}

pub(crate) fn overload_manager() -> Value {
    json!({
        "resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS.to_string(),
            },
        }],
    })
}

/// Limits that Envoy has as runtime values only.
pub(crate) fn runtime() -> Value {
    json!({
        // The translator admits no larger one; Envoy would refuse the whole route table.
        "re2.max_program_size.error_level": ir::MAX_REGEX_PROGRAM_SIZE,
        // The AI engine's metrics have the names that users know, without `envoy_` before them.
        "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true,
        // HTTP/2 rapid reset: a connection that resets most of its streams early is closed.
        "overload.premature_reset_total_stream_count": 500,
        "overload.premature_reset_min_stream_lifetime_seconds": 1,
        "http.max_requests_per_io_cycle": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered() -> Value {
        render_bootstrap(&Bootstrap {
            gateway: &GatewayName { namespace: "default".to_owned(), name: "web".to_owned() },
            xds_socket: Path::new("/run/x/xds.sock"),
            admin_socket: Path::new("/run/x/admin.sock"),
        })
    }

    #[test]
    fn it_is_a_bootstrap_of_the_pinned_envoy() {
        // An unknown field or a wrong type is an error.
        proto::from_json("envoy.config.bootstrap.v3.Bootstrap", &rendered()).unwrap();
    }

    #[test]
    fn everything_comes_by_the_delta_stream_of_the_given_socket() {
        let json = rendered();
        let at = |pointer: &str| json.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone();
        assert_eq!(at("/dynamic_resources/ads_config/api_type"), "DELTA_GRPC");
        assert_eq!(at("/dynamic_resources/lds_config/initial_fetch_timeout"), "0s");
        let pipe = "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/pipe/path";
        assert_eq!(at(pipe), "/run/x/xds.sock");
        assert_eq!(at("/admin/address/pipe"), json!({"path": "/run/x/admin.sock", "mode": 0o600}));
        assert_eq!(at("/node/id"), "default/web");
    }
}
