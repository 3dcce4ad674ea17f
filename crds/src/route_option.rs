//! `gateway.solo.io/v1` RouteOption: what is done with the requests of routes.
//!
//! Options that are not carried out are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

mod http;
mod origins;
mod retries;
mod traffic;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::NamespacedName;
use crate::ai::SpecError;
use crate::identity::IdentityContent;
use crate::identity::gloo::{self, JwtOfRoute, Rbac, StagedJwt, StagedJwtOfRoute};
use crate::policy::http::{HttpContent, Written};
use crate::policy::{
    AiContent, BodyDefault, Content, OptionModeration, OptionWebhook, Policy, PolicyStatus, PromptEnrichment,
    PromptGuard, RouteType, Target, TargetName, UnusableTarget, set_members, with_opaque_members,
};
use crate::sensitive::Opaque;
use crate::traffic_policy::is_false;

pub use http::{
    BufferPerRoute, HeaderManipulation, HeaderValueOption, OptionBuffer, OptionCors, OptionHeader,
};
pub use origins::{OptionCsrf, OptionDenominator, OptionFraction, OptionShare, OptionText};
pub use retries::{
    OptionBackOff, OptionRateLimitedBackOff, OptionResetFormat, OptionResetHeader, OptionRetries,
};
pub use traffic::{
    OptionAbort, OptionDelay, OptionFaults, OptionPattern, OptionRegexRewrite, OptionShadowing,
    OptionUpgrade, OptionUpgradeSpec, UpstreamRef,
};

/// API group of RouteOption.
pub const GROUP: &str = "gateway.solo.io";

/// Kind of RouteOption.
pub const KIND: &str = "RouteOption";

/// What is done with the requests of routes.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.solo.io",
    version = "v1",
    kind = "RouteOption",
    plural = "routeoptions",
    shortname = "rto",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    category = "gloo",
    doc = "What is done with the requests of routes.",
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
    validation = Rule::new("!has(self.targetRefs) || self.targetRefs.all(r, r.group == 'gateway.networking.k8s.io' && r.kind == 'HTTPRoute')")
        .message("targetRefs may name HTTPRoutes")
)]
pub struct RouteOptionSpec {
    /// The routes that it applies to, in its own namespace. It may also be named by filters of HTTPRoutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<OptionTargetRef>,
    /// The options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Box<RouteOptions>>,
}

/// A route that options apply to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct OptionTargetRef {
    /// API group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; must be that of the RouteOption, which it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

with_opaque_members! {
    /// Options of routes.
    #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
    #[serde(rename_all = "camelCase")]
    pub struct RouteOptions {
        /// What is done with the requests to AI backends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ai: Option<AiOptions>,
        /// How long a request may take, from its end to the end of the answer; zero is no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeout: Option<String>,
        /// How long a request may be without any byte in either direction; zero is no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub idle_timeout: Option<String>,
        /// Whether the `Host` that is sent is the name of the backend's host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auto_host_rewrite: Option<bool>,
        /// When a request is sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retries: Option<OptionRetries>,
        /// Edits of headers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub header_manipulation: Option<HeaderManipulation>,
        /// What browsers may do in pages of other origins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cors: Option<OptionCors>,
        /// How large the body of a request may be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub buffer_per_route: Option<BufferPerRoute>,
        /// Faults that are made for tests of what clients do then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub faults: Option<OptionFaults>,
        /// The `Host` that goes to the backend.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 253))]
        pub host_rewrite: Option<String>,
        /// What the parts of the path become that an expression fits. It has no effect on AI backends, whose providers have paths of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub regex_rewrite: Option<OptionRegexRewrite>,
        /// What becomes of the part of the path that a `PathPrefix` match takes, or of the whole path for other matches. It has
        /// no effect on AI backends, and no place beside `regexRewrite`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 1024))]
        pub prefix_rewrite: Option<String>,
        /// Which requests that change something are refused because they come from pages of other origins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub csrf: Option<OptionCsrf>,
        /// Copies of requests for another backend, whose answers nobody sees.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shadowing: Option<OptionShadowing>,
        /// What connections may become.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 8))]
        pub upgrades: Vec<OptionUpgrade>,
        /// Whether the tokens that a VirtualHostOption asks for are not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt: Option<JwtOfRoute>,
        /// The same at two stages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt_staged: Option<StagedJwtOfRoute>,
        /// The tokens that clients must show, in place of those that a VirtualHostOption asks for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwt_providers_staged: Option<StagedJwt>,
        /// What clients may do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rbac: Option<Rbac>,
        /// The RateLimitConfigs that say how much of what clients may ask for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rate_limit_configs: Option<RateLimitConfigRefs>,
    }
    refused {
        append_x_forwarded_host "appendXForwardedHost",
        dlp "dlp",
        ext_proc "extProc",
        extauth "extauth",
        extensions "extensions",
        host_rewrite_header "hostRewriteHeader",
        host_rewrite_path_regex "hostRewritePathRegex",
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
        envoy_metadata "envoyMetadata",
        lb_hash "lbHash",
        max_stream_duration "maxStreamDuration",
        tracing "tracing",
    }
}

/// RateLimitConfigs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitConfigRefs {
    /// Which ones; all of them apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<RateLimitConfigRef>,
}

