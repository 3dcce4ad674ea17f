//! What is known about each provider: a row of facts per provider, a file per provider whose paths are its own.

mod azure;
mod bedrock;
mod gemini;
mod openai;

use ai_config::{PathOverride, Provider, Schema};

use crate::operation::Operation;

/// The facts about a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name in metrics, metadata and logs: those that users of kgateway know.
    pub name: &'static str,
    /// Its name in OpenTelemetry's conventions for generative AI (`gen_ai.provider.name`).
    pub otel_name: &'static str,
    /// The schema of chat requests and answers.
    pub schema: Schema,
    /// Where the model of a request stands.
    pub model_in: ModelIn,
    /// The header that carries the credential, lower case.
    pub auth_header: &'static str,
    /// What stands before the credential in that header.
    pub auth_prefix: &'static str,
}

/// Where the model of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelIn {
    /// In the member `model` of the body.
    Body,
    /// In the path.
    Path,
}

/// The facts about a provider.
pub fn facts(provider: &Provider) -> Facts {
    use ModelIn::{Body, Path};
    // https://platform.openai.com/docs/api-reference, https://learn.microsoft.com/azure/ai-foundry/openai/reference,
    // https://docs.anthropic.com/en/api, https://ai.google.dev/api, https://cloud.google.com/vertex-ai/docs/reference,
    // https://docs.aws.amazon.com/bedrock/latest/APIReference, https://docs.mistral.ai/api. A key goes into a header,
    // never into the query, where logs would show it.
    let bearer = ("authorization", "Bearer ");
    let (name, otel_name, schema, model_in, (auth_header, auth_prefix)) = match provider {
        Provider::OpenAi => ("openai", "openai", Schema::OpenAi, Body, bearer),
        Provider::AzureOpenAi { .. } => {
            ("azure_openai", "azure.ai.openai", Schema::OpenAi, Path, ("api-key", ""))
        }
        Provider::Anthropic { .. } => ("anthropic", "anthropic", Schema::Anthropic, Body, ("x-api-key", "")),
        Provider::Gemini { .. } => ("gemini", "gcp.gemini", Schema::Gemini, Path, ("x-goog-api-key", "")),
        Provider::VertexAi { schema, .. } => ("vertex-ai", "gcp.vertex_ai", *schema, Path, bearer),
        Provider::Bedrock { .. } => ("bedrock", "aws.bedrock", Schema::Bedrock, Path, bearer),
        Provider::Mistral => ("mistral", "mistral_ai", Schema::OpenAi, Body, bearer),
    };
    Facts { name, otel_name, schema, model_in, auth_header, auth_prefix }
}

/// The host of a provider, on port 443 with TLS; `None` where each customer has one of its own.
pub fn host(provider: &Provider) -> Option<String> {
    Some(match provider {
        Provider::OpenAi => "api.openai.com".to_owned(),
        Provider::AzureOpenAi { .. } => return None,
        Provider::Anthropic { .. } => "api.anthropic.com".to_owned(),
        Provider::Gemini { .. } => "generativelanguage.googleapis.com".to_owned(),
        Provider::VertexAi { location, .. } if location == "global" => "aiplatform.googleapis.com".to_owned(),
        Provider::VertexAi { location, .. } => format!("{location}-aiplatform.googleapis.com"),
        Provider::Bedrock { region } => format!("bedrock-runtime.{region}.amazonaws.com"),
        Provider::Mistral => "api.mistral.ai".to_owned(),
    })
}

/// What a path is made of.
#[derive(Clone, Copy, Debug)]
pub struct PathInput<'a> {
    /// What the client asks for.
    pub operation: &'a Operation,
    /// The client's query, without `?`, without credentials.
    pub query: &'a str,
    /// The model, where the provider's paths hold it.
    pub model: &'a str,
    /// Whether the answer is to be a stream.
    pub streaming: bool,
}

