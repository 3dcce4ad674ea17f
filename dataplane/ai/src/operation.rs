//! What a client asks for, read from the path of its request.

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A chat. The path does not name an operation of any provider, so that it is the provider's own.
    Unnamed,
    /// OpenAI's `/v1/chat/completions`.
    ChatCompletions,
    /// OpenAI's `/v1/responses`.
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// A method of a model of Gemini or Vertex AI, such as `models/M:generateContent`.
    ModelMethod {
        /// The model.
        model: String,
        /// The method, without `:`.
        method: String,
    },
    /// A method of a model of Bedrock, such as `/model/M/converse`.
    BedrockModel {
        /// The model, percent-encoded as it came.
        model: String,
        /// The method.
        method: String,
    },
    /// Another operation of an API that is the provider's own business, such as `/v1/embeddings`: the path from its
    /// version on.
    Other(String),
}

impl Operation {
    /// The operation that a path names; the query does not count.
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        if let Some(method) = model_method(path) {
            return method;
        }
        if let Some(method) = bedrock_method(path) {
            return method;
        }
        let Some(api) = versioned(path) else { return Self::Unnamed };
        let name = api.trim_start_matches('/').split_once('/').map_or("", |(_, name)| name);
        match name.trim_end_matches('/') {
            "chat/completions" => Self::ChatCompletions,
            "responses" => Self::Responses,
            "messages" => Self::Messages,
            name if is_known(name) => Self::Other(api.to_owned()),
            _ => Self::Unnamed,
        }
    }

    /// Its name in OpenTelemetry's conventions for generative AI (`gen_ai.operation.name`). One of a few: it is a label of
    /// metrics.
    pub fn otel_name(&self) -> &'static str {
        match self {
            Self::Unnamed | Self::ChatCompletions | Self::Responses | Self::Messages => "chat",
            Self::ModelMethod { method, .. } if method.ends_with("enerateContent") => "generate_content",
            Self::ModelMethod { method, .. } if method.to_ascii_lowercase().contains("embed") => "embeddings",
            Self::BedrockModel { .. } if self.is_chat() => "chat",
            Self::Other(path) if path.contains("/embeddings") => "embeddings",
            Self::Other(path) if path.contains("/completions") => "text_completion",
            Self::ModelMethod { .. } | Self::BedrockModel { .. } | Self::Other(_) => "other",
        }
    }

    /// Whether the answer is text that a model writes, which is counted in tokens.
    pub fn writes_text(&self) -> bool {
        self.is_chat() || self.otel_name() == "text_completion"
    }

    /// Whether a model does something, which is billed. Files, lists of models and counts of tokens are not.
    pub fn asks_model(&self) -> bool {
        match self {
            Self::Other(path) => path.split('/').nth(2).is_some_and(|first| BILLED.contains(&first)),
            Self::ModelMethod { method, .. } => method != "countTokens",
            Self::BedrockModel { method, .. } => method != "count-tokens",
            _ => self.is_chat(),
        }
    }

    /// Whether it asks a model for text, so that a route's policies are about it and a full path replaces its own.
    pub fn is_chat(&self) -> bool {
        match self {
            Self::Unnamed | Self::ChatCompletions | Self::Responses | Self::Messages => true,
            Self::ModelMethod { method, .. } => {
                method == "generateContent" || method == "streamGenerateContent"
            }
            Self::BedrockModel { method, .. } => method == "converse" || method == "converse-stream",
            Self::Other(_) => false,
        }
    }
}

/// Those of [`KNOWN`] behind which a model does something that is billed.
const BILLED: [&str; 8] = ["audio", "completions", "embeddings", "fim", "images", "ocr", "rerank", "videos"];

/// First elements behind the version in paths of OpenAI's, Anthropic's and Mistral's APIs that a gateway passes on as
/// they are.
const KNOWN: [&str; 22] = [
    "audio",
    "batches",
    "chat",
    "completions",
    "containers",
    "conversations",
    "embeddings",
    "evals",
    "files",
    "fim",
    "fine_tuning",
    "images",
    "messages",
    "models",
    "moderations",
    "ocr",
    "realtime",
    "rerank",
    "responses",
    "uploads",
    "vector_stores",
    "videos",
];

fn is_known(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| KNOWN.contains(&first))
}

