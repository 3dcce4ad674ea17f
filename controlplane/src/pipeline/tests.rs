use std::time::Duration;

use crds::Object;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::time::timeout;
use xds::{Client, NodeGroup, Rejection, SnapshotCache};

use super::*;
use crate::publish::node_group;
use crate::source::{Place, Severity, rule};

struct Running {
    updates: mpsc::Sender<Update>,
    settings: watch::Sender<Settings>,
    events: mpsc::UnboundedSender<ClientEvent>,
    reports: mailbox::Receiver<ObjectRef, Option<Arc<Report>>>,
    proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>,
    findings: watch::Receiver<Arc<Vec<Finding>>>,
    heard: watch::Receiver<Arc<Heard>>,
    cache: SnapshotCache,
    metrics: Metrics,
    vitals: Vitals,
}

fn start_with(settings: Settings) -> Running {
    let (updates, received) = mpsc::channel(8);
    let (settings, settings_changes) = watch::channel(settings);
    let (events, heard_events) = mpsc::unbounded_channel();
    let (to_reports, reports) = mailbox::mailbox();
    let (to_proxies, proxies) = mailbox::mailbox();
    let (to_findings, findings) = watch::channel(Arc::default());
    let (to_heard, heard) = watch::channel(Arc::new(Heard::default()));
    let outlets = Outlets {
        reports: to_reports,
        proxies: vec![to_proxies],
        selections: None,
        findings: to_findings,
        heard: to_heard,
        served: None,
        is_published: watch::Sender::new(false),
    };
    let (publisher, vitals) = (Publisher::new(), Vitals::default());
    let cache = publisher.cache();
    let metrics = Metrics::register(&mut Registry::default());
    let initial = settings.borrow().clone();
    let pipeline = Pipeline::new(initial, publisher, outlets, metrics.clone(), vitals.clone());
    pipeline.start(received, settings_changes, heard_events).unwrap();
    Running { updates, settings, events, reports, proxies, findings, heard, cache, metrics, vitals }
}

fn start() -> Running {
    start_with(Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() })
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), work).await.expect("in time")
}

impl Running {
    async fn send(&self, changes: Vec<Change>) {
        self.updates.send(Update { changes, findings: None }).await.unwrap();
    }

    async fn apply(&self, documents: &[Value]) {
        self.send(documents.iter().map(|document| Change::Apply(object(document))).collect()).await;
    }

    async fn reported(&mut self) -> Vec<String> {
        let reports = in_time(self.reports.take()).await.unwrap();
        reports.iter().map(|(object, report)| format!("{object} {}", report.is_some())).collect()
    }

    /// The route table of port 80, once it is another than that.
    async fn table(&self, but: Option<ResourceVersion>) -> ResourceVersion {
        in_time(async {
            loop {
                let snapshot = self.cache.snapshot_of(&node_group(&web()));
                let table =
                    snapshot.and_then(|snapshot| snapshot.get(ResourceType::Route, "http/80").cloned());
                match table.map(|table| table.version()) {
                    Some(version) if Some(version) != but => return version,
                    _ => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        })
        .await
    }

    /// A proxy takes the table over in this version, or refuses it.
    fn answer(&self, version: ResourceVersion, message: Option<&str>) {
        let (group, node, build) = (NodeGroup::new("default/web"), String::new(), "1.40.0".to_owned());
        let client = Arc::new(Client { group, node, build, stream: 1 });
        let resources = vec![("http/80".to_owned(), version)];
        let resource_type = ResourceType::Route;
        self.events
            .send(match message {
                None => ClientEvent::Accepted { client, resource_type, resources },
                Some(message) => {
                    let culprits = vec!["http/80".to_owned()];
                    let message = message.to_owned();
                    ClientEvent::Nack {
                        client,
                        rejection: Rejection {
                            resource_type,
                            version,
                            nonce: 1,
                            message,
                            resources,
                            culprits,
                            cause: xds::Cause::Refused,
                        },
                    }
                }
            })
            .unwrap();
    }
}

fn web() -> GatewayName {
    GatewayName { namespace: "default".to_owned(), name: "web".to_owned() }
}

fn object(document: &Value) -> Object {
    Object::decode(document.clone()).unwrap().object
}

fn gateway(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": "chancery",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": port}],
        },
    })
}

fn route(name: &str, path: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"parentRefs": [{"name": "web"}], "rules": [{"matches": [{"path": {"value": path}}]}]},
    })
}

#[tokio::test]
async fn nothing_comes_out_before_the_first_update_and_an_empty_one_counts() {
    let mut running = start();
    assert!(!running.reports.has_news());
    running.send(Vec::new()).await;
    assert_eq!(running.reported().await, [""; 0]);
}

#[tokio::test]
async fn what_changes_comes_out_and_nothing_else() {
    let mut running = start();
    running.apply(&[gateway("web", 80), gateway("other", 81)]).await;
    assert_eq!(running.reported().await, ["Gateway default/other true", "Gateway default/web true"]);
    assert_eq!(in_time(running.proxies.take()).await.unwrap().len(), 2);
    running.apply(&[route("r", "/a")]).await;
    assert_eq!(running.reported().await, ["Gateway default/web true", "HTTPRoute default/r true"]);
    running.apply(&[route("r", "/b")]).await;
    assert_eq!(running.reported().await, [""; 0], "the status is as it was");
    running.send(vec![Change::Delete(object(&gateway("other", 81)).object_ref())]).await;
    assert_eq!(running.reported().await, ["Gateway default/other false"]);
    let changed = in_time(running.proxies.take()).await.unwrap();
    assert_eq!(changed.into_iter().filter(|(_, proxy)| proxy.is_none()).count(), 1);
}

