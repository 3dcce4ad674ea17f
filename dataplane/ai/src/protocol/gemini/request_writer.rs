use crate::protocol::error::RequestError;
use crate::protocol::json::{Json, Map, RawJson};
use crate::protocol::lost::Lost;
use crate::protocol::model::{
    Family, OutputFormat, Reasoning, ReasoningMode, Request, Tool, ToolChoice, ToolKind,
};
use crate::protocol::{ClientProtocol, missing, write_extras};

use super::part_writer::{contents, system};

/// The largest budget that all models with a budget take.
const MAX_BUDGET: u64 = 24_576;

/// Whether the model takes a level instead of a budget, and asks for signatures of tool calls.
pub(super) fn is_third_generation(model: &str) -> bool {
    model.contains("gemini-3")
}

pub(in crate::protocol) fn write(
    request: &Request,
    client: ClientProtocol,
    lost: &mut Lost,
) -> Result<Map, RequestError> {
    let mut body = Map::new();
    body.set_some("systemInstruction", system(request, lost)?);
    body.set("contents", contents(request, lost)?);
    tools(request, &mut body, lost);
    let mut config = Map::new();
    sampling(request, &mut config);
    output(request, &mut config);
    if let Some(reasoning) = &request.reasoning {
        let own = client == ClientProtocol::Gemini;
        config.set_filled("thinkingConfig", thinking(request, &reasoning.value, &reasoning.path, own, lost));
    }
    for extra in request.extras.iter().filter(|extra| extra.family == Family::GeminiGeneration) {
        config.set(extra.name.clone(), &extra.value);
    }
    body.set_filled("generationConfig", config);
    missing::parallel_tools_and_user(request, "Gemini", lost);
    missing::verbosity_and_names(request, "Gemini", lost);
    write_extras(request, Family::Gemini, &mut body, lost);
    Ok(body)
}

fn sampling(request: &Request, config: &mut Map) {
    config.set_some("maxOutputTokens", request.max_tokens.as_ref().map(|field| field.value));
    config.set_some("temperature", request.temperature.as_ref().map(|field| &field.value));
    config.set_some("topP", request.top_p.as_ref().map(|field| &field.value));
    config.set_some("topK", request.top_k.as_ref().map(|field| &field.value));
    config.set_some("seed", request.seed.as_ref().map(|field| &field.value));
    config.set_some("presencePenalty", request.presence_penalty.as_ref().map(|field| &field.value));
    config.set_some("frequencyPenalty", request.frequency_penalty.as_ref().map(|field| &field.value));
    config.set_some("stopSequences", request.stop.as_ref().map(|field| field.value.as_slice()));
    config.set_some("candidateCount", request.count.as_ref().map(|field| field.value));
}

fn output(request: &Request, config: &mut Map) {
    match request.output.as_ref().map(|output| &output.value) {
        Some(OutputFormat::JsonObject) => {
            config.set("responseMimeType", "application/json");
        }
        Some(OutputFormat::Schema { schema, .. }) => {
            config.set("responseMimeType", "application/json");
            config.set("responseJsonSchema", schema);
        }
        Some(OutputFormat::Text) => {
            config.set("responseMimeType", "text/plain");
        }
        None => (),
    }
}

fn thinking(request: &Request, reasoning: &Reasoning, path: &str, own: bool, lost: &mut Lost) -> Map {
    let mut config = Map::new();
    let off = reasoning.is_off();
    if is_third_generation(&request.model) {
        let level = match reasoning.effort_level() {
            Some("none") => {
                lost.add_harmless(
                    path,
                    "the model's reasoning cannot be switched off; the lowest level is sent",
                );
                Some("low")
            }
            Some("minimal" | "low") => Some("low"),
            Some("medium") => Some("medium"),
            Some(_) => Some("high"),
            None => None,
        };
        config.set_some("thinkingLevel", level);
    } else if off {
        config.set("thinkingBudget", 0u64);
    } else if let Some(budget) = reasoning.budget_tokens() {
        config.set("thinkingBudget", if own { budget } else { budget.min(MAX_BUDGET) });
    } else if reasoning.mode == Some(ReasoningMode::Adaptive) {
        config.set_some("thinkingBudget", RawJson::parse("-1"));
    }
    let visible = if own { reasoning.visible } else { reasoning.visible.or((!off).then_some(true)) };
    config.set_some("includeThoughts", visible);
    config
}

fn tools(request: &Request, body: &mut Map, lost: &mut Lost) {
    let mut functions: Vec<Json> = Vec::new();
    let mut tools: Vec<Json> = Vec::new();
    for tool in request.offered_tools() {
        if let Some(cache) = &tool.cache {
            lost.add_harmless(&cache.path, "Gemini has no prompt-cache marks");
        }
        match &tool.kind {
            ToolKind::Function(_) => functions.extend(declaration(tool, lost)),
            ToolKind::Hosted(Family::Gemini, raw) => tools.push(raw.into()),
            ToolKind::Hosted(family, _) => {
                lost.add(&tool.path, format!("only {} runs this tool", family.name()));
            }
        }
    }
    if !functions.is_empty() {
        tools.insert(0, Map::new().with("functionDeclarations", functions).into());
    }
    if tools.is_empty() {
        return;
    }
    body.set("tools", tools);
    if let Some(choice) = &request.tool_choice {
        let config = calling_config(&choice.value);
        body.set("toolConfig", Map::new().with("functionCallingConfig", config));
    }
}

fn declaration(tool: &Tool, lost: &mut Lost) -> Option<Json> {
    let ToolKind::Function(function) = &tool.kind else { return None };
    if let Some(strict) = function.strict.as_ref().filter(|strict| strict.value) {
        lost.add_harmless(&strict.path, "Gemini has no strict mode of a single tool");
    }
    let map = Map::new()
        .with("name", function.name.as_str())
        .with_some("description", function.description.as_ref())
        .with_some("parametersJsonSchema", function.parameters.as_ref());
    Some(map.into())
}

fn calling_config(choice: &ToolChoice) -> Map {
    let (mode, names) = match choice {
        // Gemini restricts names only if a call is required; the others are not offered instead.
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => ("AUTO", &[][..]),
        ToolChoice::None => ("NONE", &[][..]),
        ToolChoice::Required => ("ANY", &[][..]),
        ToolChoice::Tool(name) => ("ANY", std::slice::from_ref(name)),
        ToolChoice::Allowed { names, required: true } => ("ANY", names.as_slice()),
    };
    let names = (!names.is_empty()).then_some(names);
    Map::new().with("mode", mode).with_some("allowedFunctionNames", names)
}
