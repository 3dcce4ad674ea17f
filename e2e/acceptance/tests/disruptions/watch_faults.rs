//! What the control plane holds after lists and watches went wrong in every way: what the API server holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use acceptance::fault_proxy::{Fault, FaultProxy};
use acceptance::{
    ApiServer, Collection, DEADLINE, ENDPOINT_SLICES, HTTP_ROUTES, LocalChart, READ, Recorder, SECRETS,
    SERVICES, Setup, World, held_objects, restricted_namespace,
};
use anyhow::{Result, ensure};
use cluster::Error;
use e2e::http::eventually;

const NAMESPACE: &str = "faults";

/// The kinds that go wrong: of Gateway API, secret, and of the backends.
const FAULTED: [Collection; 4] = [HTTP_ROUTES, SECRETS, SERVICES, ENDPOINT_SLICES];

/// How long a kind that can be read again may take until it is as the API server has it.
const RECOVERY: Duration = Duration::from_secs(10);

/// How long a watch may be dead before it is noticed: the API server says something in every watch each minute.
const NOTICE: Duration = Duration::from_secs(110);

/// Lists and watches of one kind per second, at the most, while they are refused.
const MAX_ATTEMPTS_PER_SECOND: f64 = 4.0;

/// The round in which lists go well.
const LISTED: &str = "pages-expired-in-the-stream";

const GATEWAY: &str = r#"
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: no-envoy, namespace: faults}
spec: {kube: {deployment: {replicas: 0}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: faults}
spec:
  gatewayClassName: chancery
  infrastructure:
    parametersRef: {group: gateway.kgateway.dev, kind: GatewayParameters, name: no-envoy}
  listeners: [{name: http, port: 8080, protocol: HTTP}]
"#;

/// One object of each faulted kind, in its first or a later version.
const OBJECTS: &str = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: "@NAME@", namespace: faults}
spec:
  parentRefs: [{name: gateway}]
  hostnames: ["@NAME@.v@VERSION@.test"]
  rules: [{backendRefs: [{name: "@NAME@", port: 80}]}]
---
apiVersion: v1
kind: Secret
metadata: {name: "@NAME@", namespace: faults}
stringData: {Authorization: "v@VERSION@"}
---
apiVersion: v1
kind: Service
metadata: {name: "@NAME@", namespace: faults, labels: {version: "@VERSION@"}}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: "@NAME@", namespace: faults, labels: {kubernetes.io/service-name: "@NAME@"}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.@VERSION@]}]
ports: [{port: 80}]
"#;

fn objects(name: &str, version: u8) -> String {
    OBJECTS.replace("@NAME@", name).replace("@VERSION@", &version.to_string())
}

/// Of a kind that nothing is wrong with.
fn bystander(name: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}, namespace: faults}}\n\
         spec: {{type: Static, static: {{hosts: [{{host: a.test, port: 80}}]}}}}\n"
    )
}

struct Scene {
    world: World,
    proxy: FaultProxy,
    server: ApiServer,
    admin: SocketAddr,
}

impl Scene {
    /// Waits until the control plane holds exactly what the API server does, of all kinds; gives the time.
    fn settle(&self, deadline: Duration) -> Result<Duration> {
        let (server, admin) = (self.server.clone(), self.admin);
        let started = Instant::now();
        self.world.network.run(eventually(deadline, move || same(server.clone(), admin)))?;
        Ok(started.elapsed())
    }

    fn held(&self) -> BTreeMap<String, String> {
        let admin = self.admin;
        self.world.network.run(held_objects(admin)).expect("what is held")
    }

    fn holds(&self, name: &str) -> bool {
        self.held().keys().any(|object| object.ends_with(&format!("/{name}")))
    }

    fn apply(&self, yaml: &str) {
        self.world.cluster.apply(yaml).expect("the objects");
    }

    fn delete(&self, name: &str) {
        let objects = FAULTED.map(|collection| format!("{}/{name}", collection.plural));
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        let arguments = [&["delete", "-n", NAMESPACE], objects.as_slice()].concat();
        self.world.cluster.kubectl(&arguments).expect("they are deleted");
    }

