//! Access logs as kgateway's HTTPListenerPolicy has them, and Gloo's options, whose sinks have the same members.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grpc_service::{GrpcService, HeaderValue, RetryPolicy, with_grpc_service};
use crate::identity::kgateway::ExtensionBackendReference as BackendReference;
use crate::sensitive::Opaque;

/// An access log.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLog {
    /// A file that lines are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_sink: Option<FileSink>,
    /// A service that gets each request by Envoy's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<GrpcLog>,
    /// A collector of OpenTelemetry that gets a record for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_telemetry: Option<OpenTelemetryLog>,
    /// Which requests are logged; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<AccessLogFilter>,
}

/// A file that lines are written to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.stringFormat) != has(self.jsonFormat)")
        .message("exactly one of stringFormat and jsonFormat must be set")
)]
pub struct FileSink {
    /// Path of the file, as the proxy sees it, such as /dev/stdout.
    #[schemars(length(min = 1))]
    pub path: String,
    /// Text with Envoy's commands, such as %RESPONSE_CODE%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_format: Option<String>,
    /// Members of the JSON object of each line; texts in it may hold Envoy's commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_format: Option<Opaque>,
}

with_grpc_service! {
    /// A service that gets each request by Envoy's protocol (envoy.service.accesslog.v3.AccessLogService).
    pub struct GrpcLog {
        /// The name of the log.
        #[schemars(length(min = 1, max = 253))]
        pub log_name: String,
        /// Headers of clients' requests that it gets, too: as custom tags of these names, or, of Envoy's own headers and of those
        /// that begin with a colon, among the headers of the request.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
        pub additional_request_headers_to_log: Vec<String>,
        /// Headers of answers that it gets, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
        pub additional_response_headers_to_log: Vec<String>,
        /// Trailers of answers that it gets, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
        pub additional_response_trailers_to_log: Vec<String>,
    }
}

with_grpc_service! {
    /// A service that gets requests, and under which name.
    pub struct LogService {
        /// The name of the log.
        #[schemars(length(min = 1, max = 253))]
        pub log_name: String,
    }
}

with_grpc_service!(in GrpcLog {
    log_name
    additional_request_headers_to_log
    additional_response_headers_to_log
    additional_response_trailers_to_log
});
with_grpc_service!(in LogService { log_name });

/// A collector of OpenTelemetry that gets a record for each request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenTelemetryLog {
    /// The collector.
    pub grpc_service: LogService,
    /// What a record says; a text with Envoy's commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether records go without what Envoy says of itself: log_name, zone_name, cluster_name, node_name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_builtin_labels: Option<bool>,
    /// Attributes of records; their texts may hold Envoy's commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<KeyValues>,
    /// Attributes of the resource that records are about. service.name is GATEWAY.NAMESPACE, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<KeyValues>,
}

/// Values under their names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct KeyValues {
    /// The values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub values: Vec<KeyValue>,
}

/// A value under its name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct KeyValue {
    /// The name.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// The value.
    pub value: AnyValue,
}

/// A value: exactly one member is set.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AnyValue {
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// A list of such values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_value: Option<Vec<Opaque>>,
    /// Values under their names: an object with the member `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_list_value: Option<Opaque>,
}

/// Makes the struct of one filter, and that of one or several: a CRD can have no member of its own type.
macro_rules! filters {
    ($( #[doc = $doc:literal] $member:ident: $type:ty, )+) => {
        /// A filter: exactly one member is set.
        #[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
        #[serde(rename_all = "camelCase")]
        #[x_kube(
            validation = Rule::new("[has(self.statusCodeFilter), has(self.durationFilter), has(self.notHealthCheckFilter), has(self.traceableFilter), has(self.headerFilter), has(self.responseFlagFilter), has(self.grpcStatusFilter), has(self.celFilter)].filter(x, x).size() == 1")
                .message("exactly one filter must be set")
        )]
        pub struct LogFilter {
            $(
                #[doc = $doc]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $member: Option<$type>,
            )+
        }

        /// Which requests are logged: one filter, or several of which all or any must fit.
        #[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
        #[serde(rename_all = "camelCase")]
        #[x_kube(
            validation = Rule::new("[has(self.andFilter), has(self.orFilter), has(self.statusCodeFilter), has(self.durationFilter), has(self.notHealthCheckFilter), has(self.traceableFilter), has(self.headerFilter), has(self.responseFlagFilter), has(self.grpcStatusFilter), has(self.celFilter)].filter(x, x).size() == 1")
                .message("exactly one filter must be set")
        )]
        pub struct AccessLogFilter {
            /// All of these must fit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 2, max = 16))]
            pub and_filter: Option<Vec<LogFilter>>,
            /// Any of these must fit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 2, max = 16))]
            pub or_filter: Option<Vec<LogFilter>>,
            $(
                #[doc = $doc]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $member: Option<$type>,
            )+
        }

        impl AccessLogFilter {
            /// The members that a single filter has, too.
            pub fn single(&self) -> LogFilter {
                LogFilter { $( $member: self.$member.clone(), )+ }
            }
        }
    };
}

