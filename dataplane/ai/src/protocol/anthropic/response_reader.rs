use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::answer::{Answer, Choice, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::lenient::count;
use crate::protocol::provider_error;
use crate::usage::Billing;

#[derive(Deserialize)]
struct MessageJson<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<BlockJson<'a>>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<UsageJson>,
}

#[derive(Deserialize)]
struct BlockJson<'a> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UsageJson {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetailsJson>,
    #[serde(flatten)]
    billing: Billing,
}

#[derive(Deserialize)]
struct OutputDetailsJson {
    #[serde(default, deserialize_with = "count")]
    thinking_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct EventJson<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    message: Option<MessageJson<'a>>,
    #[serde(borrow)]
    content_block: Option<BlockJson<'a>>,
    delta: Option<DeltaJson>,
    usage: Option<UsageJson>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct DeltaJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl UsageJson {
    /// Fields that a later report lacks keep their value.
    fn update(&self, before: Usage) -> Usage {
        let cache_read = self.cache_read_input_tokens.or(before.cache_read);
        let cache_write = self.cache_creation_input_tokens.or(before.cache_write);
        let uncached = self.input_tokens.unwrap_or_else(|| before.uncached_input());
        Usage {
            input: uncached.saturating_add(cache_read.unwrap_or(0)).saturating_add(cache_write.unwrap_or(0)),
            cache_read,
            cache_write,
            output: self.output_tokens.unwrap_or(before.output),
            reasoning: self
                .output_tokens_details
                .as_ref()
                .and_then(|details| details.thinking_tokens)
                .or(before.reasoning),
            billing: before.billing.updated(self.billing),
        }
    }
}

pub(in crate::protocol) fn stop_reason(reason: &str, sequence: Option<String>) -> StopReason {
    match reason {
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence(sequence),
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::Filtered,
        "pause_turn" => StopReason::Paused,
        "model_context_window_exceeded" => StopReason::ContextExceeded,
        _ => StopReason::EndTurn,
    }
}

pub(in crate::protocol) fn read(body: &str) -> Result<Answer, ApiError> {
    let wrong = || ApiError::upstream("the provider's answer is not a message");
    let message: MessageJson<'_> = serde_json::from_str(body).map_err(|_| wrong())?;
    let parts = message.content.ok_or_else(wrong)?.into_iter().filter_map(part).collect();
    let stop = stop_reason(message.stop_reason.as_deref().unwrap_or("end_turn"), message.stop_sequence);
    Ok(Answer {
        id: message.id,
        model: message.model,
        choices: vec![Choice { index: 0, parts, stop }],
        usage: message.usage.map(|usage| usage.update(Usage::default())),
    })
}

/// Blocks of tools that the provider runs itself have no counterpart.
fn part(block: BlockJson<'_>) -> Option<Part> {
    Some(match block.kind.as_str() {
        "text" => Part::Text { text: block.text?, signature: None },
        "thinking" => Part::Reasoning {
            text: block.thinking.unwrap_or_default(),
            signature: block.signature.filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => Part::RedactedReasoning { data: block.data? },
        "tool_use" => Part::ToolCall {
            id: block.id?,
            name: block.name?,
            arguments: block.input.map_or("{}", RawValue::get).to_owned(),
            signature: None,
        },
        _ => return None,
    })
}

/// Reads a stream of events.
#[derive(Debug, Default)]
pub(in crate::protocol) struct StreamReader {
    usage: Usage,
    stopped: bool,
    done: bool,
    in_tool_call: bool,
    has_arguments: bool,
    /// The block at hand is of a kind that is not carried.
    skipping: bool,
}

impl StreamReader {
    pub(in crate::protocol) fn event(&mut self, data: &str, out: &mut Vec<Event>) {
        let Ok(event) = serde_json::from_str::<EventJson<'_>>(data) else {
            out.push(Event::Error(ApiError::upstream("an event of the provider's stream is malformed")));
            return;
        };
        match event.kind.as_str() {
            "message_start" => self.start(event.message, out),
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.block_start(block, out);
                }
            }
            "content_block_delta" if !self.skipping => self.delta(event.delta, out),
            "content_block_stop" => self.block_stop(out),
            "message_delta" => self.message_delta(event.delta, event.usage.as_ref(), out),
            "message_stop" => self.end(out),
            "error" => {
                let error = event.error.unwrap_or(Value::Null);
                out.push(Event::Error(provider_error::in_stream(&error)));
            }
            // `ping`, and what is added later: clients are told to ignore it.
            _ => (),
        }
    }

    pub(in crate::protocol) fn end(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        out.push(if self.stopped { Event::Done } else { Event::Error(ApiError::truncated()) });
    }

    fn start(&mut self, message: Option<MessageJson<'_>>, out: &mut Vec<Event>) {
        let Some(message) = message else { return };
        if let Some(usage) = &message.usage {
            self.usage = usage.update(self.usage);
        }
        out.push(Event::Start { id: message.id, model: message.model, usage: Some(self.usage) });
        out.push(Event::Usage(self.usage));
    }

    fn block_start(&mut self, block: BlockJson<'_>, out: &mut Vec<Event>) {
        self.skipping = false;
        let mut push = |delta| out.push(Event::Part { choice: 0, delta });
        match block.kind.as_str() {
            "text" => {
                if let Some(text) = block.text.filter(|text| !text.is_empty()) {
                    push(Delta::Text(text));
                }
            }
            "thinking" => {
                if let Some(text) = block.thinking.filter(|text| !text.is_empty()) {
                    push(Delta::Reasoning(text));
                }
            }
            "redacted_thinking" => push(Delta::RedactedReasoning(block.data.unwrap_or_default())),
            "tool_use" => {
                self.in_tool_call = true;
                self.has_arguments = false;
                push(Delta::ToolCall {
                    id: block.id.unwrap_or_default(),
                    name: block.name.unwrap_or_default(),
                    signature: None,
                });
            }
            _ => self.skipping = true,
        }
    }

    fn delta(&mut self, delta: Option<DeltaJson>, out: &mut Vec<Event>) {
        let Some(delta) = delta else { return };
        let new = match delta.kind.as_deref() {
            Some("text_delta") => delta.text.map(Delta::Text),
            Some("thinking_delta") => delta.thinking.map(Delta::Reasoning),
            Some("signature_delta") => delta.signature.map(Delta::Signature),
            Some("input_json_delta") if self.in_tool_call => {
                let fragment = delta.partial_json.filter(|text| !text.is_empty());
                self.has_arguments |= fragment.is_some();
                fragment.map(Delta::Arguments)
            }
            _ => None,
        };
        out.extend(new.map(|delta| Event::Part { choice: 0, delta }));
    }

    fn block_stop(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.skipping) {
            return;
        }
        if std::mem::take(&mut self.in_tool_call) && !self.has_arguments {
            out.push(Event::Part { choice: 0, delta: Delta::Arguments("{}".to_owned()) });
        }
        out.push(Event::Part { choice: 0, delta: Delta::End });
    }

    fn message_delta(&mut self, delta: Option<DeltaJson>, usage: Option<&UsageJson>, out: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.usage = usage.update(self.usage);
            out.push(Event::Usage(self.usage));
        }
        let Some(delta) = delta else { return };
        if let Some(reason) = delta.stop_reason.filter(|_| !self.stopped) {
            self.stopped = true;
            out.push(Event::Stop { choice: 0, reason: stop_reason(&reason, delta.stop_sequence) });
        }
    }
}
