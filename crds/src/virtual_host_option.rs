//! `gateway.solo.io/v1` VirtualHostOption: what is done with the requests of Gateways.
//!
//! Of its options, `jwt`, `jwtStaged` and `rbac` are carried out. The others are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::identity::IdentityContent;
use crate::identity::gloo::{self, Jwt, Rbac, StagedJwt};
use crate::listener_option::{ListenerTargetRef, targets};
use crate::policy::{Content, Policy, PolicyStatus, Target, UnusableTarget, with_opaque_members};

/// API group of VirtualHostOption.
pub const GROUP: &str = "gateway.solo.io";

/// Kind of VirtualHostOption.
pub const KIND: &str = "VirtualHostOption";

/// What is done with the requests of Gateways.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.solo.io",
    version = "v1",
    kind = "VirtualHostOption",
    plural = "virtualhostoptions",
    shortname = "vho",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    category = "gloo",
    doc = "What is done with the requests of Gateways.",
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
pub struct VirtualHostOptionSpec {
    /// The Gateways or listeners that it applies to, in its own namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<ListenerTargetRef>,
    /// The options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Box<VirtualHostOptions>>,
}

with_opaque_members! {
    /// Options of Gateways and listeners.
    #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
    #[serde(rename_all = "camelCase")]
    pub struct VirtualHostOptions {
        /// The tokens that clients must show: the former word for jwtStaged.afterExtAuth.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt: Option<Jwt>,
        /// The tokens that clients must show.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt_staged: Option<StagedJwt>,
        /// What clients may do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rbac: Option<Rbac>,
    }
    refused {
        buffer_per_route "bufferPerRoute",
        cors "cors",
        csrf "csrf",
        dlp "dlp",
        ext_proc "extProc",
        ext_proc_early "extProcEarly",
        ext_proc_late "extProcLate",
        extauth "extauth",
        extensions "extensions",
        header_manipulation "headerManipulation",
        rate_limit_configs "rateLimitConfigs",
        rate_limit_early_configs "rateLimitEarlyConfigs",
        rate_limit_regular_configs "rateLimitRegularConfigs",
        ratelimit "ratelimit",
        ratelimit_basic "ratelimitBasic",
        ratelimit_early "ratelimitEarly",
        ratelimit_regular "ratelimitRegular",
        staged_transformations "stagedTransformations",
        transformations "transformations",
        waf "waf",
    }
    ignored {
        cors_policy_merge_settings "corsPolicyMergeSettings",
        include_attempt_count_in_response "includeAttemptCountInResponse",
        include_request_attempt_count "includeRequestAttemptCount",
        retries "retries",
        stats "stats",
    }
}

impl Policy for VirtualHostOption {
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
        targets(self.metadata.namespace.as_deref(), &self.spec.target_refs)
    }

    fn content(&self) -> Result<Content, SpecError> {
        const FIELD: &str = "spec.options";
        let Some(options) = &self.spec.options else { return Ok(Content::default()) };
        let member = |name: &str| format!("{FIELD}.{name}");
        let refused = options.refused_members().into_iter().map(member).collect();
        let VirtualHostOptions { jwt, jwt_staged, rbac, .. } = &**options;
        let (jwt, staged) = (jwt.as_ref(), jwt_staged.as_ref());
        let mut ignored: Vec<_> = options.ignored_members().into_iter().map(member).collect();
        ignored.extend(gloo::ignored_members(FIELD, jwt, staged, "jwtStaged"));
        let identity = IdentityContent {
            tokens: gloo::read_tokens(FIELD, jwt, staged, "jwtStaged")?,
            rights: rbac.as_ref().map(|rbac| rbac.read(&member("rbac"))).transpose()?,
            ..IdentityContent::default()
        };
        Ok(Content { identity, refused, ignored, ..Content::default() })
    }
}
