//! One view of an AI or static destination, whatever the dialect it is written in.
//!
//! Three shapes of [`Backend`] and one of [`Upstream`] become one [`Target`]. This is the only place that
//! knows the dialects' spelling: what comes out is checked, its defaults are filled in, and what it says
//! cannot contradict itself. Provider facts (hosts, path templates, headers) are the translator's.

mod backend;
mod field;
mod provider;
#[cfg(test)]
mod tests;
mod upstream;

use std::num::NonZeroU16;

pub use field::{ErrorKind, SpecError, Warning};
pub(crate) use field::{auth_token, bare_host};

pub use crate::backend_provider::Guardrail;
use crate::{
    backend::{AppProtocol, Backend},
    object_ref::NamespacedName,
    sensitive::SensitiveString,
    upstream::Upstream,
};

/// A destination with what should be said to its owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    /// Where requests go.
    pub target: Target,
    /// Spellings that were understood but should be corrected, in order of discovery.
    pub warnings: Vec<Warning>,
}

/// Where requests of a Backend or an Upstream go.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Providers of large language models.
    Ai(AiPool),
    /// Hosts with fixed addresses or names.
    Static(StaticBackendSpec),
}

/// Providers of large language models in the order of their use: the next group is for when all of the one before have
/// failed. Never empty, nor is a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiPool {
    /// The groups.
    pub groups: Vec<AiGroup>,
}

/// Destinations that share the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiGroup {
    /// The destinations.
    pub destinations: Vec<AiDestination>,
}

impl AiPool {
    /// The destination, if there is but one.
    pub fn only(&self) -> Option<&AiDestination> {
        let [AiGroup { destinations }] = &self.groups[..] else { return None };
        let [destination] = &destinations[..] else { return None };
        Some(destination)
    }
}

impl From<AiDestination> for AiPool {
    fn from(destination: AiDestination) -> Self {
        Self { groups: vec![AiGroup { destinations: vec![destination] }] }
    }
}

/// A provider of large language models, with how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiDestination {
    /// Its name among the members of a pool, if it has one.
    pub name: Option<String>,
    /// Provider and model.
    pub provider: Provider,
    /// The credential, or where it is.
    pub auth: AuthToken,
    /// What replaces the provider's own host, path and header.
    pub overrides: Overrides,
}

/// Provider and model. What becomes part of a URL path fits into one as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI, or another provider with its API.
    OpenAi {
        /// Model, instead of the one that the request names.
        model: Option<String>,
    },
    /// Azure OpenAI.
    AzureOpenAi {
        /// The host of the resource.
        endpoint: String,
        /// The deployment, which is a model with its limits.
        deployment: String,
        /// Version of the API.
        api_version: String,
    },
    /// Anthropic.
    Anthropic {
        /// Model, instead of the one that the request names.
        model: Option<String>,
        /// Version of the API, where requests name none.
        version: Option<String>,
    },
    /// Google Gemini.
    Gemini {
        /// Model, such as `gemini-1.5-flash-latest`.
        model: String,
        /// Version of the API, such as `v1beta`.
        api_version: String,
    },
    /// Google Vertex AI.
    VertexAi {
        /// Model.
        model: String,
        /// Version of the API, such as `v1`.
        api_version: String,
        /// Google Cloud project.
        project: String,
        /// Google Cloud region, or `global`.
        location: String,
        /// Whose model.
        publisher: String,
        /// The method instead of the one for the request.
        method: Option<String>,
        /// The schema of the model's bodies.
        schema: Schema,
    },
    /// Amazon Bedrock.
    Bedrock {
        /// Model.
        model: String,
        /// AWS region.
        region: String,
        /// A guardrail that every request names.
        guardrail: Option<Guardrail>,
    },
    /// Mistral.
    Mistral {
        /// Model, instead of the one that the request names.
        model: Option<String>,
    },
}

impl Provider {
    /// The model that requests get, whatever they name; `None` where they name it themselves, in the body or (Azure
    /// OpenAI) by a deployment.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::OpenAi { model } | Self::Anthropic { model, .. } | Self::Mistral { model } => {
                model.as_deref()
            }
            Self::Gemini { model, .. } | Self::VertexAi { model, .. } | Self::Bedrock { model, .. } => {
                Some(model)
            }
            Self::AzureOpenAi { .. } => None,
        }
    }
}

/// The schema of a model's bodies on Vertex AI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
}

/// The credential, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthToken {
    /// The credential itself: cleaned, not empty.
    Inline(SensitiveString),
    /// A Secret with the credential under the key [`SECRET_KEY`]; read its value with [`credential`].
    SecretRef(NamespacedName),
    /// The credential that the client sends.
    Passthrough,
    /// An AWS credential, with which requests are signed.
    AwsInline(AwsCredential),
    /// A Secret with an AWS credential under [`AWS_SECRET_KEYS`].
    AwsSecretRef(NamespacedName),
}

