//! What the death of the leader costs, and that nothing is written at rest. Each in a world of its own.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use acceptance::{DEADLINE, EchoGateway, Recorder, SYSTEM, Setup, World, apply_seed, audit};
use cluster::{Component, Error};
use serde_json::Value;

const NAMESPACE: &str = "failover";

/// How long nothing must be written.
const REST: Duration = Duration::from_secs(300);

#[test]
fn the_leader_killed_the_other_replica_writes_status_within_15_s_and_no_envoy_sees_a_change() {
    let world = World::start(&Setup::default());
    let world = &world;
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(world);
    let _ = gateway.deploy_gateway(world);
    world.cluster.apply(&route_to("nowhere")).expect("a route that is not accepted");
    wait_for_status(world, "nowhere");
    let pods = world.control_planes();
    assert_eq!(pods.len(), 2, "{pods:?}");
    let recorders: Vec<_> = pods.iter().map(|pod| recorder_at(world, pod, &pods)).collect();
    let before: Vec<_> = recorders.iter().map(Recorder::recording).collect();
    let envoys = configurations(world, &gateway);

    let leader = world.wait_for_leader();
    // The container would be back in a second and take its own lease. Without a kubelet it stays dead, as on a node
    // that is lost, and stays an endpoint of the Service, too.
    world.cluster.pause_component(Component::Kubelet).expect("the kubelet halts");
    world.cluster.kill_in_pods(SYSTEM, &[&leader], "chancery").expect("the leader is killed");
    let killed = Instant::now();
    world.cluster.apply(&route_to("nowhere-else")).expect("an edit that needs a status");
    wait_for_status(world, "nowhere-else");
    let took = killed.elapsed();
    let next = world.leader();
    println!("leader killed: status by the other replica after {:.1} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(next != leader && pods.contains(&next), "{leader} led, {next} leads; {pods:?}");
    assert_eq!(last_writer(world), next, "who wrote the status");

    wait_for_connection(world, &recorders);
    for (recorder, before) in recorders.iter().zip(&before) {
        let after = recorder.recording();
        assert_eq!(after.responses, before.responses, "no resource was sent");
        assert_eq!(after.removals, [], "no resource was taken away");
    }
    let streams: Vec<_> = recorders.iter().map(|recorder| recorder.recording().streams).collect();
    let position = pods.iter().position(|pod| *pod == leader).expect("it is one of them");
    assert!(streams[position] > 1, "the stream to the leader broke: {streams:?}");
    assert_eq!(streams[1 - position], 1, "the stream to the other one did not: {streams:?}");
    assert_eq!(configurations(world, &gateway), envoys, "no Envoy has taken anything");

    world.cluster.resume_component(Component::Kubelet).expect("the kubelet goes on");
    world.wait_for_control_planes();
    assert_eq!(world.leader(), next, "who comes back does not take the lead");
    assert_eq!(configurations(world, &gateway), envoys, "no Envoy has taken anything");
}

#[test]
fn nothing_is_written_in_5_idle_minutes() {
    let world = World::start(&Setup::default());
    let world = &world;
    let _ = apply_seed(world, "seed-kgateway", "kgateway-system");
    let _ = apply_seed(world, "seed-gloo", "gloo-system");
    let gateway = EchoGateway::new("idle");
    gateway.deploy_backend(world);
    let _ = gateway.deploy_gateway(world);
    world.cluster.apply(&twenty_routes("idle")).expect("the routes");
    wait_until_all_routes_have_a_status(world, 22);
    wait_for_silence(world);

    mark(world, "rest-begins");
    thread::sleep(REST);
    mark(world, "rest-ends");
    let entries = audit::entries(&world.cluster);
    let (begin, end) = (position(&entries, "rest-begins"), position(&entries, "rest-ends"));
    let ours: Vec<_> =
        entries[begin..end].iter().filter(|entry| audit::is_write_of_chancery(entry)).collect();
    println!("{} s at rest: {} writes", REST.as_secs(), ours.len());
    assert!(ours.is_empty(), "{ours:#?}");
    // The log does show what is written.
    let patch = r#"{"spec": {"hostnames": ["changed.example.com"]}}"#;
    let arguments = ["patch", "httproute", "route-1", "-n", "idle", "--type=merge", "-p", patch];
    world.cluster.kubectl(&arguments).expect("a patch");
    let is_seen = || match audit::entries(&world.cluster)[end..]
        .iter()
        .filter(|entry| audit::is_write_of_chancery(entry))
        .count()
    {
        0 => Err(Error::Unexpected("no write after an edit".to_owned())),
        count => Ok(count),
    };
    world.cluster.wait_until("a write in the log", DEADLINE, is_seen).expect("an edit leads to a write");
}

/// A route to a listener that the Gateway does not have: it gets a status, and no Envoy gets anything.
fn route_to(section: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: refused, namespace: {NAMESPACE}}}\nspec:\n  parentRefs: [{{name: echo-gateway, sectionName: {section}}}]\n  hostnames: [refused.example.com]\n  rules: [{{backendRefs: [{{name: echo, port: 8080}}]}}]\n"
    )
}

