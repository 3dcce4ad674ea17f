use crate::framing::sse;
use crate::protocol::answer::{Answer, Delta, Event, Part, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::json::{Map, RawJson};
use crate::protocol::{ClientProtocol, RequestContext};

use super::REDACTED;

fn finish_reason(reason: &StopReason) -> &str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence(_) | StopReason::ToolUse | StopReason::Paused => {
            "STOP"
        }
        StopReason::MaxTokens | StopReason::ContextExceeded => "MAX_TOKENS",
        StopReason::Filtered => "SAFETY",
        // Names of other providers are not known to clients.
        StopReason::Failed(name) if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
            name
        }
        StopReason::Failed(_) => "OTHER",
    }
}

fn usage(usage: &Usage) -> Map {
    let reasoning = usage.reasoning.unwrap_or(0);
    Map::new()
        .with("promptTokenCount", usage.input)
        .with("candidatesTokenCount", usage.output.saturating_sub(reasoning))
        .with("totalTokenCount", usage.total())
        .with_some("cachedContentTokenCount", usage.cache_read)
        .with_some("thoughtsTokenCount", usage.reasoning)
}

fn response(
    candidates: Vec<Map>,
    usage: Option<Map>,
    id: Option<&String>,
    model: Option<&String>,
    context: &RequestContext,
) -> Map {
    Map::new()
        .with("candidates", candidates)
        .with_some("usageMetadata", usage)
        .with("modelVersion", model.unwrap_or(&context.model))
        .with("responseId", id.unwrap_or(&context.id_seed))
}

fn candidate(index: u32, parts: Vec<Map>, reason: Option<&StopReason>) -> Map {
    let content = Map::new().with("parts", parts).with("role", "model");
    Map::new()
        .with("content", content)
        .with_some("finishReason", reason.map(finish_reason))
        .with("index", index)
}

fn text_part(text: &str) -> Map {
    Map::new().with("text", text)
}

fn thought(text: &str, signature: Option<&String>) -> Map {
    text_part(text).with("thought", true).with_some("thoughtSignature", signature)
}

fn redacted(data: &str) -> Map {
    thought("", Some(&format!("{REDACTED}{data}")))
}

fn media(mime: &str, data: &str) -> Map {
    Map::new().with("inlineData", Map::new().with("mimeType", mime).with("data", data))
}

fn function_call(id: &str, name: &str, arguments: &str, signature: Option<&String>) -> Result<Map, ApiError> {
    let args = RawJson::parse(arguments).filter(|raw| raw.as_str().starts_with('{'));
    let args = args.ok_or_else(ApiError::bad_arguments)?;
    let call = Map::new().with("id", id).with("name", name).with("args", args);
    Ok(Map::new().with("functionCall", call).with_some("thoughtSignature", signature))
}

fn part(part: &Part) -> Result<Map, ApiError> {
    Ok(match part {
        Part::Text { text, signature } => text_part(text).with_some("thoughtSignature", signature.as_ref()),
        Part::Refusal(text) => text_part(text),
        Part::Reasoning { text, signature } => thought(text, signature.as_ref()),
        Part::RedactedReasoning { data } => redacted(data),
        Part::ToolCall { id, name, arguments, signature } => {
            function_call(id, name, arguments, signature.as_ref())?
        }
        Part::Media { mime, data } => media(mime, data),
    })
}

pub(in crate::protocol) fn write(answer: &Answer, context: &RequestContext) -> Result<Map, ApiError> {
    let mut candidates = Vec::new();
    for choice in &answer.choices {
        let parts: Result<Vec<Map>, ApiError> = choice.parts.iter().map(part).collect();
        candidates.push(candidate(choice.index, parts?, Some(&choice.stop)));
    }
    let usage = answer.usage.as_ref().map(usage);
    Ok(response(candidates, usage, answer.id.as_ref(), answer.model.as_ref(), context))
}

