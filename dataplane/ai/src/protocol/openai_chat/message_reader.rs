use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, Family, Media, MediaKind, Message, Role, Source, ToolCall, ToolResult,
};
use crate::protocol::openai;

pub(super) fn messages(list: &Field<'_>, lost: &mut Lost) -> Result<Vec<Message>, RequestError> {
    list.array()?.iter().map(|field| message(field, lost)).collect()
}

fn message(field: &Field<'_>, lost: &mut Lost) -> Result<Message, RequestError> {
    let mut fields = field.object()?;
    let role_field = fields.require("role")?;
    let (role, blocks) = match role_field.text()?.as_str() {
        "system" => (Role::System, required_content(&mut fields, lost)?),
        "developer" => (Role::Developer, required_content(&mut fields, lost)?),
        "user" => (Role::User, required_content(&mut fields, lost)?),
        "assistant" => (Role::Assistant, assistant(&mut fields, lost)?),
        "tool" => (Role::User, vec![tool_result(&mut fields, lost)?]),
        other => {
            return Err(RequestError::refused(
                &role_field.path,
                format!("the role {other:?} is not carried"),
            ));
        }
    };
    let name = fields.located("name", Field::text)?;
    fields.finish(lost);
    Ok(Message { role, blocks, name, path: field.path.clone() })
}

fn required_content(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    content(&fields.require("content")?, lost)
}

/// Content is text or a list of parts.
fn content(field: &Field<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    if field.is_text() {
        return Ok(vec![Block::text(&field.path, field.text()?)]);
    }
    field.array()?.iter().map(|part| content_part(part, lost)).collect()
}

fn content_part(field: &Field<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
    let mut fields = field.object()?;
    let kind = match fields.tag()?.as_str() {
        "text" => BlockKind::Text { text: fields.require("text")?.text()?, signature: None },
        "refusal" => BlockKind::Refusal(fields.require("refusal")?.text()?),
        "image_url" => {
            let mut image = fields.require("image_url")?.object()?;
            let detail = image.located("detail", Field::text)?;
            let url = image.require("url")?.text()?;
            image.finish(lost);
            BlockKind::Media(openai::image(&url, detail))
        }
        "input_audio" => BlockKind::Media(audio(&fields.require("input_audio")?, lost)?),
        "file" => {
            let mut file = fields.require("file")?.object()?;
            let media = openai::file(&mut file)?;
            file.finish(lost);
            BlockKind::Media(media)
        }
        other => {
            // Hosts take further types; the content stands in a field of the same name.
            let kind = BlockKind::Native(Family::OpenAi, other.to_owned(), field.raw());
            return Ok(Block::new(&fields.path_of(other), kind));
        }
    };
    let cache = openai::cache_mark(&mut fields, lost)?;
    fields.finish(lost);
    Ok(Block { kind, cache, path: field.path.clone() })
}

fn audio(field: &Field<'_>, lost: &mut Lost) -> Result<Media, RequestError> {
    let mut fields = field.object()?;
    let data = fields.require("data")?.text()?;
    let format = fields.require("format")?.text()?;
    fields.finish(lost);
    Ok(Media {
        kind: MediaKind::Audio,
        mime: Some(format!("audio/{format}")),
        source: Source::Base64(data),
        title: None,
        detail: None,
    })
}

fn tool_result(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
    let id = fields.require("tool_call_id")?.text()?;
    let content = required_content(fields, lost)?;
    let cache = openai::cache_mark(fields, lost)?;
    let kind = BlockKind::ToolResult(ToolResult { id, content, is_error: None });
    Ok(Block { kind, cache, path: fields.path.clone() })
}

fn assistant(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    let mut blocks = reasoning(fields, lost)?;
    if let Some(field) = fields.take("content") {
        blocks.extend(content(&field, lost)?);
    }
    if let Some(field) = fields.take("refusal") {
        blocks.push(Block::new(&field.path, BlockKind::Refusal(field.text()?)));
    }
    if let Some(list) = fields.take("tool_calls") {
        for field in list.array()? {
            blocks.push(tool_call(&field, lost)?);
        }
    }
    if let Some(field) = fields.take("function_call") {
        return Err(RequestError::refused(&field.path, "the field is deprecated: use tool_calls"));
    }
    // Answers hold these; clients send answers back as they are.
    for name in ["annotations", "images"] {
        if let Some(field) = fields.take(name).filter(|field| field.raw_text() != "[]") {
            lost.add_harmless(&field.path, "it is not carried back to the model");
        }
    }
    Ok(blocks)
}

/// Reasoning in the spellings of the hosts that return it: `reasoning_details` says most.
fn reasoning(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    let details = fields.take("reasoning_details").filter(|field| field.raw_text() != "[]");
    let texts = [fields.take("reasoning_content"), fields.take("reasoning")];
    let Some(details) = details else {
        let text = texts.into_iter().flatten().find(|field| field.is_text());
        let Some(field) = text else { return Ok(Vec::new()) };
        let kind = BlockKind::Reasoning { text: field.text()?, signature: None };
        return Ok(vec![Block::new(&field.path, kind)]);
    };
    let mut blocks = Vec::new();
    for field in details.array()? {
        let mut fields = field.object()?;
        let kind = match fields.tag()?.as_str() {
            "reasoning.text" => BlockKind::Reasoning {
                text: fields.text("text")?.unwrap_or_default(),
                signature: fields.text("signature")?,
            },
            "reasoning.summary" => {
                BlockKind::Reasoning { text: fields.text("summary")?.unwrap_or_default(), signature: None }
            }
            "reasoning.encrypted" => BlockKind::RedactedReasoning { data: fields.require("data")?.text()? },
            other => {
                lost.add(&field.path, format!("reasoning of type {other:?} is not carried"));
                continue;
            }
        };
        // How the client numbers and names them.
        for name in ["id", "format", "index"] {
            fields.take(name);
        }
        fields.finish(lost);
        blocks.push(Block::new(&field.path, kind));
    }
    Ok(blocks)
}

fn tool_call(field: &Field<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
    let mut fields = field.object()?;
    let tag = fields.text("type")?.unwrap_or_else(|| "function".to_owned());
    if tag != "function" {
        let reason = format!("tool calls of type {tag:?} are not carried");
        return Err(RequestError::refused(&field.path, reason));
    }
    let id = fields.require("id")?.text()?;
    let mut function = fields.require("function")?.object()?;
    let name = function.require("name")?.text()?;
    let arguments = function.text("arguments")?.unwrap_or_default();
    let signature = google_signature(&mut fields)?;
    fields.take("index");
    function.finish(lost);
    fields.finish(lost);
    let call = ToolCall { id, name, arguments, signature };
    Ok(Block::new(&field.path, BlockKind::ToolCall(call)))
}

/// Where Google's own OpenAI endpoint puts the signature of a tool call.
fn google_signature(fields: &mut Fields<'_>) -> Result<Option<String>, RequestError> {
    let Some(extra) = fields.take("extra_content") else { return Ok(None) };
    let Some(google) = extra.object()?.take("google") else { return Ok(None) };
    google.object()?.text("thought_signature")
}
