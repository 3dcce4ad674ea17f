//! The admin port: health, metrics, statuses and the names of what is read and served. Nothing secret, but what is sealed for
//! other replicas.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crds::ObjectRef;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use xds::{ResourceType, Snapshot, SnapshotCache};

use crate::handover::{self, Handover};
use crate::kept_status::KeptStatus;
use crate::refusal::Refusals;
use crate::refusals;
use crate::source::kubernetes::{HeldObject, Inventory};
use crate::status::{SharedStatuses, lock};
use crate::vital::Vitals;
use crate::xds_trust::CaBundle;

/// What can be seen of the program at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What is still missing until all is served, in a few words each; empty when ready.
    pub waiting_for: Vec<String>,
    /// Every status, and what is wrong with the objects. Looked at when somebody asks.
    pub statuses: SharedStatuses,
    /// What is wrong with the places that objects come from, one line each.
    pub problems: Vec<String>,
}

/// What the admin server shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The program as it is now.
    pub view: watch::Receiver<View>,
    /// Every metric.
    pub registry: Arc<Registry>,
    /// What Envoys are served.
    pub cache: SnapshotCache,
    /// What proves the xDS port, without which it lets nobody in; `None` where it needs nothing.
    pub bundle: Option<watch::Receiver<Option<CaBundle>>>,
    /// What our own Envoys refuse, for the other replicas if there may be any.
    pub refusals: Option<watch::Receiver<Refusals>>,
    /// What other replicas may ask for that they cannot read; `None` where there are none.
    pub handover: Option<Handover>,
    /// What must not fail.
    pub vitals: Vitals,
    /// Which objects of a cluster are held; `None` where they come from files.
    pub inventory: Option<Inventory>,
}

