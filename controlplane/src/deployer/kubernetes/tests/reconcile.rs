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
use translator::CONTROLLER_NAME;

use super::super::object::{ManifestKind, ObjectKey, Observed};
use super::super::reconciler::{Pass, Reconciler, Wanted, WantedProxy};
use super::super::watch::Observation;
use super::super::{DeployFailures, Manifest};
use crate::controller_name::ControllerName;

/// An API server that knows gets, applies and deletes.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    /// What an apply has made.
    created: Vec<String>,
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
            let reason = match code {
                404 => "NotFound",
                409 => "Conflict",
                _ => "Forbidden",
            };
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
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                let known = state.objects.get(&path).map(|known| known["metadata"]["uid"].clone());
                let uid = object["metadata"]["uid"].clone();
                if !uid.is_null() && known.as_ref() != Some(&uid) {
                    return respond(status(409));
                }
                object["metadata"]["uid"] = known.unwrap_or_else(|| {
                    state.created.push(path.clone());
                    format!("uid-of-{}", object["metadata"]["name"].as_str().unwrap()).into()
                });
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
            "name": name, "namespace": "default", "labels": {"l": label},
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
        (
            gateway(name),
            WantedProxy { uid: Some("g".to_owned()), is_being_deleted: false, manifests: manifests.to_vec() },
        )
    };
    Wanted { gateways: names.iter().map(proxy).collect(), ..Wanted::default() }
}

/// A whole pass; gives what failed.
async fn pass(reconciler: &mut Reconciler, wanted: &Wanted) -> DeployFailures {
    assert_ne!(reconciler.reconcile(wanted, &|| true).await, Pass::Outdated);
    reconciler.failures().clone()
}

/// The Gateways that stand in the cluster, and the classes.
fn stand(api: &Api, names: &[&str], class: &str) {
    for name in names {
        let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/{name}");
        let object = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "default", "uid": "g"},
            "spec": {"gatewayClassName": class},
        });
        api.put(&path, object);
    }
    for (name, controller) in [("chancery", CONTROLLER_NAME), ("foreign", "example.com/other")] {
        let object = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": name}, "spec": {"controllerName": controller},
        });
        api.put(&format!("/apis/gateway.networking.k8s.io/v1/gatewayclasses/{name}"), object);
    }
}

fn present(kind: ManifestKind, name: &str, label: &str) -> Observation {
    let mut object = object(kind, name, label);
    object["metadata"]["uid"] = format!("uid-of-{name}").into();
    let object: DynamicObject = serde_json::from_value(object).unwrap();
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
    stand(&api, &["a", "b", "kept"], "chancery");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    assert!(pass(&mut reconciler, &wanted(&["a"])).await.is_empty());
    assert_eq!(api.writes(), applied(&[SERVICE_A, DEPLOYMENT_A]));
    assert!(pass(&mut reconciler, &wanted(&["a"])).await.is_empty());
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn what_somebody_edited_or_deleted_is_put_right_and_then_left_alone() {
    let api = Api::default();
    stand(&api, &["a", "b", "kept"], "chancery");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    let ours = || present(ManifestKind::Deployment, "a", "ours");
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[SERVICE_A, DEPLOYMENT_A]));
    // Our own write, as the watch shows it.
    reconciler.observe(ours());
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), [""; 0]);
    // The same again, as after a change of its status.
    reconciler.observe(ours());
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), [""; 0]);
    reconciler.observe(present(ManifestKind::Deployment, "a", "edited"));
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
    reconciler.observe(Observation::Gone(key(ManifestKind::Deployment, "a")));
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
    // Lost while the watch was away.
    reconciler.observe(Observation::All(ManifestKind::Deployment, [].into()));
    pass(&mut reconciler, &wanted(&["a"])).await;
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
}

