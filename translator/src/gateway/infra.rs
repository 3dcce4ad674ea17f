//! What a deployer must provide for a Gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crds::gateway_api::Gateway;
use ir::{GatewayName, InfraPort, ProxyInfra};

use super::listener::Listener;

/// The proxy of a Gateway.
pub(crate) fn proxy_infra(
    name: &GatewayName,
    gateway: &Gateway,
    addresses: &[IpAddr],
    listeners: &[Listener<'_>],
) -> ProxyInfra {
    let mut ports: BTreeMap<u16, String> = BTreeMap::new();
    for listener in listeners.iter().filter(|listener| listener.is_served()) {
        if let Some(port) = listener.port {
            ports.entry(port).or_insert_with(|| listener.spec.name.clone());
        }
    }
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let unspecified = addresses.iter().all(IpAddr::is_unspecified);
    ProxyInfra {
        gateway: name.clone(),
        addresses: if unspecified { Vec::new() } else { addresses.to_vec() },
        ports: ports.into_iter().map(|(port, listener)| InfraPort { port, listener }).collect(),
        labels: infrastructure.and_then(|i| i.labels.clone()).unwrap_or_default(),
        annotations: infrastructure.and_then(|i| i.annotations.clone()).unwrap_or_default(),
    }
}
