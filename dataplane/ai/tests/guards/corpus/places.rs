//! Where a text may stand in a request: each place of each protocol of clients, and other endpoints.

use ai::protocol::ProviderProtocol;
use serde_json::{Value, json};

/// A place of a request.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The protocol of the client, or the endpoint.
    pub(super) protocol: &'static str,
    /// Its name in messages.
    pub(super) name: &'static str,
    /// The provider that speaks this protocol, so that nothing is translated.
    pub(super) provider: ProviderProtocol,
    /// The path of the request.
    pub(super) path: &'static str,
    /// The body with a text at this place.
    pub(super) body: fn(&str) -> Value,
}

/// Two halves of a text.
fn halves(text: &str) -> (&str, &str) {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    text.split_at(middle)
}

/// An object whose only member has this name.
fn named(name: &str, value: Value) -> Value {
    Value::Object(std::iter::once((name.to_owned(), value)).collect())
}

/// JSON inside of a string.
fn arguments(value: &Value) -> Value {
    Value::String(value.to_string())
}

macro_rules! places {
    ($protocol:literal, $provider:ident, $path:literal, $($name:literal => $body:expr,)+) => {
        &[$(Place {
            protocol: $protocol,
            name: $name,
            provider: ProviderProtocol::$provider,
            path: $path,
            body: $body,
        }),+]
    };
}

/// All places.
pub(super) fn all() -> Vec<Place> {
    [CHAT, RESPONSES, MESSAGES, GEMINI, CONVERSE, COMPLETIONS, EMBEDDINGS, RERANK, COUNT_TOKENS].concat()
}

const CHAT: &[Place] = places! {
    "chat completions", OpenAiChat, "/v1/chat/completions",
    "message" => |text| json!({"model": "m", "messages": [{"role": "user", "content": text}]}),
    "part" => |text| json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": text}]}]}),
    "two parts" => |text| {
        let (first, second) = halves(text);
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": first}, {"type": "text", "text": second}]}]})
    },
    "system prompt" => |text| json!({"messages": [{"role": "system", "content": text}]}),
    "developer prompt" => |text| json!({"messages": [{"role": "developer", "content": [{"type": "text", "text": text}]}]}),
    "name of a user" => |text| json!({"messages": [{"role": "user", "content": "x", "name": text}]}),
    "tool result" => |text| json!({"messages": [{"role": "tool", "tool_call_id": "i", "content": text}]}),
    "JSON of a tool result" => |text| json!({"messages": [{"role": "tool", "tool_call_id": "i", "content": arguments(&json!([{"note": text}]))}]}),
    "tool arguments" => |text| json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "i", "type": "function",
        "function": {"name": "f", "arguments": arguments(&json!({"a": ["b", text]}))}}]}]}),
    "tool definition" => |text| json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f", "description": text}}]}),
    "schema of a tool" => |text| json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f",
        "parameters": {"type": "object", "properties": {"a": {"enum": ["x", text]}}}}}]}),
    "response format" => |text| json!({"messages": [], "response_format": {"type": "json_schema",
        "json_schema": {"name": "n", "schema": {"description": text}}}}),
    "metadata" => |text| json!({"messages": [], "metadata": {"k": text}}),
    "name of metadata" => |text| json!({"messages": [], "metadata": named(text, json!("v"))}),
    "user" => |text| json!({"messages": [], "user": text}),
    "stop" => |text| json!({"messages": [], "stop": ["x", text]}),
    "prediction" => |text| json!({"messages": [], "prediction": {"type": "content", "content": text}}),
    "unknown member" => |text| json!({"messages": [], "x_unheard_of": {"deep": [{"er": [text]}]}}),
};

const RESPONSES: &[Place] = places! {
    "responses", OpenAiChat, "/v1/responses",
    "input" => |text| json!({"model": "m", "input": text}),
    "part" => |text| json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]}),
    "system prompt" => |text| json!({"input": "x", "instructions": text}),
    "tool result" => |text| json!({"input": [{"type": "function_call_output", "call_id": "c", "output": text}]}),
    "tool arguments" => |text| json!({"input": [{"type": "function_call", "call_id": "c", "name": "f",
        "arguments": arguments(&json!({"a": {"b": text}}))}]}),
    "tool definition" => |text| json!({"input": "x", "tools": [{"type": "function", "name": "f", "description": text}]}),
    "variable of a prompt" => |text| json!({"input": "x", "prompt": {"id": "p", "variables": {"a": text}}}),
    "metadata" => |text| json!({"input": "x", "metadata": {"k": text}}),
    "name of metadata" => |text| json!({"input": "x", "metadata": named(text, json!("v"))}),
};

