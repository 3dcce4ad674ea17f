//! OpenAI's responses.

use serde_json::{Value, json};

use super::read::{arguments, image_url, list, member, text, texts};
use super::{CREATED, responses_stream};
use crate::answer::{Answer, Finish, answer};
use crate::ask::{Ask, Choice, Format, Part, Role, Tool, Turn};
use crate::error::Fault;
use crate::reply::Reply;

pub(super) fn reply(body: &Value) -> Result<Reply, Fault> {
    let ask = read(body)?;
    let answer = answer(&ask);
    let reply = if body.get("stream").and_then(Value::as_bool) == Some(true) {
        let (events, error) = responses_stream::events(body, &answer);
        Reply::stream("text/event-stream; charset=utf-8", events, error)
    } else {
        Reply::json(200, &response(body, &answer))
    };
    Ok(reply
        .with("x-request-id", "req_1d3f0c9e77aa01bc5a1f0e4b6f9a512d")
        .with("openai-version", "2020-10-01"))
}

fn read(body: &Value) -> Result<Ask, Fault> {
    let model = text(body, "model");
    if model.is_empty() {
        return Err(Fault::new(400, "Missing required parameter: 'model'."));
    }
    let effort = body.pointer("/reasoning/effort").and_then(Value::as_str);
    let functions = list(body, "tools").iter().filter(|tool| text(tool, "type") == "function");
    let mut ask = Ask {
        model,
        system: texts(member(body, "instructions")),
        tools: functions
            .map(|tool| Tool {
                name: text(tool, "name"),
                schema: tool.get("parameters").cloned().unwrap_or_default(),
            })
            .collect(),
        choice: choice(body.get("tool_choice")),
        format: format(body.pointer("/text/format")),
        max_tokens: member(body, "max_output_tokens").and_then(Value::as_u64),
        thinking: effort.is_some_and(|effort| effort != "none"),
        ..Ask::default()
    };
    match body.get("input") {
        Some(Value::String(said)) => {
            ask.turns.push(Turn { role: Role::User, parts: vec![Part::Text(said.clone())] });
        }
        Some(Value::Array(items)) => {
            for item in items {
                read_item(&mut ask, item)?;
            }
        }
        _ => return Err(Fault::new(400, "Missing required parameter: 'input'.")),
    }
    ask.check_results().map_err(|wrong| Fault::new(400, wrong))?;
    Ok(ask)
}

fn read_item(ask: &mut Ask, item: &Value) -> Result<(), Fault> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
    let (role, parts) = match (kind, item.get("role").and_then(Value::as_str)) {
        ("function_call", _) => {
            let arguments = arguments(&text(item, "arguments"))?;
            let call = Part::Call { id: text(item, "call_id"), name: text(item, "name"), arguments };
            (Role::Model, vec![call])
        }
        ("function_call_output", _) => {
            let said = match item.get("output") {
                Some(Value::Array(parts)) => {
                    parts.iter().map(|part| text(part, "text")).collect::<Vec<_>>().join(" ")
                }
                output => texts(output).join(" "),
            };
            (Role::User, vec![Part::Result { id: text(item, "call_id"), text: said }])
        }
        ("reasoning", _) => {
            let thoughts = list(item, "summary").iter().map(|part| text(part, "text"));
            (Role::Model, vec![Part::Thinking(thoughts.collect::<Vec<_>>().join(" "))])
        }
        ("message", Some("system" | "developer")) => {
            for part in parts(item)? {
                if let Part::Text(text) = part {
                    ask.system.push(text);
                }
            }
            return Ok(());
        }
        ("message", Some("user")) => (Role::User, parts(item)?),
        ("message", Some("assistant")) => (Role::Model, parts(item)?),
        _ => return Err(Fault::new(400, format!("Invalid value: '{kind}' for an input item."))),
    };
    ask.turns.push(Turn { role, parts });
    Ok(())
}