fn wait_for_status(world: &World, section: &str) {
    let route = ["httproute", "refused", "-n", NAMESPACE];
    let has_it = || match world.field(&route, ".status.parents[*].parentRef.sectionName") {
        found if found == section => Ok(()),
        found => Err(Error::Unexpected(found)),
    };
    world.cluster.wait_until("the status", DEADLINE, has_it).expect("the status");
    assert_eq!(
        world.condition(&route, ".status.parents[0].conditions", "Accepted"),
        "False NoMatchingParent"
    );
}

/// A client of one replica, which goes to the others when that one is gone.
fn recorder_at(world: &World, pod: &str, pods: &[String]) -> Recorder {
    let address = |pod: &String| world.field(&["pod", pod, "-n", SYSTEM], ".status.podIP");
    let first = pods.iter().filter(|other| *other == pod);
    let others = pods.iter().filter(|other| *other != pod);
    Recorder::start_at(world, NAMESPACE, "echo-gateway", first.chain(others).map(address).collect())
}

fn wait_for_connection(world: &World, recorders: &[Recorder]) {
    let connected = || match recorders.iter().all(|recorder| recorder.recording().is_connected) {
        true => Ok(()),
        false => Err(Error::Unexpected("a client has no stream".to_owned())),
    };
    world.cluster.wait_until("streams of all clients", DEADLINE, connected).expect("streams");
}

/// What each Envoy has, with the moments at which it took it.
fn configurations(world: &World, gateway: &EchoGateway) -> BTreeMap<String, Value> {
    let dump = |pod: String| {
        let dump = world.cluster.envoy_admin(NAMESPACE, &pod, "/config_dump?include_eds").expect("a dump");
        let dump: Value = serde_json::from_str(&dump).expect("JSON");
        (pod, of_xds(&dump))
    };
    gateway.envoys(world).into_iter().map(dump).collect()
}

/// The part of a dump that comes by ADS.
fn of_xds(dump: &Value) -> Value {
    let kinds = [".ClustersConfigDump", ".ListenersConfigDump", ".RoutesConfigDump", ".EndpointsConfigDump"];
    let parts = dump["configs"].as_array().into_iter().flatten();
    let is_wanted = |part: &&Value| {
        kinds.iter().any(|kind| part["@type"].as_str().is_some_and(|name| name.ends_with(kind)))
    };
    let parts: Vec<_> = parts.filter(is_wanted).cloned().collect();
    assert_eq!(parts.len(), kinds.len(), "a dump has {} parts", parts.len());
    Value::from(parts)
}

/// The pod that wrote the newest status of a route.
fn last_writer(world: &World) -> String {
    let entries = audit::entries(&world.cluster);
    let mut writes = entries.iter().rev().filter(|entry| {
        audit::is_write_of_chancery(entry)
            && entry["objectRef"]["name"] == "refused"
            && entry["objectRef"]["subresource"] == "status"
    });
    let write = writes.next().expect("somebody wrote it");
    write["user"]["extra"]["authentication.kubernetes.io/pod-name"][0].as_str().unwrap_or_default().to_owned()
}

fn twenty_routes(namespace: &str) -> String {
    let route = |number: u32| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{number}, namespace: {namespace}}}\nspec:\n  parentRefs: [{{name: echo-gateway}}]\n  hostnames: [host-{number}.example.com]\n  rules: [{{backendRefs: [{{name: echo, port: 8080}}]}}]\n"
        )
    };
    (1..=20).map(route).collect()
}

fn wait_until_all_routes_have_a_status(world: &World, at_least: usize) {
    let routes = || {
        let routes = world.cluster.kubectl_json(&["get", "httproutes", "-A"])?;
        let routes = routes["items"].as_array().cloned().unwrap_or_default();
        let done =
            routes.iter().filter(|route| route["status"]["parents"][0]["conditions"].is_array()).count();
        match done == routes.len() && done >= at_least {
            true => Ok(()),
            false => Err(Error::Unexpected(format!("{done} of {} routes have a status", routes.len()))),
        }
    };
    world.cluster.wait_until("the routes' statuses", DEADLINE, routes).expect("all have one");
}

/// What was due after the last change has been written when nothing more comes for a while.
fn wait_for_silence(world: &World) {
    let count =
        || audit::entries(&world.cluster).iter().filter(|entry| audit::is_write_of_chancery(entry)).count();
    let mut before = 0;
    let is_silent = || match std::mem::replace(&mut before, count()) {
        earlier if earlier > 0 && earlier == count() => Ok(()),
        earlier => {
            thread::sleep(Duration::from_secs(5));
            Err(Error::Unexpected(format!("{earlier} writes, and more since")))
        }
    };
    world.cluster.wait_until("the last write", DEADLINE, is_silent).expect("all is written");
}

/// An object that shows in the audit log when it was.
fn mark(world: &World, name: &str) {
    world.cluster.kubectl(&["create", "namespace", name]).expect("a mark");
    let is_there = || match audit::entries(&world.cluster).iter().any(|entry| is_mark(entry, name)) {
        true => Ok(()),
        false => Err(Error::Unexpected("the log does not have it".to_owned())),
    };
    world.cluster.wait_until("the mark in the log", DEADLINE, is_there).expect("the mark");
}

fn is_mark(entry: &Value, name: &str) -> bool {
    entry["verb"] == "create"
        && entry["objectRef"]["resource"] == "namespaces"
        && entry["objectRef"]["name"] == name
}

fn position(entries: &[Value], name: &str) -> usize {
    entries.iter().position(|entry| is_mark(entry, name)).expect("the mark")
}
