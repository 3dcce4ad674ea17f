use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{Block, BlockKind, Family, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::protocol::openai::cache_mark;

/// Content is text or a list of blocks.
pub(super) fn content(field: &Field<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    if field.is_text() {
        return Ok(vec![Block::text(&field.path, field.text()?)]);
    }
    field.array()?.iter().map(|item| block(item, lost)).collect()
}

fn block(field: &Field<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
    let mut fields = field.object()?;
    let kind = match fields.tag()?.as_str() {
        "text" => {
            if let Some(field) = fields.take("citations").filter(|field| field.raw_text() != "[]") {
                lost.add_harmless(&field.path, "citations of earlier answers are not carried");
            }
            BlockKind::Text { text: fields.require("text")?.text()?, signature: None }
        }
        "image" => BlockKind::Media(media(MediaKind::Image, &mut fields, lost)?),
        "document" => BlockKind::Media(document(&mut fields, lost)?),
        "thinking" => BlockKind::Reasoning {
            text: fields.require("thinking")?.text()?,
            signature: fields.text("signature")?.filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => BlockKind::RedactedReasoning { data: fields.require("data")?.text()? },
        "tool_use" => BlockKind::ToolCall(ToolCall {
            id: fields.require("id")?.text()?,
            name: fields.require("name")?.text()?,
            arguments: fields.require("input")?.raw_object()?.into_string(),
            signature: None,
        }),
        "tool_result" => BlockKind::ToolResult(ToolResult {
            id: fields.require("tool_use_id")?.text()?,
            content: fields
                .take("content")
                .map(|field| content(&field, lost))
                .transpose()?
                .unwrap_or_default(),
            is_error: fields.located("is_error", Field::boolean)?.filter(|field| field.value),
        }),
        other => {
            let kind = BlockKind::Native(Family::Anthropic, other.to_owned(), field.raw());
            return Ok(Block::new(&field.path, kind));
        }
    };
    let cache = cache_mark(&mut fields, lost)?;
    fields.finish(lost);
    Ok(Block { kind, cache, path: field.path.clone() })
}

fn document(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Media, RequestError> {
    let mut document = media(MediaKind::Document, fields, lost)?;
    document.title = fields.text("title")?;
    if let Some(field) = fields.take("citations")
        && field.object()?.take("enabled").is_some_and(|field| field.raw_text() == "true")
    {
        lost.add(&field.path, "citations are not carried");
    }
    Ok(document)
}

fn media(kind: MediaKind, fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Media, RequestError> {
    let field = fields.require("source")?;
    let mut source = field.object()?;
    let mime = source.text("media_type")?;
    let source_value = match source.tag()?.as_str() {
        "base64" => Source::Base64(source.require("data")?.text()?),
        "url" => Source::Url(source.require("url")?.text()?),
        "file" => Source::File(Family::Anthropic, source.require("file_id")?.text()?),
        "text" => Source::Text(source.require("data")?.text()?),
        "content" => {
            let blocks = content(&source.require("content")?, lost)?;
            let texts: Vec<&str> = blocks.iter().filter_map(crate::protocol::model::block_text).collect();
            Source::Text(texts.join("\n"))
        }
        other => {
            return Err(RequestError::refused(&field.path, format!("the type {other:?} is not carried")));
        }
    };
    source.finish(lost);
    Ok(Media { kind, mime, source: source_value, title: None, detail: None })
}