fn parts(item: &Value) -> Result<Vec<Part>, Fault> {
    let Some(Value::Array(parts)) = item.get("content") else {
        return Ok(texts(item.get("content")).into_iter().map(Part::Text).collect());
    };
    let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("input_text" | "output_text") => Ok(Part::Text(text(part, "text"))),
        Some("input_image") => image_url(&text(part, "image_url")),
        other => Err(Fault::new(
            400,
            format!("Invalid value: '{}' for a content type.", other.unwrap_or_default()),
        )),
    };
    parts.iter().map(part).collect()
}

fn choice(choice: Option<&Value>) -> Choice {
    match choice {
        Some(Value::String(word)) if word == "none" => Choice::None,
        Some(Value::String(word)) if word == "required" => Choice::Required,
        Some(Value::Object(named)) => match named.get("name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None => Choice::Auto,
        },
        _ => Choice::Auto,
    }
}

fn format(format: Option<&Value>) -> Format {
    let Some(format) = format else { return Format::Text };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Format::Json,
        Some("json_schema") => Format::Schema(format.get("schema").cloned().unwrap_or_default()),
        _ => Format::Text,
    }
}

/// The items of an answer, in order.
pub(super) fn output(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let summary = json!([{ "type": "summary_text", "text": thinking }]);
        items.push(json!({ "id": "rs_0c9e77aa01bc5a1f0e4b6f9a", "type": "reasoning", "summary": summary }));
    }
    if answer.calls.is_empty() {
        let content =
            json!([{ "type": "output_text", "annotations": [], "logprobs": [], "text": answer.text }]);
        items.push(json!({
            "id": "msg_0c9e77aa01bc5a1f0e4b6f9a",
            "type": "message",
            "status": if answer.finish == Finish::Length { "incomplete" } else { "completed" },
            "role": "assistant",
            "content": content,
        }));
    }
    items.extend(answer.calls.iter().map(|call| {
        json!({
            "id": format!("fc_{:024}", call.number),
            "type": "function_call",
            "status": "completed",
            "call_id": format!("call_{:024}", call.number),
            "name": call.name,
            "arguments": call.arguments.to_string(),
        })
    }));
    items
}

/// The response as it stands before anything is said.
pub(super) fn begun(body: &Value) -> Value {
    let asked = |name: &str, default: Value| member(body, name).cloned().unwrap_or(default);
    let effort = body.pointer("/reasoning/effort").cloned().unwrap_or_default();
    let summary = body.pointer("/reasoning/summary").cloned().unwrap_or_default();
    json!({
        "id": "resp_0c9e77aa01bc5a1f0e4b6f9a512d1d3f",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": asked("instructions", Value::Null),
        "max_output_tokens": asked("max_output_tokens", Value::Null),
        "max_tool_calls": null,
        "model": text(body, "model"),
        "output": [],
        "parallel_tool_calls": asked("parallel_tool_calls", json!(true)),
        "previous_response_id": asked("previous_response_id", Value::Null),
        "reasoning": { "effort": effort, "summary": summary },
        "service_tier": "default",
        "store": asked("store", json!(true)),
        "temperature": asked("temperature", json!(1.0)),
        "text": asked("text", json!({ "format": { "type": "text" }, "verbosity": "medium" })),
        "tool_choice": asked("tool_choice", json!("auto")),
        "tools": asked("tools", json!([])),
        "top_logprobs": 0,
        "top_p": asked("top_p", json!(1.0)),
        "truncation": asked("truncation", json!("disabled")),
        "usage": null,
        "user": null,
        "metadata": asked("metadata", json!({})),
    })
}

/// The whole response.
pub(super) fn response(body: &Value, answer: &Answer) -> Value {
    let mut response = begun(body);
    let usage = answer.usage;
    response["output"] = output(answer).into();
    response["status"] = json!("completed");
    if answer.finish == Finish::Length {
        response["status"] = json!("incomplete");
        response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    if usage.is_other_tier {
        response["service_tier"] = json!("flex");
    }
    response["usage"] = json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": 0 },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input + usage.output,
    });
    response
}