    fn set(&self, fault: Option<Fault>) {
        FAULTED.into_iter().for_each(|collection| self.proxy.set(collection, fault));
    }

    /// How often each faulted kind was asked for since then, and how long after it for the first time.
    fn asked_since(&self, since: Instant) -> Vec<(usize, Option<Duration>)> {
        let asked = self.proxy.asked();
        let of = |collection| {
            let mut times = asked.iter().filter(|asked| asked.collection == collection && asked.at > since);
            let first = times.next().map(|asked| asked.at - since);
            (usize::from(first.is_some()) + times.count(), first)
        };
        FAULTED.into_iter().map(of).collect()
    }

    /// Waits until each faulted kind was asked for so often since then.
    fn wait_for_attempts(&self, count: usize, since: Instant, deadline: Duration) {
        let tried = || {
            let asked = self.asked_since(since);
            match asked.iter().all(|(times, _)| *times >= count) {
                true => Ok(()),
                false => Err(Error::Unexpected(format!("{asked:?}"))),
            }
        };
        self.world.cluster.wait_until("the control plane tries again", deadline, tried).expect("attempts");
    }

    /// Creates, changes and deletes objects of the faulted kinds, and one of another kind, which must arrive.
    fn edit(&self, round: &str) {
        let (changed, new) = (format!("changed-{round}"), format!("new-{round}"));
        self.apply(&(objects(&changed, 2) + &objects(&new, 1)));
        self.delete(&format!("deleted-{round}"));
        let name = format!("bystander-{round}");
        self.apply(&bystander(&name));
        let arrives = || match self.holds(&name) {
            true => Ok(()),
            false => Err(Error::Unexpected("not yet".to_owned())),
        };
        self.world.cluster.wait_until("an object of another kind", RECOVERY, arrives).expect("it arrives");
    }

    /// A fault of all requests of four kinds, edits in it, its end, and the comparison.
    fn round(&self, name: &str, fault: Fault, recorder: &Recorder) {
        self.apply(&(objects(&format!("changed-{name}"), 1) + &objects(&format!("deleted-{name}"), 1)));
        self.settle(RECOVERY).expect("before the fault");

        let since = Instant::now();
        self.set(Some(fault));
        self.edit(name);
        self.wait_for_attempts(2, since, RECOVERY);
        // Where only watches fail, lists bring it all.
        if !name.starts_with(LISTED) {
            assert!(!self.holds(&format!("new-{name}")), "{name}: the fault hid nothing");
            assert!(self.holds(&format!("deleted-{name}")), "{name}: what was read before stays");
        }
        let (attempts, lasted) = (self.asked_since(since), since.elapsed());
        for (times, _) in &attempts {
            let limit = 3.0 + MAX_ATTEMPTS_PER_SECOND * lasted.as_secs_f64();
            assert!(f64::from(u32::try_from(*times).expect("few")) <= limit, "{name}: {times} in {lasted:?}");
        }

        self.set(None);
        let took = self.settle(RECOVERY).expect(name);
        let times: Vec<usize> = attempts.iter().map(|(times, _)| *times).collect();
        println!(
            "{name}: {:.1} s of it, attempts per kind {times:?}; equal {:.2} s after, {} objects",
            lasted.as_secs_f64(),
            took.as_secs_f64(),
            self.held().len()
        );
        self.is_served(name, recorder);
    }

    /// All open watches fall silent for ever.
    fn half_open(&self, recorder: &Recorder) {
        let name = "half-open";
        self.apply(&(objects(&format!("changed-{name}"), 1) + &objects(&format!("deleted-{name}"), 1)));
        self.settle(RECOVERY).expect("before the fault");
        let since = Instant::now();
        self.set(Some(Fault::HalfOpen));
        self.edit(name);
        // What is dead stays so; what is new is in order.
        self.set(None);
        assert!(!self.holds(&format!("new-{name}")), "the fault hid nothing");
        self.wait_for_attempts(1, since, NOTICE);
        let noticed: Vec<_> = self.asked_since(since).into_iter().map(|(_, first)| first).collect();
        let took = self.settle(RECOVERY).expect(name);
        let seconds: Vec<String> =
            noticed.iter().flatten().map(|after| format!("{:.1}", after.as_secs_f64())).collect();
        println!(
            "{name}: noticed after {} s (routes, secrets, Services, slices); equal {:.2} s after the last",
            seconds.join(", "),
            took.as_secs_f64()
        );
        self.is_served(name, recorder);
    }

