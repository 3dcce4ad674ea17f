use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Extra, Family, Function, Message, OutputFormat, Reasoning, ReasoningMode, Request, Role, Tool,
    ToolChoice, ToolKind,
};
use crate::protocol::openai::cache_mark;

use super::block_reader::content;

/// Fields for Anthropic only, and whether the answer is the same without them.
const EXTRAS: [(&str, bool); 11] = [
    ("diagnostics", true),
    ("user_profile_id", true),
    ("workspace_id", true),
    ("service_tier", true),
    ("container", false),
    ("context_management", false),
    ("mcp_servers", false),
    ("inference_geo", false),
    ("cache_control", true),
    ("speed", true),
    // Stands in the body where Anthropic is served by others.
    ("anthropic_beta", false),
];

pub(in crate::protocol) fn read(body: &[u8], lost: &mut Lost) -> Result<Request, RequestError> {
    let mut fields = Field::document(body)?.object()?;
    let mut request = Request { model: fields.text("model")?.unwrap_or_default(), ..Request::default() };
    if let Some(field) = fields.take("stream") {
        request.stream = field.boolean()?;
    }
    // Streams of this protocol always tell the usage.
    request.include_usage = true;
    if let Some(system) = fields.take("system") {
        let blocks = content(&system, lost)?;
        request.messages.push(Message { role: Role::System, blocks, name: None, path: system.path });
    }
    for field in fields.require("messages")?.array()? {
        request.messages.push(message(&field, lost)?);
    }
    request.max_tokens = fields.located("max_tokens", Field::unsigned)?;
    request.temperature = fields.located("temperature", Field::number)?;
    request.top_p = fields.located("top_p", Field::number)?;
    request.top_k = fields.located("top_k", Field::number)?;
    request.stop = fields.located("stop_sequences", Field::texts)?;
    tools(&mut fields, &mut request, lost)?;
    thinking(&mut fields, &mut request, lost)?;
    if let Some(metadata) = fields.take("metadata") {
        let mut metadata = metadata.object()?;
        request.user = metadata.located("user_id", Field::text)?;
        metadata.finish(lost);
    }
    // The version belongs in a header; clients of Vertex and Bedrock put it into the body.
    fields.take("anthropic_version");
    for (name, harmless) in EXTRAS {
        if let Some(field) = fields.take(name) {
            let (value, path) = (field.raw(), field.path);
            request.extras.push(Extra {
                family: Family::Anthropic,
                name: name.to_owned(),
                value,
                path,
                harmless,
            });
        }
    }
    fields.finish(lost);
    Ok(request)
}

fn message(field: &Field<'_>, lost: &mut Lost) -> Result<Message, RequestError> {
    let mut fields = field.object()?;
    let role_field = fields.require("role")?;
    let role = match role_field.text()?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            return Err(RequestError::refused(
                &role_field.path,
                format!("the role {other:?} is not carried"),
            ));
        }
    };
    let blocks = content(&fields.require("content")?, lost)?;
    fields.finish(lost);
    Ok(Message { role, blocks, name: None, path: field.path.clone() })
}

fn tools(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    if let Some(list) = fields.take("tools") {
        for field in list.array()? {
            request.tools.push(tool(&field, lost)?);
        }
    }
    let Some(field) = fields.take("tool_choice") else { return Ok(()) };
    let mut choice = field.object()?;
    let parallel = choice.located("disable_parallel_tool_use", Field::boolean)?;
    request.parallel_tools = parallel.map(|mut field| {
        field.value = !field.value;
        field
    });
    let value = match choice.tag()?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.require("name")?.text()?),
        other => {
            return Err(RequestError::refused(&field.path, format!("the type {other:?} is not carried")));
        }
    };
    choice.finish(lost);
    request.tool_choice = Some(field.located(value));
    Ok(())
}

fn tool(field: &Field<'_>, lost: &mut Lost) -> Result<Tool, RequestError> {
    let mut fields = field.object()?;
    let tag = fields.text("type")?;
    let cache = cache_mark(&mut fields, lost)?;
    if tag.is_some_and(|tag| tag != "custom") {
        let kind = ToolKind::Hosted(Family::Anthropic, field.raw());
        return Ok(Tool { kind, cache: None, path: field.path.clone() });
    }
    let function = Function {
        name: fields.require("name")?.text()?,
        description: fields.text("description")?,
        parameters: fields.take("input_schema").map(|field| field.raw_object()).transpose()?,
        strict: fields.located("strict", Field::boolean)?,
    };
    if let Some(field) = fields.take("eager_input_streaming") {
        lost.add_harmless(&field.path, "it only changes how arguments are cut into fragments");
    }
    fields.finish(lost);
    Ok(Tool { kind: ToolKind::Function(function), cache, path: field.path.clone() })
}

/// `thinking`, `output_config` and the older `output_format`.
fn thinking(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    request.reasoning = fields.located("thinking", |field| {
        let mut fields = field.object()?;
        let mode = match fields.tag()?.as_str() {
            "disabled" => ReasoningMode::Off,
            "enabled" => ReasoningMode::On,
            // What is added to the protocol later decides for itself as well.
            _ => ReasoningMode::Adaptive,
        };
        let budget = fields.take("budget_tokens").map(|field| field.unsigned()).transpose()?;
        let visible = fields.text("display")?.map(|display| display != "omitted");
        let native = Some(field.raw());
        let reasoning = Reasoning { mode: Some(mode), effort: None, budget, native, visible };
        fields.finish(lost);
        Ok(reasoning)
    })?;
    if let Some(config) = fields.take("output_config") {
        let mut config = config.object()?;
        if let Some(field) = config.take("effort") {
            let effort = Some(field.text()?);
            match &mut request.reasoning {
                Some(reasoning) => reasoning.value.effort = effort,
                None => {
                    let reasoning = Reasoning { effort, ..Reasoning::default() };
                    request.reasoning = Some(field.located(reasoning));
                }
            }
        }
        request.output = config.located("format", |field| output_format(field, lost))?;
        config.finish(lost);
    }
    if let Some(output) = fields.located("output_format", |field| output_format(field, lost))? {
        request.output.get_or_insert(output);
    }
    Ok(())
}

fn output_format(field: &Field<'_>, lost: &mut Lost) -> Result<OutputFormat, RequestError> {
    let mut fields = field.object()?;
    let tag = fields.tag()?;
    if tag != "json_schema" {
        return Err(RequestError::refused(&field.path, format!("the type {tag:?} is not carried")));
    }
    let schema = fields.require("schema")?.raw_object()?;
    fields.finish(lost);
    Ok(OutputFormat::Schema { name: None, description: None, schema, strict: Some(true) })
}
