use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, Family, Media, MediaKind, Message, Role, Source, ToolCall, ToolResult, block_text,
};
use crate::protocol::openai;

use super::REDACTED;

/// The input is a text or a list of items. Items of one side in a row make one message.
pub(super) fn input(field: &Field<'_>, lost: &mut Lost) -> Result<Vec<Message>, RequestError> {
    if field.is_text() {
        let blocks = vec![Block::text(&field.path, field.text()?)];
        return Ok(vec![Message { role: Role::User, blocks, name: None, path: field.path.clone() }]);
    }
    let mut messages: Vec<Message> = Vec::new();
    for item in field.array()? {
        let Some((role, blocks)) = read_item(&item, lost)? else { continue };
        match messages.last_mut() {
            Some(last) if last.role == role && role == Role::Assistant => last.blocks.extend(blocks),
            _ => messages.push(Message { role, blocks, name: None, path: item.path }),
        }
    }
    Ok(messages)
}

fn read_item(field: &Field<'_>, lost: &mut Lost) -> Result<Option<(Role, Vec<Block>)>, RequestError> {
    let mut fields = field.object()?;
    let tag = fields.text("type")?.unwrap_or_else(|| "message".to_owned());
    // Clients send answers back as they are, with ids and states of their items.
    fields.take("status");
    fields.take("id");
    let read = match tag.as_str() {
        "message" => message(&mut fields, lost)?,
        "function_call" => (Role::Assistant, vec![function_call(&mut fields)?]),
        "function_call_output" => (Role::User, vec![function_call_output(&mut fields, lost)?]),
        "reasoning" => (Role::Assistant, reasoning(&mut fields, lost)?),
        "item_reference" => {
            return Err(RequestError::refused(&field.path, "the gateway keeps no items: send them in input"));
        }
        other => {
            let kind = BlockKind::Native(Family::OpenAi, other.to_owned(), field.raw());
            let block = Block::new(&field.path, kind);
            lost.add(&block.path, format!("items of type {other:?} are not carried"));
            return Ok(None);
        }
    };
    fields.finish(lost);
    Ok(Some(read))
}

fn message(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<(Role, Vec<Block>), RequestError> {
    let field = fields.require("role")?;
    let role = match field.text()?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        other => {
            return Err(RequestError::refused(&field.path, format!("the role {other:?} is not carried")));
        }
    };
    // Which part of an answer a message was: the order of items says the same.
    fields.take("phase");
    Ok((role, content(&fields.require("content")?, lost)?))
}

fn content(field: &Field<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    if field.is_text() {
        return Ok(vec![Block::text(&field.path, field.text()?)]);
    }
    let mut blocks = Vec::new();
    for part in field.array()? {
        blocks.extend(content_part(&part, lost)?);
    }
    Ok(blocks)
}

fn content_part(field: &Field<'_>, lost: &mut Lost) -> Result<Option<Block>, RequestError> {
    let mut fields = field.object()?;
    let kind = match fields.tag()?.as_str() {
        "input_text" | "output_text" | "text" => {
            for name in ["annotations", "logprobs"] {
                if let Some(field) = fields.take(name).filter(|field| field.raw_text() != "[]") {
                    lost.add_harmless(&field.path, "it is not carried back to the model");
                }
            }
            BlockKind::Text { text: fields.require("text")?.text()?, signature: None }
        }
        "refusal" => BlockKind::Refusal(fields.require("refusal")?.text()?),
        "input_image" => BlockKind::Media(image(&mut fields)?),
        "input_file" => {
            fields.take("detail");
            BlockKind::Media(openai::file(&mut fields)?)
        }
        other => {
            lost.add(&fields.path_of(other), format!("content of type {other:?} is not carried"));
            return Ok(None);
        }
    };
    fields.finish(lost);
    Ok(Some(Block::new(&field.path, kind)))
}

fn image(fields: &mut Fields<'_>) -> Result<Media, RequestError> {
    let detail = fields.located("detail", Field::text)?;
    if let Some(id) = fields.text("file_id")? {
        let source = Source::File(Family::OpenAi, id);
        return Ok(Media { kind: MediaKind::Image, mime: None, source, title: None, detail });
    }
    Ok(openai::image(&fields.require("image_url")?.text()?, detail))
}

fn function_call(fields: &mut Fields<'_>) -> Result<Block, RequestError> {
    let call = ToolCall {
        id: fields.require("call_id")?.text()?,
        name: fields.require("name")?.text()?,
        arguments: fields.require("arguments")?.text()?,
        signature: None,
    };
    Ok(Block::new(&fields.path, BlockKind::ToolCall(call)))
}

fn function_call_output(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
    let id = fields.require("call_id")?.text()?;
    let content = content(&fields.require("output")?, lost)?;
    let result = ToolResult { id, content, is_error: None };
    Ok(Block::new(&fields.path, BlockKind::ToolResult(result)))
}

fn reasoning(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    let path = fields.path.clone();
    let mut texts = Vec::new();
    for name in ["summary", "content"] {
        let Some(list) = fields.take(name) else { continue };
        for part in list.array()? {
            let mut part = part.object()?;
            part.take("type");
            let text = part.require("text")?.text()?;
            texts.push(Block::text(&part.path, text));
            part.finish(lost);
        }
    }
    let text = texts.iter().filter_map(block_text).collect::<Vec<_>>().join("\n\n");
    let signature = fields.text("encrypted_content")?;
    let kind = match signature.as_deref().and_then(|data| data.strip_prefix(REDACTED)) {
        Some(data) => BlockKind::RedactedReasoning { data: data.to_owned() },
        None if text.is_empty() && signature.is_none() => return Ok(Vec::new()),
        None => BlockKind::Reasoning { text, signature },
    };
    Ok(vec![Block::new(&path, kind)])
}