/// The path from its last element that is a version (`v1`, `v1beta`) on.
fn versioned(path: &str) -> Option<&str> {
    let is_version = |element: &str| {
        element.strip_prefix('v').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    let mut end = path.len();
    while let Some(start) = path.get(..end)?.rfind('/') {
        if is_version(path.get(start + 1..end)?) {
            return path.get(start..);
        }
        end = start;
    }
    None
}

/// `…/models/MODEL:METHOD`; the model may hold `/` (`publishers/…` of Vertex stands before `models`).
fn model_method(path: &str) -> Option<Operation> {
    let (before, method) = path.rsplit_once(':')?;
    let start = before.rfind("/models/")? + "/models/".len();
    let model = before.get(start..)?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_method && !model.is_empty())
        .then(|| Operation::ModelMethod { model: model.to_owned(), method: method.to_owned() })
}

/// `/model/MODEL/METHOD`.
fn bedrock_method(path: &str) -> Option<Operation> {
    let start = path.rfind("/model/")? + "/model/".len();
    let (model, method) = path.get(start..)?.split_once('/')?;
    let known = ["converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"];
    (!model.is_empty() && known.contains(&method))
        .then(|| Operation::BedrockModel { model: model.to_owned(), method: method.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_names_of_the_conventions() {
        for (path, expected) in [
            ("/gemini", "chat"),
            ("/v1/responses", "chat"),
            ("/v1beta/models/m:streamGenerateContent", "generate_content"),
            ("/v1beta/models/m:batchEmbedContents", "embeddings"),
            ("/v1beta/models/m:countTokens", "other"),
            ("/model/m/converse-stream", "chat"),
            ("/model/m/invoke", "other"),
            ("/v1/embeddings", "embeddings"),
            ("/v1/completions", "text_completion"),
            ("/v1/files", "other"),
        ] {
            assert_eq!(Operation::of(path).otel_name(), expected, "{path}");
        }
    }

    #[test]
    fn what_a_model_does_is_billed_and_nothing_else() {
        for (path, expected) in [
            ("/v1/chat/completions", true),
            ("/gemini", true),
            ("/openai/v1/audio/speech", true),
            ("/v1/embeddings", true),
            ("/v1beta/models/m:predict", true),
            ("/model/m/invoke", true),
            ("/v1/files", false),
            ("/v1/models/audio", false),
            ("/v1/messages/count_tokens", false),
            ("/v1/messages/batches", false),
            ("/v1beta/models/m:countTokens", false),
        ] {
            assert_eq!(Operation::of(path).asks_model(), expected, "{path}");
        }
    }

    #[test]
    fn paths_name_operations_wherever_the_route_is() {
        let other = |path: &str| Operation::Other(path.to_owned());
        let method =
            |model: &str, method: &str| Operation::ModelMethod { model: model.into(), method: method.into() };
        let bedrock = |model: &str, method: &str| Operation::BedrockModel {
            model: model.into(),
            method: method.into(),
        };
        for (path, expected) in [
            ("/gemini", Operation::Unnamed),
            ("/", Operation::Unnamed),
            ("/v1/chat/completions", Operation::ChatCompletions),
            ("/openai/v1/chat/completions/?x=/v1/models", Operation::ChatCompletions),
            ("/v1/chat", other("/v1/chat")),
            ("/a/v2/b/v1/responses", Operation::Responses),
            ("/v1/responses/resp_1/cancel", other("/v1/responses/resp_1/cancel")),
            ("/anthropic/v1/messages", Operation::Messages),
            ("/v1/messages/count_tokens", other("/v1/messages/count_tokens")),
            ("/openai/v1/models/gpt-4", other("/v1/models/gpt-4")),
            ("/v1/embeddings", other("/v1/embeddings")),
            ("/v1/something", Operation::Unnamed),
            ("/version/models", Operation::Unnamed),
            ("/v1beta/models/gemini-2:generateContent", method("gemini-2", "generateContent")),
            ("/g/v1beta/models/a/b:streamGenerateContent?alt=sse", method("a/b", "streamGenerateContent")),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m@1:countTokens",
                method("m@1", "countTokens"),
            ),
            ("/v1beta/models/m:", other("/v1beta/models/m:")),
            (
                "/br/model/us.anthropic.claude%3A0/converse-stream",
                bedrock("us.anthropic.claude%3A0", "converse-stream"),
            ),
            ("/model/m/other", Operation::Unnamed),
        ] {
            // A list of models is another operation, whose name `models` stands behind a version.
            assert_eq!(Operation::of(path), expected, "{path}");
        }
    }
}
