//! Backends with fixed hosts.

use crds::ai::StaticBackendSpec;
use crds::backend::AppProtocol;
use ir::{ClusterIr, ClusterName, Discovery, Endpoint, HostPort, UpstreamHttp, UpstreamProtocol};

use super::ResolvedBackend;
use super::tls_policy::PortTls;
use crate::Settings;
use crate::gateway::target_address::is_allowed_host;
use crate::status::{Reason, Rejection};

/// Where the hosts stand, in both dialects.
const FIELD: &str = "spec.static";

/// Resolves a backend with fixed hosts.
pub(super) fn resolve(
    settings: &Settings,
    name: ClusterName,
    spec: &StaticBackendSpec,
    tls: Option<PortTls>,
) -> Result<ResolvedBackend, Rejection> {
    for host in &spec.hosts {
        if !is_allowed_host(&host.host, settings) {
            let text = format!("the host {} is one that a proxy may not be pointed at", host.host);
            return Err(Rejection::at(Reason::Invalid, FIELD, text));
        }
        if let Some(server_name) = &host.server_name {
            let text = format!("the server name {server_name:?} (sniAddr) is not supported yet");
            return Err(Rejection::at(Reason::UnsupportedValue, FIELD, text));
        }
    }
    let cluster = ClusterIr {
        name,
        discovery: discovery(hosts(settings, spec)),
        tls: tls.as_ref().map(|tls| tls.tls.clone()),
        http: UpstreamHttp::plain(protocol(spec.app_protocol.as_ref())?),
        tuning: None,
    };
    let takes_client_certificate = tls.is_some();
    let secrets = tls.into_iter().map(|tls| tls.trust).collect();
    Ok(ResolvedBackend { secrets, takes_client_certificate, ..ResolvedBackend::plain(cluster) })
}

/// The hosts as endpoints, sorted; `None` if one of them is a name. Addresses alone need no DNS, and can then
/// change without touching the cluster.
pub(super) fn endpoints(settings: &Settings, spec: &StaticBackendSpec) -> Option<Vec<Endpoint>> {
    as_endpoints(&hosts(settings, spec))
}

/// How hosts are found.
pub(super) fn discovery(hosts: Vec<HostPort>) -> Discovery {
    match as_endpoints(&hosts) {
        Some(_) => Discovery::Endpoints,
        None => Discovery::Dns(hosts),
    }
}

/// The hosts as endpoints, sorted; `None` if one of them is a name.
pub(super) fn as_endpoints(hosts: &[HostPort]) -> Option<Vec<Endpoint>> {
    let parsed = hosts
        .iter()
        .map(|host| Some(Endpoint { address: host.host.parse().ok()?, port: host.port, draining: false }));
    let mut endpoints: Vec<_> = parsed.collect::<Option<_>>()?;
    endpoints.sort();
    Some(endpoints)
}

/// Where the hosts really are, each once.
fn hosts(settings: &Settings, spec: &StaticBackendSpec) -> Vec<HostPort> {
    let hosts = spec.hosts.iter();
    let mut hosts: Vec<_> = hosts
        .map(|host| settings.connect(HostPort { host: host.host.clone(), port: host.port.get() }))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn protocol(app_protocol: Option<&AppProtocol>) -> Result<UpstreamProtocol, Rejection> {
    match app_protocol {
        None => Ok(UpstreamProtocol::Http1),
        Some(AppProtocol::Http2 | AppProtocol::Grpc | AppProtocol::KubernetesH2c) => {
            Ok(UpstreamProtocol::Http2)
        }
        Some(AppProtocol::GrpcWeb | AppProtocol::KubernetesWs) => {
            let text = "appProtocol grpc-web and kubernetes.io/ws are not supported yet";
            Err(Rejection::at(Reason::UnsupportedProtocol, FIELD, text))
        }
    }
}
