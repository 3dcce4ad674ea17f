//! The providers of `gateway.kgateway.dev` Backends.
//!
//! What a provider's API requires is required in the schema; the Rust fields are optional so that its absence is a
//! status with the field's path and not an object that cannot be read.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth_token::{AuthTokenSpec, SecretReference};

/// OpenAI, or another provider with its API.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, instead of the one that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Azure OpenAI.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AzureOpenAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Host of the resource, such as example.openai.azure.com; a scheme before it is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub endpoint: Option<String>,
    /// Name of the deployment, which is a model with its limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub deployment_name: Option<String>,
    /// Version of the API, such as 2024-10-21.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub api_version: Option<String>,
}

/// Anthropic.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AnthropicSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Version of the API (header anthropic-version), where requests name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Model, instead of the one that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Google Gemini.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GeminiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, such as gemini-1.5-flash-latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// Version of the API, such as v1beta.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub api_version: Option<String>,
}

/// Google Vertex AI.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VertexAiSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// Model, such as gemini-1.5-flash-001.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// Version of the API, such as v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub api_version: Option<String>,
    /// Google Cloud project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub project_id: Option<String>,
    /// Google Cloud region, such as us-central1, or global.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub location: Option<String>,
    /// Method of the model instead of generateContent and streamGenerateContent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_path: Option<String>,
    /// Whose models; GOOGLE if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
}

/// Whose models Vertex AI serves.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the serialised name says it; a variant's doc would reach the CRD")]
pub enum Publisher {
    GOOGLE,
}

/// Amazon Bedrock, by its Converse API.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BedrockSpec {
    /// The credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// Model, such as anthropic.claude-3-5-haiku-20241022-v1:0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub model: Option<String>,
    /// AWS region; us-east-1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// A guardrail that every request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Guardrail>,
}

/// Where an AWS credential comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'Secret' || has(self.secretRef)").message("secretRef must be set when type is Secret"))]
pub struct AwsAuth {
    /// Type of the source.
    #[serde(rename = "type")]
    pub type_: AwsAuthType,
    /// A Secret with the keys accessKey and secretKey, and perhaps sessionToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// Type of the source of an AWS credential.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the serialised name says it; a variant's doc would reach the CRD")]
pub enum AwsAuthType {
    Secret,
}

/// A guardrail of Bedrock.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Guardrail {
    /// Its identifier.
    #[schemars(length(min = 1))]
    pub identifier: String,
    /// Its version.
    #[schemars(length(min = 1))]
    pub version: String,
}
