use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map, RawJson};
use crate::protocol::lost::Lost;
use crate::protocol::model::{Family, Function, OutputFormat, Request, Tool, ToolChoice, ToolKind};
use crate::protocol::{ClientProtocol, missing, refuse_count, write_extras};

use super::block_writer::{cache_control, messages, system};
use super::thinking::{Thinking, fixes_sampling, thinking};

/// For reports.
const PROVIDER: &str = "Anthropic";

pub(in crate::protocol) fn write(
    request: &Request,
    client: ClientProtocol,
    default_max_tokens: u32,
    lost: &mut Lost,
) -> Result<Map, RequestError> {
    refuse_count(request, PROVIDER)?;
    let thinking = thinking(request, client, default_max_tokens.into(), lost);
    let mut body = Map::new().with("model", request.model.as_str()).with("max_tokens", thinking.max_tokens);
    if request.stream {
        body.set("stream", true);
    }
    body.set_some("system", system(request, lost)?);
    body.set("messages", messages(request, lost)?);
    if client != ClientProtocol::AnthropicMessages && fixes_sampling(&request.model) {
        report_sampling(request, lost);
    } else {
        sampling(request, &thinking, &mut body, lost);
    }
    body.set_some("stop_sequences", request.stop.as_ref().map(|field| field.value.as_slice()));
    tools(request, &mut body, lost);
    output(request, &thinking, &mut body, lost);
    body.set_some("thinking", thinking.field);
    if let Some(user) = &request.user {
        body.set("metadata", Map::new().with("user_id", &user.value));
    }
    missing::seed_and_penalties(request, PROVIDER, lost);
    missing::verbosity_and_names(request, PROVIDER, lost);
    write_extras(request, Family::Anthropic, &mut body, lost);
    Ok(body)
}

fn sampling(request: &Request, thinking: &Thinking, body: &mut Map, lost: &mut Lost) {
    temperature(request, PROVIDER, thinking.on, body, lost);
    body.set_some("top_p", request.top_p.as_ref().map(|field| &field.value));
    if let Some(top_k) = &request.top_k {
        if thinking.on {
            lost.add(&top_k.path, "Anthropic takes no top_k together with reasoning");
        } else {
            body.set("top_k", &top_k.value);
        }
    }
}

/// The temperature, which models of Anthropic and those on Bedrock take up to 1.
pub(in crate::protocol) fn temperature(
    request: &Request,
    provider: &str,
    thinks: bool,
    body: &mut Map,
    lost: &mut Lost,
) {
    let Some(temperature) = &request.temperature else { return };
    let value = temperature.value.as_f64().unwrap_or(1.0);
    if thinks && value != 1.0 {
        lost.add(&temperature.path, "the model takes no temperature together with reasoning");
    } else if value > 1.0 {
        lost.add(&temperature.path, format!("{provider} takes temperatures up to 1; 1 is sent"));
        body.set_some("temperature", RawJson::parse("1"));
    } else {
        body.set("temperature", &temperature.value);
    }
}

pub(in crate::protocol) fn report_sampling(request: &Request, lost: &mut Lost) {
    for field in [&request.temperature, &request.top_p, &request.top_k].into_iter().flatten() {
        lost.add(&field.path, "the model takes no sampling parameters");
    }
}

fn tools(request: &Request, body: &mut Map, lost: &mut Lost) {
    let tools: Vec<Json> = request.offered_tools().filter_map(|tool| write_tool(tool, lost)).collect();
    if tools.is_empty() {
        return;
    }
    body.set("tools", tools);
    let parallel = request.parallel_tools.as_ref().map(|field| field.value);
    let choice = request.tool_choice.as_ref().map(|choice| &choice.value);
    let choice = match choice {
        None if parallel != Some(false) => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => Map::tagged("auto"),
        Some(ToolChoice::None) => {
            body.set("tool_choice", Map::tagged("none"));
            return;
        }
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => Map::tagged("any"),
        Some(ToolChoice::Tool(name)) => Map::tagged("tool").with("name", name),
    };
    body.set(
        "tool_choice",
        choice.with_some("disable_parallel_tool_use", parallel.map(|parallel| !parallel)),
    );
}

fn write_tool(tool: &Tool, lost: &mut Lost) -> Option<Json> {
    let function = match &tool.kind {
        ToolKind::Function(function) => function,
        ToolKind::Hosted(Family::Anthropic, raw) => return Some(raw.into()),
        ToolKind::Hosted(family, _) => {
            lost.add(&tool.path, format!("only {} runs this tool", family.name()));
            return None;
        }
    };
    let map = Map::new()
        .with("name", function.name.as_str())
        .with_some("description", function.description.as_ref())
        .with("input_schema", input_schema(function))
        .with_some("strict", function.strict.as_ref().filter(|strict| strict.value).map(|_| true))
        .with_some("cache_control", cache_control(tool.cache.as_ref()));
    Some(map.into())
}

/// The schema of a function's arguments, which Anthropic and Bedrock require also of a function that takes none.
pub(in crate::protocol) fn input_schema(function: &Function) -> Json {
    let none = || Map::tagged("object").with("properties", Map::new()).into();
    function.parameters.as_ref().map_or_else(none, Json::from)
}

fn output(request: &Request, thinking: &Thinking, body: &mut Map, lost: &mut Lost) {
    let mut config = Map::new().with_some("effort", thinking.effort.as_ref());
    if let Some(output) = &request.output {
        match &output.value {
            OutputFormat::Text => (),
            OutputFormat::JsonObject => {
                lost.add(&output.path, "Anthropic takes a JSON format only with a schema");
            }
            OutputFormat::Schema { schema, .. } => {
                config.set("format", Map::tagged("json_schema").with("schema", schema));
            }
        }
    }
    body.set_filled("output_config", config);
}
