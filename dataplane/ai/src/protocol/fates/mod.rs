//! What becomes of each field of a request, per provider protocol.
//!
//! The tables are what `docs/ai-translation.md` is made from. A test holds every line against what
//! the translation does with its sample.

mod anthropic;
mod gemini;
mod openai_chat;
mod openai_responses;

use super::ClientProtocol;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches the provider as this field (or as content of this type).
    Carried(&'static str),
    /// It is left out and reported; strict mode refuses the request.
    Lost,
    /// It is left out and reported; the answer is the same without it.
    Harmless,
    /// The request is refused in any mode.
    Refused,
}

/// A field of a client's protocol and its fates.
#[derive(Debug, Clone, Copy)]
pub struct FieldFate {
    /// The path of the field, with a remark behind a space where one field has several fates.
    pub field: &'static str,
    /// Fields of a request that hold it.
    pub sample: &'static str,
    /// Text of the sample that is found in what the provider gets, if the field is carried.
    pub witness: &'static str,
    /// The fates, in the order of [`super::ProviderProtocol::ALL`].
    pub fates: [Fate; 4],
}

/// The fields of a client's protocol.
pub fn fates(client: ClientProtocol) -> &'static [FieldFate] {
    match client {
        ClientProtocol::OpenAiChat => openai_chat::FATES,
        ClientProtocol::OpenAiResponses => openai_responses::FATES,
        ClientProtocol::AnthropicMessages => anthropic::FATES,
        ClientProtocol::Gemini => gemini::FATES,
    }
}

const fn row(
    field: &'static str,
    sample: &'static str,
    witness: &'static str,
    fates: [Fate; 4],
) -> FieldFate {
    FieldFate { field, sample, witness, fates }
}
