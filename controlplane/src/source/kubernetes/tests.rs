mod handed;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use translator::CONTROLLER_NAME;

use super::*;
use crate::mock_api::{Fault, MockApi, collection_path, object_path};
use crate::source::{Change, Severity};
use crate::telemetry::KindLabel;

const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
const BACKENDS: &str = "/apis/gateway.kgateway.dev/v1alpha1/backends";

struct Running {
    updates: mpsc::Receiver<Update>,
    observed: mpsc::UnboundedReceiver<Observation>,
    waiting_for: channel::Receiver<Vec<String>>,
    inventory: Inventory,
    metrics: Metrics,
}

fn start(api: &MockApi) -> Running {
    start_beside(api, Others::new().0)
}

/// Starts one replica, beside others that know what they know.
fn start_beside(api: &MockApi, others: Others) -> Running {
    let (observed_sender, observed) = mpsc::unbounded_channel();
    let (waiting_sender, waiting_for) = channel::channel(Vec::new());
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let source = KubernetesSource::new(
        api.client(),
        ControllerName::default(),
        metrics.clone(),
        observed_sender,
        waiting_sender,
        others,
    );
    let inventory = source.inventory();
    Running { updates: source.start().unwrap(), observed, waiting_for, inventory, metrics }
}

impl Running {
    async fn next(&mut self) -> Update {
        timeout(Duration::from_secs(300), self.updates.recv()).await.expect("an update in time").unwrap()
    }

    /// Nothing comes, for a long time.
    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_secs(60), self.updates.recv()).await.is_err()
    }
}

fn route(name: &str, generation: i64) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default", "generation": generation, "managedFields": [{}]},
        "spec": {"hostnames": [format!("h{generation}.test")]},
    })
}

fn secret(name: &str, secret_type: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": secret_type,
        "data": {"key": "c2stY2FuYXJ5"},
    })
}

