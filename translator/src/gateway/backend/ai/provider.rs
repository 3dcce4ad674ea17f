//! Where a provider is, and how it wants its credential: the facts of the AI engine's table, with what a Backend puts
//! in their place.

use ai::operation::Operation;
use ai::provider::PathInput;
use crds::ai::{AiDestination, PathOverride, Provider, Schema};
use ir::{HostPort, bracketed};

/// The port on which TLS is spoken, and on no other (the dialects' rule).
pub(in crate::gateway) const HTTPS: u16 = 443;

/// `anthropic-version` where neither the request nor the Backend names one.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A provider as a Backend wants it.
pub(super) struct Profile {
    pub provider: ai_config::Provider,
    pub place: Place,
    pub path: Option<ai_config::PathOverride>,
    /// The header that carries the credential, lower case.
    pub auth_header: String,
    /// What stands before the credential in that header.
    pub auth_prefix: String,
    /// The model, if the Backend names one.
    model: String,
}

impl Profile {
    pub(super) fn of(destination: &AiDestination) -> Self {
        let provider = provider(&destination.provider);
        let facts = ai::provider::facts(&provider);
        let overrides = &destination.overrides;
        let header = overrides.auth_header_name.as_deref().unwrap_or(facts.auth_header);
        Self {
            place: Place::of(destination, &provider),
            path: overrides.path.as_ref().map(|path| match path {
                PathOverride::Full(path) => ai_config::PathOverride::Full(path.clone()),
                PathOverride::Base(path) => ai_config::PathOverride::Base(path.clone()),
            }),
            auth_header: header.to_ascii_lowercase(),
            auth_prefix: overrides.auth_header_prefix.clone().unwrap_or_else(|| facts.auth_prefix.to_owned()),
            provider,
            model: destination.provider.model().unwrap_or_default().to_owned(),
        }
    }

    /// The path of a chat, whatever the path of the request.
    pub(super) fn chat_path(&self) -> String {
        let input =
            PathInput { operation: &Operation::Unnamed, query: "", model: &self.model, streaming: false };
        ai::provider::path(&self.provider, self.path.as_ref(), &input)
    }

    /// Headers that a request gets unless it has them.
    pub(super) fn default_headers(&self) -> Vec<(String, String)> {
        match &self.provider {
            ai_config::Provider::Anthropic { version } => {
                vec![("anthropic-version".to_owned(), version.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// Query parameters in which clients may have put a credential of their own.
    pub(super) fn credential_params(&self) -> Vec<String> {
        match &self.provider {
            ai_config::Provider::Gemini { .. } | ai_config::Provider::VertexAi { .. } => {
                ai::provider::CREDENTIAL_PARAMS.map(str::to_owned).to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// In the engine's words.
fn provider(provider: &Provider) -> ai_config::Provider {
    match provider.clone() {
        Provider::OpenAi { .. } => ai_config::Provider::OpenAi,
        Provider::AzureOpenAi { deployment, api_version, .. } => {
            ai_config::Provider::AzureOpenAi { deployment, api_version }
        }
        Provider::Anthropic { version, .. } => ai_config::Provider::Anthropic {
            version: version.unwrap_or_else(|| ANTHROPIC_VERSION.to_owned()),
        },
        Provider::Gemini { api_version, .. } => ai_config::Provider::Gemini { api_version },
        Provider::VertexAi { api_version, project, location, publisher, method, schema, .. } => {
            let schema = match schema {
                Schema::OpenAi => ai_config::Schema::OpenAi,
                Schema::Anthropic => ai_config::Schema::Anthropic,
                Schema::Gemini => ai_config::Schema::Gemini,
            };
            ai_config::Provider::VertexAi { api_version, project, location, publisher, method, schema }
        }
        Provider::Bedrock { region, .. } => ai_config::Provider::Bedrock { region },
        Provider::Mistral { .. } => ai_config::Provider::Mistral,
    }
}

/// Where a provider is.
pub(super) struct Place {
    pub connect: HostPort,
    /// In the TLS handshake, and what the certificate must be for.
    pub server_name: String,
    /// In the `Host` header.
    pub authority: String,
}

impl Place {
    fn of(destination: &AiDestination, provider: &ai_config::Provider) -> Self {
        if let Some(host) = &destination.overrides.host {
            return Self {
                connect: HostPort { host: host.host.clone(), port: host.port.get() },
                server_name: host.server_name.clone(),
                authority: authority(&host.server_name, host.port.get()),
            };
        }
        let own = match &destination.provider {
            Provider::AzureOpenAi { endpoint, .. } => endpoint.clone(),
            _ => ai::provider::host(provider).unwrap_or_default(),
        };
        Self {
            connect: HostPort { host: own.clone(), port: HTTPS },
            server_name: own.clone(),
            authority: own,
        }
    }
}

/// `Host` as a client would write it: with the port unless it is the scheme's own.
pub(in crate::gateway) fn authority(host: &str, port: u16) -> String {
    let host = bracketed(host);
    if port == HTTPS || port == 80 { host.into_owned() } else { format!("{host}:{port}") }
}
