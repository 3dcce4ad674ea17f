use crate::protocol::RequestOptions;
use crate::protocol::error::RequestError;
use crate::protocol::json::{Field, Fields, Map, RawJson, is_proto_schema, proto_to_json_schema};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Block, Extra, Family, Function, Message, OutputFormat, Reasoning, ReasoningMode, Request, Role, Tool,
    ToolChoice, ToolKind,
};

use super::part_reader::PartReader;

pub(in crate::protocol) fn read(
    body: &[u8],
    options: &RequestOptions<'_>,
    lost: &mut Lost,
) -> Result<Request, RequestError> {
    let mut fields = Field::document(body)?.object()?;
    let mut request = Request { stream: options.path_stream.unwrap_or(false), ..Request::default() };
    request.include_usage = true;
    let in_body = fields.text("model")?;
    let model = options.path_model.or(in_body.as_deref()).unwrap_or_default();
    request.model = model.strip_prefix("models/").unwrap_or(model).to_owned();
    let mut parts = PartReader::default();
    if let Some(field) = fields.take_proto("systemInstruction") {
        let blocks = system(&field, &mut parts, lost)?;
        request.messages.push(Message { role: Role::System, blocks, name: None, path: field.path });
    }
    for field in fields.require("contents")?.array()? {
        request.messages.push(content(&field, &mut parts, lost)?);
    }
    if let Some(config) = fields.take_proto("generationConfig") {
        generation(config.object()?, &mut request, lost)?;
    }
    tools(&mut fields, &mut request, lost)?;
    for (name, harmless) in [("safetySettings", false), ("cachedContent", false), ("labels", true)] {
        if let Some(field) = fields.take_proto(name) {
            extra(&mut request, Family::Gemini, name.to_owned(), &field, harmless);
        }
    }
    fields.finish(lost);
    Ok(request)
}

fn extra(request: &mut Request, family: Family, name: String, field: &Field<'_>, harmless: bool) {
    request.extras.push(Extra { family, name, value: field.raw(), path: field.path.clone(), harmless });
}

fn system(field: &Field<'_>, parts: &mut PartReader, lost: &mut Lost) -> Result<Vec<Block>, RequestError> {
    let mut fields = field.object()?;
    fields.take("role");
    let blocks = parts.read(&fields.require("parts")?, false, lost)?;
    fields.finish(lost);
    Ok(blocks)
}

fn content(field: &Field<'_>, parts: &mut PartReader, lost: &mut Lost) -> Result<Message, RequestError> {
    let mut fields = field.object()?;
    let role = match fields.take("role") {
        None => Role::User,
        Some(role) => match role.text()?.as_str() {
            "user" | "function" => Role::User,
            "model" => Role::Assistant,
            other => {
                return Err(RequestError::refused(&role.path, format!("the role {other:?} is not carried")));
            }
        },
    };
    let blocks = match fields.take("parts") {
        Some(list) => parts.read(&list, role == Role::Assistant, lost)?,
        None => Vec::new(),
    };
    fields.finish(lost);
    Ok(Message { role, blocks, name: None, path: field.path.clone() })
}

fn generation(mut fields: Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    request.max_tokens = fields.located_proto("maxOutputTokens", Field::unsigned)?;
    request.temperature = fields.located_proto("temperature", Field::number)?;
    request.top_p = fields.located_proto("topP", Field::number)?;
    request.top_k = fields.located_proto("topK", Field::number)?;
    request.seed = fields.located_proto("seed", Field::number)?;
    request.presence_penalty = fields.located_proto("presencePenalty", Field::number)?;
    request.frequency_penalty = fields.located_proto("frequencyPenalty", Field::number)?;
    request.stop = fields.located_proto("stopSequences", Field::texts)?;
    request.count = fields.located_proto("candidateCount", Field::unsigned)?;
    request.reasoning = fields.located_proto("thinkingConfig", |field| thinking(field, lost))?;
    output(&mut fields, request, lost)?;
    for name in ["responseLogprobs", "logprobs"] {
        if let Some(field) = fields.take_proto(name).filter(|field| field.raw_text() != "false") {
            lost.add(&field.path, "log probabilities are not carried");
        }
    }
    for (name, field) in fields.rest() {
        extra(request, Family::GeminiGeneration, name, &field, false);
    }
    Ok(())
}

