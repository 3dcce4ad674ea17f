//! Bedrock's converse and converse-stream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::STATUS_IN_STREAM;
use super::read::{image, json_pieces, list, member, text, texts};
use crate::answer::{Answer, Finish, Usage, answer};
use crate::ask::{Ask, Choice, Format, Part, Role, Tool, Turn};
use crate::error::{self, Fault};
use crate::event_stream;
use crate::reply::Reply;
use crate::route::{Provider, Route};
use crate::words::pieces;

const REQUEST_ID: &str = "0c9e77aa-01bc-4a1f-8e4b-6f9a512d1d3f";
/// What stands for the signature of a thought.
const SIGNATURE: &str = "TW9jayBzaWduYXR1cmUgb2YgYSB0aG91Z2h0";
/// How long the answer took, as far as it says.
const LATENCY_MS: u64 = 42;

pub(super) fn converse(route: &Route, body: &Value) -> Result<Reply, Fault> {
    let answer = answer(&read(route, body)?);
    let mut whole = json!({
        "output": { "message": { "role": "assistant", "content": blocks(&answer) } },
        "stopReason": stop(&answer.finish),
        "usage": usage(answer.usage),
        "metrics": { "latencyMs": LATENCY_MS },
    });
    if answer.usage.is_other_tier {
        whole["serviceTier"] = json!({ "type": "flex" });
    }
    Ok(Reply::json(200, &whole).with("x-amzn-requestid", REQUEST_ID))
}

pub(super) fn converse_stream(route: &Route, body: &Value) -> Result<Reply, Fault> {
    let answer = answer(&read(route, body)?);
    let error = error::forced(STATUS_IN_STREAM).event(Provider::Bedrock);
    let reply = Reply::stream("application/vnd.amazon.eventstream", events(&answer), error);
    Ok(reply.with("x-amzn-requestid", REQUEST_ID))
}

fn read(route: &Route, body: &Value) -> Result<Ask, Fault> {
    let none = Value::Null;
    let tools = member(body, "toolConfig").unwrap_or(&none);
    let inference = member(body, "inferenceConfig").unwrap_or(&none);
    let extra = member(body, "additionalModelRequestFields").unwrap_or(&none);
    let thinking =
        ["thinking", "reasoning_config", "reasoningConfig"].iter().find_map(|name| member(extra, name));
    let mut ask = Ask {
        model: route.model.clone().unwrap_or_default(),
        system: list(body, "system")
            .iter()
            .filter(|one| one.get("text").is_some())
            .map(|one| text(one, "text"))
            .collect(),
        tools: list(tools, "tools").iter().filter_map(tool).collect(),
        choice: choice(tools.get("toolChoice")),
        format: format(body)?,
        stop: texts(inference.get("stopSequences")),
        max_tokens: member(inference, "maxTokens").and_then(Value::as_u64),
        thinking: thinking
            .is_some_and(|config| config.get("type").and_then(Value::as_str) != Some("disabled")),
        ..Ask::default()
    };
    for message in list(body, "messages") {
        let role = match message.get("role").and_then(Value::as_str) {
            Some("user") => Role::User,
            Some("assistant") => Role::Model,
            _ => return Err(Fault::new(400, "The role of a message must be user or assistant.")),
        };
        let mut parts = Vec::new();
        for block in list(message, "content") {
            parts.extend(part(block)?);
        }
        if ask.turns.last().map(|turn| turn.role) == Some(role) {
            return Err(Fault::new(400, "A conversation must alternate between user and assistant roles."));
        }
        ask.turns.push(Turn { role, parts });
    }
    if ask.turns.first().map(|turn| turn.role) != Some(Role::User) {
        return Err(Fault::new(400, "A conversation must start with a user message."));
    }
    ask.check_results().map_err(|wrong| Fault::new(400, wrong))?;
    Ok(ask)
}

