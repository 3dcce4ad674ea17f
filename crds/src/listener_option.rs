//! `gateway.solo.io/v1` ListenerOption and HttpListenerOption: what listeners of Gateways do with all their requests.
//!
//! Of their options, `accessLoggingService` is carried out. The others are kept, so that a status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access_log::{AccessLog, AccessLogs, FileSink};
use crate::ai::SpecError;
use crate::policy::{Content, Policy, PolicyStatus, Target, UnusableTarget, with_opaque_members};
use crate::route_option::target;
use crate::sensitive::Opaque;

/// API group of both kinds.
pub const GROUP: &str = "gateway.solo.io";

/// A Gateway or a listener that options apply to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTargetRef {
    /// API group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; must be that of the options, which it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// A listener of the Gateway; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// Access logs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLoggingService {
    /// The logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_log: Vec<OptionAccessLog>,
}

/// An access log.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionAccessLog {
    /// A file that lines are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_sink: Option<FileSink>,
    /// A gRPC service. Not carried out yet: the log is left out, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<Opaque>,
    /// A collector of OpenTelemetry. Not carried out yet: the log is left out, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_telemetry_service: Option<Opaque>,
    /// Which requests are logged. Not carried out yet: the log is left out, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Opaque>,
}

/// Makes a kind of options.
macro_rules! option_kind {
    (
        $kind:ident, $kind_text:literal, $spec:ident, $options:ident, $plural:literal, $short:literal,
        ignored { $( $ignored:ident $ignored_json:literal, )+ }
    ) => {
        /// What listeners of Gateways do with all their requests.
        #[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
        #[kube(
            group = "gateway.solo.io",
            version = "v1",
            kind = $kind_text,
            plural = $plural,
            shortname = $short,
            namespaced,
            status = "PolicyStatus",
            derive = "PartialEq",
            category = "gloo",
            doc = "What listeners of Gateways do with all their requests.",
            printcolumn(
                name = "Accepted",
                type_ = "string",
                json_path = ".status.ancestors[*].conditions[?(@.type=='Accepted')].status",
                description = "Whether the options are in effect, at each Gateway"
            ),
            printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
        )]
        #[serde(rename_all = "camelCase")]
        #[x_kube(
            validation = Rule::new("!has(self.targetRefs) || self.targetRefs.all(r, r.group == 'gateway.networking.k8s.io' && r.kind == 'Gateway')")
                .message("targetRefs may name Gateways")
        )]
        pub struct $spec {
            /// The Gateways or listeners that it applies to, in its own namespace.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 16))]
            pub target_refs: Vec<ListenerTargetRef>,
            /// The options.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub options: Option<Box<$options>>,
        }

        with_opaque_members! {
            /// Options of listeners.
            #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
            #[serde(rename_all = "camelCase")]
            pub struct $options {
                /// Where requests are logged.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub access_logging_service: Option<AccessLoggingService>,
            }
            ignored { $( $ignored $ignored_json, )+ }
        }

        impl Policy for $kind {
            fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
                targets(self.metadata.namespace.as_deref(), &self.spec.target_refs)
            }

            fn content(&self) -> Result<Content, SpecError> {
                let Some(options) = &self.spec.options else { return Ok(Content::default()) };
                Ok(content(options.access_logging_service.as_ref(), &options.ignored_members()))
            }
        }
    };
}

option_kind! {
    ListenerOption, "ListenerOption", ListenerOptionSpec, ListenerOptions, "listeneroptions", "lisopt",
    ignored {
        connection_balance_config "connectionBalanceConfig",
        extensions "extensions",
        listener_access_logging_service "listenerAccessLoggingService",
        per_connection_buffer_limit_bytes "perConnectionBufferLimitBytes",
        proxy_protocol "proxyProtocol",
        socket_options "socketOptions",
        tcp_stats "tcpStats",
    }
}

option_kind! {
    HttpListenerOption, "HttpListenerOption", HttpListenerOptionSpec, HttpListenerOptions, "httplisteneroptions", "hlisopt",
    ignored {
        buffer "buffer",
        caching "caching",
        connection_limit "connectionLimit",
        csrf "csrf",
        disable_ext_proc "disableExtProc",
        dlp "dlp",
        dynamic_forward_proxy "dynamicForwardProxy",
        ext_proc "extProc",
        ext_proc_early "extProcEarly",
        ext_proc_late "extProcLate",
        extauth "extauth",
        extensions "extensions",
        grpc_json_transcoder "grpcJsonTranscoder",
        grpc_web "grpcWeb",
        gzip "gzip",
        header_validation_settings "headerValidationSettings",
        health_check "healthCheck",
        http_connection_manager_settings "httpConnectionManagerSettings",
        http_local_ratelimit "httpLocalRatelimit",
        leftmost_xff_address "leftmostXffAddress",
        network_local_ratelimit "networkLocalRatelimit",
        proxy_latency "proxyLatency",
        ratelimit_server "ratelimitServer",
        router "router",
        sanitize_cluster_header "sanitizeClusterHeader",
        stateful_session "statefulSession",
        tap "tap",
        waf "waf",
        wasm "wasm",
    }
}

/// What references of options to Gateways mean.
pub(crate) fn targets(
    namespace: Option<&str>,
    targets: &[ListenerTargetRef],
) -> Vec<Result<Target, UnusableTarget>> {
    let read = targets.iter().enumerate().map(|(index, reference)| {
        let ListenerTargetRef { group, kind, name, namespace: of, section_name } = reference;
        let meant = (of.as_deref(), namespace);
        target(format!("spec.targetRefs[{index}]"), meant, group, kind, name, section_name.clone())
    });
    read.collect()
}

fn content(service: Option<&AccessLoggingService>, ignored: &[&str]) -> Content {
    let mut ignored: Vec<_> = ignored.iter().map(|name| format!("spec.options.{name}")).collect();
    let field = "spec.options.accessLoggingService.accessLog".to_owned();
    let mut logs = Vec::new();
    let written = service.map(|service| &*service.access_log).unwrap_or_default();
    for (index, log) in written.iter().enumerate() {
        let OptionAccessLog { file_sink, grpc_service, open_telemetry_service, filter } = log.clone();
        let others = [
            ("grpcService", grpc_service.is_some()),
            ("openTelemetryService", open_telemetry_service.is_some()),
        ];
        let others = others.into_iter().filter(|(_, is_set)| *is_set);
        ignored.extend(others.map(|(name, _)| format!("{field}[{index}].{name}")));
        let is_whole = filter.is_none();
        if !is_whole {
            ignored.push(format!("{field}[{index}].filter"));
        }
        // A log without its filter would hold what nobody asked for; it keeps its place in the list.
        logs.push(AccessLog { file_sink: file_sink.filter(|_| is_whole), ..AccessLog::default() });
    }
    Content { access_logs: AccessLogs { field, logs }, ignored, ..Content::default() }
}