/// Takes the address, so that a taken port is known before anything is started.
///
/// # Errors
/// The address cannot be bound; the message says what to do.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let hint =
        || format!("cannot bind the admin address {address}; choose another with --admin, or --admin off");
    TcpListener::bind(address).await.with_context(hint)
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, admin: Admin) {
    if let Err(error) = axum::serve(listener, router(admin)).await {
        tracing::error!(%error, "the admin server has ended");
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route(refusals::PATH, get(refused))
        .route(handover::PATH, get(hand_over))
        .route("/debug/objects", get(objects))
        .route("/debug/snapshot", get(snapshot))
        .with_state(admin)
}

async fn healthy(State(admin): State<Admin>) -> Response {
    match admin.vitals.failed() {
        failed if failed.is_empty() => "ok\n".into_response(),
        failed => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed for good: {}\n", failed.join(", ")))
            .into_response(),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let mut waiting_for = admin.view.borrow().waiting_for.clone();
    if admin.bundle.is_some_and(|bundle| bundle.borrow().is_none()) {
        waiting_for.push("a certificate for the xDS port".to_owned());
    }
    match waiting_for.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", waiting_for.join(", ")))
            .into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(admin): State<Admin>) -> Response {
    let view = admin.view.borrow().clone();
    let (all, of_objects, controller) = {
        let statuses = lock(&view.statuses);
        (statuses.all(), statuses.problems().collect::<Vec<_>>(), statuses.controller().clone())
    };
    let render = |(object, status): &(ObjectRef, KeptStatus)| json!({"object": object, "status": status.value(&controller)});
    let statuses: Vec<Value> = all.iter().map(render).collect();
    let problems = [view.problems, of_objects].concat();
    as_json(&json!({"waitingFor": view.waiting_for, "problems": problems, "statuses": statuses}))
}

async fn refused(State(admin): State<Admin>) -> Response {
    match admin.refusals {
        Some(refusals) => as_json(&refusals::encode(&refusals.borrow())),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Sealed: other replicas alone can read it.
async fn hand_over(State(admin): State<Admin>, Path((kind, number)): Path<(String, String)>) -> Response {
    let Some(handover) = &admin.handover else { return StatusCode::NOT_FOUND.into_response() };
    match handover.answer(&kind, &number).await {
        Some(sealed) => ([(header::CONTENT_TYPE, "application/octet-stream")], sealed).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Names and versions only, so that they can be compared with those of the API server.
async fn objects(State(admin): State<Admin>) -> Response {
    let Some(inventory) = &admin.inventory else {
        return (StatusCode::NOT_FOUND, "the objects come from files: see their folder\n").into_response();
    };
    let Some(objects) = inventory.objects().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the source has ended\n").into_response();
    };
    let describe = |held: HeldObject| {
        let HeldObject { object, resource_version, is_readable } = held;
        json!({"object": object, "resourceVersion": resource_version, "readable": is_readable})
    };
    as_json(&objects.into_iter().map(describe).collect())
}

async fn snapshot(State(admin): State<Admin>) -> Response {
    let groups = admin.cache.groups().into_iter().filter_map(|group| {
        let snapshot = admin.cache.snapshot_of(&group)?;
        Some((group.to_string(), describe(&snapshot)))
    });
    as_json(&Value::Object(groups.collect()))
}

/// Names and versions only.
fn describe(snapshot: &Snapshot) -> Value {
    let describe_type = |kind: ResourceType| {
        let resources = snapshot.resources(kind).iter();
        let versions =
            resources.map(|resource| (resource.name().to_string(), json!(resource.version().to_string())));
        let versions: serde_json::Map<String, Value> = versions.collect();
        (kind.to_string(), json!({"version": snapshot.version(kind).to_string(), "resources": versions}))
    };
    Value::Object(ResourceType::ALL.into_iter().map(describe_type).collect())
}

fn as_json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value:#}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::TokioIo;
    use xds::{NodeGroup, Resource, SnapshotWriter};

    use super::*;
    use crate::mock_api::MockApi;
    use crate::source::Source as _;
    use crate::source::kubernetes::KubernetesSource;

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request =
            http::Request::builder().uri(path).header("host", "admin").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A source that holds a secret.
    fn start_source(api: &MockApi) -> Inventory {
        api.apply(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": "default"},
            "data": {"key": "c2stY2FuYXJ5"},
        }));
        let source = KubernetesSource::for_tests(api.client());
        let inventory = source.inventory();
        let mut updates = source.start().unwrap();
        tokio::spawn(async move { while updates.recv().await.is_some() {} });
        inventory
    }

    #[tokio::test]
    async fn the_admin_port_shows_readiness_metrics_statuses_and_names() {
        let mut writer = SnapshotWriter::new();
        let secret = Resource::new("key", ResourceType::Secret, b"sk-canary", vec![]);
        writer.publish(&NodeGroup::new("default/web"), [secret].into_iter().collect());
        let api = MockApi::new();
        let inventory = start_source(&api);
        let (sender, view) =
            watch::channel(View { waiting_for: vec!["default/web".to_owned()], ..View::default() });
        let mut registry = Registry::default();
        crate::telemetry::Metrics::register(&mut registry);
        let (_heard, refusals) = watch::channel(Refusals::new());
        let (certify, bundle) = watch::channel(None);
        let vitals = Vitals::default();
        let admin = Admin {
            view,
            registry: Arc::new(registry),
            cache: writer.cache(),
            bundle: Some(bundle),
            refusals: Some(refusals),
            handover: None,
            vitals: vitals.clone(),
            inventory: Some(inventory),
        };
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, admin));

        assert_eq!(get(address, "/healthz").await.0, 200);
        let both = "waiting for default/web, a certificate for the xDS port\n";
        assert_eq!(get(address, "/readyz").await, (503, both.to_owned()));
        sender.send_replace(View::default());
        assert_eq!(get(address, "/readyz").await.0, 503, "nobody is let in without a certificate");
        certify.send_replace(Some(CaBundle::for_tests()));
        assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));
        assert!(get(address, "/metrics").await.1.contains("chancery_gateways 0"));
        vitals.fail("translation");
        assert_eq!(get(address, "/healthz").await, (500, "failed for good: translation\n".to_owned()));
        assert!(get(address, "/status").await.1.contains("\"statuses\""));
        assert_eq!(get(address, "/refusals").await, (200, "{}\n".to_owned()));
        let (_, snapshot) = get(address, "/debug/snapshot").await;
        assert!(snapshot.contains("\"key\"") && !snapshot.contains("canary"), "{snapshot}");
        let (_, objects) = get(address, "/debug/objects").await;
        let objects: Value = serde_json::from_str(&objects).unwrap();
        let secret = json!({"group": "", "kind": "Secret", "namespace": "default", "name": "key"});
        assert_eq!(objects, json!([{"object": secret, "resourceVersion": "1", "readable": true}]));
    }

    #[tokio::test]
    async fn a_taken_port_is_said_with_what_to_do() {
        let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = bind(taken.local_addr().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("--admin off"), "{error:#}");
    }
}
