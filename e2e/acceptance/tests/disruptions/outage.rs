//! The API server is stopped for two minutes: nothing that is served notices, and what was edited meanwhile is
//! served right after.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use acceptance::{
    APPLY, ApiServer, DEADLINE, EchoGateway, ProxyIdentity, Recorder, SYSTEM, Setup, Traffic, World,
    XDS_PORT, admin_get, gateway_socket,
};
use anyhow::{Result, ensure};
use cluster::Component;
use e2e::ads_client::{AdsClient, Protocol};
use e2e::http::{eventually, get};
use serde_json::{Value, json};
use tokio::time::sleep;

const NAMESPACE: &str = "outage";

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(120);

/// How long requests go on afterwards.
const AFTERMATH: Duration = Duration::from_secs(20);

/// How many edits are made in the outage: the first half changes routes, the other half makes new ones.
const EDITS: usize = 20;

/// How soon after the API server's return all edits must be served.
const LIMIT: Duration = Duration::from_secs(10);

/// Between two attempts to bring an edit to the API server.
const RETRY: Duration = Duration::from_millis(250);

/// The ports of the control plane's pods.
const ADMIN_PORT: u16 = 9_093;

fn route(number: usize, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": format!("edit-{number}"), "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": "echo-gateway"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "echo", "port": 8080}]}],
        },
    })
}

fn edited_host(number: usize) -> String {
    format!("edit-{number}.example.com")
}

/// What `kubectl apply --server-side` sends.
async fn apply(server: &ApiServer, number: usize, host: &str) -> Result<()> {
    let root = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes");
    let path = format!("{root}/edit-{number}?fieldManager=outage");
    server.connect().await?.patch(&path, APPLY, &route(number, host)).await.map(drop)
}

/// An edit of somebody who does not give up. Nobody can write to a store that is away: what is queued is what
/// people and their tools try again and again, so that all of it lands in a burst when the API server is back.
async fn insist(server: ApiServer, number: usize) {
    while apply(&server, number, &edited_host(number)).await.is_err() {
        sleep(RETRY).await;
    }
}

/// The restarts of each container of ours, by pod.
fn restarts(world: &World) -> BTreeMap<String, Vec<u64>> {
    let mut restarts = BTreeMap::new();
    for namespace in [SYSTEM, NAMESPACE] {
        let pods = world.cluster.kubectl_json(&["get", "pods", "-n", namespace]).expect("the pods");
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            let counts = containers.filter_map(|container| container["restartCount"].as_u64()).collect();
            restarts.insert(format!("{namespace}/{name}"), counts);
        }
    }
    restarts
}

/// How many connections to the control plane each Envoy has opened since it runs.
fn xds_connections(world: &World) -> BTreeMap<String, String> {
    let envoys = EchoGateway::new(NAMESPACE).envoys(world);
    let opened = envoys.into_iter().map(|envoy| {
        let stats = world.cluster.envoy_admin(NAMESPACE, &envoy, "/stats?filter=xds.*upstream_cx_total");
        (envoy, stats.expect("Envoy's statistics").trim().to_owned())
    });
    opened.collect()
}

/// The first of the control plane's pods.
struct Xds {
    pod: String,
}

impl Xds {
    fn of(world: &World) -> Self {
        let pod = world.control_planes().swap_remove(0);
        Self { pod: world.field(&["pod", &pod, "-n", SYSTEM], ".status.podIP") }
    }

    fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.pod.parse().expect("an IP address"), port)
    }

    /// Opens a stream with this token; gives how many listeners it is served, or the refusal.
    fn listeners(&self, world: &World, identity: &ProxyIdentity) -> Result<usize, String> {
        let address = identity.address(self.socket(XDS_PORT));
        let served = world.network.run(async move {
            let mut client = AdsClient::connect(&address, Protocol::Delta, "outage").await?;
            let served = client.complete(Duration::from_secs(10)).await?;
            anyhow::Ok(served.listeners.len())
        });
        served.map_err(|error| format!("{error:#}"))
    }

    /// Whether the pod says that it is ready.
    fn is_ready(&self, world: &World) -> bool {
        let admin = self.socket(ADMIN_PORT);
        let answer = world.network.run(async move { admin_get(admin, "/readyz").await });
        answer.is_ok_and(|answer| answer.status == 200)
    }
}

