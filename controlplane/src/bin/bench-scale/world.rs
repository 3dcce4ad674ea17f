//! The objects of a measurement.

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// How routes are spread over hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each route has a host of its own.
    OneHostEach,
    /// All routes share one host.
    OneHostForAll,
    /// As the first, and one route without hostnames beside them, which stands in every host.
    WithCatchAll,
}

/// Routes that share a Service.
const ROUTES_PER_SERVICE: usize = 20;

impl Shape {
    pub(crate) const ALL: [Self; 3] = [Self::OneHostEach, Self::OneHostForAll, Self::WithCatchAll];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneHostEach => "each",
            Self::OneHostForAll => "all",
            Self::WithCatchAll => "catch-all",
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::OneHostEach => "each route has a host of its own; 20 routes share a Service",
            Self::OneHostForAll => "all routes share one host",
            Self::WithCatchAll => {
                "each route has a host of its own, and one without hostnames stands beside them"
            }
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|shape| shape.name() == name) {
            Some(shape) => Ok(shape),
            None => bail!("there is no shape {name}"),
        }
    }
}

/// All objects.
pub(crate) fn objects(shape: Shape, routes: usize) -> impl Iterator<Item = Value> {
    let services = (0..routes.div_ceil(ROUTES_PER_SERVICE))
        .flat_map(|number| [service(number, "http"), slice(number, "10.0.0.1")]);
    let catch_all = (shape == Shape::WithCatchAll).then(catch_all);
    let routes = (0..routes).map(move |number| route(shape, number, 0));
    [gateway(), backend("secret-user"), secret("first"), route_to_backend()]
        .into_iter()
        .chain(services)
        .chain(catch_all)
        .chain(routes)
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": "default", "creationTimestamp": "2026-11-01T00:00:00Z", "generation": 1})
}

fn gateway() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata("web"),
        "spec": {"gatewayClassName": "chancery",
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]}})
}

pub(crate) fn service(number: usize, app_protocol: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(&format!("s{number}")),
        "spec": {"ports": [{"name": "http", "port": 80, "appProtocol": app_protocol}]}})
}

pub(crate) fn slice(number: usize, address: &str) -> Value {
    let mut metadata = metadata(&format!("s{number}-1"));
    metadata["labels"] = json!({"kubernetes.io/service-name": format!("s{number}")});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": metadata, "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address]}, {"addresses": ["10.0.0.200"]}]})
}

/// A route in its `version`-th edition.
pub(crate) fn route(shape: Shape, number: usize, version: usize) -> Value {
    let hostname = match shape {
        Shape::OneHostForAll => "shared.example.com".to_owned(),
        Shape::OneHostEach | Shape::WithCatchAll => format!("h{number}.example.com"),
    };
    let filter = json!({"type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-version", "value": version.to_string()}]}});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": metadata(&format!("r{number}")),
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": [hostname],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": format!("/p{number}")}}],
                "filters": [filter],
                "backendRefs": [{"name": format!("s{}", number / ROUTES_PER_SERVICE), "port": 80}]}]}})
}

fn catch_all() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("catch-all"),
        "spec": {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": [{"name": "s0", "port": 80}]}]}})
}

fn backend(name: &str) -> Value {
    json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": metadata(name),
        "spec": {"type": "AI", "ai": {"llm": {"provider": {"openai": {
            "authToken": {"kind": "SecretRef", "secretRef": {"name": "key"}}}}}}}})
}

fn route_to_backend() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("ai"),
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["ai.example.com"], "rules": [{"backendRefs": [
            {"group": "gateway.kgateway.dev", "kind": "Backend", "name": "secret-user"}]}]}})
}

pub(crate) fn secret(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("key"),
        "stringData": {"Authorization": value}})
}

pub(crate) fn nobodys(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("nobodys"), "stringData": {"x": value}})
}
