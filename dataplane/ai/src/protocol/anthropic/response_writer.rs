use crate::framing::sse;
use crate::protocol::answer::{Answer, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::json::{Json, Map, RawJson};
use crate::protocol::{ClientProtocol, RequestContext, media_note};

fn stop(reason: &StopReason) -> (&'static str, Json) {
    let name = match reason {
        StopReason::EndTurn | StopReason::Failed(_) => "end_turn",
        StopReason::MaxTokens => "max_tokens",
        // Without the sequence it cannot be told from an end of the turn by the client either.
        StopReason::StopSequence(sequence) => {
            return ("stop_sequence", sequence.as_ref().map_or(Json::Null, Json::from));
        }
        StopReason::ToolUse => "tool_use",
        StopReason::Filtered => "refusal",
        StopReason::Paused => "pause_turn",
        StopReason::ContextExceeded => "model_context_window_exceeded",
    };
    (name, Json::Null)
}

fn usage(usage: &Usage) -> Map {
    Map::new()
        .with("input_tokens", usage.uncached_input())
        .with("cache_creation_input_tokens", usage.cache_write.unwrap_or(0))
        .with("cache_read_input_tokens", usage.cache_read.unwrap_or(0))
        .with("output_tokens", usage.output)
        .with_some(
            "output_tokens_details",
            usage.reasoning.map(|tokens| Map::new().with("thinking_tokens", tokens)),
        )
}

fn message(id: Option<String>, model: Option<String>, context: &RequestContext) -> Map {
    Map::new()
        .with("id", id.unwrap_or_else(|| format!("msg_{}", context.id_seed)))
        .with("type", "message")
        .with("role", "assistant")
        .with("model", model.unwrap_or_else(|| context.model.clone()))
}

fn thinking(text: &str, signature: &str) -> Map {
    Map::tagged("thinking").with("thinking", text).with("signature", signature)
}

pub(in crate::protocol) fn write(answer: Answer, context: &RequestContext) -> Result<Map, ApiError> {
    let choice = answer.choices.into_iter().next();
    let choice = choice.ok_or_else(|| ApiError::upstream("the provider gave no answer"))?;
    let mut blocks: Vec<Map> = Vec::new();
    for part in choice.parts {
        blocks.push(block(part)?);
    }
    let (reason, sequence) = stop(&choice.stop);
    Ok(message(answer.id, answer.model, context)
        .with("content", blocks)
        .with("stop_reason", reason)
        .with("stop_sequence", sequence)
        .with("usage", usage(&answer.usage.unwrap_or_default())))
}

fn block(part: Part) -> Result<Map, ApiError> {
    Ok(match part {
        Part::Text { text, .. } | Part::Refusal(text) => Map::tagged("text").with("text", text),
        Part::Reasoning { text, signature } => thinking(&text, signature.as_deref().unwrap_or_default()),
        Part::RedactedReasoning { data } => Map::tagged("redacted_thinking").with("data", data),
        Part::ToolCall { id, name, arguments, .. } => {
            let input = RawJson::parse(&arguments).filter(|raw| raw.as_str().starts_with('{'));
            let input = input.ok_or_else(ApiError::bad_arguments)?;
            Map::tagged("tool_use").with("id", id).with("name", name).with("input", input)
        }
        Part::Media { mime, .. } => Map::tagged("text").with("text", media_note(&mime)),
    })
}

/// Writes a stream of events: one block is open at a time.
#[derive(Debug)]
pub(in crate::protocol) struct StreamWriter {
    context: RequestContext,
    started: bool,
    open: Option<Open>,
    index: u64,
    usage: Usage,
    stop: StopReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    ToolUse,
}

fn emit(out: &mut Vec<u8>, event: &Map, name: &str) {
    sse::write_event(out, Some(name), &event.to_text());
}

impl StreamWriter {
    pub(in crate::protocol) fn new(context: &RequestContext) -> Self {
        Self {
            context: context.clone(),
            started: false,
            open: None,
            index: 0,
            usage: Usage::default(),
            stop: StopReason::EndTurn,
        }
    }

    pub(in crate::protocol) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, usage } => self.start(id, model, usage, out),
            // This protocol has one answer.
            Event::Part { choice: 0, delta } => self.part(delta, out),
            Event::Stop { choice: 0, reason } => self.stop = reason,
            Event::Part { .. } | Event::Stop { .. } => (),
            Event::Usage(usage) => self.usage = usage,
            Event::Error(error) => {
                emit(out, &error.body(ClientProtocol::AnthropicMessages), "error");
            }
            Event::Done => self.done(out),
        }
    }

    fn start(&mut self, id: Option<String>, model: Option<String>, used: Option<Usage>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = message(id, model, &self.context)
            .with("content", Vec::<Json>::new())
            .with("stop_reason", Json::Null)
            .with("stop_sequence", Json::Null)
            .with("usage", usage(&used.unwrap_or_default()));
        emit(out, &Map::tagged("message_start").with("message", message), "message_start");
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        self.start(None, None, None, out);
        self.close(out);
        let (reason, sequence) = stop(&self.stop);
        let delta = Map::new().with("stop_reason", reason).with("stop_sequence", sequence);
        let event = Map::tagged("message_delta").with("delta", delta).with("usage", usage(&self.usage));
        emit(out, &event, "message_delta");
        emit(out, &Map::tagged("message_stop"), "message_stop");
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let event = Map::tagged("content_block_stop").with("index", self.index);
            emit(out, &event, "content_block_stop");
            self.index += 1;
        }
    }

    fn open(&mut self, kind: Open, block: Map, out: &mut Vec<u8>) {
        self.close(out);
        self.open = Some(kind);
        let event = Map::tagged("content_block_start").with("index", self.index).with("content_block", block);
        emit(out, &event, "content_block_start");
    }

    fn delta(&self, delta: Map, out: &mut Vec<u8>) {
        let event = Map::tagged("content_block_delta").with("index", self.index).with("delta", delta);
        emit(out, &event, "content_block_delta");
    }

    fn part(&mut self, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => self.text(text, out),
            Delta::Media { mime, .. } => self.text(media_note(&mime), out),
            Delta::Reasoning(text) => {
                self.open_thinking(out);
                self.delta(Map::tagged("thinking_delta").with("thinking", text), out);
            }
            Delta::Signature(signature) | Delta::TextSignature(signature) => self.sign(signature, out),
            Delta::RedactedReasoning(data) => {
                let block = Map::tagged("redacted_thinking").with("data", data);
                self.open(Open::Thinking, block, out);
                self.close(out);
            }
            Delta::ToolCall { id, name, signature } => {
                if let Some(signature) = signature {
                    self.sign(signature, out);
                }
                let block =
                    Map::tagged("tool_use").with("id", id).with("name", name).with("input", Map::new());
                self.open(Open::ToolUse, block, out);
            }
            Delta::Arguments(fragment) => {
                if self.open == Some(Open::ToolUse) {
                    self.delta(Map::tagged("input_json_delta").with("partial_json", fragment), out);
                }
            }
            Delta::End => self.close(out),
        }
    }

    fn text(&mut self, text: String, out: &mut Vec<u8>) {
        if self.open != Some(Open::Text) {
            self.open(Open::Text, Map::tagged("text").with("text", ""), out);
        }
        self.delta(Map::tagged("text_delta").with("text", text), out);
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if self.open != Some(Open::Thinking) {
            self.open(Open::Thinking, thinking("", ""), out);
        }
    }

    /// Ends the thinking at hand with its signature; without any, a block of its own holds it.
    fn sign(&mut self, signature: String, out: &mut Vec<u8>) {
        self.open_thinking(out);
        self.delta(Map::tagged("signature_delta").with("signature", signature), out);
        self.close(out);
    }
}