/// What must hold of the xDS port while nobody can review a token.
fn assert_streams_in_the_outage(
    world: &World,
    xds: &Xds,
    recorder: &Recorder,
    known: &ProxyIdentity,
    unknown: &ProxyIdentity,
) {
    let served = xds.listeners(world, known).expect("a token that was reviewed before is good");
    assert!(served > 0, "no listeners");
    let refusal = xds.listeners(world, unknown).expect_err("nobody can say whose token it is");
    println!(
        "in the outage: a new stream with a known token gets {served} listeners, an unknown token: {refusal}"
    );
    assert!(refusal.contains("cannot be reviewed"), "{refusal}");
    assert!(xds.is_ready(world), "the control plane is not ready in the outage");
    let recording = recorder.recording();
    assert!(recording.is_connected && recording.streams == 1, "an open stream ended: {recording:?}");
}

/// Waits until each edit is served; gives the time of the last one.
async fn all_served(address: SocketAddr, since: Instant) -> Result<Duration> {
    for number in 0..EDITS {
        let answers = || async move {
            let answer = get(address, &edited_host(number), "/").await?;
            ensure!(answer.status == 200, "{}", answer.status);
            anyhow::Ok(())
        };
        eventually(DEADLINE, answers).await?;
    }
    Ok(since.elapsed())
}

#[test]
fn an_api_server_that_is_away_for_two_minutes_costs_no_request_and_every_edit_is_served_10_s_after() {
    let world = World::start(&Setup::default());
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(&world);
    let address = gateway.deploy_gateway(&world);
    let server = ApiServer::of(&world.cluster).expect("the API server");
    let first = server.clone();
    world.network.run(async move {
        for number in 0..EDITS / 2 {
            apply(&first, number, &format!("before-{number}.example.com")).await.expect("a route");
        }
    });
    let xds = Xds::of(&world);
    let recorder = Recorder::start_at(&world, NAMESPACE, "echo-gateway", vec![xds.pod.clone()]);
    let identity = || world.proxy_identity(NAMESPACE, "echo-gateway");
    let (known, unknown) = (identity(), identity());
    xds.listeners(&world, &known).expect("a token that can be reviewed");
    let (restarts_before, connections_before) = (restarts(&world), xds_connections(&world));

    let traffic = Traffic::start(&world, "API server away for 2 min", &address, EchoGateway::HOST);
    let stopped = Instant::now();
    // Killed, as by a crash. One that is told to end takes its address out of the Service `kubernetes` first, and how
    // soon after its return a pod can reach it again is then kube-proxy's matter, whose watches wait for up to 30 s.
    world.cluster.kill_component(Component::ApiServer).expect("it ends");
    // Where controller managers elect a leader, it ends when it cannot renew its lease. One that goes on takes the
    // kubelet's silence for its own, and has every pod of the cluster marked as not ready on the return.
    world.cluster.stop_component(Component::ControllerManager).expect("it stops");
    let mut edits = Vec::new();
    for number in 0..EDITS {
        edits.push(world.network.spawn(insist(server.clone(), number)));
        thread::sleep(Duration::from_secs(2));
        if number == EDITS / 2 {
            assert_streams_in_the_outage(&world, &xds, &recorder, &known, &unknown);
        }
    }
    thread::sleep(OUTAGE.saturating_sub(stopped.elapsed()));
    println!("the load in the outage: {}", traffic.progress());
    assert_streams_in_the_outage(&world, &xds, &recorder, &known, &unknown);
    assert!(edits.iter().all(|edit| !edit.is_finished()), "an edit was made without the API server");

    let away = stopped.elapsed();
    world.cluster.start_component(Component::ApiServer).expect("it starts");
    let ready = || world.cluster.kubectl(&["get", "--raw=/readyz", "--request-timeout=2s"]);
    world.cluster.wait_until("the API server", DEADLINE, ready).expect("the API server is back");
    let back = Instant::now();
    world.cluster.start_component(Component::ControllerManager).expect("it starts");
    let address = gateway_socket(&address);
    let took = world.network.run(all_served(address, back)).expect("every edit is served");
    println!(
        "away for {:.1} s; ready {:.1} s after its start; all {EDITS} edits served {:.2} s after that",
        away.as_secs_f64(),
        (back - stopped - away).as_secs_f64(),
        took.as_secs_f64()
    );
    assert!(took <= LIMIT, "the edits are served only after {took:?}");
    world.network.run(async move {
        for edit in edits {
            edit.await.expect("an edit ends");
        }
    });
    thread::sleep(AFTERMATH);
    traffic.finish();

    let recording = recorder.recording();
    assert_eq!(recording.streams, 1, "the open stream survives: {recording:?}");
    let wanted_no_more = |name: &String| name.contains("before-");
    assert!(recording.lost.iter().all(wanted_no_more), "lost: {:?}", recording.lost);
    assert_eq!(restarts(&world), restarts_before, "pods were restarted or replaced");
    assert_eq!(xds_connections(&world), connections_before, "Envoys had to connect again");
    println!("restarts: {restarts_before:?}; xDS connections: {connections_before:?}");
}
