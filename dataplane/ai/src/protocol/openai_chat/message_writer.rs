use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, Family, Media, MediaKind, Message, Request, Role, Source, ToolCall, ToolResult,
};
use crate::protocol::openai;

pub(super) fn messages(request: &Request, lost: &mut Lost) -> Result<Vec<Json>, RequestError> {
    let mut out = Vec::new();
    for message in &request.messages {
        report_cache_marks(&message.blocks, lost);
        match message.role {
            Role::System => out.push(plain("system", message, lost)?),
            Role::Developer => out.push(plain("developer", message, lost)?),
            Role::User => user(message, &mut out, lost)?,
            Role::Assistant => out.push(assistant(request, message, lost)?),
        }
    }
    Ok(out)
}

fn report_cache_marks(blocks: &[Block], lost: &mut Lost) {
    for block in blocks {
        if let Some(cache) = &block.cache {
            lost.add_harmless(&cache.path, "OpenAI's protocol has no prompt-cache marks");
        }
        if let BlockKind::ToolResult(result) = &block.kind {
            report_cache_marks(&result.content, lost);
        }
    }
}

fn start(role: &str, message: &Message) -> Map {
    Map::new().with("role", role).with_some("name", message.name.as_ref().map(|name| &name.value))
}

fn plain(role: &str, message: &Message, lost: &mut Lost) -> Result<Json, RequestError> {
    let blocks: Vec<&Block> = message.blocks.iter().collect();
    Ok(start(role, message).with("content", content(&blocks, lost)?).into())
}

/// A user's turn: one message per tool result, then the rest, images of results included.
fn user(message: &Message, out: &mut Vec<Json>, lost: &mut Lost) -> Result<(), RequestError> {
    let mut rest = Vec::new();
    for block in &message.blocks {
        match &block.kind {
            BlockKind::ToolResult(result) => {
                out.push(tool_result(result, lost).into());
                // A tool message holds text only.
                let media = result.media().filter(|(_, media)| !matches!(media.source, Source::Text(_)));
                rest.extend(media.map(|(block, _)| block));
            }
            _ => rest.push(block),
        }
    }
    let only_results = message.blocks.iter().all(|block| matches!(block.kind, BlockKind::ToolResult(_)));
    if !rest.is_empty() || !only_results {
        out.push(start("user", message).with("content", content(&rest, lost)?).into());
    }
    Ok(())
}

fn tool_result(result: &ToolResult, lost: &mut Lost) -> Map {
    if let Some(field) = &result.is_error {
        lost.add_harmless(&field.path, "OpenAI's protocol does not mark failed tool calls");
    }
    Map::new().with("role", "tool").with("tool_call_id", result.id.as_str()).with("content", result.text())
}

/// A single text is written as such, which every host understands.
fn content(blocks: &[&Block], lost: &mut Lost) -> Result<Json, RequestError> {
    if let [Block { kind: BlockKind::Text { text, .. }, .. }] = blocks {
        return Ok(text.into());
    }
    let mut parts: Vec<Json> = Vec::new();
    for block in blocks {
        parts.extend(part(block, lost)?);
    }
    Ok(parts.into())
}

fn part(block: &Block, lost: &mut Lost) -> Result<Option<Json>, RequestError> {
    match &block.kind {
        BlockKind::Text { text, .. } => Ok(Some(Map::tagged("text").with("text", text).into())),
        BlockKind::Refusal(text) => Ok(Some(Map::tagged("refusal").with("refusal", text).into())),
        BlockKind::Media(media) => Ok(Some(media_part(media, &block.path)?.into())),
        BlockKind::Native(Family::OpenAi, _, raw) => Ok(Some(raw.into())),
        BlockKind::Native(_, kind, _) => {
            lost.add(&block.path, format!("OpenAI's protocol has no content of type {kind:?}"));
            Ok(None)
        }
        _ => Err(RequestError::refused(&block.path, "the content does not belong in a message of this role")),
    }
}

fn media_part(media: &Media, path: &str) -> Result<Map, RequestError> {
    if let Source::Text(text) = &media.source {
        return Ok(Map::tagged("text").with("text", text));
    }
    match media.kind {
        MediaKind::Image => image(media, path),
        MediaKind::Audio => audio(media, path),
        MediaKind::Document => document(media, path),
        MediaKind::Video => Err(RequestError::refused(path, "OpenAI's chat protocol takes no video")),
    }
}