#[tokio::test]
async fn only_what_a_gateway_owns_and_nobody_wants_is_deleted() {
    let api = Api::default();
    stand(&api, &["a", "b", "kept"], "chancery");
    // Handed over to another controller, which does not know what we have made.
    stand(&api, &["b"], "foreign");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    for name in ["a", "b", "kept"] {
        reconciler.observe(present(ManifestKind::Service, name, "ours"));
        reconciler.observe(present(ManifestKind::Deployment, name, "ours"));
    }
    let mut foreign = object(ManifestKind::Service, "c", "ours");
    foreign["metadata"]["ownerReferences"] = json!([]);
    let foreign: DynamicObject = serde_json::from_value(foreign).unwrap();
    reconciler.observe(Observation::Present(key(ManifestKind::Service, "c"), Observed::new(&foreign)));
    let wanted = Wanted { unserved: [gateway("kept")].into(), ..wanted(&["a"]) };
    pass(&mut reconciler, &wanted).await;
    let deleted: Vec<_> = api.writes().into_iter().filter(|write| write.starts_with("DELETE")).collect();
    assert_eq!(
        deleted,
        [
            "DELETE /apis/apps/v1/namespaces/default/deployments/b",
            "DELETE /api/v1/namespaces/default/services/b",
        ]
    );
    pass(&mut reconciler, &wanted).await;
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over_and_the_gateway_says_so() {
    let api = Api::default();
    stand(&api, &["a", "b", "kept"], "chancery");
    let mut foreign = object(ManifestKind::Service, "a", "theirs");
    foreign["metadata"]["ownerReferences"] = json!([]);
    api.put(SERVICE_A, foreign);
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    let failures = pass(&mut reconciler, &wanted(&["a", "b"])).await;
    let expected =
        "Service default/a: exists and does not belong to this Gateway; rename or delete one of them";
    assert_eq!(failures, [(gateway("a"), expected.to_owned())].into());
    let writes = api.writes();
    assert!(writes.iter().all(|write| write.ends_with("/b")) && writes.len() == 2, "{writes:?}");
}

#[tokio::test]
async fn what_an_earlier_gateway_of_the_same_name_left_is_not_taken_over() {
    let api = Api::default();
    stand(&api, &["a", "b", "kept"], "chancery");
    let mut old = object(ManifestKind::Service, "a", "old");
    old["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    api.put(SERVICE_A, old);
    let failures = pass(&mut Reconciler::new(api.client(), ControllerName::default()), &wanted(&["a"])).await;
    assert_eq!(failures.len(), 1);
}

#[tokio::test]
async fn a_gateway_that_fails_keeps_no_other_from_being_served_and_is_tried_again() {
    let api = Api::default();
    stand(&api, &["a", "b", "kept"], "chancery");
    api.0.lock().unwrap().refused = Some("/deployments/a");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    let failures = pass(&mut reconciler, &wanted(&["a", "b"])).await;
    assert_eq!(failures, [(gateway("a"), "Deployment default/a: no".to_owned())].into());
    assert_eq!(api.writes().len(), 4);
    api.0.lock().unwrap().refused = None;
    assert!(pass(&mut reconciler, &wanted(&["a", "b"])).await.is_empty());
    assert_eq!(api.writes(), applied(&[DEPLOYMENT_A]));
}

#[tokio::test]
async fn nothing_is_deleted_that_the_garbage_collector_removes_or_that_still_serves() {
    let api = Api::default();
    stand(&api, &["a"], "chancery");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    for name in ["a", "gone"] {
        reconciler.observe(present(ManifestKind::Service, name, "ours"));
        reconciler.observe(present(ManifestKind::Deployment, name, "ours"));
    }
    // As if a translation had lost them both.
    assert_eq!(reconciler.reconcile(&wanted(&[]), &|| true).await, Pass::Done);
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn what_the_garbage_collector_removed_is_not_made_again_and_what_a_hand_deleted_is() {
    for (is_gone, uid, deleting) in
        [(true, "g", false), (false, "another", false), (false, "g", true), (false, "g", false)]
    {
        // Once seen to be gone, and once removed before the watch has told so.
        for is_told in [true, false] {
            let api = Api::default();
            stand(&api, &["a"], "chancery");
            let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
            pass(&mut reconciler, &wanted(&["a"])).await;
            reconciler.observe(present(ManifestKind::Deployment, "a", "ours"));
            {
                let mut state = api.0.lock().unwrap();
                state.objects.remove(DEPLOYMENT_A);
                state.created.clear();
                let path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/a";
                let gateway = state.objects.get_mut(path).unwrap();
                gateway["metadata"]["uid"] = uid.into();
                if deleting {
                    gateway["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                }
                if is_gone {
                    state.objects.remove(path);
                }
            }
            match is_told {
                true => reconciler.observe(Observation::Gone(key(ManifestKind::Deployment, "a"))),
                // Somebody edits it, we would put it right, and it is deleted at that moment.
                false => reconciler.observe(present(ManifestKind::Deployment, "a", "edited")),
            }
            assert!(pass(&mut reconciler, &wanted(&["a"])).await.is_empty());
            let stands = !is_gone && uid == "g" && !deleting;
            let expected: &[&str] = if stands { &[DEPLOYMENT_A] } else { &[] };
            let created = api.0.lock().unwrap().created.clone();
            assert_eq!(created, expected, "{is_gone} {uid} {deleting} {is_told}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_being_deleted_is_left_alone() {
    let api = Api::default();
    stand(&api, &["a"], "chancery");
    let mut wanted = wanted(&["a"]);
    wanted.gateways.get_mut(&gateway("a")).unwrap().is_being_deleted = true;
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    reconciler.observe(present(ManifestKind::Service, "a", "edited"));
    assert!(pass(&mut reconciler, &wanted).await.is_empty());
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test]
async fn a_pass_ends_with_its_wish_and_every_gateway_gets_its_turn() {
    let api = Api::default();
    let names = ["a", "b", "c", "d"];
    stand(&api, &names, "chancery");
    let mut reconciler = Reconciler::new(api.client(), ControllerName::default());
    // There is always a newer wish.
    for _ in 0..100 {
        if reconciler.reconcile(&wanted(&names), &|| false).await == Pass::Done {
            break;
        }
    }
    assert!(pass(&mut reconciler, &wanted(&names)).await.is_empty());
    let writes = api.writes();
    assert_eq!(writes.len(), names.len() * 2, "each object was applied once: {writes:?}");
}
