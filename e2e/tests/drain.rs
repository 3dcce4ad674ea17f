//! What the kubelet calls before it ends a proxy (`drain.lua`), in a real Envoy: no request is cut off.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::envoy::Envoy;
use e2e::http::{get, request, send_within};
use http::Method;
use serde_json::{Value, json};

/// The script that the deployer puts into every proxy.
const SCRIPT: &str = include_str!("../../controlplane/src/deployer/kubernetes/drain.lua");

/// Requests are this far apart: between two of them none is open.
const GAP: Duration = Duration::from_millis(200);

/// How long requests go on after the drain began: the script asks each second whether any are open.
const TRAFFIC: Duration = Duration::from_secs(5);

/// The drain ends some seconds after the last request, and must not take the longest time that it may.
const LIMIT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_when_requests_have_stopped_coming_and_not_between_two_of_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = SCRIPT.replace("@PATH@", "/drain").replace("@LEAST@", "1").replace("@MOST@", "60");
    let envoy = Envoy::start(&bootstrap(&script, folder.path()).to_string()).await?;
    let gateway = envoy.admin().listener_address("gateway").await?;
    let drain = envoy.admin().listener_address("chancery/drain").await?;

    ensure!(get(drain, "proxy", "/other").await?.status == 404, "only who knows the path may drain");
    let call = request(Method::GET, "proxy", "/drain", &[], Bytes::new())?;
    let drained = tokio::spawn(send_within(TRAFFIC + LIMIT, drain, call));
    let began = Instant::now();
    while began.elapsed() < TRAFFIC {
        ensure!(get(gateway, "example.com", "/").await?.status == 200);
        ensure!(!drained.is_finished(), "drained after {:?}, while requests come", began.elapsed());
        tokio::time::sleep(GAP).await;
    }
    let answer = drained.await??;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// The listeners and clusters that the script has to do with, as the deployer makes them.
fn bootstrap(script: &str, folder: &Path) -> Value {
    let (admin, pause) = (folder.join("admin"), folder.join("pause"));
    let tcp: SocketAddr = ([127, 0, 0, 1], 0).into();
    let tcp = json!({ "socket_address": { "address": tcp.ip(), "port_value": tcp.port() } });
    let lua = json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": script },
        },
    });
    let delay = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": { "fixed_delay": "1s", "percentage": { "numerator": 100 } },
        },
    });
    json!({
        "admin": { "address": { "pipe": { "path": admin } } },
        "static_resources": {
            "listeners": [
                listener("gateway", tcp.clone(), &[]),
                listener("chancery/drain", tcp, &[lua]),
                listener("chancery/pause", json!({ "pipe": { "path": pause } }), &[delay]),
            ],
            "clusters": [cluster("chancery_admin", &admin), cluster("chancery_pause", &pause)],
        },
    })
}

fn listener(name: &str, address: Value, filters: &[Value]) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    });
    let filters: Vec<&Value> = filters.iter().chain([&router]).collect();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }],
        }] },
    });
    let chain = json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }] });
    json!({ "name": name, "address": address, "filter_chains": [chain] })
}

fn cluster(name: &str, socket: &Path) -> Value {
    let endpoint = json!({ "endpoint": { "address": { "pipe": { "path": socket } } } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}
