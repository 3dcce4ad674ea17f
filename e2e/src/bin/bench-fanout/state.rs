//! What is served: the resources of 1,000 routes, each with a cluster of its own.
//!
//! Their content is nothing that Envoy would take; neither the server nor the clients look into it. It has the size
//! that the translation's has.

use std::sync::Arc;

use xds::{Resource, ResourceType};

/// Routes, and clusters.
pub(crate) const ROUTES: usize = 1000;
/// The only route table, and the listener that refers to it.
pub(crate) const TABLE: &str = "default/web/8080";

const CLUSTER_LEN: usize = 700;
const ENDPOINT_LEN: usize = 160;
const LISTENER_LEN: usize = 3000;
const ROUTE_LEN: usize = 300;

/// The name of a cluster and of its load assignment.
pub(crate) fn name(i: usize) -> String {
    format!("service/default/backend-{i:04}/8080")
}

/// All resources.
pub(crate) fn all() -> Vec<Arc<Resource>> {
    let clusters = (0..ROUTES).map(|i| {
        let needs = vec![(ResourceType::Endpoint, name(i))];
        Arc::new(Resource::new(name(i), ResourceType::Cluster, &content(CLUSTER_LEN, i), needs))
    });
    let endpoints = (0..ROUTES).map(|i| endpoint(i, 0));
    let needs = vec![(ResourceType::Route, TABLE.to_owned())];
    let listener = Resource::new(TABLE, ResourceType::Listener, &content(LISTENER_LEN, 0), needs);
    clusters.chain(endpoints).chain([Arc::new(listener), table(0)]).collect()
}

/// The load assignment of a cluster, as it is after that many edits.
pub(crate) fn endpoint(i: usize, edits: usize) -> Arc<Resource> {
    let content = content(ENDPOINT_LEN, i + ROUTES * edits);
    Arc::new(Resource::new(name(i), ResourceType::Endpoint, &content, vec![]))
}

/// The route table, as it is after that many edits.
pub(crate) fn table(edits: usize) -> Arc<Resource> {
    let needs = (0..ROUTES).map(|i| (ResourceType::Cluster, name(i))).collect();
    Arc::new(Resource::new(TABLE, ResourceType::Route, &content(ROUTES * ROUTE_LEN, edits), needs))
}

fn content(len: usize, number: usize) -> Vec<u8> {
    format!("{number} ").into_bytes().into_iter().cycle().take(len).collect()
}

/// For the head of the table; `full_state` is what one client is sent of all this.
pub(crate) fn describe(full_state: usize) -> String {
    format!(
        "{ROUTES} routes: as many clusters and load assignments, a route table of {} KiB, a listener; {} KiB for each client",
        ROUTES * ROUTE_LEN / 1024,
        full_state / 1024,
    )
}
