//! Access logs that go to a service by gRPC.

use ir::{GrpcLogIr, LogValue, OtelLogIr};
use proto::core::ApiVersion;
use proto::grpc_access_log::{CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig};
use proto::otel_access_log::OpenTelemetryAccessLogConfig;
use proto::otel_common::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};

use crate::xds::grpc_service::build_grpc_service;
use crate::xds::tracing::formatted_tag;

pub(super) fn build_grpc_log(ir: &GrpcLogIr) -> HttpGrpcAccessLogConfig {
    let GrpcLogIr { service, log_name, request_headers, tags, response_headers, response_trailers } = ir;
    let tags = tags.iter().map(|header| {
        formatted_tag(&header.expression, format!("%FILTER_STATE({}:PLAIN)%", header.state_key()))
    });
    HttpGrpcAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: log_name.clone(),
            grpc_service: Some(build_grpc_service(service)),
            transport_api_version: ApiVersion::V3.into(),
            custom_tags: tags.collect(),
            ..CommonGrpcAccessLogConfig::default()
        }),
        additional_request_headers_to_log: request_headers.clone(),
        additional_response_headers_to_log: response_headers.clone(),
        additional_response_trailers_to_log: response_trailers.clone(),
    }
}

pub(super) fn build_open_telemetry_log(ir: &OtelLogIr) -> OpenTelemetryAccessLogConfig {
    let OtelLogIr { service, log_name, body, attributes, resource, has_builtin_labels } = ir;
    OpenTelemetryAccessLogConfig {
        grpc_service: Some(build_grpc_service(service)),
        log_name: log_name.clone(),
        body: body.as_ref().map(|text| any_text(text)),
        attributes: list(attributes),
        resource_attributes: list(resource),
        disable_builtin_labels: !has_builtin_labels,
        ..OpenTelemetryAccessLogConfig::default()
    }
}

fn list(values: &[(String, LogValue)]) -> Option<KeyValueList> {
    (!values.is_empty()).then(|| KeyValueList { values: key_values(values) })
}

fn key_values(values: &[(String, LogValue)]) -> Vec<KeyValue> {
    let build = |(key, value): &(String, LogValue)| KeyValue {
        key: key.clone(),
        value: Some(any(value)),
        ..KeyValue::default()
    };
    values.iter().map(build).collect()
}

fn any(value: &LogValue) -> AnyValue {
    let value = match value {
        LogValue::Text(text) => return any_text(text),
        LogValue::List(values) => {
            any_value::Value::ArrayValue(ArrayValue { values: values.iter().map(any).collect() })
        }
        LogValue::Map(values) => any_value::Value::KvlistValue(KeyValueList { values: key_values(values) }),
    };
    AnyValue { value: Some(value) }
}

fn any_text(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}
