//! What is sent and answered: chats of several sizes, in each protocol, as real ones look.

use serde_json::{Value, json};

/// Events of a stream, without the last ones that end it.
const EVENTS: usize = 2000;

/// How large a request and its answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 1 KB each.
    Small,
    /// 100 KB each.
    Medium,
    /// 1 MB each.
    Large,
    /// 1 KB, and 2,000 events.
    Stream,
    /// 1 KB, and one event with nothing behind it.
    Idle,
}

impl Size {
    /// Those whose speed is measured.
    pub(crate) const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Stream];

    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "1 KB",
            Self::Medium => "100 KB",
            Self::Large => "1 MB",
            Self::Stream => "2,000 events",
            Self::Idle => "idle stream",
        }
    }

    /// For the header that tells the upstream what to answer.
    pub(crate) fn index(self) -> u8 {
        match self {
            Self::Small => b'0',
            Self::Medium => b'1',
            Self::Large => b'2',
            Self::Stream => b'3',
            Self::Idle => b'4',
        }
    }

    /// Whether the client asks for a stream.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::Idle)
    }

    fn bytes(self) -> usize {
        match self {
            Self::Small | Self::Stream | Self::Idle => 1_000,
            Self::Medium => 100_000,
            Self::Large => 1_000_000,
        }
    }
}

/// A conversation in the form of OpenAI (without `claude`) or Anthropic. It is as long as `size` says, in turns of some
/// two kilobytes.
pub(crate) fn request(size: Size, claude: bool) -> String {
    let mut body = json!({"model": "client-model", "temperature": 0.7, "max_tokens": 1024});
    let system = "You are a helpful assistant. Answer briefly, and say so when you do not know.";
    let mut messages = Vec::new();
    match claude {
        true => body["system"] = json!(system),
        false => messages.push(json!({"role": "system", "content": system})),
    }
    if size.is_stream() {
        body["stream"] = json!(true);
    }
    let mut left = size.bytes().saturating_sub(body.to_string().len() + 120);
    let mut is_user = true;
    while left > 0 {
        let length = left.min(2000);
        let role = if is_user { "user" } else { "assistant" };
        messages.push(json!({"role": role, "content": text(length.saturating_sub(50))}));
        left -= length;
        is_user = !is_user;
    }
    body["messages"] = Value::Array(messages);
    body.to_string()
}

/// Prose with what JSON has to escape, so that it has about this length as JSON.
fn text(length: usize) -> String {
    const LINE: &str = "The quick brown fox jumps over the lazy dog, and says \"how are you?\" on the way.\n";
    // Two quotes and a line feed take one byte more each.
    let mut text = LINE.repeat(length / (LINE.len() + 3) + 1);
    text.truncate(length * LINE.len() / (LINE.len() + 3));
    text
}

/// The body of an answer: JSON, or events.
pub(crate) fn answer(size: Size, gemini: bool) -> Vec<String> {
    match (size, gemini) {
        (Size::Stream, false) => openai_events(EVENTS),
        (Size::Idle, false) => openai_events(1).into_iter().take(1).collect(),
        (Size::Stream, true) => gemini_events(EVENTS),
        (Size::Idle, true) => gemini_events(1),
        (_, false) => vec![openai(text(size.bytes() - 400))],
        (_, true) => vec![gemini_part(&text(size.bytes() - 300), Some("STOP")).to_string()],
    }
}

fn openai(content: String) -> String {
    let message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    json!({
        "id": "chatcmpl-Bench0123456789", "object": "chat.completion", "created": 1_700_000_000,
        "model": "gpt-bench-2026", "choices": [choice], "usage": usage(), "service_tier": "default",
    })
    .to_string()
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 250, "completion_tokens": 200, "total_tokens": 450,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    })
}

/// With `usage` null in each event but the one that tells it, as OpenAI does it when it is asked for.
fn openai_events(count: usize) -> Vec<String> {
    let event = |choices: Value, usage: Value| {
        let event = json!({
            "id": "chatcmpl-Bench0123456789", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "gpt-bench-2026", "service_tier": "default", "system_fingerprint": "fp_bench",
            "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    let delta = |delta: Value, end: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": end}]);
    let mut events =
        vec![event(delta(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    events
        .extend((1..count).map(|index| {
            event(delta(json!({"content": format!(" word{index}")}), Value::Null), Value::Null)
        }));
    events.push(event(delta(json!({}), json!("stop")), Value::Null));
    events.push(event(json!([]), usage()));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn gemini_part(text: &str, end: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
    if let Some(end) = end {
        candidate["finishReason"] = json!(end);
    }
    let usage = json!({"promptTokenCount": 250, "candidatesTokenCount": 200, "totalTokenCount": 450});
    json!({
        "candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-bench",
        "responseId": "bench0123456789",
    })
}

fn gemini_events(count: usize) -> Vec<String> {
    let end = |index| (index + 1 == count && count > 1).then_some("STOP");
    (0..count)
        .map(|index| format!("data: {}\r\n\r\n", gemini_part(&format!(" word{index}"), end(index))))
        .collect()
}
