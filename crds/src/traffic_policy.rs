//! `gateway.kgateway.dev/v1alpha1` TrafficPolicy: what is done with the requests of Gateways and routes.
//!
//! Members that are not carried out are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

mod compression;
mod fault;
mod http;
mod mirror;
mod redirect;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::ext_auth::ExtAuthPolicy;
use crate::ext_proc::ExtProcPolicy;
use crate::identity::IdentityContent;
use crate::identity::credentials::{ApiKeyAuth, BasicAuth};
use crate::identity::kgateway::{Authorization, JwtAuth};
use crate::policy::{
    self, AiContent, BodyDefault, Content, Moderation, Policy, PolicyStatus, PromptEnrichment, PromptGuard,
    RouteType, Target, TargetName, UnusableTarget, Webhook, with_opaque_members,
};

use crate::virtual_key::VirtualKeysPolicy;

pub use compression::{Compression, CompressionLibrary, RequestDecompression, ResponseCompression};
pub use fault::{FaultAbort, FaultDelay, FaultInjection, FaultResponseRateLimit};
pub use http::bytes_of;
pub(crate) use http::quantity;
pub use http::{
    Buffer, CorsPolicy, CsrfPolicy, Disable, HeaderFilter, HeaderModifiers, HeaderValue, LocalRateLimit,
    PathRegexRewrite, RateLimit, Retry, StringMatcher, Timeouts, TokenBucketSpec, UrlRewrite,
};

pub use mirror::RequestMirrorPolicy;
pub use redirect::InternalRedirect;

/// API group of TrafficPolicy.
pub const GROUP: &str = "gateway.kgateway.dev";

/// Kind of TrafficPolicy.
pub const KIND: &str = "TrafficPolicy";

with_opaque_members! {
    /// What is done with the requests of Gateways and routes.
    #[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
    #[kube(
        group = "gateway.kgateway.dev",
        version = "v1alpha1",
        kind = "TrafficPolicy",
        plural = "trafficpolicies",
        namespaced,
        status = "PolicyStatus",
        derive = "PartialEq",
        category = "kgateway",
        label("app", "kgateway"),
        label("gateway.networking.k8s.io/policy", "Direct"),
        doc = "What is done with the requests of Gateways and routes.",
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
        validation = Rule::new("!(has(self.retry) && has(self.retry.perTryTimeout) && has(self.timeouts) && has(self.timeouts.request)) || duration(self.timeouts.request) == duration('0s') || duration(self.retry.perTryTimeout) < duration(self.timeouts.request)")
            .message("retry.perTryTimeout must be less than timeouts.request"),
        validation = Rule::new("!has(self.targetRefs) || self.targetRefs.all(r, (r.group == 'gateway.networking.k8s.io' && (r.kind == 'Gateway' || r.kind == 'HTTPRoute')) || (r.group == 'gateway.networking.x-k8s.io' && r.kind == 'XListenerSet') || (r.group == 'gateway.kgateway.dev' && r.kind == 'Backend'))")
            .message("targetRefs may name Gateways, HTTPRoutes, XListenerSets and Backends"),
        validation = Rule::new("!has(self.targetSelectors) || self.targetSelectors.all(r, (r.group == 'gateway.networking.k8s.io' && (r.kind == 'Gateway' || r.kind == 'HTTPRoute')) || (r.group == 'gateway.networking.x-k8s.io' && r.kind == 'XListenerSet'))")
            .message("targetSelectors may select Gateways, HTTPRoutes and XListenerSets")
    )]
    pub struct TrafficPolicySpec {
        /// The objects that it applies to, in its own namespace. It may also be named by filters of HTTPRoutes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_refs: Vec<PolicyTargetRef>,
        /// Objects of its namespace that it applies to, by their labels.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub target_selectors: Vec<PolicyTargetSelector>,
        /// What is done with the requests to AI backends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ai: Option<AiPolicy>,
        /// Time limits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeouts: Option<Timeouts>,
        /// When a request is sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retry: Option<Retry>,
        /// Edits of headers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub header_modifiers: Option<HeaderModifiers>,
        /// What browsers may do in pages of other origins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cors: Option<CorsPolicy>,
        /// Which requests that change something are refused because they come from pages of other origins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub csrf: Option<CsrfPolicy>,
        /// How large the body of a request may be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub buffer: Option<Buffer>,
        /// Whether the `Host` that is sent is the name of the backend's host. It counts where neither the rule nor the
        /// backend says another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auto_host_rewrite: Option<bool>,
        /// How many requests are let through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rate_limit: Option<RateLimit>,
        /// The tokens that clients must show.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt_auth: Option<JwtAuth>,
        /// The users of which clients must be one, with the password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub basic_auth: Option<BasicAuth>,
        /// The API keys of which clients must have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub api_key_auth: Option<Box<ApiKeyAuth>>,
        /// What clients may do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rbac: Option<Authorization>,
        /// The service that is asked whether a request may pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ext_auth: Option<ExtAuthPolicy>,
        /// The service that sees requests and answers, and may change them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ext_proc: Option<ExtProcPolicy>,
        /// How bodies are compressed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub compression: Option<Compression>,
        /// Faults that are made for tests of what clients do then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub fault_injection: Option<FaultInjection>,
        /// What of the target of requests becomes something else before they go to the backend.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub url_rewrite: Option<UrlRewrite>,
        /// Redirects of backends that the gateway follows itself. It has no effect on AI backends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub internal_redirect: Option<InternalRedirect>,
        /// The `Host` of the copies that `RequestMirror` filters of routes send elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub request_mirror: Option<RequestMirrorPolicy>,
        /// The VirtualKeys of which clients must show one. It is not a member of kgateway's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub virtual_keys: Option<VirtualKeysPolicy>,
    }
    refused {
        acl "acl",
        jwt "jwt",
        oauth2 "oauth2",
        transformation "transformation",
    }
    ignored {
        stat_prefix "statPrefix",
        tracing "tracing",
    }
}