fn names(update: &Update) -> Vec<String> {
    let name = |change: &Change| match change {
        Change::Apply(object) => format!("+{}", object.object_ref()),
        Change::Delete(object) => format!("-{object}"),
    };
    update.changes.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_update_holds_everything_and_later_ones_what_changed() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    api.apply(secret("s", "Opaque"));
    let mut source = start(&api);
    let first = source.next().await;
    assert_eq!(names(&first), ["+Secret default/s", "+HTTPRoute default/a"]);
    assert_eq!(first.said(), []);
    assert_eq!(*source.waiting_for.borrow(), [""; 0]);

    api.apply(route("b", 1));
    assert_eq!(names(&source.next().await), ["+HTTPRoute default/b"]);
    api.delete(&object_path(&route("a", 1)));
    assert_eq!(names(&source.next().await), ["-HTTPRoute default/a"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_before_every_kind_is_listed_whatever_keeps_one() {
    for fault in [Fault::Hang, Fault::Status(403), Fault::Status(500), Fault::Status(429)] {
        for kind in KINDS {
            let api = MockApi::new();
            api.apply(route("a", 1));
            for version in kind.versions {
                api.set_fault(&collection_path(kind.group, version, kind.plural), Some(fault));
            }
            let mut source = start(&api);
            assert!(source.is_silent().await, "{} {fault:?}", kind.kind);
            let waiting_for = source.waiting_for.borrow().clone();
            assert!(waiting_for.len() == 1 && waiting_for[0].contains(kind.kind), "{waiting_for:?}");
            for version in kind.versions {
                api.set_fault(&collection_path(kind.group, version, kind.plural), None);
            }
            let names = names(&source.next().await);
            assert_eq!(names, ["+HTTPRoute default/a"], "{} {fault:?}", kind.kind);
        }
    }
}

/// At the start and later alike; what is not read for long is seen by whoever looks at metrics.
#[tokio::test(start_paused = true)]
async fn a_metric_says_which_kinds_cannot_be_read() {
    let api = MockApi::new();
    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let mut source = start(&api);
    let unreadable = |source: &Running, kind: &str| {
        let label = KindLabel { kind: kind.to_owned() };
        source.metrics.unreadable_kinds.get(&label).map(|gauge| gauge.get())
    };
    assert!(source.is_silent().await);
    assert_eq!(unreadable(&source, "Backend.gateway.kgateway.dev"), Some(1));
    api.set_fault(BACKENDS, None);
    source.next().await;
    assert_eq!(unreadable(&source, "Backend.gateway.kgateway.dev"), Some(0));
    api.set_fault(ROUTES, Some(Fault::Status(403)));
    api.break_watches(ROUTES);
    source.next().await;
    assert_eq!(unreadable(&source, "HTTPRoute.gateway.networking.k8s.io"), Some(1));
    api.set_fault(ROUTES, None);
    source.next().await;
    assert_eq!(unreadable(&source, "HTTPRoute.gateway.networking.k8s.io"), Some(0));
    assert_eq!(unreadable(&source, "Secret"), None);
}

#[tokio::test(start_paused = true)]
async fn an_absent_kind_counts_as_empty_at_once_and_is_found_when_it_appears() {
    let api = MockApi::new();
    api.remove_kind(BACKENDS);
    let mut source = start(&api);
    let first = timeout(Duration::from_secs(1), source.updates.recv()).await.expect("at once").unwrap();
    assert_eq!((first.changes.len(), first.said().len()), (0, 0));
    api.add_kind(BACKENDS);
    api.apply(json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"type": "Static", "static": {"hosts": [{"host": "a.test", "port": 80}]}},
    }));
    assert_eq!(names(&source.next().await), ["+Backend default/x"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_refused_with_a_page_of_text_is_absent() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    api.set_fault(BACKENDS, Some(Fault::PlainNotFound));
    assert_eq!(names(&start(&api).next().await), ["+HTTPRoute default/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_builtin_kind_is_never_taken_for_absent() {
    let api = MockApi::new();
    api.set_fault("/api/v1/secrets", Some(Fault::Status(404)));
    assert!(start(&api).is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn an_older_version_of_a_kind_is_read_where_there_is_no_newer_one() {
    let api = MockApi::new();
    api.remove_kind("/apis/gateway.networking.k8s.io/v1/referencegrants");
    api.apply(json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"from": [], "to": []},
    }));
    assert_eq!(names(&start(&api).next().await), ["+ReferenceGrant default/g"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_found_for_a_moment_loses_nothing_and_one_that_is_gone_does() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    let mut source = start(&api);
    source.next().await;
    api.set_fault(ROUTES, Some(Fault::Status(404)));
    api.set_fault(&ROUTES.replace("/v1/", "/v1beta1/"), Some(Fault::Status(404)));
    api.break_watches(ROUTES);
    sleep(Duration::from_secs(5)).await;
    let said = source.next().await;
    assert_eq!((names(&said), said.said().len()), (vec![], 1));
    let gone = source.next().await;
    assert_eq!((names(&gone), gone.said().len()), (vec!["-HTTPRoute default/a".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_relist_after_410_is_one_update_with_the_difference() {
    for streamed in [true, false] {
        let api = MockApi::new();
        if !streamed {
            api.set_fault("/", Some(Fault::NoStreamedLists));
        }
        for name in ["kept", "changed", "lost"] {
            api.apply(route(name, 1));
        }
        let mut source = start(&api);
        source.next().await;
        api.lose(&object_path(&route("lost", 1)));
        api.expire_watches(ROUTES);
        // Not told to anybody: the watch is gone.
        api.apply(route("changed", 2));
        api.apply(route("new", 1));
        let update = source.next().await;
        let expected = ["+HTTPRoute default/changed", "-HTTPRoute default/lost", "+HTTPRoute default/new"];
        assert_eq!(names(&update), expected, "streamed: {streamed}");
        assert_eq!(api.lists(ROUTES), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_refused_again_and_again_is_not_asked_for_at_once_and_recovers_in_seconds() {
    for code in [410, 429, 403, 500] {
        let api = MockApi::new();
        api.apply(route("a", 1));
        let mut source = start(&api);
        source.next().await;
        api.set_fault(ROUTES, Some(Fault::Status(code)));
        api.expire_watches(ROUTES);
        let before = api.reads(ROUTES);
        sleep(Duration::from_secs(60)).await;
        let reads = api.reads(ROUTES) - before;
        assert!((10..30).contains(&reads), "{code}: {reads} in a minute");
        api.set_fault(ROUTES, None);
        api.apply(route("b", 1));
        let recovered =
            async { while !names(&source.next().await).contains(&"+HTTPRoute default/b".to_owned()) {} };
        timeout(Duration::from_secs(5), recovered).await.expect("in time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_goes_on_without_a_relist_and_an_outage_changes_nothing() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    let mut source = start(&api);
    source.next().await;
    api.break_watches(ROUTES);
    sleep(Duration::from_secs(3)).await;
    api.apply(route("b", 1));
    assert_eq!(names(&source.next().await), ["+HTTPRoute default/b"]);
    assert_eq!(api.lists(ROUTES), 1);

    api.set_fault("/", Some(Fault::Status(500)));
    for kind in KINDS {
        for version in kind.versions {
            api.break_watches(&collection_path(kind.group, version, kind.plural));
        }
    }
    sleep(Duration::from_secs(120)).await;
    api.set_fault("/", None);
    api.apply(route("c", 1));
    let mut changes = Vec::new();
    while changes.is_empty() {
        let update = source.next().await;
        assert!(update.said().iter().all(|finding| finding.message.contains("stays in use")));
        changes.extend(names(&update));
    }
    assert_eq!(changes, ["+HTTPRoute default/c"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_noticed_in_time_and_goes_on_without_a_relist() {
    let api = MockApi::new();
    api.apply(route("lost", 1));
    let mut source = start(&api);
    source.next().await;
    api.silence_watches(ROUTES);
    api.apply(route("a", 1));
    api.delete(&object_path(&route("lost", 1)));
    let silent_since = tokio::time::Instant::now();
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(names(&source.next().await));
    }
    told.sort();
    assert_eq!(told, ["+HTTPRoute default/a", "-HTTPRoute default/lost"]);
    assert!(silent_since.elapsed() < Duration::from_secs(110), "{:?}", silent_since.elapsed());
    assert_eq!(api.lists(ROUTES), 1);
}

#[tokio::test(start_paused = true)]
async fn one_object_that_cannot_be_read_is_a_finding_and_the_rest_is_served() {
    let api = MockApi::new();
    let mut broken = route("broken", 1);
    broken["spec"]["hostnames"] = json!(7);
    api.apply(broken);
    api.apply(route("good", 1));
    let mut source = start(&api);
    let first = source.next().await;
    assert_eq!(names(&first), ["+HTTPRoute default/good"]);
    let said: Vec<String> = first.said().iter().map(ToString::to_string).collect();
    assert!(said[0].starts_with("HTTPRoute default/broken: spec.hostnames: "), "{said:?}");
    assert_eq!(first.said()[0].severity, Severity::Problem);

    api.apply(route("broken", 2));
    let repaired = source.next().await;
    assert_eq!((names(&repaired), repaired.said().len()), (vec!["+HTTPRoute default/broken".to_owned()], 0));
    let mut broken = route("good", 2);
    broken["spec"]["hostnames"] = json!(7);
    api.apply(broken);
    assert_eq!(names(&source.next().await), ["-HTTPRoute default/good"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_reads_is_no_update_but_is_observed() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    let mut source = start(&api);
    source.next().await;
    let mut changed = route("a", 1);
    changed["status"] = json!({"parents": []});
    changed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    changed["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    api.apply(changed);
    assert!(source.is_silent().await);
    let mut last = None;
    while let Ok(observation) = source.observed.try_recv() {
        last = Some(observation);
    }
    let (object, observed) = last.unwrap();
    assert_eq!(object.to_ref().to_string(), "HTTPRoute default/a");
    let observed = observed.unwrap();
    assert_eq!(observed.status.map(|status| status.value(CONTROLLER_NAME)), Some(json!({"parents": []})));
    assert_eq!((&*observed.resource_version, observed.generation), ("2", 1));
}

#[tokio::test(start_paused = true)]
async fn the_inventory_tells_each_object_and_its_newest_version_but_nothing_of_its_content() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    api.apply(secret("s", "Opaque"));
    api.apply(secret("release", "helm.sh/release.v1"));
    let mut source = start(&api);
    source.next().await;
    let held = async |source: &Running| {
        let objects = source.inventory.objects().await.expect("the source runs");
        let tell =
            |held: HeldObject| (held.object.to_string(), held.resource_version.to_string(), held.is_readable);
        objects.into_iter().map(tell).collect::<Vec<_>>()
    };
    let entry = |name: &str, version: &str, is_readable| (name.to_owned(), version.to_owned(), is_readable);
    let expected = vec![entry("Secret default/s", "2", true), entry("HTTPRoute default/a", "1", true)];
    assert_eq!(held(&source).await, expected);

    // A version of which only the status is new is no update, and is told all the same.
    let mut changed = route("a", 1);
    changed["status"] = json!({"parents": []});
    api.apply(changed);
    assert!(source.is_silent().await);
    assert_eq!(held(&source).await[1], entry("HTTPRoute default/a", "4", true));
    api.delete(&object_path(&secret("s", "Opaque")));
    source.next().await;
    let mut broken = route("a", 2);
    broken["spec"]["hostnames"] = json!(7);
    api.apply(broken);
    source.next().await;
    assert_eq!(held(&source).await, [entry("HTTPRoute default/a", "6", false)]);
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_none_of_our_business_are_not_kept() {
    let api = MockApi::new();
    api.apply(secret("release", "helm.sh/release.v1"));
    api.apply(secret("token", "kubernetes.io/service-account-token"));
    api.apply(secret("ours", "kubernetes.io/tls"));
    assert_eq!(names(&start(&api).next().await), ["+Secret default/ours"]);
}

#[tokio::test(start_paused = true)]
async fn the_store_equals_the_api_after_any_mixture_of_faults() {
    let api = MockApi::new();
    let mut source = start(&api);
    let mut store = BTreeSet::new();
    let mut take_in = |update: Update| {
        for change in update.changes {
            match change {
                Change::Apply(object) => drop(store.insert(object.object_ref().name)),
                Change::Delete(object) => drop(store.remove(&object.name)),
            }
        }
        store.clone()
    };
    take_in(source.next().await);
    let mut expected = BTreeSet::new();
    for round in 0..120_i64 {
        let name = format!("r{}", (round * 7) % 13);
        let path = object_path(&route(&name, 1));
        match round % 5 {
            0 => api.break_watches(ROUTES),
            1 => api.expire_watches(ROUTES),
            _ => {}
        }
        if round % 3 == 0 && expected.remove(&name) {
            // Told if somebody watches, and else to be found out.
            api.delete(&path);
        } else {
            api.apply(route(&name, round));
            expected.insert(name);
        }
        if round % 11 == 0 {
            sleep(Duration::from_secs(40)).await;
            let mut now = BTreeSet::new();
            while let Ok(update) = source.updates.try_recv() {
                now = take_in(update);
                sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(now, expected, "round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_object_translates() {
    let api = MockApi::new();
    api.apply(route("a", 1));
    let update = start(&api).next().await;
    assert_eq!(update.said(), []);
    let mut translator = translator::Translator::new(translator::Settings::default());
    assert!(translator.update(update.changes).evaluated() > 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_service_the_owner_and_the_addresses_are_kept_and_its_conditions_are_not() {
    let api = MockApi::new();
    api.apply(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web", "namespace": "default", "selfLink": "x",
            "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "web", "uid": "u"}],
        },
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}, "conditions": []},
    }));
    let update = start(&api).next().await;
    let [Change::Apply(crds::Object::Service(service))] = update.changes.as_slice() else {
        panic!("{update:?}")
    };
    assert_eq!(service.metadata.owner_references.as_ref().unwrap()[0].uid, "u");
    let status = service.status.as_ref().unwrap();
    assert_eq!(
        status.load_balancer.as_ref().unwrap().ingress.as_ref().unwrap()[0].ip.as_deref(),
        Some("10.0.0.1")
    );
    assert_eq!((&status.conditions, &service.metadata.resource_version), (&None, &None));
}
