//! Many objects and many edits: what they cost, and that what is told is right soon after. The figures are in
//! docs/benchmarks.md.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use acceptance::{
    ApiServer, DEADLINE, EchoApp, MERGE, Process, RELEASE, SYSTEM, Setup, World, audit, gateway_socket,
    restricted_namespace,
};
use anyhow::{Result, ensure};
use cluster::Error;
use e2e::http::{eventually, get};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const ROUTES: usize = 3_000;
const NAMESPACE: &str = "scale";

/// Edits per second, and for how long.
const EDIT_RATE: u32 = 95;
const EDITING: Duration = Duration::from_secs(30);

/// How soon after the last edit every status must be right.
const RIGHT_WITHIN: Duration = Duration::from_secs(2);

/// How much more memory a control plane may have after a long life than a fresh one has.
const GROWTH_LIMIT: f64 = 1.3;

/// After which an allocator has given back what it gives back.
const REST: Duration = Duration::from_secs(15);

/// Connections to the API server that write.
const WRITERS: usize = 8;

/// Gateways on one node.
const GATEWAYS: usize = 50;

#[test]
fn with_3000_routes_and_95_edits_a_second_statuses_are_right_2_s_later_and_memory_is_given_back() {
    let world = World::start(&Setup::default());
    let world = &world;
    let _guard = world.cluster.keep_logs_on_panic();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    EchoApp::new("echo", NAMESPACE).deploy(&world.cluster);
    world.cluster.apply(&gateway("web")).expect("a Gateway");
    let api = ApiServer::of(&world.cluster).expect("the API server");
    let routes = Routes { world, api };
    routes.create();
    routes.wait_until_right(DEADLINE);

    restart(world);
    let fresh = memory(world);
    let (right_after, conflicts, writes) = routes.edit();
    println!(
        "{EDIT_RATE} edits/s of {ROUTES} routes for {} s: all statuses right {:.2} s after the last, {writes} writes of \
         statuses, of which {conflicts} were answered with 409",
        EDITING.as_secs(),
        right_after.as_secs_f64()
    );
    for _ in 0..2 {
        routes.delete();
        routes.create();
        routes.wait_until_right(DEADLINE);
    }
    let aged = memory(world);
    routes.delete();
    let emptied = memory(world);
    println!(
        "memory of the replicas, MiB: {fresh:.0?} fresh, {aged:.0?} after a long life, {emptied:.0?} without routes"
    );
    assert_eq!(conflicts, 0, "a write of a status that can conflict");
    assert!(right_after <= RIGHT_WITHIN, "{right_after:?}");
    let largest = |memory: [f64; 2]| memory.into_iter().fold(0.0, f64::max);
    assert!(largest(aged) <= GROWTH_LIMIT * largest(fresh), "{aged:?} after {fresh:?}");
}

#[test]
fn fifty_gateways_on_one_node_serve() {
    let world = World::start(&Setup::default());
    let world = &world;
    let _guard = world.cluster.keep_logs_on_panic();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    EchoApp::new("echo", NAMESPACE).deploy(&world.cluster);
    let names: Vec<String> = (0..GATEWAYS).map(|number| format!("web-{number}")).collect();
    let started = Instant::now();
    let objects = names.iter().map(|name| {
        let route = route_to(name, name, "all.example.com");
        format!("{}---\n{route}\n", gateway(name))
    });
    world.cluster.apply(&objects.collect::<String>()).expect("Gateways and routes");
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let programmed = || {
        let gateways = world.cluster.kubectl_json(&["get", "gateways", "-n", NAMESPACE])?;
        addresses = gateways["items"].as_array().into_iter().flatten().filter_map(address).collect();
        match addresses.len() {
            GATEWAYS => Ok(()),
            some => Err(Error::Unexpected(format!("{some} of {GATEWAYS} are programmed"))),
        }
    };
    world.cluster.wait_until("fifty Gateways", DEADLINE * 3, programmed).expect("all are programmed");
    let found = addresses.clone();
    world.network.run(async move {
        for address in found {
            let serves = || async move {
                let answer = get(address, "all.example.com", "/").await?;
                ensure!(answer.status == 200, "{address}: {}", answer.status);
                Ok(())
            };
            eventually(DEADLINE, serves).await.expect("it serves");
        }
    });
    let took = started.elapsed();
    let pods = world.cluster.kubectl_json(&["get", "pods", "-n", NAMESPACE]).expect("the pods");
    let pods: Vec<&Value> = pods["items"].as_array().into_iter().flatten().collect();
    let restarts =
        pods.iter().filter_map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64());
    let restarts: u64 = restarts.sum();
    let proxies =
        pods.iter().filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "proxy");
    let memory: Vec<f64> =
        proxies.map(|pod| Process::of_pod(pod, "envoy").expect("a running Envoy").usage().memory).collect();
    println!(
        "{GATEWAYS} Gateways on one node serve {:.0} s after they were made; an Envoy takes {:.0} MiB; {restarts} restarts",
        took.as_secs_f64(),
        memory.iter().sum::<f64>() / GATEWAYS as f64
    );
    assert_eq!((memory.len(), restarts), (GATEWAYS, 0));
}

fn gateway(name: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  gatewayClassName: chancery\n  listeners: [{{name: http, port: 8080, protocol: HTTP}}]\n"
    )
}

/// Where a Gateway serves; `None` if it is not programmed.
fn address(gateway: &Value) -> Option<SocketAddr> {
    let conditions = gateway["status"]["conditions"].as_array()?;
    let is_programmed =
        conditions.iter().any(|condition| condition["type"] == "Programmed" && condition["status"] == "True");
    let address = gateway["status"]["addresses"][0]["value"].as_str().filter(|_| is_programmed)?;
    Some(gateway_socket(address))
}