fn thinking(field: &Field<'_>, lost: &mut Lost) -> Result<Reasoning, RequestError> {
    let mut fields = field.object()?;
    let mut reasoning = Reasoning::default();
    if let Some(budget) = fields.take_proto("thinkingBudget") {
        match budget.integer()? {
            0 => reasoning.mode = Some(ReasoningMode::Off),
            tokens if tokens > 0 => reasoning.budget = u64::try_from(tokens).ok(),
            _ => reasoning.mode = Some(ReasoningMode::Adaptive),
        }
    }
    let level = fields.take_proto("thinkingLevel").map(|field| field.text()).transpose()?;
    reasoning.effort = level.map(|level| level.to_ascii_lowercase());
    reasoning.visible = fields.take_proto("includeThoughts").map(|field| field.boolean()).transpose()?;
    fields.finish(lost);
    Ok(reasoning)
}

fn output(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    let schema = fields.take_proto("responseJsonSchema").or_else(|| fields.take_proto("responseSchema"));
    let mime = fields.take_proto("responseMimeType");
    let kind = mime.as_ref().map(Field::text).transpose()?;
    match (kind.as_deref(), schema, mime) {
        (_, Some(schema), _) => {
            let format = OutputFormat::Schema {
                name: None,
                description: None,
                schema: json_schema(&schema)?,
                strict: None,
            };
            request.output = Some(schema.located(format));
        }
        (Some("application/json"), None, Some(mime)) => {
            request.output = Some(mime.located(OutputFormat::JsonObject));
        }
        (Some("text/plain"), None, Some(mime)) => request.output = Some(mime.located(OutputFormat::Text)),
        (Some(kind), None, Some(mime)) => {
            lost.add(&mime.path, format!("answers of type {kind:?} are not carried"))
        }
        _ => (),
    }
    Ok(())
}

fn json_schema(field: &Field<'_>) -> Result<RawJson, RequestError> {
    let raw = field.raw_object()?;
    Ok(if is_proto_schema(&raw) { proto_to_json_schema(&raw) } else { raw })
}

fn tools(fields: &mut Fields<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    if let Some(list) = fields.take("tools") {
        for field in list.array()? {
            tool(&field, request, lost)?;
        }
    }
    let Some(config) = fields.take_proto("toolConfig") else { return Ok(()) };
    let mut config = config.object()?;
    request.tool_choice = config.located_proto("functionCallingConfig", |field| tool_choice(field, lost))?;
    config.finish(lost);
    Ok(())
}

fn tool(field: &Field<'_>, request: &mut Request, lost: &mut Lost) -> Result<(), RequestError> {
    let mut fields = field.object()?;
    if let Some(list) = fields.take_proto("functionDeclarations") {
        for field in list.array()? {
            let kind = ToolKind::Function(function(&field, lost)?);
            request.tools.push(Tool { kind, cache: None, path: field.path });
        }
    }
    for (name, field) in fields.rest() {
        let path = field.path.clone();
        let mut tool = Map::new();
        tool.set(name, field.raw());
        if let Some(raw) = RawJson::parse(&tool.to_text()) {
            request.tools.push(Tool { kind: ToolKind::Hosted(Family::Gemini, raw), cache: None, path });
        }
    }
    Ok(())
}

fn function(field: &Field<'_>, lost: &mut Lost) -> Result<Function, RequestError> {
    let mut fields = field.object()?;
    let schema = fields.take_proto("parametersJsonSchema").or_else(|| fields.take("parameters"));
    let function = Function {
        name: fields.require("name")?.text()?,
        description: fields.text("description")?,
        parameters: schema.map(|field| json_schema(&field)).transpose()?,
        strict: None,
    };
    for name in ["response", "responseJsonSchema"] {
        if let Some(field) = fields.take_proto(name) {
            lost.add_harmless(&field.path, "schemas of what tools return are not carried");
        }
    }
    fields.finish(lost);
    Ok(function)
}

fn tool_choice(field: &Field<'_>, lost: &mut Lost) -> Result<ToolChoice, RequestError> {
    let mut fields = field.object()?;
    let mode = fields.text("mode")?.unwrap_or_else(|| "AUTO".to_owned());
    let names = fields.take_proto("allowedFunctionNames").map(|field| field.texts()).transpose()?;
    fields.finish(lost);
    let names = names.unwrap_or_default();
    Ok(match (mode.as_str(), names.as_slice()) {
        ("NONE", _) => ToolChoice::None,
        ("ANY", []) => ToolChoice::Required,
        ("ANY", [name]) => ToolChoice::Tool(name.clone()),
        ("ANY", _) => ToolChoice::Allowed { names, required: true },
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", []) => ToolChoice::Auto,
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", _) => ToolChoice::Allowed { names, required: false },
        (other, _) => {
            return Err(RequestError::refused(&field.path, format!("the mode {other:?} is not carried")));
        }
    })
}