#[tokio::test]
async fn what_changes_nothing_is_counted() {
    let mut running = start();
    running.apply(&[gateway("web", 80)]).await;
    running.reported().await;
    let before = running.metrics.units_evaluated.get();
    running.apply(&[gateway("web", 80)]).await;
    running.reported().await;
    assert_eq!(running.metrics.translations_unchanged.get(), 1);
    assert_eq!(running.metrics.units_evaluated.get(), before);
}

#[tokio::test]
async fn new_findings_and_new_settings_come_out_too() {
    let mut running = start();
    running.apply(&[gateway("web", 80)]).await;
    running.reported().await;
    let finding = Finding::new(Place::file("a.yaml"), Severity::Problem, rule::INVALID_YAML, "broken");
    let update = Update { changes: Vec::new(), findings: Some(vec![finding]) };
    running.updates.send(update).await.unwrap();
    in_time(running.findings.wait_for(|findings| findings.len() == 1)).await.unwrap();
    running.reported().await;
    running.settings.send_modify(|settings| settings.implied_classes.clear());
    assert_eq!(running.reported().await, ["Gateway default/web false"]);
}

/// The unit that panics costs its object; the rest goes on, and the process is well.
#[tokio::test]
async fn a_panic_in_one_object_costs_that_object() {
    let mut settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
    settings.test_hooks.panic_at = Some("bad".to_owned());
    let mut running = start_with(settings);
    running.apply(&[gateway("web", 80), route("bad", "/a"), route("good", "/a")]).await;
    let reports = in_time(running.reports.take()).await.unwrap();
    let problems = |name: &str| {
        let report = reports.values().flatten().find(|report| report.object.name == name).unwrap();
        report.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(problems("bad").contains("internal error"), "{}", problems("bad"));
    assert!(!problems("good").contains("internal error"), "{}", problems("good"));
    assert!(running.metrics.translation_panics.get() > 0);
    assert_eq!(running.vitals.failed(), [""; 0]);
    let before = running.table(None).await;
    running.apply(&[route("good", "/b")]).await;
    running.table(Some(before)).await;
}

/// A table that is refused is narrowed down to the route that is to blame; others are served at their newest.
#[tokio::test]
async fn a_refusal_costs_its_cause_alone() {
    let mut running = start();
    let all: Vec<Value> = (0..8).map(|number| route(&format!("r{number}"), "/a")).collect();
    running.apply(&[vec![gateway("web", 80)], all].concat()).await;
    let mut version = running.table(None).await;
    running.answer(version, None);

    let edited: Vec<Value> = (0..8).map(|number| route(&format!("r{number}"), "/b")).collect();
    running.apply(&edited).await;
    // Whatever holds the newest r5 is refused.
    let is_bad = |cache: &SnapshotCache| {
        let snapshot = cache.snapshot_of(&node_group(&web())).unwrap();
        let table = snapshot.get(ResourceType::Route, "http/80").unwrap().clone();
        holds(&table, "httproute/default/r5/0/0", "/b")
    };
    let mut answers = 0;
    let found = loop {
        version = running.table(Some(version)).await;
        answers += 1;
        assert!(answers < 20, "it does not end");
        running.answer(version, is_bad(&running.cache).then_some("bad route"));
        let settled = timeout(Duration::from_millis(200), running.table(Some(version))).await.is_err();
        if settled {
            break running.heard.borrow_and_update().refused.clone();
        }
    };
    let refusals: Vec<_> = found[&web()].iter().collect();
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert_eq!(refusal.objects.iter().map(ToString::to_string).collect::<Vec<_>>(), ["HTTPRoute default/r5"]);
    assert!(
        refusal.message.contains("bad route") && refusal.message.contains("version before"),
        "{refusal:?}"
    );
    let snapshot = running.cache.snapshot_of(&node_group(&web())).unwrap();
    let table = snapshot.get(ResourceType::Route, "http/80").unwrap();
    for number in 0..8 {
        let path = if number == 5 { "/a" } else { "/b" };
        assert!(
            holds(table, &format!("httproute/default/r{number}/0/0"), path),
            "r{number} is not at {path}"
        );
    }
    let refused = |running: &Running| {
        let label = crate::telemetry::KindLabel { kind: "HTTPRoute".to_owned() };
        running.metrics.refused_objects.get_or_create(&label).get()
    };
    assert_eq!(refused(&running), 1);
    // A good edit beside it is served at once, and its mending, too.
    running.apply(&[route("r1", "/c")]).await;
    version = running.table(Some(version)).await;
    running.answer(version, None);
    running.apply(&[route("r5", "/c")]).await;
    version = running.table(Some(version)).await;
    running.answer(version, None);
    in_time(running.heard.wait_for(|heard| heard.refused.is_empty())).await.unwrap();
    assert_eq!(refused(&running), 0);
}

/// Whether a table has a route of that name for that path.
fn holds(table: &xds::Resource, name: &str, path: &str) -> bool {
    let table: proto::route::RouteConfiguration = prost::Message::decode(table.message().as_ref()).unwrap();
    let mut routes = table.virtual_hosts.iter().flat_map(|host| &host.routes);
    routes.any(|route| route.name == name && format!("{:?}", route.r#match).contains(&format!("{path:?}")))
}
