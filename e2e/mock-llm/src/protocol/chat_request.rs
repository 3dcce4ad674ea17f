//! Reads a request of OpenAI's chat completions.

use serde_json::Value;

use super::read::{arguments, image_url, list, member, text, texts};
use crate::ask::{Ask, Choice, Format, Part, Role, Tool, Turn};
use crate::error::Fault;
use crate::route::Route;

pub(super) fn read(route: &Route, body: &Value) -> Result<Ask, Fault> {
    // A deployment of Azure's is its own model.
    let model = route.model.clone().unwrap_or_else(|| text(body, "model"));
    if model.is_empty() {
        return Err(Fault::new(400, "you must provide a model parameter"));
    }
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err(Fault::new(400, "Missing required parameter: 'messages'."));
    }
    let limit = member(body, "max_completion_tokens").or_else(|| member(body, "max_tokens"));
    let effort = member(body, "reasoning_effort").and_then(Value::as_str);
    let mut ask = Ask {
        model,
        tools: list(body, "tools").iter().filter_map(tool).collect(),
        choice: choice(body.get("tool_choice")),
        format: format(body.get("response_format")),
        stop: texts(body.get("stop")),
        max_tokens: limit.and_then(Value::as_u64),
        thinking: effort.is_some_and(|effort| effort != "none"),
        ..Ask::default()
    };
    for message in messages {
        read_message(&mut ask, message)?;
    }
    ask.check_results().map_err(|wrong| Fault::new(400, wrong))?;
    Ok(ask)
}

fn read_message(ask: &mut Ask, message: &Value) -> Result<(), Fault> {
    let content = message.get("content");
    let (role, parts) = match message.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => {
            ask.system.extend(content_texts(content));
            return Ok(());
        }
        Some("user") => (Role::User, parts(content)?),
        Some("assistant") => {
            let mut parts = parts(content)?;
            let reasoning = text(message, "reasoning_content");
            if !reasoning.is_empty() {
                parts.insert(0, Part::Thinking(reasoning));
            }
            for call in list(message, "tool_calls") {
                let function = call.get("function").unwrap_or(&Value::Null);
                let arguments = arguments(&text(function, "arguments"))?;
                parts.push(Part::Call { id: text(call, "id"), name: text(function, "name"), arguments });
            }
            (Role::Model, parts)
        }
        Some("tool") => {
            let text_of_result = content_texts(content).join(" ");
            let part = Part::Result { id: text(message, "tool_call_id"), text: text_of_result };
            (Role::User, vec![part])
        }
        other => {
            let role = other.unwrap_or_default();
            return Err(Fault::new(400, format!("Invalid value: '{role}' for a message's role.")));
        }
    };
    ask.turns.push(Turn { role, parts });
    Ok(())
}

fn content_texts(content: Option<&Value>) -> Vec<String> {
    match content {
        Some(Value::Array(parts)) => parts.iter().map(|part| text(part, "text")).collect(),
        other => texts(other),
    }
}

fn parts(content: Option<&Value>) -> Result<Vec<Part>, Fault> {
    let Some(Value::Array(parts)) = content else {
        return Ok(texts(content).into_iter().filter(|text| !text.is_empty()).map(Part::Text).collect());
    };
    let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
        Some("text" | "refusal") => Ok(Part::Text(text(part, "text"))),
        Some("image_url") => match part.get("image_url") {
            // Mistral takes the URL by itself, too.
            Some(Value::String(url)) => image_url(url),
            Some(image) => image_url(&text(image, "url")),
            None => Err(Fault::new(400, "Missing required parameter: 'image_url'.")),
        },
        other => Err(Fault::new(400, format!("Invalid content type: '{}'.", other.unwrap_or_default()))),
    };
    parts.iter().map(part).collect()
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = tool.get("function")?;
    let schema = function.get("parameters").cloned().unwrap_or_default();
    Some(Tool { name: text(function, "name"), schema })
}

fn choice(choice: Option<&Value>) -> Choice {
    match choice {
        Some(Value::String(word)) => match word.as_str() {
            "none" => Choice::None,
            // `any` is Mistral's word.
            "required" | "any" => Choice::Required,
            _ => Choice::Auto,
        },
        Some(Value::Object(named)) => match named.get("function") {
            Some(function) => Choice::Named(text(function, "name")),
            None => Choice::Auto,
        },
        _ => Choice::Auto,
    }
}

fn format(format: Option<&Value>) -> Format {
    let Some(format) = format else { return Format::Text };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Format::Json,
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) => Format::Schema(schema.clone()),
            None => Format::Json,
        },
        _ => Format::Text,
    }
}