fn part(block: &Value) -> Result<Option<Part>, Fault> {
    if let Some(said) = block.get("text").and_then(Value::as_str) {
        if said.trim().is_empty() {
            return Err(Fault::new(400, "The text field in the ContentBlock object is blank."));
        }
        return Ok(Some(Part::Text(said.to_owned())));
    }
    if let Some(picture) = block.get("image") {
        let media_type = format!("image/{}", text(picture, "format"));
        let data = picture.pointer("/source/bytes").and_then(Value::as_str).unwrap_or_default();
        return image(&media_type, data).map(Some);
    }
    if let Some(call) = block.get("toolUse") {
        let arguments = call.get("input").cloned().unwrap_or_default();
        return Ok(Some(Part::Call { id: text(call, "toolUseId"), name: text(call, "name"), arguments }));
    }
    if let Some(result) = block.get("toolResult") {
        let said = list(result, "content").iter().map(|one| match one.get("json") {
            Some(json) => json.to_string(),
            None => text(one, "text"),
        });
        let said = said.collect::<Vec<_>>().join(" ");
        return Ok(Some(Part::Result { id: text(result, "toolUseId"), text: said }));
    }
    if let Some(reasoning) = block.pointer("/reasoningContent/reasoningText") {
        return Ok(Some(Part::Thinking(text(reasoning, "text"))));
    }
    match block.get("cachePoint") {
        Some(_) => Ok(None),
        None => Err(Fault::new(400, "The content block is of no known kind.")),
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let spec = tool.get("toolSpec")?;
    let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_default();
    Some(Tool { name: text(spec, "name"), schema })
}

fn choice(choice: Option<&Value>) -> Choice {
    match choice {
        Some(choice) if choice.get("any").is_some() => Choice::Required,
        Some(choice) => choice.get("tool").map_or(Choice::Auto, |tool| Choice::Named(text(tool, "name"))),
        None => Choice::Auto,
    }
}

/// The schema is JSON in text.
fn format(body: &Value) -> Result<Format, Fault> {
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    let Some(schema) = schema else { return Ok(Format::Text) };
    let wrong = |_| Fault::new(400, "The schema of outputConfig is not valid JSON.");
    serde_json::from_str(schema).map(Format::Schema).map_err(wrong)
}

fn call_id(number: usize) -> String {
    format!("tooluse_{number:022}")
}

fn blocks(answer: &Answer) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let text = json!({ "text": thinking, "signature": SIGNATURE });
        blocks.push(json!({ "reasoningContent": { "reasoningText": text } }));
    }
    if !answer.text.is_empty() {
        blocks.push(json!({ "text": answer.text }));
    }
    blocks.extend(answer.calls.iter().map(|call| {
        json!({ "toolUse": { "toolUseId": call_id(call.number), "name": call.name, "input": call.arguments } })
    }));
    blocks
}

fn stop(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopText(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
    }
}

/// Cached tokens are counted apart from the other input; the total has them all.
fn usage(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.input - usage.cached,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": 0,
    })
}

fn event(kind: &str, payload: Value) -> Bytes {
    let mut payload = payload;
    // Padding, against guesses by length; so named, and without meaning.
    payload["p"] = json!("abcdefghijklm");
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    event_stream::message(&headers, payload.to_string().as_bytes()).into()
}

fn events(answer: &Answer) -> Vec<Bytes> {
    let mut events = vec![event("messageStart", json!({ "role": "assistant" }))];
    let mut index = 0;
    let mut block = |events: &mut Vec<Bytes>, start: Option<Value>, deltas: Vec<Value>| {
        if let Some(start) = start {
            events.push(event("contentBlockStart", json!({ "contentBlockIndex": index, "start": start })));
        }
        for delta in deltas {
            events.push(event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta })));
        }
        events.push(event("contentBlockStop", json!({ "contentBlockIndex": index })));
        index += 1;
    };
    if let Some(thinking) = &answer.thinking {
        let piece = |piece: &str| json!({ "reasoningContent": { "text": piece } });
        let signature = json!({ "reasoningContent": { "signature": SIGNATURE } });
        block(&mut events, None, pieces(thinking).into_iter().map(piece).chain([signature]).collect());
    }
    if !answer.text.is_empty() {
        // Text blocks do not announce themselves.
        block(&mut events, None, pieces(&answer.text).iter().map(|piece| json!({ "text": piece })).collect());
    }
    for call in &answer.calls {
        let start = json!({ "toolUse": { "toolUseId": call_id(call.number), "name": call.name } });
        let piece = |piece| json!({ "toolUse": { "input": piece } });
        block(&mut events, Some(start), json_pieces(&call.arguments).into_iter().map(piece).collect());
    }
    events.push(event("messageStop", json!({ "stopReason": stop(&answer.finish) })));
    let metrics = json!({ "latencyMs": LATENCY_MS });
    let mut metadata = json!({ "usage": usage(answer.usage), "metrics": metrics });
    if answer.usage.is_other_tier {
        metadata["serviceTier"] = json!({ "type": "flex" });
    }
    events.push(event("metadata", metadata));
    events
}
