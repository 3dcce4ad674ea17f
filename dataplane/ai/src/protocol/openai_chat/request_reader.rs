use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{OutputFormat, Reasoning, Request, Tool, ToolChoice, ToolKind};
use crate::protocol::openai;

use super::message_reader::messages;

/// Fields for the provider's own protocol only.
const EXTRAS: [&str; 4] = ["logit_bias", "moderation", "prediction", "web_search_options"];
/// Fields that no provider gets, because the answer's counterpart is not carried.
const NEVER: [(&str, &str); 4] = [
    ("logprobs", "log probabilities are not carried"),
    ("top_logprobs", "log probabilities are not carried"),
    ("modalities", "answers are text only"),
    ("audio", "answers are text only"),
];

pub(in crate::protocol) fn read(body: &[u8], lost: &mut Lost) -> Result<Request, RequestError> {
    let mut fields = Field::document(body)?.object()?;
    let mut request = Request { model: fields.text("model")?.unwrap_or_default(), ..Request::default() };
    if let Some(field) = fields.take("stream") {
        request.stream = field.boolean()?;
    }
    openai::take_stream_options(&mut fields, &mut request, lost)?;
    request.messages = messages(&fields.require("messages")?, lost)?;
    sampling(&mut fields, &mut request)?;
    openai::tools(&mut fields, &mut request, lost, tool, tool_choice)?;
    output(&mut fields, &mut request, lost)?;
    request.reasoning = fields.located("reasoning_effort", |field| {
        Ok(Reasoning { effort: Some(field.text()?), ..Reasoning::default() })
    })?;
    request.user = fields.located("user", Field::text)?;
    openai::take_extras(&mut fields, &EXTRAS, &mut request);
    for (name, reason) in NEVER {
        if let Some(field) = fields.take(name) {
            let is_default = matches!(field.raw_text(), "false" | "[\"text\"]");
            if !is_default {
                lost.add(&field.path, reason);
            }
        }
    }
    for name in ["functions", "function_call"] {
        if let Some(field) = fields.take(name) {
            return Err(RequestError::refused(
                &field.path,
                "the field is deprecated: use tools and tool_choice",
            ));
        }
    }
    fields.finish(lost);
    Ok(request)
}

fn sampling(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    let newer = fields.located("max_completion_tokens", Field::unsigned)?;
    let older = fields.located("max_tokens", Field::unsigned)?;
    request.max_tokens = newer.or(older);
    request.temperature = fields.located("temperature", Field::number)?;
    request.top_p = fields.located("top_p", Field::number)?;
    request.top_k = fields.located("top_k", Field::number)?;
    request.seed = fields.located("seed", Field::number)?;
    request.presence_penalty = fields.located("presence_penalty", Field::number)?;
    request.frequency_penalty = fields.located("frequency_penalty", Field::number)?;
    request.count = fields.located("n", Field::unsigned)?;
    request.stop = fields.located("stop", |field| match field.is_text() {
        true => Ok(vec![field.text()?]),
        false => field.texts(),
    })?;
    Ok(())
}

fn tool(mut fields: Fields<'_>, lost: &mut Lost) -> Result<Tool, RequestError> {
    let path = fields.path.clone();
    let mut inner = fields.require("function")?.object()?;
    let function = openai::function(&mut inner)?;
    let cache = openai::cache_mark(&mut fields, lost)?;
    inner.finish(lost);
    fields.finish(lost);
    Ok(Tool { kind: ToolKind::Function(function), cache, path })
}

fn tool_choice(field: &Field<'_>, lost: &mut Lost) -> Result<ToolChoice, RequestError> {
    if field.is_text() {
        return openai::tool_choice_mode(field);
    }
    let mut fields = field.object()?;
    let choice = match fields.tag()?.as_str() {
        "function" => ToolChoice::Tool(function_name(&mut fields, lost)?),
        "allowed_tools" => {
            let mut allowed = fields.require("allowed_tools")?.object()?;
            let choice = openai::allowed_tools(&mut allowed, lost, function_name)?;
            allowed.finish(lost);
            choice
        }
        other => {
            return Err(RequestError::refused(&field.path, format!("the type {other:?} is not carried")));
        }
    };
    fields.finish(lost);
    Ok(choice)
}

fn function_name(fields: &mut Fields<'_>, lost: &mut Lost) -> Result<String, RequestError> {
    let mut function = fields.require("function")?.object()?;
    let name = function.require("name")?.text()?;
    function.finish(lost);
    Ok(name)
}

fn output(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    request.verbosity = fields.located("verbosity", Field::text)?;
    request.output = fields.located("response_format", |field| {
        let mut fields = field.object()?;
        let format = match fields.tag()?.as_str() {
            "text" => OutputFormat::Text,
            "json_object" => OutputFormat::JsonObject,
            "json_schema" => {
                let mut inner = fields.require("json_schema")?.object()?;
                let format = openai::schema_format(&mut inner)?;
                inner.finish(lost);
                format
            }
            other => {
                let reason = format!("the type {other:?} is not carried");
                return Err(RequestError::refused(&field.path, reason));
            }
        };
        fields.finish(lost);
        Ok(format)
    })?;
    Ok(())
}
