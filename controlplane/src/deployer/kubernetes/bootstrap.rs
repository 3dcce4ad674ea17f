//! What an Envoy in a cluster is started with, as the files of its ConfigMap.
//!
//! The authority and the token are read by path, from volumes that the kubelet writes anew: neither needs
//! a restart when it changes. There is no helper container: readiness comes by xDS, and draining and
//! metrics are answered by Envoy itself.

use serde_json::{Value, json};

use ir::{DRAIN_PORT, GatewayName, IpFamilies, METRICS_PORT};

use crate::bootstrap::{XDS_CLUSTER, dynamic_resources, overload_manager, runtime, stats_config};

/// Where the ConfigMap is mounted.
pub(super) const CONFIG_DIR: &str = "/etc/chancery";
/// Where the token is mounted.
pub(super) const TOKEN_DIR: &str = "/var/run/secrets/chancery.dev/xds";
/// Where Envoy keeps its sockets.
pub(super) const RUN_DIR: &str = "/var/run/chancery";

/// The files of the ConfigMap.
pub(super) const BOOTSTRAP_FILE: &str = "bootstrap.json";
pub(super) const CA_FILE: &str = "ca.crt";
const TRUST_FILE: &str = "xds-trust.json";
const TOKEN_FILE: &str = "xds-token.json";

/// The clusters of the bootstrap that lead to Envoy itself.
const ADMIN_CLUSTER: &str = "chancery_admin";
const PAUSE_CLUSTER: &str = "chancery_pause";

const DRAIN_SCRIPT: &str = include_str!("drain.lua");

/// What differs between the bootstraps of two proxies in a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClusterBootstrap<'a> {
    pub(super) gateway: &'a GatewayName,
    /// The host and the port of the xDS server; its certificate is for this host.
    pub(super) xds_host: &'a str,
    pub(super) xds_port: u16,
    /// What to do before the end; `None` to end at once.
    pub(super) drain: Option<Drain<'a>>,
    pub(super) metrics: Option<Metrics<'a>>,
    /// Those of the network that it is in.
    pub(super) families: IpFamilies,
}

/// How a proxy drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain<'a> {
    /// The path that starts it. Who knows it can end the proxy's service.
    pub(super) path: &'a str,
    /// Seconds to go on at least, for the rest of the cluster to learn that the proxy ends.
    pub(super) least: i64,
    /// Seconds to wait for open requests at most.
    pub(super) most: i64,
}

/// Which pages of the admin interface can be read, all below `/stats`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metrics<'a> {
    /// What `/metrics` gives.
    pub(super) metrics: &'a str,
    /// What `/stats` gives; `None` if it gives nothing.
    pub(super) stats: Option<&'a str>,
}

/// The files that Envoy is started with; all but the authority's certificate.
pub(super) fn render_files(bootstrap: &ClusterBootstrap<'_>) -> Vec<(&'static str, Value)> {
    vec![
        (BOOTSTRAP_FILE, render_bootstrap(bootstrap)),
        (TRUST_FILE, trust_secret(bootstrap.xds_host)),
        (TOKEN_FILE, token_secret()),
    ]
}

fn render_bootstrap(bootstrap: &ClusterBootstrap<'_>) -> Value {
    let ClusterBootstrap { gateway, xds_host, xds_port, drain, metrics, families } = bootstrap;
    let mut clusters = vec![xds_cluster(xds_host, *xds_port)];
    let mut listeners = Vec::new();
    if drain.is_some() || metrics.is_some() {
        clusters.push(pipe_cluster(ADMIN_CLUSTER, &admin_socket()));
    }
    if let Some(drain) = drain {
        clusters.push(pipe_cluster(PAUSE_CLUSTER, &pause_socket()));
        listeners.extend([drain_listener(drain, *families), pause_listener()]);
    }
    listeners.extend(metrics.as_ref().map(|metrics| metrics_listener(metrics, *families)));
    json!({
        // For people and logs. Which configuration a proxy gets is decided by its token.
        "node": { "id": gateway.to_string(), "cluster": gateway.to_string() },
        "admin": { "address": { "pipe": { "path": admin_socket(), "mode": 0o600 } } },
        "dynamic_resources": dynamic_resources(),
        "static_resources": { "clusters": clusters, "listeners": listeners },
        "stats_config": stats_config(),
        "overload_manager": overload_manager(),
        "layered_runtime": { "layers": [{ "name": "static", "static_layer": runtime() }] },
    })
}

fn xds_cluster(host: &str, port: u16) -> Value {
    json!({
        "name": XDS_CLUSTER,
        "connect_timeout": "5s",
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                "dns_lookup_family": "ALL",
                "dns_refresh_rate": "5s",
                "dns_failure_refresh_rate": { "base_interval": "0.5s", "max_interval": "5s" },
            },
        },
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{
                "lb_endpoints": [{
                    "endpoint": { "address": { "socket_address": { "address": host, "port_value": port } } },
                }],
            }],
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_params": {
                        "tls_minimum_protocol_version": "TLSv1_3",
                        "tls_maximum_protocol_version": "TLSv1_3",
                    },
                    "validation_context_sds_secret_config": {
                        "name": "xds_trust",
                        "sds_config": by_path(TRUST_FILE, CONFIG_DIR),
                    },
                },
            },
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "connection_keepalive": { "interval": "30s", "timeout": "10s" },
                    },
                },
                "http_filters": [token_injector(), http_filter("envoy.filters.http.upstream_codec", json!({
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
                }))],
            },
        },
    })
}