filters! {
    #[doc = "On the status of the answer."]
    status_code_filter: ComparisonFilter,
    #[doc = "On the duration of the request, in milliseconds."]
    duration_filter: ComparisonFilter,
    #[doc = "Requests that are no health checks; must be true."]
    not_health_check_filter: bool,
    #[doc = "Requests that are traced; must be true."]
    traceable_filter: bool,
    #[doc = "On a header of the request."]
    header_filter: HeaderFilter,
    #[doc = "On what Envoy notes about the answer, such as NR for no route."]
    response_flag_filter: ResponseFlagFilter,
    #[doc = "On the status of a gRPC call."]
    grpc_status_filter: GrpcStatusFilter,
    #[doc = "An expression in CEL."]
    cel_filter: CelFilter,
}

/// A comparison with a number.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComparisonFilter {
    /// How.
    pub op: ComparisonOp,
    /// The number; 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::unsigned")]
    pub value: Option<u32>,
}

/// How numbers are compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "Envoy's own words; a variant's doc would reach the CRD")]
pub enum ComparisonOp {
    Eq,
    Ge,
    Le,
}

/// A header of the request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct HeaderFilter {
    /// Its name, and what its value must look like.
    pub header: HeaderMatch,
}

/// A header's name and value (Gateway API, `HTTPHeaderMatch`).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Exact, if absent, or RegularExpression.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<HeaderMatchType>,
    /// Name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// How a header's value is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Gateway API's own words; a variant's doc would reach the CRD")]
pub enum HeaderMatchType {
    Exact,
    RegularExpression,
}

/// What Envoy notes about the answer.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct ResponseFlagFilter {
    /// Envoy's flags, of which one must be there.
    #[schemars(length(min = 1))]
    pub flags: Vec<String>,
}

/// The status of a gRPC call.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatusFilter {
    /// The statuses.
    #[schemars(length(min = 1))]
    pub statuses: Vec<GrpcStatus>,
    /// Whether all other statuses are meant.
    #[serde(default, skip_serializing_if = "crate::traffic_policy::is_false")]
    pub exclude: bool,
}

/// A status of a gRPC call.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "gRPC's own words; a variant's doc would reach the CRD")]
pub enum GrpcStatus {
    Ok,
    Canceled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// An expression in CEL.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct CelFilter {
    /// Requests are logged for which it is true.
    #[serde(rename = "match")]
    pub expression: String,
}

/// The access logs of a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessLogs {
    /// Path of the field that holds them.
    pub field: String,
    /// The logs; empty is the same as absent.
    pub logs: Vec<AccessLog>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::Object;

    /// The paths of the objects in a document, from one of them on.
    fn objects(value: &Value, path: &str) -> Vec<String> {
        match value {
            Value::Object(members) => {
                let below =
                    members.iter().flat_map(|(name, value)| objects(value, &format!("{path}/{name}")));
                [path.to_owned()].into_iter().chain(below).collect()
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .flat_map(|(index, value)| objects(value, &format!("{path}/{index}")))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A member that no struct has is named, at whatever depth it is written.
    #[test]
    fn misspelt_members_of_logs_are_named_at_every_level() {
        let service = json!({
            "backendRef": {"name": "logs", "port": 80}, "logName": "log", "initialMetadata": [{"key": "a", "value": "b"}],
            "retryPolicy": {"retryBackOff": {"baseInterval": "1s"}},
        });
        let attributes = json!({"values": [{"key": "a", "value": {"stringValue": "b"}}]});
        let policy = json!({
            "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "HTTPListenerPolicy",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"accessLog": [
                {"grpcService": service},
                {"openTelemetry": {"grpcService": service, "attributes": attributes, "resourceAttributes": attributes}},
            ]},
        });
        let all = objects(&policy["spec"], "/spec");
        assert!(all.len() > 18, "{all:?}");
        for path in all {
            let mut misspelt = policy.clone();
            let level: &mut Map<_, _> = misspelt.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            level.insert("nobodysMember".to_owned(), json!(1));
            let unknown = Object::decode(misspelt).unwrap().unknown_fields;
            assert_eq!(unknown.len(), 1, "{path}: {unknown:?}");
            assert!(unknown[0].ends_with(".nobodysMember"), "{path}: {unknown:?}");
        }
    }
}
