use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::prices::ServiceTier;
use crate::protocol::answer::{Answer, Choice, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::lenient::{count, text, text_or_json};
use crate::protocol::provider_error;
use crate::usage::{Billing, told_tier};

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(borrow)]
    choices: Option<Vec<ChoiceJson<'a>>>,
    usage: Option<UsageJson>,
    #[serde(default, deserialize_with = "told_tier")]
    service_tier: Option<ServiceTier>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChoiceJson<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    message: Option<MessageJson<'a>>,
    #[serde(borrow)]
    delta: Option<MessageJson<'a>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct MessageJson<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    reasoning_details: Option<Vec<DetailJson>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCallJson<'a>>>,
}

#[derive(Deserialize)]
struct DetailJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    summary: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct ToolCallJson<'a> {
    index: Option<u32>,
    id: Option<String>,
    #[serde(borrow)]
    function: Option<FunctionJson<'a>>,
    extra_content: Option<Value>,
}

#[derive(Deserialize, Default)]
struct FunctionJson<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UsageJson {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<DetailsJson>,
    completion_tokens_details: Option<DetailsJson>,
}

#[derive(Deserialize)]
struct DetailsJson {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    audio_tokens: Option<u64>,
}

impl UsageJson {
    fn usage(&self, tier: Option<ServiceTier>) -> Usage {
        let prompt = self.prompt_tokens_details.as_ref();
        let details = prompt.into_iter().chain(&self.completion_tokens_details);
        let audio = details.filter_map(|details| details.audio_tokens).reduce(u64::saturating_add);
        Usage {
            input: self.prompt_tokens.unwrap_or(0),
            cache_read: prompt.and_then(|details| details.cached_tokens),
            cache_write: prompt.and_then(|details| details.cache_write_tokens),
            output: self.completion_tokens.unwrap_or(0),
            reasoning: self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens),
            billing: Billing { tier, audio, ..Billing::default() },
        }
    }
}

impl MessageJson<'_> {
    fn reasoning_text(&self) -> Option<String> {
        let plain = self.reasoning_content.clone();
        plain.or_else(|| text_or_json(self.reasoning)).filter(|text| !text.is_empty())
    }

    fn content_text(&self) -> Option<String> {
        let raw = self.content?.get();
        if raw.starts_with('[') {
            let parts: Vec<Value> = serde_json::from_str(raw).ok()?;
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            return Some(texts.collect::<String>()).filter(|text| !text.is_empty());
        }
        text_or_json(self.content).filter(|text| !text.is_empty())
    }
}

impl ToolCallJson<'_> {
    fn signature(&self) -> Option<String> {
        let google = self.extra_content.as_ref()?.get("google")?;
        google.get("thought_signature")?.as_str().map(str::to_owned)
    }
}

fn parse(body: &str) -> Result<Completion<'_>, ApiError> {
    serde_json::from_str(body)
        .map_err(|_| ApiError::upstream("the provider's answer is not a chat completion"))
}

pub(in crate::protocol) fn stop_reason(reason: &str, has_calls: bool) -> StopReason {
    match reason {
        "length" => StopReason::MaxTokens,
        "content_filter" => StopReason::Filtered,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        _ if has_calls => StopReason::ToolUse,
        _ => StopReason::EndTurn,
    }
}

pub(in crate::protocol) fn read(body: &str, id_seed: &str) -> Result<Answer, ApiError> {
    let completion = parse(body)?;
    if let Some(error) = completion.error.filter(|raw| raw.get() != "null") {
        return Err(in_stream_error(error));
    }
    let choices = completion
        .choices
        .filter(|choices| !choices.is_empty())
        .ok_or_else(|| ApiError::upstream("the provider's answer has no choices"))?;
    let mut calls = 0;
    let choices = choices.into_iter().enumerate().map(|(at, choice)| {
        let position = u32::try_from(at).unwrap_or(0);
        read_choice(choice, position, id_seed, &mut calls)
    });
    Ok(Answer {
        id: completion.id,
        model: completion.model,
        choices: choices.collect(),
        usage: completion.usage.map(|usage| usage.usage(completion.service_tier)),
    })
}

fn in_stream_error(raw: &RawValue) -> ApiError {
    provider_error::in_stream(&serde_json::from_str(raw.get()).unwrap_or(Value::Null))
}

fn read_choice(choice: ChoiceJson<'_>, position: u32, id_seed: &str, calls: &mut usize) -> Choice {
    let message = choice.message.or(choice.delta).unwrap_or_default();
    let mut parts = reasoning_parts(&message);
    parts.extend(message.content_text().map(|text| Part::Text { text, signature: None }));
    for call in message.tool_calls.unwrap_or_default() {
        let signature = call.signature();
        let function = call.function.unwrap_or_default();
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{id_seed}_{calls}"));
        *calls += 1;
        let arguments = text_or_json(function.arguments).filter(|text| !text.is_empty());
        parts.push(Part::ToolCall {
            id,
            name: function.name.unwrap_or_default(),
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            signature,
        });
    }
    parts.extend(message.refusal.filter(|text| !text.is_empty()).map(Part::Refusal));
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let stop = stop_reason(choice.finish_reason.as_deref().unwrap_or("stop"), has_calls);
    Choice { index: choice.index.unwrap_or(position), parts, stop }
}

fn reasoning_parts(message: &MessageJson<'_>) -> Vec<Part> {
    let details = message.reasoning_details.as_deref().unwrap_or_default();
    let mut parts: Vec<Part> = details.iter().filter_map(detail_part).collect();
    if parts.is_empty() {
        parts.extend(message.reasoning_text().map(|text| Part::Reasoning { text, signature: None }));
    }
    parts
}

