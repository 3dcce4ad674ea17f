use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields, RawJson};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, Message, OutputFormat, Reasoning, Request, Role, Tool, ToolChoice, ToolKind,
};
use crate::protocol::openai;

use super::item_reader::input;

/// Fields that ask for state that the gateway does not keep.
const STATEFUL: [&str; 3] = ["previous_response_id", "conversation", "prompt"];
/// Fields whose loss does not change the answer.
const HARMLESS: [(&str, &str); 2] = [
    ("include", "what is included does not depend on it"),
    ("context_management", "contexts are not compacted"),
];
/// Fields of the request that the answer repeats.
const ECHOED: [&str; 10] = [
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
];

pub(in crate::protocol) fn read(body: &[u8], lost: &mut Lost) -> Result<Request, RequestError> {
    let document = Field::document(body)?;
    let mut fields = document.object()?;
    let mut request = Request { model: fields.text("model")?.unwrap_or_default(), ..Request::default() };
    request.echo = echo(&document)?;
    request.include_usage = true;
    if let Some(field) = fields.take("stream") {
        request.stream = field.boolean()?;
    }
    openai::take_stream_options(&mut fields, &mut request, lost)?;
    refuse_state(&mut fields)?;
    if let Some(field) = fields.take("instructions") {
        let blocks = vec![Block::text(&field.path, field.text()?)];
        request.messages.push(Message { role: Role::System, blocks, name: None, path: field.path });
    }
    request.messages.extend(input(&fields.require("input")?, lost)?);
    sampling(&mut fields, &mut request, lost)?;
    openai::tools(&mut fields, &mut request, lost, tool, tool_choice)?;
    output(&mut fields, &mut request, lost)?;
    request.user = fields.located("user", Field::text)?;
    openai::take_extras(&mut fields, &[], &mut request);
    if let Some(field) = fields.take("truncation").filter(|field| field.raw_text() != "\"disabled\"") {
        lost.add(&field.path, "requests are not truncated");
    }
    for name in ["top_logprobs", "max_tool_calls"] {
        if let Some(field) = fields.take(name).filter(|field| field.raw_text() != "0") {
            lost.add(&field.path, "the field is not carried");
        }
    }
    for (name, reason) in HARMLESS {
        if let Some(field) = fields.take(name) {
            lost.add_harmless(&field.path, reason);
        }
    }
    fields.finish(lost);
    Ok(request)
}

fn echo(document: &Field<'_>) -> Result<Vec<(String, RawJson)>, RequestError> {
    let fields = document.object()?.rest();
    let wanted = fields.into_iter().filter(|(name, _)| ECHOED.contains(&name.as_str()));
    Ok(wanted.map(|(name, field)| (name, field.raw())).collect())
}

fn refuse_state(fields: &mut Fields<'_>) -> Result<(), RequestError> {
    for name in STATEFUL {
        if let Some(field) = fields.take(name) {
            let reason = "the gateway keeps no conversations: send all of it in input";
            return Err(RequestError::refused(&field.path, reason));
        }
    }
    match fields.take("background") {
        Some(field) if field.boolean()? => {
            Err(RequestError::refused(&field.path, "the gateway answers at once, not in the background"))
        }
        _ => Ok(()),
    }
}

fn sampling(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    request.max_tokens = fields.located("max_output_tokens", Field::unsigned)?;
    request.temperature = fields.located("temperature", Field::number)?;
    request.top_p = fields.located("top_p", Field::number)?;
    request.reasoning = fields.located("reasoning", |field| {
        let mut fields = field.object()?;
        let effort = fields.text("effort")?;
        let summary = fields.take("summary").or_else(|| fields.take("generate_summary"));
        fields.finish(lost);
        Ok(Reasoning { effort, visible: summary.map(|_| true), ..Reasoning::default() })
    })?;
    // An empty object asks for nothing.
    request.reasoning = request.reasoning.take().filter(|field| field.value != Reasoning::default());
    Ok(())
}

fn tool(mut fields: Fields<'_>, lost: &mut Lost) -> Result<Tool, RequestError> {
    let path = fields.path.clone();
    let function = openai::function(&mut fields)?;
    fields.finish(lost);
    Ok(Tool { kind: ToolKind::Function(function), cache: None, path })
}

fn tool_choice(field: &Field<'_>, lost: &mut Lost) -> Result<ToolChoice, RequestError> {
    if field.is_text() {
        return openai::tool_choice_mode(field);
    }
    let mut fields = field.object()?;
    let choice = match fields.tag()?.as_str() {
        "function" => ToolChoice::Tool(fields.require("name")?.text()?),
        "allowed_tools" => openai::allowed_tools(&mut fields, lost, |tool, _| tool.require("name")?.text())?,
        other => {
            return Err(RequestError::refused(&field.path, format!("the type {other:?} is not carried")));
        }
    };
    fields.finish(lost);
    Ok(choice)
}

fn output(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    let Some(text) = fields.take("text") else { return Ok(()) };
    let mut text = text.object()?;
    request.verbosity = text.located("verbosity", Field::text)?;
    request.output = text.located("format", |field| {
        let mut fields = field.object()?;
        let format = match fields.tag()?.as_str() {
            "text" => OutputFormat::Text,
            "json_object" => OutputFormat::JsonObject,
            "json_schema" => openai::schema_format(&mut fields)?,
            other => {
                let reason = format!("the type {other:?} is not carried");
                return Err(RequestError::refused(&field.path, reason));
            }
        };
        fields.finish(lost);
        Ok(format)
    })?;
    text.finish(lost);
    Ok(())
}
