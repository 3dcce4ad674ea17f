//! Backends with fixed hosts.

use crds::ai::StaticBackendSpec;
use crds::backend::AppProtocol;
use ir::{ClusterIr, ClusterName, Discovery, Endpoint, HostPort, UpstreamHttp, UpstreamProtocol};

use super::ResolvedBackend;
use crate::Settings;
use crate::gateway::listener::Rejection;
use crate::gateway::target_address::is_allowed_host;
use crate::status::Reason;

/// Resolves a backend with fixed hosts.
pub(super) fn resolve(
    settings: &Settings,
    name: ClusterName,
    spec: &StaticBackendSpec,
) -> Result<ResolvedBackend, Rejection> {
    let mut hosts = Vec::new();
    for host in &spec.hosts {
        if !is_allowed_host(&host.host, settings) {
            let message = format!("static: the host {} is one that a proxy may not be pointed at", host.host);
            return Err(Rejection::new(Reason::Invalid, message));
        }
        if let Some(server_name) = &host.server_name {
            let message = format!("static: the server name {server_name:?} (sniAddr) is not supported yet");
            return Err(Rejection::new(Reason::UnsupportedValue, message));
        }
        hosts.push(settings.connect(HostPort { host: host.host.clone(), port: host.port.get() }));
    }
    hosts.sort();
    hosts.dedup();
    let cluster = ClusterIr {
        name,
        discovery: discovery(hosts),
        tls: None,
        http: UpstreamHttp::plain(protocol(spec.app_protocol.as_ref())?),
    };
    Ok(ResolvedBackend::plain(cluster))
}

/// Addresses alone need no DNS, and can then change without touching the cluster.
fn discovery(hosts: Vec<HostPort>) -> Discovery {
    let parsed: Option<Vec<Endpoint>> = hosts
        .iter()
        .map(|host| Some(Endpoint { address: host.host.parse().ok()?, port: host.port, draining: false }))
        .collect();
    match parsed {
        Some(mut endpoints) => {
            endpoints.sort();
            Discovery::Endpoints(endpoints)
        }
        None => Discovery::Dns(hosts),
    }
}

fn protocol(app_protocol: Option<&AppProtocol>) -> Result<UpstreamProtocol, Rejection> {
    match app_protocol {
        None => Ok(UpstreamProtocol::Http1),
        Some(AppProtocol::Http2 | AppProtocol::Grpc | AppProtocol::KubernetesH2c) => {
            Ok(UpstreamProtocol::Http2)
        }
        Some(AppProtocol::GrpcWeb | AppProtocol::KubernetesWs) => {
            let message = "static.appProtocol: grpc-web and kubernetes.io/ws are not supported yet";
            Err(Rejection::new(Reason::UnsupportedProtocol, message))
        }
    }
}
