//! What OpenAI's two protocols have in common.

use super::error::RequestError;
use super::json::{Field, Fields, Located};
use super::lost::Lost;
use super::model::{
    CacheMark, Extra, Family, Function, Media, MediaKind, OutputFormat, Request, Source, Tool, ToolChoice,
};

/// Whether OpenAI itself serves the model, whose API refuses fields that its imitators take.
pub(super) fn is_own_model(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let own = ["gpt-", "chatgpt-", "o1", "o3", "o4"].iter().any(|prefix| name.starts_with(prefix));
    own && !name.starts_with("gpt-oss")
}

/// Whether the model knows `max_completion_tokens` only.
pub(super) fn is_reasoning_model(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    is_own_model(name) && !name.starts_with("gpt-3") && !name.starts_with("gpt-4")
}

/// Fields that both protocols know under the same name and without which the answer is the same.
const HARMLESS: [&str; 7] = [
    "prompt_cache_options",
    "metadata",
    "store",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
];

/// Takes the fields that are handed on as they are to a provider that speaks OpenAI's protocol.
pub(super) fn take_extras(fields: &mut Fields<'_>, names: &[&str], request: &mut Request) {
    for name in HARMLESS.iter().chain(names) {
        if let Some(field) = fields.take(name) {
            let harmless = HARMLESS.contains(name);
            let (value, path) = (field.raw(), field.path);
            let name = (*name).to_owned();
            request.extras.push(Extra { family: Family::OpenAi, name, value, path, harmless });
        }
    }
}

pub(super) fn take_stream_options(
    fields: &mut Fields<'_>,
    request: &mut Request,
    lost: &mut Lost,
) -> Result<(), RequestError> {
    let Some(options) = fields.take("stream_options") else { return Ok(()) };
    let mut options = options.object()?;
    if let Some(field) = options.take("include_usage") {
        request.include_usage = field.boolean()?;
    }
    if let Some(field) = options.take("include_obfuscation") {
        lost.add_harmless(&field.path, "streams are not padded");
    }
    options.finish(lost);
    Ok(())
}

/// `tools`, `tool_choice` and `parallel_tool_calls`; the forms of a tool and of a choice differ between the protocols.
pub(super) fn tools(
    fields: &mut Fields<'_>,
    request: &mut Request,
    lost: &mut Lost,
    tool: impl Fn(Fields<'_>, &mut Lost) -> Result<Tool, RequestError>,
    tool_choice: impl Fn(&Field<'_>, &mut Lost) -> Result<ToolChoice, RequestError>,
) -> Result<(), RequestError> {
    if let Some(list) = fields.take("tools") {
        for field in list.array()? {
            let mut inner = field.object()?;
            let tag = inner.tag()?;
            if tag == "function" {
                request.tools.push(tool(inner, lost)?);
            } else {
                lost.add(&field.path, format!("tools of type {tag:?} are not carried"));
            }
        }
    }
    request.tool_choice = fields.located("tool_choice", |field| tool_choice(field, lost))?;
    request.parallel_tools = fields.located("parallel_tool_calls", Field::boolean)?;
    Ok(())
}

/// A function's definition: `name`, `description`, `parameters`, `strict`.
pub(super) fn function(fields: &mut Fields<'_>) -> Result<Function, RequestError> {
    Ok(Function {
        name: fields.require("name")?.text()?,
        description: fields.text("description")?,
        parameters: fields.take("parameters").map(|field| field.raw_object()).transpose()?,
        strict: fields.located("strict", Field::boolean)?,
    })
}

/// `mode` and `tools` of a choice among allowed tools; `name_of` finds the name of one.
pub(super) fn allowed_tools<'a>(
    fields: &mut Fields<'a>,
    lost: &mut Lost,
    name_of: impl Fn(&mut Fields<'a>, &mut Lost) -> Result<String, RequestError>,
) -> Result<ToolChoice, RequestError> {
    let required = fields.text("mode")?.is_some_and(|mode| mode == "required");
    let mut names = Vec::new();
    for tool in fields.require("tools")?.array()? {
        let mut tool = tool.object()?;
        tool.take("type");
        names.push(name_of(&mut tool, lost)?);
        tool.finish(lost);
    }
    Ok(ToolChoice::Allowed { names, required })
}

pub(super) fn tool_choice_mode(field: &Field<'_>) -> Result<ToolChoice, RequestError> {
    match field.text()?.as_str() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => Err(RequestError::refused(&field.path, format!("{other:?} is unknown here"))),
    }
}

/// The fields of a JSON schema format; where they stand differs between the protocols.
pub(super) fn schema_format(fields: &mut Fields<'_>) -> Result<OutputFormat, RequestError> {
    Ok(OutputFormat::Schema {
        name: fields.text("name")?,
        description: fields.text("description")?,
        schema: fields.require("schema")?.raw_object()?,
        strict: fields.take("strict").map(|field| field.boolean()).transpose()?,
    })
}

pub(super) fn image(url: &str, detail: Option<Located<String>>) -> Media {
    let (mime, source) = Source::from_url(url);
    Media { kind: MediaKind::Image, mime, source, title: None, detail }
}

/// The source of a file part: `file_data`, `file_url` or `file_id`.
pub(super) fn file(fields: &mut Fields<'_>) -> Result<Media, RequestError> {
    let title = fields.text("filename")?;
    let path = fields.path_of("file_data");
    let (mime, source) = if let Some(data) = fields.text("file_data")? {
        match Source::from_url(&data) {
            // Bare base64, which OpenAI takes as well.
            (None, Source::Url(data)) => (title.as_deref().and_then(mime_of_name), Source::Base64(data)),
            read => read,
        }
    } else if let Some(url) = fields.text("file_url")? {
        Source::from_url(&url)
    } else if let Some(id) = fields.text("file_id")? {
        (None, Source::File(Family::OpenAi, id))
    } else {
        return Err(RequestError::invalid(Some(&path), "the field is required"));
    };
    Ok(Media { kind: MediaKind::Document, mime, source, title, detail: None })
}

/// The media type that the ending of a name or URL stands for.
pub(super) fn mime_of_name(name: &str) -> Option<String> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let (_, ending) = path.rsplit_once('.')?;
    let mime = match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "mp4" => "video/mp4",
        _ => return None,
    };
    Some(mime.to_owned())
}

/// `cache_control`, Anthropic's field, which many clients of OpenAI's protocol send as well.
pub(super) fn cache_mark(
    fields: &mut Fields<'_>,
    lost: &mut Lost,
) -> Result<Option<Located<CacheMark>>, RequestError> {
    let read = |field: &Field<'_>| -> Result<CacheMark, RequestError> {
        let mut fields = field.object()?;
        fields.take("type");
        let ttl = fields.text("ttl")?;
        fields.finish(lost);
        Ok(CacheMark { ttl })
    };
    fields.located("cache_control", read)
}
