//! The control plane is killed again and again, under load and edits.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acceptance::{
    DEADLINE, EchoApp, EchoGateway, Recorder, SYSTEM, Setup, Traffic, World, gateway_socket, wait_for_answer,
};
use cluster::Error;
use e2e::http::{eventually, get};
use serde_json::Value;

const NAMESPACE: &str = "kills";

/// How often a process is killed.
const KILLS: usize = 20;

/// In each round of this many one replica is killed alone, and in its last round both at one moment.
const ROUND: usize = 4;

/// Between two edits.
const EDIT_PAUSE: Duration = Duration::from_millis(300);

/// Every edit with a number that this divides adds a host.
const HOST_EVERY: usize = 3;

#[test]
fn the_control_plane_killed_20_times_under_load_and_edits_costs_no_request_and_no_resource() {
    let world = World::start(&Setup::default());
    let world = &world;
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(world);
    EchoApp { replicas: 2, ..EchoApp::new("echo-too", NAMESPACE) }.deploy(&world.cluster);
    let address = gateway.deploy_gateway(world);
    let recorders = [0, 1].map(|_| Recorder::start(world, NAMESPACE, "echo-gateway"));
    let envoys = gateway.envoys(world);

    let traffic = Traffic::start(world, "20 kills", &address, EchoGateway::HOST);
    let over = AtomicBool::new(false);
    let edits = thread::scope(|scope| {
        let edits = scope.spawn(|| edit_until(world, &over));
        let end = SetOnDrop(&over);
        kill_often(world);
        drop(end);
        edits.join().expect("the edits are accepted")
    });
    let last_edit = Instant::now();
    assert_effective(world, &address, edits);
    println!("{edits} edits, all effective {:.1} s after the last", last_edit.elapsed().as_secs_f64());
    traffic.finish();

    for recorder in &recorders {
        let recording = recorder.recording();
        println!(
            "recording client: {} streams, {} complete states, {} responses, {} removals",
            recording.streams,
            recording.states,
            recording.responses.len(),
            recording.removals.len()
        );
        assert!(recording.streams > KILLS / (ROUND + 1), "the client has seen kills");
        assert_eq!(recording.removals, [], "what is still wanted is not taken away");
        assert!(recording.lost.is_empty(), "missing in a later state: {:?}", recording.lost);
        assert_has_hosts(&recording.held.into_iter().collect::<Vec<_>>(), edits);
    }
    assert_eq!(gateway.envoys(world), envoys, "the Envoys stay");
    envoys.iter().for_each(|envoy| assert_removed_nothing(world, envoy));
}

/// Ends the edits, also when the kills have panicked: the scope waits for them.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills the replicas in turns, and both of them now and then.
///
/// The kubelet waits for longer and longer before it starts a container that died often (10 s, 20 s, …, 5 min). So a
/// pod may come back by itself once, which it does at once; when its process is killed again, the pod is deleted,
/// and the Deployment makes another. To a client both are the same: a process that is gone without a word.
fn kill_often(world: &World) {
    let mut kills = 0;
    for turn in 0.. {
        if kills >= KILLS {
            break;
        }
        world.wait_for_control_planes();
        let pods = world.control_planes();
        assert_eq!(pods.len(), 2, "{pods:?}");
        let victims = if turn % ROUND == ROUND - 1 { &pods[..] } else { &pods[turn % 2..=turn % 2] };
        let victims: Vec<_> = victims.iter().map(|pod| (pod.as_str(), restarts(world, pod))).collect();
        let names: Vec<_> = victims.iter().map(|(pod, _)| *pod).collect();
        let killed = Instant::now();
        world.cluster.kill_in_pods(SYSTEM, &names, "chancery").expect("a process is killed");
        kills += victims.len();
        for (pod, _) in victims.iter().filter(|(_, restarts)| *restarts > 0) {
            let now = ["--force", "--grace-period=0", "--wait=false"];
            let arguments = [&["delete", "pod", pod, "-n", SYSTEM], now.as_slice()].concat();
            world.cluster.kubectl(&arguments).expect("the pod is deleted");
        }
        wait_for_replacements(world, &victims);
        println!("{kills} kills: {names:?}, both are ready after {:.1} s", killed.elapsed().as_secs_f64());
    }
}

