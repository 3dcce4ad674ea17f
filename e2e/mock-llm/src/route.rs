//! Which provider, and which of its operations, a path names.

use http::Method;

use crate::sigv4::decode;

/// The providers that the mock plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI: paths that begin with `/v1/`, or whatever ends in one of its endpoints.
    OpenAi,
    /// Mistral: OpenAI's paths, with the name of a model of Mistral's.
    Mistral,
    /// Azure OpenAI: paths that begin with `/openai/`.
    AzureOpenAi,
    /// Anthropic: `/v1/messages`.
    Anthropic,
    /// The Gemini API: `/{version}/models/{model}:{method}`.
    Gemini,
    /// Vertex AI: `/{version}/projects/{project}/locations/{location}/publishers/…`.
    Vertex,
    /// Bedrock: `/model/{model}/{operation}`.
    Bedrock,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Responses,
    Embeddings,
    Models,
    Images,
    Speech,
    Moderations,
    Messages,
    CountMessages,
    Generate,
    StreamGenerate,
    CountTokens,
    EmbedContent,
    BatchEmbedContents,
    /// Claude on Vertex.
    RawPredict,
    Converse,
    ConverseStream,
}

/// Where a request belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) provider: Provider,
    pub(crate) operation: Operation,
    /// The model (for Azure the deployment) if the path names it.
    pub(crate) model: Option<String>,
}

/// The names by which Mistral's models begin.
const MISTRAL: [&str; 8] =
    ["mistral", "open-mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral"];

const OPENAI: [(&str, Operation); 7] = [
    ("/chat/completions", Operation::Chat),
    ("/responses", Operation::Responses),
    ("/embeddings", Operation::Embeddings),
    ("/models", Operation::Models),
    ("/images/generations", Operation::Images),
    ("/audio/speech", Operation::Speech),
    ("/moderations", Operation::Moderations),
];

/// The route of a request; `None` when no provider has such a path. `model` is that of its body.
pub(crate) fn route(method: &Method, path: &str, model: Option<&str>) -> Option<Route> {
    let found =
        google(path).or_else(|| bedrock(path)).or_else(|| anthropic(path)).or_else(|| openai(path, model))?;
    // One endpoint of all is read, the others are written to.
    let expected = if found.operation == Operation::Models { Method::GET } else { Method::POST };
    (*method == expected).then_some(found)
}

fn google(path: &str) -> Option<Route> {
    let (before, method) = path.rsplit_once(':')?;
    let (parent, model) = before.rsplit_once('/')?;
    let provider = match parent {
        _ if parent.contains("/projects/") || parent.contains("/publishers/") => Provider::Vertex,
        _ if parent.ends_with("/models") || parent.ends_with("/tunedModels") => Provider::Gemini,
        _ => return None,
    };
    let operation = match method {
        "generateContent" => Operation::Generate,
        "streamGenerateContent" => Operation::StreamGenerate,
        "countTokens" => Operation::CountTokens,
        "embedContent" => Operation::EmbedContent,
        "batchEmbedContents" => Operation::BatchEmbedContents,
        "rawPredict" | "streamRawPredict" if provider == Provider::Vertex => Operation::RawPredict,
        _ => return None,
    };
    Some(Route { provider, operation, model: Some(decode(model)) })
}

fn bedrock(path: &str) -> Option<Route> {
    let (model, operation) = path.strip_prefix("/model/")?.rsplit_once('/')?;
    let operation = match operation {
        "converse" => Operation::Converse,
        "converse-stream" => Operation::ConverseStream,
        _ => return None,
    };
    Some(Route { provider: Provider::Bedrock, operation, model: Some(decode(model)) })
}

fn anthropic(path: &str) -> Option<Route> {
    let operation = match path {
        _ if path.ends_with("/v1/messages") => Operation::Messages,
        _ if path.ends_with("/v1/messages/count_tokens") => Operation::CountMessages,
        _ => return None,
    };
    Some(Route { provider: Provider::Anthropic, operation, model: None })
}

fn openai(path: &str, model: Option<&str>) -> Option<Route> {
    let (_, operation) = OPENAI.into_iter().find(|(end, _)| path.ends_with(end))?;
    let deployment = path.strip_prefix("/openai/deployments/").and_then(|rest| rest.split_once('/'));
    let provider = match model {
        _ if path.starts_with("/openai/") => Provider::AzureOpenAi,
        _ if path.contains("/projects/") => Provider::Vertex,
        _ if path.contains("/v1beta/openai/") => Provider::Gemini,
        Some(model) if MISTRAL.iter().any(|name| model.starts_with(name)) => Provider::Mistral,
        _ => Provider::OpenAi,
    };
    Some(Route { provider, operation, model: deployment.map(|(name, _)| decode(name)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(Provider, Operation, Option<String>)> {
        let route = route(&Method::POST, path, None)?;
        Some((route.provider, route.operation, route.model))
    }

    #[test]
    fn paths_name_providers() {
        let named = |model: &str| Some(model.to_owned());
        assert_eq!(of("/v1/chat/completions"), Some((Provider::OpenAi, Operation::Chat, None)));
        let azure = "/openai/deployments/d1/chat/completions";
        assert_eq!(of(azure), Some((Provider::AzureOpenAi, Operation::Chat, named("d1"))));
        assert_eq!(of("/v1/messages"), Some((Provider::Anthropic, Operation::Messages, None)));
        let gemini = "/v1beta/models/gemini-3-flash:streamGenerateContent";
        assert_eq!(of(gemini), Some((Provider::Gemini, Operation::StreamGenerate, named("gemini-3-flash"))));
        let vertex = "/v1/projects/p/locations/l/publishers/google/models/g:generateContent";
        assert_eq!(of(vertex), Some((Provider::Vertex, Operation::Generate, named("g"))));
        let bedrock = "/model/anthropic.claude-v2%3A0/converse-stream";
        let model = named("anthropic.claude-v2:0");
        assert_eq!(of(bedrock), Some((Provider::Bedrock, Operation::ConverseStream, model)));
        assert_eq!(of("/v1/models"), None);
        assert_eq!(of("/nowhere"), None);
        let mistral = route(&Method::POST, "/v1/chat/completions", Some("mistral-large-latest"));
        assert_eq!(mistral.map(|route| route.provider), Some(Provider::Mistral));
    }
}
