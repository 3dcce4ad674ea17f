//! Traces by policies of listeners.

use crds::ObjectKey;
use crds::header;
use crds::listener_tracing::{
    CustomAttribute, ListenerTracing, MetadataKind, MetadataValue, NamedValue, OpenTelemetryTracer,
};
use ir::{
    ClientHeader, MetadataOf, SpanAttribute, SpanExport, SpanSampler, SpanShares, SpanValue, TracingIr,
};

use super::collector;
use super::validate;
use crate::gateway::facts::WrittenTracing;
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Reads what a policy says about traces at `field`.
///
/// # Errors
/// Something in it makes no sense, or Envoy would refuse it.
pub(super) fn read(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    tracing: &ListenerTracing,
) -> Result<WrittenTracing, Rejection> {
    let ListenerTracing {
        provider,
        client_sampling,
        random_sampling,
        overall_sampling,
        verbose,
        max_path_tag_length,
        attributes,
        spawn_upstream_span,
    } = tracing;
    let provider_field = format!("{field}.provider");
    let Some(tracer) = &provider.open_telemetry else {
        return Err(invalid(&provider_field, "openTelemetry must be set"));
    };
    let OpenTelemetryTracer { grpc_service, service_name, resource_detectors, sampler } = tracer;
    let service_field = format!("{provider_field}.openTelemetry.grpcService");
    let share = |member: &str, share: Option<i32>| {
        let Some(share) = share else { return Ok(None) };
        let read = u8::try_from(share).ok().filter(|share| *share <= 100);
        read.map(Some).ok_or_else(|| invalid(&format!("{field}.{member}"), "is not a number from 0 to 100"))
    };
    let shares = SpanShares {
        client: share("clientSampling", *client_sampling)?,
        random: share("randomSampling", *random_sampling)?,
        overall: share("overallSampling", *overall_sampling)?,
    };
    let named = collector::named(view, owner, &service_field, grpc_service)?;
    let attributes = attributes.iter().enumerate();
    let attributes = attributes
        .map(|(index, attribute)| read_attribute(&format!("{field}.attributes[{index}]"), attribute));
    let attributes = attributes.collect::<Result<Vec<_>, _>>()?;
    let tells_environment =
        resource_detectors.iter().any(|detector| detector.environment_resource_detector.is_some());
    let is_always = sampler.as_ref().is_some_and(|sampler| sampler.always_on_config.is_some());
    let (tracing, backend) = match named {
        Ok((service, backend)) => {
            let tracing = TracingIr {
                export: SpanExport::Grpc(service),
                service_name: service_name.clone().unwrap_or_default(),
                sampler: is_always.then_some(SpanSampler::All),
                shares,
                is_verbose: *verbose == Some(true),
                max_path_bytes: max_path_tag_length.filter(|length| *length > 0),
                has_attempts: *spawn_upstream_span == Some(true),
                tells_environment,
                attributes,
            };
            (Ok(tracing), Some(backend))
        }
        Err(rejection) => (Err(rejection), None),
    };
    Ok(WrittenTracing { tracing, backend })
}

fn invalid(field: &str, error: impl std::fmt::Display) -> Rejection {
    Rejection::at(Reason::Invalid, field, error.to_string())
}

fn read_attribute(field: &str, attribute: &CustomAttribute) -> Result<SpanAttribute, Rejection> {
    let CustomAttribute { name, literal, environment, request_header, metadata } = attribute;
    if name.is_empty() {
        return Err(invalid(&format!("{field}.name"), "is empty"));
    }
    let found = [
        literal.as_ref().map(|literal| match literal.value.is_empty() {
            true => Err(invalid(&format!("{field}.literal.value"), "is empty")),
            false => Ok(SpanValue::Literal(literal.value.clone())),
        }),
        environment.as_ref().map(|NamedValue { name, default_value }| match name.is_empty() {
            true => Err(invalid(&format!("{field}.environment.name"), "is empty")),
            false => Ok(SpanValue::Environment {
                name: name.clone(),
                default: default_value.clone().unwrap_or_default(),
            }),
        }),
        request_header.as_ref().map(|header| read_header(&format!("{field}.requestHeader"), header)),
        metadata.as_ref().map(|metadata| read_metadata(&format!("{field}.metadata"), metadata)),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(SpanAttribute { name: name.clone(), value: value? }),
        _ => {
            Err(invalid(field, "exactly one of literal, environment, requestHeader and metadata must be set"))
        }
    }
}

/// A header as the client has sent it: what a backend's cluster does to a request, such as putting in a credential, is not
/// seen.
fn read_header(field: &str, header: &NamedValue) -> Result<SpanValue, Rejection> {
    let NamedValue { name, default_value } = header;
    let name = header::name_token(name).map_err(|error| invalid(&format!("{field}.name"), error))?;
    if let Some(default) = default_value {
        validate::header_value(default).map_err(|error| invalid(&format!("{field}.defaultValue"), error))?;
    }
    let default = default_value.clone().filter(|default| !default.is_empty());
    Ok(SpanValue::Header(ClientHeader { expression: name, default }))
}

fn read_metadata(field: &str, metadata: &MetadataValue) -> Result<SpanValue, Rejection> {
    let MetadataValue { kind, metadata_key, default_value } = metadata;
    let path: Vec<_> = metadata_key.path.iter().map(|segment| segment.key.clone()).collect();
    if metadata_key.key.is_empty() || path.is_empty() || path.iter().any(String::is_empty) {
        return Err(invalid(&format!("{field}.metadataKey"), "key and path must name something"));
    }
    Ok(SpanValue::Metadata {
        of: match kind {
            MetadataKind::Request => MetadataOf::Request,
            MetadataKind::Route => MetadataOf::Route,
            MetadataKind::Cluster => MetadataOf::Cluster,
            MetadataKind::Host => MetadataOf::Host,
        },
        namespace: metadata_key.key.clone(),
        path,
        default: default_value.clone().unwrap_or_default(),
    })
}
