use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map};
use crate::protocol::lost::Lost;
use crate::protocol::model::{Family, OutputFormat, Request, Tool, ToolChoice, ToolKind};
use crate::protocol::openai;
use crate::protocol::{ClientProtocol, write_extras};

use super::message_writer::messages;

pub(in crate::protocol) fn write(
    request: &Request,
    client: ClientProtocol,
    lost: &mut Lost,
) -> Result<Map, RequestError> {
    let mut body = Map::new().with("model", request.model.as_str());
    body.set("messages", messages(request, lost)?);
    if request.stream {
        body.set("stream", true);
        // Always asked for: the gateway counts tokens even if the client does not want to see them.
        body.set("stream_options", Map::new().with("include_usage", true));
    }
    sampling(request, client, &mut body, lost);
    tools(request, &mut body, lost);
    output(request, &mut body);
    if let Some(reasoning) = &request.reasoning {
        match reasoning.value.effort_level() {
            Some(level) => {
                body.set("reasoning_effort", level);
            }
            None => lost.add_harmless(&reasoning.path, "the model decides how much it reasons"),
        }
    }
    match &request.user {
        // OpenAI refuses longer ones, which clients of other protocols send.
        Some(user) if user.value.len() > 64 && client != ClientProtocol::OpenAiChat => {
            lost.add_harmless(&user.path, "OpenAI takes identifiers of up to 64 characters");
        }
        Some(user) => {
            body.set("user", &user.value);
        }
        None => (),
    }
    write_extras(request, Family::OpenAi, &mut body, lost);
    Ok(body)
}

fn sampling(request: &Request, client: ClientProtocol, body: &mut Map, lost: &mut Lost) {
    if let Some(max) = &request.max_tokens {
        let newer = max.path == "max_completion_tokens" || openai::is_reasoning_model(&request.model);
        body.set(if newer { "max_completion_tokens" } else { "max_tokens" }, max.value);
    }
    body.set_some("temperature", request.temperature.as_ref().map(|field| &field.value));
    body.set_some("top_p", request.top_p.as_ref().map(|field| &field.value));
    match &request.top_k {
        // OpenAI itself refuses it; who sends it in this protocol knows of a host that takes it.
        Some(top_k) if client == ClientProtocol::OpenAiChat => {
            body.set("top_k", &top_k.value);
        }
        Some(top_k) => lost.add(&top_k.path, "OpenAI's protocol has no top_k"),
        None => (),
    }
    body.set_some("seed", request.seed.as_ref().map(|field| &field.value));
    body.set_some("presence_penalty", request.presence_penalty.as_ref().map(|field| &field.value));
    body.set_some("frequency_penalty", request.frequency_penalty.as_ref().map(|field| &field.value));
    body.set_some("stop", request.stop.as_ref().map(|field| field.value.as_slice()));
    body.set_some("n", request.count.as_ref().map(|field| field.value));
}

fn tools(request: &Request, body: &mut Map, lost: &mut Lost) {
    let tools: Vec<Map> = request.tools.iter().filter_map(|tool| write_tool(tool, lost)).collect();
    if tools.is_empty() {
        if let Some(choice) = &request.tool_choice
            && !matches!(choice.value, ToolChoice::None | ToolChoice::Auto)
        {
            lost.add(&choice.path, "there is no tool to choose");
        }
        return;
    }
    body.set("tools", tools);
    body.set_some("tool_choice", request.tool_choice.as_ref().map(|choice| tool_choice(&choice.value)));
    body.set_some("parallel_tool_calls", request.parallel_tools.as_ref().map(|field| field.value));
}

fn write_tool(tool: &Tool, lost: &mut Lost) -> Option<Map> {
    if let Some(cache) = &tool.cache {
        lost.add_harmless(&cache.path, "OpenAI's protocol has no prompt-cache marks");
    }
    match &tool.kind {
        ToolKind::Function(function) => {
            let definition = Map::new()
                .with("name", function.name.as_str())
                .with_some("description", function.description.as_ref())
                .with_some("parameters", function.parameters.as_ref())
                .with_some("strict", function.strict.as_ref().map(|field| field.value));
            Some(Map::tagged("function").with("function", definition))
        }
        ToolKind::Hosted(family, _) => {
            lost.add(&tool.path, format!("only {} runs this tool", family.name()));
            None
        }
    }
}

fn named(name: &str) -> Map {
    Map::tagged("function").with("function", Map::new().with("name", name))
}

fn tool_choice(choice: &ToolChoice) -> Json {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => named(name).into(),
        ToolChoice::Allowed { names, required } => {
            let tools: Vec<Map> = names.iter().map(|name| named(name)).collect();
            let mode = if *required { "required" } else { "auto" };
            let allowed = Map::new().with("mode", mode).with("tools", tools);
            Map::tagged("allowed_tools").with("allowed_tools", allowed).into()
        }
    }
}

fn output(request: &Request, body: &mut Map) {
    let format = request.output.as_ref().map(|output| match &output.value {
        OutputFormat::Text => Map::tagged("text"),
        OutputFormat::JsonObject => Map::tagged("json_object"),
        OutputFormat::Schema { name, description, schema, strict } => {
            let inner = Map::new()
                .with("name", name.as_deref().unwrap_or("answer"))
                .with_some("description", description.as_ref())
                .with("schema", schema)
                .with_some("strict", *strict);
            Map::tagged("json_schema").with("json_schema", inner)
        }
    });
    body.set_some("response_format", format);
    body.set_some("verbosity", request.verbosity.as_ref().map(|field| &field.value));
}
