//! When the deployer writes: what has to be there first, which of several translations counts, what is tried
//! again.

use std::sync::Arc;
use std::time::Duration;

use crds::Object;
use ir::{GatewayName, IpFamilies};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use translator::{Change, GatewayChange, Proxy, Settings, Translator};

use super::super::{
    DEFAULT_IMAGE, DeployFailures, DeploySettings, KubernetesDeployer, ManifestKind, ProxyHealth,
};
use crate::controller_name::ControllerName;
use crate::lease::Leadership;
use crate::mailbox::{self, mailbox};
use crate::mock_api::{Fault, MockApi, collection_path};
use crate::pipeline::ProxyChanges;
use crate::xds_trust::CaBundle;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";

/// How many objects are made for a Gateway.
const OBJECTS: usize = 5;

/// A deployer that runs, and what it hears of.
struct Running {
    api: MockApi,
    translated: mailbox::Sender<GatewayName, Option<Arc<Proxy>>>,
    bundle: watch::Sender<Option<CaBundle>>,
    leadership: watch::Sender<Leadership>,
    failures: watch::Receiver<DeployFailures>,
}

impl Running {
    /// One that has heard of nothing.
    fn start() -> Self {
        let api = MockApi::new();
        for kind in ManifestKind::ALL {
            let resource = kind.api_resource();
            api.add_kind(&collection_path(&resource.group, &resource.version, &resource.plural));
        }
        api.add_kind("/api/v1/pods");
        api.apply(gateway("web"));
        let (translated, translations) = mailbox();
        let (bundle, bundles) = watch::channel(None);
        let (leadership, leaderships) = watch::channel(Leadership::Follower);
        let (failed, failures) = watch::channel(DeployFailures::new());
        let (health, _) = watch::channel(ProxyHealth::default());
        let deployer = KubernetesDeployer::new(api.client(), settings(), leaderships, failed, health);
        tokio::spawn(deployer.run(translations, bundles));
        Self { api, translated, bundle, leadership, failures }
    }

    /// One that leads and has certificates.
    fn start_ready() -> Self {
        let running = Self::start();
        running.lead();
        running.certify();
        running
    }

    fn lead(&self) {
        self.leadership
            .send_replace(Leadership::Leader { until: Instant::now() + Duration::from_secs(86_400) });
    }

    fn certify(&self) {
        self.bundle.send_replace(Some(CaBundle::for_tests()));
    }

    fn translate(&self, replicas: i32) {
        self.translated.put(output(&["web"], replicas));
    }

    /// How many pods the Deployment wants; `None` without a Deployment.
    fn replicas(&self) -> Option<i64> {
        self.api.get(DEPLOYMENT)?["spec"]["replicas"].as_i64()
    }

    /// The numbers of pods that were ever written, in order.
    fn written(&self) -> Vec<i64> {
        let writes =
            self.api.writes().into_iter().filter(|write| write.path == DEPLOYMENT && write.code == 200);
        writes.filter_map(|write| write.body["spec"]["replicas"].as_i64()).collect()
    }
}

fn settings() -> DeploySettings {
    DeploySettings {
        controller: ControllerName::default(),
        xds_host: "chancery.chancery-system.svc".to_owned(),
        xds_port: 18000,
        token_audience: "chancery.dev/xds".to_owned(),
        image: DEFAULT_IMAGE.to_owned(),
        families: IpFamilies::V4,
    }
}

fn gateway(name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}")},
        "spec": {
            "gatewayClassName": "chancery",
            "infrastructure": {"parametersRef": {
                "group": "gateway.kgateway.dev", "kind": "GatewayParameters", "name": "p",
            }},
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
        },
    })
}

/// Gateways with so many pods each.
pub(super) fn output(names: &[&str], replicas: i32) -> ProxyChanges {
    let objects = [
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "chancery"},
            "spec": {"controllerName": "chancery.dev/gateway-controller"},
        }),
        json!({
            "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "GatewayParameters",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"kube": {"deployment": {"replicas": replicas}}},
        }),
    ];
    let gateways = names.iter().map(|name| gateway(name));
    let objects = objects.into_iter().chain(gateways);
    let changes = objects.map(|object| Change::Apply(Object::decode(object).unwrap().object));
    let delta = Translator::new(Settings::default()).update(changes);
    let proxies = delta.gateways.into_iter().map(|(name, change)| match change {
        GatewayChange::Served { proxy, .. } => (name, proxy),
        other => panic!("{name}: {other:?}"),
    });
    proxies.collect()
}

