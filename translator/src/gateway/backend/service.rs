//! A port of a Service as a cluster, its EndpointSlices as endpoints.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crds::core::{EndpointPort, EndpointSlice, Service, ServicePort};
use crds::{Kind, NamespacedName, ObjectKey, ObjectRef};
use ir::{ClusterIr, ClusterName, Discovery, Endpoint, HostPort, UpstreamHttp, UpstreamProtocol};

use super::tls_policy::{self, PortTls};
use super::{ResolvedBackend, config_policy};
use crate::Settings;
use crate::gateway::facts::BackendProtocol;
use crate::gateway::target_address::is_allowed_address;
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// The `appProtocol` of a port that speaks WebSocket over TLS (KEP-3726).
const WEBSOCKET_TLS: &str = "kubernetes.io/wss";

/// Those of ports that speak WebSocket.
const WEBSOCKET: [&str; 2] = ["kubernetes.io/ws", WEBSOCKET_TLS];

/// Resolves one port of a Service.
pub(super) fn resolve(
    view: &impl View,
    key: &NamespacedName,
    port: u16,
    protocol: BackendProtocol,
) -> Result<ResolvedBackend, Rejection> {
    let Some(service) = view.object::<Service>(key) else {
        return Err(missing(key));
    };
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        // An external name would let a tenant point the proxy at any host, its own admin port included.
        let message = format!("Service {key} is of type ExternalName, which is refused as a backend");
        return Err(Rejection::new(Reason::UnsupportedValue, message));
    }
    let Some(service_port) = find_port(service, port, protocol) else {
        let text = no_such_port(key, service, port, protocol);
        return Err(Rejection::at(Reason::BackendNotFound, "port", text));
    };
    let policy = match protocol {
        BackendProtocol::Http | BackendProtocol::Grpc | BackendProtocol::Tcp => {
            let object = ObjectKey { kind: Kind::Service, name: key.clone() };
            match tls_policy::of_port(view, key, service_port)? {
                None => config_policy::tls(view, &object)?,
                tls => tls,
            }
        }
        BackendProtocol::Tls | BackendProtocol::Udp => None,
    };
    let (tls, secrets) = match policy {
        Some(PortTls { tls, trust }) => (Some(tls), vec![trust]),
        None => (None, Vec::new()),
    };
    let has_tls = tls.is_some();
    let cluster = ClusterIr {
        name: cluster_name(key, port, protocol),
        discovery: Discovery::Endpoints,
        tls,
        http: UpstreamHttp::plain(upstream_protocol(key, service_port, protocol, has_tls)?),
        tuning: None,
    };
    let backend = ResolvedBackend::plain(cluster);
    let websocket = service_port.app_protocol.as_deref().is_some_and(|name| WEBSOCKET.contains(&name));
    Ok(ResolvedBackend { secrets, takes_client_certificate: has_tls, websocket, ..backend })
}

/// Says that there is no such Service.
fn missing(key: &NamespacedName) -> Rejection {
    let object = ObjectRef::namespaced("", "Service", &key.namespace, &key.name);
    Rejection::missing(Reason::BackendNotFound, object)
}

/// The endpoints of one port of a Service, sorted; `None` if there is no such port.
pub(super) fn endpoints(
    view: &impl View,
    key: &NamespacedName,
    port: u16,
    protocol: BackendProtocol,
) -> Option<(ClusterName, Vec<Endpoint>)> {
    let service = view.object::<Service>(key)?;
    let service_port = find_port(service, port, protocol)?;
    let found = view.slices_of(key).flat_map(|slice| slice_endpoints(slice, key, service_port));
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let prefers_v6 = families.first().is_some_and(|first| first == "IPv6");
    Some((cluster_name(key, port, protocol), usable(found, prefers_v6, view.settings())))
}

/// An endpoint of a slice, and the pod that it is.
pub(super) struct Found<'a> {
    endpoint: Endpoint,
    pod: Option<&'a str>,
}

/// Those of the endpoints that a proxy may be pointed at and can reach, sorted, each once. Of a pod with an address of each
/// family one is enough, or it would get twice the share of another.
pub(super) fn usable<'a>(
    found: impl Iterator<Item = Found<'a>>,
    prefers_v6: bool,
    settings: &Settings,
) -> Vec<Endpoint> {
    let is_usable = |address| settings.families.include(address) && is_allowed_address(address, settings);
    let found: Vec<_> = found.filter(|found| is_usable(found.endpoint.address)).collect();
    let is_preferred = |found: &Found<'_>| found.endpoint.address.is_ipv6() == prefers_v6;
    let preferred: BTreeSet<_> = found.iter().filter(|it| is_preferred(it)).filter_map(|it| it.pod).collect();
    let once =
        found.iter().filter(|it| is_preferred(it) || it.pod.is_none_or(|pod| !preferred.contains(pod)));
    let mut endpoints: Vec<_> = once.map(|found| replace_address(found.endpoint.clone(), settings)).collect();
    // An endpoint may stand in two slices while Kubernetes moves it; one that is ready wins.
    endpoints.sort();
    endpoints.dedup_by(|later, earlier| (later.address, later.port) == (earlier.address, earlier.port));
    endpoints
}

