//! A client that speaks another protocol than the provider: which one it speaks, and what becomes of its request and of
//! the answer.

use ai_config::{Provider, Schema};

use super::{Exchange, Refusal};
use crate::json::Object;
use crate::operation::Operation;
use crate::protocol::{
    ClientProtocol, ProviderProtocol, RequestContext, RequestOptions, ResponseTranslator, translate_request,
};
use crate::usage::Usage;

/// The protocol of a client, as far as the head of its request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The provider's own, or one that passes as it is.
    Native,
    /// This one, which is not the provider's.
    Foreign(ClientProtocol),
    /// The path does not say; the body decides.
    Unknown,
}

/// A translation under way.
#[derive(Debug)]
pub(super) struct Translation {
    pub client: ClientProtocol,
    context: RequestContext,
    answer: Option<ResponseTranslator>,
    /// Fields of the request that the provider has no place for.
    pub lost: Vec<String>,
}

/// The protocol that a schema is the provider's side of.
pub(super) fn provider_protocol(schema: Schema) -> ProviderProtocol {
    match schema {
        Schema::OpenAi => ProviderProtocol::OpenAiChat,
        Schema::Anthropic => ProviderProtocol::AnthropicMessages,
        Schema::Gemini => ProviderProtocol::Gemini,
        Schema::Bedrock => ProviderProtocol::BedrockConverse,
    }
}

/// What the head of a request tells about the client's protocol. `forces` is whether the route asks for translation also
/// where a provider might know the protocol itself.
pub(super) fn spoken(operation: &Operation, provider: &Provider, schema: Schema, forces: bool) -> Spoken {
    let foreign_unless = |is_native: bool, client| match is_native {
        true => Spoken::Native,
        false => Spoken::Foreign(client),
    };
    match operation {
        Operation::Unnamed => Spoken::Unknown,
        Operation::ChatCompletions => foreign_unless(schema == Schema::OpenAi, ClientProtocol::OpenAiChat),
        Operation::Responses => {
            let knows = matches!(provider, Provider::OpenAi | Provider::AzureOpenAi { .. }) && !forces;
            foreign_unless(knows, ClientProtocol::OpenAiResponses)
        }
        Operation::Messages => foreign_unless(schema == Schema::Anthropic, ClientProtocol::AnthropicMessages),
        Operation::ModelMethod { .. } if operation.is_chat() => {
            foreign_unless(schema == Schema::Gemini, ClientProtocol::Gemini)
        }
        _ => Spoken::Native,
    }
}

/// The protocol of a body whose path does not say it; `None` if it is, or may be, the provider's own. `is_anthropic` is
/// whether the request has a header that only clients of Anthropic send.
fn recognize(object: &Object<'_>, schema: Schema, is_anthropic: bool) -> Option<ClientProtocol> {
    let has = |name: &str| object.get(name).is_some();
    if has("contents") {
        return (schema != Schema::Gemini).then_some(ClientProtocol::Gemini);
    }
    if !has("messages") {
        // OpenAI's and Azure's own Responses come by a path that says so.
        return has("input").then_some(ClientProtocol::OpenAiResponses);
    }
    // Converse has blocks without a type, and its system prompt is a list of them.
    let is_claude = is_anthropic || (has("system") && schema != Schema::Bedrock) || has("anthropic_version");
    match schema {
        Schema::OpenAi => is_claude.then_some(ClientProtocol::AnthropicMessages),
        // Anthropic requires the limit, OpenAI does not.
        Schema::Anthropic => (!is_claude && !has("max_tokens")).then_some(ClientProtocol::OpenAiChat),
        Schema::Gemini if is_claude => Some(ClientProtocol::AnthropicMessages),
        Schema::Gemini => Some(ClientProtocol::OpenAiChat),
        Schema::Bedrock if has("model") && is_claude => Some(ClientProtocol::AnthropicMessages),
        // Converse has the model in the path.
        Schema::Bedrock => has("model").then_some(ClientProtocol::OpenAiChat),
    }
}

