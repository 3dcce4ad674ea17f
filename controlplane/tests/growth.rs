//! Edits without end leave nothing behind: from the source to the published snapshot, the statuses and what is known of
//! the proxies.
//!
//! A process of its own, since it looks at all of the process's memory. `CHANCERY_TEST_EDITS` sets the number of edits
//! (100,000 take some minutes).

use std::sync::Arc;
use std::time::Duration;

use controlplane::fleet::Heard;
use controlplane::mailbox;
use controlplane::pipeline::{Outlets, Pipeline};
use controlplane::publish::{Publisher, node_group};
use controlplane::source::Update;
use controlplane::status::{Statuses, Style};
use controlplane::telemetry::Metrics;
use controlplane::vital::Vitals;
use crds::{Object, ObjectRef};
use ir::GatewayName;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use translator::{Change, Settings};
use xds::{Client, ClientEvent, ResourceType, ResourceVersion, SnapshotCache};

/// Routes that are there all the time.
const ROUTES: usize = 50;

/// Edits after which everything has its size.
const WARM_UP: usize = 2_000;

/// What the memory may grow by in all: some 50 bytes per edit of the shortest run. An allocator never gives back all that it can.
const TOLERANCE_KIB: i64 = 512;

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": "default"})
}

fn route(name: &str, version: usize) -> Value {
    let filter = json!({"type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-version", "value": format!("{version:08}")}]}});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata(name),
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": [format!("{name}.test")],
            "rules": [{"filters": [filter], "backendRefs": [
                {"name": "service", "port": 80}, {"group": "gateway.kgateway.dev", "kind": "Backend", "name": "ai"}]}]}})
}

fn slice(version: usize) -> Value {
    let mut metadata = metadata("service-1");
    metadata["labels"] = json!({"kubernetes.io/service-name": "service"});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "metadata": metadata,
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": [format!("10.{}.{}.1", version / 250 % 250, version % 250)]}]})
}

fn secret(version: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("key"),
        "stringData": {"Authorization": format!("key-{version:08}")}})
}

fn first() -> Vec<Value> {
    let listeners = json!([{"name": "http", "port": 8080, "protocol": "HTTP"}]);
    let mut all = vec![
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata("web"),
            "spec": {"gatewayClassName": "chancery", "listeners": listeners}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("service"), "spec": {"ports": [{"port": 80}]}}),
        json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": metadata("ai"),
            "spec": {"type": "AI", "ai": {"llm": {"provider": {"openai": {
                "authToken": {"kind": "SecretRef", "secretRef": {"name": "key"}}}}}}}}),
        slice(0),
        secret(0),
    ];
    all.extend((0..ROUTES).map(|number| route(&format!("r{number}"), 0)));
    all
}

fn apply(document: Value) -> Change {
    Change::Apply(Object::decode(document).expect("an object").object)
}

/// The edits come in turn; each makes something else of what is served.
fn edit(number: usize) -> Change {
    let passing = |number: usize| format!("passing-{}", number / 5);
    match number % 5 {
        0 => apply(route(&format!("r{}", number / 5 % ROUTES), number + 1)),
        1 => apply(slice(number)),
        2 => apply(secret(number)),
        // Objects with names that were never there before and never come again.
        3 => apply(route(&passing(number), number)),
        _ => Change::Delete(ObjectRef::namespaced(
            "gateway.networking.k8s.io",
            "HTTPRoute",
            "default",
            passing(number),
        )),
    }
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

struct World {
    updates: mpsc::Sender<Update>,
    events: mpsc::UnboundedSender<ClientEvent>,
    reports: mailbox::Receiver<ObjectRef, Option<Arc<translator::status::Report>>>,
    statuses: Statuses,
    cache: SnapshotCache,
    gateway: GatewayName,
    client: Arc<Client>,
    served: Vec<ResourceVersion>,
}

impl World {
    fn versions(&self) -> Option<Vec<ResourceVersion>> {
        let snapshot = self.cache.snapshot_of(&node_group(&self.gateway))?;
        let types = [
            ResourceType::Cluster,
            ResourceType::Endpoint,
            ResourceType::Secret,
            ResourceType::Listener,
            ResourceType::Route,
        ];
        Some(types.map(|kind| snapshot.version(kind)).to_vec())
    }

    /// Sends changes, waits until they are served, and answers as a proxy that takes them over.
    async fn send(&mut self, changes: Vec<Change>) {
        self.updates.send(Update { changes, findings: None }).await.expect("a pipeline");
        let served = async {
            loop {
                match self.versions() {
                    Some(versions) if versions != self.served => return versions,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        self.served = tokio::time::timeout(Duration::from_secs(10), served).await.expect("served in time");
        let snapshot = self.cache.snapshot_of(&node_group(&self.gateway)).expect("served");
        let tables = snapshot.resources(ResourceType::Route).iter();
        let resources = tables.map(|table| (table.name().to_string(), table.version())).collect();
        let client = self.client.clone();
        let accepted = ClientEvent::Accepted { client, resource_type: ResourceType::Route, resources };
        self.events.send(accepted).expect("a pipeline");
        if let Some(reports) = self.reports.try_take() {
            let origins = controlplane::source::Origins::default();
            self.statuses.update(&reports, &controlplane::clock::now(), Some(Style::Ascii), &origins);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn edits_without_end_leave_nothing_behind() {
    let edits =
        std::env::var("CHANCERY_TEST_EDITS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_usize);
    let (updates, to_pipeline) = mpsc::channel(8);
    let (events, heard_events) = mpsc::unbounded_channel();
    let (to_reports, reports) = mailbox::mailbox();
    let (to_heard, _heard) = watch::channel(Arc::new(Heard::default()));
    let outlets = Outlets {
        reports: to_reports,
        proxies: Vec::new(),
        selections: None,
        findings: watch::channel(Arc::default()).0,
        heard: to_heard,
        served: None,
        is_published: watch::Sender::new(false),
    };
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
    let (_settings, settings_changes) = watch::channel(settings.clone());
    let metrics = Metrics::register(&mut Registry::default());
    let pipeline = Pipeline::new(settings, publisher, outlets, metrics, Vitals::default());
    pipeline.start(to_pipeline, settings_changes, heard_events).expect("a thread");
    let gateway = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
    let client = Arc::new(Client {
        group: node_group(&gateway),
        node: "proxy".to_owned(),
        build: "1.40.0".to_owned(),
        stream: 1,
    });
    let (statuses, served) = (Statuses::default(), Vec::new());
    let mut world = World { updates, events, reports, statuses, cache, gateway, client, served };
    world.send(first().into_iter().map(apply).collect()).await;
    for number in 0..WARM_UP {
        world.send(vec![edit(number)]).await;
    }
    let before = resident_kib();
    for number in WARM_UP..WARM_UP + edits {
        world.send(vec![edit(number)]).await;
    }
    let growth = resident_kib() - before;
    println!("{edits} edits: {growth} KiB beyond {before} KiB");
    assert!(growth <= TOLERANCE_KIB, "{growth} KiB more after {edits} edits");
    assert_eq!(world.statuses.all().len(), first().len() - 3, "one status for each object that has one");
}
