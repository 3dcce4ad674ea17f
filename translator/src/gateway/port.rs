//! A port of a Gateway: the listener that the proxies open.

use ir::{Bind, FilterChainIr, HttpChain, ListenerIr, ListenerName, Protocol, RouteConfigName};

use crate::gateway::facts::{GatewayKey, PortFace};
use crate::gateway::view::View;

/// The listener on a port, for all listeners of the Gateway that share it; `None` if none is served.
pub(crate) fn port(view: &impl View, gateway: &GatewayKey, port: u16) -> Option<PortFace> {
    let (face, placed) = (view.gateway(gateway)?, view.placement(gateway)?);
    let served = placed.served().filter(|listener| listener.port == Some(port));
    let hostnames: Vec<_> =
        served.map(|listener| (listener.name.clone(), listener.hostname.clone())).collect();
    let http = HttpChain { route_config: RouteConfigName::http(port), escaped_slashes: face.escaped_slashes };
    let listener = ListenerIr {
        name: ListenerName::http(port),
        bind: Bind { addresses: placed.addresses.clone(), port },
        chains: vec![FilterChainIr { protocol: Protocol::Http(http) }],
    };
    (!hostnames.is_empty()).then_some(PortFace { listener, hostnames })
}