fn route_to(name: &str, gateway: &str, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": gateway}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "echo", "port": 8080}]}],
        },
    })
}

/// Three thousand routes of one Gateway.
struct Routes<'a> {
    world: &'a World,
    api: ApiServer,
}

impl Routes<'_> {
    const PATH: &'static str = "/apis/gateway.networking.k8s.io/v1/namespaces/scale/httproutes";

    fn create(&self) {
        let api = self.api.clone();
        self.world.network.run(async move {
            let mut writers = JoinSet::new();
            for writer in 0..WRITERS {
                let api = api.clone();
                writers.spawn(async move {
                    let mut connection = api.connect().await?;
                    for number in (writer..ROUTES).step_by(WRITERS) {
                        let (name, host) = (format!("r{number}"), format!("h{number}.example.com"));
                        let route = route_to(&name, "web", &host);
                        let (status, answer) = connection.create(Self::PATH, &route).await?;
                        ensure!(status.is_success(), "{status}: {answer}");
                    }
                    Ok(())
                });
            }
            writers.join_all().await.into_iter().for_each(|written: Result<()>| written.expect("routes"));
        });
    }

    fn delete(&self) {
        self.world.cluster.kubectl(&["delete", "--raw", Self::PATH]).expect("none is left");
    }

    /// Edits one route after the other; gives how long after the last edit all statuses are right, how many writes of
    /// statuses were answered with 409, and how many there were in all.
    fn edit(&self) -> (Duration, usize, usize) {
        let before = status_writes(self.world).len();
        let api = self.api.clone();
        self.world.network.run(async move {
            let started = Instant::now();
            let mut writers = JoinSet::new();
            for writer in 0..WRITERS {
                let api = api.clone();
                writers.spawn(async move {
                    let mut connection = api.connect().await.expect("a connection");
                    let mut ticks = interval(Duration::from_secs(1) * WRITERS as u32 / EDIT_RATE);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                    sleep(Duration::from_secs(1) * writer as u32 / EDIT_RATE).await;
                    let mut edits = 0;
                    while started.elapsed() < EDITING {
                        ticks.tick().await;
                        let number = (writer + edits * WRITERS) % ROUTES;
                        let host = format!("h{number}-{edits}.example.com");
                        let path = format!("{}/r{number}", Self::PATH);
                        let body = json!({"spec": {"hostnames": [host]}});
                        connection.patch(&path, MERGE, &body).await.expect("an edit");
                        edits += 1;
                    }
                    edits
                });
            }
            let edits: usize = writers.join_all().await.into_iter().sum();
            let rate = edits as f64 / started.elapsed().as_secs_f64();
            println!("{edits} edits, {rate:.0}/s");
            assert!(rate > 0.9 * f64::from(EDIT_RATE), "the machine does not bear the load: {rate}");
        });
        let took = self.wait_until_right(DEADLINE);
        // What is written is in the log a moment later.
        std::thread::sleep(Duration::from_secs(3));
        let writes = status_writes(self.world).split_off(before);
        let conflicts = writes.iter().filter(|code| **code == 409).count();
        (took, conflicts, writes.len())
    }

    /// Waits until the status of each route is about what the route says; gives how long that took, to the end of the
    /// last list.
    fn wait_until_right(&self, deadline: Duration) -> Duration {
        let api = self.api.clone();
        self.world.network.run(async move {
            let started = Instant::now();
            let mut connection = api.connect().await.expect("a connection");
            loop {
                let asked = started.elapsed();
                let list =
                    connection.get(&format!("{}?resourceVersion=0", Self::PATH)).await.expect("a list");
                let routes = list["items"].as_array().expect("routes");
                let wrong = routes.iter().filter(|route| !is_right(route)).count();
                if wrong == 0 && routes.len() == ROUTES {
                    return asked;
                }
                assert!(asked < deadline, "{wrong} of {} statuses are not right", routes.len());
                sleep(Duration::from_millis(50)).await;
            }
        })
    }
}

fn is_right(route: &Value) -> bool {
    let generation = &route["metadata"]["generation"];
    let conditions = route["status"]["parents"][0]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        !conditions.is_empty()
            && conditions.iter().all(|condition| {
                condition["observedGeneration"] == *generation && condition["status"] == "True"
            })
    })
}

/// The codes with which the API server answered each write of a route's status.
fn status_writes(world: &World) -> Vec<u64> {
    let entries = audit::entries(&world.cluster);
    let of_status = entries.iter().filter(|entry| {
        audit::is_write_of_chancery(entry)
            && entry["objectRef"]["resource"] == "httproutes"
            && entry["objectRef"]["subresource"] == "status"
    });
    of_status.filter_map(|entry| entry["responseStatus"]["code"].as_u64()).collect()
}

fn restart(world: &World) {
    let deployment = format!("deployment/{RELEASE}");
    world.cluster.kubectl(&["rollout", "restart", &deployment, "-n", SYSTEM]).expect("new replicas");
    world.wait_for_control_planes();
}

/// The resident memory of both replicas, in MiB, once they have come to rest.
fn memory(world: &World) -> [f64; 2] {
    std::thread::sleep(REST);
    let [first, second] = &world.control_planes()[..] else { panic!("two replicas") };
    [first, second].map(|pod| {
        let pod = world.cluster.kubectl_json(&["get", "pod", pod, "-n", SYSTEM]).expect("a pod");
        Process::of_pod(&pod, "chancery").expect("a running control plane").usage().memory
    })
}
