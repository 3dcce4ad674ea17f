//! Two routes that proxies refuse, on two replicas of the control plane with a proxy each: both are named in their
//! statuses, and everything else goes on changing, under load.
//!
//! Our own checks of expressions are off (a hidden option), so that the proxies get to refuse them.

use std::net::SocketAddr;
use std::time::Instant;

use acceptance::{
    DEADLINE, EchoGateway, SYSTEM, Setup, Traffic, World, admin_get, gateway_socket, wait_for_answer,
};
use anyhow::{Context as _, ensure};
use cluster::Error;
use e2e::http::{eventually, get};

const NAMESPACE: &str = "isolation";

/// The port of the control plane at which it tells about itself.
const ADMIN_PORT: u16 = 9093;

/// Answers in a row that show an edit, of two proxies that are asked in turn at random.
const IN_A_ROW: usize = 20;

fn route(name: &str, rule_match: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  parentRefs: [{{name: echo-gateway}}]
  hostnames: [{name}.test]
  rules: [{{matches: [{rule_match}], backendRefs: [{{name: echo, port: 8080}}]}}]
---
"
    )
}

/// How many streams each replica of the control plane serves.
fn streams(world: &World) -> Vec<u64> {
    let of = |pod: String| {
        let address = world.field(&["pod", &pod, "-n", SYSTEM], ".status.podIP");
        let address = SocketAddr::new(address.parse().expect("an IP address"), ADMIN_PORT);
        let metrics =
            world.network.run(async move { admin_get(address, "/metrics").await }).expect("metrics");
        let text = metrics.text();
        let counts = text.lines().filter(|line| line.starts_with("xds_streams{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    world.control_planes().into_iter().map(of).collect()
}

/// Starts proxies anew until each replica serves one.
fn spread(world: &World, gateway: &EchoGateway) {
    for _ in 0..12 {
        let streams = streams(world);
        if streams.len() == 2 && streams.iter().all(|count| *count > 0) {
            return;
        }
        let envoy = gateway.envoys(world).into_iter().next().expect("an Envoy");
        world.cluster.kubectl(&["delete", "pod", &envoy, "-n", NAMESPACE]).expect("it ends");
        let rollout = ["rollout", "status", "deployment/echo-gateway", "-n", NAMESPACE, "--timeout=120s"];
        world.cluster.kubectl(&rollout).expect("both Envoys");
    }
    panic!("all proxies are always at one replica: {:?}", streams(world));
}

/// Gives the good route a response header, and waits until both proxies have it.
fn edit(world: &World, address: &str, value: &str) {
    let patch = format!(
        r#"[{{"op": "add", "path": "/spec/rules/0/filters", "value": [{{"type": "ResponseHeaderModifier",
            "responseHeaderModifier": {{"set": [{{"name": "x-edit", "value": "{value}"}}]}}}}]}}]"#
    );
    let patched = ["patch", "httproute", "echo", "-n", NAMESPACE, "--type=json", "-p", &patch];
    world.cluster.kubectl(&patched).expect("the route");
    let (address, value, edited) = (gateway_socket(address), value.to_owned(), Instant::now());
    let seen = world.network.run(async move {
        eventually(DEADLINE, || async {
            for _ in 0..IN_A_ROW {
                let answer = get(address, EchoGateway::HOST, "/").await?;
                ensure!(answer.header("x-edit") == Some(&value), "{:?}", answer.header("x-edit"));
            }
            anyhow::Ok(())
        })
        .await
        .context("both proxies have the edit")
    });
    seen.expect("it is served");
    println!("the edit is at both proxies after {:.1} s", edited.elapsed().as_secs_f64());
}

#[test]
fn two_refused_routes_cost_themselves_alone_on_two_replicas() {
    let world = World::start(&Setup {
        values: vec!["extraArgs[0]=--test-unchecked-values".to_owned()],
        ..Setup::default()
    });
    let world = &world;
    let _guard = world.cluster.keep_logs_on_panic();
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(world);
    let address = gateway.deploy_gateway(world);
    spread(world, &gateway);
    wait_for_answer(world, &address, EchoGateway::HOST);

    let traffic = Traffic::start(world, "two refused routes", &address, EchoGateway::HOST);
    edit(world, &address, "before");
    let bad = route("bad", "{path: {type: RegularExpression, value: '/a**'}}")
        + &route("worse", "{headers: [{name: x-a, type: RegularExpression, value: '('}]}");
    world.cluster.apply(&bad).expect("what is refused");
    let refused = Instant::now();
    let conditions = ".status.parents[0].conditions";
    for name in ["bad", "worse"] {
        let object = ["httproute", name, "-n", NAMESPACE];
        world.wait_for_condition(&object, conditions, "Accepted", "False RejectedByProxy");
        println!("{name} is named after {:.1} s", refused.elapsed().as_secs_f64());
    }
    edit(world, &address, "beside");
    for (name, mended) in [("bad", "{path: {value: /}}"), ("worse", "{path: {value: /}}")] {
        world.cluster.apply(&route(name, mended)).expect("it is mended");
        let object = ["httproute", name, "-n", NAMESPACE];
        world.wait_for_condition(&object, conditions, "Accepted", "True Accepted");
        wait_for_answer(world, &address, if name == "bad" { "bad.test" } else { "worse.test" });
    }
    edit(world, &address, "after");
    traffic.finish();
    let still_there = || match streams(world) {
        streams if streams.iter().all(|count| *count > 0) => Ok(()),
        streams => Err(Error::Unexpected(format!("{streams:?}"))),
    };
    world.cluster.wait_until("streams at both replicas", DEADLINE, still_there).expect("they are as before");
}
