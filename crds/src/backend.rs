//! `gateway.kgateway.dev/v1alpha1` Backend, in the three shapes that its users have written.
//!
//! | shape | provider | host | path | header |
//! |---|---|---|---|---|
//! | 2.0 | `llm.provider.X` | `llm.hostOverride` | – | – |
//! | 2.1 in development | `llm.provider.X` | `llm.hostOverride` | `llm.pathOverride` | `llm.authHeaderOverride` |
//! | 2.1 | `llm.X` | `llm.host`, `llm.port` | `llm.path` | `llm.authHeader` |
//!
//! These types are the union of the three and of the slips that published examples contain. What is
//! meant, and whether it makes sense, is decided in one place: [`crate::ai`].
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]
#![allow(clippy::duplicated_attributes, reason = "two printer columns have one type")]

use std::num::NonZeroU16;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth_token::AuthTokenSpec;
use crate::backend_provider::{
    AnthropicSpec, AzureOpenAiSpec, BedrockSpec, GeminiSpec, OpenAiSpec, VertexAiSpec,
};
use crate::core::Condition;
use crate::schema;
use crate::sensitive::Opaque;
use crate::string_or::StringOr;

/// API group of Backend.
pub const GROUP: &str = "gateway.kgateway.dev";

/// A destination of routes that is not a Service: a provider of large language models, or static hosts.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "gateway.kgateway.dev",
    version = "v1alpha1",
    kind = "Backend",
    plural = "backends",
    namespaced,
    status = "BackendStatus",
    derive = "PartialEq",
    category = "kgateway",
    label("app", "kgateway"),
    doc = "A destination of routes that is not a Service.",
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".spec.type",
        description = "Type of the destination"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the destination is usable"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'AI' || has(self.ai)").message("ai must be set when type is AI"),
    validation = Rule::new("self.type != 'Static' || has(self.static)").message("static must be set when type is Static"),
    validation = Rule::new("self.type != 'AWS' || has(self.aws)").message("aws must be set when type is AWS"),
    validation = Rule::new("self.type != 'DynamicForwardProxy' || has(self.dynamicForwardProxy)")
        .message("dynamicForwardProxy must be set when type is DynamicForwardProxy"),
    validation = Rule::new("self.type != 'MCP' || has(self.mcp)").message("mcp must be set when type is MCP"),
    validation = Rule::new("[has(self.ai), has(self.static), has(self.aws), has(self.dynamicForwardProxy), has(self.mcp)].filter(x, x).size() == 1")
        .message("exactly one of ai, static, aws, dynamicForwardProxy and mcp must be set")
)]
pub struct BackendSpec {
    /// Type of the destination; the member of the same name must be set. AI and Static are served.
    #[serde(rename = "type")]
    pub type_: BackendType,
    /// A provider of large language models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai: Option<AiSpec>,
    /// Hosts with fixed addresses or names.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub static_: Option<StaticSpec>,
    /// An AWS Lambda function. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Opaque>,
    /// The host that the request names. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_forward_proxy: Option<Opaque>,
    /// Model context protocol servers. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Opaque>,
}

/// Type of a Backend.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "documented at the members of BackendSpec; a variant's doc would reach the CRD"
)]
pub enum BackendType {
    AI,
    AWS,
    Static,
    DynamicForwardProxy,
    MCP,
}

/// Observed state of a Backend.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct BackendStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

// --- static ---

/// Hosts with fixed addresses or names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StaticSpec {
    /// The hosts, used in equal shares.
    #[schemars(length(min = 1))]
    pub hosts: Vec<StaticHost>,
    /// Protocol of the hosts; HTTP/1.1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<AppProtocol>,
}

/// One static host.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct StaticHost {
    /// Address or DNS name.
    #[schemars(length(min = 1))]
    pub host: String,
    /// TCP port.
    #[schemars(schema_with = "schema::port")]
    pub port: NonZeroU16,
}

/// Protocol of static hosts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the serialised names say it; a variant's doc would reach the CRD")]
pub enum AppProtocol {
    #[serde(rename = "http2")]
    Http2,
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "grpc-web")]
    GrpcWeb,
    #[serde(rename = "kubernetes.io/h2c")]
    KubernetesH2c,
    #[serde(rename = "kubernetes.io/ws")]
    KubernetesWs,
}

// --- ai ---

