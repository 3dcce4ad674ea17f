//! Access logs of policies: what Envoy would refuse a listener for is refused here, and named.

mod collected;
mod format;

use std::collections::BTreeSet;

use crds::access_log::{
    self, AccessLog, AccessLogFilter, AccessLogs, CelFilter, ComparisonFilter, FileSink, GrpcStatusFilter,
    HeaderFilter, HeaderMatchType,
};
use crds::{ObjectKey, header};
use ir::{
    AccessLogIr, ClientHeader, Comparison, ComparisonOp, HeaderMatch, LogFilter, LogFormat, LogSink,
    StringMatch,
};
use serde_json::{Map, Value};

use super::validate;
use crate::gateway::cel;
use crate::gateway::facts::{GatewayFace, WrittenLog};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};
use collected::Collected;

/// The deepest JSON of a format. Envoy refuses what is much deeper.
const MAX_JSON_DEPTH: usize = 10;

/// The longest path of a file, in bytes (`PATH_MAX` of Linux).
const MAX_PATH_BYTES: usize = 4096;

/// Headers that carry credentials to providers. When a log chooses its requests, those of the gateway stand in them. A
/// header that a Backend names itself for its credential is not among them.
const CREDENTIAL_HEADERS: [&str; 7] = [
    "api-key",
    "authorization",
    "proxy-authorization",
    "x-amz-security-token",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-user-project",
];

/// Envoy's flags (its documentation of `%RESPONSE_FLAGS%`), as its API lets them stand in a filter.
const RESPONSE_FLAGS: [&str; 29] = [
    "DC", "DF", "DI", "DO", "DPE", "DR", "DT", "FI", "IH", "LH", "LR", "NC", "NFCF", "NR", "OM", "RFCF",
    "RL", "RLSE", "SI", "UAEX", "UC", "UF", "UH", "UMSDR", "UO", "UPE", "UR", "URX", "UT",
];

/// Reads the access logs of a policy.
///
/// # Errors
/// Something in them makes no sense, or Envoy would refuse it.
pub(in crate::gateway) fn read(
    view: &impl View,
    policy: &ObjectKey,
    logs: &AccessLogs,
) -> Result<Vec<WrittenLog>, Rejection> {
    let mut read = Vec::new();
    for (index, log) in logs.logs.iter().enumerate() {
        let field = format!("{}[{index}]", logs.field);
        let AccessLog { file_sink, grpc_service, open_telemetry, filter } = log;
        let filter =
            filter.as_ref().map(|filter| read_filter(&format!("{field}.filter"), filter)).transpose()?;
        if let Some(sink) = file_sink {
            let log = file(&format!("{field}.fileSink"), sink, filter.clone())?;
            read.push(WrittenLog { field: format!("{field}.fileSink.path"), log: Ok(log), backend: None });
        }
        let mut collect = |field: String, collected: Collected| {
            let Collected { sink, client_headers } = collected;
            let (sink, backend) = match sink {
                Ok((sink, backend)) => (Ok(sink), Some(backend)),
                Err(rejection) => (Err(rejection), None),
            };
            let log = sink.map(|sink| AccessLogIr { sink, filter: filter.clone(), client_headers });
            read.push(WrittenLog { field, log, backend });
        };
        if let Some(log) = grpc_service {
            let field = format!("{field}.grpcService");
            let collected = collected::grpc(view, policy, &field, log)?;
            collect(field, collected);
        }
        if let Some(log) = open_telemetry {
            let field = format!("{field}.openTelemetry");
            let collected = collected::open_telemetry(view, policy, &field, log)?;
            collect(field, collected);
        }
    }
    Ok(read)
}

/// Checks a text in the language of access logs that is to stand elsewhere, where requests are answered by the proxy itself. It sees
/// headers as the filters have left them.
///
/// # Errors
/// Envoy would refuse it.
pub(in crate::gateway) fn check_text(field: &str, text: &str) -> Result<(), Rejection> {
    format::read(text).map(drop).map_err(|error| invalid(field, error))
}

/// The same for an object whose texts are such texts.
///
/// # Errors
/// Envoy would refuse it.
pub(in crate::gateway) fn check_json(field: &str, members: &Map<String, Value>) -> Result<(), Rejection> {
    object(field, members, 1, &mut BTreeSet::new()).map(drop)
}

fn invalid(field: &str, message: impl std::fmt::Display) -> Rejection {
    Rejection::at(Reason::Invalid, field, message.to_string())
}

