//! Where a signature of reasoning comes from.
//!
//! Only the provider that signed reasoning takes it back; others refuse the whole request. A client
//! holds signatures of several providers once a route has changed or failed over. So a signature that
//! is foreign to the client's protocol gets a prefix that names its origin, and a request keeps only
//! those of the provider it goes to.

use super::answer::{Answer, Delta, Event, Part};
use super::lost::Lost;
use super::model::{Block, BlockKind, Family, Request};
use super::{ClientProtocol, ProviderProtocol};

/// Prefixes of characters of base64, of a length that keeps base64 decodable: clients decode them.
const TAGS: [(Family, &str); 3] =
    [(Family::Anthropic, "AnthropicSig"), (Family::Gemini, "GeminiSigTag"), (Family::OpenAi, "OpenAiSigTag")];

const FOREIGN: &str = "it was signed by another provider, which alone takes it back";

fn family_of_provider(provider: ProviderProtocol) -> Family {
    match provider {
        ProviderProtocol::OpenAiChat => Family::OpenAi,
        // Claude's signatures are the same wherever it is served.
        ProviderProtocol::AnthropicMessages | ProviderProtocol::BedrockConverse => Family::Anthropic,
        ProviderProtocol::Gemini => Family::Gemini,
    }
}

fn family_of_client(client: ClientProtocol) -> Family {
    match client {
        ClientProtocol::OpenAiChat | ClientProtocol::OpenAiResponses => Family::OpenAi,
        ClientProtocol::AnthropicMessages => Family::Anthropic,
        ClientProtocol::Gemini => Family::Gemini,
    }
}

/// Takes the prefixes off a request's signatures and drops those of other providers.
pub(super) fn settle(
    request: &mut Request,
    client: ClientProtocol,
    provider: ProviderProtocol,
    lost: &mut Lost,
) {
    let own = family_of_client(client);
    let wanted = family_of_provider(provider);
    for message in &mut request.messages {
        message.blocks.retain_mut(|block| settle_block(block, own, wanted, lost));
    }
}

/// Returns whether there is anything left of the block.
fn settle_block(block: &mut Block, own: Family, wanted: Family, lost: &mut Lost) -> bool {
    match &mut block.kind {
        BlockKind::Reasoning { text, signature } => {
            let had = signature.is_some();
            *signature = signature.take().and_then(|signature| accept(signature, own, wanted));
            if had && signature.is_none() {
                lost.add_harmless(&block.path, FOREIGN);
                return !text.is_empty();
            }
            true
        }
        BlockKind::RedactedReasoning { data } => {
            let kept = accept(std::mem::take(data), own, wanted);
            if kept.is_none() {
                lost.add_harmless(&block.path, FOREIGN);
            }
            let is_kept = kept.is_some();
            *data = kept.unwrap_or_default();
            is_kept
        }
        BlockKind::Text { signature, .. } => {
            *signature = signature.take().and_then(|signature| accept(signature, own, wanted));
            true
        }
        BlockKind::ToolCall(call) => {
            // Signatures of calls are Gemini's, also where OpenAI's protocol carries them.
            let signature = call.signature.take();
            call.signature = signature.and_then(|signature| accept(signature, Family::Gemini, wanted));
            true
        }
        _ => true,
    }
}

fn accept(signature: String, own: Family, wanted: Family) -> Option<String> {
    let tagged = TAGS.iter().find_map(|(family, tag)| Some((*family, signature.strip_prefix(tag)?)));
    let (family, bare) = tagged.unwrap_or((own, signature.as_str()));
    (family == wanted && !bare.is_empty()).then(|| bare.to_owned())
}

/// Puts the prefix before a provider's signatures where the client's protocol is another's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tagger {
    tag: Option<&'static str>,
}

impl Tagger {
    pub(super) fn new(client: ClientProtocol, provider: ProviderProtocol) -> Self {
        let family = family_of_provider(provider);
        let tag = TAGS.iter().find(|(other, _)| *other == family).map(|(_, tag)| *tag);
        Self { tag: tag.filter(|_| family != family_of_client(client)) }
    }

    fn tag(self, signature: &mut String) {
        if let Some(tag) = self.tag {
            signature.insert_str(0, tag);
        }
    }

    pub(super) fn event(self, event: &mut Event) {
        let Event::Part { delta, .. } = event else { return };
        match delta {
            Delta::Signature(signature)
            | Delta::TextSignature(signature)
            | Delta::RedactedReasoning(signature)
            | Delta::ToolCall { signature: Some(signature), .. } => self.tag(signature),
            _ => (),
        }
    }

    pub(super) fn answer(self, answer: &mut Answer) {
        for part in answer.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            match part {
                Part::Text { signature: Some(signature), .. }
                | Part::Reasoning { signature: Some(signature), .. }
                | Part::ToolCall { signature: Some(signature), .. }
                | Part::RedactedReasoning { data: signature } => self.tag(signature),
                _ => (),
            }
        }
    }
}
