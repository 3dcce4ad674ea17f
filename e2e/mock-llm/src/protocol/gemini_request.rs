//! Reads a request of Gemini's, of the Gemini API or of Vertex AI.

use serde_json::Value;

use super::read::{image, list, text, texts};
use crate::ask::{Ask, Choice, Format, Part, Role, Tool, Turn};
use crate::error::Fault;
use crate::route::Route;

/// A member in one of its two spellings: Google's servers take both.
fn either<'a>(value: &'a Value, camel: &str) -> Option<&'a Value> {
    let snake = || {
        let mut name = String::new();
        for letter in camel.chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        value.get(&name)
    };
    value.get(camel).or_else(snake).filter(|member| !member.is_null())
}

/// The model a request is for: that of the path.
pub(super) fn model(route: &Route) -> String {
    route.model.clone().unwrap_or_default()
}

pub(super) fn read(route: &Route, body: &Value) -> Result<Ask, Fault> {
    let contents = list(body, "contents");
    if contents.is_empty() {
        return Err(Fault::new(400, "* GenerateContentRequest.contents: contents is not specified"));
    }
    let none = Value::Null;
    let config = either(body, "generationConfig").unwrap_or(&none);
    let thinking = either(config, "thinkingConfig");
    let calling = either(body, "toolConfig").and_then(|config| either(config, "functionCallingConfig"));
    let declared =
        list(body, "tools").iter().filter_map(|tool| either(tool, "functionDeclarations")?.as_array());
    let mut ask = Ask {
        model: model(route),
        tools: declared.flatten().map(tool).collect(),
        choice: choice(calling),
        format: format(config),
        stop: texts(either(config, "stopSequences")),
        max_tokens: either(config, "maxOutputTokens").and_then(Value::as_u64),
        thinking: thinking.is_some_and(asks_for_thoughts),
        ..Ask::default()
    };
    if let Some(system) = either(body, "systemInstruction") {
        ask.system.extend(list(system, "parts").iter().map(|part| text(part, "text")));
    }
    for content in contents {
        let role = match content.get("role").and_then(Value::as_str) {
            Some("model") => Role::Model,
            None | Some("user" | "function") => Role::User,
            Some(_) => return Err(Fault::new(400, "Please use a valid role: user, model.")),
        };
        let parts = list(content, "parts").iter().map(part).collect::<Result<_, _>>()?;
        ask.turns.push(Turn { role, parts });
    }
    ask.check_results().map_err(|wrong| Fault::new(400, wrong))?;
    Ok(ask)
}

fn asks_for_thoughts(config: &Value) -> bool {
    either(config, "includeThoughts").and_then(Value::as_bool) == Some(true)
        || either(config, "thinkingBudget").and_then(Value::as_i64).is_some_and(|budget| budget != 0)
        || either(config, "thinkingLevel").is_some()
}

fn part(part: &Value) -> Result<Part, Fault> {
    if part.get("thought").and_then(Value::as_bool) == Some(true) {
        return Ok(Part::Thinking(text(part, "text")));
    }
    if let Some(said) = part.get("text").and_then(Value::as_str) {
        return Ok(Part::Text(said.to_owned()));
    }
    let mime_type =
        |data: &Value| either(data, "mimeType").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(data) = either(part, "inlineData") {
        return image(&mime_type(data), &text(data, "data"));
    }
    if let Some(file) = either(part, "fileData") {
        return Ok(Part::Image { media_type: mime_type(file), bytes: 0 });
    }
    if let Some(call) = either(part, "functionCall") {
        let arguments = call.get("args").cloned().unwrap_or_default();
        // Without its id: a response is matched by the function's name, which it must have right.
        return Ok(Part::Call { id: String::new(), name: text(call, "name"), arguments });
    }
    if let Some(response) = either(part, "functionResponse") {
        return Ok(Part::Result { id: text(response, "name"), text: said(response.get("response")) });
    }
    Err(Fault::new(400, "contents.parts: required oneof field 'data' must have one initialized field"))
}

/// A function's response is an object; one with a single text is that text.
fn said(response: Option<&Value>) -> String {
    match response {
        Some(Value::Object(members)) if members.len() == 1 => match members.values().next() {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        },
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn tool(function: &Value) -> Tool {
    let schema = either(function, "parametersJsonSchema").or_else(|| function.get("parameters"));
    Tool { name: text(function, "name"), schema: schema.cloned().unwrap_or_default() }
}

fn choice(config: Option<&Value>) -> Choice {
    let Some(config) = config else { return Choice::Auto };
    match config.get("mode").and_then(Value::as_str) {
        Some("NONE") => Choice::None,
        Some("ANY") => match texts(either(config, "allowedFunctionNames")).into_iter().next() {
            Some(name) => Choice::Named(name),
            None => Choice::Required,
        },
        _ => Choice::Auto,
    }
}

fn format(config: &Value) -> Format {
    let schema = either(config, "responseJsonSchema").or_else(|| either(config, "responseSchema"));
    match (schema, either(config, "responseMimeType").and_then(Value::as_str)) {
        (Some(schema), _) => Format::Schema(schema.clone()),
        (None, Some("application/json")) => Format::Json,
        _ => Format::Text,
    }
}
