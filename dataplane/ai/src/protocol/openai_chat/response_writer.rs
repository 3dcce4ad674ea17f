use crate::framing::sse;
use crate::protocol::answer::{Answer, Choice, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::json::{Json, Map};
use crate::protocol::{ClientProtocol, RequestContext};

fn finish_reason(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::Failed(_) => "stop",
        other => other.name(),
    }
}

fn usage(usage: &Usage) -> Map {
    let prompt = Map::new()
        .with("cached_tokens", usage.cache_read.unwrap_or(0))
        .with_some("cache_write_tokens", usage.cache_write);
    let completion = Map::new().with("reasoning_tokens", usage.reasoning.unwrap_or(0));
    Map::new()
        .with("prompt_tokens", usage.input)
        .with("completion_tokens", usage.output)
        .with("total_tokens", usage.total())
        .with("prompt_tokens_details", prompt)
        .with("completion_tokens_details", completion)
}

fn head(object: &str, id: Option<String>, model: Option<String>, context: &RequestContext) -> Map {
    Map::new()
        .with("id", id.unwrap_or_else(|| format!("chatcmpl-{}", context.id_seed)))
        .with("object", object)
        .with("created", context.created)
        .with("model", model.unwrap_or_else(|| context.model.clone()))
}

fn tool_call(id: &str, name: &str, arguments: &str, signature: Option<&String>) -> Map {
    let function = Map::new().with("name", name).with("arguments", arguments);
    // Where Google's own OpenAI endpoint puts the signature.
    let extra =
        signature.map(|signature| Map::new().with("google", Map::new().with("thought_signature", signature)));
    Map::new()
        .with("id", id)
        .with("type", "function")
        .with("function", function)
        .with_some("extra_content", extra)
}

fn image(index: usize, mime: &str, data: &str) -> Map {
    let url = Map::new().with("url", format!("data:{mime};base64,{data}"));
    Map::tagged("image_url").with("image_url", url).with("index", index)
}

/// Reasoning with what the provider needs to take it back.
fn reasoning_detail(index: usize, text: &str, signature: Option<&String>) -> Map {
    Map::tagged("reasoning.text").with("text", text).with_some("signature", signature).with("index", index)
}

fn encrypted_detail(index: usize, data: &str) -> Map {
    Map::tagged("reasoning.encrypted").with("data", data).with("index", index)
}

pub(in crate::protocol) fn write(answer: Answer, context: &RequestContext) -> Map {
    let choices: Vec<Map> = answer.choices.iter().map(choice).collect();
    head("chat.completion", answer.id, answer.model, context)
        .with("choices", choices)
        .with_some("usage", answer.usage.as_ref().map(usage))
}

fn choice(choice: &Choice) -> Map {
    let mut text = String::new();
    let mut refusal: Option<String> = None;
    let mut reasoning = String::new();
    let mut details: Vec<Map> = Vec::new();
    let mut signed = false;
    let mut calls: Vec<Map> = Vec::new();
    let mut images: Vec<Map> = Vec::new();
    for part in &choice.parts {
        match part {
            Part::Text { text: more, .. } => text.push_str(more),
            Part::Refusal(more) => refusal.get_or_insert_default().push_str(more),
            Part::Reasoning { text: more, signature } => {
                reasoning.push_str(more);
                signed |= signature.is_some();
                details.push(reasoning_detail(details.len(), more, signature.as_ref()));
            }
            Part::RedactedReasoning { data } => {
                signed = true;
                details.push(encrypted_detail(details.len(), data));
            }
            Part::ToolCall { id, name, arguments, signature } => {
                calls.push(tool_call(id, name, arguments, signature.as_ref()));
            }
            Part::Media { mime, data } => images.push(image(images.len(), mime, data)),
        }
    }
    let content =
        if text.is_empty() && (!calls.is_empty() || refusal.is_some()) { Json::Null } else { text.into() };
    let mut message = Map::new()
        .with("role", "assistant")
        .with("content", content)
        .with("refusal", refusal.map_or(Json::Null, Json::from));
    if !reasoning.is_empty() {
        message.set("reasoning_content", reasoning);
    }
    let lists =
        [("reasoning_details", details, signed), ("tool_calls", calls, true), ("images", images, true)];
    for (name, list, wanted) in lists {
        if wanted && !list.is_empty() {
            message.set(name, list);
        }
    }
    Map::new()
        .with("index", choice.index)
        .with("message", message)
        .with("logprobs", Json::Null)
        .with("finish_reason", finish_reason(&choice.stop))
}

