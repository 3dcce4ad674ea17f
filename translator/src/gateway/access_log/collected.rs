//! Access logs that go to a service by gRPC.

use std::collections::BTreeSet;

use crds::access_log::{AnyValue, GrpcLog, KeyValue, KeyValues, OpenTelemetryLog};
use crds::grpc_service::GrpcService;
use crds::{ObjectKey, header};
use ir::{ClientHeader, GrpcLogIr, LogSink, LogValue, OtelLogIr};

use super::{MAX_JSON_DEPTH, format, invalid};
use crate::gateway::collector;
use crate::gateway::facts::BackendKey;
use crate::gateway::view::View;
use crate::status::Rejection;

/// A log, or why its service cannot be asked; and the headers of clients that it reads.
pub(super) struct Collected {
    pub sink: Result<(LogSink, BackendKey), Rejection>,
    pub client_headers: BTreeSet<ClientHeader>,
}

/// Reads a log that goes to a service of Envoy's protocol.
///
/// # Errors
/// Something in it makes no sense, or Envoy would refuse it.
pub(super) fn grpc(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    log: &GrpcLog,
) -> Result<Collected, Rejection> {
    let GrpcLog {
        log_name,
        additional_request_headers_to_log: request,
        additional_response_headers_to_log: response,
        additional_response_trailers_to_log: trailers,
        ..
    } = log;
    let of_requests = names(field, "additionalRequestHeadersToLog", request)?;
    let response_headers = names(field, "additionalResponseHeadersToLog", response)?;
    let response_trailers = names(field, "additionalResponseTrailersToLog", trailers)?;
    // When a log chooses its headers, those that a backend's cluster has put in, such as the credential of a provider, stand
    // among those of the request. So the others are taken down when the request arrives.
    let (request_headers, taken_down): (Vec<_>, Vec<_>) =
        of_requests.into_iter().partition(|name| format::is_never_a_credential(name));
    let tags: Vec<_> =
        taken_down.into_iter().map(|expression| ClientHeader { expression, default: None }).collect();
    let client_headers = tags.iter().cloned().collect();
    let (log_name, named) = named(view, owner, field, log_name, &log.service())?;
    let sink = named.map(|(service, backend)| {
        let log = GrpcLogIr { service, log_name, request_headers, tags, response_headers, response_trailers };
        (LogSink::Grpc(Box::new(log)), backend)
    });
    Ok(Collected { sink, client_headers })
}

/// Reads a log that goes to a collector of OpenTelemetry.
///
/// # Errors
/// As above.
pub(super) fn open_telemetry(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    log: &OpenTelemetryLog,
) -> Result<Collected, Rejection> {
    let OpenTelemetryLog { grpc_service, body, disable_builtin_labels, attributes, resource_attributes } =
        log;
    let mut client_headers = BTreeSet::new();
    let mut formatted = |field: &str, text: &str| {
        let safe = format::read(text).map_err(|error| invalid(field, error))?;
        client_headers.extend(safe.client_headers);
        Ok(safe.text)
    };
    let body = body.as_ref().map(|text| formatted(&format!("{field}.body"), text)).transpose()?;
    let attributes = key_values(&format!("{field}.attributes"), attributes.as_ref(), 1, &mut formatted)?;
    let resource_field = format!("{field}.resourceAttributes");
    // Envoy takes these as they are.
    let mut as_it_is = |_: &str, text: &str| Ok(text.to_owned());
    let resource = key_values(&resource_field, resource_attributes.as_ref(), 1, &mut as_it_is)?;
    let service = grpc_service.service();
    let (log_name, named) =
        named(view, owner, &format!("{field}.grpcService"), &grpc_service.log_name, &service)?;
    let sink = named.map(|(service, backend)| {
        let has_builtin_labels = *disable_builtin_labels != Some(true);
        let log = OtelLogIr { service, log_name, body, attributes, resource, has_builtin_labels };
        (LogSink::OpenTelemetry(Box::new(log)), backend)
    });
    Ok(Collected { sink, client_headers })
}

fn named(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    log_name: &str,
    service: &GrpcService,
) -> Result<(String, collector::Named), Rejection> {
    if log_name.is_empty() || log_name.chars().any(char::is_control) {
        return Err(invalid(&format!("{field}.logName"), "must be a name"));
    }
    Ok((log_name.to_owned(), collector::named(view, owner, field, service)?))
}

/// Names of headers, each once.
fn names(field: &str, member: &str, written: &[String]) -> Result<Vec<String>, Rejection> {
    let names = written.iter().enumerate().map(|(index, name)| {
        // Pseudo-headers begin with a colon.
        let (colon, token) = name.strip_prefix(':').map_or(("", name.as_str()), |rest| (":", rest));
        let token = header::name_token(token)
            .map_err(|error| invalid(&format!("{field}.{member}[{index}]"), error))?;
        Ok(format!("{colon}{token}"))
    });
    Ok(names.collect::<Result<BTreeSet<_>, Rejection>>()?.into_iter().collect())
}

/// Turns the text of a field into what Envoy gets.
type Text<'a> = &'a mut dyn FnMut(&str, &str) -> Result<String, Rejection>;

fn key_values(
    field: &str,
    written: Option<&KeyValues>,
    depth: usize,
    text: Text<'_>,
) -> Result<Vec<(String, LogValue)>, Rejection> {
    let values = written.map(|written| &*written.values).unwrap_or_default().iter().enumerate();
    let mut seen = BTreeSet::new();
    let values = values.map(|(index, KeyValue { key, value })| {
        let field = format!("{field}.values[{index}]");
        if key.is_empty() || !seen.insert(key) {
            return Err(invalid(&format!("{field}.key"), format!("{key:?} is empty or stands twice")));
        }
        Ok((key.clone(), any_value(&format!("{field}.value"), value, depth, text)?))
    });
    values.collect()
}

fn any_value(field: &str, value: &AnyValue, depth: usize, text: Text<'_>) -> Result<LogValue, Rejection> {
    if depth > MAX_JSON_DEPTH {
        return Err(invalid(field, format!("is deeper than {MAX_JSON_DEPTH} levels")));
    }
    match (&value.string_value, &value.array_value, &value.kv_list_value) {
        (Some(string), None, None) => Ok(LogValue::Text(text(&format!("{field}.stringValue"), string)?)),
        (None, Some(items), None) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                let field = format!("{field}.arrayValue[{index}]");
                let item: AnyValue =
                    serde_json::from_value(item.0.clone()).map_err(|error| invalid(&field, error))?;
                any_value(&field, &item, depth + 1, text)
            });
            Ok(LogValue::List(items.collect::<Result<_, _>>()?))
        }
        (None, None, Some(members)) => {
            let field = format!("{field}.kvListValue");
            let members: KeyValues =
                serde_json::from_value(members.0.clone()).map_err(|error| invalid(&field, error))?;
            Ok(LogValue::Map(key_values(&field, Some(&members), depth + 1, text)?))
        }
        _ => Err(invalid(field, "exactly one of stringValue, arrayValue and kvListValue must be set")),
    }
}