/// Waits until none of the pods is as it was, and two are ready.
fn wait_for_replacements(world: &World, victims: &[(&str, u64)]) {
    let replaced = || {
        let selector = "app.kubernetes.io/name=chancery";
        let pods = world.cluster.kubectl_json(&["get", "pods", "-n", SYSTEM, "-l", selector])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let is_replaced = |(name, restarts): &(&str, u64)| {
            let pod = pods.iter().find(|pod| pod["metadata"]["name"] == *name);
            pod.is_none_or(|pod| restarts_of(pod) > *restarts)
        };
        let ready = pods.iter().filter(|pod| container(pod)["ready"] == true).count();
        match victims.iter().all(is_replaced) && ready == 2 {
            true => Ok(()),
            false => Err(Error::Unexpected(format!("{ready} of {} are ready", pods.len()))),
        }
    };
    world.cluster.wait_until("the replacements", DEADLINE, replaced).expect("they come");
}

fn restarts(world: &World, pod: &str) -> u64 {
    restarts_of(&world.cluster.kubectl_json(&["get", "pod", pod, "-n", SYSTEM]).expect("the pod"))
}

fn restarts_of(pod: &Value) -> u64 {
    container(pod)["restartCount"].as_u64().unwrap_or_default()
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// Changes weights and a header with every edit, and adds a host with some; gives how many there were.
fn edit_until(world: &World, over: &AtomicBool) -> usize {
    let mut edits = 0;
    while !over.load(Ordering::Relaxed) {
        edits += 1;
        world.cluster.apply(&edit(edits)).expect("an edit");
        thread::sleep(EDIT_PAUSE);
    }
    edits
}

fn edit(number: usize) -> String {
    let weight = 1 + number % 9;
    let filter = format!(
        "{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-edit, value: \"{number}\"}}]}}}}"
    );
    let rule = format!(
        "{{filters: [{filter}], backendRefs: [{{name: echo, port: 8080, weight: {weight}}}, {{name: echo-too, port: 8080, weight: {}}}]}}",
        10 - weight
    );
    let mut documents = route("echo", EchoGateway::HOST, &rule);
    if number.is_multiple_of(HOST_EVERY) {
        let rule = "{backendRefs: [{name: echo, port: 8080}]}";
        let _ = write!(documents, "---\n{}", route(&format!("edit-{number}"), &host(number), rule));
    }
    documents
}

fn host(number: usize) -> String {
    format!("edit-{number}.example.com")
}

fn route(name: &str, host: &str, rule: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  parentRefs: [{{name: echo-gateway}}]\n  hostnames: [{host}]\n  rules: [{rule}]\n"
    )
}

fn hosts(edits: usize) -> impl Iterator<Item = String> {
    (HOST_EVERY..=edits).step_by(HOST_EVERY).map(host)
}

/// Every host that was added answers, and the header is that of the last edit.
fn assert_effective(world: &World, address: &str, edits: usize) {
    let socket = gateway_socket(address);
    world.network.run(async move {
        let is_last = || async move {
            for _ in 0..12 {
                let answer = get(socket, EchoGateway::HOST, "/").await?;
                let found = answer.header("x-edit").unwrap_or_default();
                anyhow::ensure!(found == edits.to_string(), "edit {found} of {edits}");
            }
            anyhow::Ok(())
        };
        eventually(DEADLINE, is_last).await.expect("the last edit is effective");
    });
    hosts(edits).for_each(|host| wait_for_answer(world, address, &host));
}

fn assert_has_hosts(held: &[String], edits: usize) {
    for host in hosts(edits) {
        let name = format!("host {host} ");
        assert!(held.iter().any(|held| held.starts_with(&name)), "{host} is missing: {held:?}");
    }
}

/// By its own count, an Envoy has had no listener and no cluster taken away.
fn assert_removed_nothing(world: &World, envoy: &str) {
    for counter in ["cluster_manager.cluster_removed", "listener_manager.listener_removed"] {
        let stats = world.cluster.envoy_admin(NAMESPACE, envoy, &format!("/stats?filter=^{counter}$"));
        assert_eq!(stats.expect("its statistics").trim(), format!("{counter}: 0"), "{envoy}");
    }
}
