use crate::protocol::error::RequestError;
use crate::protocol::ids;
use crate::protocol::json::{Json, Located, Map, RawJson, is_json_object};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, BlockKind, CacheMark, Media, MediaKind, Request, Role, Source, ToolResult,
};

pub(super) fn cache_point(mark: Option<&Located<CacheMark>>) -> Option<Json> {
    let mark = mark?;
    let point = Map::tagged("default").with_some("ttl", mark.value.ttl.as_ref());
    Some(Map::new().with("cachePoint", point).into())
}

pub(super) fn system(request: &Request, lost: &mut Lost) -> Result<Vec<Json>, RequestError> {
    for message in request.late_system_messages() {
        lost.add_harmless(&message.path, "the system message is moved to the beginning");
    }
    let blocks: Vec<&Block> = request.system_blocks().collect();
    BlockWriter { lost, documents: 0 }.blocks(&blocks)
}

pub(super) fn messages(request: &Request, lost: &mut Lost) -> Result<Vec<Map>, RequestError> {
    let mut writer = BlockWriter { lost, documents: 0 };
    let mut turns: Vec<(&'static str, Vec<Json>)> = Vec::new();
    for turn in request.turns() {
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let content = writer.blocks(&turn.blocks)?;
        match turns.last_mut() {
            _ if content.is_empty() => (),
            // A turn between them was left out: Bedrock wants the sides to alternate.
            Some((last, blocks)) if *last == role => blocks.extend(content),
            _ => turns.push((role, content)),
        }
    }
    let messages = turns.into_iter();
    Ok(messages.map(|(role, content)| Map::new().with("role", role).with("content", content)).collect())
}

struct BlockWriter<'l> {
    lost: &'l mut Lost,
    /// Documents so far: Bedrock wants each to have a name.
    documents: usize,
}

impl BlockWriter<'_> {
    fn blocks(&mut self, blocks: &[&Block]) -> Result<Vec<Json>, RequestError> {
        let mut out = Vec::new();
        for block in blocks {
            if block.is_blank_text() {
                continue;
            }
            if let Some(map) = self.block(block)? {
                out.push(map.into());
                out.extend(cache_point(block.cache.as_ref()));
            }
        }
        Ok(out)
    }

    fn block(&mut self, block: &Block) -> Result<Option<Map>, RequestError> {
        let map = match &block.kind {
            BlockKind::Text { text, .. } | BlockKind::Refusal(text) => Map::new().with("text", text),
            BlockKind::Media(media) => self.media(media, &block.path)?,
            BlockKind::Reasoning { text, signature: Some(signature) } => {
                let text = Map::new().with("text", text).with("signature", signature);
                Map::new().with("reasoningContent", Map::new().with("reasoningText", text))
            }
            BlockKind::Reasoning { signature: None, .. } => {
                self.lost.add_harmless(&block.path, "Bedrock takes reasoning back only with its signature");
                return Ok(None);
            }
            BlockKind::RedactedReasoning { data } => {
                Map::new().with("reasoningContent", Map::new().with("redactedContent", data))
            }
            BlockKind::ToolCall(call) => {
                let call_json = Map::new()
                    .with("toolUseId", ids::safe(&call.id).as_ref())
                    .with("name", call.name.as_str())
                    .with("input", call.object(&block.path)?);
                Map::new().with("toolUse", call_json)
            }
            BlockKind::ToolResult(result) => self.tool_result(result)?,
            BlockKind::Native(_, kind, _) => {
                self.lost.add(&block.path, format!("Bedrock has no content of type {kind:?}"));
                return Ok(None);
            }
        };
        Ok(Some(map))
    }

    fn tool_result(&mut self, result: &ToolResult) -> Result<Map, RequestError> {
        let mut content: Vec<Json> = Vec::new();
        for block in &result.content {
            if let Some(cache) = &block.cache {
                self.lost
                    .add_harmless(&cache.path, "Bedrock has no prompt-cache marks inside of tool results");
            }
            match &block.kind {
                BlockKind::Text { text, .. } => content.push(result_text(text)),
                _ => content.extend(self.block(block)?.map(Json::from)),
            }
        }
        let result = Map::new()
            .with("toolUseId", ids::safe(&result.id).as_ref())
            .with("content", content)
            .with_some("status", result.failed().then_some("error"));
        Ok(Map::new().with("toolResult", result))
    }

    fn media(&mut self, media: &Media, path: &str) -> Result<Map, RequestError> {
        if let Some(detail) = media.detail.as_ref().filter(|detail| detail.value != "auto") {
            self.lost.add(&detail.path, "Bedrock has no resolution of images");
        }
        let format = format_of(media).ok_or_else(|| {
            let mime = media.mime.as_deref().unwrap_or("unknown");
            RequestError::refused(path, format!("Bedrock takes no {} of type {mime}", media.kind.name()))
        })?;
        let source = match &media.source {
            Source::Base64(data) => Map::new().with("bytes", data),
            Source::Text(text) => Map::new().with("text", text),
            Source::Url(url) if url.starts_with("s3://") => {
                Map::new().with("s3Location", Map::new().with("uri", url))
            }
            Source::Url(_) => {
                return Err(RequestError::refused(path, "Bedrock fetches no URLs: send the data in base64"));
            }
            Source::File(family, _) => {
                return Err(RequestError::refused(path, format!("the file is stored at {}", family.name())));
            }
        };
        let map = Map::new().with("format", format);
        if media.kind != MediaKind::Document {
            return Ok(Map::new().with(media.kind.name(), map.with("source", source)));
        }
        self.documents += 1;
        let name = document_name(media.title.as_deref(), self.documents);
        Ok(Map::new().with("document", map.with("name", name).with("source", source)))
    }
}

/// JSON objects are handed on as such, which models on Bedrock read better than text.
fn result_text(text: &str) -> Json {
    match RawJson::parse(text).filter(|_| is_json_object(text)) {
        Some(object) => Map::new().with("json", object).into(),
        None => Map::new().with("text", text).into(),
    }
}

fn format_of(media: &Media) -> Option<&'static str> {
    let default = match (&media.source, media.kind) {
        (Source::Text(_), _) => "text/plain",
        (_, MediaKind::Image) => "image/png",
        (_, MediaKind::Document) => "application/pdf",
        _ => "",
    };
    Some(match media.mime.as_deref().unwrap_or(default) {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "video/mp4" => "mp4",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "video/webm" => "webm",
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" => "md",
        "text/plain" => "txt",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

/// A name of the characters that Bedrock allows, without repeated spaces.
fn document_name(title: Option<&str>, number: usize) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let title: String = title.unwrap_or_default().chars().map(|c| if allowed(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = title.split_whitespace().collect();
    if words.is_empty() { format!("document-{number}") } else { words.join(" ") }
}
