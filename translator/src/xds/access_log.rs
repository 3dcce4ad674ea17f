//! The access log: one line of JSON per request.

use proto::access_log::{AccessLog, access_log};
use proto::core::SubstitutionFormatString;
use proto::core::substitution_format_string::Format;
use proto::file_access_log::{FileAccessLog, file_access_log};
use proto::pack;
use proto::wkt::{Struct, Value, value};

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

/// A log to the file `path`, as the proxy sees it.
pub(super) fn build_access_log(path: &str) -> AccessLog {
    let format = SubstitutionFormatString {
        format: Some(Format::JsonFormat(Struct {
            fields: FIELDS.iter().map(|(name, format)| ((*name).to_owned(), string(format))).collect(),
        })),
        ..SubstitutionFormatString::default()
    };
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

fn string(text: &str) -> Value {
    Value { kind: Some(value::Kind::StringValue(text.to_owned())) }
}
