//! What the real servers refuse although it could be understood: fields that they do not know, and settings
//! that do not go together. A translation that leaves such things in works against lenient stand-ins only.

use serde_json::Value;

use super::read::{list, member, text};
use crate::error::Fault;
use crate::route::{Operation, Provider, Route};

const CHAT: &str = "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens \
    max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty \
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format \
    safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools \
    top_logprobs top_p user verbosity web_search_options";
/// Azure's additions.
const AZURE: &str = "data_sources user_security_context";
const RESPONSES: &str = "access_programs background background_options conversation context_management \
    image include input instructions max_output_tokens max_tool_calls metadata model moderation \
    parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options \
    prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options \
    temperature text tool_choice tools top_logprobs top_p truncation user";
const MISTRAL: &str = "frequency_penalty guardrails max_tokens messages metadata model n parallel_tool_calls \
    prediction presence_penalty prompt_cache_key prompt_mode random_seed reasoning_effort response_format \
    safe_prompt stop stream stream_options temperature tool_choice tools top_p";
const MISTRAL_MESSAGE: &str = "content name prefix role tool_call_id tool_calls";
const MESSAGES: &str = "anthropic_version cache_control container context_management diagnostics inference_geo \
    max_tokens mcp_servers messages metadata model output_config output_format service_tier speed \
    stop_sequences stream system temperature thinking tool_choice tools top_k top_p user_profile_id workspace_id";
const GENERATE: &str = "cachedContent contents generationConfig labels model safetySettings serviceTier store \
    systemInstruction toolConfig tools";
const GENERATION_CONFIG: &str = "audioTimestamp candidateCount enableAffectiveDialog \
    enableEnhancedCivicAnswers frequencyPenalty imageConfig logprobs maxOutputTokens mediaResolution \
    presencePenalty responseFormat responseJsonSchema responseLogprobs responseMimeType responseModalities \
    responseSchema routingConfig seed speechConfig stopSequences temperature thinkingConfig topK topP";
/// The subset of OpenAPI that Google calls a schema.
const SCHEMA: &str = "anyOf default description enum example format items maxItems maxLength maxProperties \
    maximum minItems minLength minProperties minimum nullable pattern properties propertyOrdering required \
    title type";
/// What Vertex takes besides.
const VERTEX_SCHEMA: &str = "additionalProperties defs ref";

/// Refuses what the provider refuses.
pub(super) fn check(route: &Route, body: &Value) -> Result<(), Fault> {
    match (route.provider, route.operation) {
        (Provider::Mistral, Operation::Chat) => mistral(body),
        (provider, Operation::Chat) if provider != Provider::AzureOpenAi => openai(body, &[CHAT]),
        (_, Operation::Chat) => openai(body, &[CHAT, AZURE]),
        (_, Operation::Responses) => openai(body, &[RESPONSES]),
        (_, Operation::Messages | Operation::RawPredict | Operation::CountMessages) => anthropic(body),
        (provider, Operation::Generate | Operation::StreamGenerate) => google(provider, body),
        (_, Operation::Converse | Operation::ConverseStream) => bedrock(body),
        _ => Ok(()),
    }
}

/// The first member that is in none of the lists.
fn stranger<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    let mut names = value.as_object()?.keys();
    names
        .find(|name| !known.iter().any(|list| list.split_whitespace().any(|one| one == *name)))
        .map(String::as_str)
}

/// The same for Google, whose members may be spelled with underscores.
fn google_stranger<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let known: Vec<String> = known.iter().flat_map(|list| list.split_whitespace()).map(plain).collect();
    value.as_object()?.keys().find(|name| !known.contains(&plain(name))).map(String::as_str)
}

fn openai(body: &Value, known: &[&str]) -> Result<(), Fault> {
    if let Some(name) = stranger(body, known) {
        return Err(Fault::coded(400, "unknown_parameter", format!("Unknown parameter: '{name}'.")));
    }
    let formats = [body.pointer("/response_format/json_schema"), body.pointer("/text/format")];
    for format in formats.into_iter().flatten() {
        if let (Some(true), Some(schema)) =
            (format.get("strict").and_then(Value::as_bool), format.get("schema"))
        {
            strict_schema(schema)?;
        }
    }
    for tool in list(body, "tools") {
        let function = tool.get("function").unwrap_or(tool);
        let is_strict = function.get("strict").and_then(Value::as_bool) == Some(true);
        if let Some(parameters) = function.get("parameters").filter(|_| is_strict) {
            strict_schema(parameters)?;
        }
    }
    Ok(())
}

