use std::collections::HashMap;

use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map, RawJson, is_json_object};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, Family, Media, MediaKind, Request, Role, Source, ToolResult, Turn,
};
use crate::protocol::openai::mime_of_name;

use super::request_writer::is_third_generation;

/// Google's documented stand-in for the signature of a call that another model made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

pub(super) fn system(request: &Request, lost: &mut Lost) -> Result<Option<Map>, RequestError> {
    for message in request.late_system_messages() {
        lost.add_harmless(&message.path, "the system message is moved to the beginning");
    }
    let mut parts: Vec<Json> = Vec::new();
    for block in request.system_blocks() {
        report_cache_mark(block, lost);
        parts.extend(simple_part(block, lost)?);
    }
    Ok((!parts.is_empty()).then(|| Map::new().with("parts", parts)))
}

pub(super) fn contents(request: &Request, lost: &mut Lost) -> Result<Vec<Map>, RequestError> {
    let names = request.tool_names();
    let mut out = Vec::new();
    for turn in request.turns() {
        let parts = TurnWriter { request, names: &names, lost, parts: Vec::new() }.write(&turn)?;
        if !parts.is_empty() {
            let role = if turn.role == Role::Assistant { "model" } else { "user" };
            out.push(Map::new().with("role", role).with("parts", parts));
        }
    }
    Ok(out)
}

fn report_cache_mark(block: &Block, lost: &mut Lost) {
    if let Some(cache) = &block.cache {
        lost.add_harmless(&cache.path, "Gemini has no prompt-cache marks");
    }
}

struct TurnWriter<'a, 'l> {
    request: &'a Request,
    names: &'a HashMap<&'a str, &'a str>,
    lost: &'l mut Lost,
    parts: Vec<Json>,
}

impl TurnWriter<'_, '_> {
    fn write(mut self, turn: &Turn<'_>) -> Result<Vec<Json>, RequestError> {
        // A signature that arrived before the part it belongs to.
        let mut carried: Option<&str> = None;
        let mut signed = false;
        let mut skip = false;
        for (index, block) in turn.blocks.iter().enumerate() {
            report_cache_mark(block, self.lost);
            let next = turn.blocks.get(index + 1).map(|block| &block.kind);
            if std::mem::take(&mut skip) {
                continue;
            }
            match &block.kind {
                BlockKind::Text { text, signature: None } if trailing_signature(next).is_some() => {
                    let signature = trailing_signature(next);
                    let part = Map::new().with("text", text).with_some("thoughtSignature", signature);
                    self.parts.push(part.into());
                    skip = true;
                }
                BlockKind::Reasoning { text, signature } => {
                    carried = self.reasoning(text, signature.as_deref(), next);
                }
                BlockKind::ToolCall(call) => {
                    let stand_in =
                        (!signed && is_third_generation(&self.request.model)).then_some(NO_SIGNATURE);
                    let signature = call.signature.as_deref().or(carried.take()).or(stand_in);
                    // Only the first of parallel calls has one.
                    signed = true;
                    let function =
                        Map::new().with("name", call.name.as_str()).with("args", call.object(&block.path)?);
                    let part = Map::new().with("functionCall", function);
                    self.parts.push(part.with_some("thoughtSignature", signature).into());
                }
                BlockKind::ToolResult(result) => self.tool_result(result, block)?,
                _ => self.parts.extend(simple_part(block, self.lost)?),
            }
        }
        Ok(self.parts)
    }