/// The path and query that a request to the provider has.
pub fn path(provider: &Provider, replacement: Option<&PathOverride>, input: &PathInput<'_>) -> String {
    if let (Some(PathOverride::Full(path)), true) = (replacement, input.operation.is_chat()) {
        return path.clone();
    }
    let path = match provider {
        Provider::OpenAi | Provider::Mistral => openai::path(input, "/v1/chat/completions"),
        Provider::Anthropic { .. } => openai::path(input, "/v1/messages"),
        Provider::AzureOpenAi { deployment, api_version } => azure::path(input, deployment, api_version),
        Provider::Gemini { api_version } => gemini::path(input, &format!("/{api_version}"), None),
        Provider::VertexAi { api_version, project, location, publisher, method, .. } => {
            let root =
                format!("/{api_version}/projects/{project}/locations/{location}/publishers/{publisher}");
            gemini::path(input, &root, method.as_deref())
        }
        Provider::Bedrock { .. } => bedrock::path(input),
    };
    match replacement {
        Some(PathOverride::Base(base)) => format!("{base}{path}"),
        _ => path,
    }
}

/// A path with a query, if there is one.
fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// A model as one element of a path, with these bytes as they are beside those that are always safe. A client names the
/// model in its body: unescaped it could name another method, another query or another request of the provider's.
fn path_element(model: &str, safe: &[u8]) -> String {
    let mut element = String::with_capacity(model.len() + 8);
    for (index, byte) in model.bytes().enumerate() {
        let is_hex = |offset: usize| model.as_bytes().get(index + offset).is_some_and(u8::is_ascii_hexdigit);
        let is_safe = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte);
        // What a client's path has escaped already.
        if is_safe || (byte == b'%' && is_hex(1) && is_hex(2)) {
            element.push(char::from(byte));
        } else {
            element.push_str(&format!("%{byte:02X}"));
        }
    }
    element
}

/// Query parameters in which clients may have put a credential of their own: none of them is the provider's business.
pub const CREDENTIAL_PARAMS: [&str; 2] = ["key", "access_token"];