impl Exchange {
    /// Translates the request if the client's protocol is another than the provider's; gives the body in the
    /// provider's.
    pub(super) fn translate(&mut self, body: &[u8], object: &Object<'_>) -> Result<Option<Vec<u8>>, Refusal> {
        let schema = self.facts.schema;
        let client = match self.spoken {
            Spoken::Native => None,
            Spoken::Foreign(client) => Some(client),
            Spoken::Unknown => recognize(object, schema, self.is_anthropic),
        };
        let Some(client) = client else { return Ok(None) };
        let asks_for_stream = match &self.operation {
            Operation::ModelMethod { method, .. } => Some(method == "streamGenerateContent"),
            // A Gemini body does not say it.
            _ if client == ClientProtocol::Gemini => Some(self.streaming),
            _ => None,
        };
        let has_sse = self.query.split('&').any(|param| param == "alt=sse");
        let options = RequestOptions {
            model: self.cluster.model.as_deref().or(self.deployment()),
            path_model: self.model.as_deref(),
            path_stream: asks_for_stream,
            json_array: client == ClientProtocol::Gemini && !has_sse,
            strict: self.policy.translation.is_some_and(|translation| translation.strict),
            ..RequestOptions::default()
        };
        let is_settled = options.model.is_some() || self.alias.is_some();
        let translated = translate_request(client, provider_protocol(schema), body, &options)
            .map_err(|error| Refusal::of_client(&error, client))?;
        self.model = is_settled.then(|| translated.model.clone());
        self.name_model(translated.model);
        self.streaming = translated.stream;
        // The query is the client's protocol's, too.
        self.query = String::new();
        self.operation = Operation::Unnamed;
        let mut context = translated.context;
        context.created = self.now;
        let lost = translated.lost.into_iter().filter(|field| !field.harmless).map(|field| field.path);
        self.translation = Some(Translation { client, context, answer: None, lost: lost.collect() });
        Ok(Some(translated.body))
    }

    /// Azure's deployment stands for the model.
    fn deployment(&self) -> Option<&str> {
        match &self.cluster.provider {
            Provider::AzureOpenAi { deployment, .. } => Some(deployment),
            _ => None,
        }
    }
}

impl Translation {
    /// The answer begins: its content type for the client.
    pub(super) fn begin(&mut self, schema: Schema, status: u16, content_type: &str) -> &'static str {
        let provider = provider_protocol(schema);
        let answer =
            ResponseTranslator::new(self.client, provider, self.context.clone(), status, content_type);
        let content_type = answer.content_type();
        self.answer = Some(answer);
        content_type
    }

    pub(super) fn piece(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(answer) = &mut self.answer {
            answer.push(piece, &mut out);
        }
        out
    }

    pub(super) fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(answer) = &mut self.answer {
            answer.finish(&mut out);
        }
        out
    }

    pub(super) fn is_stream(&self) -> bool {
        self.answer.as_ref().is_some_and(ResponseTranslator::is_stream)
    }

    /// The events of a stream since the provider has told how many tokens there were.
    pub(super) fn untold_events(&self) -> u64 {
        self.answer.as_ref().map_or(0, ResponseTranslator::untold_events)
    }

    pub(super) fn model(&self) -> Option<String> {
        self.answer.as_ref()?.model().map(str::to_owned)
    }

    pub(super) fn finish_reasons(&self) -> Vec<&'static str> {
        self.answer.as_ref().map_or_else(Vec::new, |answer| answer.finish_reasons().to_vec())
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.answer.as_ref()?.usage()?;
        Some(Usage {
            prompt: Some(usage.input),
            completion: Some(usage.output),
            total: None,
            cached: usage.cache_read,
            cache_creation: usage.cache_write,
            reasoning: usage.reasoning,
            billing: usage.billing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_recognized_where_they_cannot_be_the_providers() {
        use ClientProtocol::{AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses};
        let gemini = r#"{"contents":[]}"#;
        let chat = r#"{"model":"m","messages":[]}"#;
        let limited = r#"{"model":"m","messages":[],"max_tokens":1}"#;
        let claude = r#"{"model":"m","messages":[],"max_tokens":1,"system":"s"}"#;
        let converse = r#"{"messages":[],"system":[{"text":"s"}]}"#;
        let rows = [
            (gemini, [Some(Gemini), Some(Gemini), None, Some(Gemini)]),
            (chat, [None, Some(OpenAiChat), Some(OpenAiChat), Some(OpenAiChat)]),
            (limited, [None, None, Some(OpenAiChat), Some(OpenAiChat)]),
            (claude, [Some(AnthropicMessages), None, Some(AnthropicMessages), Some(OpenAiChat)]),
            (converse, [Some(AnthropicMessages), None, Some(AnthropicMessages), None]),
            (r#"{"input":"x"}"#, [Some(OpenAiResponses); 4]),
            ("{}", [None; 4]),
        ];
        for (body, expected) in rows {
            let object = Object::parse(body.as_bytes()).unwrap();
            let found = [Schema::OpenAi, Schema::Anthropic, Schema::Gemini, Schema::Bedrock]
                .map(|schema| recognize(&object, schema, false));
            assert_eq!(found, expected, "{body}");
        }
        let object = Object::parse(chat.as_bytes()).unwrap();
        assert_eq!(recognize(&object, Schema::Bedrock, true), Some(AnthropicMessages));
        assert_eq!(recognize(&object, Schema::Anthropic, true), None);
    }
}
