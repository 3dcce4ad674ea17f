//! The versioned configuration that travels from the translator to the AI engine inside Envoy.
//!
//! Contract: plain serde types and one version number. It is the seam between two programs that are upgraded at
//! different times: the module refuses a configuration of a version that it does not know, and Envoy then keeps the one
//! before. May depend on nothing but serde. Holds no secret: credentials reach Envoy by SDS.

mod claims;
mod keys;
mod prices;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use claims::{
    CLAIMS_KEY, CLAIMS_STATE_KEY, ClaimBudget, ClaimRule, MOST_CLAIM_BUDGETS, RequiredClaim, SPENDER_MEMBER,
};
pub use keys::{
    CheaperModel, FALLBACK_KEY, KEYS_FILTER, KEYS_KEY, KeySet, KeysConfig, LIMIT_ANSWER_NAMESPACE,
    RUNNING_KEY, SETTLED_KEY, SHARED_KEY, SPENDING_NAMESPACE, VirtualKey, digest_input, slot_key, spent_key,
};
pub use prices::{DatedPrice, ModelPrice, OFFERS_KEY, Offer, PriceList, Rate, Tier};

/// The version of all of it. Goes up when an older module would misread a newer configuration.
pub const VERSION: u32 = 1;

/// The largest request body in bytes that is read. Prompts with images and documents in base64 reach some 20 MiB.
pub const MAX_REQUEST_BYTES: u32 = 32 * 1024 * 1024;

/// The namespace of route metadata under which a route's [`RoutePolicy`] stands.
pub const METADATA_NAMESPACE: &str = "chancery.ai";

/// The key of route metadata whose value is a [`RoutePolicy`] as JSON text.
pub const POLICY_KEY: &str = "policy";

/// The key of route metadata that is there where limits count the tokens of requests: the module says with each
/// event of a stream how many they are then, since a stream may end at any moment.
pub const COUNTED_KEY: &str = "counted";

/// The key of route metadata whose value is a list of models as JSON text: the module answers requests of such a route
/// with that list, in the form of the client's API.
pub const MODELS_KEY: &str = "models";

/// The key of route metadata whose value is the route's [`Pool`] as JSON text.
pub const POOL_KEY: &str = "pool";

/// The namespace of dynamic metadata under which the module says which groups of a pool a request is sent to, where that
/// is not the configured order.
pub const GROUPS_NAMESPACE: &str = "chancery.ai.groups";

/// The header in which the model of a request stands while a route is chosen: that of the Gateway API Inference
/// Extension's body-based routing.
pub const MODEL_HEADER: &str = "x-gateway-model-name";

/// The key of dynamic metadata, under [`METADATA_NAMESPACE`], that is there as soon as [`MODEL_HEADER`] is what the module
/// has read, and not what the client has sent.
pub const MODEL_READ_KEY: &str = "model_read";

/// What stands before a namespace of dynamic metadata in the key of the filter state in which a request keeps, as JSON text,
/// what stands there: the module can read no metadata that stands deeper than one level.
const METADATA_STATE_PREFIX: &str = "chancery.ai.metadata/";

/// The name of the filter that stands in clusters: it takes a [`ClusterConfig`].
pub const PROVIDER_FILTER: &str = "provider";

/// The name of the filter that stands in listeners: it takes a [`GatewayConfig`].
pub const GATEWAY_FILTER: &str = "gateway";

/// What the module does for all listeners of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayConfig {
    /// [`VERSION`].
    pub version: u32,
    /// The largest request body in bytes that is read for its model; a larger one is answered with 413.
    pub max_request_bytes: u32,
    /// More labels of the metrics of tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_labels: Vec<MetricLabel>,
    /// Prices of users, by the namespace of the backends that they are for. Those that go before others come first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, Vec<PriceList>>,
}