/// A RateLimitConfig.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitConfigRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; that of the RouteOption if absent. Another one needs a ReferenceGrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// What is done with the requests to AI backends.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.routeType) || self.routeType == 'CHAT' || self.routeType == 'CHAT_STREAMING' || self.routeType == 0 || self.routeType == 1")
        .message("routeType must be CHAT (0) or CHAT_STREAMING (1)")
)]
pub struct AiOptions {
    /// Messages that are put around those of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_enrichment: Option<PromptEnrichment>,
    /// What is looked for in requests and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_guard: Option<Box<PromptGuard<OptionWebhook, OptionModeration>>>,
    /// Documents that are added to prompts. Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rag: Option<Box<Opaque>>,
    /// Answers that are kept for like requests. Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic_cache: Option<Box<Opaque>>,
    /// Members that the body of a chat request gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<OptionDefault>,
    /// Whether every chat request asks for a stream: CHAT (0, if absent) or CHAT_STREAMING (1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::name_or_number")]
    pub route_type: Option<RouteType>,
}

/// A member that the body of a chat request gets.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionDefault {
    /// Its name, at the top of the provider's body.
    #[schemars(length(min = 1))]
    pub field: String,
    /// Its value, of any type.
    #[schemars(schema_with = "crate::schema::any")]
    pub value: Value,
    /// Whether it replaces what the request says.
    #[serde(default, rename = "override", skip_serializing_if = "is_false")]
    pub replace: bool,
}

impl Policy for RouteOption {
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
        let own = self.metadata.namespace.as_deref();
        let targets = self.spec.target_refs.iter().enumerate().map(|(index, reference)| {
            let OptionTargetRef { group, kind, name, namespace } = reference;
            target(format!("spec.targetRefs[{index}]"), (namespace.as_deref(), own), group, kind, name, None)
        });
        targets.collect()
    }

    fn content(&self) -> Result<Content, SpecError> {
        let Some(options) = &self.spec.options else { return Ok(Content::default()) };
        let member = |name: &str| format!("spec.options.{name}");
        let mut refused: Vec<_> = options.refused_members().into_iter().map(member).collect();
        let mut ignored: Vec<_> = options.ignored_members().into_iter().map(member).collect();
        let shared_limits = self.shared_limits(options);
        let http = HttpContent { shared_limits, ..options.http_content(&mut refused, &mut ignored)? };
        let identity = options.identity(&mut ignored)?;
        let Some(ai) = &options.ai else {
            return Ok(Content { http, identity, refused, ignored, ..Content::default() });
        };
        let AiOptions { prompt_enrichment, prompt_guard, rag, semantic_cache, defaults, route_type } = ai;
        let unknown = [("ai.rag", rag.is_some()), ("ai.semanticCache", semantic_cache.is_some())];
        refused.extend(set_members(unknown).map(member));
        let defaults = defaults.iter().map(|OptionDefault { field, value, replace }| BodyDefault {
            field: field.clone(),
            value: value.to_string(),
            replace: *replace,
        });
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let guard = prompt_guard
            .as_ref()
            .map(|guard| guard.content("spec.options.ai.promptGuard", namespace, &mut ignored))
            .transpose()?
            .unwrap_or_default();
        let ai = AiContent {
            guard,
            ..AiContent::new("spec.options.ai", prompt_enrichment.as_ref(), defaults.collect(), *route_type)?
        };
        Ok(Content { ai, http, identity, refused, ignored, ..Content::default() })
    }
}

impl RouteOptions {
    /// Who clients must be, and what they may do. What has no effect is added to `ignored`.
    fn identity(&self, ignored: &mut Vec<String>) -> Result<IdentityContent, SpecError> {
        const FIELD: &str = "spec.options";
        const PROVIDERS: &str = "jwtProvidersStaged";
        let providers = self.jwt_providers_staged.as_ref();
        ignored.extend(gloo::ignored_members(FIELD, None, providers, PROVIDERS));
        let own = gloo::read_tokens(FIELD, None, providers, PROVIDERS)?;
        Ok(IdentityContent {
            tokens: own.or_else(|| gloo::read_disabled(self.jwt, self.jwt_staged)),
            rights: self.rbac.as_ref().map(|rbac| rbac.read(&format!("{FIELD}.rbac"))).transpose()?,
            ..IdentityContent::default()
        })
    }
}

impl RouteOption {
    fn shared_limits(&self, options: &RouteOptions) -> Option<Written<Vec<NamespacedName>>> {
        let own = self.metadata.namespace.as_deref().unwrap_or_default();
        let names =
            options.rate_limit_configs.as_ref()?.refs.iter().map(|RateLimitConfigRef { name, namespace }| {
                NamespacedName::new(
                    namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own),
                    name,
                )
            });
        Some(Written { field: "spec.options.rateLimitConfigs.refs".to_owned(), value: names.collect() })
    }
}

/// What a reference of Gloo's options means. `namespaces`: the one that it names, and that of the options.
pub(crate) fn target(
    field: String,
    namespaces: (Option<&str>, Option<&str>),
    group: &str,
    kind: &str,
    name: &str,
    section: Option<String>,
) -> Result<Target, UnusableTarget> {
    let name = TargetName::Name(name.to_owned());
    let (named, own) = namespaces;
    if named.is_some() && named != own {
        let message = "is not the namespace of the options, which apply to objects of their own alone";
        let error = SpecError::invalid(format!("{field}.namespace"), message);
        return Err(UnusableTarget::new(error, group, kind, &name));
    }
    Target::new(field, group, kind, name, section)
}