/// Strict schemas have no optional members and no others.
fn strict_schema(schema: &Value) -> Result<(), Fault> {
    let wrong = |what: &str| Err(Fault::coded(400, "invalid_json_schema", format!("Invalid schema: {what}")));
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return wrong("'additionalProperties' is required to be supplied and to be false.");
        }
        let required = list(schema, "required");
        if properties.keys().any(|name| !required.iter().any(|one| one == name)) {
            return wrong("'required' is required to be an array including every key in properties.");
        }
        properties.values().try_for_each(strict_schema)?;
    }
    schema.get("items").map_or(Ok(()), strict_schema)?;
    list(schema, "anyOf").iter().try_for_each(strict_schema)
}

fn mistral(body: &Value) -> Result<(), Fault> {
    let extra = |place: String| Fault::coded(422, "extra_forbidden", place);
    if let Some(name) = stranger(body, &[MISTRAL]) {
        return Err(extra(name.to_owned()));
    }
    for (index, message) in list(body, "messages").iter().enumerate() {
        if let Some(name) = stranger(message, &[MISTRAL_MESSAGE]) {
            return Err(extra(format!("messages.{index}.{}.{name}", text(message, "role"))));
        }
    }
    Ok(())
}

fn anthropic(body: &Value) -> Result<(), Fault> {
    if let Some(name) = stranger(body, &[MESSAGES]) {
        return Err(Fault::new(400, format!("{name}: Extra inputs are not permitted")));
    }
    let temperature = member(body, "temperature").and_then(Value::as_f64);
    if temperature.is_some_and(|temperature| !(0.0..=1.0).contains(&temperature)) {
        return Err(Fault::new(400, "temperature: range: 0..1"));
    }
    let thinking = member(body, "thinking");
    if thinking.is_none_or(|thinking| text(thinking, "type") != "enabled") {
        return Ok(());
    }
    let budget = thinking.and_then(|thinking| thinking.get("budget_tokens")?.as_u64()).unwrap_or_default();
    if budget < 1024 {
        let message = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
        return Err(Fault::new(400, message));
    }
    if member(body, "max_tokens").and_then(Value::as_u64).is_some_and(|most| most <= budget) {
        return Err(Fault::new(400, "`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    if temperature.is_some_and(|temperature| temperature < 1.0) {
        return Err(Fault::new(400, "`temperature` may only be set to 1 when thinking is enabled."));
    }
    let choice = body.get("tool_choice").map(|choice| text(choice, "type")).unwrap_or_default();
    if choice == "any" || choice == "tool" {
        return Err(Fault::new(400, "Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

fn google(provider: Provider, body: &Value) -> Result<(), Fault> {
    if let Some(name) = google_stranger(body, &[GENERATE]) {
        return Err(unknown(name, ""));
    }
    let none = Value::Null;
    let config =
        member(body, "generationConfig").or_else(|| member(body, "generation_config")).unwrap_or(&none);
    if let Some(name) = google_stranger(config, &[GENERATION_CONFIG]) {
        return Err(unknown(name, "generation_config"));
    }
    for name in ["responseSchema", "response_schema"] {
        if let Some(schema) = member(config, name) {
            google_schema(provider, schema, "generation_config.response_schema")?;
        }
    }
    for tool in list(body, "tools") {
        let declared =
            ["functionDeclarations", "function_declarations"].into_iter().flat_map(|name| list(tool, name));
        for (index, function) in declared.enumerate() {
            if let Some(schema) = member(function, "parameters") {
                google_schema(
                    provider,
                    schema,
                    &format!("tools[0].function_declarations[{index}].parameters"),
                )?;
            }
        }
    }
    Ok(())
}

fn google_schema(provider: Provider, schema: &Value, place: &str) -> Result<(), Fault> {
    let more = if provider == Provider::Vertex { VERTEX_SCHEMA } else { "" };
    if let Some(name) = google_stranger(schema, &[SCHEMA, more]) {
        return Err(unknown(name, place));
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (index, (_, schema)) in properties.enumerate() {
        google_schema(provider, schema, &format!("{place}.properties[{index}].value"))?;
    }
    if let Some(items) = schema.get("items") {
        google_schema(provider, items, &format!("{place}.items"))?;
    }
    let mut alternatives = list(schema, "anyOf").iter().chain(list(schema, "any_of")).enumerate();
    alternatives
        .try_for_each(|(index, one)| google_schema(provider, one, &format!("{place}.any_of[{index}]")))
}

fn unknown(name: &str, place: &str) -> Fault {
    let place = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    Fault::new(
        400,
        format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."),
    )
}

/// Unknown members are ignored here, but the history may not speak of tools that are not there.
fn bedrock(body: &Value) -> Result<(), Fault> {
    let mut blocks = list(body, "messages").iter().flat_map(|message| list(message, "content"));
    let speaks_of_tools =
        blocks.any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some());
    if speaks_of_tools && member(body, "toolConfig").is_none() {
        let message =
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
        return Err(Fault::new(400, message));
    }
    Ok(())
}
