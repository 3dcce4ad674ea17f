//! Access logs: the proxy's own, one line of JSON per request, or those of policies.

mod filter;

use std::collections::BTreeSet;

use ir::{AccessLogIr, ClientHeader, LogFormat, Observability};
use proto::access_log::{AccessLog, access_log};
use proto::core::SubstitutionFormatString;
use proto::core::substitution_format_string::Format;
use proto::file_access_log::{FileAccessLog, file_access_log};
use proto::hcm::HttpFilter;
use proto::wkt::{Struct, Value, value};
use proto::{pack, struct_value};

use super::filter_state::{taking_down, text_format};
use super::tracing::{URL, URL_KEY};
use crate::Settings;
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
    let headers: BTreeSet<&ClientHeader> = logs.flat_map(|log| &log.client_headers).collect();
    let headers =
        headers.into_iter().map(|header| (header.state_key(), format!("%REQ({})%", header.expression)));
    let url = observability.tracing.as_ref().map(|_| (URL_KEY.to_owned(), URL.to_owned()));
    taking_down("chancery.client_request", headers.chain(url))
}

fn build_access_log(ir: &AccessLogIr) -> AccessLog {
    let format = match &ir.format {
        LogFormat::Text(text) => text_format(text.clone()),
        LogFormat::Json(text) => json_format(struct_value(serde_json::from_str(text).unwrap_or_default())),
    };
    AccessLog { filter: ir.filter.as_ref().map(build_filter), ..file_log(&ir.path, format) }
}

/// A log to the file `path`, as the proxy sees it.
fn file_log(path: &str, format: SubstitutionFormatString) -> AccessLog {
    let log = FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    };
    AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(pack(&log))),
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