fn data_url(media: &Media, data: &str, default: &str) -> String {
    format!("data:{};base64,{data}", media.mime.as_deref().unwrap_or(default))
}

fn image(media: &Media, path: &str) -> Result<Map, RequestError> {
    let url = match &media.source {
        Source::Base64(data) => data_url(media, data, "image/png"),
        Source::Url(url) => url.clone(),
        Source::File(..) | Source::Text(_) => {
            return Err(RequestError::refused(path, "OpenAI's chat protocol takes no image by file id"));
        }
    };
    let detail = media.detail.as_ref().map(|detail| &detail.value);
    let image = Map::new().with("url", url).with_some("detail", detail);
    Ok(Map::tagged("image_url").with("image_url", image))
}

fn audio(media: &Media, path: &str) -> Result<Map, RequestError> {
    let format = match media.mime.as_deref().and_then(|mime| mime.strip_prefix("audio/")) {
        Some("wav" | "x-wav" | "wave") => Some("wav"),
        Some("mp3" | "mpeg") => Some("mp3"),
        _ => None,
    };
    let (Some(format), Source::Base64(data)) = (format, &media.source) else {
        return Err(RequestError::refused(
            path,
            "OpenAI's chat protocol takes audio as base64 wav or mp3 only",
        ));
    };
    let audio = Map::new().with("data", data).with("format", format);
    Ok(Map::tagged("input_audio").with("input_audio", audio))
}

fn document(media: &Media, path: &str) -> Result<Map, RequestError> {
    let file = match &media.source {
        Source::Base64(data) => Map::new()
            .with("filename", media.title.as_deref().unwrap_or("document.pdf"))
            .with("file_data", data_url(media, data, "application/pdf")),
        Source::File(Family::OpenAi, id) => Map::new().with("file_id", id),
        _ => {
            return Err(RequestError::refused(path, "OpenAI's chat protocol takes documents as base64 only"));
        }
    };
    Ok(Map::tagged("file").with("file", file))
}

fn assistant(request: &Request, message: &Message, lost: &mut Lost) -> Result<Json, RequestError> {
    let mut content_blocks = Vec::new();
    let mut calls: Vec<Map> = Vec::new();
    let mut reasoning = Vec::new();
    for block in &message.blocks {
        match &block.kind {
            BlockKind::ToolCall(call) => calls.push(tool_call(call)),
            BlockKind::Reasoning { .. } | BlockKind::RedactedReasoning { .. } => reasoning.push(block),
            _ => content_blocks.push(block),
        }
    }
    let mut out = start("assistant", message);
    let content = if content_blocks.is_empty() { Json::Null } else { content(&content_blocks, lost)? };
    out.set("content", content);
    if openai::is_own_model(&request.model) {
        for block in reasoning {
            lost.add_harmless(&block.path, "OpenAI's chat protocol takes no reasoning back");
        }
    } else {
        write_reasoning(&reasoning, &mut out);
    }
    if !calls.is_empty() {
        out.set("tool_calls", calls);
    }
    Ok(out.into())
}

/// `reasoning_content` for most hosts; `reasoning_details` if there is more than text.
fn write_reasoning(blocks: &[&Block], out: &mut Map) {
    let mut text = String::new();
    let mut details: Vec<Map> = Vec::new();
    let mut signed = false;
    for block in blocks {
        match &block.kind {
            BlockKind::Reasoning { text: more, signature } => {
                text.push_str(more);
                signed |= signature.is_some();
                let detail = Map::tagged("reasoning.text").with("text", more);
                details.push(detail.with_some("signature", signature.as_ref()));
            }
            BlockKind::RedactedReasoning { data } => {
                signed = true;
                details.push(Map::tagged("reasoning.encrypted").with("data", data));
            }
            _ => (),
        }
    }
    if !text.is_empty() {
        out.set("reasoning_content", text);
    }
    if signed {
        out.set("reasoning_details", details);
    }
}

fn tool_call(call: &ToolCall) -> Map {
    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
    let function = Map::new().with("name", call.name.as_str()).with("arguments", arguments);
    let extra = call
        .signature
        .as_ref()
        .map(|signature| Map::new().with("google", Map::new().with("thought_signature", signature)));
    Map::new()
        .with("id", call.id.as_str())
        .with("type", "function")
        .with("function", function)
        .with_some("extra_content", extra)
}