fn detail_part(detail: &DetailJson) -> Option<Part> {
    match detail.kind.as_deref() {
        Some("reasoning.encrypted") => Some(Part::RedactedReasoning { data: detail.data.clone()? }),
        _ => {
            let text = detail.text.clone().or_else(|| detail.summary.clone()).unwrap_or_default();
            Some(Part::Reasoning { text, signature: detail.signature.clone() })
        }
    }
}

/// Reads a stream of chunks.
#[derive(Debug)]
pub(in crate::protocol) struct StreamReader {
    id_seed: String,
    started: bool,
    done: bool,
    choices: Vec<ChoiceState>,
    calls: usize,
}

#[derive(Debug)]
struct ChoiceState {
    index: u32,
    /// The tool call that is being received: its index and id.
    call: Option<(u32, String)>,
    has_calls: bool,
    has_arguments: bool,
    stopped: bool,
}

impl StreamReader {
    pub(in crate::protocol) fn new(id_seed: &str) -> Self {
        Self { id_seed: id_seed.to_owned(), started: false, done: false, choices: Vec::new(), calls: 0 }
    }

    pub(in crate::protocol) fn event(&mut self, data: &str, out: &mut Vec<Event>) {
        let data = data.trim();
        if data == "[DONE]" {
            self.end(out);
            return;
        }
        let completion = match parse(data) {
            Ok(completion) => completion,
            Err(error) => {
                out.push(Event::Error(error));
                return;
            }
        };
        if let Some(error) = completion.error.filter(|raw| raw.get() != "null") {
            out.push(Event::Error(in_stream_error(error)));
            return;
        }
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: completion.id, model: completion.model, usage: None });
        }
        for choice in completion.choices.unwrap_or_default() {
            self.choice(choice, out);
        }
        out.extend(completion.usage.map(|usage| Event::Usage(usage.usage(completion.service_tier))));
    }

    /// Some hosts end without `[DONE]`; the answer is whole if every choice has stopped.
    pub(in crate::protocol) fn end(&mut self, out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        self.done = true;
        let whole = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.stopped);
        out.push(if whole { Event::Done } else { Event::Error(ApiError::truncated()) });
    }

    fn choice(&mut self, choice: ChoiceJson<'_>, out: &mut Vec<Event>) {
        let index = choice.index.unwrap_or(0);
        let at = self.choices.iter().position(|state| state.index == index).unwrap_or_else(|| {
            let new =
                ChoiceState { index, call: None, has_calls: false, has_arguments: false, stopped: false };
            self.choices.push(new);
            self.choices.len() - 1
        });
        let Some(state) = self.choices.get_mut(at) else { return };
        let mut push = |delta| out.push(Event::Part { choice: index, delta });
        if let Some(message) = choice.delta.or(choice.message) {
            reasoning_deltas(&message, &mut push);
            if let Some(text) = message.content_text() {
                state.end_call(&mut push);
                push(Delta::Text(text));
            }
            if let Some(refusal) = message.refusal.filter(|text| !text.is_empty()) {
                push(Delta::Refusal(refusal));
            }
            for call in message.tool_calls.unwrap_or_default() {
                if let Err(error) = state.call(call, &self.id_seed, &mut self.calls, &mut push) {
                    out.push(Event::Error(error));
                    return;
                }
            }
        }
        if let Some(reason) = choice.finish_reason.filter(|_| !state.stopped) {
            state.end_call(&mut push);
            state.stopped = true;
            out.push(Event::Stop { choice: index, reason: stop_reason(&reason, state.has_calls) });
        }
    }
}

fn reasoning_deltas(message: &MessageJson<'_>, push: &mut impl FnMut(Delta)) {
    let details = message.reasoning_details.as_deref().unwrap_or_default();
    if details.is_empty()
        && let Some(text) = message.reasoning_text()
    {
        push(Delta::Reasoning(text));
    }
    for part in details.iter().filter_map(detail_part) {
        match part {
            Part::Reasoning { text, signature } => {
                if !text.is_empty() {
                    push(Delta::Reasoning(text));
                }
                if let Some(signature) = signature {
                    push(Delta::Signature(signature));
                }
            }
            Part::RedactedReasoning { data } => push(Delta::RedactedReasoning(data)),
            _ => (),
        }
    }
}

impl ChoiceState {
    fn call(
        &mut self,
        call: ToolCallJson<'_>,
        id_seed: &str,
        calls: &mut usize,
        push: &mut impl FnMut(Delta),
    ) -> Result<(), ApiError> {
        let index = call.index.unwrap_or(0);
        let signature = call.signature();
        let function = call.function.unwrap_or_default();
        let id = call.id.filter(|id| !id.is_empty());
        let is_new = match &self.call {
            None => true,
            // Some hosts give all calls of an answer the index 0.
            Some((current, current_id)) => index > *current || id.as_ref().is_some_and(|id| id != current_id),
        };
        if is_new {
            self.end_call(push);
            let id = id.unwrap_or_else(|| format!("call_{id_seed}_{calls}"));
            *calls += 1;
            self.call = Some((index, id.clone()));
            self.has_calls = true;
            self.has_arguments = false;
            push(Delta::ToolCall { id, name: function.name.unwrap_or_default(), signature });
        } else if self.call.as_ref().is_some_and(|(current, _)| index != *current) {
            return Err(ApiError::upstream("the provider sent fragments of two tool calls in turns"));
        }
        if let Some(arguments) = text_or_json(function.arguments).filter(|text| !text.is_empty()) {
            self.has_arguments = true;
            push(Delta::Arguments(arguments));
        }
        Ok(())
    }

    fn end_call(&mut self, push: &mut impl FnMut(Delta)) {
        if self.call.take().is_some() {
            if !self.has_arguments {
                push(Delta::Arguments("{}".to_owned()));
            }
            push(Delta::End);
        }
    }
}