/// The same number may stand there once for TCP and once for UDP.
fn find_port(service: &Service, port: u16, protocol: BackendProtocol) -> Option<&ServicePort> {
    let ports = service.spec.as_ref()?.ports.as_deref().unwrap_or_default();
    ports.iter().find(|candidate| candidate.port == i32::from(port) && is_of(candidate, protocol))
}

/// Whether the port is of the protocol; TCP is the default.
fn is_of(port: &ServicePort, protocol: BackendProtocol) -> bool {
    port.protocol.as_deref().unwrap_or("TCP") == transport(protocol)
}

/// The protocol of the port of a Service.
fn transport(protocol: BackendProtocol) -> &'static str {
    match protocol {
        BackendProtocol::Http | BackendProtocol::Grpc | BackendProtocol::Tcp | BackendProtocol::Tls => "TCP",
        BackendProtocol::Udp => "UDP",
    }
}

/// Says which ports there are instead.
fn no_such_port(key: &NamespacedName, service: &Service, port: u16, protocol: BackendProtocol) -> String {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let ports = ports.iter().filter(|port| is_of(port, protocol));
    let ports: Vec<_> = ports.map(|port| port.port.to_string()).collect();
    let has = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
    format!("Service {key} has no {} port {port}; it has {has}", transport(protocol))
}

fn cluster_name(key: &NamespacedName, port: u16, protocol: BackendProtocol) -> ClusterName {
    protocol.cluster_name(ClusterName::service(&key.namespace, &key.name, port))
}

/// What is spoken to the port: what the route wants, or what `appProtocol` asks for (KEP-3726 names).
fn upstream_protocol(
    key: &NamespacedName,
    port: &ServicePort,
    protocol: BackendProtocol,
    has_tls: bool,
) -> Result<UpstreamProtocol, Rejection> {
    if !protocol.is_http() {
        return Ok(UpstreamProtocol::Raw);
    }
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c" | "grpc" | "http2") => Ok(UpstreamProtocol::Http2),
        // A call of gRPC is no WebSocket.
        Some(other) if protocol == BackendProtocol::Grpc && WEBSOCKET.contains(&other) => {
            let message =
                format!("Service {key} port {}: appProtocol {other} does not serve gRPC", port.port);
            Err(Rejection::new(Reason::UnsupportedProtocol, message))
        }
        Some("https" | "tls" | WEBSOCKET_TLS) if has_tls => Ok(match protocol {
            BackendProtocol::Grpc => UpstreamProtocol::Http2,
            _ => UpstreamProtocol::Http1,
        }),
        Some(other @ ("https" | "tls" | WEBSOCKET_TLS)) => {
            let message = format!(
                "Service {key} port {}: appProtocol {other} needs a BackendTLSPolicy, which says whom to trust",
                port.port
            );
            Err(Rejection::new(Reason::UnsupportedProtocol, message))
        }
        Some(_) | None if protocol == BackendProtocol::Grpc => Ok(UpstreamProtocol::Http2),
        Some(_) | None => Ok(UpstreamProtocol::Http1),
    }
}

fn slice_endpoints<'a>(
    slice: &'a EndpointSlice,
    service: &NamespacedName,
    port: &ServicePort,
) -> Vec<Found<'a>> {
    let port = slice.ports.iter().flatten().find(|candidate| is_port(candidate, port)).and_then(port_number);
    port.map(|port| endpoints_at(slice, &service.namespace, port)).unwrap_or_default()
}

/// The endpoints of a slice in that namespace, with that port.
pub(super) fn endpoints_at<'a>(slice: &'a EndpointSlice, namespace: &str, port: u16) -> Vec<Found<'a>> {
    let ours = |endpoint: &&crds::core::Endpoint| {
        // A slice written by hand could name a pod of another namespace (CVE-2021-25740).
        let target = endpoint.target_ref.as_ref().and_then(|target| target.namespace.as_ref());
        target.is_none_or(|target| *target == *namespace)
    };
    let addresses = slice.endpoints.iter().flatten().filter(ours).filter_map(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
        let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
        let draining = !ready && serving && terminating;
        (ready || draining).then_some((endpoint, draining))
    });
    addresses
        .flat_map(|(endpoint, draining)| {
            let target = endpoint.target_ref.as_ref();
            let target = target.filter(|target| target.kind.as_deref() == Some("Pod"));
            let pod = target.and_then(|target| target.name.as_deref());
            let parsed = endpoint.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
            parsed.map(move |address| Found { endpoint: Endpoint { address, port, draining }, pod })
        })
        .collect()
}

/// A slice's port belongs to the Service's port of the same name (`EndpointPort.name`).
fn is_port(candidate: &EndpointPort, port: &ServicePort) -> bool {
    candidate.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
}

fn port_number(port: &EndpointPort) -> Option<u16> {
    port.port.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}

/// Applies `connect_to`, as far as it names an IP address.
fn replace_address(endpoint: Endpoint, settings: &Settings) -> Endpoint {
    let target = settings.connect(HostPort { host: endpoint.address.to_string(), port: endpoint.port });
    let address = target.host.parse().unwrap_or(endpoint.address);
    Endpoint { address, port: target.port, ..endpoint }
}
