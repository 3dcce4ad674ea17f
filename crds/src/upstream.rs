//! `gloo.solo.io/v1` Upstream.
//!
//! Two members are not in the original and are accepted because published examples use them:
//! `authToken.kind`, and a `secretRef` without namespace (the Upstream's own is meant). What is meant,
//! and whether it makes sense, is decided in one place: [`crate::ai`].
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::num::NonZeroU16;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth_token::{AuthTokenSpec, SecretReference};
use crate::backend_provider::Publisher;
use crate::core::Condition;
use crate::schema;
use crate::sensitive::{Opaque, SensitiveString};

/// API group of Upstream.
pub const GROUP: &str = "gloo.solo.io";

/// A destination of routes that is not a Service: a provider of large language models, or static hosts.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gloo.solo.io",
    version = "v1",
    kind = "Upstream",
    plural = "upstreams",
    shortname = "us",
    namespaced,
    status = "UpstreamStatus",
    derive = "PartialEq",
    category = "gloo",
    doc = "A destination of routes that is not a Service.",
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
    validation = Rule::new("[has(self.ai), has(self.static), has(self.kube), has(self.aws), has(self.awsEc2), has(self.azure), has(self.gcp), has(self.consul), has(self.pipe)].filter(x, x).size() == 1")
        .message("exactly one type of upstream must be set")
)]
pub struct UpstreamSpec {
    /// A provider of large language models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai: Option<UpstreamAiSpec>,
    /// Hosts with fixed addresses or names.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub static_: Option<UpstreamStaticSpec>,
    /// A Kubernetes Service. Not served yet; route to the Service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube: Option<Opaque>,
    /// AWS Lambda functions. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Opaque>,
    /// AWS EC2 instances. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_ec2: Option<Opaque>,
    /// Azure functions. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Opaque>,
    /// Google Cloud Run. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<Opaque>,
    /// A Consul service. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consul: Option<Opaque>,
    /// A Unix domain socket. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Opaque>,
}

/// Observed state of an Upstream.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct UpstreamStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Hosts with fixed addresses or names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct UpstreamStaticSpec {
    /// The hosts, used in equal shares.
    #[schemars(length(min = 1))]
    pub hosts: Vec<UpstreamHost>,
}

/// One static host.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamHost {
    /// Address or DNS name.
    #[schemars(length(min = 1))]
    pub addr: String,
    /// TCP port.
    #[schemars(schema_with = "schema::port")]
    pub port: NonZeroU16,
    /// Server name sent in the TLS handshake, instead of addr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni_addr: Option<String>,
}

/// A struct with a member for each provider, and its own ones behind them: what stands in a pool is what stands alone,
/// but for pools.
macro_rules! with_providers {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        pub struct $name {
            /// OpenAI, or another provider with its API.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub openai: Option<UpstreamOpenAiSpec>,
            /// Google Gemini.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub gemini: Option<UpstreamGeminiSpec>,
            /// Azure OpenAI.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub azure_openai: Option<UpstreamAzureOpenAiSpec>,
            /// Anthropic.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub anthropic: Option<UpstreamAnthropicSpec>,
            /// Mistral.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mistral: Option<UpstreamOpenAiSpec>,
            /// Google Vertex AI.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub vertex_ai: Option<UpstreamVertexAiSpec>,
            /// Amazon Bedrock.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub bedrock: Option<UpstreamBedrockSpec>,
            $($own)*
        }

        impl $name {
            /// The members that name a provider, under their names.
            pub(crate) fn providers(&self) -> [NamedProvider<'_>; 7] {
                [
                    ("openai", self.openai.as_ref().map(UpstreamProvider::OpenAi)),
                    ("gemini", self.gemini.as_ref().map(UpstreamProvider::Gemini)),
                    ("azureOpenai", self.azure_openai.as_ref().map(UpstreamProvider::AzureOpenAi)),
                    ("anthropic", self.anthropic.as_ref().map(UpstreamProvider::Anthropic)),
                    ("mistral", self.mistral.as_ref().map(UpstreamProvider::Mistral)),
                    ("vertexAi", self.vertex_ai.as_ref().map(UpstreamProvider::VertexAi)),
                    ("bedrock", self.bedrock.as_ref().map(UpstreamProvider::Bedrock)),
                ]
            }
        }
    };
}

/// A member that names a provider, under its name.
pub(crate) type NamedProvider<'a> = (&'static str, Option<UpstreamProvider<'a>>);