/// An AWS credential. Each part is a legal value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsCredential {
    /// The access key's identifier.
    pub access_key: SensitiveString,
    /// The access key.
    pub secret_key: SensitiveString,
    /// The token of a temporary credential.
    pub session_token: Option<SensitiveString>,
}

impl AwsCredential {
    /// A credential of these parts, without the white space around them.
    ///
    /// # Errors
    /// What is wrong with a part; never the part itself.
    pub fn new(
        access_key: &str,
        secret_key: &str,
        session_token: Option<&str>,
    ) -> Result<Self, &'static str> {
        let part = |text: &str| {
            let text = text.trim();
            let usable = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
            usable.then(|| SensitiveString::new(text))
        };
        let session_token = session_token.filter(|token| !token.trim().is_empty());
        let session_token =
            session_token.map(|token| part(token).ok_or("sessionToken holds no usable credential"));
        Ok(Self {
            access_key: part(access_key).ok_or("accessKey holds no usable credential")?,
            secret_key: part(secret_key).ok_or("secretKey holds no usable credential")?,
            session_token: session_token.transpose()?,
        })
    }
}

/// What replaces the provider's own host, path and header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Host and port.
    pub host: Option<HostOverride>,
    /// Path.
    pub path: Option<PathOverride>,
    /// Name of the header that carries the credential; a legal header name.
    pub auth_header_name: Option<String>,
    /// What is written before the credential, without a separator. `Some("")`: nothing, not the
    /// provider's own prefix.
    pub auth_header_prefix: Option<String>,
}

/// Host and port instead of the provider's. TLS is used on port 443 (the dialects' rule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOverride {
    /// IP address (without brackets) or DNS name.
    pub host: String,
    /// TCP port.
    pub port: NonZeroU16,
    /// `Host` header and TLS server name; equal to `host` unless written otherwise.
    pub server_name: String,
}

/// Path instead of the provider's. Begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOverride {
    /// Replaces the path and query of every request.
    Full(String),
    /// Written before the provider's path; does not end with `/`.
    Base(String),
}

/// Hosts with fixed addresses or names; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticBackendSpec {
    /// The hosts, used in equal shares.
    pub hosts: Vec<StaticEndpoint>,
    /// Protocol of the hosts; HTTP/1.1 if absent.
    pub app_protocol: Option<AppProtocol>,
}

/// One static host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticEndpoint {
    /// IP address (without brackets) or DNS name.
    pub host: String,
    /// TCP port.
    pub port: NonZeroU16,
    /// TLS server name, if written.
    pub server_name: Option<String>,
}

/// The key of a Secret's data that holds the credential.
pub const SECRET_KEY: &str = "Authorization";

/// The keys of a Secret's data that hold the parts of an AWS credential: the access key's identifier, the access key,
/// and, optionally, the token of a temporary credential.
pub const AWS_SECRET_KEYS: [&str; 3] = ["accessKey", "secretKey", "sessionToken"];

/// The canonical form of a Backend.
///
/// # Errors
/// The first thing that makes the Backend unusable, with the path of its field.
pub fn canonical_backend(backend: &Backend) -> Result<Canonical, SpecError> {
    let namespace = backend.metadata.namespace.as_deref().unwrap_or_default();
    backend::canonical(&backend.spec, namespace)
}

/// The canonical form of an Upstream.
///
/// # Errors
/// The first thing that makes the Upstream unusable, with the path of its field.
pub fn canonical_upstream(upstream: &Upstream) -> Result<Canonical, SpecError> {
    let namespace = upstream.metadata.namespace.as_deref().unwrap_or_default();
    upstream::canonical(&upstream.spec, namespace)
}

/// The bare credential in what a user stored: without surrounding white space (shells leave newlines)
/// and without a leading `Bearer `, which we write ourselves. `None` if nothing is left, or if it holds
/// a control character, which no header may carry.
pub fn credential(stored: &str) -> Option<SensitiveString> {
    let bare = stored.trim();
    let bare = match bare.split_at_checked("Bearer".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") && rest.starts_with([' ', '\t']) => {
            rest.trim()
        }
        // The whole value is the scheme: there is no credential behind it.
        Some((scheme, "")) if scheme.eq_ignore_ascii_case("bearer") => "",
        _ => bare,
    };
    let usable = !bare.is_empty() && !bare.chars().any(char::is_control);
    usable.then(|| SensitiveString::new(bare))
}
