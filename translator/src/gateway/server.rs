//! Servers that are named by their address: collectors of traces, and those that tell the keys by which tokens are verified.

use ir::{
    ClusterIr, ClusterName, Discovery, HostPort, SecretIr, SecretName, SecretValue, SubjectAltName,
    UpstreamHttp, UpstreamProtocol, UpstreamTls,
};

use crate::gateway::facts::{ResolvedBackend, ServerKey, ServerService};
use crate::gateway::view::View;

/// The name of a server's cluster.
pub(super) fn name(server: &ServerKey) -> ClusterName {
    let ServerKey { host, port, is_tls, service } = server;
    match service {
        ServerService::Traces { is_grpc } => ClusterName::collector(host, *port, *is_tls, *is_grpc),
        ServerService::TokenKeys => ClusterName::token_keys(host, *port, *is_tls),
    }
}

/// The cluster of a server.
pub(super) fn resolve(view: &impl View, server: &ServerKey) -> ResolvedBackend {
    let ServerKey { host, port, is_tls, service } = server;
    let trust = SecretName::default_trust();
    let tls = is_tls.then(|| UpstreamTls {
        sni: host.clone(),
        subject_alt_names: vec![SubjectAltName::Host(host.clone())],
        trust: trust.clone(),
        client_certificate: None,
    });
    let protocol = match service {
        ServerService::Traces { is_grpc: true } => UpstreamProtocol::Http2,
        ServerService::Traces { is_grpc: false } | ServerService::TokenKeys => UpstreamProtocol::Http1,
    };
    let connect = view.settings().connect(HostPort { host: host.clone(), port: *port });
    let cluster = ClusterIr {
        name: name(server),
        discovery: Discovery::Dns(vec![connect]),
        tls,
        http: UpstreamHttp::plain(protocol),
    };
    let mut resolved = ResolvedBackend::plain(cluster);
    if *is_tls {
        resolved.secrets.push(SecretIr { name: trust, value: SecretValue::Trust(view.trust().clone()) });
    }
    resolved
}
