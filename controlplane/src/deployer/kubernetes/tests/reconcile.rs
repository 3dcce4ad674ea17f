//! What is written to the API server, and what is left alone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use ir::GatewayName;
use kube::Client;
use kube::api::DynamicObject;
use kube::client::Body;
use serde_json::{Value, json};

use super::super::Manifest;
use super::super::object::{ManifestKind, ObjectKey, Observed};
use super::super::reconciler::{Reconciler, Wanted, WantedProxy};
use super::super::watch::Observation;

/// An API server that knows gets, applies and deletes.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    /// Writes to paths that end so are refused.
    refused: Option<&'static str>,
}

impl Api {
    fn client(&self) -> Client {
        let this = self.clone();
        let answer = move |request: Request<Body>| {
            let this = this.clone();
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        let mut state = self.0.lock().unwrap();
        let status = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "Forbidden" };
            let body = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"});
            (code, body)
        };
        if parts.method != Method::GET {
            state.writes.push(format!("{} {path}", parts.method));
            if state.refused.is_some_and(|end| path.ends_with(end)) {
                return respond(status(403));
            }
        }
        let answer = match parts.method {
            Method::GET => {
                state.objects.get(&path).cloned().map_or_else(|| status(404), |object| (200, object))
            }
            Method::PATCH => {
                let query = parts.uri.query().unwrap();
                assert!(
                    query.contains("fieldManager=chancery.dev") && query.contains("force=true"),
                    "{query}"
                );
                let object: Value = serde_json::from_slice(&body).unwrap();
                state.objects.insert(path, object.clone());
                (200, object)
            }
            Method::DELETE => {
                let options: Value = serde_json::from_slice(&body).unwrap();
                assert!(options.pointer("/preconditions/uid").is_some());
                state.objects.remove(&path).map_or_else(|| status(404), |object| (200, object))
            }
            other => panic!("{other}"),
        };
        respond(answer)
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }
}

fn respond((code, body): (u16, Value)) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}

fn gateway(name: &str) -> GatewayName {
    GatewayName { namespace: "default".to_owned(), name: name.to_owned() }
}

fn key(kind: ManifestKind, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: "default".to_owned(), name: name.to_owned() }
}

fn object(kind: ManifestKind, name: &str, label: &str) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind(),
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "labels": {"l": label},
            "ownerReferences": [{
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": name, "uid": "g",
            }],
        },
    })
}

fn manifest(kind: ManifestKind, name: &str) -> Manifest {
    Manifest { key: key(kind, name), object: object(kind, name, "ours") }
}

fn wanted(names: &[&str]) -> Wanted {
    let proxy = |name: &&str| {
        let manifests = [ManifestKind::Service, ManifestKind::Deployment].map(|kind| manifest(kind, name));
        (gateway(name), WantedProxy { uid: Some("g".to_owned()), manifests: manifests.to_vec() })
    };
    Wanted { gateways: names.iter().map(proxy).collect(), ..Wanted::default() }
}

fn present(kind: ManifestKind, name: &str, label: &str) -> Observation {
    let object: DynamicObject = serde_json::from_value(object(kind, name, label)).unwrap();
    Observation::Present(key(kind, name), Observed::new(&object))
}

const SERVICE_A: &str = "/api/v1/namespaces/default/services/a";
const DEPLOYMENT_A: &str = "/apis/apps/v1/namespaces/default/deployments/a";

fn applied(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| format!("PATCH {path}")).collect()
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let api = Api::default();
    let mut reconciler = Reconciler::new(api.client());
    assert!(reconciler.reconcile(&wanted(&["a"])).await.is_empty());
    assert_eq!(api.writes(), applied(&[SERVICE_A, DEPLOYMENT_A]));
    assert!(reconciler.reconcile(&wanted(&["a"])).await.is_empty());
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn what_somebody_edited_or_deleted_is_put_right_and_then_left_alone() {
    let api = Api::default();
    let mut reconciler = Reconciler::new(api.client());
    let ours = || present(ManifestKind::Deployment, "a", "ours");
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[SERVICE_A, DEPLOYMENT_A]));
    // Our own write, as the watch shows it.
    reconciler.observe(ours());
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), [""; 0]);
    // The same again, as after a change of its status.
    reconciler.observe(ours());
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), [""; 0]);
    reconciler.observe(present(ManifestKind::Deployment, "a", "edited"));
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
    reconciler.observe(Observation::Gone(key(ManifestKind::Deployment, "a")));
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
    // Lost while the watch was away.
    reconciler.observe(Observation::All(ManifestKind::Deployment, [].into()));
    reconciler.reconcile(&wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
}

#[tokio::test]
async fn only_what_a_gateway_owns_and_nobody_wants_is_deleted() {
    let api = Api::default();
    let mut reconciler = Reconciler::new(api.client());
    for name in ["a", "b", "kept"] {
        reconciler.observe(present(ManifestKind::Service, name, "ours"));
        reconciler.observe(present(ManifestKind::Deployment, name, "ours"));
    }
    let mut foreign = object(ManifestKind::Service, "c", "ours");
    foreign["metadata"]["ownerReferences"] = json!([]);
    let foreign: DynamicObject = serde_json::from_value(foreign).unwrap();
    reconciler.observe(Observation::Present(key(ManifestKind::Service, "c"), Observed::new(&foreign)));
    let wanted = Wanted { unserved: [gateway("kept")].into(), ..wanted(&["a"]) };
    reconciler.reconcile(&wanted).await;
    let deleted: Vec<_> = api.writes().into_iter().filter(|write| write.starts_with("DELETE")).collect();
    assert_eq!(
        deleted,
        [
            "DELETE /apis/apps/v1/namespaces/default/deployments/b",
            "DELETE /api/v1/namespaces/default/services/b",
        ]
    );
    reconciler.reconcile(&wanted).await;
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over_and_the_gateway_says_so() {
    let api = Api::default();
    let mut foreign = object(ManifestKind::Service, "a", "theirs");
    foreign["metadata"]["ownerReferences"] = json!([]);
    api.put(SERVICE_A, foreign);
    let mut reconciler = Reconciler::new(api.client());
    let failures = reconciler.reconcile(&wanted(&["a", "b"])).await;
    let expected =
        "Service default/a: exists and does not belong to this Gateway; rename or delete one of them";
    assert_eq!(failures, [(gateway("a"), expected.to_owned())].into());
    let writes = api.writes();
    assert!(writes.iter().all(|write| write.ends_with("/b")) && writes.len() == 2, "{writes:?}");
}

#[tokio::test]
async fn what_an_earlier_gateway_of_the_same_name_left_is_not_taken_over() {
    let api = Api::default();
    let mut old = object(ManifestKind::Service, "a", "old");
    old["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    api.put(SERVICE_A, old);
    let failures = Reconciler::new(api.client()).reconcile(&wanted(&["a"])).await;
    assert_eq!(failures.len(), 1);
}

#[tokio::test]
async fn a_gateway_that_fails_keeps_no_other_from_being_served_and_is_tried_again() {
    let api = Api::default();
    api.0.lock().unwrap().refused = Some("/deployments/a");
    let mut reconciler = Reconciler::new(api.client());
    let failures = reconciler.reconcile(&wanted(&["a", "b"])).await;
    assert_eq!(failures, [(gateway("a"), "Deployment default/a: no".to_owned())].into());
    assert_eq!(api.writes().len(), 4);
    api.0.lock().unwrap().refused = None;
    assert!(reconciler.reconcile(&wanted(&["a", "b"])).await.is_empty());
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
}