/// Writes a stream of chunks.
#[derive(Debug)]
pub(in crate::protocol) struct StreamWriter {
    context: RequestContext,
    id: Option<String>,
    model: Option<String>,
    choices: Vec<ChoiceState>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    calls: usize,
    details: usize,
    images: usize,
    /// Reasoning so far, which its signature has to follow in one piece.
    reasoning: String,
}

impl StreamWriter {
    pub(in crate::protocol) fn new(context: &RequestContext) -> Self {
        Self { context: context.clone(), id: None, model: None, choices: Vec::new(), usage: None }
    }

    pub(in crate::protocol) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                self.id = id;
                self.model = model;
            }
            Event::Part { choice, delta } => self.part(choice, delta, out),
            Event::Stop { choice, reason } => {
                self.open(choice, out);
                self.choice_chunk(choice, Map::new(), finish_reason(&reason).into(), out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Error(error) => Self::error(&error, out),
            Event::Done => self.done(out),
        }
    }

    fn error(error: &ApiError, out: &mut Vec<u8>) {
        sse::write_event(out, None, &error.body(ClientProtocol::OpenAiChat).to_text());
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        if self.context.include_usage {
            let usage = usage(&self.usage.unwrap_or_default());
            self.chunk(Vec::new(), usage.into(), out);
        }
        sse::write_event(out, None, "[DONE]");
    }

    fn chunk(&self, choices: Vec<Map>, usage: Json, out: &mut Vec<u8>) {
        let head = head("chat.completion.chunk", self.id.clone(), self.model.clone(), &self.context);
        let mut chunk = head.with("choices", choices);
        if self.context.include_usage {
            chunk.set("usage", usage);
        }
        sse::write_event(out, None, &chunk.to_text());
    }

    fn choice_chunk(&self, index: u32, delta: Map, finish_reason: Json, out: &mut Vec<u8>) {
        let choice = Map::new()
            .with("index", index)
            .with("delta", delta)
            .with("logprobs", Json::Null)
            .with("finish_reason", finish_reason);
        self.chunk(vec![choice], Json::Null, out);
    }

    /// The first chunk of a choice tells the role.
    fn open(&mut self, index: u32, out: &mut Vec<u8>) {
        if !self.choices.iter().any(|choice| choice.index == index) {
            self.choices.push(ChoiceState { index, ..ChoiceState::default() });
            let delta = Map::new().with("role", "assistant").with("content", "");
            self.choice_chunk(index, delta, Json::Null, out);
        }
    }

    fn part(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        self.open(index, out);
        let Some(state) = self.choices.iter_mut().find(|choice| choice.index == index) else { return };
        if let Some(delta) = state.delta(delta) {
            self.choice_chunk(index, delta, Json::Null, out);
        }
    }
}

impl ChoiceState {
    fn delta(&mut self, delta: Delta) -> Option<Map> {
        Some(match delta {
            Delta::Text(text) => Map::new().with("content", text),
            Delta::Refusal(text) => Map::new().with("refusal", text),
            Delta::Reasoning(text) => {
                self.reasoning.push_str(&text);
                Map::new().with("reasoning_content", text)
            }
            Delta::Signature(signature) | Delta::TextSignature(signature) => {
                let text = std::mem::take(&mut self.reasoning);
                let detail = reasoning_detail(self.details, &text, Some(&signature));
                self.details += 1;
                Map::new().with("reasoning_details", vec![detail])
            }
            Delta::RedactedReasoning(data) => {
                let detail = encrypted_detail(self.details, &data);
                self.details += 1;
                Map::new().with("reasoning_details", vec![detail])
            }
            Delta::ToolCall { id, name, signature } => {
                let call = Map::new().with("index", self.calls);
                self.calls += 1;
                let function = Map::new().with("name", name).with("arguments", "");
                let extra = signature.map(|signature| {
                    Map::new().with("google", Map::new().with("thought_signature", signature))
                });
                let call = call
                    .with("id", id)
                    .with("type", "function")
                    .with("function", function)
                    .with_some("extra_content", extra);
                Map::new().with("tool_calls", vec![call])
            }
            Delta::Arguments(fragment) => {
                let function = Map::new().with("arguments", fragment);
                let index = self.calls.saturating_sub(1);
                let call = Map::new().with("index", index).with("function", function);
                Map::new().with("tool_calls", vec![call])
            }
            Delta::Media { mime, data } => {
                let image = image(self.images, &mime, &data);
                self.images += 1;
                Map::new().with("images", vec![image])
            }
            Delta::End => return None,
        })
    }
}
