//! Translation between the protocols of LLM clients and those of LLM providers.
//!
//! Every protocol has one reader and one writer, and a canonical model stands between them; there is
//! no code for a pair of protocols. A request field that the provider's protocol does not carry is
//! named in [`TranslatedRequest::lost`], never dropped silently.

mod answer;
mod anthropic;
mod bedrock;
mod endpoint;
mod error;
mod gemini;
mod ids;
mod json;
mod lenient;
mod lost;
mod missing;
mod model;
mod openai;
mod openai_chat;
mod openai_responses;
mod provider_error;
mod reasoning;
mod request;
mod signature;
mod translator;

pub use answer::Usage;
pub use endpoint::finish_reason;
pub use error::{ErrorKind, RequestError, error_body};
pub use lost::LostField;
pub use request::{RequestContext, RequestOptions, TranslatedRequest, translate_request};
pub use translator::ResponseTranslator;

use lost::Lost;
use model::{Family, Request};

/// Answers with more choices are told why the first ones have ended.
pub(crate) const MAX_FINISH_REASONS: usize = 16;

/// The protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientProtocol {
    /// OpenAI chat completions.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Gemini generateContent and streamGenerateContent.
    Gemini,
}

impl ClientProtocol {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OpenAiChat, Self::OpenAiResponses, Self::AnthropicMessages, Self::Gemini];
}

/// The protocol a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderProtocol {
    /// OpenAI chat completions, of OpenAI or any host that imitates it.
    OpenAiChat,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Gemini generateContent and streamGenerateContent, of the Gemini API or Vertex.
    Gemini,
    /// Bedrock Converse and ConverseStream.
    BedrockConverse,
}

impl ProviderProtocol {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OpenAiChat, Self::AnthropicMessages, Self::Gemini, Self::BedrockConverse];
}

/// Refuses more than one answer for a provider that gives one only.
fn refuse_count(request: &Request, provider: &str) -> Result<(), RequestError> {
    match &request.count {
        Some(count) if count.value != 1 => {
            Err(RequestError::refused(&count.path, format!("{provider} gives one answer per request")))
        }
        _ => Ok(()),
    }
}

/// Writes the fields that only one family of protocols knows, and reports those of others.
fn write_extras(request: &Request, family: Family, body: &mut json::Map, lost: &mut Lost) {
    for extra in &request.extras {
        if extra.family == family {
            body.set(extra.name.clone(), &extra.value);
        } else if !(family == Family::Gemini && extra.family == Family::GeminiGeneration) {
            lose_extra(extra, family.name(), lost);
        }
    }
}

/// Reports all fields that only one family of protocols knows.
fn write_no_extras(request: &Request, provider: &str, lost: &mut Lost) {
    for extra in &request.extras {
        lose_extra(extra, provider, lost);
    }
}

fn lose_extra(extra: &model::Extra, provider: &str, lost: &mut Lost) {
    let reason = format!("{provider} has no such field");
    if extra.harmless {
        lost.add_harmless(&extra.path, reason);
    } else {
        lost.add(&extra.path, reason);
    }
}

/// What is said in place of output that a client's protocol has no place for.
fn media_note(mime: &str) -> String {
    format!("[The model also produced content of type {mime}, which this protocol does not carry.]")
}
