//! One view of an AI or static destination, whatever the dialect it is written in.
//!
//! Three shapes of [`Backend`] and one of [`Upstream`] become one [`Target`]. This is the only place that
//! knows the dialects' spelling: what comes out is checked, its defaults are filled in, and what it says
//! cannot contradict itself. Provider facts (hosts, path templates, headers) are the translator's.

mod backend;
mod field;
#[cfg(test)]
mod tests;
mod upstream;

use std::num::NonZeroU16;

pub use field::{ErrorKind, SpecError, Warning};

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
    /// Provider and model.
    pub provider: Provider,
    /// The credential, or where it is.
    pub auth: AuthToken,
    /// What replaces the provider's own host, path and header.
    pub overrides: Overrides,
}

/// Provider and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI, or another provider with its API.
    OpenAi {
        /// Model, instead of the one that the request names.
        model: Option<String>,
    },
    /// Google Gemini. Both members fit into a URL path as they are.
    Gemini {
        /// Model, such as `gemini-1.5-flash-latest`.
        model: String,
        /// Version of the API, such as `v1beta`.
        api_version: String,
    },
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
