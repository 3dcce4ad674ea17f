use crate::framing::sse;
use crate::protocol::RequestContext;
use crate::protocol::answer::{Delta, Event, StopReason, Usage};
use crate::protocol::error::ApiError;
use crate::protocol::json::{Json, Map};
use crate::protocol::media_note;

use super::response_writer::{
    Status, call_item, item_id, message_item, reasoning_item, redacted, refusal_part, response, response_id,
    summary_part, text_part,
};

/// Writes the events of a response. One item is open at a time; finished ones are kept, because the
/// last event repeats them.
#[derive(Debug)]
pub(in crate::protocol) struct StreamWriter {
    context: RequestContext,
    id: String,
    model: Option<String>,
    started: bool,
    sequence: u64,
    output: Vec<Json>,
    open: Option<Item>,
    usage: Option<Usage>,
    stop: StopReason,
}

#[derive(Debug)]
struct Item {
    id: String,
    kind: ItemKind,
    text: String,
}

#[derive(Debug)]
enum ItemKind {
    Text,
    Refusal,
    Reasoning { encrypted: Option<String>, has_summary: bool },
    Call { call_id: String, name: String },
}

impl StreamWriter {
    pub(in crate::protocol) fn new(context: &RequestContext) -> Self {
        Self {
            context: context.clone(),
            id: response_id(None, context),
            model: None,
            started: false,
            sequence: 0,
            output: Vec::new(),
            open: None,
            usage: None,
            stop: StopReason::EndTurn,
        }
    }