    /// Writes a thought and returns its signature if the part that follows is to have it.
    fn reasoning<'b>(
        &mut self,
        text: &str,
        signature: Option<&'b str>,
        next: Option<&BlockKind>,
    ) -> Option<&'b str> {
        let before_call = matches!(next, Some(BlockKind::ToolCall(call)) if call.signature.is_none());
        let own = if before_call { None } else { signature };
        if !text.is_empty() || own.is_some() {
            let part = Map::new().with("text", text).with("thought", true);
            self.parts.push(part.with_some("thoughtSignature", own).into());
        }
        if before_call { signature } else { None }
    }

    fn tool_result(&mut self, result: &ToolResult, block: &Block) -> Result<(), RequestError> {
        let name = self.names.get(result.id.as_str()).ok_or_else(|| {
            let reason = format!("no tool call has the id {:?}", result.id);
            RequestError::refused(&block.path, reason)
        })?;
        let text = result.text();
        let response = match RawJson::parse(&text).filter(|_| is_json_object(&text)) {
            Some(object) if !result.failed() => Json::from(object),
            _ => {
                let key = if result.failed() { "error" } else { "output" };
                Map::new().with(key, text).into()
            }
        };
        let function = Map::new().with("name", *name).with("response", response);
        self.parts.push(Map::new().with("functionResponse", function).into());
        for (block, media) in result.media() {
            if !matches!(media.source, Source::Text(_)) {
                self.parts.push(write_media(media, &block.path, self.lost)?.into());
            }
        }
        for block in &result.content {
            report_cache_mark(block, self.lost);
            if let BlockKind::Native(family, kind, _) = &block.kind {
                self.lost.add(&block.path, format!("{kind:?} of {} is not carried", family.name()));
            }
        }
        Ok(())
    }
}

/// The signature of a text, which clients of other protocols keep as empty reasoning after it.
fn trailing_signature(next: Option<&BlockKind>) -> Option<&str> {
    match next {
        Some(BlockKind::Reasoning { text, signature }) if text.is_empty() => signature.as_deref(),
        _ => None,
    }
}

fn simple_part(block: &Block, lost: &mut Lost) -> Result<Option<Json>, RequestError> {
    if block.is_empty_text() {
        return Ok(None);
    }
    let map = match &block.kind {
        BlockKind::Text { text, signature } => {
            Map::new().with("text", text).with_some("thoughtSignature", signature.as_ref())
        }
        BlockKind::Refusal(text) => Map::new().with("text", text),
        BlockKind::Media(media) => write_media(media, &block.path, lost)?,
        BlockKind::RedactedReasoning { .. } => {
            lost.add_harmless(&block.path, "Gemini takes no encrypted reasoning");
            return Ok(None);
        }
        BlockKind::Native(Family::Gemini, _, raw) => return Ok(Some(raw.into())),
        BlockKind::Native(_, kind, _) => {
            lost.add(&block.path, format!("Gemini has no content of type {kind:?}"));
            return Ok(None);
        }
        BlockKind::Reasoning { .. } | BlockKind::ToolCall(_) | BlockKind::ToolResult(_) => {
            return Err(RequestError::refused(
                &block.path,
                "the content does not belong in a system message",
            ));
        }
    };
    Ok(Some(map.into()))
}

fn write_media(media: &Media, path: &str, lost: &mut Lost) -> Result<Map, RequestError> {
    if let Some(detail) = &media.detail
        && detail.value != "auto"
    {
        lost.add(&detail.path, "Gemini has no resolution of single images here");
    }
    if let Source::Text(text) = &media.source {
        return Ok(Map::new().with("text", text));
    }
    let default = match media.kind {
        MediaKind::Image => Some("image/png"),
        MediaKind::Document => Some("application/pdf"),
        MediaKind::Audio | MediaKind::Video => None,
    };
    match &media.source {
        Source::Base64(data) => {
            let mime = media.mime.as_deref().or(default);
            Ok(Map::new().with("inlineData", Map::new().with_some("mimeType", mime).with("data", data)))
        }
        Source::Url(uri) | Source::File(Family::Gemini, uri) => {
            let mime = media.mime.clone().or_else(|| mime_of_name(uri));
            let mime = mime.or_else(|| default.filter(|_| media.kind == MediaKind::Image).map(str::to_owned));
            Ok(Map::new().with("fileData", Map::new().with_some("mimeType", mime).with("fileUri", uri)))
        }
        Source::File(family, _) => {
            Err(RequestError::refused(path, format!("the file is stored at {}", family.name())))
        }
        Source::Text(text) => Ok(Map::new().with("text", text)),
    }
}