/// A label of metrics, whose value is in the metadata of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricLabel {
    /// Its name.
    pub name: String,
    /// The namespace of dynamic metadata. What stands there is in the filter state under [`MetricLabel::state_key`].
    pub namespace: String,
    /// The members that lead to its value, from the outer to the inner one. Of several ways, the first that leads to a value
    /// counts.
    pub paths: Vec<Vec<String>>,
}

impl MetricLabel {
    /// The key of the filter state that holds, as JSON text, what stands in its namespace.
    pub fn state_key(&self) -> String {
        metadata_state_key(&self.namespace)
    }
}

/// The key of the filter state that holds, as JSON text, what stands in a namespace of dynamic metadata.
pub fn metadata_state_key(namespace: &str) -> String {
    format!("{METADATA_STATE_PREFIX}{namespace}")
}

/// What the module does for one cluster, that is, for one provider of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterConfig {
    /// [`VERSION`].
    pub version: u32,
    /// The object that it comes from, `namespace/name`, for error messages and access logs.
    pub backend: String,
    /// The provider.
    pub provider: Provider,
    /// The `Host` that requests get.
    pub authority: String,
    /// What replaces the provider's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathOverride>,
    /// The model that requests get, whatever they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fields that every chat request gets, whatever it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<FieldDefault>,
    /// Set where the client's own credential is passed on: the header that carries it to this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<CredentialHeader>,
    /// The headers in which Envoy adds the gateway's own credential: what they carry is taken out of the provider's errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialHeader>,
    /// Set where other clusters can take this one's requests: its name in a [`Pool`]. An answer with `Retry-After` ejects
    /// it for that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_member: Option<String>,
    /// The largest request body in bytes that is read; a larger one is answered with 413.
    pub max_request_bytes: u32,
}

/// A header that carries a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialHeader {
    /// Its name, lower case.
    pub name: String,
    /// What stands before the credential.
    pub prefix: String,
}

/// What replaces a provider's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathOverride {
    /// The path and query of every chat request.
    Full(String),
    /// What stands before the provider's path.
    Base(String),
}

/// A provider, with what its paths are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Provider {
    /// OpenAI, or another provider with its API.
    OpenAi,
    /// Azure OpenAI.
    AzureOpenAi {
        /// The deployment, which is a model with its limits.
        deployment: String,
        /// The version of the API.
        api_version: String,
    },
    /// Anthropic.
    Anthropic {
        /// `anthropic-version`, where requests name none.
        version: String,
    },
    /// Google Gemini.
    Gemini {
        /// The version of the API.
        api_version: String,
    },
    /// Google Vertex AI.
    VertexAi {
        /// The version of the API.
        api_version: String,
        /// The project.
        project: String,
        /// The region.
        location: String,
        /// Whose models.
        publisher: String,
        /// The method instead of `generateContent` and `streamGenerateContent`.
        method: Option<String>,
        /// The schema of the model's bodies.
        schema: Schema,
    },
    /// Amazon Bedrock.
    Bedrock {
        /// The AWS region.
        region: String,
    },
    /// Mistral.
    Mistral,
}

/// The schema of chat requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Schema {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// Bedrock Converse.
    Bedrock,
}

/// What a route asks of the AI engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoutePolicy {
    /// [`VERSION`].
    pub version: u32,
    /// Whether every chat request of the route is one for a stream; otherwise, the request says so.
    #[serde(default)]
    pub streaming: bool,
    /// Messages before those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepend: Vec<Message>,
    /// Messages after those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<Message>,
    /// Fields that the body gets, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<FieldDefault>,
    /// The provider's name of a model, by the name that clients know it by. Where the Backend names a model, it counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model_aliases: BTreeMap<String, String>,
    /// Set where the route says something about translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// Whether an answer that is no stream has a header that tells what it costs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost_header: bool,
    /// Set where requests or answers are inspected. An older module refuses a policy that has it, and so answers 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// What is looked for in the requests and answers of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guard {
    /// In requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestGuard>,
    /// In answers, where a match is always masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<GuardPatterns>,
    /// A server that is asked about requests, before anything else is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_webhook: Option<Webhook>,
    /// A moderation service that is asked about requests, after everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Moderation>,
    /// A server that is asked about answers, before anything else is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_webhook: Option<Webhook>,
}

