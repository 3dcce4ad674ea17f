//! A right that is missing when the replicas are replaced: with each kind that is not served itself forbidden in turn, all
//! of them are deleted at once, or rolled over. What is served stays to the last resource, and edits are served.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use acceptance::{
    ApiServer, Collection, DEADLINE, EchoGateway, MERGE, READ, RELEASE, Recorder, Recording, SYSTEM, Setup,
    Traffic, World, admin_get, wait_for_answer,
};
use cluster::Error;
use serde_json::{Value, json};

const NAMESPACE: &str = "forbidden";

/// How soon after the replicas are told to end an edit must be served.
const LIMIT: Duration = Duration::from_secs(60);

const ADMIN_PORT: u16 = 9_093;

/// Kinds without which nothing can be served: these are waited for.
const WAITED_FOR: [&str; 5] = ["Secret", "Service", "EndpointSlice", "GatewayClass", "Gateway"];

/// The ConfigMaps of proxies are written by the same right, without which nothing can be deployed; the CRD of Gateway API
/// is read by name; and the edits that must be served are of HTTPRoutes.
const OTHERWISE_RULED: [&str; 3] = ["ConfigMap", "CustomResourceDefinition", "HTTPRoute"];

fn kinds() -> impl Iterator<Item = Collection> {
    READ.iter()
        .copied()
        .filter(|kind| !WAITED_FOR.contains(&kind.kind))
        .filter(|kind| !OTHERWISE_RULED.contains(&kind.kind))
}

#[test]
fn with_each_kind_forbidden_and_all_replicas_replaced_nothing_that_is_served_changes_and_edits_are_served() {
    let world = World::start(&Setup::default());
    let world = &world;
    world.cluster.apply(include_str!("cold_starts.yaml")).expect("objects of every kind");
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(world);
    let address = gateway.deploy_gateway(world);
    let role = Role::of(world);
    let recorder = Recorder::start(world, "cold", "gateway");
    let mut count = 0;
    for (index, kind) in kinds().enumerate() {
        let before = recorder.recording();
        role.set(world, &role.without(kind));
        let what = format!("{} forbidden", name(kind));
        Traffic::during(world, &what, &address, EchoGateway::HOST, || {
            let replaced = Instant::now();
            if index % 2 == 0 {
                delete_all(world)
            } else {
                roll_over(world)
            }
            let host = format!("edited-{index}.example.com");
            edit(world, &host);
            wait_for_answer(world, &address, &host);
            let took = replaced.elapsed();
            println!(
                "{what}: an edit is served {:.1} s after the replicas were told to end",
                took.as_secs_f64()
            );
            assert!(took <= LIMIT, "{what}: {took:?}");
            world.wait_for_control_planes();
            // Those before may have served the first one.
            let host = format!("edited-{index}-later.example.com");
            edit(world, &host);
            wait_for_answer(world, &address, &host);
            assert_told(world, kind);
        });
        assert_unchanged(world, &recorder, &before, &what);
        role.set(world, &role.rules);
        wait_until_readable(world, kind);
        count += 1;
    }
    assert_unchanged(world, &recorder, &Recording::default(), "all rights are back");
    assert!(count >= 16, "{count} kinds");
}

/// The rules of the control plane's ClusterRole.
struct Role {
    rules: Value,
}

impl Role {
    fn of(world: &World) -> Self {
        let role = world.cluster.kubectl_json(&["get", "clusterrole", RELEASE]).expect("the role");
        Self { rules: role["rules"].clone() }
    }

    /// The rules without the right to read a kind.
    fn without(&self, kind: Collection) -> Value {
        let mut taken = 0;
        let rules = self.rules.as_array().into_iter().flatten().map(|rule| {
            let mut rule = rule.clone();
            let has = |member: &str, value: &str| {
                rule[member].as_array().into_iter().flatten().any(|found| found == value)
            };
            if has("apiGroups", kind.group) && has("verbs", "list") && has("resources", kind.plural) {
                rule["resources"].as_array_mut().expect("a list").retain(|plural| plural != kind.plural);
                taken += 1;
            }
            rule
        });
        let rules = rules.filter(|rule| rule["resources"] != json!([])).collect();
        assert_eq!(taken, 1, "rules for {}", name(kind));
        rules
    }

