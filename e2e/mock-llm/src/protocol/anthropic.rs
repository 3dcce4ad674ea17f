//! Anthropic's messages, also as Vertex carries them.

use serde_json::{Value, json};

use super::anthropic_stream;
use super::read::{image, list, member, text, texts};
use crate::answer::{Answer, Finish, Usage, answer};
use crate::ask::{Ask, Choice, Format, Part, Role, Tool, Turn};
use crate::error::Fault;
use crate::reply::Reply;
use crate::route::{Provider, Route};
use crate::words::input_tokens;

pub(super) fn messages(route: &Route, body: &Value) -> Result<Reply, Fault> {
    // Vertex has the model in the path, and the version in the body instead of a header.
    if route.provider == Provider::Vertex && member(body, "anthropic_version").is_none() {
        return Err(Fault::new(400, "anthropic_version: Field required"));
    }
    let ask = read(body, route.model.as_deref())?;
    if ask.max_tokens.is_none() {
        return Err(Fault::new(400, "max_tokens: Field required"));
    }
    let answer = answer(&ask);
    let reply = if body.get("stream").and_then(Value::as_bool) == Some(true) {
        let (events, error) = anthropic_stream::events(&ask.model, &answer);
        Reply::stream("text/event-stream; charset=utf-8", events, error)
    } else {
        Reply::json(200, &message(&ask.model, &answer))
    };
    Ok(reply
        .with("request-id", "req_011CMock0c9e77aa01bc5a1f")
        .with("anthropic-organization-id", "0c9e77aa-01bc-5a1f-0e4b-6f9a512d1d3f")
        .with("anthropic-ratelimit-requests-remaining", "999"))
}

pub(super) fn count(body: &Value) -> Result<Reply, Fault> {
    Ok(Reply::json(200, &json!({ "input_tokens": input_tokens(&read(body, None)?) })))
}

fn read(body: &Value, model: Option<&str>) -> Result<Ask, Fault> {
    let model = model.map_or_else(|| text(body, "model"), str::to_owned);
    if model.is_empty() {
        return Err(Fault::new(400, "model: Field required"));
    }
    if list(body, "messages").is_empty() {
        return Err(Fault::new(400, "messages: at least one message is required"));
    }
    let thinking = body.pointer("/thinking/type").and_then(Value::as_str);
    let schema =
        body.pointer("/output_config/format/schema").or_else(|| body.pointer("/output_format/schema"));
    let mut ask = Ask {
        model,
        system: texts_of(body.get("system")),
        tools: list(body, "tools").iter().map(tool).collect(),
        choice: choice(body.get("tool_choice")),
        format: schema.map_or(Format::Text, |schema| Format::Schema(schema.clone())),
        stop: texts(body.get("stop_sequences")),
        max_tokens: member(body, "max_tokens").and_then(Value::as_u64),
        thinking: thinking.is_some_and(|kind| kind != "disabled"),
        ..Ask::default()
    };
    for message in list(body, "messages") {
        let role = match message.get("role").and_then(Value::as_str) {
            Some("user") => Role::User,
            Some("assistant") => Role::Model,
            _ => return Err(Fault::new(400, "messages: Unexpected role. Allowed are user and assistant")),
        };
        ask.turns.push(Turn { role, parts: parts(message)? });
    }
    ask.check_results().map_err(|wrong| Fault::new(400, format!("messages: {wrong}")))?;
    Ok(ask)
}

/// The texts of a string or of blocks.
fn texts_of(content: Option<&Value>) -> Vec<String> {
    match content {
        Some(Value::Array(blocks)) => blocks
            .iter()
            .filter(|block| block.get("text").is_some())
            .map(|block| text(block, "text"))
            .collect(),
        other => texts(other),
    }
}

