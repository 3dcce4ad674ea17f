//! Small configurations, and short ways to say requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_types::pb::google::rpc::Status;
use xds::{Resource, ResourceType, Response, Settings, Snapshot};

pub(crate) const SETTINGS: Settings = Settings {
    gate_timeout: Duration::from_secs(5),
    drain_delay: Duration::from_secs(2),
    resend_delay: Duration::from_millis(100),
    max_resend_delay: Duration::from_secs(5),
    not_ready_patience: Duration::from_secs(30),
};

/// What Envoy 1.40 says of a cluster whose module it has begun to fetch.
pub(crate) fn not_ready(clusters: &[&str]) -> String {
    let said = clusters
        .iter()
        .map(|name| format!("{name}: Remote module not cached; background fetch in progress. SHA256: 0a"));
    format!("Error adding/updating cluster(s) {}", said.collect::<Vec<_>>().join(", "))
}

pub(crate) fn resource(kind: ResourceType, name: &str, body: &str) -> Resource {
    Resource::new(name, kind, body.as_bytes(), vec![])
}

/// A cluster that needs the load assignment of its name.
pub(crate) fn cluster(name: &str, body: &str) -> Resource {
    let needs = vec![(ResourceType::Endpoint, name.to_owned())];
    Resource::new(name, ResourceType::Cluster, body.as_bytes(), needs)
}

pub(crate) fn endpoint(name: &str, body: &str) -> Resource {
    resource(ResourceType::Endpoint, name, body)
}

pub(crate) fn listener(name: &str, body: &str) -> Resource {
    resource(ResourceType::Listener, name, body)
}

pub(crate) fn route(name: &str, body: &str) -> Resource {
    resource(ResourceType::Route, name, body)
}

pub(crate) fn snapshot(resources: impl IntoIterator<Item = Resource>) -> Arc<Snapshot> {
    Arc::new(resources.into_iter().collect())
}

/// What a test compares: type, names in order, removed names.
pub(crate) type Sent = (ResourceType, Vec<String>, Vec<String>);

pub(crate) fn sent(kind: ResourceType, names: &[&str], removed: &[&str]) -> Sent {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    (kind, owned(names), owned(removed))
}

pub(crate) fn summary(response: &Response) -> Sent {
    let names = response.resources.iter().map(|resource| resource.name().to_string()).collect();
    (response.resource_type, names, response.removed.iter().map(|name| name.to_string()).collect())
}

pub(crate) fn delta_request(
    kind: ResourceType,
    subscribe: &[&str],
    unsubscribe: &[&str],
) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        resource_names_unsubscribe: unsubscribe.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

pub(crate) fn sotw_request(
    kind: ResourceType,
    names: &[&str],
    version: &str,
    nonce: &str,
) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        version_info: version.to_owned(),
        response_nonce: nonce.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn error(message: &str) -> Option<Status> {
    Some(Status { code: 3, message: message.to_owned(), details: vec![] })
}

/// Later by that many milliseconds.
pub(crate) fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}
