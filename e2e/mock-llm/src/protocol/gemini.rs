//! Gemini's protocol, of the Gemini API and of Vertex AI.

use bytes::Bytes;
use serde_json::{Value, json};

use super::gemini_request::{model, read};
use super::read::{list, member, text};
use super::{STATUS_IN_STREAM, sse};
use crate::answer::{Answer, Finish, Usage, answer};
use crate::ask::Ask;
use crate::embedding::embedding;
use crate::error::{self, Fault};
use crate::reply::Reply;
use crate::route::{Provider, Route};
use crate::words::{input_tokens, pieces};

/// How many members a vector has unless the request says so.
const DIMENSIONS: u64 = 3072;
/// What stands for encrypted thoughts, which later requests send back.
const SIGNATURE: &str = "TW9jayB0aG91Z2h0IHNpZ25hdHVyZQ==";

pub(super) fn generate(route: &Route, body: &Value) -> Result<Reply, Fault> {
    let ask = read(route, body)?;
    let answer = answer(&ask);
    let mut parts: Vec<Value> = answer.thinking.iter().map(|thought| thought_part(thought)).collect();
    if !answer.text.is_empty() {
        parts.push(json!({ "text": answer.text }));
    }
    parts.extend(call_parts(&ask, &answer));
    let whole = chunk(route, parts, Some(&answer.finish), answer.usage);
    Ok(json_reply(&whole))
}

pub(super) fn stream(route: &Route, body: &Value, as_events: bool) -> Result<Reply, Fault> {
    let ask = read(route, body)?;
    let answer = answer(&ask);
    let chunks = chunks(route, &ask, &answer);
    let fault = error::forced(STATUS_IN_STREAM);
    if as_events {
        let events = chunks.iter().map(sse::google).collect();
        return Ok(Reply::stream("text/event-stream", events, fault.event(route.provider)));
    }
    // One array, whose members come one by one.
    let member = |(index, chunk): (usize, &Value)| -> Bytes {
        let before = if index == 0 { "[" } else { ",\r\n" };
        format!("{before}{}", serde_json::to_string_pretty(chunk).unwrap_or_default()).into()
    };
    let mut array: Vec<Bytes> = chunks.iter().enumerate().map(member).collect();
    array.push(Bytes::from_static(b"\n]"));
    let error =
        json!({ "error": { "code": fault.status, "message": fault.message, "status": "UNAVAILABLE" } });
    Ok(Reply::stream("application/json; charset=UTF-8", array, format!(",\r\n{error}\n]").into()))
}

pub(super) fn count(route: &Route, body: &Value) -> Result<Reply, Fault> {
    let request = member(body, "generateContentRequest").unwrap_or(body);
    let ask = read(route, request)?;
    let tokens = input_tokens(&ask);
    let details = json!([{ "modality": "TEXT", "tokenCount": tokens }]);
    Ok(json_reply(&json!({ "totalTokens": tokens, "promptTokensDetails": details })))
}

pub(super) fn embed(body: &Value) -> Reply {
    json_reply(&json!({ "embedding": vector(body) }))
}

pub(super) fn batch_embed(body: &Value) -> Reply {
    let vectors: Vec<Value> = list(body, "requests").iter().map(vector).collect();
    json_reply(&json!({ "embeddings": vectors }))
}

fn vector(request: &Value) -> Value {
    let asked = member(request, "outputDimensionality").or_else(|| member(request, "output_dimensionality"));
    let dimensions = asked.and_then(Value::as_u64).unwrap_or(DIMENSIONS).min(DIMENSIONS);
    let content = request.get("content").unwrap_or(&Value::Null);
    let said = list(content, "parts").iter().map(|part| text(part, "text")).collect::<Vec<_>>().join(" ");
    json!({ "values": embedding(&said, usize::try_from(dimensions).unwrap_or_default()) })
}

fn json_reply(body: &Value) -> Reply {
    // Indented, as Google's servers write it.
    let body = serde_json::to_string_pretty(body).unwrap_or_default();
    Reply::bytes(200, "application/json; charset=UTF-8", body)
}

fn thought_part(thought: &str) -> Value {
    json!({ "text": thought, "thought": true })
}

/// The parts of the calls; the first of them carries the signature of the thoughts that led to it.
fn call_parts(ask: &Ask, answer: &Answer) -> Vec<Value> {
    let signs = answer.thinking.is_some() || ask.model.contains("gemini-3");
    let part = |(index, call): (usize, &crate::answer::Call)| {
        let mut part = json!({ "functionCall": { "name": call.name, "args": call.arguments } });
        if index == 0 && signs {
            part["thoughtSignature"] = json!(SIGNATURE);
        }
        part
    };
    answer.calls.iter().enumerate().map(part).collect()
}

fn chunk(route: &Route, parts: Vec<Value>, finish: Option<&Finish>, usage: Usage) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(match finish {
            Finish::Length => "MAX_TOKENS",
            Finish::Stop | Finish::StopText(_) | Finish::Calls => "STOP",
        });
    }
    // What the model says and what it thinks are counted apart.
    let said = usage.output - usage.reasoning;
    let mut counts = json!({
        "promptTokenCount": usage.input,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": usage.input }],
    });
    if said > 0 {
        counts["candidatesTokenCount"] = json!(said);
    }
    if usage.reasoning > 0 {
        counts["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    if usage.cached > 0 {
        counts["cachedContentTokenCount"] = json!(usage.cached);
    }
    let mut chunk = json!({
        "candidates": [candidate],
        "usageMetadata": counts,
        "modelVersion": model(route),
        "responseId": "mock0c9e77aa01bc5a1f",
    });
    if route.provider == Provider::Vertex {
        chunk["createTime"] = json!("2026-01-01T00:00:00.000000Z");
        let traffic = if usage.is_other_tier { "ON_DEMAND_FLEX" } else { "ON_DEMAND" };
        chunk["usageMetadata"]["trafficType"] = json!(traffic);
    }
    chunk
}

/// Every chunk is a response by itself, and its counts are those so far.
fn chunks(route: &Route, ask: &Ask, answer: &Answer) -> Vec<Value> {
    let mut so_far = Usage { output: 0, reasoning: 0, ..answer.usage };
    let mut chunks = Vec::new();
    for piece in answer.thinking.iter().flat_map(|thought| pieces(thought)) {
        so_far.reasoning += 1;
        so_far.output += 1;
        chunks.push(chunk(route, vec![thought_part(piece)], None, so_far));
    }
    let said = pieces(&answer.text);
    for (index, piece) in said.iter().enumerate() {
        so_far.output += 1;
        let is_last = index + 1 == said.len();
        let finish = Some(&answer.finish).filter(|_| is_last);
        let usage = if is_last { answer.usage } else { so_far };
        chunks.push(chunk(route, vec![json!({ "text": piece })], finish, usage));
    }
    if !answer.calls.is_empty() {
        // Calls come whole, all in one chunk.
        chunks.push(chunk(route, call_parts(ask, answer), Some(&answer.finish), answer.usage));
    } else if said.is_empty() {
        chunks.push(chunk(route, vec![json!({ "text": "" })], Some(&answer.finish), answer.usage));
    }
    chunks
}
