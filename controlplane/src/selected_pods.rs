//! Services by which Kubernetes finds the pods of XBackends (type `EndpointSelector`).
//!
//! Gateway API lets an implementation make a Service for the selector until Kubernetes has a resource of its own for that
//! (GEP-4894, "Stop-Gap: Service Backing"; KEP-6116). Its EndpointSlices are what is read: they carry the labels of the
//! Service, and by [`X_BACKEND_LABEL`] the translation finds them. So no right to read pods is needed, nor a watch of all of
//! them.
//!
//! Such a Service has no address, a name that nobody can rely on, and the XBackend as its owner, with which it goes. One
//! that no XBackend needs any more is deleted here. Only the leader writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::NamespacedName;
use crds::gateway_api::x_backend;
use ir::{CONTROLLER_LABEL, X_BACKEND_LABEL};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Error};
use serde_json::{Value, json};
use tokio::sync::watch as channel;
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt as _;
use translator::Selection;

use crate::backoff::Backoff;
use crate::controller_name::ControllerName;
use crate::lease::Leadership;
use crate::mailbox;

/// The first and the longest wait after something failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Pods for which Services are needed, by XBackend; `None` is no longer.
pub type SelectionChanges = BTreeMap<NamespacedName, Option<Arc<Selection>>>;

/// Keeps a Service for every selection.
pub struct SelectedPods {
    client: Client,
    controller: ControllerName,
    leadership: channel::Receiver<Leadership>,
    wanted: BTreeMap<NamespacedName, Arc<Selection>>,
    /// Those of ours that are there, by name.
    present: BTreeMap<NamespacedName, Service>,
    /// Whether these are all. They are not while a list comes in, which also happens later: when a watch has expired.
    is_listed: bool,
}

impl SelectedPods {
    /// One that has done nothing.
    pub fn new(
        client: Client,
        controller: ControllerName,
        leadership: channel::Receiver<Leadership>,
    ) -> Self {
        Self {
            client,
            controller,
            leadership,
            wanted: BTreeMap::new(),
            present: BTreeMap::new(),
            is_listed: false,
        }
    }

