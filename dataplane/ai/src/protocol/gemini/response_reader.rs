use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::answer::{Answer, Choice, Collector, Delta, Event, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::lenient::count;
use crate::protocol::provider_error;
use crate::usage::Billing;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseJson<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<CandidateJson<'a>>>,
    prompt_feedback: Option<FeedbackJson>,
    usage_metadata: Option<UsageJson>,
    model_version: Option<String>,
    response_id: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateJson<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<ContentJson<'a>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ContentJson<'a> {
    #[serde(borrow)]
    parts: Option<Vec<PartJson<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartJson<'a> {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<CallJson<'a>>,
    inline_data: Option<DataJson>,
}

#[derive(Deserialize)]
struct CallJson<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataJson {
    mime_type: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeedbackJson {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson {
    #[serde(default, deserialize_with = "count")]
    prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cached_content_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    candidates_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    thoughts_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(flatten)]
    billing: Billing,
}

impl UsageJson {
    fn usage(&self) -> Usage {
        let prompt = self.prompt_token_count.unwrap_or(0);
        let thoughts = self.thoughts_token_count.unwrap_or(0);
        Usage {
            input: prompt.saturating_add(self.tool_use_prompt_token_count.unwrap_or(0)),
            cache_read: self.cached_content_token_count,
            cache_write: None,
            output: self.candidates_token_count.unwrap_or(0).saturating_add(thoughts),
            reasoning: self.thoughts_token_count,
            billing: self.billing,
        }
    }
}

pub(in crate::protocol) fn stop_reason(reason: &str, has_calls: bool) -> StopReason {
    match reason {
        "STOP" | "FINISH_REASON_UNSPECIFIED" if has_calls => StopReason::ToolUse,
        "STOP" | "FINISH_REASON_UNSPECIFIED" => StopReason::EndTurn,
        "MAX_TOKENS" => StopReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => StopReason::Filtered,
        other => StopReason::Failed(other.to_owned()),
    }
}

/// A whole answer is a stream of one chunk.
pub(in crate::protocol) fn read(body: &str, id_seed: &str) -> Result<Answer, ApiError> {
    let mut reader = StreamReader::new(id_seed);
    let mut events = Vec::new();
    // Without SSE a stream is an array.
    match serde_json::from_str::<Vec<&RawValue>>(body) {
        Ok(chunks) => chunks.iter().for_each(|chunk| reader.event(chunk.get(), &mut events)),
        Err(_) => reader.event(body, &mut events),
    }
    reader.end(&mut events);
    let mut collector = Collector::default();
    for event in events {
        collector.take(event)?;
    }
    let mut answer = collector.finish();
    if answer.choices.is_empty() {
        answer.choices.push(Choice { index: 0, parts: Vec::new(), stop: StopReason::EndTurn });
    }
    Ok(answer)
}

/// Reads a stream of `GenerateContentResponse`.
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
    has_calls: bool,
    stopped: bool,
}

impl StreamReader {
    pub(in crate::protocol) fn new(id_seed: &str) -> Self {
        Self { id_seed: id_seed.to_owned(), started: false, done: false, choices: Vec::new(), calls: 0 }
    }

    pub(in crate::protocol) fn event(&mut self, data: &str, out: &mut Vec<Event>) {
        let Ok(response) = serde_json::from_str::<ResponseJson<'_>>(data) else {
            out.push(Event::Error(ApiError::upstream("the provider's answer is not of generateContent")));
            return;
        };
        if let Some(error) = &response.error {
            out.push(Event::Error(provider_error::in_stream(error)));
            return;
        }
        if !self.started {
            self.started = true;
            let (id, model) = (response.response_id, response.model_version);
            out.push(Event::Start { id, model, usage: None });
        }
        for candidate in response.candidates.unwrap_or_default() {
            self.candidate(candidate, out);
        }
        let blocked = response.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        if blocked && self.choices.is_empty() {
            self.choices.push(ChoiceState { index: 0, has_calls: false, stopped: true });
            out.push(Event::Stop { choice: 0, reason: StopReason::Filtered });
        }
        out.extend(response.usage_metadata.map(|usage| Event::Usage(usage.usage())));
    }

    /// Nothing marks the end; the answer is whole if every candidate has stopped.
    pub(in crate::protocol) fn end(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let whole = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.stopped);
        out.push(if whole { Event::Done } else { Event::Error(ApiError::truncated()) });
    }

    fn candidate(&mut self, candidate: CandidateJson<'_>, out: &mut Vec<Event>) {
        let index = candidate.index.unwrap_or(0);
        let at = self.choices.iter().position(|state| state.index == index).unwrap_or_else(|| {
            self.choices.push(ChoiceState { index, has_calls: false, stopped: false });
            self.choices.len() - 1
        });
        let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
        let mut has_calls = false;
        for part in parts {
            has_calls |= part.function_call.is_some();
            self.part(part, index, out);
        }
        let Some(state) = self.choices.get_mut(at) else { return };
        state.has_calls |= has_calls;
        if let Some(reason) = candidate.finish_reason.filter(|_| !state.stopped) {
            state.stopped = true;
            out.push(Event::Stop { choice: index, reason: stop_reason(&reason, state.has_calls) });
        }
    }

    fn part(&mut self, part: PartJson<'_>, choice: u32, out: &mut Vec<Event>) {
        let mut push = |delta| out.push(Event::Part { choice, delta });
        if let Some(call) = part.function_call {
            let id = call.id.filter(|id| !id.is_empty());
            let id = id.unwrap_or_else(|| format!("call_{}_{}", self.id_seed, self.calls));
            self.calls += 1;
            let name = call.name.unwrap_or_default();
            push(Delta::ToolCall { id, name, signature: part.thought_signature });
            push(Delta::Arguments(call.args.map_or("{}", RawValue::get).to_owned()));
            push(Delta::End);
            return;
        }
        if let Some(data) = part.inline_data {
            let mime = data.mime_type.unwrap_or_default();
            push(Delta::Media { mime, data: data.data.unwrap_or_default() });
            push(Delta::End);
            return;
        }
        let thought = part.thought.unwrap_or(false);
        if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            push(if thought { Delta::Reasoning(text) } else { Delta::Text(text) });
        }
        if let Some(signature) = part.thought_signature {
            push(if thought { Delta::Signature(signature) } else { Delta::TextSignature(signature) });
        }
    }
}
