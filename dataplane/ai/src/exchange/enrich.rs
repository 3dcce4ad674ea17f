//! Messages that a route adds to a conversation, in each schema.

use ai_config::Message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::json::{Edit, Object};

/// How a conversation stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `messages[]` of all roles, system among them.
    OpenAi,
    /// `input`, a text or a list, and `instructions`.
    Responses,
    /// `messages[]`, and `system`, a text or a list of blocks.
    Anthropic,
    /// `contents[]`, and `systemInstruction`.
    Gemini,
    /// `messages[]` with lists of blocks, and `system[]`.
    Bedrock,
}

/// A member that is not as it should be, and what is wrong with it.
type Fault = (&'static str, &'static str);

/// The members with the messages before and after those that are there.
pub(super) fn messages(
    layout: Layout,
    object: &Object<'_>,
    prepend: &[Message],
    append: &[Message],
) -> Result<Vec<Edit>, Fault> {
    let is_system = |message: &&Message| matches!(message.role.as_str(), "system" | "developer");
    let has_system_apart = !matches!(layout, Layout::OpenAi | Layout::Responses);
    let turns = |list: &[Message]| -> Vec<Value> {
        list.iter()
            .filter(|message| !(has_system_apart && is_system(message)))
            .map(|message| turn(layout, message))
            .collect()
    };
    let mut edits = Vec::new();
    let (before, after) = (turns(prepend), turns(append));
    if !before.is_empty() || !after.is_empty() {
        edits.push(conversation(layout, object, &before, &after)?);
    }
    if has_system_apart {
        let texts = |list: &[Message]| -> Vec<String> {
            list.iter().filter(is_system).map(|message| message.content.clone()).collect()
        };
        let (before, after) = (texts(prepend), texts(append));
        if !before.is_empty() || !after.is_empty() {
            edits.push(system(layout, object, before, after)?);
        }
    }
    Ok(edits)
}

/// A message in the form of the schema.
fn turn(layout: Layout, Message { role, content }: &Message) -> Value {
    match layout {
        Layout::OpenAi | Layout::Responses | Layout::Anthropic => json!({"role": role, "content": content}),
        Layout::Gemini => {
            let role = if role == "assistant" { "model" } else { role };
            json!({"role": role, "parts": [{"text": content}]})
        }
        Layout::Bedrock => json!({"role": role, "content": [{"text": content}]}),
    }
}

/// The list of messages, whose own text stays byte for byte.
fn conversation(
    layout: Layout,
    object: &Object<'_>,
    before: &[Value],
    after: &[Value],
) -> Result<Edit, Fault> {
    let name = match layout {
        Layout::OpenAi | Layout::Anthropic | Layout::Bedrock => "messages",
        Layout::Responses => "input",
        Layout::Gemini => "contents",
    };
    let text = object.get(name).map(<[u8]>::trim_ascii).unwrap_or(b"[]");
    let inner = match (text.first(), text.last(), layout) {
        (Some(b'['), Some(b']'), _) => text.get(1..text.len() - 1).unwrap_or_default().to_vec(),
        (Some(b'"'), _, Layout::Responses) => [b"{\"role\":\"user\",\"content\":", text, b"}"].concat(),
        // One content instead of a list is what some clients of Gemini send.
        (Some(b'{'), _, Layout::Gemini) => text.to_vec(),
        _ => return Err((name, "the conversation is not a list")),
    };
    if layout == Layout::Bedrock
        && let Some(turns) = alternating(before, text, after)
    {
        return Ok(Edit::new(name, turns));
    }
    let mut out = vec![b'['];
    let own = (!inner.trim_ascii().is_empty()).then_some(inner);
    let parts = before.iter().map(|value| value.to_string().into_bytes());
    let parts = parts.chain(own).chain(after.iter().map(|value| value.to_string().into_bytes()));
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&part);
    }
    out.push(b']');
    Ok(Edit::new(name, out))
}

/// A message of Converse. It has no other members.
#[derive(Serialize, Deserialize)]
struct Turn<'a> {
    role: String,
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

/// The list of messages for Converse, which refuses two of the same role in a row: a message that is added becomes a part of
/// its neighbour then. `None` if the request's own messages are no list.
fn alternating(before: &[Value], own: &[u8], after: &[Value]) -> Option<Vec<u8>> {
    let own: Vec<&RawValue> = serde_json::from_slice(own).ok()?;
    let added = |list: &[Value]| list.iter().map(|value| (true, value.to_string())).collect::<Vec<_>>();
    let own = own.into_iter().map(|message| (false, message.get().to_owned()));
    let mut messages: Vec<(bool, String)> = Vec::new();
    for (is_added, message) in added(before).into_iter().chain(own).chain(added(after)) {
        if let Some((was_added, last)) = messages.last_mut()
            && (*was_added || is_added)
            && let Some(both) = one_turn(last, &message)
        {
            (*was_added, *last) = (is_added, both);
        } else {
            messages.push((is_added, message));
        }
    }
    let messages: Vec<_> = messages.into_iter().map(|(_, message)| message).collect();
    Some(format!("[{}]", messages.join(",")).into_bytes())
}

/// Two messages as one, if they have the same role.
fn one_turn(first: &str, second: &str) -> Option<String> {
    let mut both: Turn<'_> = serde_json::from_str(first).ok()?;
    let second: Turn<'_> = serde_json::from_str(second).ok()?;
    if both.role != second.role {
        return None;
    }
    both.content.extend(second.content);
    serde_json::to_string(&both).ok()
}

/// The system prompt with others before and after it.
fn system(
    layout: Layout,
    object: &Object<'_>,
    before: Vec<String>,
    after: Vec<String>,
) -> Result<Edit, Fault> {
    let (name, other_name) = match layout {
        Layout::Gemini => ("systemInstruction", "system_instruction"),
        _ => ("system", "system"),
    };
    let (name, own) = match (object.get(name), object.get(other_name)) {
        (None, Some(own)) => (other_name, Some(own)),
        (own, _) => (name, own),
    };
    let own: Value = own.and_then(|own| serde_json::from_slice(own).ok()).unwrap_or(Value::Null);
    let fault = (name, "the system prompt has no form that is known");
    let value = match (layout, own) {
        (Layout::Gemini, own) => {
            let mut own = match own {
                Value::Null => Map::new(),
                Value::String(text) => Map::from_iter([("parts".to_owned(), json!([{"text": text}]))]),
                Value::Object(own) => own,
                _ => return Err(fault),
            };
            let parts = list(own.remove("parts").unwrap_or_default()).ok_or(fault)?;
            own.insert("parts".to_owned(), joined(parts, before, after, |text| json!({"text": text})));
            Value::Object(own)
        }
        (Layout::Bedrock, own) => {
            joined(list(own).ok_or(fault)?, before, after, |text| json!({"text": text}))
        }
        (_, Value::Null) => json!([before, after].concat().join("\n")),
        (_, Value::String(own)) => json!([before, vec![own], after].concat().join("\n")),
        (_, Value::Array(own)) => joined(own, before, after, |text| json!({"type": "text", "text": text})),
        _ => return Err(fault),
    };
    Ok(Edit::new(name, value.to_string()))
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => Some(list),
        _ => None,
    }
}

fn joined(
    own: Vec<Value>,
    before: Vec<String>,
    after: Vec<String>,
    block: impl Fn(String) -> Value,
) -> Value {
    Value::Array(before.into_iter().map(&block).chain(own).chain(after.into_iter().map(&block)).collect())
}