    /// Makes what there is equal to what is wanted, at every change of either, and tries again what failed. Begins with the
    /// first translation and the first list of Services, when leading. Ends when no more translations come.
    pub async fn run(mut self, mut selections: mailbox::Receiver<NamespacedName, Option<Arc<Selection>>>) {
        let services = watcher::Config::default().labels(&selector(&self.controller));
        let mut events =
            Box::pin(watcher(Api::<Service>::all(self.client.clone()), services).default_backoff());
        let mut leadership = self.leadership.clone();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let (mut is_translated, mut is_failing) = (false, false);
        loop {
            if let Some(news) = selections.try_take() {
                is_translated = true;
                self.take(news);
            }
            let leads = leadership.borrow_and_update().is_leader();
            let mut retry_at = None;
            if is_translated && self.is_listed && leads {
                match self.reconcile().await {
                    true => backoff.reset(),
                    false => retry_at = Some(Instant::now() + backoff.next()),
                }
            }
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => {
                        is_failing = false;
                        self.observe(event);
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut is_failing, true) {
                            tracing::warn!(%error, "cannot watch the Services of XBackends; trying again");
                        }
                    }
                },
                is_open = selections.changed() => if !is_open {
                    return;
                },
                Ok(()) = leadership.changed() => {}
                () = async {
                    match retry_at {
                        Some(moment) => sleep_until(moment).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    fn take(&mut self, news: SelectionChanges) {
        for (backend, selection) in news {
            match selection {
                Some(selection) => drop(self.wanted.insert(backend, selection)),
                None => drop(self.wanted.remove(&backend)),
            }
        }
    }

    /// Notes what the API server says.
    fn observe(&mut self, event: Event<Service>) {
        match event {
            Event::Init => {
                self.present.clear();
                self.is_listed = false;
            }
            Event::InitDone => self.is_listed = true,
            // One that no XBackend owns is not ours, whoever has given it the label.
            Event::InitApply(service) | Event::Apply(service) if owner(&service).is_some() => {
                self.present.insert(name(&service), service);
            }
            Event::InitApply(service) | Event::Apply(service) | Event::Delete(service) => {
                self.present.remove(&name(&service));
            }
        }
    }

    /// Makes, mends and deletes Services; `false` if not all succeeded. One that fails stops no other.
    async fn reconcile(&mut self) -> bool {
        let mut is_done = true;
        // What is left when each selection has taken its Service is not needed.
        let mut left = self.present.clone();
        for (backend, selection) in self.wanted.clone() {
            let Some(uid) = &selection.uid else { continue };
            let is_its = |(name, service): &(&NamespacedName, &Service)| {
                name.namespace == backend.namespace && owner(service) == Some(uid.as_str())
            };
            let own = left.iter().find(is_its).map(|(name, _)| name.clone());
            let own = own.and_then(|name| left.remove_entry(&name));
            if let Err(error) = self.provide(&backend, uid, &selection, own).await {
                tracing::warn!(xbackend = %backend, %error, "cannot provide for the pods of an XBackend");
                is_done = false;
            }
        }
        for (name, service) in left {
            if let Err(error) = self.delete(&name, &service).await {
                tracing::warn!(service = %name, %error, "cannot delete");
                is_done = false;
            }
        }
        is_done
    }

    async fn provide(
        &mut self,
        backend: &NamespacedName,
        uid: &str,
        selection: &Selection,
        own: Option<(NamespacedName, Service)>,
    ) -> Result<(), Error> {
        let (api, spec) = (self.api(&backend.namespace), spec(selection));
        let service = match own {
            Some((_, service)) if fits(&service, selection) => return Ok(()),
            Some((name, service)) => {
                let patch = Patch::<()>::Json(mend(&service, selection, &spec).map_err(Error::SerdeError)?);
                tracing::info!(service = %name, xbackend = %backend, "changed");
                api.patch(&name.name, &PatchParams::default(), &patch).await?
            }
            None => {
                let service = service(backend, uid, selection, &self.controller, spec);
                let service = serde_json::from_value(service).map_err(Error::SerdeError)?;
                let made = api.create(&PostParams::default(), &service).await?;
                tracing::info!(service = %name(&made), xbackend = %backend, "made");
                made
            }
        };
        // Known at once: else it would be made twice.
        self.present.insert(name(&service), service);
        Ok(())
    }

    /// Deletes the very Service that was seen.
    async fn delete(&mut self, name: &NamespacedName, service: &Service) -> Result<(), Error> {
        let preconditions = Preconditions { uid: service.metadata.uid.clone(), ..Preconditions::default() };
        let params = DeleteParams::background().preconditions(preconditions);
        match self.api(&name.namespace).delete(&name.name, &params).await {
            Ok(_) => tracing::info!(service = %name, "deleted, since no XBackend needs it any more"),
            // Gone already, or another one.
            Err(Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => return Err(error),
        }
        self.present.remove(name);
        Ok(())
    }

    fn api(&self, namespace: &str) -> Api<Service> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Selects what this control plane has made, and nothing that another one in the cluster has.
fn selector(controller: &ControllerName) -> String {
    match controller.label() {
        Some(name) => format!("{X_BACKEND_LABEL},{CONTROLLER_LABEL}={name}"),
        None => format!("{X_BACKEND_LABEL},!{CONTROLLER_LABEL}"),
    }
}

fn name(service: &Service) -> NamespacedName {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    NamespacedName::new(text(&service.metadata.namespace), text(&service.metadata.name))
}

/// The uid of the XBackend that a Service belongs to.
fn owner(service: &Service) -> Option<&str> {
    let is_x_backend = |owner: &&OwnerReference| {
        owner.kind == "XBackend" && owner.api_version.split('/').next() == Some(x_backend::GROUP)
    };
    service.metadata.owner_references.iter().flatten().find(is_x_backend).map(|owner| owner.uid.as_str())
}

/// The part of a Service that is ours to say.
fn spec(selection: &Selection) -> Value {
    let port = selection.port;
    json!({
        "selector": selection.match_labels,
        "ports": [{"port": port, "targetPort": port, "protocol": "TCP"}],
    })
}

/// A Service without an address. Its name is the API server's to choose: it shall not become a name that somebody resolves.
fn service(
    backend: &NamespacedName,
    uid: &str,
    selection: &Selection,
    controller: &ControllerName,
    mut spec: Value,
) -> Value {
    spec["clusterIP"] = "None".into();
    let mut labels = json!({X_BACKEND_LABEL: selection.label});
    if let Some(name) = controller.label() {
        labels[CONTROLLER_LABEL] = name.into();
    }
    // A Service's name has 63 characters at most, of which the API server adds five.
    let prefix: String = backend.name.chars().filter(|char| *char != '.').take(40).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "generateName": format!("x-{prefix}-"),
            "namespace": backend.namespace,
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": format!("{}/v1alpha1", x_backend::GROUP),
                "kind": "XBackend",
                "name": backend.name,
                "uid": uid,
                "controller": true,
            }],
        },
        "spec": spec,
    })
}

/// Whether a Service is as a selection wants it.
fn fits(service: &Service, selection: &Selection) -> bool {
    let Some(spec) = &service.spec else { return false };
    let port = i32::from(selection.port);
    let has_port = matches!(spec.ports.as_deref(), Some([only]) if only.port == port);
    let label = service.metadata.labels.as_ref().and_then(|labels| labels.get(X_BACKEND_LABEL));
    has_port && spec.selector.as_ref() == Some(&selection.match_labels) && label == Some(&selection.label)
}