fn file(field: &str, sink: &FileSink, filter: Option<LogFilter>) -> Result<AccessLogIr, Rejection> {
    let FileSink { path, string_format, json_format } = sink;
    if path.is_empty() || path.len() > MAX_PATH_BYTES || path.chars().any(char::is_control) {
        return Err(invalid(&format!("{field}.path"), format!("{path:?} is not the path of a file")));
    }
    let mut client_headers = BTreeSet::new();
    let format = match (string_format, json_format) {
        (Some(text), None) => {
            let safe =
                format::read(text).map_err(|error| invalid(&format!("{field}.stringFormat"), error))?;
            client_headers = safe.client_headers;
            // A line ends where its format says so; nearly nobody wants one that does not end.
            LogFormat::Text(if text.ends_with('\n') { safe.text } else { safe.text + "\n" })
        }
        (None, Some(json)) => {
            let field = format!("{field}.jsonFormat");
            let Value::Object(members) = &json.0 else { return Err(invalid(&field, "is not an object")) };
            LogFormat::Json(Value::Object(object(&field, members, 1, &mut client_headers)?).to_string())
        }
        _ => return Err(invalid(field, "exactly one of stringFormat and jsonFormat must be set")),
    };
    Ok(AccessLogIr { sink: LogSink::File { path: path.clone(), format }, filter, client_headers })
}

fn object(
    field: &str,
    members: &Map<String, Value>,
    depth: usize,
    headers: &mut BTreeSet<ClientHeader>,
) -> Result<Map<String, Value>, Rejection> {
    let members = members
        .iter()
        .map(|(name, value)| Ok((name.clone(), json(&format!("{field}.{name}"), value, depth, headers)?)));
    members.collect()
}

