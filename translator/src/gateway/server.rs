//! Servers that are named by their address: collectors of traces, those that tell the keys by which tokens are verified,
//! and those that prompt guards ask.

use ir::{
    ClusterIr, ClusterName, Discovery, HostPort, SecretIr, SecretName, SecretValue, SubjectAltName,
    UpstreamHttp, UpstreamProtocol, UpstreamTls,
};

use super::backend::ai::moderation;
use crate::gateway::facts::{BackendKey, ResolvedBackend, ServerKey, ServerService};
use crate::gateway::view::View;
use crate::status::Rejection;

/// Headers that Envoy adds to the requests of its filters, where nothing but this keeps it from doing so (seen in 1.40).
const ENVOYS_OWN: [&str; 2] = ["x-envoy-expected-rq-timeout-ms", "x-envoy-internal"];

/// The name of a server's cluster.
pub(super) fn name(server: &ServerKey) -> ClusterName {
    let ServerKey { host, port, is_tls, service } = server;
    match service {
        ServerService::Traces { is_grpc } => ClusterName::collector(host, *port, *is_tls, *is_grpc),
        ServerService::TokenKeys => ClusterName::token_keys(host, *port, *is_tls),
        ServerService::Webhook => ClusterName::webhook(host, *port, *is_tls),
        ServerService::Moderation(policy) => {
            let kind = policy.kind.info().kind.to_ascii_lowercase();
            ClusterName::moderation(&kind, &policy.name.namespace, &policy.name.name)
        }
    }
}

/// The cluster of a server that a unit names without being its backend. It is asked for, so that it exists.
///
/// # Errors
/// It cannot be used.
pub(super) fn asked(view: &impl View, server: ServerKey) -> Result<(ClusterName, BackendKey), Rejection> {
    let name = name(&server);
    let key = BackendKey::Server(server.into());
    view.backend_face(&key)?;
    Ok((name, key))
}

/// The cluster of a server; `None` if nobody names it any more.
///
/// # Errors
/// What it needs cannot be used.
pub(super) fn resolve(view: &impl View, server: &ServerKey) -> Option<Result<ResolvedBackend, Rejection>> {
    let ServerKey { host, port, is_tls, service } = server;
    let trust = SecretName::default_trust();
    let tls = is_tls.then(|| UpstreamTls {
        sni: host.clone(),
        subject_alt_names: vec![SubjectAltName::Host(host.clone())],
        trust: trust.clone(),
        client_certificate: None,
    });
    let name = name(server);
    let http = match service {
        ServerService::Traces { is_grpc: true } => UpstreamHttp::plain(UpstreamProtocol::Http2),
        ServerService::Traces { is_grpc: false } | ServerService::TokenKeys => {
            UpstreamHttp::plain(UpstreamProtocol::Http1)
        }
        ServerService::Webhook | ServerService::Moderation(_) => UpstreamHttp {
            remove_request_headers: ENVOYS_OWN.map(str::to_owned).into(),
            large_messages: true,
            ..UpstreamHttp::plain(UpstreamProtocol::Http1)
        },
    };
    let connect = view.settings().connect(HostPort { host: host.clone(), port: *port });
    let mut resolved = ResolvedBackend::plain(ClusterIr {
        name,
        discovery: Discovery::Dns(vec![connect]),
        tls,
        http,
        tuning: None,
    });
    if *is_tls {
        resolved.secrets.push(SecretIr { name: trust, value: SecretValue::Trust(view.trust().clone()) });
    }
    match service {
        ServerService::Moderation(policy) => moderation::with_credential(view, policy, resolved),
        _ => Some(Ok(resolved)),
    }
}
