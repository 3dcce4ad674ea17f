use crate::protocol::error::RequestError;
use crate::protocol::ids;
use crate::protocol::json::{Json, Located, Map};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, CacheMark, Family, Media, MediaKind, Request, Role, Source, ToolResult,
};

pub(super) fn cache_control(mark: Option<&Located<CacheMark>>) -> Option<Map> {
    mark.map(|mark| Map::tagged("ephemeral").with_some("ttl", mark.value.ttl.as_ref()))
}

/// The system prompt: a text if it is only that.
pub(super) fn system(request: &Request, lost: &mut Lost) -> Result<Option<Json>, RequestError> {
    let blocks: Vec<&Block> = request.system_blocks().filter(|block| !block.is_blank_text()).collect();
    for message in request.late_system_messages() {
        lost.add_harmless(&message.path, "the system message is moved to the beginning");
    }
    match blocks.as_slice() {
        [] => Ok(None),
        [Block { kind: BlockKind::Text { text, .. }, cache: None, .. }] => Ok(Some(text.into())),
        blocks => Ok(Some(write_blocks(blocks, lost)?.into())),
    }
}

pub(super) fn messages(request: &Request, lost: &mut Lost) -> Result<Vec<Map>, RequestError> {
    let mut out = Vec::new();
    for turn in request.turns() {
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let blocks = write_blocks(&turn.blocks, lost)?;
        if !blocks.is_empty() {
            out.push(Map::new().with("role", role).with("content", blocks));
        }
    }
    Ok(out)
}

fn write_blocks(blocks: &[&Block], lost: &mut Lost) -> Result<Vec<Json>, RequestError> {
    let mut out = Vec::new();
    for block in blocks {
        if block.is_blank_text() {
            continue;
        }
        if let Some(json) = write_block(block, lost)? {
            out.push(json);
        }
    }
    Ok(out)
}

fn write_block(block: &Block, lost: &mut Lost) -> Result<Option<Json>, RequestError> {
    let map = match &block.kind {
        BlockKind::Text { text, .. } | BlockKind::Refusal(text) => Map::tagged("text").with("text", text),
        BlockKind::Media(media) => write_media(media, &block.path, lost)?,
        BlockKind::Reasoning { text, signature: Some(signature) } => {
            Map::tagged("thinking").with("thinking", text).with("signature", signature)
        }
        BlockKind::Reasoning { signature: None, .. } => {
            lost.add_harmless(&block.path, "Anthropic takes reasoning back only with its signature");
            return Ok(None);
        }
        BlockKind::RedactedReasoning { data } => Map::tagged("redacted_thinking").with("data", data),
        BlockKind::ToolCall(call) => Map::tagged("tool_use")
            .with("id", ids::safe(&call.id).as_ref())
            .with("name", call.name.as_str())
            .with("input", call.object(&block.path)?),
        BlockKind::ToolResult(result) => tool_result(result, lost)?,
        BlockKind::Native(Family::Anthropic, _, raw) => return Ok(Some(raw.into())),
        BlockKind::Native(_, kind, _) => {
            lost.add(&block.path, format!("Anthropic has no content of type {kind:?}"));
            return Ok(None);
        }
    };
    Ok(Some(map.with_some("cache_control", cache_control(block.cache.as_ref())).into()))
}

fn tool_result(result: &ToolResult, lost: &mut Lost) -> Result<Map, RequestError> {
    let content = match result.content.as_slice() {
        [Block { kind: BlockKind::Text { text, .. }, cache: None, .. }] => Json::from(text),
        blocks => write_blocks(&blocks.iter().collect::<Vec<_>>(), lost)?.into(),
    };
    let map = Map::tagged("tool_result")
        .with("tool_use_id", ids::safe(&result.id).as_ref())
        .with("content", content);
    Ok(map.with_some("is_error", result.failed().then_some(true)))
}

fn write_media(media: &Media, path: &str, lost: &mut Lost) -> Result<Map, RequestError> {
    if let Some(detail) = &media.detail
        && detail.value != "auto"
    {
        lost.add(&detail.path, "Anthropic has no resolution of images");
    }
    let tag = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        kind @ (MediaKind::Audio | MediaKind::Video) => {
            return Err(RequestError::refused(path, format!("Anthropic takes no {}", kind.name())));
        }
    };
    let default = if media.kind == MediaKind::Image { "image/png" } else { "application/pdf" };
    let source = match &media.source {
        _ if media.kind == MediaKind::Document && media.plain_text().is_some() => Map::tagged("text")
            .with("media_type", "text/plain")
            .with("data", media.plain_text().unwrap_or_default()),
        Source::Base64(data) => Map::tagged("base64")
            .with("media_type", media.mime.as_deref().unwrap_or(default))
            .with("data", data),
        Source::Url(url) => Map::tagged("url").with("url", url),
        Source::File(Family::Anthropic, id) => Map::tagged("file").with("file_id", id),
        Source::File(family, _) => {
            return Err(RequestError::refused(path, format!("the file is stored at {}", family.name())));
        }
        Source::Text(text) => Map::tagged("text").with("media_type", "text/plain").with("data", text),
    };
    Ok(Map::tagged(tag).with("source", source).with_some("title", media.title.as_ref()))
}
