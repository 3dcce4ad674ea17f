//! Requests, each in the form of its protocol.

use anyhow::Result;
use mock_llm::MockLlm;
use serde_json::{Value, json};

use crate::client::{Answer, post, send};

pub(crate) const OPENAI: &str = "/v1/chat/completions";
pub(crate) const RESPONSES: &str = "/v1/responses";
pub(crate) const AZURE: &str = "/openai/deployments/d1/chat/completions?api-version=2024-10-21";
pub(crate) const ANTHROPIC: &str = "/v1/messages";
pub(crate) const GEMINI: &str = "/v1beta/models/gemini-3-flash";
pub(crate) const VERTEX: &str = "/v1/projects/p/locations/l/publishers/google/models/gemini-3-flash";
pub(crate) const CLAUDE_ON_VERTEX: &str =
    "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict";
pub(crate) const BEDROCK: &str = "/model/amazon.nova-lite-v1%3A0";

pub(crate) fn chat(said: &str, more: Value) -> Value {
    with(json!({ "model": "gpt-5.2", "messages": [{ "role": "user", "content": said }] }), more)
}

pub(crate) fn messages(said: &str, more: Value) -> Value {
    let messages = json!([{ "role": "user", "content": said }]);
    with(json!({ "model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages }), more)
}

pub(crate) fn gemini(said: &str, more: Value) -> Value {
    with(json!({ "contents": [{ "role": "user", "parts": [{ "text": said }] }] }), more)
}

pub(crate) fn converse(said: &str, more: Value) -> Value {
    with(json!({ "messages": [{ "role": "user", "content": [{ "text": said }] }] }), more)
}

pub(crate) fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

pub(crate) fn schema() -> Value {
    json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] })
}

/// Bedrock has no key in a header of its own; the signature is only looked for.
pub(crate) async fn post_as(mock: &MockLlm, path: &str, body: &Value) -> Result<Answer> {
    if path.starts_with("/model/") {
        let signed = [("authorization", "AWS4-HMAC-SHA256 Credential=k")];
        return send(mock, "POST", path, &signed, body.to_string()).await;
    }
    post(mock, path, body).await
}
