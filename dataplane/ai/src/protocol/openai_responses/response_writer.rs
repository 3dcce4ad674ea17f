//! The response object and its output items, which streams repeat when they end.

use crate::protocol::RequestContext;
use crate::protocol::answer::{Answer, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::json::{Json, Map, RawJson};
use crate::protocol::media_note;

use super::REDACTED;

fn usage(usage: &Usage) -> Map {
    let input = Map::new()
        .with("cached_tokens", usage.cache_read.unwrap_or(0))
        .with_some("cache_write_tokens", usage.cache_write);
    let output = Map::new().with("reasoning_tokens", usage.reasoning.unwrap_or(0));
    Map::new()
        .with("input_tokens", usage.input)
        .with("input_tokens_details", input)
        .with("output_tokens", usage.output)
        .with("output_tokens_details", output)
        .with("total_tokens", usage.total())
}

/// How a response stands.
pub(super) enum Status<'a> {
    InProgress,
    Stopped(&'a StopReason),
    Failed(&'a ApiError),
}

impl Status<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Stopped(_) if self.incomplete_reason().is_some() => "incomplete",
            Self::Stopped(_) => "completed",
            Self::Failed(_) => "failed",
        }
    }

    fn incomplete_reason(&self) -> Option<&'static str> {
        match self {
            Self::Stopped(StopReason::MaxTokens | StopReason::ContextExceeded) => Some("max_output_tokens"),
            Self::Stopped(StopReason::Filtered) => Some("content_filter"),
            _ => None,
        }
    }

    fn error(&self) -> Json {
        let Self::Failed(error) = self else { return Json::Null };
        Map::new().with("code", error.kind.responses_code()).with("message", error.message.as_str()).into()
    }
}

/// Fields that the answer repeats, and what they are if the request lacks them.
const ECHOED: [(&str, &str); 10] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "1.0"),
];

pub(super) fn response(
    id: &str,
    model: Option<&String>,
    status: &Status<'_>,
    output: Vec<Json>,
    used: Option<&Usage>,
    context: &RequestContext,
) -> Map {
    let incomplete = status.incomplete_reason().map(|reason| Map::new().with("reason", reason));
    let mut response = Map::new()
        .with("id", id)
        .with("object", "response")
        .with("created_at", context.created)
        .with("status", status.name())
        .with("background", false)
        .with("error", status.error())
        .with("incomplete_details", incomplete.map_or(Json::Null, Json::from))
        .with("model", model.unwrap_or(&context.model))
        .with("output", output)
        .with("previous_response_id", Json::Null)
        .with("store", false)
        .with("truncation", "disabled")
        .with("usage", used.map_or(Json::Null, |used| usage(used).into()));
    for (name, default) in ECHOED {
        let given = context.echo.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        response.set_some(name, given.or_else(|| RawJson::parse(default)));
    }
    response
}

pub(super) fn response_id(id: Option<&String>, context: &RequestContext) -> String {
    match id {
        Some(id) if id.starts_with("resp_") => id.clone(),
        Some(id) => format!("resp_{id}"),
        None => format!("resp_{}", context.id_seed),
    }
}

/// The id of the item at this place in the output.
pub(super) fn item_id(prefix: &str, index: usize, context: &RequestContext) -> String {
    format!("{prefix}_{}_{index}", context.id_seed)
}

pub(super) fn text_part(text: &str) -> Map {
    Map::tagged("output_text")
        .with("text", text)
        .with("annotations", Vec::<Json>::new())
        .with("logprobs", Vec::<Json>::new())
}

pub(super) fn refusal_part(text: &str) -> Map {
    Map::tagged("refusal").with("refusal", text)
}

pub(super) fn summary_part(text: &str) -> Map {
    Map::tagged("summary_text").with("text", text)
}

pub(super) fn message_item(id: &str, status: &str, content: Vec<Map>) -> Map {
    Map::new()
        .with("id", id)
        .with("type", "message")
        .with("status", status)
        .with("role", "assistant")
        .with("content", content)
}

pub(super) fn reasoning_item(id: &str, text: &str, encrypted: Option<&String>) -> Map {
    let summary: Vec<Map> = if text.is_empty() { Vec::new() } else { vec![summary_part(text)] };
    Map::new()
        .with("id", id)
        .with("type", "reasoning")
        .with("summary", summary)
        .with_some("encrypted_content", encrypted)
}

pub(super) fn call_item(id: &str, status: &str, call_id: &str, name: &str, arguments: &str) -> Map {
    Map::new()
        .with("id", id)
        .with("type", "function_call")
        .with("status", status)
        .with("call_id", call_id)
        .with("name", name)
        .with("arguments", arguments)
}

pub(super) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

pub(in crate::protocol) fn write(answer: Answer, context: &RequestContext) -> Result<Map, ApiError> {
    let choice = answer.choices.into_iter().next();
    let choice = choice.ok_or_else(|| ApiError::upstream("the provider gave no answer"))?;
    let mut output: Vec<Json> = Vec::new();
    for part in choice.parts {
        let item = item(part, output.len(), context);
        output.push(item.into());
    }
    let id = response_id(answer.id.as_ref(), context);
    let status = Status::Stopped(&choice.stop);
    Ok(response(&id, answer.model.as_ref(), &status, output, answer.usage.as_ref(), context))
}

fn item(part: Part, index: usize, context: &RequestContext) -> Map {
    let id = |prefix: &str| item_id(prefix, index, context);
    let message = |part: Map| message_item(&id("msg"), "completed", vec![part]);
    match part {
        Part::Text { text, .. } => message(text_part(&text)),
        Part::Refusal(text) => message(refusal_part(&text)),
        Part::Media { mime, .. } => message(text_part(&media_note(&mime))),
        Part::Reasoning { text, signature } => reasoning_item(&id("rs"), &text, signature.as_ref()),
        Part::RedactedReasoning { data } => reasoning_item(&id("rs"), "", Some(&redacted(&data))),
        Part::ToolCall { id: call_id, name, arguments, .. } => {
            call_item(&id("fc"), "completed", &call_id, &name, &arguments)
        }
    }
}
