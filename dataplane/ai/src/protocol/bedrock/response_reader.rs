use serde::Deserialize;
use serde_json::value::RawValue;

use crate::prices::ServiceTier;
use crate::protocol::answer::{Answer, Choice, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::lenient::count;
use crate::usage::{Billing, told_tier};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConverseJson<'a> {
    #[serde(borrow)]
    output: Option<OutputJson<'a>>,
    stop_reason: Option<String>,
    usage: Option<UsageJson>,
    #[serde(default, deserialize_with = "told_tier")]
    service_tier: Option<ServiceTier>,
}

#[derive(Deserialize)]
struct OutputJson<'a> {
    #[serde(borrow)]
    message: Option<MessageJson<'a>>,
}

#[derive(Deserialize)]
struct MessageJson<'a> {
    #[serde(borrow)]
    content: Option<Vec<BlockJson<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockJson<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUseJson<'a>>,
    reasoning_content: Option<ReasoningJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseJson<'a> {
    tool_use_id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// The shapes of a whole block and of a delta.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningJson {
    reasoning_text: Option<ReasoningTextJson>,
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningTextJson {
    text: Option<String>,
    signature: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_write_input_tokens: Option<u64>,
    #[serde(flatten)]
    billing: Billing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    #[serde(borrow)]
    start: Option<BlockJson<'a>>,
    #[serde(borrow)]
    delta: Option<BlockJson<'a>>,
    stop_reason: Option<String>,
    usage: Option<UsageJson>,
    #[serde(default, deserialize_with = "told_tier")]
    service_tier: Option<ServiceTier>,
}

impl UsageJson {
    fn usage(&self, tier: Option<ServiceTier>) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_write_input_tokens.unwrap_or(0);
        Usage {
            input: self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(written),
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_write_input_tokens,
            output: self.output_tokens.unwrap_or(0),
            reasoning: None,
            billing: Billing { tier, ..self.billing },
        }
    }
}

pub(in crate::protocol) fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence(None),
        "guardrail_intervened" | "content_filtered" => StopReason::Filtered,
        "model_context_window_exceeded" => StopReason::ContextExceeded,
        "malformed_model_output" | "malformed_tool_use" => StopReason::Failed(reason.to_owned()),
        _ => StopReason::EndTurn,
    }
}

pub(in crate::protocol) fn read(body: &str) -> Result<Answer, ApiError> {
    let wrong = || ApiError::upstream("the provider's answer is not of Converse");
    let converse: ConverseJson<'_> = serde_json::from_str(body).map_err(|_| wrong())?;
    let message = converse.output.and_then(|output| output.message).ok_or_else(wrong)?;
    let parts = message.content.unwrap_or_default().into_iter().filter_map(part).collect();
    let stop = stop_reason(converse.stop_reason.as_deref().unwrap_or("end_turn"));
    Ok(Answer {
        id: None,
        model: None,
        choices: vec![Choice { index: 0, parts, stop }],
        usage: converse.usage.map(|usage| usage.usage(converse.service_tier)),
    })
}

fn part(block: BlockJson<'_>) -> Option<Part> {
    if let Some(text) = block.text {
        return Some(Part::Text { text, signature: None });
    }
    if let Some(call) = block.tool_use {
        return Some(Part::ToolCall {
            id: call.tool_use_id?,
            name: call.name?,
            arguments: call.input.map_or("{}", RawValue::get).to_owned(),
            signature: None,
        });
    }
    let reasoning = block.reasoning_content?;
    if let Some(data) = reasoning.redacted_content {
        return Some(Part::RedactedReasoning { data });
    }
    let text = reasoning.reasoning_text?;
    Some(Part::Reasoning { text: text.text.unwrap_or_default(), signature: text.signature })
}

/// Reads the events of ConverseStream.
#[derive(Debug, Default)]
pub(in crate::protocol) struct StreamReader {
    started: bool,
    stopped: bool,
    done: bool,
    in_tool_call: bool,
    has_arguments: bool,
}

impl StreamReader {
    pub(in crate::protocol) fn event(&mut self, kind: &str, data: &str, out: &mut Vec<Event>) {
        let Ok(event) = serde_json::from_str::<EventJson<'_>>(data) else {
            out.push(Event::Error(ApiError::upstream("an event of the provider's stream is malformed")));
            return;
        };
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start { id: None, model: None, usage: None });
        }
        match kind {
            "contentBlockStart" => self.block_start(event.start, out),
            "contentBlockDelta" => self.delta(event.delta, out),
            "contentBlockStop" => self.block_stop(out),
            "messageStop" if !self.stopped => {
                self.stopped = true;
                let reason = stop_reason(event.stop_reason.as_deref().unwrap_or("end_turn"));
                out.push(Event::Stop { choice: 0, reason });
            }
            "metadata" => {
                out.extend(event.usage.map(|usage| Event::Usage(usage.usage(event.service_tier))));
                self.end(out);
            }
            // `messageStart`, and what is added later.
            _ => (),
        }
    }

    /// `metadata` is the last event; without it the answer is still whole once it has stopped.
    pub(in crate::protocol) fn end(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        out.push(if self.stopped { Event::Done } else { Event::Error(ApiError::truncated()) });
    }

    fn block_start(&mut self, start: Option<BlockJson<'_>>, out: &mut Vec<Event>) {
        let Some(call) = start.and_then(|start| start.tool_use) else { return };
        self.in_tool_call = true;
        self.has_arguments = false;
        let delta = Delta::ToolCall {
            id: call.tool_use_id.unwrap_or_default(),
            name: call.name.unwrap_or_default(),
            signature: None,
        };
        out.push(Event::Part { choice: 0, delta });
    }

    fn delta(&mut self, delta: Option<BlockJson<'_>>, out: &mut Vec<Event>) {
        let Some(delta) = delta else { return };
        let mut push = |delta| out.push(Event::Part { choice: 0, delta });
        if let Some(text) = delta.text {
            push(Delta::Text(text));
        }
        if let Some(call) = delta.tool_use.filter(|_| self.in_tool_call) {
            let fragment = crate::protocol::lenient::text_or_json(call.input);
            if let Some(fragment) = fragment.filter(|text| !text.is_empty()) {
                self.has_arguments = true;
                push(Delta::Arguments(fragment));
            }
        }
        let Some(reasoning) = delta.reasoning_content else { return };
        if let Some(text) = reasoning.text {
            push(Delta::Reasoning(text));
        }
        if let Some(signature) = reasoning.signature {
            push(Delta::Signature(signature));
        }
        if let Some(data) = reasoning.redacted_content {
            push(Delta::RedactedReasoning(data));
        }
    }

    fn block_stop(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.in_tool_call) && !self.has_arguments {
            out.push(Event::Part { choice: 0, delta: Delta::Arguments("{}".to_owned()) });
        }
        out.push(Event::Part { choice: 0, delta: Delta::End });
    }
}