/// What makes a Service right: that very one, or none.
fn mend(
    service: &Service,
    selection: &Selection,
    spec: &Value,
) -> Result<json_patch::Patch, serde_json::Error> {
    let label = format!("/metadata/labels/{}", X_BACKEND_LABEL.replace('/', "~1"));
    serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/uid", "value": service.metadata.uid},
        {"op": "add", "path": label, "value": selection.label},
        {"op": "add", "path": "/spec/selector", "value": spec["selector"]},
        {"op": "add", "path": "/spec/ports", "value": spec["ports"]},
    ]))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use tokio::sync::watch;
    use tokio::time::timeout;

    use super::*;
    use crate::mailbox::mailbox;
    use crate::mock_api::{Fault, MockApi, Write};

    struct Running {
        api: MockApi,
        selections: mailbox::Sender<NamespacedName, Option<Arc<Selection>>>,
        leadership: watch::Sender<Leadership>,
    }

    fn start() -> Running {
        let api = MockApi::new();
        let (selections, received) = mailbox();
        let until = Instant::now() + Duration::from_secs(86_400);
        let (leadership, leads) = watch::channel(Leadership::Leader { until });
        let pods = SelectedPods::new(api.client(), ControllerName::default(), leads);
        tokio::spawn(pods.run(received));
        Running { api, selections, leadership }
    }

    fn select(app: &str, port: u16) -> SelectionChanges {
        let selection = Selection {
            label: "shop".to_owned(),
            uid: Some("u-1".to_owned()),
            match_labels: [("app".to_owned(), app.to_owned())].into(),
            port,
        };
        [(NamespacedName::new("default", "shop"), Some(Arc::new(selection)))].into()
    }

    impl Running {
        /// The writes, once there are so many.
        async fn writes(&self, count: usize) -> Vec<Write> {
            timeout(Duration::from_secs(30), self.api.has_writes(count)).await.expect("in time")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_without_an_address_is_made_mended_and_deleted() {
        let running = start();
        running.selections.put(select("shop", 3000));
        let writes = running.writes(1).await;
        let [Write { method, path, body, code: 200 }] = &*writes else { panic!("{writes:?}") };
        assert_eq!((method, path.as_str()), (&Method::POST, "/api/v1/namespaces/default/services"));
        assert_eq!(body["metadata"]["name"], Value::Null);
        assert_eq!(body["metadata"]["generateName"], "x-shop-");
        assert_eq!(body["metadata"]["labels"], json!({"chancery.dev/xbackend": "shop"}));
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(body["spec"]["clusterIP"], "None");
        assert_eq!(body["spec"]["selector"], json!({"app": "shop"}));
        // Other pods at another port: the same Service, which is changed.
        running.selections.put(select("store", 3001));
        let writes = running.writes(2).await;
        assert_eq!(writes[1].method, Method::PATCH);
        assert_eq!(writes[1].body[1]["path"], "/metadata/labels/chancery.dev~1xbackend");
        assert_eq!(writes[1].body[1]["value"], "shop");
        assert_eq!(writes[1].body[2]["value"], json!({"app": "store"}));
        assert_eq!(writes[1].body[3]["value"][0]["targetPort"], 3001);
        // The same again is nothing to do, and what is no longer wanted goes.
        running.selections.put(select("store", 3001));
        running.selections.put([(NamespacedName::new("default", "shop"), None)]);
        let writes = running.writes(3).await;
        assert_eq!(writes[2].method, Method::DELETE);
        assert_eq!(writes.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_a_follower_writes_nothing() {
        let running = start();
        running.leadership.send_replace(Leadership::Follower);
        running.selections.put(select("shop", 3000));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(running.api.writes(), []);
        running.api.fail_writes(&[Fault::Status(500)]);
        let until = Instant::now() + Duration::from_secs(86_400);
        running.leadership.send_replace(Leadership::Leader { until });
        let codes: Vec<u16> = running.writes(2).await.iter().map(|write| write.code).collect();
        assert_eq!(codes, [500, 200]);
    }

    /// A Service as somebody has it, with this label.
    fn labelled(name: &str, label: &str, owners: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "labels": {X_BACKEND_LABEL: label}, "ownerReferences": owners},
            "spec": {"selector": {"app": "shop"}, "ports": [{"port": 3000}]}})
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_found_again_when_a_watch_expires_and_that_of_others_is_left_alone() {
        let running = start();
        let owner = json!([{"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend", "name": "shop", "uid": "u-1"}]);
        running.api.apply(labelled("x-shop-1", "shop", &owner));
        running.api.apply(labelled("a-users-own", "shop", &json!([])));
        running.selections.put(select("shop", 3000));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            running.api.expire_watches("/api/v1/services");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(running.api.writes(), []);
        // A label that somebody has changed is put right.
        running.api.apply(labelled("x-shop-1", "other", &owner));
        let writes = running.writes(1).await;
        assert_eq!((&writes[0].method, &writes[0].body[1]["value"]), (&Method::PATCH, &json!("shop")));
    }

    #[test]
    fn control_planes_of_different_names_keep_different_services() {
        assert_eq!(selector(&ControllerName::default()), "chancery.dev/xbackend,!chancery.dev/controller");
        let other = selector(&"example.com/team-a".parse().unwrap());
        assert_eq!(other, "chancery.dev/xbackend,chancery.dev/controller=example.com_team-a");
    }
}
