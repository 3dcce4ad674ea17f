//! `gateway.kgateway.dev/v1alpha1` HTTPListenerPolicy: what listeners of Gateways do with all their requests.
//!
//! Of its members, `accessLog` and `tracing` are carried out. The others are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::access_log::{AccessLog, AccessLogs};
use crate::ai::SpecError;
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
    }
    ignored {
        accept_http10 "acceptHttp10",
        default_host_for_http10 "defaultHostForHttp10",
        early_request_header_modifier "earlyRequestHeaderModifier",
        health_check "healthCheck",
        idle_timeout "idleTimeout",
        max_request_headers_kb "maxRequestHeadersKb",
        preserve_http1_header_case "preserveHttp1HeaderCase",
        server_header_transformation "serverHeaderTransformation",
        stream_idle_timeout "streamIdleTimeout",
        upgrade_config "upgradeConfig",
        use_remote_address "useRemoteAddress",
        uuid_request_id_config "uuidRequestIdConfig",
        xff_num_trusted_hops "xffNumTrustedHops",
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
        Ok(Content { access_logs, tracing, ignored, ..Content::default() })
    }
}