/// Gateways that are gone.
fn gone(names: &[&str]) -> ProxyChanges {
    let name = |name: &&str| GatewayName { namespace: "default".to_owned(), name: (*name).to_owned() };
    names.iter().map(|gateway| (name(gateway), None)).collect()
}

/// The same as a map of those that are served.
pub(super) fn proxies(names: &[&str]) -> std::collections::BTreeMap<GatewayName, Arc<Proxy>> {
    output(names, 1).into_iter().filter_map(|(name, proxy)| Some((name, proxy?))).collect()
}

/// So long that everything that is going to happen has happened.
async fn rest() {
    sleep(Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_before_a_translation_certificates_and_leadership_are_there_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let running = Running::start();
        for (position, step) in order.into_iter().enumerate() {
            rest().await;
            assert_eq!(running.api.writes().len(), 0, "{order:?} before step {position}");
            match step {
                0 => running.translate(1),
                1 => running.certify(),
                _ => running.lead(),
            }
        }
        running.api.has_writes(OBJECTS).await;
        rest().await;
        assert_eq!((running.replicas(), running.api.writes().len()), (Some(1), OBJECTS), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_translations_that_came_too_early_the_last_one_is_made() {
    let running = Running::start();
    for replicas in 1..=9 {
        running.translate(replicas);
        sleep(Duration::from_millis(1)).await;
    }
    running.certify();
    rest().await;
    running.lead();
    rest().await;
    assert_eq!(running.written(), [9]);
}

#[tokio::test(start_paused = true)]
async fn of_a_burst_of_translations_the_last_one_stands_and_none_comes_after_a_later_one() {
    for yields in 0..40 {
        let running = Running::start_ready();
        for replicas in 1..=20 {
            running.translate(replicas);
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
        }
        rest().await;
        let written = running.written();
        assert_eq!((running.replicas(), written.last()), (Some(20), Some(&20)), "{written:?}");
        assert!(written.is_sorted(), "{written:?}");
        let writes = running.api.writes().len();
        rest().await;
        assert_eq!(running.api.writes().len(), writes, "it has come to rest");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_said_and_tried_again_until_it_is_done() {
    let mut running = Running::start_ready();
    running.api.set_fault(DEPLOYMENT, Some(Fault::Status(500)));
    running.translate(3);
    running.failures.wait_for(|failures| !failures.is_empty()).await.unwrap();
    rest().await;
    assert_eq!(running.replicas(), None);
    running.api.set_fault(DEPLOYMENT, None);
    // The longest wait is 30 s.
    let done = running.failures.wait_for(DeployFailures::is_empty);
    timeout(Duration::from_secs(40), done).await.expect("in time").unwrap();
    assert_eq!(running.replicas(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_it_is_the_newest_translation_that_is_tried() {
    let mut running = Running::start_ready();
    running.api.set_fault(DEPLOYMENT, Some(Fault::Status(500)));
    running.translate(3);
    running.failures.wait_for(|failures| !failures.is_empty()).await.unwrap();
    running.translate(4);
    running.api.set_fault(DEPLOYMENT, None);
    rest().await;
    assert_eq!(running.written(), [4]);
    assert!(running.failures.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_any_more_writes_nothing_and_puts_all_right_when_it_leads_again() {
    let running = Running::start_ready();
    running.translate(1);
    running.api.has_writes(OBJECTS).await;
    rest().await;
    running.leadership.send_replace(Leadership::Follower);
    let before = running.api.writes().len();
    running.translate(2);
    let mut edited = running.api.get(DEPLOYMENT).unwrap();
    edited["spec"]["replicas"] = json!(7);
    running.api.apply(edited);
    rest().await;
    assert_eq!(running.api.writes().len(), before);
    running.lead();
    rest().await;
    assert_eq!(running.replicas(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_hands_edit_is_put_right_by_one_write() {
    let running = Running::start_ready();
    running.translate(1);
    running.api.has_writes(OBJECTS).await;
    rest().await;
    let edit = |field: &str, value: Value| {
        let mut edited = running.api.get(DEPLOYMENT).unwrap();
        edited["spec"][field] = value;
        running.api.apply(edited);
    };
    let before = running.api.writes().len();
    edit("replicas", json!(7));
    rest().await;
    assert_eq!((running.replicas(), running.api.writes().len()), (Some(1), before + 1));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_comes_first_nothing_is_made_for_a_gateway_that_is_gone_and_all_for_those_that_stand(
        steps in proptest::collection::vec((0_usize..4, 0_usize..6, 0_usize..12), 1..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(interleave(&steps));
    }
}

/// Steps in the given order, each a kind of event, a Gateway that it is about, and how long until the next: a
/// Gateway is deleted; the garbage collector removes one object of a Gateway that is gone; the translation catches
/// up; a new Gateway comes.
async fn interleave(steps: &[(usize, usize, usize)]) {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let running = Running::start_ready();
    let api = &running.api;
    let translate = || {
        let stand: Vec<&str> =
            NAMES.into_iter().filter(|name| api.get(&gateway_path(name)).is_some()).collect();
        let mut changes = gone(&NAMES);
        changes.extend(output(&stand, 1));
        running.translated.put(changes);
    };
    for name in &NAMES[..3] {
        api.apply(gateway(name));
    }
    translate();
    rest().await;
    for &(event, which, yields) in steps {
        let name = NAMES[which];
        let stands = api.get(&gateway_path(name)).is_some();
        match event {
            0 if stands => api.delete(&gateway_path(name)),
            1 if !stands => {
                let paths = ManifestKind::ALL.map(|kind| made_path(kind, name));
                if let Some(path) = paths.iter().find(|path| api.get(path).is_some()) {
                    api.delete(path);
                }
            }
            2 => translate(),
            // The name of a Gateway that is gone stays free here: its successor would have another uid.
            3 if !stands && api.deleted(&gateway_path(name)).is_none() => drop(api.apply(gateway(name))),
            _ => {}
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    }
    // The garbage collector gets to its end, and so does the translation; in this order, which is the worse one.
    for name in NAMES.into_iter().filter(|name| api.get(&gateway_path(name)).is_none()) {
        let paths = ManifestKind::ALL.map(|kind| made_path(kind, name));
        for path in paths.iter().filter(|path| api.get(path).is_some()) {
            api.delete(path);
            tokio::task::yield_now().await;
        }
    }
    rest().await;
    translate();
    rest().await;
    for name in NAMES {
        let stands = api.get(&gateway_path(name)).is_some();
        for path in ManifestKind::ALL.map(|kind| made_path(kind, name)) {
            assert_eq!(api.get(&path).is_some(), stands, "{path}");
            let gone_at = api.deleted(&gateway_path(name));
            let made_after =
                api.created(&path).into_iter().filter(|at| gone_at.is_some_and(|gone| *at > gone));
            assert_eq!(made_after.count(), 0, "{path} was made after its Gateway had gone");
        }
    }
}

fn gateway_path(name: &str) -> String {
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/{name}")
}

fn made_path(kind: ManifestKind, name: &str) -> String {
    let resource = kind.api_resource();
    let collection = collection_path(&resource.group, &resource.version, "namespaces/default");
    format!("{collection}/{}/{name}", resource.plural)
}

#[tokio::test(start_paused = true)]
async fn a_newer_translation_counts_before_what_the_garbage_collector_has_removed() {
    let running = Running::start_ready();
    running.translate(1);
    running.api.has_writes(OBJECTS).await;
    rest().await;
    let before = running.api.writes().len();
    running.api.delete(&gateway_path("web"));
    for kind in ManifestKind::ALL {
        running.api.delete(&made_path(kind, "web"));
    }
    running.translated.put(gone(&["web"]));
    rest().await;
    assert_eq!(running.api.writes().len(), before, "nothing is written for a Gateway that is gone");
}