/// A provider of large language models.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.llm), has(self.multipool), has(self.priorityGroups)].filter(x, x).size() == 1")
        .message("exactly one of llm, multipool and priorityGroups must be set"),
    validation = Rule::new("!has(self.llm) || !has(self.llm.name)").message("name belongs to a provider of priorityGroups")
)]
pub struct AiSpec {
    /// One provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmSpec>,
    /// Pools of providers by priority (2.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipool: Option<MultipoolSpec>,
    /// Groups of providers by priority (2.1): the next group is used when those before it fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub priority_groups: Option<Vec<PriorityGroupSpec>>,
    /// Accepted here too; belongs under llm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub host_override: Option<StringOr<HostOverride>>,
    /// Accepted here too; belongs under llm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub path_override: Option<StringOr<PathOverride>>,
    /// Accepted here too; belongs under llm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_header_override: Option<AuthHeader>,
}

/// Pools of providers by priority (2.0).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct MultipoolSpec {
    /// The pools: the next one is used when those before it fail.
    #[schemars(length(min = 1, max = 20))]
    pub priorities: Vec<PoolSpec>,
}

/// Providers that share the requests (2.0).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PoolSpec {
    /// The providers.
    #[schemars(length(min = 1, max = 20))]
    pub pool: Vec<LlmSpec>,
}

/// Providers that share the requests (2.1).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("self.providers.all(p, !has(p.name) || self.providers.exists_one(q, has(q.name) && q.name == p.name))").message("names of providers must differ"))]
pub struct PriorityGroupSpec {
    /// The providers.
    #[schemars(length(min = 1, max = 32))]
    pub providers: Vec<LlmSpec>,
}

/// One provider with its overrides: under `provider` (2.0), or directly (2.1).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.provider), has(self.openai), has(self.gemini), has(self.azureopenai), has(self.anthropic), has(self.vertexai), has(self.bedrock)].filter(x, x).size() == 1")
        .message("exactly one provider must be set"),
    validation = Rule::new("has(self.host) == has(self.port)").message("host and port must be set together"),
    validation = Rule::new("!(has(self.authHeader) && has(self.authHeaderOverride))")
        .message("authHeader and authHeaderOverride exclude each other")
)]
pub struct LlmSpec {
    /// Name of a provider of a priority group (2.1); different from the others of its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The provider (2.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderSpec>,
    /// OpenAI, or another provider with its API (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiSpec>,
    /// Google Gemini (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemini: Option<GeminiSpec>,
    /// Azure OpenAI (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azureopenai: Option<AzureOpenAiSpec>,
    /// Anthropic (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<AnthropicSpec>,
    /// Google Vertex AI (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertexai: Option<VertexAiSpec>,
    /// Amazon Bedrock (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrock: Option<BedrockSpec>,
    /// Accepted here too; belongs under the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Host and port instead of the provider's (2.0): an object with host and port, or the text "host:port".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub host_override: Option<StringOr<HostOverride>>,
    /// Path instead of the provider's (2.1 in development): an object with fullPath, or the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub path_override: Option<StringOr<PathOverride>>,
    /// Credential header instead of the provider's (2.1 in development).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_header_override: Option<AuthHeader>,
    /// Host instead of the provider's (2.1); with port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub host: Option<String>,
    /// Port of host (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<NonZeroU16>,
    /// Path instead of the provider's (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathSpec>,
    /// Credential header instead of the provider's (2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_header: Option<AuthHeader>,
}

/// The provider (2.0). Exactly one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.openai), has(self.gemini), has(self.azureopenai), has(self.anthropic), has(self.vertexai), has(self.bedrock)].filter(x, x).size() == 1")
        .message("exactly one provider must be set")
)]
pub struct ProviderSpec {
    /// OpenAI, or another provider with its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiSpec>,
    /// Google Gemini.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemini: Option<GeminiSpec>,
    /// Azure OpenAI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azureopenai: Option<AzureOpenAiSpec>,
    /// Anthropic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<AnthropicSpec>,
    /// Google Vertex AI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertexai: Option<VertexAiSpec>,
    /// Amazon Bedrock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrock: Option<BedrockSpec>,
    /// Accepted here too; belongs under the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
}

/// A header that carries the credential. At least one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.prefix) || has(self.headerName)").message("prefix or headerName must be set"))]
pub struct AuthHeader {
    /// Written before the credential, without a separator; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Name of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub header_name: Option<String>,
}

/// A path (2.1).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct PathSpec {
    /// Replaces the path and query of every request.
    #[schemars(length(min = 1))]
    pub full: String,
}

/// The object form of `hostOverride`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct HostOverride {
    /// Address or DNS name.
    pub host: String,
    /// TCP port.
    pub port: NonZeroU16,
}

/// The object form of `pathOverride`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PathOverride {
    /// Replaces the path and query of every request.
    pub full_path: String,
}
