//! What passes back to the client, and what it tells about the usage.

use std::borrow::Cow;

use ai_config::Schema;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::events::{is_without_finish, is_without_usage};
use super::redaction::Redaction;
use super::translation::provider_protocol;
use super::{Exchange, refusal};
use crate::framing::event_stream::EventStreamDecoder;
use crate::framing::media_type;
use crate::framing::raw_sse::{RawEvents, RawPart, data};
use crate::json::Capture;
use crate::prices::ServiceTier;
use crate::protocol::{MAX_FINISH_REASONS, finish_reason};
use crate::usage::{Usage, told_tier};

/// What becomes of the answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It passes as it is.
    AsItIs,
    /// It may be changed, so that its length is not known beforehand.
    Changed,
    /// It is held back, and something else is sent in its place.
    Replaced,
    /// Something else of this content type is sent in its place, as it comes.
    Translated(&'static str),
}

/// What is known of the answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    reader: Option<Reader>,
    is_stream: bool,
    usage: Option<Usage>,
    /// The tier of service, where it is told beside the usage.
    tier: Option<ServiceTier>,
    model: Option<String>,
    /// The provider's words for why choices have ended.
    finishes: Vec<String>,
    /// The status of an error whose body is not told.
    replaced: Option<u16>,
}

/// Reads an answer as it passes.
#[derive(Debug)]
enum Reader {
    Json(Json),
    Events(RawEvents),
    Aws(EventStreamDecoder),
}

/// What is kept of an answer that is no stream.
#[derive(Debug)]
struct Json {
    top: Capture,
    /// Of the members of `choices` (OpenAI) or `candidates` (Gemini).
    choices: Capture,
}

impl Json {
    fn new() -> Self {
        let top = Capture::new(&[
            "usage",
            "usageMetadata",
            "model",
            "modelVersion",
            "stop_reason",
            "stopReason",
            "service_tier",
            "serviceTier",
        ]);
        Self { top, choices: Capture::nested(2, &["finish_reason", "finishReason"]) }
    }

    fn push(&mut self, piece: &[u8]) {
        self.top.push(piece);
        self.choices.push(piece);
    }

    /// The provider's words for why choices have ended.
    fn finishes(&self) -> impl Iterator<Item = String> {
        let top = ["stop_reason", "stopReason"].into_iter().filter_map(|name| self.top.get(name));
        top.chain(self.choices.all()).filter_map(|word| serde_json::from_slice::<String>(word).ok())
    }
}

impl Answer {
    pub(super) fn model(&self) -> Option<String> {
        let text = |json: &[u8]| serde_json::from_slice::<String>(json).ok();
        let captured = match &self.reader {
            Some(Reader::Json(Json { top, .. })) => {
                top.get("model").or_else(|| top.get("modelVersion")).and_then(text)
            }
            _ => None,
        };
        captured.or_else(|| self.model.clone())
    }

    pub(super) fn is_stream(&self) -> bool {
        self.is_stream
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let (usage, tier) = match &self.reader {
            Some(Reader::Json(Json { top, .. })) => {
                let tier = ["service_tier", "serviceTier"].into_iter().find_map(|name| top.get(name));
                let usage = top.get("usage").or_else(|| top.get("usageMetadata")).and_then(Usage::read);
                (
                    usage,
                    tier.and_then(|tier| told_tier(&mut serde_json::Deserializer::from_slice(tier)).ok()?),
                )
            }
            _ => (self.usage, self.tier),
        };
        usage.map(|usage| usage.in_tier(tier))
    }

    /// Why choices have ended, as far as is known.
    pub(super) fn finish_reasons(&self, schema: Schema) -> Vec<&'static str> {
        let name = |word: &str| finish_reason(provider_protocol(schema), word);
        match &self.reader {
            Some(Reader::Json(json)) => json.finishes().map(|word| name(&word)).collect(),
            _ => self.finishes.iter().map(|word| name(word)).collect(),
        }
    }

    fn note_finishes(&mut self, part: &StreamPart<'_>) {
        let room = MAX_FINISH_REASONS.saturating_sub(self.finishes.len());
        self.finishes.extend(part.finishes().into_iter().take(room));
    }

    fn note(&mut self, usage: Option<Usage>, model: Option<Cow<'_, str>>) {
        if let Some(usage) = usage {
            self.usage.get_or_insert_default().update(usage);
        }
        if self.model.is_none() {
            self.model = model.filter(|model| !model.is_empty()).map(Cow::into_owned);
        }
    }
}

