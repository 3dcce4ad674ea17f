use crate::protocol::anthropic::request_writer::{input_schema, report_sampling, temperature};
use crate::protocol::anthropic::thinking::{fixes_sampling, thinking};
use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map};
use crate::protocol::lost::Lost;
use crate::protocol::model::{OutputFormat, Request, Tool, ToolChoice, ToolKind};
use crate::protocol::{ClientProtocol, missing, refuse_count, write_no_extras};

use super::block_writer::{cache_point, messages, system};

/// For reports.
const PROVIDER: &str = "Bedrock";

/// Families of models that take parameters of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vendor {
    Anthropic,
    Nova,
    OpenAi,
    Other,
}

impl Vendor {
    fn of_model(model: &str) -> Self {
        if model.contains("anthropic.") || model.contains("claude") {
            Self::Anthropic
        } else if model.contains("amazon.nova") {
            Self::Nova
        } else if model.contains("openai.") {
            Self::OpenAi
        } else {
            Self::Other
        }
    }
}

pub(in crate::protocol) fn write(
    request: &Request,
    client: ClientProtocol,
    default_max_tokens: u32,
    lost: &mut Lost,
) -> Result<Map, RequestError> {
    refuse_count(request, PROVIDER)?;
    let vendor = Vendor::of_model(&request.model);
    let mut body = Map::new();
    let system = system(request, lost)?;
    if !system.is_empty() {
        body.set("system", system);
    }
    body.set("messages", messages(request, lost)?);
    let mut additional = Map::new();
    let limits = reasoning(request, client, vendor, default_max_tokens, &mut additional, lost);
    let mut config = Map::new().with_some("maxTokens", limits.max_tokens);
    if client != ClientProtocol::AnthropicMessages && fixes_sampling(&request.model) {
        report_sampling(request, lost);
    } else {
        temperature(request, PROVIDER, limits.thinks, &mut config, lost);
        config.set_some("topP", request.top_p.as_ref().map(|field| &field.value));
        top_k(request, &limits, vendor, &mut additional, lost);
    }
    config.set_some("stopSequences", request.stop.as_ref().map(|field| field.value.as_slice()));
    body.set_filled("inferenceConfig", config);
    tools(request, &mut body, lost);
    output(request, &mut body, lost);
    body.set_filled("additionalModelRequestFields", additional);
    missing::seed_and_penalties(request, PROVIDER, lost);
    missing::parallel_tools_and_user(request, PROVIDER, lost);
    missing::verbosity_and_names(request, PROVIDER, lost);
    write_no_extras(request, PROVIDER, lost);
    Ok(body)
}

/// What reasoning leaves to the other parameters.
struct Limits {
    max_tokens: Option<u64>,
    thinks: bool,
}

fn reasoning(
    request: &Request,
    client: ClientProtocol,
    vendor: Vendor,
    default_max_tokens: u32,
    additional: &mut Map,
    lost: &mut Lost,
) -> Limits {
    let given = request.max_tokens.as_ref().map(|max| max.value);
    let limits = Limits { max_tokens: given, thinks: false };
    let Some(reasoning) = &request.reasoning else { return limits };
    match vendor {
        Vendor::Anthropic => {
            let thinking = thinking(request, client, default_max_tokens.into(), lost);
            let max_tokens = given.or(thinking.on.then_some(thinking.max_tokens));
            additional.set_some("thinking", thinking.field);
            additional.set_filled("output_config", Map::new().with_some("effort", thinking.effort));
            Limits { max_tokens, thinks: thinking.on }
        }
        Vendor::Nova | Vendor::OpenAi if reasoning.value.is_off() => limits,
        Vendor::Nova => {
            let effort = match reasoning.value.effort_level() {
                Some("minimal" | "low") => "low",
                Some("high" | "xhigh" | "max") => "high",
                _ => "medium",
            };
            let config = Map::tagged("enabled").with("maxReasoningEffort", effort);
            additional.set("reasoningConfig", config);
            limits
        }
        Vendor::OpenAi => {
            additional.set_some("reasoning_effort", reasoning.value.effort_level());
            limits
        }
        Vendor::Other => {
            lost.add(&reasoning.path, "how this model is told to reason is not known");
            limits
        }
    }
}

fn top_k(request: &Request, limits: &Limits, vendor: Vendor, additional: &mut Map, lost: &mut Lost) {
    let Some(top_k) = &request.top_k else { return };
    match vendor {
        Vendor::Anthropic if limits.thinks => {
            lost.add(&top_k.path, "the model takes no top_k together with reasoning");
        }
        Vendor::Anthropic => {
            additional.set("top_k", &top_k.value);
        }
        Vendor::Nova => {
            additional.set("inferenceConfig", Map::new().with("topK", &top_k.value));
        }
        Vendor::OpenAi | Vendor::Other => lost.add(&top_k.path, "how this model takes top_k is not known"),
    }
}

fn tools(request: &Request, body: &mut Map, lost: &mut Lost) {
    let choice = request.tool_choice.as_ref();
    let forbidden = choice.filter(|choice| choice.value == ToolChoice::None);
    if let Some(choice) = forbidden {
        // A history with tool calls is refused without the tools they were for.
        if !request.has_tool_blocks() {
            return;
        }
        lost.add(&choice.path, "Bedrock cannot forbid tools that the history has used");
    }
    let mut tools: Vec<Json> = Vec::new();
    for tool in request.offered_tools() {
        if let Some(spec) = tool_spec(tool, lost) {
            tools.push(spec);
            tools.extend(cache_point(tool.cache.as_ref()));
        }
    }
    if tools.is_empty() {
        return;
    }
    let config = Map::new().with("tools", tools);
    let choice = choice.and_then(|choice| match &choice.value {
        ToolChoice::None => None,
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => {
            Some(Map::new().with("auto", Map::new()))
        }
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => {
            Some(Map::new().with("any", Map::new()))
        }
        ToolChoice::Tool(name) => Some(Map::new().with("tool", Map::new().with("name", name))),
    });
    body.set("toolConfig", config.with_some("toolChoice", choice));
}

fn tool_spec(tool: &Tool, lost: &mut Lost) -> Option<Json> {
    let function = match &tool.kind {
        ToolKind::Function(function) => function,
        ToolKind::Hosted(family, _) => {
            lost.add(&tool.path, format!("only {} runs this tool", family.name()));
            return None;
        }
    };
    let description = function.description.as_ref().filter(|text| !text.is_empty());
    let spec = Map::new()
        .with("name", function.name.as_str())
        .with_some("description", description)
        .with("inputSchema", Map::new().with("json", input_schema(function)))
        .with_some("strict", function.strict.as_ref().filter(|strict| strict.value).map(|_| true));
    Some(Map::new().with("toolSpec", spec).into())
}

fn output(request: &Request, body: &mut Map, lost: &mut Lost) {
    let Some(output) = &request.output else { return };
    match &output.value {
        OutputFormat::Text => (),
        OutputFormat::JsonObject => lost.add(&output.path, "Bedrock takes a JSON format only with a schema"),
        OutputFormat::Schema { name, description, schema, .. } => {
            let schema = Map::new()
                .with("schema", schema.as_str())
                .with_some("name", name.as_ref())
                .with_some("description", description.as_ref());
            let format = Map::tagged("json_schema").with("structure", Map::new().with("jsonSchema", schema));
            body.set("outputConfig", Map::new().with("textFormat", format));
        }
    }
}