/// Every request to the control plane carries the token as it stands in its file now.
fn token_injector() -> Value {
    http_filter(
        "envoy.filters.http.credential_injector",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": true,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": { "name": "xds_token", "sds_config": by_path(TOKEN_FILE, TOKEN_DIR) },
                    "header": "authorization",
                    "header_value_prefix": "Bearer ",
                },
            },
        }),
    )
}

/// A secret from a file of ours, read again whenever the kubelet renews the watched folder.
fn by_path(file: &str, watched: &str) -> Value {
    json!({
        "resource_api_version": "V3",
        "path_config_source": {
            "path": format!("{CONFIG_DIR}/{file}"),
            "watched_directory": { "path": watched },
        },
    })
}

fn trust_secret(host: &str) -> Value {
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "xds_trust",
        "validation_context": {
            "trusted_ca": { "filename": format!("{CONFIG_DIR}/{CA_FILE}") },
            "watched_directory": { "path": CONFIG_DIR },
            "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": host } }],
        },
    }] })
}

fn token_secret() -> Value {
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "xds_token",
        "generic_secret": { "secret": { "filename": format!("{TOKEN_DIR}/token") } },
    }] })
}

// --- Envoy talking to itself ---

fn admin_socket() -> String {
    format!("{RUN_DIR}/admin.sock")
}

fn pause_socket() -> String {
    format!("{RUN_DIR}/pause.sock")
}

fn pipe_cluster(name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{
                "lb_endpoints": [{ "endpoint": { "address": { "pipe": { "path": path } } } }],
            }],
        },
    })
}

fn drain_listener(drain: &Drain<'_>, families: IpFamilies) -> Value {
    let script = DRAIN_SCRIPT
        .replace("@PATH@", drain.path)
        .replace("@LEAST@", &drain.least.to_string())
        .replace("@MOST@", &drain.most.to_string());
    let lua = http_filter(
        "envoy.filters.http.lua",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": script },
        }),
    );
    let mut listener = listener("chancery/drain", port_address(DRAIN_PORT, families), &json!([]), vec![lua]);
    // The script is silent until it ends, which it does by itself; Envoy's default would end it after five
    // minutes, and the proxy with it, whatever grace period was asked for.
    connection_manager(&mut listener)["stream_idle_timeout"] = "0s".into();
    listener
}

/// Answers every request after a second: Lua has no clock of its own.
fn pause_listener() -> Value {
    let delay = http_filter(
        "envoy.filters.http.fault",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": { "fixed_delay": "1s", "percentage": { "numerator": 100 } },
        }),
    );
    let address = json!({ "pipe": { "path": pause_socket(), "mode": 0o600 } });
    let routes = json!([{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }]);
    listener("chancery/pause", address, &routes, vec![delay])
}

fn metrics_listener(metrics: &Metrics<'_>, families: IpFamilies) -> Value {
    let page = |path: &str, rewrite: &str| {
        json!({
            // By GET alone: some pages of the admin interface change something when they are posted to.
            "match": { "path": path, "headers": [{ "name": ":method", "string_match": { "exact": "GET" } }] },
            "route": { "cluster": ADMIN_CLUSTER, "prefix_rewrite": rewrite },
        })
    };
    let metrics_page = page("/metrics", metrics.metrics);
    let pages: Vec<Value> =
        std::iter::once(metrics_page).chain(metrics.stats.map(|stats| page("/stats", stats))).collect();
    listener("chancery/metrics", port_address(METRICS_PORT, families), &Value::from(pages), Vec::new())
}

/// The port on every interface. The unspecified address of IPv6 takes connections of IPv4 as well.
fn port_address(port: u16, families: IpFamilies) -> Value {
    let address = families.every_interface();
    let mut socket = json!({ "address": address, "port_value": port });
    if address.is_ipv6() {
        socket["ipv4_compat"] = true.into();
    }
    json!({ "socket_address": socket })
}

/// The connection manager of a [`listener`].
fn connection_manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// A listener for the cluster's own callers. Its connections are not counted, so they must not stay: by Envoy's
/// defaults one could do nothing for an hour.
fn listener(name: &str, address: Value, routes: &Value, filters: Vec<Value>) -> Value {
    let router = http_filter(
        "envoy.filters.http.router",
        json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" }),
    );
    let filters: Vec<Value> = filters.into_iter().chain([router]).collect();
    json!({
        "name": name,
        "address": address,
        "stat_prefix": name,
        "ignore_global_conn_limit": true,
        "per_connection_buffer_limit_bytes": 32 * 1024,
        "tcp_keepalive": { "keepalive_probes": 4, "keepalive_time": 60, "keepalive_interval": 15 },
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "codec_type": "HTTP1",
                "common_http_protocol_options": { "idle_timeout": "60s" },
                "request_headers_timeout": "10s",
                "max_request_headers_kb": 8,
                "route_config": { "name": name, "virtual_hosts": [{ "name": name, "domains": ["*"], "routes": routes }] },
                "http_filters": filters,
            },
        }] }],
    })
}

fn http_filter(name: &str, config: Value) -> Value {
    json!({ "name": name, "typed_config": config })
}
