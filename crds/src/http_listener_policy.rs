//! `gateway.kgateway.dev/v1alpha1` HTTPListenerPolicy: what listeners of Gateways do with all their requests.
//!
//! Members that are not carried out are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::access_log::{AccessLog, AccessLogs};
use crate::ai::SpecError;
use crate::listener_http::{ListenerHealthCheck, ListenerHttp, ListenerUpgrades, ServerHeaderTransformation};
use crate::listener_tracing::ListenerTracing;
use crate::policy::{Content, Policy, PolicyStatus, Target, UnusableTarget, with_opaque_members};
use crate::traffic_policy::{PolicyTargetRef, PolicyTargetSelector, targets};

/// API group of HTTPListenerPolicy.
pub const GROUP: &str = "gateway.kgateway.dev";

/// Kind of HTTPListenerPolicy.
pub const KIND: &str = "HTTPListenerPolicy";

with_opaque_members! {
    /// What listeners of Gateways do with all their requests.
    #[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
    #[kube(
        group = "gateway.kgateway.dev",
        version = "v1alpha1",
        kind = "HTTPListenerPolicy",
        plural = "httplistenerpolicies",
        namespaced,
        status = "PolicyStatus",
        derive = "PartialEq",
        category = "kgateway",
        label("app", "kgateway"),
        label("gateway.networking.k8s.io/policy", "Direct"),
        doc = "What listeners of Gateways do with all their requests.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.ancestors[*].conditions[?(@.type=='Accepted')].status",
            description = "Whether the policy is in effect, at each Gateway"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    #[serde(rename_all = "camelCase")]
    #[x_kube(
        validation = Rule::new("!has(self.targetRefs) || self.targetRefs.all(r, r.group == 'gateway.networking.k8s.io' && r.kind == 'Gateway')")
            .message("targetRefs may name Gateways"),
        validation = Rule::new("!has(self.targetSelectors) || self.targetSelectors.all(r, r.group == 'gateway.networking.k8s.io' && r.kind == 'Gateway')")
            .message("targetSelectors may select Gateways")
    )]
    pub struct HTTPListenerPolicySpec {
        /// The Gateways or listeners that it applies to, in its own namespace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_refs: Vec<PolicyTargetRef>,
        /// Gateways of its namespace that it applies to, by their labels.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_selectors: Vec<PolicyTargetSelector>,
        /// Where requests are logged.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub access_log: Vec<AccessLog>,
        /// Where traces go.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tracing: Option<ListenerTracing>,
        /// Whether the client is who connects; true, if absent. With false it is who x-forwarded-for says, which a proxy in front
        /// must vouch for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub use_remote_address: Option<bool>,
        /// How many proxies in front write x-forwarded-for and can be trusted; 0, if absent. The client is that many addresses
        /// before its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "crate::schema::unsigned")]
        pub xff_num_trusted_hops: Option<u32>,
        /// What becomes of the header server of answers: Overwrite and AppendIfAbsent write envoy, PassThrough leaves the backend's,
        /// which is done if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_header_transformation: Option<ServerHeaderTransformation>,
        /// After which time without a request a client's connection is closed; 15m, if absent; never, if 0s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub idle_timeout: Option<String>,
        /// A path by which whoever balances the load asks whether the proxy is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub health_check: Option<ListenerHealthCheck>,
        /// Whether names of headers of requests by HTTP/1.1 come to backends of HTTP/1.1 as the client has written them, and not in
        /// lower case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub preserve_http1_header_case: Option<bool>,
        /// Whether requests of HTTP/1.0 are taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub accept_http10: Option<bool>,
        /// The host of requests of HTTP/1.0 that name none; such requests are answered with 400, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 253))]
        pub default_host_for_http10: Option<String>,
        /// How large the headers of a request may be together, in KiB; 32, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 8192))]
        pub max_request_headers_kb: Option<i32>,
        /// What connections may become, whatever their backend's appProtocol says; but for those to AI backends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub upgrade_config: Option<ListenerUpgrades>,
    }
    ignored {
        early_request_header_modifier "earlyRequestHeaderModifier",
        stream_idle_timeout "streamIdleTimeout",
        uuid_request_id_config "uuidRequestIdConfig",
    }
}

impl Policy for HTTPListenerPolicy {
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
        targets(&self.spec.target_refs, &self.spec.target_selectors)
    }

    fn content(&self) -> Result<Content, SpecError> {
        let ignored = self.spec.ignored_members().into_iter().map(|name| format!("spec.{name}")).collect();
        let access_logs =
            AccessLogs { field: "spec.accessLog".to_owned(), logs: self.spec.access_log.clone() };
        let tracing = self.spec.tracing.clone().map(|tracing| ("spec.tracing".to_owned(), tracing));
        let listener_http = self.spec.listener_http();
        Ok(Content { access_logs, tracing, listener_http, ignored, ..Content::default() })
    }
}

impl HTTPListenerPolicySpec {
    fn listener_http(&self) -> ListenerHttp {
        ListenerHttp {
            use_remote_address: self.use_remote_address,
            xff_num_trusted_hops: self.xff_num_trusted_hops,
            server_header: self.server_header_transformation,
            idle_timeout: self.idle_timeout.clone(),
            health_path: self.health_check.as_ref().map(|check| check.path.clone()),
            preserve_case: self.preserve_http1_header_case,
            accept_http10: self.accept_http10,
            http10_host: self.default_host_for_http10.clone(),
            max_headers_kb: self.max_request_headers_kb,
            upgrades: self.upgrade_config.as_ref().map(|config| config.enabled_upgrades.clone()),
        }
    }
}
