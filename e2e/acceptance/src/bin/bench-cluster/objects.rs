//! The objects: each route has a host and a path of its own, and shares its Service with others.

use acceptance::{APPLY, ApiConnection};
use anyhow::Result;
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "bench";
pub(crate) const GATEWAY: &str = "bench";

/// Services that the routes are spread over.
pub(crate) const SERVICES: usize = 50;

const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/bench/httproutes";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices";

pub(crate) fn gateway() -> String {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": "chancery",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
        },
    })
    .to_string()
}

/// A Service with a slice of its own making, in place of one that a controller makes from pods.
pub(crate) fn service(number: usize, address: &str) -> String {
    let name = format!("service-{number}");
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 8080, "targetPort": 3000}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 3000, "protocol": "TCP"}],
        "endpoints": endpoints(address),
    });
    format!("{service}\n---\n{slice}\n")
}

pub(crate) fn endpoints(address: &str) -> Value {
    json!([{"addresses": [address], "conditions": {"ready": true}}])
}

pub(crate) fn host(route: usize) -> String {
    format!("route-{route}.bench.test")
}

pub(crate) fn path(route: usize) -> String {
    format!("/route/{route}")
}

pub(crate) fn routes_path() -> String {
    ROUTES.to_owned()
}

pub(crate) fn route_path(route: usize) -> String {
    format!("{ROUTES}/route-{route}")
}

pub(crate) fn slice_path(service: usize) -> String {
    format!("{SLICES}/service-{service}")
}

pub(crate) async fn apply_route(api: &mut ApiConnection, route: usize) -> Result<()> {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": format!("route-{route}"), "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": GATEWAY}],
            "hostnames": [host(route)],
            "rules": [rule(route, "new")],
        },
    });
    api.patch(&format!("{}?fieldManager=bench&force=true", route_path(route)), APPLY, &object).await?;
    Ok(())
}

/// The change of a route that its answers show.
pub(crate) fn marked_route(route: usize, mark: &str) -> Value {
    json!({"spec": {"rules": [rule(route, mark)]}})
}

fn rule(route: usize, mark: &str) -> Value {
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": path(route)}}],
        "filters": [{
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": "x-bench", "value": mark}]},
        }],
        "backendRefs": [{"name": format!("service-{}", route % SERVICES), "port": 8080}],
    })
}

/// Whether the status of a route says that it is accepted as it is now.
pub(crate) fn is_accepted(route: &Value) -> bool {
    let conditions = route["status"]["parents"][0]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Accepted"
            && condition["status"] == "True"
            && condition["observedGeneration"] == route["metadata"]["generation"]
    })
}
