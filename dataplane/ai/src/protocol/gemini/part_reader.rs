use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{Block, BlockKind, Family, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::protocol::openai::mime_of_name;

use super::REDACTED;

/// Reads the parts of all contents and matches results to calls, which need not have ids.
#[derive(Debug, Default)]
pub(super) struct PartReader {
    /// Calls without a result so far: id and name.
    pending: Vec<(String, String)>,
    calls: usize,
}

impl PartReader {
    /// `of_model`: the model said it, so texts in a row are pieces of one.
    pub(super) fn read(
        &mut self,
        list: &Field<'_>,
        of_model: bool,
        lost: &mut Lost,
    ) -> Result<Vec<Block>, RequestError> {
        let mut blocks: Vec<Block> = Vec::new();
        // A single part may stand without its list.
        let parts = if list.is_object() { vec![list.clone()] } else { list.array()? };
        for field in parts {
            let block = self.part(&field, lost)?;
            let last = blocks.last_mut();
            if !(merge_reasoning(last, &block) || of_model && merge_text(blocks.last_mut(), &block)) {
                blocks.push(block);
            }
        }
        Ok(blocks)
    }

    fn part(&mut self, field: &Field<'_>, lost: &mut Lost) -> Result<Block, RequestError> {
        let mut fields = field.object()?;
        let thought = fields.take("thought").is_some_and(|field| field.raw_text() == "true");
        let signature = fields.take_proto("thoughtSignature").map(|field| field.text()).transpose()?;
        let signature = signature.map(|signature| standard_base64(&signature));
        let kind = if let Some(text) = fields.text("text")? {
            text_part(text, thought, signature)
        } else if let Some(call) = fields.take_proto("functionCall") {
            self.call(&call, signature, lost)?
        } else if let Some(result) = fields.take_proto("functionResponse") {
            self.result(&result, lost)?
        } else if let Some(data) = fields.take_proto("inlineData") {
            BlockKind::Media(inline_data(&data, lost)?)
        } else if let Some(data) = fields.take_proto("fileData") {
            BlockKind::Media(file_data(&data, lost)?)
        } else if let Some(signature) = signature {
            text_part(String::new(), thought, Some(signature))
        } else {
            let mut rest = fields.rest().into_iter();
            let (name, path) = rest.next().map_or_else(
                || ("nothing".to_owned(), field.path.clone()),
                |(name, field)| (name, field.path),
            );
            return Ok(Block::new(&path, BlockKind::Native(Family::Gemini, name, field.raw())));
        };
        fields.finish(lost);
        Ok(Block::new(&field.path, kind))
    }

    fn call(
        &mut self,
        field: &Field<'_>,
        signature: Option<String>,
        lost: &mut Lost,
    ) -> Result<BlockKind, RequestError> {
        let mut fields = field.object()?;
        let name = fields.require("name")?.text()?;
        let id = fields.text("id")?.unwrap_or_else(|| format!("call_{}", self.calls));
        self.calls += 1;
        let arguments = fields.take("args").map(|field| field.raw_object()).transpose()?;
        fields.finish(lost);
        self.pending.push((id.clone(), name.clone()));
        let arguments = arguments.map_or_else(|| "{}".to_owned(), |raw| raw.into_string());
        Ok(BlockKind::ToolCall(ToolCall { id, name, arguments, signature }))
    }

    fn result(&mut self, field: &Field<'_>, lost: &mut Lost) -> Result<BlockKind, RequestError> {
        let mut fields = field.object()?;
        let name = fields.require("name")?.text()?;
        let id = fields.text("id")?;
        let by_id = id.and_then(|id| self.pending.iter().position(|(other, _)| *other == id));
        let at = by_id.or_else(|| self.pending.iter().position(|(_, other)| *other == name));
        let Some(at) = at else {
            let reason = format!("no call of the function {name:?} before it waits for a response");
            return Err(RequestError::refused(&field.path, reason));
        };
        let (id, _) = self.pending.remove(at);
        let mut content = Vec::new();
        let response = fields.require("response")?;
        let (text, failed) = response_text(&response)?;
        content.push(Block::text(&response.path, text));
        if let Some(parts) = fields.take("parts") {
            content.extend(self.read(&parts, false, lost)?);
        }
        fields.finish(lost);
        let is_error = failed.then(|| response.located(true));
        Ok(BlockKind::ToolResult(ToolResult { id, content, is_error }))
    }
}

/// Clients send streamed thoughts back in pieces, of which the last holds the signature.
fn merge_reasoning(last: Option<&mut Block>, next: &Block) -> bool {
    let Some(Block { kind: BlockKind::Reasoning { text, signature: signature @ None }, .. }) = last else {
        return false;
    };
    let BlockKind::Reasoning { text: more, signature: new } = &next.kind else { return false };
    text.push_str(more);
    signature.clone_from(new);
    true
}

/// Clients keep each piece of a streamed text as a part of its own.
fn merge_text(last: Option<&mut Block>, next: &Block) -> bool {
    let Some(Block { kind: BlockKind::Text { text, signature: signature @ None }, .. }) = last else {
        return false;
    };
    let BlockKind::Text { text: more, signature: new } = &next.kind else { return false };
    text.push_str(more);
    signature.clone_from(new);
    true
}

fn text_part(text: String, thought: bool, signature: Option<String>) -> BlockKind {
    let redacted = signature.as_deref().and_then(|signature| signature.strip_prefix(REDACTED));
    match (thought, redacted) {
        (true, Some(data)) => BlockKind::RedactedReasoning { data: data.to_owned() },
        (true, None) => BlockKind::Reasoning { text, signature },
        (false, _) => BlockKind::Text { text, signature },
    }
}

/// What a function returned: an object with nothing but `output` or `error` stands for that.
fn response_text(field: &Field<'_>) -> Result<(String, bool), RequestError> {
    let raw = field.raw_text().to_owned();
    let Ok([(name, value)]) = <[_; 1]>::try_from(field.object()?.rest()) else { return Ok((raw, false)) };
    match name.as_str() {
        "output" if value.is_text() => Ok((value.text()?, false)),
        "error" if value.is_text() => Ok((value.text()?, true)),
        _ => Ok((raw, false)),
    }
}

/// Clients in Python write base64 for URLs, which only Google accepts.
fn standard_base64(text: &str) -> String {
    text.replace('-', "+").replace('_', "/")
}

fn mime(fields: &mut Fields<'_>) -> Result<Option<String>, RequestError> {
    fields.take_proto("mimeType").map(|field| field.text()).transpose()
}

fn inline_data(field: &Field<'_>, lost: &mut Lost) -> Result<Media, RequestError> {
    let mut fields = field.object()?;
    let mime = mime(&mut fields)?;
    let data = standard_base64(&fields.require("data")?.text()?);
    let title = fields.take_proto("displayName").map(|field| field.text()).transpose()?;
    fields.finish(lost);
    let kind = MediaKind::of_mime(mime.as_deref().unwrap_or_default());
    Ok(Media { kind, mime, source: Source::Base64(data), title, detail: None })
}

fn file_data(field: &Field<'_>, lost: &mut Lost) -> Result<Media, RequestError> {
    let mut fields = field.object()?;
    let uri = fields.take_proto("fileUri").map(|field| field.text()).transpose()?.unwrap_or_default();
    let mime = mime(&mut fields)?.or_else(|| mime_of_name(&uri));
    let title = fields.take_proto("displayName").map(|field| field.text()).transpose()?;
    fields.finish(lost);
    let kind = MediaKind::of_mime(mime.as_deref().unwrap_or_default());
    // Files of Google's own stores mean nothing to others.
    let own = uri.starts_with("gs://") || uri.contains("generativelanguage.googleapis.com/");
    let source = if own { Source::File(Family::Gemini, uri) } else { Source::Url(uri) };
    Ok(Media { kind, mime, source, title, detail: None })
}
