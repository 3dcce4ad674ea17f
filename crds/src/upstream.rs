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

use crate::{auth_token::AuthTokenSpec, core::Condition, schema, sensitive::Opaque};

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

/// A provider of large language models. Exactly one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.openai), has(self.gemini), has(self.azureOpenai), has(self.anthropic), has(self.mistral), has(self.vertexAi), has(self.bedrock), has(self.multi)].filter(x, x).size() == 1")
        .message("exactly one provider must be set")
)]
pub struct UpstreamAiSpec {
    /// OpenAI, or another provider with its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<UpstreamOpenAiSpec>,
    /// Google Gemini.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemini: Option<UpstreamGeminiSpec>,
    /// Azure OpenAI. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_openai: Option<Opaque>,
    /// Anthropic. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<Opaque>,
    /// Mistral. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistral: Option<Opaque>,
    /// Google Vertex AI. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertex_ai: Option<Opaque>,
    /// AWS Bedrock. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bedrock: Option<Opaque>,
    /// Pools of providers by priority. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi: Option<Opaque>,
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