/// The parts of an event that tell about usage and model, of any provider.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamPart<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "modelVersion")]
    model_version: Option<Cow<'a, str>>,
    /// OpenAI chat: empty in the event that tells the usage.
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    /// Anthropic, `message_start`.
    #[serde(borrow)]
    message: Option<Inner<'a>>,
    /// OpenAI Responses.
    #[serde(borrow)]
    response: Option<Inner<'a>>,
    /// Gemini.
    #[serde(borrow)]
    candidates: Option<&'a RawValue>,
    /// Anthropic, `message_delta`; of OpenAI Responses a text.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    /// Bedrock, `messageStop`.
    #[serde(borrow, rename = "stopReason")]
    stop_reason: Option<Cow<'a, str>>,
    /// OpenAI chat.
    #[serde(deserialize_with = "told_tier")]
    service_tier: Option<ServiceTier>,
    /// Bedrock, `metadata`.
    #[serde(rename = "serviceTier", deserialize_with = "told_tier")]
    bedrock_tier: Option<ServiceTier>,
}

/// Where it is told why a choice has ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Finish {
    #[serde(alias = "finishReason", alias = "stop_reason")]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "told_tier")]
    service_tier: Option<ServiceTier>,
}

impl StreamPart<'_> {
    /// The provider's words for why choices have ended.
    fn finishes(&self) -> Vec<String> {
        fn read<'a, T: Deserialize<'a> + Default>(json: Option<&'a RawValue>) -> T {
            json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
        }
        let mut found: Vec<Finish> = read(self.choices);
        found.append(&mut read(self.candidates));
        found.push(read(self.delta));
        let words = found.into_iter().filter_map(|finish| finish.finish_reason);
        words.chain(self.stop_reason.as_deref().map(str::to_owned)).collect()
    }

    /// Whether it is the event that OpenAI adds for those who ask for the usage.
    fn is_usage_alone(&self) -> bool {
        let has_no_choice = self.choices.is_some_and(|choices| {
            choices.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]")
        });
        has_no_choice && self.usage.is_some_and(|usage| usage.get() != "null")
    }
}

