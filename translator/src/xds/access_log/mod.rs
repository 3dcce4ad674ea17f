//! Access logs: the proxy's own, one line of JSON per request, or those of policies.

mod collector;
mod filter;

use std::collections::BTreeSet;

use ir::{AccessLogIr, ClientHeader, LogFormat, LogSink, Observability, TracingIr};
use prost::Name;
use proto::access_log::{AccessLog, access_log};
use proto::core::SubstitutionFormatString;
use proto::core::substitution_format_string::Format;
use proto::file_access_log::{FileAccessLog, file_access_log};
use proto::hcm::HttpFilter;
use proto::wkt::{Struct, Value, value};
use proto::{pack, struct_value};

use super::filter_state::{TakenDown, taking_down, text_format};
use super::tracing::{URL_KEY, url_format};
use crate::Settings;
use collector::{build_grpc_log, build_open_telemetry_log};
use filter::build_filter;

/// What is logged, by name. Headers are those listed here and no other, and the path goes without its
/// query: credentials travel in both.
const FIELDS: [(&str, &str); 22] = [
    // What an AI request has come to, if it was one: provider, models, counts of tokens.
    ("ai", "%DYNAMIC_METADATA(ai.kgateway.io)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%PATH(NQ)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_duration", "%RESPONSE_DURATION%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
];

/// The logs of a listener: those of its policies, or the proxy's own.
pub(super) fn build_access_logs(observability: &Observability, settings: &Settings) -> Vec<AccessLog> {
    match &observability.access_logs {
        Some(logs) => logs.iter().map(build_access_log).collect(),
        None => settings.access_log.iter().map(|path| file_log(path, own_format())).collect(),
    }
}

/// The filter that takes down what logs and spans tell of the client's request; `None` if they tell nothing of it.
pub(super) fn client_request_filter(observability: &Observability) -> Option<HttpFilter> {
    let logs = observability.access_logs.iter().flatten();
    let of_spans = observability.tracing.as_deref().into_iter().flat_map(TracingIr::client_headers);
    let headers: BTreeSet<&ClientHeader> = logs.flat_map(|log| &log.client_headers).chain(of_spans).collect();
    let headers = headers.into_iter().map(|header| TakenDown {
        key: header.state_key(),
        format: format!("%REQ({})%", header.expression),
        default: header.default.clone(),
    });
    let url = observability.tracing.as_ref().map(|tracing| TakenDown {
        key: URL_KEY.to_owned(),
        format: url_format(tracing),
        default: None,
    });
    taking_down("chancery.client_request", headers.chain(url))
}

fn build_access_log(ir: &AccessLogIr) -> AccessLog {
    let log = match &ir.sink {
        LogSink::File { path, format } => file_log(path, log_format(format)),
        LogSink::Grpc(log) => logger("envoy.access_loggers.http_grpc", &build_grpc_log(log)),
        LogSink::OpenTelemetry(log) => {
            logger("envoy.access_loggers.open_telemetry", &build_open_telemetry_log(log))
        }
    };
    AccessLog { filter: ir.filter.as_ref().map(build_filter), ..log }
}

/// A format as Envoy has it.
pub(super) fn log_format(ir: &LogFormat) -> SubstitutionFormatString {
    match ir {
        LogFormat::Text(text) => text_format(text.clone()),
        LogFormat::Json(text) => json_format(struct_value(serde_json::from_str(text).unwrap_or_default())),
    }
}

/// A log to the file `path`, as the proxy sees it.
fn file_log(path: &str, format: SubstitutionFormatString) -> AccessLog {
    let log = FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    };
    logger("envoy.access_loggers.file", &log)
}

fn logger<M: Name>(name: &str, config: &M) -> AccessLog {
    AccessLog {
        name: name.to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(pack(config))),
        ..AccessLog::default()
    }
}

fn own_format() -> SubstitutionFormatString {
    let string = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    json_format(Struct {
        fields: FIELDS.iter().map(|(name, format)| ((*name).to_owned(), string(format))).collect(),
    })
}

fn json_format(members: Struct) -> SubstitutionFormatString {
    SubstitutionFormatString {
        format: Some(Format::JsonFormat(members)),
        ..SubstitutionFormatString::default()
    }
}