    /// What is held is what Envoys are served.
    fn is_served(&self, round: &str, recorder: &Recorder) {
        let served = || {
            let held = recorder.recording().held;
            let has = |text: String| held.iter().any(|name| name.contains(&text));
            let wanted = has(format!("changed-{round}.v2.test")) && has(format!("new-{round}.v1.test"));
            let unwanted = has(format!("changed-{round}.v1.test")) || has(format!("deleted-{round}"));
            match wanted && !unwanted {
                true => Ok(()),
                false => Err(Error::Unexpected(format!("{held:?}"))),
            }
        };
        self.world.cluster.wait_until("the routes", RECOVERY, served).expect("the routes are served");
    }
}

/// Fails with the differences.
async fn same(server: ApiServer, admin: SocketAddr) -> Result<()> {
    let mut api = server.connect().await?;
    let mut expected = BTreeMap::new();
    for collection in READ {
        expected.extend(collection.versions(&mut api).await?);
    }
    let held = held_objects(admin).await?;
    let missing: Vec<_> = expected.iter().filter(|entry| !held.contains_key(entry.0)).collect();
    let phantom: Vec<_> = held.keys().filter(|name| !expected.contains_key(*name)).collect();
    let other: Vec<_> = expected
        .iter()
        .filter(|(name, version)| held.get(*name).is_some_and(|held| held != *version))
        .collect();
    ensure!(held == expected, "missing {missing:?}, gone but held {phantom:?}, of another version {other:?}");
    Ok(())
}

#[test]
fn after_every_fault_of_lists_and_watches_the_store_equals_the_api() {
    let world = World::start(&Setup { install: false, ..Setup::default() });
    let chart = LocalChart::apply(&world);
    let server = ApiServer::of(&world.cluster).expect("the API server");
    let proxy = FaultProxy::start(&world.network, &server, READ);
    let xds = SocketAddr::from(([127, 0, 0, 1], 18_000));
    let plane = chart.start_at(&world, "local", proxy.address(), xds);
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    world.cluster.apply(GATEWAY).expect("the Gateway");
    let made = || world.cluster.kubectl(&["get", "configmap,serviceaccount", "gateway", "-n", NAMESPACE]);
    world.cluster.wait_until("what the Gateway gets", DEADLINE, made).expect("the Gateway's account");
    let recorder = Recorder::start_at(&world, NAMESPACE, "gateway", vec!["127.0.0.1".to_owned()]);
    let scene = Scene { proxy, server, admin: plane.admin, world };

    for (name, fault) in [
        ("gone-410", Fault::Status(410)),
        ("expired-in-the-stream", Fault::Expired),
        ("busy-429", Fault::Status(429)),
        ("truncated", Fault::Truncated),
        ("forbidden-403", Fault::Status(403)),
        ("broken-500", Fault::Status(500)),
    ] {
        scene.round(name, fault, &recorder);
    }
    scene.half_open(&recorder);
    // Of an API server that does not stream lists, pages are read: the same must hold. Once it has not, a kind is
    // read so for good.
    scene.proxy.refuse_streamed_lists(true);
    for (name, fault) in [
        ("pages-gone-410", Fault::Status(410)),
        (LISTED, Fault::Expired),
        ("pages-busy-429", Fault::Status(429)),
        ("pages-truncated", Fault::Truncated),
    ] {
        scene.round(name, fault, &recorder);
    }
    // What is compared is all that is read.
    let asked: BTreeSet<Collection> = scene.proxy.asked().iter().map(|asked| asked.collection).collect();
    assert_eq!(asked, READ.iter().copied().collect());
    assert_eq!(scene.proxy.strangers(), BTreeSet::new(), "kinds that nothing was compared of");
    drop(plane);
}