/// A query without credentials.
pub fn without_credentials(query: &str) -> String {
    let is_credential = |param: &&str| {
        let name = param.split('=').next().unwrap_or_default();
        // Decoding a name costs more than it is worth: whoever escapes a letter of `key` wants to get past.
        name.contains('%') || name.contains('+') || CREDENTIAL_PARAMS.contains(&name)
    };
    query.split('&').filter(|param| !param.is_empty() && !is_credential(param)).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(method: Option<&str>) -> Provider {
        Provider::VertexAi {
            api_version: "v1".into(),
            project: "p".into(),
            location: "us".into(),
            publisher: "google".into(),
            method: method.map(str::to_owned),
            schema: Schema::Gemini,
        }
    }

    #[test]
    fn paths_are_those_of_the_providers() {
        let azure = Provider::AzureOpenAi { deployment: "d".into(), api_version: "2024-10-21".into() };
        let anthropic = Provider::Anthropic { version: "2023-06-01".into() };
        let gemini = Provider::Gemini { api_version: "v1beta".into() };
        let (google, raw) = (vertex(None), vertex(Some("rawPredict")));
        let full = Some(PathOverride::Full("/x?y=1".into()));
        let base = Some(PathOverride::Base("/proxy".into()));
        let bedrock = Provider::Bedrock { region: "us-east-1".into() };
        let rows: Vec<(&Provider, Option<&PathOverride>, &str, bool, &str)> = vec![
            (&Provider::OpenAi, None, "/openai", false, "/v1/chat/completions"),
            (&Provider::OpenAi, None, "/openai/v1/chat/completions", true, "/v1/chat/completions"),
            (&Provider::OpenAi, None, "/openai/v1/models/gpt?limit=2", false, "/v1/models/gpt?limit=2"),
            (&Provider::OpenAi, None, "/x/v1/responses", true, "/v1/responses"),
            (&Provider::OpenAi, full.as_ref(), "/openai", false, "/x?y=1"),
            (&Provider::OpenAi, full.as_ref(), "/v1/embeddings", false, "/v1/embeddings"),
            (&Provider::OpenAi, base.as_ref(), "/v1/embeddings", false, "/proxy/v1/embeddings"),
            (&Provider::Mistral, base.as_ref(), "/m", false, "/proxy/v1/chat/completions"),
            (&anthropic, None, "/a", true, "/v1/messages"),
            (
                &anthropic,
                None,
                "/a/v1/messages/count_tokens?beta=true",
                false,
                "/v1/messages/count_tokens?beta=true",
            ),
            (&azure, None, "/a", true, "/openai/deployments/d/chat/completions?api-version=2024-10-21"),
            (
                &azure,
                None,
                "/a/v1/embeddings",
                false,
                "/openai/deployments/d/embeddings?api-version=2024-10-21",
            ),
            (&azure, None, "/v1/responses", false, "/openai/responses?api-version=2024-10-21"),
            (
                &azure,
                None,
                "/v1/models?api-version=1&a=b",
                false,
                "/openai/models?api-version=2024-10-21&a=b",
            ),
            (&gemini, None, "/g", false, "/v1beta/models/M:generateContent"),
            (&gemini, None, "/g?key=K&a=b", true, "/v1beta/models/M:streamGenerateContent?alt=sse&a=b"),
            (&gemini, None, "/g/v1/models/m:countTokens", false, "/v1beta/models/M:countTokens"),
            (
                &gemini,
                None,
                "/v1/models/m:streamGenerateContent",
                false,
                "/v1beta/models/M:streamGenerateContent",
            ),
            (
                &gemini,
                None,
                "/v1/models/m:streamGenerateContent?alt=sse",
                true,
                "/v1beta/models/M:streamGenerateContent?alt=sse",
            ),
            (
                &gemini,
                None,
                "/v1/models/m:generateContent",
                true,
                "/v1beta/models/M:streamGenerateContent?alt=sse",
            ),
            (&gemini, None, "/v1beta/models", false, "/v1beta/models"),
            (
                &google,
                None,
                "/v",
                false,
                "/v1/projects/p/locations/us/publishers/google/models/M:generateContent",
            ),
            (
                &google,
                None,
                "/v",
                true,
                "/v1/projects/p/locations/us/publishers/google/models/M:streamGenerateContent?alt=sse",
            ),
            (&raw, None, "/v", true, "/v1/projects/p/locations/us/publishers/google/models/M:rawPredict"),
            (&bedrock, None, "/b", false, "/model/M/converse"),
            (&bedrock, None, "/b", true, "/model/M/converse-stream"),
            (&bedrock, None, "/b/model/m/converse-stream", false, "/model/M/converse-stream"),
            (&bedrock, None, "/b/model/m/invoke", false, "/model/M/invoke"),
        ];
        for (provider, replacement, client, streaming, expected) in rows {
            let (before, query) = client.split_once('?').unwrap_or((client, ""));
            let query = without_credentials(query);
            let input = PathInput { operation: &Operation::of(before), query: &query, model: "M", streaming };
            assert_eq!(path(provider, replacement, &input), expected, "{client}");
        }
    }

    #[test]
    fn credentials_do_not_travel_in_queries() {
        for (query, expected) in [
            ("", ""),
            ("key=1", ""),
            ("a=key&key=1&b=2&access_token=x&&k%65y=2&kEy=3", "a=key&b=2&kEy=3"),
            ("keys=1&alt=sse", "keys=1&alt=sse"),
        ] {
            assert_eq!(without_credentials(query), expected, "{query}");
        }
    }

    #[test]
    fn a_model_is_one_element_of_the_path() {
        let bedrock = Provider::Bedrock { region: "r".into() };
        let gemini = Provider::Gemini { api_version: "v1".into() };
        let rows = [
            (&bedrock, "us.a.claude-v1:0", "/model/us.a.claude-v1%3A0/converse"),
            (&bedrock, "us.a.claude-v1%3A0", "/model/us.a.claude-v1%3A0/converse"),
            (&bedrock, "../x?", "/model/..%2Fx%3F/converse"),
            (&gemini, "gemini-2.5@001", "/v1/models/gemini-2.5@001:generateContent"),
            (&gemini, "m:countTokens?a=", "/v1/models/m%3AcountTokens%3Fa%3D:generateContent"),
            (&gemini, "m HTTP/1.1\r\n\r\n%", "/v1/models/m%20HTTP%2F1.1%0D%0A%0D%0A%25:generateContent"),
        ];
        for (provider, model, expected) in rows {
            let input = PathInput { operation: &Operation::Unnamed, query: "", model, streaming: false };
            assert_eq!(path(provider, None, &input), expected, "{model}");
        }
    }
}