    pub(in crate::protocol) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                self.id = response_id(id.as_ref(), &self.context);
                self.model = model;
                self.start(out);
            }
            // This protocol has one answer.
            Event::Part { choice: 0, delta } => self.part(delta, out),
            Event::Stop { choice: 0, reason } => self.stop = reason,
            Event::Part { .. } | Event::Stop { .. } => (),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Error(error) => self.failed(&error, out),
            Event::Done => self.done(out),
        }
    }

    fn emit(&mut self, name: &str, fields: Map, out: &mut Vec<u8>) {
        let mut event = Map::tagged(name).with("sequence_number", self.sequence);
        self.sequence += 1;
        event.append(fields);
        sse::write_event(out, Some(name), &event.to_text());
    }

    fn response(&self, status: &Status<'_>) -> Map {
        let output = self.output.clone();
        let map = response(&self.id, self.model.as_ref(), status, output, self.usage.as_ref(), &self.context);
        Map::new().with("response", map)
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            let fields = self.response(&Status::InProgress);
            self.emit(name, fields, out);
        }
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let stop = self.stop.clone();
        let status = Status::Stopped(&stop);
        let fields = self.response(&status);
        self.emit(&format!("response.{}", status.name()), fields, out);
    }

    fn failed(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.start(out);
        let fields = self.response(&Status::Failed(error));
        self.emit("response.failed", fields, out);
    }

    /// The fields that say which item, and which part of it, an event is about.
    fn place(&self, id: &str, part: Option<&'static str>) -> Map {
        let mut place = Map::new().with("item_id", id).with("output_index", self.output.len());
        if let Some(part) = part {
            place.set(part, 0u64);
        }
        place
    }

    fn open(&mut self, prefix: &str, kind: ItemKind, out: &mut Vec<u8>) {
        self.close(out);
        let id = item_id(prefix, self.output.len(), &self.context);
        let item = match &kind {
            ItemKind::Text | ItemKind::Refusal => message_item(&id, "in_progress", Vec::new()),
            ItemKind::Reasoning { .. } => reasoning_item(&id, "", None),
            ItemKind::Call { call_id, name } => call_item(&id, "in_progress", call_id, name, ""),
        };
        let fields = Map::new().with("output_index", self.output.len()).with("item", item);
        self.emit("response.output_item.added", fields, out);
        let part = match &kind {
            ItemKind::Text => Some(text_part("")),
            ItemKind::Refusal => Some(refusal_part("")),
            ItemKind::Reasoning { .. } | ItemKind::Call { .. } => None,
        };
        if let Some(part) = part {
            let fields = self.place(&id, Some("content_index")).with("part", part);
            self.emit("response.content_part.added", fields, out);
        }
        self.open = Some(Item { id, kind, text: String::new() });
    }

    fn part(&mut self, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.text(&text, out),
            Delta::Media { mime, .. } => self.text(&media_note(&mime), out),
            Delta::Refusal(text) => {
                if !matches!(&self.open, Some(Item { kind: ItemKind::Refusal, .. })) {
                    self.open("msg", ItemKind::Refusal, out);
                }
                self.delta("response.refusal.delta", Some("content_index"), &text, out);
            }
            Delta::Reasoning(text) => self.reasoning(&text, out),
            Delta::Signature(signature) | Delta::TextSignature(signature) => self.sign(signature, out),
            Delta::RedactedReasoning(data) => {
                let encrypted = Some(redacted(&data));
                self.open("rs", ItemKind::Reasoning { encrypted, has_summary: false }, out);
                self.close(out);
            }
            Delta::ToolCall { id, name, signature } => {
                if let Some(signature) = signature {
                    self.sign(signature, out);
                }
                self.open("fc", ItemKind::Call { call_id: id, name }, out);
            }
            Delta::Arguments(fragment) => {
                if matches!(&self.open, Some(Item { kind: ItemKind::Call { .. }, .. })) {
                    self.delta("response.function_call_arguments.delta", None, &fragment, out);
                }
            }
            Delta::End => self.close(out),
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !matches!(&self.open, Some(Item { kind: ItemKind::Text, .. })) {
            self.open("msg", ItemKind::Text, out);
        }
        let Some(item) = &mut self.open else { return };
        item.text.push_str(text);
        let id = item.id.clone();
        let fields = self.place(&id, Some("content_index"));
        let fields = fields.with("delta", text).with("logprobs", Vec::<Json>::new());
        self.emit("response.output_text.delta", fields, out);
    }

    fn open_reasoning(&mut self, out: &mut Vec<u8>) {
        if !matches!(&self.open, Some(Item { kind: ItemKind::Reasoning { .. }, .. })) {
            self.open("rs", ItemKind::Reasoning { encrypted: None, has_summary: false }, out);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        self.open_reasoning(out);
        let Some(Item { id, kind: ItemKind::Reasoning { has_summary, .. }, .. }) = &mut self.open else {
            return;
        };
        if !std::mem::replace(has_summary, true) {
            let id = id.clone();
            let fields = self.place(&id, Some("summary_index")).with("part", summary_part(""));
            self.emit("response.reasoning_summary_part.added", fields, out);
        }
        self.delta("response.reasoning_summary_text.delta", Some("summary_index"), text, out);
    }

    /// Ends the reasoning at hand with what the provider needs to take it back.
    fn sign(&mut self, signature: String, out: &mut Vec<u8>) {
        self.open_reasoning(out);
        if let Some(Item { kind: ItemKind::Reasoning { encrypted, .. }, .. }) = &mut self.open {
            *encrypted = Some(signature);
        }
        self.close(out);
    }

    fn delta(&mut self, name: &str, part: Option<&'static str>, text: &str, out: &mut Vec<u8>) {
        let Some(item) = &mut self.open else { return };
        item.text.push_str(text);
        let id = item.id.clone();
        let fields = self.place(&id, part).with("delta", text);
        self.emit(name, fields, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(Item { id, kind, text }) = self.open.take() else { return };
        let item = match kind {
            ItemKind::Text => {
                let fields = self.place(&id, Some("content_index"));
                let fields = fields.with("text", text.as_str()).with("logprobs", Vec::<Json>::new());
                self.emit("response.output_text.done", fields, out);
                self.content_part_done(&id, text_part(&text), out);
                message_item(&id, "completed", vec![text_part(&text)])
            }
            ItemKind::Refusal => {
                let fields = self.place(&id, Some("content_index")).with("refusal", text.as_str());
                self.emit("response.refusal.done", fields, out);
                self.content_part_done(&id, refusal_part(&text), out);
                message_item(&id, "completed", vec![refusal_part(&text)])
            }
            ItemKind::Reasoning { encrypted, has_summary } => {
                if has_summary {
                    let fields = self.place(&id, Some("summary_index")).with("text", text.as_str());
                    self.emit("response.reasoning_summary_text.done", fields, out);
                    let fields = self.place(&id, Some("summary_index")).with("part", summary_part(&text));
                    self.emit("response.reasoning_summary_part.done", fields, out);
                }
                reasoning_item(&id, &text, encrypted.as_ref())
            }
            ItemKind::Call { call_id, name } => {
                let fields =
                    self.place(&id, None).with("name", name.as_str()).with("arguments", text.as_str());
                self.emit("response.function_call_arguments.done", fields, out);
                call_item(&id, "completed", &call_id, &name, &text)
            }
        };
        let fields = Map::new().with("output_index", self.output.len()).with("item", item.clone());
        self.emit("response.output_item.done", fields, out);
        self.output.push(item.into());
    }

    fn content_part_done(&mut self, id: &str, part: Map, out: &mut Vec<u8>) {
        let fields = self.place(id, Some("content_index")).with("part", part);
        self.emit("response.content_part.done", fields, out);
    }
}
