//! Collectors of traces: where a Gateway's parameters have its spans sent.

use crds::gateway_parameters::{AiExtension, OtlpProtocol, Tracing};
use ir::{SpanExport, TracingIr, bracketed};

use super::server;
use super::target_address::is_allowed_host;
use crate::Settings;
use crate::gateway::facts::{BackendKey, GatewayKey, ServerKey, ServerService};

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
    let service = ServerService::Traces { is_grpc: *protocol == OtlpProtocol::Grpc };
    let collector = ServerKey { host: host.clone(), port: *port, is_tls: *is_tls, service };
    let authority = format!("{}:{port}", bracketed(host));
    let export = match protocol {
        OtlpProtocol::Grpc => SpanExport::Grpc(authority),
        OtlpProtocol::Http(path) => {
            let scheme = if *is_tls { "https" } else { "http" };
            SpanExport::Http(format!("{scheme}://{authority}{path}"))
        }
    };
    let tracing = TracingIr {
        collector: server::name(&collector),
        export,
        timeout: *timeout,
        service_name: format!("{}.{}", gateway.name, gateway.namespace),
        follows_client: *follows_client,
        per_million: *per_million,
    };
    (tracing, BackendKey::Server(collector.into()))
}