/// An object that a policy applies to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetRef {
    /// API group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A listener of the Gateway, or a rule of the HTTPRoute by its name; the whole object if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// Objects that a policy applies to, by their labels.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetSelector {
    /// API group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The labels that an object must have, all of them.
    pub match_labels: BTreeMap<String, String>,
    /// A listener of the Gateway, or a rule of the HTTPRoute by its name; the whole object if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// What is done with the requests to AI backends.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AiPolicy {
    /// Messages that are put around those of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_enrichment: Option<PromptEnrichment>,
    /// What is looked for in requests and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_guard: Option<Box<PromptGuard<Webhook, Moderation>>>,
    /// Members that the body of a chat request gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<FieldDefault>,
    /// Whether every chat request asks for a stream; CHAT if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "policy::route_type_name")]
    pub route_type: Option<RouteType>,
    /// The provider's name of a model, by the name that clients know it by. It counts for chat requests, where the Backend
    /// names no model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model_aliases: BTreeMap<String, String>,
    /// Whether answers that are no streams tell in a header what they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_header: Option<bool>,
}

/// A member that the body of a chat request gets.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldDefault {
    /// Its name, at the top of the provider's body.
    #[schemars(length(min = 1))]
    pub field: String,
    /// Its value as JSON. A word that is no JSON is a text; what begins with a brace, a bracket or a quotation mark
    /// must be JSON.
    #[schemars(length(min = 1))]
    pub value: String,
    /// Whether it replaces what the request says.
    #[serde(default, rename = "override", skip_serializing_if = "is_false")]
    pub replace: bool,
}

impl Policy for TrafficPolicy {
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
        targets(&self.spec.target_refs, &self.spec.target_selectors)
    }

    fn content(&self) -> Result<Content, SpecError> {
        let member = |name: &str| format!("spec.{name}");
        let mut refused: Vec<_> = self.spec.refused_members().into_iter().map(member).collect();
        let mut ignored: Vec<_> = self.spec.ignored_members().into_iter().map(member).collect();
        let http = self.spec.http_content()?;
        let (jwt, rbac) = (self.spec.jwt_auth.as_ref(), self.spec.rbac.as_ref());
        let (basic_auth, api_keys) = (self.spec.basic_auth.as_ref(), self.spec.api_key_auth.as_ref());
        let identity = IdentityContent {
            tokens: jwt.map(|jwt| jwt.read(&member("jwtAuth"))).transpose()?,
            rights: rbac.map(|rbac| rbac.read(&member("rbac"), &mut refused)).transpose()?,
            keys: self.spec.virtual_keys.as_ref().map(VirtualKeysPolicy::read),
            users: basic_auth.map(|auth| auth.read(&member("basicAuth"))).transpose()?,
            api_keys: api_keys.map(|auth| auth.read(&member("apiKeyAuth"))).transpose()?,
        };
        let ext_auth = self.spec.ext_auth.as_ref().map(|auth| auth.read(&member("extAuth"))).transpose()?;
        let Some(AiPolicy {
            prompt_enrichment,
            prompt_guard,
            defaults,
            route_type,
            model_aliases,
            cost_header,
        }) = &self.spec.ai
        else {
            return Ok(Content { http, identity, ext_auth, refused, ignored, ..Content::default() });
        };
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let guard = prompt_guard
            .as_ref()
            .map(|guard| guard.content("spec.ai.promptGuard", namespace, &mut ignored))
            .transpose()?
            .unwrap_or_default();
        let defaults = defaults.iter().enumerate().map(|(index, FieldDefault { field, value, replace })| {
            let value = policy::json_of(value)
                .map_err(|error| SpecError::invalid(format!("spec.ai.defaults[{index}].value"), error))?;
            Ok(BodyDefault { field: field.clone(), value, replace: *replace })
        });
        let defaults = defaults.collect::<Result<_, _>>()?;
        let names_nothing = |(alias, model): &(&String, &String)| alias.is_empty() || model.trim().is_empty();
        if let Some((alias, _)) = model_aliases.iter().find(names_nothing) {
            return Err(SpecError::invalid(format!("spec.ai.modelAliases[{alias:?}]"), "names no model"));
        }
        let ai = AiContent {
            model_aliases: model_aliases.clone(),
            cost_header: *cost_header,
            guard,
            ..AiContent::new("spec.ai", prompt_enrichment.as_ref(), defaults, *route_type)?
        };
        Ok(Content { ai, http, identity, ext_auth, refused, ignored, ..Content::default() })
    }
}

/// What kgateway's policies name as their targets.
pub(crate) fn targets(
    references: &[PolicyTargetRef],
    selectors: &[PolicyTargetSelector],
) -> Vec<Result<Target, UnusableTarget>> {
    let named = references.iter().enumerate().map(|(index, target)| {
        let PolicyTargetRef { group, kind, name, section_name } = target;
        let name = TargetName::Name(name.clone());
        Target::new(format!("spec.targetRefs[{index}]"), group, kind, name, section_name.clone())
    });
    let selected = selectors.iter().enumerate().map(|(index, target)| {
        let PolicyTargetSelector { group, kind, match_labels, section_name } = target;
        let name = TargetName::Labels(match_labels.clone());
        Target::new(format!("spec.targetSelectors[{index}]"), group, kind, name, section_name.clone())
    });
    named.chain(selected).collect()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}