/// Writes a stream of `GenerateContentResponse`, by SSE or as a JSON array.
#[derive(Debug)]
pub(in crate::protocol) struct StreamWriter {
    context: RequestContext,
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    stops: Vec<(u32, StopReason)>,
    /// Calls being received: this protocol has no fragments of them.
    calls: Vec<Call>,
    chunks: usize,
}

#[derive(Debug)]
struct Call {
    choice: u32,
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

impl StreamWriter {
    pub(in crate::protocol) fn new(context: &RequestContext) -> Self {
        Self {
            context: context.clone(),
            id: None,
            model: None,
            usage: None,
            stops: Vec::new(),
            calls: Vec::new(),
            chunks: 0,
        }
    }

    pub(in crate::protocol) fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), ApiError> {
        match event {
            Event::Start { id, model, .. } => {
                self.id = id;
                self.model = model;
            }
            Event::Part { choice, delta } => self.part(choice, delta, out)?,
            Event::Stop { choice, reason } => {
                self.end_call(choice, out)?;
                self.stops.push((choice, reason));
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Error(error) => {
                self.emit(&error.body(ClientProtocol::Gemini), out);
                self.end(out);
            }
            Event::Done => self.done(out),
        }
        Ok(())
    }

    fn emit(&mut self, chunk: &Map, out: &mut Vec<u8>) {
        if self.context.json_array {
            out.extend_from_slice(if self.chunks == 0 { b"[" } else { b",\r\n" });
            chunk.write(out);
        } else {
            sse::write_event(out, None, &chunk.to_text());
        }
        self.chunks += 1;
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.context.json_array {
            out.push(b']');
        }
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        let stops = std::mem::take(&mut self.stops);
        let last =
            |(choice, reason): &(u32, StopReason)| candidate(*choice, vec![text_part("")], Some(reason));
        let candidates = stops.iter().map(last).collect();
        let usage = self.usage.as_ref().map(usage);
        let chunk = response(candidates, usage, self.id.as_ref(), self.model.as_ref(), &self.context);
        self.emit(&chunk, out);
        self.end(out);
    }

    fn part(&mut self, choice: u32, delta: Delta, out: &mut Vec<u8>) -> Result<(), ApiError> {
        if let Delta::Arguments(fragment) = delta {
            if let Some(call) = self.calls.iter_mut().find(|call| call.choice == choice) {
                call.arguments.push_str(&fragment);
            }
            return Ok(());
        }
        self.end_call(choice, out)?;
        let part = match delta {
            Delta::Text(text) | Delta::Refusal(text) => text_part(&text),
            Delta::TextSignature(signature) => text_part("").with("thoughtSignature", signature),
            Delta::Reasoning(text) => thought(&text, None),
            Delta::Signature(signature) => thought("", Some(&signature)),
            Delta::RedactedReasoning(data) => redacted(&data),
            Delta::Media { mime, data } => media(&mime, &data),
            Delta::ToolCall { id, name, signature } => {
                self.calls.push(Call { choice, id, name, arguments: String::new(), signature });
                return Ok(());
            }
            Delta::Arguments(_) | Delta::End => return Ok(()),
        };
        self.candidate_chunk(choice, part, out);
        Ok(())
    }

    fn candidate_chunk(&mut self, choice: u32, part: Map, out: &mut Vec<u8>) {
        let candidates = vec![candidate(choice, vec![part], None)];
        let chunk = response(candidates, None, self.id.as_ref(), self.model.as_ref(), &self.context);
        self.emit(&chunk, out);
    }

    fn end_call(&mut self, choice: u32, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let Some(at) = self.calls.iter().position(|call| call.choice == choice) else { return Ok(()) };
        let call = self.calls.remove(at);
        let part = function_call(&call.id, &call.name, &call.arguments, call.signature.as_ref())?;
        self.candidate_chunk(choice, part, out);
        Ok(())
    }
}
