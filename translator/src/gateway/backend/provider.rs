//! What is known about each AI provider: one row of facts per provider.

use crds::ai::Provider;

/// How a provider is reached and how it wants its credential.
pub(crate) struct Profile {
    /// Its host; port 443, TLS.
    pub host: &'static str,
    /// The path of its chat endpoint.
    pub path: String,
    /// The header that carries the credential.
    pub auth_header: &'static str,
    /// What stands before the credential in that header.
    pub auth_prefix: &'static str,
    /// Query parameters in which clients may have put a credential of their own.
    pub credential_params: &'static [&'static str],
}

/// The facts about a provider.
pub(crate) fn profile(provider: &Provider) -> Profile {
    match provider {
        // https://platform.openai.com/docs/api-reference/chat
        Provider::OpenAi { .. } => Profile {
            host: "api.openai.com",
            path: "/v1/chat/completions".to_owned(),
            auth_header: "authorization",
            auth_prefix: "Bearer ",
            credential_params: &[],
        },
        // https://ai.google.dev/api/generate-content: the key goes into a header, never into the
        // query, where logs would show it.
        Provider::Gemini { model, api_version } => Profile {
            host: "generativelanguage.googleapis.com",
            path: format!("/{api_version}/models/{model}:generateContent"),
            auth_header: "x-goog-api-key",
            auth_prefix: "",
            credential_params: &["key", "access_token"],
        },
    }
}
