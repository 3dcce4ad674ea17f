//! Collectors of traces and logs: where a Gateway's parameters and policies have sent what proxies observe.

use std::time::Duration;

use crds::gateway_api::duration;
use crds::gateway_parameters::{AiExtension, OtlpProtocol, Tracing};
use crds::grpc_service::{BackOff, GrpcService, RetryPolicy};
use crds::identity::BackendReference;
use crds::{ObjectKey, header};
use ir::{
    ClusterName, Clusters, GrpcRetry, GrpcServiceIr, SpanExport, SpanSampler, SpanShares, TracingIr,
    bracketed,
};

use super::access_log::check_header_name;
use super::extension;
use super::server;
use super::target_address::is_allowed_host;
use super::validate;
use crate::Settings;
use crate::gateway::facts::{BackendKey, GatewayKey, ServerKey, ServerService};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// How much the longest time between attempts is of the shortest, if nothing is said (Envoy's default).
const BACK_OFF_GROWTH: u32 = 10;

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

/// `service.name` of what the proxies of a Gateway tell.
pub(super) fn service_name(gateway: &GatewayKey) -> String {
    format!("{}.{}", gateway.name, gateway.namespace)
}

/// The traces of a Gateway by its parameters, and the collector that they go to.
pub(super) fn of_gateway(gateway: &GatewayKey, tracing: &Tracing) -> (TracingIr, BackendKey) {
    let Tracing { host, port, is_tls, protocol, timeout, follows_client, per_million } = tracing;
    let service = ServerService::Traces { is_grpc: *protocol == OtlpProtocol::Grpc };
    let collector = ServerKey { host: host.clone(), port: *port, is_tls: *is_tls, service };
    let (cluster, authority) = (server::name(&collector), format!("{}:{port}", bracketed(host)));
    let export = match protocol {
        OtlpProtocol::Grpc => SpanExport::Grpc(GrpcServiceIr::plain(cluster, authority, Some(*timeout))),
        OtlpProtocol::Http(path) => {
            let scheme = if *is_tls { "https" } else { "http" };
            SpanExport::Http { cluster, url: format!("{scheme}://{authority}{path}"), timeout: *timeout }
        }
    };
    let tracing = TracingIr {
        export,
        service_name: service_name(gateway),
        sampler: Some(SpanSampler::Share { follows_client: *follows_client, per_million: *per_million }),
        shares: SpanShares::default(),
        is_verbose: false,
        max_path_bytes: None,
        // A gateway is a hop of its own: one span for the request, one for each attempt at a backend.
        has_attempts: true,
        tells_environment: false,
        attributes: Vec::new(),
    };
    (tracing, BackendKey::Server(collector.into()))
}

/// A service that a policy has something sent to by gRPC.
pub(super) type Named = Result<(GrpcServiceIr, BackendKey), Rejection>;

/// Reads a service that a policy names at `field`. The inner result says why there is no such service, or none that can be
/// asked; it has the field as well.
///
/// # Errors
/// What is said of it makes no sense.
pub(super) fn named(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    service: &GrpcService,
) -> Result<Named, Rejection> {
    let GrpcService {
        backend_ref,
        authority,
        max_receive_message_length,
        skip_envoy_headers,
        timeout,
        initial_metadata,
        retry_policy,
    } = service;
    let at = |member: &str, error: String| Rejection::at(Reason::Invalid, format!("{field}.{member}"), error);
    let namespace = backend_ref.namespace.as_deref().unwrap_or(&owner.name.namespace);
    let authority = authority.clone().unwrap_or_else(|| format!("{}.{namespace}", backend_ref.name));
    validate::header_value(&authority).map_err(|error| at("authority", error))?;
    let metadata = initial_metadata.iter().enumerate().map(|(index, header)| {
        let member = format!("initialMetadata[{index}]");
        let name = header::editable_name(&header.key).map_err(|error| at(&format!("{member}.key"), error))?;
        if check_header_name(&name).is_err() {
            let text = format!(
                "{name:?} carries credentials: whoever reads this object or a dump of the proxy would read it"
            );
            return Err(at(&format!("{member}.key"), text));
        }
        let value = header.value.clone().unwrap_or_default();
        validate::header_value(&value).map_err(|error| at(&format!("{member}.value"), error))?;
        if value.contains('%') {
            // Envoy would look for commands in it, and then send it as it is written, with each sign doubled.
            let text = "holds a percent sign, which a proxy cannot send here".to_owned();
            return Err(at(&format!("{member}.value"), text));
        }
        Ok((name, value))
    });
    let metadata = metadata.collect::<Result<_, Rejection>>()?;
    let timeout =
        timeout.as_ref().map(|text| time(text).map_err(|error| at("timeout", error))).transpose()?;
    let retry = retry_policy.as_ref().map(read_retry).transpose();
    let retry = retry.map_err(|(member, error)| at(&format!("retryPolicy.{member}"), error))?;
    let reference = backend_ref.read(&format!("{field}.backendRef"));
    Ok(cluster(view, owner, &reference).map_err(|error| error.under(&reference.field)).map(
        |(cluster, backend)| {
            let service = GrpcServiceIr {
                cluster,
                authority,
                timeout,
                metadata,
                max_receive_message_length: max_receive_message_length.filter(|length| *length > 0),
                skip_envoy_headers: *skip_envoy_headers == Some(true),
                retry,
            };
            (service, backend)
        },
    ))
}

fn time(text: &str) -> Result<Duration, String> {
    let read = duration(text).ok().filter(|time| !time.is_zero());
    read.ok_or_else(|| format!("{text:?} is not a duration above zero"))
}

fn read_retry(policy: &RetryPolicy) -> Result<GrpcRetry, (&'static str, String)> {
    let RetryPolicy { retry_back_off, num_retries } = policy;
    let back_off = retry_back_off.as_ref().map(|BackOff { base_interval, max_interval }| {
        let base = time(base_interval).map_err(|error| ("retryBackOff.baseInterval", error))?;
        let max = max_interval.as_ref().map(|text| time(text)).transpose();
        let max = max.map_err(|error| ("retryBackOff.maxInterval", error))?;
        let max = max.unwrap_or_else(|| base.saturating_mul(BACK_OFF_GROWTH));
        match max < base {
            true => Err(("retryBackOff.maxInterval", "is shorter than baseInterval".to_owned())),
            false => Ok((base, max)),
        }
    });
    Ok(GrpcRetry { retries: *num_retries, back_off: back_off.transpose()? })
}

/// The cluster of a backend that is asked by gRPC.
fn cluster(
    view: &impl View,
    owner: &ObjectKey,
    reference: &BackendReference,
) -> Result<(ClusterName, BackendKey), Rejection> {
    let protocol = extension::grpc_protocol(&reference.group, &reference.kind);
    let face = extension::backend_of(view, owner, reference, protocol)?;
    let Clusters::One(cluster) = face.clusters else {
        let text = "is a pool of AI providers, which collects nothing";
        return Err(Rejection::at(Reason::InvalidKind, "name", text));
    };
    extension::require_http2(view, &face.key)?;
    Ok((cluster, face.key))
}
