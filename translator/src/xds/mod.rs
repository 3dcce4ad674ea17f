//! From the intermediate representation to Envoy's messages.
//!
//! Total and pure: whatever stands in the representation is valid, so nothing here can fail, and the
//! same input always gives the same bytes ([`XdsResources::encode`]).
//!
//! ```text
//! ListenerIr ──► Listener ─── HttpConnectionManager ─── access log
//!        └─────► RouteConfiguration ─── VirtualHost (the unit) ─── Route*
//! ClusterIr  ──► Cluster ─── upstream filters, TLS
//!        └─────► ClusterLoadAssignment
//! SecretIr   ──► Secret
//! ```
//!
//! A field of Envoy's that is left unset is a default of Envoy's, not "none". `unset_fields.md`, beside this
//! file, has a row for each: what the default does, and why it is wanted. `tests/unset_fields.rs` holds the
//! table against all golden translations.

mod access_log;
mod cluster;
mod config_source;
mod endpoint;
mod forward;
mod hcm;
mod header;
mod keepalive;
mod listener;
mod matcher;
mod readiness;
mod redirect;
mod references;
mod resources;
mod rewrite;
mod route;
mod secret;
mod static_config;
mod target_filter;
mod upstream_filter;
mod upstream_tls;

#[cfg(test)]
mod tests;

pub use references::dangling_references;
pub use resources::{EncodedResource, XdsKind, XdsResources};
pub use static_config::to_static_bootstrap;

use ir::{Discovery, GatewayIr};

use crate::{Addressing, Settings};

/// Translates all that one Envoy fleet needs.
pub fn build(gateway: &GatewayIr, settings: &Settings) -> XdsResources {
    let mut resources = XdsResources::default();
    if settings.addressing == Addressing::Service {
        let built = readiness::build_readiness_listener();
        resources.listeners.insert(built.name.clone(), built);
    }
    for listener in gateway.listeners.values() {
        let built = listener::build_listener(listener, settings);
        resources.listeners.insert(built.name.clone(), built);
        let built = route::build_route_configuration(listener);
        resources.routes.insert(built.name.clone(), built);
    }
    for cluster in gateway.clusters.values() {
        let built = cluster::build_cluster(cluster);
        if let Discovery::Endpoints(endpoints) = &cluster.discovery {
            let assignment = endpoint::build_load_assignment(&cluster.name, endpoints);
            resources.endpoints.insert(built.name.clone(), assignment);
        }
        resources.clusters.insert(built.name.clone(), built);
    }
    for secret in gateway.secrets.values() {
        let built = secret::build_secret(secret);
        resources.secrets.insert(built.name.clone(), built);
    }
    resources
}