fn json(
    field: &str,
    value: &Value,
    depth: usize,
    headers: &mut BTreeSet<ClientHeader>,
) -> Result<Value, Rejection> {
    if depth > MAX_JSON_DEPTH {
        return Err(invalid(field, format!("is deeper than {MAX_JSON_DEPTH} levels")));
    }
    match value {
        Value::String(text) => {
            let safe = format::read(text).map_err(|error| invalid(field, error))?;
            headers.extend(safe.client_headers);
            Ok(Value::String(safe.text))
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let items =
                items.map(|(index, item)| json(&format!("{field}[{index}]"), item, depth + 1, headers));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Value::Object(members) => Ok(Value::Object(object(field, members, depth + 1, headers)?)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

fn read_filter(field: &str, filter: &AccessLogFilter) -> Result<LogFilter, Rejection> {
    let several = |name: &str, filters: &[access_log::LogFilter]| {
        let field = format!("{field}.{name}");
        if filters.len() < 2 {
            return Err(invalid(&field, "needs at least two filters"));
        }
        let filters = filters.iter().enumerate();
        filters
            .map(|(index, filter)| single(&format!("{field}[{index}]"), filter))
            .collect::<Result<Vec<_>, _>>()
    };
    let single_is_set = filter.single() != access_log::LogFilter::default();
    match (&filter.and_filter, &filter.or_filter) {
        (Some(filters), None) if !single_is_set => Ok(LogFilter::All(several("andFilter", filters)?)),
        (None, Some(filters)) if !single_is_set => Ok(LogFilter::Any(several("orFilter", filters)?)),
        (None, None) => single(field, &filter.single()),
        _ => Err(invalid(field, "exactly one filter must be set")),
    }
}

fn single(field: &str, filter: &access_log::LogFilter) -> Result<LogFilter, Rejection> {
    let access_log::LogFilter {
        status_code_filter,
        duration_filter,
        not_health_check_filter,
        traceable_filter,
        header_filter,
        response_flag_filter,
        grpc_status_filter,
        cel_filter,
    } = filter;
    let flag = |name: &str, is_set: bool, filter: LogFilter| match is_set {
        true => Ok(filter),
        false => Err(invalid(&format!("{field}.{name}"), "must be true, or absent")),
    };
    let found = [
        status_code_filter.map(|filter| Ok(LogFilter::Status(comparison(filter)))),
        duration_filter.map(|filter| Ok(LogFilter::Duration(comparison(filter)))),
        not_health_check_filter.map(|is_set| flag("notHealthCheckFilter", is_set, LogFilter::NotHealthCheck)),
        traceable_filter.map(|is_set| flag("traceableFilter", is_set, LogFilter::Traceable)),
        header_filter.as_ref().map(|filter| header_match(&format!("{field}.headerFilter.header"), filter)),
        response_flag_filter.as_ref().map(|filter| {
            let unknown = filter.flags.iter().find(|flag| !RESPONSE_FLAGS.contains(&flag.as_str()));
            let field = format!("{field}.responseFlagFilter.flags");
            match unknown {
                Some(flag) => Err(invalid(&field, format!("{flag:?} is not a flag of the proxy"))),
                None => Ok(LogFilter::ResponseFlags(filter.flags.clone())),
            }
        }),
        grpc_status_filter.as_ref().map(|filter| Ok(grpc_status(filter))),
        cel_filter.as_ref().map(|CelFilter { expression }| {
            cel::check(expression, check_header_name)
                .map_err(|error| invalid(&format!("{field}.celFilter.match"), error))?;
            Ok(LogFilter::Cel(expression.clone()))
        }),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(filter), None) => filter,
        _ => Err(invalid(field, "exactly one filter must be set")),
    }
}

fn comparison(filter: ComparisonFilter) -> Comparison {
    let op = match filter.op {
        access_log::ComparisonOp::Eq => ComparisonOp::Eq,
        access_log::ComparisonOp::Ge => ComparisonOp::Ge,
        access_log::ComparisonOp::Le => ComparisonOp::Le,
    };
    Comparison { op, value: filter.value.unwrap_or_default() }
}

fn grpc_status(filter: &GrpcStatusFilter) -> LogFilter {
    let name = |status| serde_json::to_value(status).ok()?.as_str().map(str::to_owned);
    LogFilter::GrpcStatus {
        statuses: filter.statuses.iter().filter_map(name).collect(),
        exclude: filter.exclude,
    }
}

fn header_match(field: &str, filter: &HeaderFilter) -> Result<LogFilter, Rejection> {
    let access_log::HeaderMatch { type_, name, value } = &filter.header;
    let name = header::name_token(name).map_err(|error| invalid(&format!("{field}.name"), error))?;
    check_header_name(&name).map_err(|error| invalid(&format!("{field}.name"), error))?;
    let value = match type_ {
        Some(HeaderMatchType::RegularExpression) => {
            validate::regex(value).map(|_| StringMatch::Regex(value.clone()))
        }
        _ => validate::header_value(value).map(|()| StringMatch::Exact(value.clone())),
    };
    let value = value.map_err(|error| invalid(&format!("{field}.value"), error))?;
    Ok(LogFilter::Header(HeaderMatch { name, value }))
}

/// Files that every proxy can write to.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/stderr", "/dev/stdout"];

/// Whether a proxy in a cluster can open a file to write to it. Envoy refuses a listener with a log that it cannot open, so
/// that nothing is let pass but what is always there, and files in volumes that are mounted for it.
///
/// # Errors
/// It cannot, as far as is known.
pub(in crate::gateway) fn check_writable(path: &str, gateway: &GatewayFace) -> Result<(), String> {
    let kube = gateway.parameters.kube.as_ref();
    let mounts = kube.and_then(|kube| kube.envoy_container.as_ref()?.extra_volume_mounts.as_ref());
    let writable = mounts.into_iter().flatten().filter(|mount| mount.read_only != Some(true));
    let is_in = |folder: &str| {
        let file = path.strip_prefix(folder.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        file.is_some_and(|file| !matches!(file, "" | "." | "..") && !file.contains('/'))
    };
    if DEVICES.contains(&path) || writable.map(|mount| &mount.mount_path).any(|folder| is_in(folder)) {
        return Ok(());
    }
    Err(format!(
        "the proxy cannot write to {path:?}: it can to {}, and to files right in volumes that GatewayParameters mount \
         (spec.kube.envoyContainer.extraVolumeMounts)",
        DEVICES.join(", ")
    ))
}

/// Refuses to choose requests by headers that hold the gateway's own credential then: what lines there are would tell of it.
pub(in crate::gateway) fn check_header_name(name: &str) -> Result<(), String> {
    match CREDENTIAL_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        true => Err(format!("the header {name:?} carries credentials, of the gateway itself, too")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::gateway_api::Gateway;
    use serde_json::json;

    use super::*;
    use crate::gateway::facts::Parameters;

    #[test]
    fn logs_are_files_that_the_proxy_can_open() {
        let kube = json!({"envoyContainer": {"extraVolumeMounts": [
            {"name": "a", "mountPath": "/var/log/gateway/"},
            {"name": "b", "mountPath": "/etc/fixed", "readOnly": true},
        ]}});
        let gateway: Gateway = serde_json::from_value(
            json!({"metadata": {"name": "gw"}, "spec": {"gatewayClassName": "chancery", "listeners": []}}),
        )
        .unwrap();
        let parameters = Parameters {
            kube: Some(Arc::new(serde_json::from_value(kube).unwrap())),
            ..Parameters::default()
        };
        let face = GatewayFace {
            gateway: Arc::new(gateway),
            listeners: Vec::new(),
            parameters,
            named_parameters: None,
            escaped_slashes: ir::EscapedSlashes::default(),
            client_certificate: None,
            wanted: Default::default(),
            rejected: None,
        };
        for good in ["/dev/stdout", "/dev/stderr", "/dev/null", "/var/log/gateway/a.log"] {
            assert_eq!(check_writable(good, &face), Ok(()), "{good}");
        }
        for bad in [
            "a.log",
            "/tmp/a.log",
            "/var/log/gateway",
            "/var/log/gateway/..",
            "/var/log/gateway/b/a.log",
            "/etc/fixed/a",
        ] {
            assert!(check_writable(bad, &face).is_err(), "{bad}");
        }
    }
}