    fn set(&self, world: &World, rules: &Value) {
        let server = ApiServer::of(&world.cluster).expect("the API server");
        let (path, rules) =
            (format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{RELEASE}"), json!({ "rules": rules }));
        world.network.run(async move {
            server
                .connect()
                .await
                .expect("it answers")
                .patch(&path, MERGE, &rules)
                .await
                .expect("other rules");
        });
    }
}

/// `KIND.GROUP`, as the control plane names kinds.
fn name(kind: Collection) -> String {
    match kind.group {
        "" => kind.kind.to_owned(),
        group => format!("{}.{group}", kind.kind),
    }
}

fn delete_all(world: &World) {
    let pods = world.control_planes();
    let names = pods.iter().map(String::as_str);
    let arguments: Vec<&str> =
        ["delete", "pod", "-n", SYSTEM, "--wait=false"].into_iter().chain(names).collect();
    world.cluster.kubectl(&arguments).expect("all replicas are told to end");
}

fn roll_over(world: &World) {
    let deployment = format!("deployment/{RELEASE}");
    world.cluster.kubectl(&["rollout", "restart", &deployment, "-n", SYSTEM]).expect("new replicas");
}

fn edit(world: &World, host: &str) {
    let patch = json!({"spec": {"hostnames": [EchoGateway::HOST, host]}}).to_string();
    let arguments = ["patch", "httproute", "echo", "-n", NAMESPACE, "--type=merge", "-p", &patch];
    world.cluster.kubectl(&arguments).expect("an edit");
}

/// The log and the metrics of each replica name the kind.
fn assert_told(world: &World, kind: Collection) {
    let name = name(kind);
    for pod in world.control_planes() {
        let log = world.cluster.kubectl(&["logs", &pod, "-n", SYSTEM]).expect("a log");
        let says = |words: &str| log.lines().any(|line| line.contains(&name) && line.contains(words));
        assert!(says("cannot be read") && says("what another replica read before"), "{pod} {name}: {log}");
        assert_eq!(unreadable(world, &pod, &name), Some(1), "{pod} {name}");
    }
}

/// What the metric of a pod says about a kind.
fn unreadable(world: &World, pod: &str, kind: &str) -> Option<u32> {
    let ip = world.field(&["pod", pod, "-n", SYSTEM], ".status.podIP");
    let admin = SocketAddr::new(ip.parse().expect("an IP address"), ADMIN_PORT);
    let answer = world.network.run(async move { admin_get(admin, "/metrics").await }).expect("metrics");
    let metrics = String::from_utf8(answer.body.to_vec()).expect("text");
    let sample = format!("chancery_unreadable_kinds{{kind=\"{kind}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok())
}

fn wait_until_readable(world: &World, kind: Collection) {
    let name = name(kind);
    let readable = || match world.control_planes().iter().all(|pod| unreadable(world, pod, &name) == Some(0))
    {
        true => Ok(()),
        false => Err(Error::Unexpected(format!("{name} cannot be read"))),
    };
    world.cluster.wait_until("the right", DEADLINE, readable).expect("the kind is read again");
}

/// Nothing of a Gateway to which every kind makes a difference was sent or taken away since.
fn assert_unchanged(world: &World, recorder: &Recorder, before: &Recording, what: &str) {
    let connected = || match recorder.recording().is_connected {
        true => Ok(()),
        false => Err(Error::Unexpected("no stream".to_owned())),
    };
    world.cluster.wait_until("a stream", DEADLINE, connected).expect("the client is let in");
    let now = recorder.recording();
    assert_eq!(now.lost, Default::default(), "{what}");
    assert_eq!(now.removals, [], "{what}");
    if before.states > 0 {
        assert_eq!(now.responses[before.responses.len()..], [], "{what}: what was sent");
        assert!(now.streams > before.streams, "{what}: the client had to connect again");
    }
}