fn parts(message: &Value) -> Result<Vec<Part>, Fault> {
    let Some(Value::Array(blocks)) = message.get("content") else {
        return Ok(texts(message.get("content")).into_iter().map(Part::Text).collect());
    };
    let mut parts = Vec::new();
    for block in blocks {
        match block.get("type").and_then(Value::as_str) {
            Some("text") => match text(block, "text") {
                empty if empty.is_empty() => {
                    return Err(Fault::new(400, "messages: text content blocks must be non-empty"));
                }
                text => parts.push(Part::Text(text)),
            },
            Some("image") => {
                let source = block.get("source").unwrap_or(&Value::Null);
                parts.push(match source.get("type").and_then(Value::as_str) {
                    Some("base64") => image(&text(source, "media_type"), &text(source, "data"))?,
                    _ => Part::Image { media_type: "url".to_owned(), bytes: 0 },
                });
            }
            Some("tool_use") => parts.push(Part::Call {
                id: text(block, "id"),
                name: text(block, "name"),
                arguments: block.get("input").cloned().unwrap_or_default(),
            }),
            Some("tool_result") => {
                let said = texts_of(block.get("content")).join(" ");
                parts.push(Part::Result { id: text(block, "tool_use_id"), text: said });
            }
            Some("thinking") => parts.push(Part::Thinking(text(block, "thinking"))),
            Some("redacted_thinking") => parts.push(Part::Thinking(String::new())),
            Some("document") => parts.push(Part::Text(
                block
                    .pointer("/source/data")
                    .map_or_else(String::new, |data| data.as_str().unwrap_or_default().to_owned()),
            )),
            other => {
                let kind = other.unwrap_or_default();
                return Err(Fault::new(
                    400,
                    format!("messages: Input tag '{kind}' is not one of those expected"),
                ));
            }
        }
    }
    Ok(parts)
}

fn tool(tool: &Value) -> Tool {
    Tool { name: text(tool, "name"), schema: tool.get("input_schema").cloned().unwrap_or_default() }
}

fn choice(choice: Option<&Value>) -> Choice {
    let Some(choice) = choice else { return Choice::Auto };
    match choice.get("type").and_then(Value::as_str) {
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::Named(text(choice, "name")),
        _ => Choice::Auto,
    }
}

/// The blocks of an answer, in order.
pub(super) fn blocks(answer: &Answer) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thinking) = &answer.thinking {
        blocks.push(json!({ "type": "thinking", "thinking": thinking, "signature": SIGNATURE }));
    }
    if !answer.text.is_empty() {
        blocks.push(json!({ "type": "text", "text": answer.text }));
    }
    blocks.extend(answer.calls.iter().map(|call| {
        let id = format!("toolu_{:024}", call.number);
        json!({ "type": "tool_use", "id": id, "name": call.name, "input": call.arguments })
    }));
    blocks
}

/// What stands for the encrypted thoughts; base64, as the real ones are.
pub(super) const SIGNATURE: &str = "TW9jayBzaWduYXR1cmUgb2YgYSB0aG91Z2h0";

/// The stop reason, and the stop text that was reached.
pub(super) fn stop(answer: &Answer) -> (&'static str, Value) {
    match &answer.finish {
        Finish::Stop => ("end_turn", Value::Null),
        Finish::StopText(text) => ("stop_sequence", json!(text)),
        Finish::Length => ("max_tokens", Value::Null),
        Finish::Calls => ("tool_use", Value::Null),
    }
}

/// Anthropic counts cached tokens apart from the others.
pub(super) fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        "output_tokens": output,
        "service_tier": if usage.is_other_tier { "priority" } else { "standard" },
    })
}

/// A message, with this content.
pub(super) fn frame(model: &str, content: Vec<Value>) -> Value {
    json!({
        "id": "msg_01Mock0c9e77aa01bc5a1f0e",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
    })
}

fn message(model: &str, answer: &Answer) -> Value {
    let mut message = frame(model, blocks(answer));
    let (reason, sequence) = stop(answer);
    message["stop_reason"] = json!(reason);
    message["stop_sequence"] = sequence;
    message["usage"] = usage(answer.usage, answer.usage.output);
    message
}