/// What is looked for in requests, and what becomes of a request in which it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestGuard {
    /// What is looked for.
    pub patterns: GuardPatterns,
    /// What becomes of the request.
    pub action: GuardAction,
    /// The answer to a request that is rejected.
    pub rejection: GuardRejection,
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardPatterns {
    /// Expressions in the syntax of the crate `regex`. `.` matches line feeds, `^` and `$` match at lines, and case does
    /// not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<GuardExpression>,
    /// Kinds of data that the engine knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builtins: Vec<GuardBuiltin>,
    /// Whether what is found is only reported, and nothing is changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shadow: bool,
}

/// An expression of a user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardExpression {
    /// The expression.
    pub pattern: String,
    /// Its name in access logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A kind of data that the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GuardBuiltin {
    /// Numbers of payment cards.
    CreditCard,
    /// Addresses of e-mail.
    Email,
    /// Telephone numbers.
    PhoneNumber,
    /// Social Security numbers of the United States.
    Ssn,
}

/// What becomes of a request in which something is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GuardAction {
    /// It goes on with a mask in place of what was found.
    #[default]
    Mask,
    /// It is answered with the [`GuardRejection`].
    Reject,
}

/// The answer to a request that is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardRejection {
    /// The status code.
    pub status: u16,
    /// The body.
    pub message: String,
}

impl Default for GuardRejection {
    /// kgateway's.
    fn default() -> Self {
        Self { status: 403, message: "The request was rejected due to inappropriate content".to_owned() }
    }
}

/// A server that decides about prompts or answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// The name of its cluster.
    pub cluster: String,
    /// The `Host` that it gets.
    pub authority: String,
    /// The headers of the client's request that it gets: those that one of these takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward_headers: Vec<ForwardedHeader>,
    /// Whether what it decides is only reported, and nothing waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shadow: bool,
}

/// Headers of the client's request that a webhook is sent: those whose name and value match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardedHeader {
    /// What the name is compared with.
    pub name: TextMatch,
    /// What the value is compared with; any value matches if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextMatch>,
}

/// How a text is compared. Names of headers are compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TextMatch {
    /// It is this text.
    Exact(String),
    /// It begins with this text.
    Prefix(String),
    /// It ends with this text.
    Suffix(String),
    /// This text stands in it.
    Contains(String),
    /// The whole of it matches this expression, in the syntax of the crate `regex`.
    Regex(String),
}

/// OpenAI's moderation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moderation {
    /// The name of its cluster, which adds the credential.
    pub cluster: String,
    /// The `Host` that it gets.
    pub authority: String,
    /// The path that is asked.
    pub path: String,
    /// The model that judges.
    pub model: String,
    /// The answer to a request that it flags.
    pub rejection: GuardRejection,
    /// Whether what it decides is only reported, and nothing waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shadow: bool,
}

/// The clusters that a route shares its requests among.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// [`VERSION`].
    pub version: u32,
    /// The names of the clusters, in groups in the order of their use.
    pub groups: Vec<Vec<String>>,
}

/// A message that a route adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    /// `system`, `user`, `assistant`, …, lower case.
    pub role: String,
    /// The text.
    pub content: String,
}

/// A field of the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldDefault {
    /// Its name.
    pub field: String,
    /// Its value, as JSON text.
    pub value: String,
    /// Whether it replaces what the request says.
    pub replace: bool,
}

/// How protocols are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Translation {
    /// Whether a request with something that cannot be carried over is refused with 400.
    pub strict: bool,
    /// Whether requests are translated also where the provider might know the client's protocol itself.
    #[serde(default)]
    pub always: bool,
}