impl Exchange {
    /// The answer that is about to begin is an error: these credentials are taken out of its body.
    pub fn redact<'a>(&mut self, credentials: impl IntoIterator<Item = &'a [u8]>) {
        self.redaction = Redaction::new(credentials);
    }

    /// The answer begins: what becomes of its body.
    pub fn answer_begins(&mut self, status: u16, content_type: &str, is_encoded: bool) -> Passage {
        self.untold.begin(status);
        let passage = self.provider_begins(status, content_type, is_encoded);
        self.begin_guarding(passage, content_type, is_encoded)
    }

    /// A piece of the answer's body: what is sent in its place, `None` if it is sent as it is.
    pub fn answer_piece(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let instead = self.provider_piece(piece);
        self.shadow_piece(instead.as_deref().unwrap_or(piece));
        if self.asks_about_answer() {
            return Some(self.hold_piece(instead.as_deref().unwrap_or(piece), false));
        }
        if self.guarding.is_none() {
            return instead;
        }
        Some(self.guard_piece(instead.as_deref().unwrap_or(piece)))
    }

    /// The answer's body has ended: what is sent behind it.
    pub fn answer_ends(&mut self) -> Vec<u8> {
        let rest = self.provider_ends();
        self.shadow_ends(&rest);
        self.untold.end();
        if self.asks_about_answer() {
            return self.hold_piece(&rest, true);
        }
        if self.guarding.is_none() {
            return rest;
        }
        self.guard_end(&rest)
    }

    fn provider_begins(&mut self, status: u16, content_type: &str, is_encoded: bool) -> Passage {
        if let Some(translation) = &mut self.translation {
            return Passage::Translated(translation.begin(self.facts.schema, status, content_type));
        }
        // Providers have been seen to repeat parts of a key that they do not know.
        let is_refusal = matches!(status, 401 | 403) && self.cluster.passthrough.is_none();
        // A credential cannot be looked for in what is compressed.
        if is_refusal || (self.redaction.is_some() && is_encoded) {
            self.answer.replaced = Some(status);
            return Passage::Replaced;
        }
        if self.redaction.is_some() {
            return Passage::Changed;
        }
        let kind = media_type(content_type);
        self.answer.is_stream = kind == "text/event-stream"
            || kind == "application/vnd.amazon.eventstream"
            || (self.facts.schema == Schema::Gemini && self.streaming);
        // What is compressed although nobody asked for it is passed on unread.
        if !(200..300).contains(&status) || is_encoded {
            return Passage::AsItIs;
        }
        self.answer.reader = match kind.as_str() {
            "text/event-stream" => Some(Reader::Events(RawEvents::default())),
            "application/vnd.amazon.eventstream" => Some(Reader::Aws(EventStreamDecoder::new())),
            "application/json" => Some(Reader::Json(Json::new())),
            _ => None,
        };
        match (&self.answer.reader, self.hides_usage) {
            (Some(Reader::Events(_)), true) => Passage::Changed,
            _ => Passage::AsItIs,
        }
    }

    /// What is sent in place of a piece, but for guards.
    fn provider_piece(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        if self.answer.replaced.is_some() {
            return Some(Vec::new());
        }
        let redacted = self.redaction.as_mut().map(|redaction| redaction.piece(piece));
        if let Some(translation) = &mut self.translation {
            return Some(translation.piece(redacted.as_deref().unwrap_or(piece)));
        }
        if redacted.is_some() {
            return redacted;
        }
        let reader = self.answer.reader.take();
        let (reader, instead) = match reader {
            None => return None,
            Some(Reader::Json(mut json)) => {
                self.untold.piece(piece);
                json.push(piece);
                (Reader::Json(json), None)
            }
            Some(Reader::Aws(mut decoder)) => {
                let mut seen = Vec::new();
                let untold = &mut self.untold;
                let read = decoder.push(piece, |message| {
                    untold.event(message.kind() == "metadata");
                    if matches!(message.kind(), "metadata" | "messageStop") {
                        seen.push(message.payload.to_vec());
                    }
                });
                for payload in &seen {
                    self.look_at(payload);
                }
                // A stream that cannot be read is passed on all the same: the client says what is wrong with it.
                match read {
                    Ok(()) => (Reader::Aws(decoder), None),
                    Err(_) => return None,
                }
            }
            Some(Reader::Events(mut events)) => {
                let mut out = self.hides_usage.then(|| Vec::with_capacity(piece.len() + events.held()));
                events.push(piece, |part| {
                    let (bytes, is_hidden) = match part {
                        RawPart::Event(event) => (event, self.look_at_event(event)),
                        RawPart::Piece(piece) => (piece, false),
                    };
                    if let Some(out) = out.as_mut().filter(|_| !is_hidden) {
                        out.extend_from_slice(bytes);
                    }
                });
                (Reader::Events(events), out)
            }
        };
        self.answer.reader = Some(reader);
        instead
    }

    /// What is sent at the end, but for guards.
    fn provider_ends(&mut self) -> Vec<u8> {
        let redacted = self.redaction.as_mut().map(Redaction::rest).unwrap_or_default();
        if let Some(translation) = &mut self.translation {
            let mut out = translation.piece(&redacted);
            out.append(&mut translation.end());
            return out;
        }
        if let Some(status) = self.answer.replaced {
            let message = match status {
                401 | 403 => "the provider refused the credential of the gateway",
                _ => "the provider answered with an error that the gateway cannot read",
            };
            return refusal::error_body(self.facts.schema, status, "", message).to_string().into_bytes();
        }
        match &mut self.answer.reader {
            Some(Reader::Events(events)) => {
                let rest = events.rest();
                // Some providers end a stream without the blank line.
                let is_hidden = self.look_at_event(&rest);
                if self.hides_usage && !is_hidden { rest } else { Vec::new() }
            }
            _ => redacted,
        }
    }

    /// Looks at an event; whether the client must not see it.
    fn look_at_event(&mut self, event: &[u8]) -> bool {
        // Nearly all events of a stream hold nothing but text.
        if self.answer.model.is_some() && is_without_usage(event) && is_without_finish(event) {
            self.untold.event(false);
            return false;
        }
        let before = self.answer.usage;
        let is_hidden = self.look_at(&data(event));
        self.untold.event(self.answer.usage != before);
        is_hidden
    }

    fn look_at(&mut self, json: &[u8]) -> bool {
        let Ok(part) = serde_json::from_slice::<StreamPart<'_>>(json) else { return false };
        let is_hidden = self.hides_usage && part.is_usage_alone();
        self.answer.note_finishes(&part);
        let inner = part.message.or(part.response).unwrap_or_default();
        let read = |usage: Option<&RawValue>| usage.and_then(|usage| Usage::read(usage.get().as_bytes()));
        let tier = part.service_tier.or(part.bedrock_tier).or(inner.service_tier);
        self.answer.tier = tier.or(self.answer.tier);
        let usage = read(part.usage).or(read(part.usage_metadata)).or(read(inner.usage));
        self.answer.note(usage, part.model.or(part.model_version).or(inner.model));
        is_hidden
    }
}
