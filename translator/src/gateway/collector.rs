//! Collectors of traces: where a Gateway's parameters have its spans sent.

use crds::gateway_parameters::{AiExtension, OtlpProtocol, Tracing};
use ir::{
    ClusterIr, ClusterName, Discovery, HostPort, SecretIr, SecretName, SecretValue, SpanExport,
    SubjectAltName, TracingIr, UpstreamHttp, UpstreamProtocol, UpstreamTls, bracketed,
};

use super::target_address::is_allowed_host;
use crate::Settings;
use crate::gateway::facts::{BackendKey, CollectorKey, GatewayKey, ResolvedBackend};
use crate::gateway::view::View;

/// What parameters say about traces.
///
/// # Errors
/// It makes no sense, or is not supported; with the field. The Gateway is served without traces.
pub(super) fn tracing(extension: &AiExtension, settings: &Settings) -> Result<Option<Tracing>, String> {
    let tracing = extension.traces()?;
    match &tracing {
        Some(tracing) if !is_allowed_host(&tracing.host, settings) => {
            Err(format!("the host {} is one that a proxy may not be pointed at", tracing.host))
        }
        _ => Ok(tracing),
    }
}

/// The traces of a Gateway, and the collector that they go to.
pub(super) fn of_gateway(gateway: &GatewayKey, tracing: &Tracing) -> (TracingIr, BackendKey) {
    let Tracing { host, port, is_tls, protocol, timeout, follows_client, per_million } = tracing;
    let collector = CollectorKey {
        host: host.clone(),
        port: *port,
        is_tls: *is_tls,
        is_grpc: *protocol == OtlpProtocol::Grpc,
    };
    let authority = format!("{}:{port}", bracketed(host));
    let export = match protocol {
        OtlpProtocol::Grpc => SpanExport::Grpc(authority),
        OtlpProtocol::Http(path) => {
            let scheme = if *is_tls { "https" } else { "http" };
            SpanExport::Http(format!("{scheme}://{authority}{path}"))
        }
    };
    let tracing = TracingIr {
        collector: name(&collector),
        export,
        timeout: *timeout,
        service_name: format!("{}.{}", gateway.name, gateway.namespace),
        follows_client: *follows_client,
        per_million: *per_million,
    };
    (tracing, BackendKey::Collector(collector.into()))
}

fn name(collector: &CollectorKey) -> ClusterName {
    let CollectorKey { host, port, is_tls, is_grpc } = collector;
    ClusterName::collector(host, *port, *is_tls, *is_grpc)
}

/// The cluster of a collector.
pub(super) fn resolve(view: &impl View, collector: &CollectorKey) -> ResolvedBackend {
    let CollectorKey { host, port, is_tls, is_grpc } = collector;
    let trust = SecretName::default_trust();
    let tls = is_tls.then(|| UpstreamTls {
        sni: host.clone(),
        subject_alt_names: vec![SubjectAltName::Host(host.clone())],
        trust: trust.clone(),
        client_certificate: None,
    });
    let protocol = if *is_grpc { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 };
    let connect = view.settings().connect(HostPort { host: host.clone(), port: *port });
    let cluster = ClusterIr {
        name: name(collector),
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
