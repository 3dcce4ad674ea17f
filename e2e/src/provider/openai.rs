//! OpenAI's native API: chat completions.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{Answer, TEXT, count_tokens, text_pieces};
use super::credential::Credential;
use crate::recording::RecordedRequest;

/// The path of the one method that is answered.
pub(super) const CHAT_PATH: &str = "/v1/chat/completions";

const ID: &str = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT";
const FINGERPRINT: &str = "fp_44709d6fcb";

/// Answers `request` to [`CHAT_PATH`].
pub(super) fn answer(request: &RecordedRequest, credential: &Credential) -> Answer {
    match credential {
        Credential::Valid => {}
        Credential::Missing => return missing_key(),
        Credential::Invalid => return invalid_key(),
    }
    let body = request.json();
    let Some(model) = body["model"].as_str().filter(|model| !model.is_empty()) else {
        return error(StatusCode::BAD_REQUEST, "you must provide a model parameter", None);
    };
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        let message = "Missing required parameter: 'messages'.";
        return error(StatusCode::BAD_REQUEST, message, Some("missing_required_parameter"));
    };
    let usage = usage(messages.iter().map(message_tokens).sum());
    if body["stream"] != true {
        return Answer::json(StatusCode::OK, &whole(model, usage));
    }
    let include_usage = body["stream_options"]["include_usage"] == true;
    events(&chunks(model, include_usage.then_some(usage)))
}

/// The answer to a path or method that the API does not have.
pub(super) fn unknown_url(method: &Method, path: &str) -> Answer {
    error(StatusCode::NOT_FOUND, &format!("Invalid URL ({method} {path})"), None)
}

/// An error in the API's shape.
pub(super) fn error(status: StatusCode, message: &str, code: Option<&str>) -> Answer {
    let kind = match status.as_u16() {
        429 => "requests",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Answer::json(status, &body)
}

fn missing_key() -> Answer {
    let message = "You didn't provide an API key. You need to provide your API key in an Authorization \
                   header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
    error(StatusCode::UNAUTHORIZED, message, None)
}

fn invalid_key() -> Answer {
    // The real API repeats a part of the key here. We do not.
    error(StatusCode::UNAUTHORIZED, "Incorrect API key provided.", Some("invalid_api_key"))
}

/// The tokens of a message's content, which is text or a list of parts.
fn message_tokens(message: &Value) -> usize {
    match &message["content"] {
        Value::String(text) => count_tokens(text),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).map(count_tokens).sum(),
        _ => 0,
    }
}

fn usage(prompt: usize) -> Value {
    let completion = count_tokens(TEXT);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0
        }
    })
}

fn whole(model: &str, usage: Value) -> Value {
    json!({
        "id": ID,
        "object": "chat.completion",
        "created": seconds_since_epoch(),
        "model": model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": TEXT, "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": "stop"
        }],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT
    })
}

/// The chunks of a stream. With `include_usage`, a last chunk without choices carries the usage, and all
/// others say that theirs is null.
fn chunks(model: &str, usage: Option<Value>) -> Vec<Value> {
    let created = seconds_since_epoch();
    let chunk = |choices: Value, chunk_usage: Option<&Value>| {
        let mut chunk = json!({
            "id": ID,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
            "choices": choices
        });
        if usage.is_some() {
            chunk["usage"] = chunk_usage.cloned().unwrap_or_default();
        }
        chunk
    };
    let choice = |delta: Value, finish_reason: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    let first = json!({"role": "assistant", "content": "", "refusal": null});
    let mut chunks = vec![chunk(choice(first, None), None)];
    chunks.extend(text_pieces().iter().map(|text| chunk(choice(json!({"content": text}), None), None)));
    chunks.push(chunk(choice(json!({}), Some("stop")), None));
    if usage.is_some() {
        chunks.push(chunk(json!([]), usage.as_ref()));
    }
    chunks
}

fn events(chunks: &[Value]) -> Answer {
    let mut pieces: Vec<Bytes> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n").into()).collect();
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Answer::events(pieces)
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
