//! The readers of all providers and the writers of all clients behind one face each.

use super::answer::{Answer, Event};
use super::error::ApiError;
use super::json::Map;
use super::{ClientProtocol, ProviderProtocol, RequestContext};
use super::{anthropic, bedrock, gemini, openai_chat, openai_responses};

/// Reads a whole answer of a provider.
pub(super) fn read_answer(
    provider: ProviderProtocol,
    body: &[u8],
    context: &RequestContext,
) -> Result<Answer, ApiError> {
    let body =
        std::str::from_utf8(body).map_err(|_| ApiError::upstream("the provider's answer is not UTF-8"))?;
    match provider {
        ProviderProtocol::OpenAiChat => openai_chat::response_reader::read(body, &context.id_seed),
        ProviderProtocol::AnthropicMessages => anthropic::response_reader::read(body),
        ProviderProtocol::Gemini => gemini::response_reader::read(body, &context.id_seed),
        ProviderProtocol::BedrockConverse => bedrock::response_reader::read(body),
    }
}

/// Why a provider says that an answer has ended, in words that are the same for all: those of OpenAI's chat completions
/// (`stop`, `length`, `tool_calls`, `content_filter`), or `error` where the answer is of no use. The call of a tool is not
/// told from other ends by Gemini.
pub fn finish_reason(provider: ProviderProtocol, word: &str) -> &'static str {
    let reason = match provider {
        ProviderProtocol::OpenAiChat => openai_chat::response_reader::stop_reason(word, false),
        ProviderProtocol::AnthropicMessages => anthropic::response_reader::stop_reason(word, None),
        ProviderProtocol::Gemini => gemini::response_reader::stop_reason(word, false),
        ProviderProtocol::BedrockConverse => bedrock::response_reader::stop_reason(word),
    };
    reason.name()
}

/// Writes a whole answer for a client.
pub(super) fn write_answer(
    client: ClientProtocol,
    answer: Answer,
    context: &RequestContext,
) -> Result<Map, ApiError> {
    match client {
        ClientProtocol::OpenAiChat => Ok(openai_chat::response_writer::write(answer, context)),
        ClientProtocol::OpenAiResponses => {
            openai_responses::response_writer::write(answer.with_signatures_as_reasoning(), context)
        }
        ClientProtocol::AnthropicMessages => {
            anthropic::response_writer::write(answer.with_signatures_as_reasoning(), context)
        }
        ClientProtocol::Gemini => gemini::response_writer::write(&answer, context),
    }
}

/// Reads a stream of a provider.
#[derive(Debug)]
pub(super) enum StreamReader {
    OpenAiChat(openai_chat::response_reader::StreamReader),
    Anthropic(anthropic::response_reader::StreamReader),
    Gemini(gemini::response_reader::StreamReader),
    Bedrock(bedrock::response_reader::StreamReader),
}

impl StreamReader {
    pub(super) fn new(provider: ProviderProtocol, context: &RequestContext) -> Self {
        let seed = &context.id_seed;
        match provider {
            ProviderProtocol::OpenAiChat => {
                Self::OpenAiChat(openai_chat::response_reader::StreamReader::new(seed))
            }
            ProviderProtocol::AnthropicMessages => Self::Anthropic(Default::default()),
            ProviderProtocol::Gemini => Self::Gemini(gemini::response_reader::StreamReader::new(seed)),
            ProviderProtocol::BedrockConverse => Self::Bedrock(Default::default()),
        }
    }

    /// Reads one event; only Bedrock's are told apart by name.
    pub(super) fn event(&mut self, name: &str, data: &str, out: &mut Vec<Event>) {
        match self {
            Self::OpenAiChat(reader) => reader.event(data, out),
            Self::Anthropic(reader) => reader.event(data, out),
            Self::Gemini(reader) => reader.event(data, out),
            Self::Bedrock(reader) => reader.event(name, data, out),
        }
    }

    /// The end of the stream: either the answer is whole or this is an error.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::OpenAiChat(reader) => reader.end(out),
            Self::Anthropic(reader) => reader.end(out),
            Self::Gemini(reader) => reader.end(out),
            Self::Bedrock(reader) => reader.end(out),
        }
    }
}

/// Writes a stream for a client.
#[derive(Debug)]
pub(super) enum StreamWriter {
    OpenAiChat(openai_chat::response_writer::StreamWriter),
    OpenAiResponses(openai_responses::stream_writer::StreamWriter),
    Anthropic(anthropic::response_writer::StreamWriter),
    Gemini(gemini::response_writer::StreamWriter),
}

impl StreamWriter {
    pub(super) fn new(client: ClientProtocol, context: &RequestContext) -> Self {
        match client {
            ClientProtocol::OpenAiChat => {
                Self::OpenAiChat(openai_chat::response_writer::StreamWriter::new(context))
            }
            ClientProtocol::OpenAiResponses => {
                Self::OpenAiResponses(openai_responses::stream_writer::StreamWriter::new(context))
            }
            ClientProtocol::AnthropicMessages => {
                Self::Anthropic(anthropic::response_writer::StreamWriter::new(context))
            }
            ClientProtocol::Gemini => Self::Gemini(gemini::response_writer::StreamWriter::new(context)),
        }
    }

    pub(super) fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), ApiError> {
        match self {
            Self::OpenAiChat(writer) => writer.event(event, out),
            Self::OpenAiResponses(writer) => writer.event(event, out),
            Self::Anthropic(writer) => writer.event(event, out),
            Self::Gemini(writer) => return writer.event(event, out),
        }
        Ok(())
    }
}
