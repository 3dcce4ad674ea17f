use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::echo::EchoBackend;
use e2e::envoy::{Admin, ClusterHost, Envoy, validate};
use e2e::http::{eventually, get, post_json};
use e2e::provider::{MockProvider, TestAuthority};
use serde_json::{Value, json};

/// A bootstrap with one listener, `edge`, whose only route does `action`.
fn bootstrap(action: Value) -> Value {
    let mut route = json!({"match": {"prefix": "/"}});
    route.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    let type_url = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let manager = json!({
        "@type": type_url("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": type_url("http.router.v3.Router")}
        }]
    });
    json!({"static_resources": {"listeners": [{
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]
    }]}})
}

fn direct_response() -> Value {
    bootstrap(json!({"direct_response": {"status": 200, "body": {"inline_string": "hello"}}}))
}

#[tokio::test]
async fn an_envoy_is_live_when_started_and_gone_when_dropped() {
    let started = Instant::now();
    let mut envoy = Envoy::start(&direct_response().to_string()).await.unwrap();
    println!("Envoy was live after {:?}", started.elapsed());
    let address = envoy.admin().listener_address("edge").await.unwrap();
    let answer = get(address, "any.example", "/").await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    envoy.process().ensure_running().unwrap();
    drop(envoy);
    assert!(get(address, "any.example", "/").await.is_err());
}

#[tokio::test]
async fn the_admin_interface_tells_configuration_clusters_and_stats() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let mut bootstrap = bootstrap(json!({"route": {"cluster": "echo"}}));
    let load_assignment = load_assignment("echo", backend.address());
    bootstrap["static_resources"]["clusters"] = json!([{"name": "echo", "load_assignment": load_assignment}]);
    let envoy = Envoy::start(&bootstrap.to_string()).await.unwrap();
    let admin = envoy.admin();
    let edge = admin.listener_address("edge").await.unwrap();
    assert_eq!(get(edge, "a", "/").await.unwrap().json().unwrap()["identity"], "blue");
    let host = ClusterHost { cluster: "echo".into(), address: backend.address().to_string(), healthy: true };
    assert_eq!(admin.clusters().await.unwrap(), [host]);
    assert!(admin.config_dump().await.unwrap().to_string().contains("ClustersConfigDump"));
    // Workers merge their counters at intervals.
    eventually(Duration::from_secs(10), || async {
        let count = admin.stats().await?.get("cluster.echo.upstream_rq_200").copied();
        if count == Some(1) { Ok(()) } else { Err(anyhow::anyhow!("{count:?} requests counted")) }
    })
    .await
    .unwrap();
}

fn load_assignment(cluster: &str, address: SocketAddr) -> Value {
    let address = json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
    json!({
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    })
}

#[tokio::test]
async fn an_envoy_that_verifies_certificates_accepts_the_mock_of_its_authority_alone() {
    let (trusted, other) = (TestAuthority::generate().unwrap(), TestAuthority::generate().unwrap());
    let host = "generativelanguage.googleapis.com";
    for (authority, status) in [(&trusted, 200), (&other, 503)] {
        let provider = MockProvider::start(authority).await.unwrap();
        let mut bootstrap = bootstrap(json!({"route": {"cluster": "gemini", "host_rewrite_literal": host}}));
        bootstrap["static_resources"]["clusters"] = json!([{
            "name": "gemini",
            "load_assignment": load_assignment("gemini", provider.address()),
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
                "common_tls_context": {"validation_context": {
                    "trusted_ca": {"inline_string": trusted.certificate_pem()},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}]
                }}
            }}
        }]);
        let envoy = Envoy::start(&bootstrap.to_string()).await.unwrap();
        let edge = envoy.admin().listener_address("edge").await.unwrap();
        let body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
        let path = "/v1beta/models/m:generateContent";
        let answer = post_json(edge, "ai.example", path, &[("x-goog-api-key", "k")], &body).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        let seen = provider.requests().all();
        assert_eq!(seen.len(), usize::from(status == 200));
        assert!(seen.iter().all(|request| request.host == host && request.sni.as_deref() == Some(host)));
    }
}

#[tokio::test]
async fn the_admin_interface_may_be_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let mut bootstrap = direct_response();
    bootstrap["admin"] = json!({"address": {"pipe": {"path": socket}}});
    let envoy = Envoy::start(&bootstrap.to_string()).await.unwrap();
    Admin::unix(&socket).ready().await.unwrap();
    envoy.admin().listener_address("edge").await.unwrap();
}

#[tokio::test]
async fn a_bootstrap_that_envoy_refuses_fails_at_once_with_its_words() {
    let started = Instant::now();
    let bad = bootstrap(json!({"route": {"cluster": "nowhere"}}));
    let error = Envoy::start(&bad.to_string()).await.unwrap_err();
    assert!(format!("{error:#}").contains("unknown cluster 'nowhere'"), "{error:#}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_good_configuration_is_valid() {
    let started = Instant::now();
    assert_eq!(validate(&direct_response().to_string()), Ok(()));
    println!("validated in {:?}", started.elapsed());
}

#[test]
fn bad_configurations_are_refused_with_the_reason_alone() {
    let unknown_cluster = bootstrap(json!({"route": {"cluster": "nowhere"}}));
    let unknown_field = bootstrap(json!({"rout": {}}));
    let broken_rule = bootstrap(json!({"direct_response": {"status": 42}}));
    for (config, reason) in
        [(unknown_cluster, "unknown cluster 'nowhere'"), (unknown_field, "rout"), (broken_rule, "Status")]
    {
        let error = validate(&config.to_string()).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(".json"), "a temporary path in {error}");
    }
}