/// A member that names a provider.
#[derive(Clone, Copy)]
pub(crate) enum UpstreamProvider<'a> {
    OpenAi(&'a UpstreamOpenAiSpec),
    Gemini(&'a UpstreamGeminiSpec),
    AzureOpenAi(&'a UpstreamAzureOpenAiSpec),
    Anthropic(&'a UpstreamAnthropicSpec),
    Mistral(&'a UpstreamOpenAiSpec),
    VertexAi(&'a UpstreamVertexAiSpec),
    Bedrock(&'a UpstreamBedrockSpec),
}

with_providers! {
    /// A provider of large language models. Exactly one.
    #[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
    #[serde(rename_all = "camelCase")]
    #[x_kube(
        validation = Rule::new("[has(self.openai), has(self.gemini), has(self.azureOpenai), has(self.anthropic), has(self.mistral), has(self.vertexAi), has(self.bedrock), has(self.multi)].filter(x, x).size() == 1")
            .message("exactly one provider must be set")
    )]
    pub struct UpstreamAiSpec {
        /// Pools of providers by priority.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub multi: Option<UpstreamMultiSpec>,
    }
}

/// Pools of providers by priority.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct UpstreamMultiSpec {
    /// The pools: the next one is used when those before it fail.
    #[schemars(length(min = 1, max = 32))]
    pub priorities: Vec<UpstreamPoolSpec>,
}

/// Providers that share the requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct UpstreamPoolSpec {
    /// The providers.
    #[schemars(length(min = 1, max = 32))]
    pub pool: Vec<UpstreamPoolMemberSpec>,
}

with_providers! {
    /// A provider of a pool. Exactly one.
    #[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
    #[serde(rename_all = "camelCase")]
    #[x_kube(
        validation = Rule::new("[has(self.openai), has(self.gemini), has(self.azureOpenai), has(self.anthropic), has(self.mistral), has(self.vertexAi), has(self.bedrock)].filter(x, x).size() == 1")
            .message("exactly one provider must be set")
    )]
    pub struct UpstreamPoolMemberSpec {}
}

/// Azure OpenAI.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamAzureOpenAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Host of the resource, such as example.openai.azure.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of the deployment, which is a model with its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_name: Option<String>,
    /// Version of the API, such as 2024-10-21.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Anthropic.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamAnthropicSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Version of the API (header anthropic-version), where requests name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Model, instead of the one that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Google Vertex AI.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamVertexAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, such as gemini-1.5-flash-001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Version of the API, such as v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Google Cloud project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Google Cloud region, such as us-central1, or global.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Method of the model instead of generateContent and streamGenerateContent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_path: Option<String>,
    /// Whose models; GOOGLE if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// Schema of the model's bodies; GEMINI if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<JsonBodySchema>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Schema of a model's bodies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the serialised names say it; a variant's doc would reach the CRD")]
#[allow(non_camel_case_types, reason = "the names of the API")]
pub enum JsonBodySchema {
    NOT_SET,
    ANTHROPIC,
    GEMINI,
    OPENAI,
}

/// Amazon Bedrock, by its Converse API.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamBedrockSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_provider: Option<AwsCredentialProvider>,
    /// Model, such as anthropic.claude-3-5-haiku-20241022-v1:0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// AWS region; us-east-1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Where an AWS credential comes from. Exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.inline)").message("exactly one of secretRef and inline must be set"))]
pub struct AwsCredentialProvider {
    /// A Secret with the keys accessKey and secretKey, and perhaps sessionToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// The credential itself. Prefer a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<AwsInlineCredential>,
}

/// An AWS credential.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AwsInlineCredential {
    /// The access key's identifier.
    pub access_key_id: SensitiveString,
    /// The access key.
    pub secret_access_key: SensitiveString,
    /// The token of a temporary credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SensitiveString>,
}

/// OpenAI, or another provider with its API.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamOpenAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, instead of the one that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Google Gemini.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamGeminiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, such as gemini-1.5-flash-latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Version of the API, such as v1beta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Host instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_host: Option<CustomHost>,
}

/// Host, port, server name and path instead of the provider's.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CustomHost {
    /// Address or DNS name.
    #[schemars(length(min = 1))]
    pub host: String,
    /// TCP port.
    #[schemars(schema_with = "schema::port")]
    pub port: NonZeroU16,
    /// Host header and TLS server name, instead of host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_override: Option<CustomPath>,
}

/// A path. Exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.fullPath) != has(self.basePath)").message("exactly one of fullPath and basePath must be set")
)]
pub struct CustomPath {
    /// Replaces the path and query of every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_path: Option<String>,
    /// Written before the provider's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_path: Option<String>,
}