const MESSAGES: &[Place] = places! {
    "messages", AnthropicMessages, "/v1/messages",
    "message" => |text| json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}),
    "part" => |text| json!({"messages": [{"role": "user", "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}]}),
    "system prompt" => |text| json!({"system": text, "messages": []}),
    "part of the system prompt" => |text| json!({"system": [{"type": "text", "text": text}], "messages": []}),
    "document" => |text| json!({"messages": [{"role": "user", "content": [{"type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": text}}]}]}),
    "tool result" => |text| json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "i",
        "content": [{"type": "text", "text": text}]}]}]}),
    "tool arguments" => |text| json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f",
        "input": {"a": [text]}}]}]}),
    "name of an argument" => |text| json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f",
        "input": named(text, json!(true))}]}]}),
    "thinking" => |text| json!({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": text, "signature": ""}]}]}),
    "tool definition" => |text| json!({"messages": [], "tools": [{"name": "f", "description": text, "input_schema": {"type": "object"}}]}),
    "metadata" => |text| json!({"messages": [], "metadata": {"user_id": text}}),
};

const GEMINI: &[Place] = places! {
    "generateContent", Gemini, "/v1beta/models/m:generateContent",
    "part" => |text| json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
    "two parts" => |text| {
        let (first, second) = halves(text);
        json!({"contents": [{"parts": [{"text": first}, {"text": second}]}]})
    },
    "system prompt" => |text| json!({"systemInstruction": {"parts": [{"text": text}]}, "contents": []}),
    "tool result" => |text| json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"a": {"b": text}}}}]}]}),
    "tool arguments" => |text| json!({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": text}}}]}]}),
    "tool definition" => |text| json!({"contents": [], "tools": [{"functionDeclarations": [{"name": "f", "description": text}]}]}),
    "label" => |text| json!({"contents": [], "labels": {"k": text}}),
    "name of a label" => |text| json!({"contents": [], "labels": named(text, json!("v"))}),
    "stop" => |text| json!({"contents": [], "generationConfig": {"stopSequences": [text]}}),
};

const CONVERSE: &[Place] = places! {
    "converse", BedrockConverse, "/model/m/converse",
    "part" => |text| json!({"messages": [{"role": "user", "content": [{"text": text}]}]}),
    "two parts" => |text| {
        let (first, second) = halves(text);
        json!({"messages": [{"role": "user", "content": [{"text": first}, {"text": second}]}]})
    },
    "system prompt" => |text| json!({"system": [{"text": text}], "messages": []}),
    "tool result" => |text| json!({"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "i",
        "content": [{"json": {"a": text}}]}}]}]}),
    "tool arguments" => |text| json!({"messages": [{"role": "assistant", "content": [{"toolUse": {"toolUseId": "i", "name": "f",
        "input": {"a": text}}}]}]}),
    "tool definition" => |text| json!({"messages": [], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": text,
        "inputSchema": {"json": {}}}}]}}),
    "metadata" => |text| json!({"messages": [], "requestMetadata": {"k": text}}),
    "name of metadata" => |text| json!({"messages": [], "requestMetadata": named(text, json!("v"))}),
};

const COMPLETIONS: &[Place] = places! {
    "completions", OpenAiChat, "/v1/completions",
    "prompt" => |text| json!({"model": "m", "prompt": text}),
    "prompts" => |text| json!({"prompt": ["x", text]}),
    "suffix" => |text| json!({"prompt": "x", "suffix": text}),
};

const EMBEDDINGS: &[Place] = places! {
    "embeddings", OpenAiChat, "/v1/embeddings",
    "input" => |text| json!({"model": "m", "input": text}),
    "inputs" => |text| json!({"input": ["x", text]}),
};

const RERANK: &[Place] = places! {
    "rerank", OpenAiChat, "/v1/rerank",
    "query" => |text| json!({"query": text, "documents": ["x"]}),
    "document" => |text| json!({"query": "x", "documents": [{"text": text}]}),
};

const COUNT_TOKENS: &[Place] = places! {
    "count of tokens", AnthropicMessages, "/v1/messages/count_tokens",
    "message" => |text| json!({"messages": [{"role": "user", "content": text}]}),
};
